#!/usr/bin/env python3
"""Measures the cost of checkpoints in training time, with one checkpoint every ten seconds; prints CSV.

    scripts/bench/checkpoints.py [--networks mlp2048 ...] [--ranks 2] [--density 1] [--seconds 35] [--rounds 3]

Runs without checkpoints, with checkpoints, and with checkpoint.asynchronous alternate. All train the same number of steps, which
take about --seconds. A row contains medians over the rounds. overhead: additional time relative to no checkpoints, 0.035 is 3.5 %.
"""

import argparse
import csv
import json
import os
import pathlib
import statistics
import subprocess
import tempfile

from training import LOCAL_BATCH, ROOT, TRAINING_SAMPLES, file_of, launcher, train

EVERY_S = 10


def training_time(network, ranks, density, steps, *settings):
    """(seconds from the first row of the history to the last, bytes of the last checkpoint)"""
    batch = LOCAL_BATCH[network] * ranks
    per_epoch = -(-TRAINING_SAMPLES // batch)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*launcher(ranks), ROOT / "pruntrain", file_of(network), f"run.output={folder}", "run.name=short",
                        f"train.global_batch={batch}", f"train.epochs={steps / per_epoch}",
                        f"train.evaluate_every_epochs={steps / per_epoch / 35}", f"prune.final_sparsity={1 - density:.6g}",
                        "train.execution=density", *settings],
                       check=True, stdout=subprocess.DEVNULL, env=dict(os.environ, OPENBLAS_NUM_THREADS="1"))
        run = pathlib.Path(folder) / "short"
        with open(run / "history.csv", newline="") as file:
            seconds = [float(row["seconds"]) for row in csv.DictReader(file)]
        checkpoint = json.loads((run / "summary.json").read_text())["checkpoint"]
        return seconds[-1] - seconds[0], pathlib.Path(checkpoint).stat().st_size


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=LOCAL_BATCH, default=["mlp2048", "fashion_cnn"])
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--density", type=float, default=1)
    parser.add_argument("--seconds", type=float, default=35)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print("network,ranks,density,checkpoint_bytes,checkpoints,seconds,overhead,overhead_asynchronous", flush=True)
    for network in arguments.networks:
        batch = LOCAL_BATCH[network] * arguments.ranks
        rate = train(network, arguments.ranks, arguments.density)["samples_per_s"] / batch
        steps = round(rate * arguments.seconds)
        every = f"checkpoint.every_epochs={rate * EVERY_S * batch / TRAINING_SAMPLES}"
        ways = (("checkpoint.every_epochs=0",), (every,), (every, "checkpoint.asynchronous=true"))
        rounds = [[training_time(network, arguments.ranks, arguments.density, steps, *way) for way in ways]
                  for _ in range(arguments.rounds)]
        without = statistics.median(times[0][0] for times in rounds)
        overheads = (statistics.median(times[k][0] / times[0][0] - 1 for times in rounds) for k in (1, 2))
        print(f"{network},{arguments.ranks},{arguments.density:g},{rounds[0][1][1]},{int(arguments.seconds // EVERY_S)},{without:.1f},"
              + ",".join(f"{overhead:.4f}" for overhead in overheads), flush=True)


if __name__ == "__main__":
    main()
