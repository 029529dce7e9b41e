"""Reads the folder of a run that is finished, running or interrupted; missing parts are empty."""

import csv
import functools
import io
import json
import math
import pathlib
import re

import h5py
import numpy
import yaml

import packages  # noqa: F401 (finds the next)
from pruntrain.checkpoint import tensor_shape, tensors
from pruntrain.seal import seal_is_whole


class NoRun(Exception):
    """The folder is not the folder of a run."""


def read_rows(path):
    """The complete rows of a .csv file as dictionaries of strings."""
    try:
        content = path.read_text(errors="replace")
    except FileNotFoundError:
        return []
    rows = list(csv.DictReader(io.StringIO(content[:content.rfind("\n") + 1])))
    return [row for row in rows if None not in row and None not in row.values()]


def number(text):
    """The value, or NaN if it is unknown."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return math.nan


def columns(rows, names):
    return {name: numpy.array([number(row.get(name)) for row in rows]) for name in names}


def flat(node, path=""):
    """A configuration as {"train.epochs": 40, "model.1.units": 300, ...}."""
    if not isinstance(node, (dict, list)) or not node:
        return {path: node}
    entries = node.items() if isinstance(node, dict) else enumerate(node)
    return {key: value for name, child in entries for key, value in flat(child, f"{path}.{name}" if path else str(name)).items()}


class Checkpoint:
    """The content of a checkpoint. damage: why it is not readable, else empty."""

    def __init__(self, path):
        self.path, self.bytes, self.damage, self.tensors, self.state = path, path.stat().st_size, "", [], {}
        self.step = int(re.search(r"\d+", path.name)[0])
        try:
            self.whole = seal_is_whole(path)
        except ImportError:
            self.whole = None   # unknown
        if self.whole is False:
            self.damage = "its checksum is wrong"
            return
        try:
            with h5py.File(path) as file:
                self.state = dict(file.attrs)
            for name, node in tensors(path):
                if name.split(".")[-1].startswith("running_"):
                    continue
                sparse = isinstance(node, h5py.Group)
                shape = tensor_shape(node)
                full = node.attrs.get("full_shape", shape)
                self.tensors.append({"name": name, "shape": list(shape), "full_shape": [int(n) for n in full],
                                     "kept": len(node["values"]) if sparse else node.size, "size": math.prod(map(int, full)),
                                     "sparse": sparse})
        except (OSError, KeyError) as error:
            self.damage = str(error)

    def patterns(self):
        """(name, rows, columns of the remaining weights, shape of the matrix) of each pruned tensor."""
        for name, node in tensors(self.path):
            if isinstance(node, h5py.Group):
                sizes = numpy.diff(node["pointers_to_1"][:])
                rows = numpy.repeat(numpy.arange(len(sizes)), sizes)
                yield name, rows, node["indices_1"][:], tuple(map(int, node.attrs["shape"]))


class Run:
    """The results of a run. Unknown values are NaN."""

    HISTORY = ("step", "epoch", "seconds", "train_loss", "validation_loss", "validation_accuracy", "sparsity", "learning_rate",
               "samples_per_s", "sparse_layers", "values_reduced")

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.name = self.folder.resolve().name
        try:
            self.config_text = (self.folder / "config.yaml").read_text(errors="replace")
            history = read_rows(self.folder / "history.csv")
        except OSError as error:
            raise NoRun(f"{folder} is not the folder of a run: {error.strerror}: {error.filename}") from None
        try:
            self.config = yaml.safe_load(self.config_text)
        except yaml.YAMLError:
            self.config = None
        if not isinstance(self.config, dict):
            raise NoRun(f"{folder} is not the folder of a run: its config.yaml is not a configuration")
        self.history = columns(history, self.HISTORY)
        self.profile = read_rows(self.folder / "profile.csv")
        try:
            self.summary = json.loads((self.folder / "summary.json").read_text())
        except (FileNotFoundError, ValueError):
            self.summary = {}
        if not isinstance(self.summary, dict):
            self.summary = {}
        self.layers = {}    # for each tensor its rows of layers.csv
        for row in read_rows(self.folder / "layers.csv"):
            if number(row.get("of")) > 0 and not math.isnan(number(row.get("kept"))):
                self.layers.setdefault(row.get("tensor"), []).append(row)

    @functools.cached_property
    def checkpoints(self):
        """The checkpoints, newest first."""
        found = []
        for path in sorted((self.folder / "checkpoints").glob("step_*.h5"), reverse=True):
            try:
                found.append(Checkpoint(path))
            except FileNotFoundError:
                pass    # the run has just removed it
        return found

    def setting(self, key):
        """The value of a key by its dotted path, or None if it is not set."""
        return flat(self.config).get(key)

    def last(self, name):
        """A value of the newest row of the history."""
        return float(self.history[name][-1]) if len(self.history[name]) else math.nan

    @property
    def newest(self):
        """The newest readable checkpoint, or None."""
        return next((checkpoint for checkpoint in self.checkpoints if not checkpoint.damage), None)

    @property
    def steps_per_epoch(self):
        return self.last("step") / self.last("epoch") if self.last("epoch") else math.nan

    @property
    def epochs(self):
        """Epochs of the whole run, including those repeated by rewinding."""
        epochs = number(self.setting("train.epochs"))
        if self.setting("prune.schedule.type") != "rewinding":
            return epochs
        to = number(self.setting("prune.schedule.to_epoch"))
        if self.setting("prune.schedule.to_step") is not None:
            to = number(self.setting("prune.schedule.to_step")) / self.steps_per_epoch
        return epochs + number(self.setting("prune.schedule.rounds")) * (epochs - to)

    @property
    def done(self):
        """True if the run has ended, and has not been extended since."""
        steps = number(self.summary.get("steps"))
        if math.isnan(steps) or math.isnan(self.steps_per_epoch) or math.isnan(self.epochs):
            return bool(self.summary)
        return steps >= max(self.last("step"), round(self.epochs * self.steps_per_epoch))

    @property
    def best_step(self):
        """The step of the best checkpoint, or -1."""
        if self.done and self.summary.get("best_checkpoint"):
            digits = re.search(r"step_(\d+)\.h5$", str(self.summary["best_checkpoint"]))
            return int(digits[1]) if digits else -1
        return int(self.newest.state.get("best_step", -1)) if self.newest else -1

    @property
    def tensors(self):
        """name, shape, full_shape, kept, size of each parameter; without shapes while there is no checkpoint."""
        if self.done and self.summary.get("layers"):
            return self.summary["layers"]
        if self.newest:
            return self.newest.tensors
        return [{"name": name, "kept": int(number(rows[-1]["kept"])), "size": int(number(rows[-1]["of"]))}
                for name, rows in self.layers.items()]

    def prune_phase(self):
        """(first, last) epoch between which the sparsity changed, or None."""
        changes = numpy.flatnonzero(numpy.diff(self.history["sparsity"], prepend=0))
        if not len(changes):
            return None
        before = changes[0] - 1
        return (float(self.history["epoch"][before]) if before >= 0 else 0.0), float(self.history["epoch"][changes[-1]])
