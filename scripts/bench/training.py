"""Short training runs of ./pruntrain for the benchmarks."""

import csv
import json
import math
import os
import pathlib
import shlex
import statistics
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LOCAL_BATCH = {"mlp1024": 128, "mlp2048": 128, "fashion_cnn": 64, "lenet5": 64}   # samples per rank and step
TRAINING_SAMPLES = 60000
WARM_UP_STEPS = 10      # not measured: first touch of memory, planning of the sparse kernels
COUNTED_STEPS = 140     # with the warm-up less than an epoch of every network on two ranks


def file_of(network):
    return ROOT / f"scripts/bench/{network}.yaml"


def launcher(ranks):
    launch = [*shlex.split(os.environ.get("MPIRUN", "mpirun")), "-n", str(ranks)]
    if os.geteuid() == 0 and launch[0].endswith("mpirun"):
        launch.append("--allow-run-as-root")
    return launch


def short_run(config, ranks, batch, training_samples, *settings, steps=COUNTED_STEPS):
    """Trains a configuration with additional settings key=value. Returns results from the run folder: samples_per_s over all
    ranks after the warm-up, peak_mb of the largest rank, bytes_reduced per step."""
    per_epoch = math.ceil(training_samples / batch)
    shared = "." if "SLURM_JOB_ID" in os.environ else None      # /tmp is local to each node
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        subprocess.run([*launcher(ranks), ROOT / "pruntrain", config, f"run.output={folder}", "run.name=short", f"train.global_batch={batch}",
                        f"train.epochs={(WARM_UP_STEPS + steps) / per_epoch}",
                        f"train.evaluate_every_epochs={WARM_UP_STEPS / per_epoch}", "checkpoint.every_epochs=0", *settings],
                       check=True, stdout=subprocess.DEVNULL, env=dict(os.environ, OPENBLAS_NUM_THREADS="1"))
        run = pathlib.Path(folder) / "short"
        summary = json.loads((run / "summary.json").read_text())
        with open(run / "history.csv", newline="") as file:
            rows = list(csv.DictReader(file))
    # There is a row every WARM_UP_STEPS steps, so the first row is the warm-up.
    rates = [float(row["samples_per_s"]) for row in rows[1:]]
    return {"samples_per_s": statistics.harmonic_mean(rates), "peak_mb": summary["peak_mb"],
            "bytes_reduced": 4 * int(float(rows[-1]["values_reduced"])) if ranks > 1 else 0}


def train(network, ranks, density, *settings):
    """Trains a network of the benchmarks at a constant density."""
    return short_run(file_of(network), ranks, LOCAL_BATCH[network] * ranks, TRAINING_SAMPLES,
                     f"prune.final_sparsity={1 - density:.6g}", *settings)
