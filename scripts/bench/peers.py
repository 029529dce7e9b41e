#!/usr/bin/env python3
"""Compares the training throughput of ./pruntrain, dense and sparse, with dense PyTorch and DistributedDataParallel; prints CSV.

    scripts/bench/peers.py [--networks mlp1024 ...] [--ranks 2] [--rounds 3]

Both use the same networks and batches, Adam, one thread per rank, and data in memory. They alternate in each round. ratio
is pruntrain / PyTorch in the same round; a row contains medians over the rounds.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys

from training import COUNTED_STEPS, LOCAL_BATCH, ROOT, WARM_UP_STEPS, file_of, train

SPARSE_DENSITY = {"mlp1024": 0.05, "mlp2048": 0.05, "fashion_cnn": 0.1, "lenet5": 0.1}


def blas_core():
    """The processor type whose OpenBLAS kernels pruntrain selects. Debian's PyTorch uses the same library, and would
    select the slowest kernels on a processor that the library does not recognize."""
    version = subprocess.run([ROOT / "pruntrain", "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout
    return re.search(r"(\w+) MAX_THREADS", version)[1]


def pytorch_rate(network, ranks):
    done = subprocess.run([sys.executable, ROOT / "scripts/bench/pytorch_ddp.py", file_of(network), "--ranks", str(ranks),
                           "--local-batch", str(LOCAL_BATCH[network]), "--warm-up-steps", str(WARM_UP_STEPS),
                           "--counted-steps", str(COUNTED_STEPS)], check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=LOCAL_BATCH, default=list(LOCAL_BATCH))
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    os.environ.setdefault("OPENBLAS_CORETYPE", blas_core())     # for both sides
    print("network,ranks,density,pruntrain_samples_per_s,pytorch_samples_per_s,ratio", flush=True)
    for network in arguments.networks:
        densities = [1, SPARSE_DENSITY[network]]
        ours, theirs = [], []
        for _ in range(arguments.rounds):
            theirs.append(pytorch_rate(network, arguments.ranks))
            ours.append([train(network, arguments.ranks, density)["samples_per_s"] for density in densities])
        for density, rates in zip(densities, zip(*ours)):
            ratio = statistics.median(own / other for own, other in zip(rates, theirs))
            print(f"{network},{arguments.ranks},{density:g},{statistics.median(rates):.0f},{statistics.median(theirs):.0f},"
                  f"{ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
