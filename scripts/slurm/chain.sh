#!/bin/bash
# A long run as a chain of jobs, for clusters whose compute nodes have no scontrol to queue a job again:
#
#     scripts/slurm/chain.sh N [sbatch option ...] scripts/slurm/pruntrain.sbatch CONFIG.yaml [key.path=value ...]
#
# submits N jobs. Each waits until the earlier ones have failed, at their time limit (75) or otherwise. A job that finishes
# the run exits with 0, and SLURM removes the rest of the chain. Prints the job IDs.
# There is nothing to adapt here: the submitted script defines nodes, ranks and time, and the behaviour at the time limit,
# preemption and node failure. scancel of one job starts the next one, so cancel all printed jobs. Invalid input ends each of
# them within seconds, with exit status 2.
set -euo pipefail

jobs=${1:-}
if [[ ! $jobs =~ ^[1-9][0-9]*$ ]] || (($# < 2)); then
    echo "usage: scripts/slurm/chain.sh N [sbatch option ...] SCRIPT CONFIG.yaml [key.path=value ...]" >&2
    exit 2
fi
shift
export PRUNTRAIN_MAX_RESTARTS=0     # the next job of the chain continues, instead of a requeue
failed=""
for ((i = 0; i < jobs; ++i)); do
    # On all earlier jobs, because a job that SLURM removes from the chain counts as failed.
    job=$(sbatch --parsable --kill-on-invalid-dep=yes ${failed:+--dependency=afternotok$failed} "$@")
    echo "${job%%;*}"
    failed+=:${job%%;*}
done
