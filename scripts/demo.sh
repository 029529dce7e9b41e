#!/bin/sh
# The demo of `make demo`: trains inputs/fashion_lenet300.yaml on two ranks and shows what is in the checkpoint.
set -eu
run=runs/fashion_lenet300
export OPENBLAS_NUM_THREADS=1
launch="${MPIRUN:-mpirun} -n 2 --oversubscribe"
[ "$(id -u)" != 0 ] || launch="$launch --allow-run-as-root"     # Open MPI asks root to say that it means it

$launch ./pruntrain inputs/fashion_lenet300.yaml --overwrite
checkpoint=$(ls $run/checkpoints/step_*.h5 | tail -n 1)
echo
echo "Look into it:   ./pruntrain inspect $checkpoint"
echo "In Python:      python3 scripts/pruntrain_io.py $checkpoint"
