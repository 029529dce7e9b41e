#!/usr/bin/env python3
"""Measures training throughput, memory and messages of ./pruntrain against density; prints CSV.

    scripts/bench/train.py [--networks mlp1024 ...] [--ranks 1 2] [--densities 1 0.5 0.2 0.1 0.05 0.02] [--rounds 3]

The untrained network is pruned before the first step, so the density of a run is constant. The densities alternate in each
round. speedup is relative to density 1 in the same round; a row contains medians over the rounds.
"""

import argparse
import statistics

from training import LOCAL_BATCH, train


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=LOCAL_BATCH, default=list(LOCAL_BATCH))
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--densities", type=float, nargs="+", default=[1, 0.5, 0.2, 0.1, 0.05, 0.02])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    densities = [1, *(density for density in arguments.densities if density != 1)]
    print("network,ranks,density,samples_per_s,speedup,peak_mb,bytes_reduced", flush=True)
    for network in arguments.networks:
        for ranks in arguments.ranks:
            rounds = [[train(network, ranks, density) for density in densities] for _ in range(arguments.rounds)]
            for density, runs in zip(densities, zip(*rounds)):
                rate = statistics.median(run["samples_per_s"] for run in runs)
                speedup = statistics.median(run["samples_per_s"] / dense["samples_per_s"] for run, (dense, *_) in zip(runs, rounds))
                print(f"{network},{ranks},{density:g},{rate:.0f},{speedup:.2f},{max(run['peak_mb'] for run in runs):.0f},"
                      f"{runs[0]['bytes_reduced']}", flush=True)


if __name__ == "__main__":
    main()
