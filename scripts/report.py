#!/usr/bin/python3
"""Writes an HTML report about a run, or a comparison of several runs, from the files in their folders.

    scripts/report.py runs/fashion_lenet300                                  # runs/fashion_lenet300/report.html
    scripts/report.py runs/dense runs/pruned --output comparison.html

The page is self-contained and loads nothing. The runs may be finished, running or interrupted. Exit status 2: a folder is not
the folder of a run, or the page cannot be written. Needs python3-matplotlib, python3-h5py, python3-scipy, python3-yaml, and
python3-xxhash to verify checkpoints.
"""

import argparse
import math
import os
import pathlib
import sys
import time

import packages

packages.explain(__name__)
import report_figures as figures  # noqa: E402
from html_page import page, table, tag  # noqa: E402
from run_folder import NoRun, Run, flat, number  # noqa: E402

UNKNOWN = "–"


def fixed(value, digits):
    value = number(value)
    return f"{value:.{digits}f}" if math.isfinite(value) else UNKNOWN


def grouped(value):
    value = number(value)
    return f"{value:,.0f}" if math.isfinite(value) else UNKNOWN


def duration(seconds):
    seconds = number(seconds)
    if not math.isfinite(seconds):
        return UNKNOWN
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def crossed(shape):
    return "x".join(map(str, shape))


def share(kept, size):
    return fixed(number(kept) / size, 4) if size else UNKNOWN


def kept_of_all(run):
    """(remaining, all) parameters."""
    if run.done and "parameters" in run.summary:
        return number(run.summary.get("kept")), number(run.summary["parameters"])
    if run.newest:
        return tuple(sum(tensor[key] for tensor in run.newest.tensors) for key in ("kept", "size"))
    return run.last("values_reduced"), math.nan


def state(run):
    """(state, details)"""
    if not len(run.history["step"]):
        return "done" if run.done else "not started", "no row of the history yet"
    if run.done:
        return "finished", f"step {grouped(run.summary.get('steps'))}, epoch {fixed(run.summary.get('epochs'), 2)}"
    newest = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime((run.folder / "history.csv").stat().st_mtime))
    return (f"epoch {fixed(run.last('epoch'), 2)} of {run.epochs:g}",
            f"not finished; step {grouped(run.last('step'))}, newest row at {newest}")


def headline(run):
    """(name, value, details) of the main results."""
    summary = run.summary if run.done else {}
    regression = not figures.known(run.history["validation_accuracy"]) and summary.get("test_accuracy") is None
    if regression:
        yield "test loss", fixed(summary.get("test_loss"), 4), f"validation: {fixed(run.last('validation_loss'), 4)}"
    else:
        yield "test accuracy", fixed(summary.get("test_accuracy"), 4), f"validation: {fixed(run.last('validation_accuracy'), 4)}"
    yield "sparsity", fixed(summary.get("sparsity", run.last("sparsity")), 4), "of the prunable weights"
    kept, size = kept_of_all(run)
    yield "parameters", grouped(kept), f"remaining of {grouped(size)}"
    yield "time", duration(summary.get("wall_s", run.last("seconds"))), "over all restarts"
    yield "ranks", grouped(summary.get("ranks", run.newest.state.get("ranks") if run.newest else None)), ""
    yield "samples/s", grouped(summary.get("samples_per_s", run.last("samples_per_s"))), "while training"
    yield "state", *state(run)
    newest = run.newest
    if newest:
        yield "last checkpoint", f"step {grouped(newest.step)}", f"epoch {fixed(newest.state.get('epoch'), 2)}, {newest.path.name}"
    else:
        yield "last checkpoint", UNKNOWN, "none yet" if not run.checkpoints else "none is readable"


def figures_of(run):
    tiles = [tag("div", tag("dt", name), tag("dd", value, tag("small", details))) for name, value, details in headline(run)]
    return tag("dl", *tiles, class_="figures")


def layers_of(run):
    rows = [[tensor["name"], crossed(tensor.get("shape", [])) or UNKNOWN, grouped(tensor["kept"]), grouped(tensor["size"]),
             share(tensor["kept"], tensor["size"])] for tensor in run.tensors]
    heading = ["tensor", "shape", "remaining", "of", "density"]
    if any(tensor.get("full_shape", tensor.get("shape")) != tensor.get("shape") for tensor in run.tensors):
        heading.append("shape before compaction")
        for row, tensor in zip(rows, run.tensors):
            row.append(crossed(tensor["full_shape"]))
    return table("Parameters, in model order", heading, rows) if rows else tag("p", "No layer is known yet.")


def phases_of(run):
    if not run.profile:
        return tag("p", "Not measured. Start the run with ", tag("code", "--profile"), " to measure the time of each phase; "
                   "the profile is written when the run ends.", class_="soft")

    def rate(row, key, seconds):
        return fixed(number(row[key]) / seconds / 1e9, 1) if number(row[key]) > 0 and seconds > 0 else UNKNOWN

    def megabytes(size):
        return fixed(number(size) / 1e6, 1) if number(size) > 0 else UNKNOWN

    rows = [[f"{row['phase']} {row['layer']}".strip(), fixed(row["seconds"], 3), fixed(row["slowest_s"], 3), fixed(row["share"], 4),
             grouped(row["times"]), rate(row, "flops", number(row["seconds"])),
             megabytes(row["moved_bytes"]), megabytes(row["summed_bytes"])] for row in run.profile]
    return table("Rank 0; shares are of the training step; – marks phases outside of the step",
                 ["phase", "seconds", "slowest rank", "share", "calls", "GF/s", "MB moved", "MB reduced"], rows)


