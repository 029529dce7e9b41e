#!/usr/bin/env python3
"""Measures training throughput against the number of ranks and compares it with the prediction; prints CSV.

    scripts/scaling.sh [CONFIG.yaml ...] [--ranks 1 2 4] [--densities 1 0.05] [--rounds 3] [--cluster cluster.yaml]

Strong scaling keeps the configuration's global batch, weak scaling multiplies it by the ranks. Without --ranks it uses
1, 2, 4 .. and all of $SLURM_NTASKS, or of the local cores. The density of a run is constant, and all settings alternate;
a row contains medians. efficiency: samples/s per rank relative to the smallest number of ranks. --page also writes the rows
between <!-- begin measured --> and <!-- end measured --> of a page.
"""

import argparse
import csv
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts/bench"))
from training import COUNTED_STEPS, short_run  # noqa: E402

COLUMNS = ["configuration", "scaling", "ranks", "density", "global_batch", "samples_per_s", "predicted_samples_per_s",
           "measured_by_predicted", "efficiency", "bytes_reduced", "predicted_bytes"]


def counts_of_ranks():
    """1, 2, 4 .. and the largest count."""
    most = int(os.environ.get("SLURM_NTASKS", 0)) or len(os.sched_getaffinity(0))
    return sorted({most, *(1 << power for power in range(most.bit_length()) if 1 << power <= most)})


def predict(config, ranks, arguments, *settings):
    cluster = ["--cluster", arguments.cluster] if arguments.cluster else []
    done = subprocess.run([ROOT / "pruntrain", "--check", "--json", "--ranks", str(ranks), *cluster, config, *settings],
                          check=True, stdout=subprocess.PIPE, text=True, env=dict(os.environ, OPENBLAS_NUM_THREADS="1"))
    return json.loads(done.stdout)


def pruned_to(density):
    """Prunes at step 0: the configuration's own schedule would reach the density late in the run."""
    return ("prune={criterion: magnitude, allocation: uniform, schedule: {type: one_shot, at_step: 0}, "
            f"final_sparsity: {1 - density:.6g}}}")


def rows_of(config, arguments):
    first = predict(config, 1, arguments)
    densities = arguments.densities or [at["density"] for at in first["densities"]]
    jobs = [(scaling, ranks, density, first["global_batch"] * (ranks if scaling == "weak" else 1))
            for scaling in ("strong", "weak") for density in densities for ranks in arguments.ranks or counts_of_ranks()]
    rounds = []
    for _ in range(arguments.rounds):
        rounds.append([short_run(config, ranks, batch, first["training_samples"], pruned_to(density), steps=arguments.steps)
                       for _, ranks, density, batch in jobs])
    fewest = {}
    for (scaling, ranks, density, batch), runs in zip(jobs, zip(*rounds)):
        rate = statistics.median(run["samples_per_s"] for run in runs)
        plan = predict(config, ranks, arguments, f"train.global_batch={batch}", pruned_to(density))["densities"][-1]
        of_fewest = fewest.setdefault((scaling, density), rate / ranks)
        yield [pathlib.Path(config).stem, scaling, ranks, f"{density:g}", batch, f"{rate:.0f}", f"{plan['samples_per_s']:.0f}",
               f"{rate / plan['samples_per_s']:.2f}", f"{rate / ranks / of_fewest:.3f}",
               runs[0]["bytes_reduced"], f"{plan['summed_bytes']:.0f}"]


def write_page(page, rows):
    cells = [COLUMNS, ["---"] * len(COLUMNS), *(map(str, row) for row in rows)]
    block = "\n".join("| " + " | ".join(line) + " |" for line in cells)
    marked = re.compile(r"(?<=<!-- begin measured -->\n).*?(?=<!-- end measured -->)", re.DOTALL)
    text, found = marked.subn(lambda _: block + "\n", page.read_text())
    if found != 1:
        sys.exit(f"{page} has {found} blocks named measured instead of one")
    page.write_text(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="*", default=[ROOT / "scripts/bench/mlp1024.yaml"], metavar="CONFIG.yaml")
    parser.add_argument("--ranks", type=int, nargs="+")
    parser.add_argument("--densities", type=float, nargs="+", help="default: 1 and the final density of the configuration")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=COUNTED_STEPS, help="measured steps of a run, a multiple of 10")
    parser.add_argument("--cluster", help="the machine (YAML, docs/scaling.md)")
    parser.add_argument("--page", type=pathlib.Path, help="page whose table of measurements is replaced")
    arguments = parser.parse_args()
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    rows = []
    for config in arguments.configs:
        for row in rows_of(config, arguments):
            rows.append(row)
            writer.writerow(row)
            sys.stdout.flush()
    if arguments.page:
        write_page(arguments.page, rows)


if __name__ == "__main__":
    main()
