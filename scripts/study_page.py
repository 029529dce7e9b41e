"""Writes the page of a study, with tables and plots, from the results that scripts/study.py has collected."""

import math
import os
import pathlib
import re
import statistics

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "pruntrain"   # the same values give the same file
import matplotlib.pyplot as pyplot  # noqa: E402 (after the choice of the backend)

ROOT = pathlib.Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- begin study -->\n", "<!-- end study -->\n"
FRAME = f"# Results\n\nA comparison of pruning methods on several networks and at several sparsities.\n\n{BEGIN}{END}"
DEEPEST = 10    # lower end of a plot, in points below dense
STANDARD_ERRORS = 2     # minimum distance of a best method from the others


def table(lines):
    return "\n".join("| " + " | ".join(line) + " |" for line in [lines[0], ["---"] * len(lines[0]), *lines[1:]])


def accuracies(cell):
    return [result["test_accuracy"] for result in cell]


def mean(cell, key):
    return statistics.mean(result[key] for result in cell)


def std(cell):
    return f"{statistics.stdev(accuracies(cell)):.4f}" if len(cell) > 1 else ""


def best_of(column):
    """The method of {method: results} that beats all others by more than the noise, or None.

    The standard deviation is pooled over the whole column, because two or three seeds alone do not determine it.
    """
    freedom = sum(len(cell) - 1 for cell in column.values())
    if len(column) < 2 or freedom == 0:
        return None
    noise = math.sqrt(sum((len(cell) - 1) * statistics.variance(accuracies(cell)) for cell in column.values() if len(cell) > 1)
                      / freedom)
    best, *others = sorted(column, key=lambda method: mean(column[method], "test_accuracy"), reverse=True)
    for other in others:
        error = noise * math.sqrt(1 / len(column[best]) + 1 / len(column[other]))
        if mean(column[best], "test_accuracy") - mean(column[other], "test_accuracy") <= STANDARD_ERRORS * error:
            return None
    return best


def side_by_side(cells, titles):
    """Methods x sparsities."""
    sparsities = sorted({sparsity for _, sparsity in cells if sparsity})
    best = {sparsity: best_of({method: cell for (method, at), cell in cells.items() if at == sparsity}) for sparsity in sparsities}

    def text(method, sparsity):
        cell = cells.get((method, sparsity))
        if not cell:
            return ""
        number = f"{mean(cell, 'test_accuracy'):.4f}"
        number = f"**{number}**" if best[sparsity] == method else number
        return f"{number} ± {std(cell)} ({len(cell)})" if len(cell) > 1 else f"{number} (1)"

    rows = [[titles[method], *(text(method, sparsity) for sparsity in sparsities)]
            for method in titles if any(key == method and sparsity for key, sparsity in cells)]
    return table([["method", *(f"{sparsity:g}" for sparsity in sparsities)], *rows])


def in_detail(cells, titles):
    """A row for each method at each sparsity."""
    dense = [result for (_, sparsity), cell in cells.items() if sparsity == 0 for result in cell]
    rows = [["method", "sparsity", "seeds", "test accuracy, mean", "std", "points below dense", "seconds", "samples/s", "remaining weights", "checkpoint, bytes"]]
    for method, title in titles.items():
        for sparsity in sorted(sparsity for key, sparsity in cells if key == method):
            cell = cells[method, sparsity]
            below = f"{100 * (mean(dense, 'test_accuracy') - mean(cell, 'test_accuracy')):.2f}" if dense else ""
            timed = min((result for result in cell if result["wall_s"] is not None), key=lambda result: result["seed"], default=None)
            rows.append([title, f"{sparsity:g}", str(len(cell)), f"{mean(cell, 'test_accuracy'):.4f}", std(cell), below,
                         *((f"{timed['wall_s']:.1f}", f"{timed['samples_per_s']:,.0f}") if timed else ("", "")),
                         *(f"{mean(cell, key):,.0f}" for key in ("prunable_kept", "bytes"))])
    return table(rows)


