#!/usr/bin/env python3
"""Test accuracy against sparsity, mean and deviation over seeds, as the table in README.md.

    scripts/accuracy_table.py [--ranks 2] [--seeds 1 2 3] [--output runs/accuracy]

Dense and pruned runs of an input differ in prune.final_sparsity and run.seed only. A run whose summary.json is there
already is not run again, so that a study that was cut off goes on.
"""

import argparse
import json
import os
import pathlib
import shlex
import statistics
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
STUDY = [("fashion_lenet300", [0, 0.9, 0.95]), ("fashion_cnn", [0, 0.9])]


def test_accuracy(network, sparsity, seed, arguments):
    name = f"{network}_{sparsity}_{seed}"
    summary = arguments.output / name / "summary.json"
    if not summary.exists():
        launch = shlex.split(os.environ.get("MPIRUN", "mpirun")) + ["-n", str(arguments.ranks)]
        if os.geteuid() == 0:
            launch.append("--allow-run-as-root")
        subprocess.run([*launch, ROOT / "pruntrain", ROOT / f"inputs/{network}.yaml", "--resume", f"run.output={arguments.output}",
                        f"run.name={name}", f"run.seed={seed}", f"prune.final_sparsity={sparsity}"],
                       check=True, stdout=subprocess.DEVNULL, env=dict(os.environ, OPENBLAS_NUM_THREADS="1"))
    return json.loads(summary.read_text())["test_accuracy"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("runs/accuracy"))
    arguments = parser.parse_args()
    print("| network | sparsity | test accuracy, mean | deviation | seeds | points below dense |\n|---|---|---|---|---|---|", flush=True)
    for network, sparsities in STUDY:
        dense = None
        for sparsity in sparsities:
            values = [test_accuracy(network, sparsity, seed, arguments) for seed in arguments.seeds]
            mean = statistics.mean(values)
            dense = mean if dense is None else dense
            deviation = statistics.stdev(values) if len(values) > 1 else 0
            print(f"| {network} | {sparsity} | {mean:.4f} | {deviation:.4f} | {' '.join(f'{v:.4f}' for v in values)} | "
                  f"{100 * (dense - mean):.2f} |", flush=True)


if __name__ == "__main__":
    main()
