#!/bin/sh
# Compares the throughput on 1, 2, 4 .. ranks with the prediction of `pruntrain --check --ranks`: see scripts/scaling.py --help.
#
#     scripts/scaling.sh inputs/fashion_lenet300.yaml > scaling.csv
#     sbatch --ntasks=128 --cpus-per-task=1 scripts/scaling.sh CONFIG.yaml --cluster cluster.yaml
#
# Under SLURM, submit it from the folder that contains ./pruntrain. MPIRUN: the launcher with its flags.
set -eu
scripts=$(dirname "$0")
[ -f "$scripts/scaling.py" ] || scripts=scripts      # SLURM runs a copy in another folder
exec "${PYTHON:-/usr/bin/python3}" "$scripts/scaling.py" "$@"