def draw(path, title, cells, titles):
    """Mean accuracy against sparsity, a line for each method; error bars are the standard deviation."""
    lines = len({method for method, _ in cells})
    figure, axes = pyplot.subplots(figsize=(9, max(4.6, 0.17 * lines + 0.6)))     # inches; as high as the legend
    figure.subplots_adjust(left=0.09, right=0.66, bottom=0.1, top=0.94)
    dense = [result for (_, sparsity), cell in cells.items() if sparsity == 0 for result in cell]
    sparsities = sorted({sparsity for _, sparsity in cells if sparsity})
    number = 0
    for method, name in titles.items():
        at = sorted(sparsity for key, sparsity in cells if key == method and sparsity)
        if not at:
            continue
        means = [mean(cells[method, sparsity], "test_accuracy") for sparsity in at]
        spread = [statistics.stdev(accuracies(cells[method, sparsity])) if len(cells[method, sparsity]) > 1 else 0 for sparsity in at]
        axes.errorbar([1 - sparsity for sparsity in at], means, spread, label=name, color=f"C{number % 10}", markersize=4, linewidth=1,
                      elinewidth=0.7, marker="os^"[number // 10 % 3], linestyle=["-", "--", ":"][number // 10 % 3])
        number += 1
    if dense:
        level = mean(dense, "test_accuracy")
        axes.axhline(level, color="grey", linewidth=1, label="dense")
        axes.set_ylim(bottom=max(axes.get_ylim()[0], level - DEEPEST / 100))
    axes.set_xscale("log")
    axes.invert_xaxis()     # sparsity increases to the right
    axes.set_xticks([1 - sparsity for sparsity in sparsities], [f"{100 * sparsity:g} %" for sparsity in sparsities])
    axes.minorticks_off()
    axes.set_title(title, fontsize="medium")
    axes.set_xlabel("sparsity")
    axes.set_ylabel("test accuracy")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1.02), fontsize="small", frameon=False)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def duration(seconds):
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min" if minutes else f"{seconds:.0f} s"


def introduction(results, planned, command, jobs, table):
    every = [result for cells in results.values() for cell in cells.values() for result in cell]
    model = re.search(r"^model name\s*:\s*(.+)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    at_once = f"; up to {jobs} concurrent runs, which slow each other down" if jobs > 1 else ""

    def joined(key):
        return ", ".join(map(str, sorted({result[key] for result in every})))

    return f"""    {command}

{len(every)} of {planned} runs; seeds: {joined("seed")}; ranks per run: {joined("ranks")}; total wall time: \
{duration(sum(result["wall_s"] or 0 for result in every))}{at_once}.
Processor: {model[1] if model else "unknown"}, {os.cpu_count()} cores.
`scripts/study.yaml` lists the methods, networks and sparsities; networks, data and recipes are those of `inputs/`.
The density of a layer selects dense or sparse kernels (`train.execution: density`). A run is therefore reproducible with the
same number of ranks on the same type of processor. On another processor the accuracy may differ by 0.1 or 0.2 points.

The first table of a network contains the mean test accuracy ± standard deviation (number of seeds). The best value of a column is bold
if it exceeds every other by more than {STANDARD_ERRORS} standard errors of the difference of the means. The standard deviation is
pooled over the methods of the column. Without a bold value, the best ones do not differ significantly. Plots end {DEEPEST} points
below dense. Seconds and samples/s are those of one run: the first seed that ran on an otherwise idle machine.
[{table}]({table}) lists every run."""


def write(page, study, results, planned, command, jobs):
    """results: {network: {(method, sparsity): [result of a run]}}"""
    titles = {name: method["title"] for name, method in study["methods"].items()}
    page.parent.mkdir(parents=True, exist_ok=True)
    parts = [introduction(results, planned, command, jobs, page.with_suffix(".csv").name)]
    for network, cells in results.items():
        title = study["networks"][network]["title"]
        parts.append(f"## {title}")
        if any(sparsity for _, sparsity in cells):
            plot = page.with_name(f"{page.stem}_{network}.svg")
            draw(plot, title, cells, titles)
            parts += [f"![Test accuracy of {title} against sparsity, a line for each method]({plot.name})", side_by_side(cells, titles)]
        parts += ["All means:", in_detail(cells, titles)]
    text = page.read_text() if page.exists() else FRAME
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{page} has no lines {BEGIN.strip()} and {END.strip()} to write between")
    page.write_text(before + BEGIN + "\n\n".join(parts) + "\n" + END + after)
