#!/usr/bin/env python3
"""Measures the cost of reductions in a fixed order (train.sum: ordered) in training throughput; prints CSV.

    scripts/bench/ordered.py [--networks mlp1024 ...] [--ranks 1 2] [--slices 2 8] [--densities 1 0.1] [--rounds 3]

Fast and ordered runs alternate; a row contains medians over the rounds. Both select kernels by density, so that they run the
same kernels. overhead: additional time per sample relative to train.sum: fast, 0.1 is 10 %.
"""

import argparse
import statistics

from training import LOCAL_BATCH, train


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=LOCAL_BATCH, default=list(LOCAL_BATCH))
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--slices", type=int, nargs="+", default=[2, 8])
    parser.add_argument("--densities", type=float, nargs="+", default=[1, 0.1])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print("network,ranks,slices,density,fast_samples_per_s,ordered_samples_per_s,overhead", flush=True)
    for network in arguments.networks:
        for ranks in arguments.ranks:
            for density in arguments.densities:
                ways = [("train.execution=density",),
                        *(("train.sum=ordered", f"train.slices={slices}") for slices in arguments.slices if slices >= ranks)]
                rounds = [[train(network, ranks, density, *way)["samples_per_s"] for way in ways] for _ in range(arguments.rounds)]
                for i, way in enumerate(ways[1:], 1):
                    overhead = statistics.median(rates[0] / rates[i] - 1 for rates in rounds)
                    fast, ordered = (statistics.median(rates[k] for rates in rounds) for k in (0, i))
                    print(f"{network},{ranks},{way[1].split('=')[1]},{density:g},{fast:.0f},{ordered:.0f},{overhead:.3f}", flush=True)


if __name__ == "__main__":
    main()
