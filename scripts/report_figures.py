"""The figures of scripts/report.py: inline SVG in the colours of the page."""

import io
import itertools
import re
import xml.etree.ElementTree as xml

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as pyplot  # noqa: E402 (after the choice of the backend)
import numpy  # noqa: E402

from html_page import Markup, tag  # noqa: E402
from run_folder import number  # noqa: E402

INK = "#010203"     # placeholder for the text colour of the page, which depends on light or dark mode
COLORS = ["#3b82d6", "#d9772b", "#379a58", "#b556b0", "#cf4a4a", "#7f74d8", "#2a9d9d", "#9a8a2f"]   # readable on light and dark backgrounds
PHASE = "#808890"
PICTURE = (128, 256)    # maximum rows and columns of a pattern image
LONGEST_NAME = 32
NO_XML = re.compile("[^\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
BYTES = 4               # of a reduced value

matplotlib.rcParams.update({
    "svg.hashsalt": "pruntrain", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9,
    "text.parse_math": False,   # a name may contain dollar signs
    "text.color": INK, "axes.edgecolor": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "grid.color": INK,
    "grid.alpha": 0.15, "axes.grid": True, "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.6,
    "axes.prop_cycle": matplotlib.cycler(color=COLORS), "figure.facecolor": "none", "axes.facecolor": "none",
    "savefig.facecolor": "none", "legend.frameon": False, "legend.fontsize": 8, "lines.linewidth": 1.4, "lines.markersize": 3,
})
_numbers = itertools.count(1)


def drawn(figure, caption, description):
    """A matplotlib figure as <figure>. description: text for screen readers."""
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    pyplot.close(figure)
    root = xml.fromstring(file.getvalue())
    for node in root.iter():
        for child in [child for child in node if child.tag.split("}")[-1] in ("metadata", "style")]:
            node.remove(child)
    # HTML has no XML namespaces; the prefix makes ids unique on the page.
    prefix = f"f{next(_numbers)}-"
    for node in root.iter():
        node.tag = node.tag.split("}")[-1]
        for key, value in list(node.attrib.items()):
            del node.attrib[key]
            if key == "id":
                value = prefix + value
            value = value.replace("url(#", f"url(#{prefix}").replace(INK, "currentColor")
            node.attrib[key.split("}")[-1]] = f"#{prefix}{value[1:]}" if key.endswith("href") and value[0] == "#" else value
    title = xml.Element("title", id=f"{prefix}title")
    title.text = description
    root.insert(0, title)
    root.attrib.update({"role": "img", "aria-labelledby": f"{prefix}title"})
    del root.attrib["version"]
    svg = Markup(xml.tostring(root, encoding="unicode"))
    return tag("figure", svg, tag("figcaption", caption))


def axes_of(count, width=10.4, height=2.9):
    figure, axes = pyplot.subplots(1, count, figsize=(width, height), layout="constrained", squeeze=False)
    return figure, axes[0]


def look(place):
    return {"color": COLORS[place % len(COLORS)], "linestyle": ["-", "--", ":", "-."][place // len(COLORS) % 4]}


def line(axes, x, y, label, **style):
    """Draws a line, with markers if there are few points. Unknown values make gaps."""
    return axes.plot(x, y, marker="o" if numpy.isfinite(y).sum() < 25 else None, label=label, **style)[0]


def shown(name):
    """A name for a legend: shortened, and protected from matplotlib, which ignores names with a leading underscore."""
    name = NO_XML.sub("?", name)
    return "\u200b" + (name if len(name) <= LONGEST_NAME else name[:LONGEST_NAME - 3] + "...")


def shade(axes, run):
    phase = run.prune_phase()
    if phase:
        axes.axvspan(*phase, color=PHASE, alpha=0.15, linewidth=0, label="sparsity changes")


def legend(axes, **place):
    if axes.get_legend_handles_labels()[0]:
        axes.legend(**place)


def known(values):
    return bool(numpy.isfinite(values).any())


def training(run):
    """Plots the loss, and the accuracy (if there is one) with the sparsity."""
    history = run.history
    figure, (loss, other) = axes_of(2)
    for name, label in (("train_loss", "training"), ("validation_loss", "validation")):
        if known(history[name]):
            line(loss, history["epoch"], history[name], label)
    loss.set_ylabel("loss")
    if known(history["validation_accuracy"]):
        line(other, history["epoch"], history["validation_accuracy"], "validation accuracy", color=COLORS[1])
        other.set_ylabel("validation accuracy")
        right = other.twinx()
        right.spines["right"].set_visible(True)
        right.grid(False)
    else:
        right = other
    line(right, history["epoch"], history["sparsity"], "sparsity", color=COLORS[2], linestyle="--")
    right.set_ylabel("sparsity")
    right.set_ylim(-0.02, 1.02)
    for axes in (loss, other):
        shade(axes, run)
        axes.set_xlabel("epoch")
    legend(loss)
    handles = [handle for axes in dict.fromkeys((other, right)) for handle in axes.get_legend_handles_labels()[0]]
    other.legend(handles=handles, loc="lower right")
    return drawn(figure, "Loss; accuracy and sparsity. Shaded: the epochs in which the sparsity changes.",
                 f"Loss, validation accuracy and sparsity over {len(history['epoch'])} rows of the history")


def density(run):
    """Plots the density of each layer, from layers.csv."""
    figure, (axes,) = axes_of(1, height=3.2)
    lowest = 1.0
    for place, (name, rows) in enumerate(run.layers.items()):
        epochs = numpy.array([number(row["epoch"]) for row in rows])
        kept = numpy.array([number(row["kept"]) / number(row["of"]) for row in rows])
        lowest = min(lowest, kept[kept > 0].min(initial=1.0))
        line(axes, epochs, kept, shown(name), **look(place))
    if lowest < 0.1:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    shade(axes, run)
    axes.set_xlabel("epoch")
    axes.set_ylabel("density")
    legend(axes, loc="upper left", bbox_to_anchor=(1.01, 1), ncols=1 + len(run.layers) // 16)
    return drawn(figure, "Fraction of remaining weights of each layer.", f"Density of {len(run.layers)} layers over the epochs")


def speed(run):
    figure, (samples, summed) = axes_of(2, height=2.4)
    line(samples, run.history["epoch"], run.history["samples_per_s"], "")
    samples.set_ylabel("samples/s")
    line(summed, run.history["epoch"], run.history["values_reduced"] * BYTES / 1e6, "", color=COLORS[1])
    summed.set_ylabel("MB reduced per step")
    for axes in (samples, summed):
        shade(axes, run)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("epoch")
    return drawn(figure, "Samples per second while training; bytes of the gradient all-reduce per step, 4 per value.",
                 "Samples per second and bytes reduced per step, over the epochs")


def binned(rows, columns, shape):
    """Fraction of remaining weights of each bin of a matrix, in at most PICTURE bins."""
    bins = [min(size, most) for size, most in zip(shape, PICTURE)]
    at_row, at_column = (place.astype("int64") * count // size for place, count, size in zip((rows, columns), bins, shape))
    kept = numpy.bincount(at_row * bins[1] + at_column, minlength=bins[0] * bins[1]).reshape(bins)
    sizes = [numpy.bincount(numpy.arange(size) * count // size, minlength=count) for count, size in zip(bins, shape)]
    return kept / numpy.outer(*sizes)


def pattern(name, rows, columns, shape):
    picture = binned(rows, columns, shape)
    densest = picture.max(initial=0)
    height = min(2.6, max(0.7, 4.2 * picture.shape[0] / picture.shape[1]))
    figure, axes = pyplot.subplots(figsize=(5, height + 0.7), layout="constrained")
    axes.grid(False)
    axes.imshow(picture, cmap="Blues", vmin=0, vmax=densest or 1, aspect="auto", interpolation="none",
                extent=(0, shape[1], shape[0], 0))
    axes.set_xlabel("inputs")
    axes.set_ylabel("outputs")
    for spine in axes.spines.values():
        spine.set_visible(True)
    of_cell = [size / cells for size, cells in zip(shape, picture.shape)]
    cells = "one weight per cell" if picture.shape == shape else f"cells of about {of_cell[0]:.1f} x {of_cell[1]:.1f} weights"
    kept = len(rows) / (shape[0] * shape[1])
    caption = f"{name}: {shape[0]} x {shape[1]}, density {kept:.4f}; {cells}, the darkest has density {densest:.2f}."
    return drawn(figure, caption, f"Sparsity pattern of {name}: {shape[0]} outputs, {shape[1]} inputs, density {kept:.4f}")


def comparison(runs, labels):
    """Plots accuracy (loss if a run has none) and sparsity over epochs and seconds."""
    accurate = all(known(run.history["validation_accuracy"]) for run in runs if len(run.history["step"]))
    losses = "validation_loss" if any(known(run.history["validation_loss"]) for run in runs) else "train_loss"
    quantities = [("validation_accuracy", "validation accuracy") if accurate else (losses, losses.replace("_", " ")),
                  ("sparsity", "sparsity")]
    figure, axes = pyplot.subplots(2, 2, figsize=(10.4, 5.2), layout="constrained", sharex="col", sharey="row")
    lines = []
    for row, (name, title) in enumerate(quantities):
        for column, over in enumerate(("epoch", "seconds")):
            lines = [line(axes[row, column], run.history[over], run.history[name], "", **look(place))
                     for place, run in enumerate(runs)]
            axes[1, column].set_xlabel(over)
        axes[row, 0].set_ylabel(title)
    axes[0, 1].legend(lines, [shown(label) for label in labels], loc="upper left", bbox_to_anchor=(1.01, 1))
    return drawn(figure, f"{quantities[0][1].capitalize()} and sparsity over epochs and over seconds.",
                 f"{quantities[0][1]} and sparsity of {len(runs)} runs over epochs and over seconds")
