#!/bin/sh
# The demo of `make demo`: trains inputs/fashion_lenet300.yaml on two ranks and prints how to inspect the checkpoint.
set -eu
run=runs/fashion_lenet300
export OPENBLAS_NUM_THREADS=1
launch="${MPIRUN:-mpirun} -n 2 --oversubscribe"
[ "$(id -u)" != 0 ] || launch="$launch --allow-run-as-root"     # Open MPI requires this option for root

$launch ./pruntrain inputs/fashion_lenet300.yaml --overwrite
checkpoint=$(ls $run/checkpoints/step_*.h5 | tail -n 1)
echo
echo "Inspect it:     ./pruntrain inspect $checkpoint"
echo "In Python:      python3 scripts/pruntrain_io.py $checkpoint"
