#!/usr/bin/env python3
"""Plots validation accuracy and sparsity of runs over the epochs, from their history.csv.

    scripts/plot_history.py OUTPUT.svg RUN_FOLDER [RUN_FOLDER ...]

Needs python3-matplotlib, python3-h5py, python3-scipy, python3-yaml.
"""

import sys

import packages

packages.explain(__name__)
import matplotlib  # noqa: E402

matplotlib.use("svg")
import matplotlib.pyplot as pyplot  # noqa: E402 (after the choice of the backend)

from run_folder import NoRun, Run  # noqa: E402


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    figure, accuracy = pyplot.subplots(figsize=(7, 3.2), layout="constrained")
    sparsity = accuracy.twinx()
    for folder in sys.argv[2:]:
        try:
            run = Run(folder)
        except NoRun as error:
            sys.exit(f"plot_history.py: {error}")
        line, = accuracy.plot(run.history["epoch"], run.history["validation_accuracy"], label=run.name)
        sparsity.plot(run.history["epoch"], run.history["sparsity"], linestyle="--", color=line.get_color(), alpha=0.6)
    accuracy.set_xlabel("epoch")
    accuracy.set_ylabel("validation accuracy (solid)")
    sparsity.set_ylabel("sparsity (dashed)")
    sparsity.set_ylim(0, 1)
    accuracy.legend(loc="lower right")
    accuracy.grid(alpha=0.3)
    figure.savefig(sys.argv[1], metadata={"Date": None})


if __name__ == "__main__":
    main()
