#!/bin/bash
# A long run as a chain of jobs, for clusters whose compute nodes have no scontrol to queue a job again:
#
#     scripts/slurm/chain.sh N [sbatch option ...] scripts/slurm/pruntrain.sbatch CONFIG.yaml [key.path=value ...]
#
# submits N jobs of which each waits until those before it have failed, at their time limit (75) or otherwise. A job that
# reaches the end of the run ends with 0, and SLURM removes the rest of the chain. Prints the numbers of the jobs.
# Nothing to adapt here: the script that is submitted has nodes, ranks and time, and says what becomes of a job at the time
# limit, preemption and node failure. scancel of one job starts the next one: cancel all that this command has printed. A
# wrong input ends each of them within seconds, with exit status 2.
set -euo pipefail

jobs=${1:-}
if [[ ! $jobs =~ ^[1-9][0-9]*$ ]] || (($# < 2)); then
    echo "usage: scripts/slurm/chain.sh N [sbatch option ...] SCRIPT CONFIG.yaml [key.path=value ...]" >&2
    exit 2
fi
shift
export PRUNTRAIN_MAX_RESTARTS=0     # the next job of the chain goes on, not this one again
failed=""
for ((i = 0; i < jobs; ++i)); do
    # Of all earlier ones: a job that SLURM removes from the chain counts as one that has failed.
    job=$(sbatch --parsable --kill-on-invalid-dep=yes ${failed:+--dependency=afternotok$failed} "$@")
    echo "${job%%;*}"
    failed+=:${job%%;*}
done