def checkpoints_of(run):
    if not run.checkpoints:
        return tag("p", "None yet.", class_="soft")

    def verdict(checkpoint):
        if checkpoint.damage:
            return f"damaged: {checkpoint.damage}"
        return "checksum valid" if checkpoint.whole else "not verified: python3-xxhash is missing"

    rows = [[checkpoint.path.name, grouped(checkpoint.step), fixed(checkpoint.state.get("epoch"), 2), grouped(checkpoint.bytes),
             fixed(checkpoint.state.get("validation_accuracy"), 4), verdict(checkpoint),
             "best" if checkpoint.step == run.best_step else ""] for checkpoint in run.checkpoints]
    return table("Newest first", ["file", "step", "epoch", "bytes", "validation accuracy", "verified", "best"], rows)


def patterns_of(run):
    if not run.newest:
        return tag("p", "There is no readable checkpoint.", class_="soft")
    try:
        pictures = [figures.pattern(*found) for found in run.newest.patterns()]
    except OSError as error:    # damaged after its first lines, or removed by the run in the meantime
        return tag("p", f"{run.newest.path.name} cannot be read: {error}", class_="soft")
    if not pictures:
        return tag("p", f"No tensor is pruned at step {grouped(run.newest.step)}.", class_="soft")
    return tag("div", *pictures, class_="pictures")


def sections_of(run):
    """The sections about one run, below its main results."""
    if len(run.history["step"]):
        yield tag("h2", "Training")
        yield figures.training(run)
        if run.layers:
            yield figures.density(run)
        yield tag("h2", "Speed")
        yield figures.speed(run)
    yield tag("h2", "Layers")
    yield layers_of(run)
    yield tag("h2", f"Patterns{f' at step {grouped(run.newest.step)}' if run.newest else ''}")
    yield patterns_of(run)
    yield tag("h2", "Time and bytes by phase")
    yield phases_of(run)
    yield tag("h2", "Checkpoints")
    yield checkpoints_of(run)
    yield tag("h2", "Configuration")
    yield tag("details", tag("summary", "as resolved, with every default"), tag("pre", run.config_text))


def page_of_one(run):
    return page(f"{run.name} - pruntrain", tag("h1", run.name), figures_of(run), *sections_of(run))


def differences(runs, labels):
    settings = [flat(run.config) for run in runs]
    keys = dict.fromkeys(key for setting in settings for key in setting)
    rows = [[key, *(str(setting.get(key, UNKNOWN)) for setting in settings)] for key in keys
            if any(setting.get(key, UNKNOWN) != settings[0].get(key, UNKNOWN) for setting in settings)]
    if not rows:
        return tag("p", "The configurations are the same.", class_="soft")
    return table("Keys that differ between the runs", ["key", *labels], rows)


def page_of_several(runs):
    names = [run.name for run in runs]
    labels = [name if names.count(name) == 1 else f"{place + 1}: {name}" for place, name in enumerate(names)]
    headlines = [{name: f"{value} ({details})" if name in ("state", "last checkpoint", "parameters") else value
                  for name, value, details in headline(run)} for run in runs]
    rows = [[name, *(of_run.get(name, UNKNOWN) for of_run in headlines)]
            for name in dict.fromkeys(name for of_run in headlines for name in of_run)]
    pieces = [tag("h1", f"Comparison of {len(runs)} runs"), table("Results", ["figure", *labels], rows),
              tag("h2", "Configuration"), differences(runs, labels)]
    if any(len(run.history["step"]) for run in runs):
        pieces += [tag("h2", "Training"), figures.comparison(runs, labels)]
    pieces.append(tag("h2", "Each run"))
    for run, label in zip(runs, labels):
        pieces.append(tag("details", tag("summary", label), figures_of(run), *sections_of(run), class_="run"))
    return page(f"{', '.join(names)} - pruntrain", *pieces)


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN", type=pathlib.Path, help="folder of a run: runs/NAME")
    parser.add_argument("--output", metavar="FILE.html", type=pathlib.Path,
                        help="default: report.html in the folder of the run; for several runs, in the current folder")
    arguments = parser.parse_args(words)
    output = arguments.output or (arguments.runs[0] if len(arguments.runs) == 1 else pathlib.Path()) / "report.html"
    try:
        runs = [Run(folder) for folder in arguments.runs]
        content = page_of_one(runs[0]) if len(runs) == 1 else page_of_several(runs)
        temporary = output.with_name(output.name + ".tmp")
        try:
            temporary.write_bytes(content.encode(errors="replace"))
            os.replace(temporary, output)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise NoRun(f"cannot write {output}: {error.strerror}: does its folder exist?") from None
    except NoRun as error:
        print(f"report.py: {error}", file=sys.stderr)
        return 2
    print(output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
