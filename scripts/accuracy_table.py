#!/usr/bin/env python3
"""Prints test accuracy, time and checkpoint size for several sparsities, as means of several seeds: the table in docs/results.md.

    scripts/accuracy_table.py [NETWORK ...] [--ranks 2] [--seeds 1 2 3] [--output runs/accuracy]

Dense and pruned runs of an input differ only in prune.final_sparsity and run.seed, and alternate. A run with an existing
summary.json is not repeated, so an interrupted series can be continued.
"""

import argparse
import json
import os
import pathlib
import shlex
import statistics
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
STUDY = {"fashion_lenet300": [0, 0.9, 0.95], "fashion_cnn": [0, 0.9], "fashion_mlp1024_fast": [0, 0.95]}
COLUMNS = ["network", "sparsity", "test accuracy, mean", "std", "seeds", "points below dense", "seconds, mean",
           "share of dense", "checkpoint, MB", "share of dense"]


def run(network, sparsity, seed, arguments):
    """(test accuracy, wall time in seconds, bytes of the last checkpoint)"""
    name = f"{network}_{sparsity}_{seed}"
    path = arguments.output / name / "summary.json"
    if not path.exists():
        launch = shlex.split(os.environ.get("MPIRUN", "mpirun")) + ["-n", str(arguments.ranks)]
        if os.geteuid() == 0:
            launch.append("--allow-run-as-root")
        subprocess.run([*launch, ROOT / "pruntrain", ROOT / f"inputs/{network}.yaml", "--resume", f"run.output={arguments.output}",
                        f"run.name={name}", f"run.seed={seed}", f"prune.final_sparsity={sparsity}"],
                       check=True, stdout=subprocess.DEVNULL, env=dict(os.environ, OPENBLAS_NUM_THREADS="1"))
    summary = json.loads(path.read_text())
    return summary["test_accuracy"], summary["wall_s"], pathlib.Path(summary["checkpoint"]).stat().st_size


def print_row(cells):
    print("| " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", help=f"one of {', '.join(STUDY)}; default: all")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("runs/accuracy"))
    arguments = parser.parse_args()
    unknown = [network for network in arguments.networks if network not in STUDY]
    if unknown:
        parser.error(f"unknown network {unknown[0]}: choose from {', '.join(STUDY)}")
    print_row(COLUMNS)
    print_row(["---"] * len(COLUMNS))
    for network in arguments.networks or STUDY:
        results = {sparsity: [] for sparsity in STUDY[network]}
        for seed in arguments.seeds:
            for sparsity, runs in results.items():
                runs.append(run(network, sparsity, seed, arguments))
        dense = [statistics.mean(column) for column in zip(*results[0])]
        for sparsity, runs in results.items():
            accuracies = [accuracy for accuracy, _, _ in runs]
            accuracy, seconds, size = [statistics.mean(column) for column in zip(*runs)]
            std = statistics.stdev(accuracies) if len(accuracies) > 1 else 0
            print_row([network, str(sparsity), f"{accuracy:.4f}", f"{std:.4f}", " ".join(f"{one:.4f}" for one in accuracies),
                       f"{100 * (dense[0] - accuracy):.2f}", f"{seconds:.0f}", f"{seconds / dense[1]:.2f}", f"{size / 1e6:.2f}",
                       f"{size / dense[2]:.3f}"])


if __name__ == "__main__":
    main()
