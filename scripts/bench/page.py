#!/usr/bin/env python3
"""Writes the results of docs/performance/*.csv into docs/performance.md and draws docs/performance.svg.

    make -s bench-kernels > docs/performance/kernels.csv
    make -s bench-train > docs/performance/train.csv
    make -s bench-peers > docs/performance/peers.csv
    scripts/bench/page.py

Run it on the measured machine, because the page names its processor. The text between <!-- begin NAME --> and
<!-- end NAME --> is replaced; a table whose CSV file is missing is not changed.
"""

import csv
import importlib.metadata
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs/performance.md"


def rows_of(name):
    with open(ROOT / f"docs/performance/{name}.csv", newline="") as file:
        return list(csv.DictReader(file))


def table(heading, rows):
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def pivot(rows, keys, cell):
    """A row for each combination of the keys, a column for each density."""
    densities = sorted({row["density"] for row in rows}, key=float, reverse=True)
    lines = {}
    for row in rows:
        lines.setdefault(tuple(row[key] for key in keys), {})[row["density"]] = cell(row)
    return table([*keys, *(f"density {density}" for density in densities)],
                 [[*line, *(cells.get(density, "") for density in densities)] for line, cells in lines.items()])


def grouped(number):
    return f"{int(number):,}"


def machine():
    model = re.search(r"^model name\s*:\s*(.+)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    version = subprocess.run([ROOT / "pruntrain", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return "\n".join([f"- processor: {model.group(1) if model else 'unknown'}, {os.cpu_count()} cores", f"- {version}",
                      f"- PyTorch {importlib.metadata.version('torch')}"])


def kernels_step():
    return pivot([row for row in rows_of("kernels") if row["kind"] == "step"], ["shape", "pattern"],
                 lambda row: f"{row['speedup']}x")


def kernels_kinds():
    return pivot([row for row in rows_of("kernels") if row["pattern"] == "random" and row["kind"] != "step"],
                 ["shape", "kind"], lambda row: f"{row['speedup']}x, {row['gflops']} GF/s")


def train():
    return table(["network", "ranks", "density", "samples/s", "speed-up", "peak memory of a rank, MB", "bytes reduced a step"],
                 [[row["network"], row["ranks"], row["density"], grouped(row["samples_per_s"]), f"{row['speedup']}x",
                   row["peak_mb"], grouped(row["bytes_reduced"])] for row in rows_of("train")])


def peers():
    return table(["network", "ranks", "density of pruntrain", "pruntrain, samples/s", "PyTorch dense, samples/s", "ratio"],
                 [[row["network"], row["ranks"], row["density"], grouped(row["pruntrain_samples_per_s"]),
                   grouped(row["pytorch_samples_per_s"]), row["ratio"]] for row in rows_of("peers")])


def main():
    text = PAGE.read_text()
    for make in (machine, kernels_step, kernels_kinds, train, peers):
        try:
            block = make()
        except FileNotFoundError as error:
            print(f"{make.__name__}: {error.filename} is missing, table not changed", file=sys.stderr)
            continue
        marked = re.compile(rf"(?<=<!-- begin {make.__name__} -->\n).*?(?=<!-- end {make.__name__} -->)", re.DOTALL)
        text, found = marked.subn(lambda _: block + "\n", text)
        if found != 1:
            sys.exit(f"{PAGE} has {found} blocks named {make.__name__} instead of one")
    PAGE.write_text(text)
    data = [ROOT / f"docs/performance/{name}.csv" for name in ("kernels", "train")]
    if all(path.exists() for path in data):
        subprocess.run([sys.executable, ROOT / "scripts/bench/plot.py", ROOT / "docs/performance.svg", *data], check=True)


if __name__ == "__main__":
    main()
