#!/bin/sh
# Speed on 1, 2, 4 .. ranks, measured beside what `pruntrain --check --ranks` predicts: see scripts/scaling.py --help.
#
#     scripts/scaling.sh inputs/fashion_lenet300.yaml > scaling.csv
#     sbatch --ntasks=128 --cpus-per-task=1 scripts/scaling.sh CONFIG.yaml --cluster cluster.yaml
#
# Under SLURM it is submitted from the folder that holds ./pruntrain. MPIRUN: the launcher with its flags.
set -eu
scripts=$(dirname "$0")
[ -f "$scripts/scaling.py" ] || scripts=scripts      # SLURM runs a copy that lies elsewhere
exec "${PYTHON:-/usr/bin/python3}" "$scripts/scaling.py" "$@"
