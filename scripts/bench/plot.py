#!/usr/bin/env python3
"""Plots speed-up against sparsity from the CSV of bench-kernels and bench-train (for training, the largest rank count).

    scripts/bench/plot.py docs/performance.svg docs/performance/kernels.csv docs/performance/train.csv

Needs python3-matplotlib.
"""

import csv
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import packages  # noqa: E402

packages.explain(__name__)
import matplotlib  # noqa: E402

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "pruntrain"   # the same values give the same file
import matplotlib.pyplot as pyplot  # noqa: E402 (after the choice of the backend)


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def curves(rows, name):
    """(density, speed-up), densest first, for each value of the column `name`."""
    found = {}
    for row in rows:
        found.setdefault(row[name], []).append((float(row["density"]), float(row["speedup"])))
    return {label: sorted(points, reverse=True) for label, points in found.items()}


def draw(axes, title, found):
    densities = sorted({density for points in found.values() for density, _ in points}, reverse=True)
    for name, points in found.items():
        axes.plot(*zip(*points), marker="o", markersize=3, label=name)
    axes.plot(densities, [1 / density for density in densities], color="grey", linestyle="--", label="1 / density")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.invert_xaxis()     # sparsity increases to the right
    axes.set_xticks(densities, [f"{100 * (1 - density):g} %" for density in densities])
    axes.minorticks_off()
    ticks = [tick for tick in (0.5, 1, 2, 5, 10, 20, 50) if axes.get_ylim()[0] <= tick <= axes.get_ylim()[1]]
    axes.set_yticks(ticks, [f"{tick:g}x" for tick in ticks])
    axes.set_title(title, fontsize="medium")
    axes.set_xlabel("sparsity")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", fontsize="small")


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    figure, (kernels, training) = pyplot.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    steps = [row for row in read(sys.argv[2]) if row["kind"] == "step" and row["pattern"] == "random"]
    draw(kernels, "one layer, forward + backward, one core", curves(steps, "shape"))
    runs = read(sys.argv[3])
    ranks = max((row["ranks"] for row in runs), key=int)
    draw(training, f"whole training run, {ranks} rank{'s' if ranks != '1' else ''}",
         curves([row for row in runs if row["ranks"] == ranks], "network"))
    kernels.set_ylabel("speed-up against dense")
    figure.savefig(sys.argv[1], metadata={"Date": None})


if __name__ == "__main__":
    main()
