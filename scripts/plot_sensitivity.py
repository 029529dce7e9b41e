#!/usr/bin/env python3
"""Plots the accuracy lost by pruning one layer at a time against sparsity, from the CSV of `pruntrain sensitivity --output`.

    scripts/plot_sensitivity.py OUTPUT.svg SENSITIVITY.csv [--drop 1]

The loss is in points of accuracy, with a line at --drop. Without an accuracy the plot shows the loss function.
Needs python3-matplotlib.
"""

import argparse
import csv

import packages

packages.explain(__name__)
import matplotlib  # noqa: E402

matplotlib.use("svg")
import matplotlib.pyplot as pyplot  # noqa: E402 (after the choice of the backend)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", help="the plot (.svg)")
    parser.add_argument("table", help="output of sensitivity --output (.csv)")
    parser.add_argument("--drop", type=float, default=1, help="allowed loss of accuracy per layer, in points")
    arguments = parser.parse_args()
    with open(arguments.table, newline="") as file:
        rows = list(csv.DictReader(file))
    classifies = any(row["drop"] for row in rows)
    figure, axes = pyplot.subplots(figsize=(7, 3.2), layout="constrained")
    for layer in dict.fromkeys(row["layer"] for row in rows):
        points = [row for row in rows if row["layer"] == layer]
        # The actual sparsity: whole groups may not match the requested one.
        sparsities = [1 - float(row["density"]) for row in points]
        if classifies:
            axes.plot(sparsities, [float(row["drop"]) for row in points], marker="o", markersize=3, label=layer)
        else:
            axes.plot(sparsities, [float(row["loss"] or "nan") for row in points], marker="o", markersize=3, label=layer)
    axes.set_xlabel("sparsity of the layer, all others unchanged")
    axes.set_ylabel("points of accuracy lost" if classifies else "loss")
    if classifies:
        axes.axhline(arguments.drop, linestyle="--", color="gray", alpha=0.6)
    axes.legend(loc="upper left")
    axes.grid(alpha=0.3)
    figure.savefig(arguments.output, metadata={"Date": None})


if __name__ == "__main__":
    main()
