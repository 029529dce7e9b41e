"""The graph of a network in a checkpoint: its layers, what each reads, and their keys. A graph states all keys. Files of format 1
and 2 have none; it is made from the configuration in them, which in a weight file may leave out keys that have a default."""
import collections
import contextlib
import dataclasses
import json
import math

import h5py

from . import checkpoint

INPUT = "input"     # among the inputs of a node: the input of the network

# Keys of each type that the converters to PyTorch and ONNX know. Others could change what a layer computes, so they are refused.
KNOWN_KEYS = {
    "average_pool2d": {"kernel", "stride"},
    "batch_norm": {"epsilon", "momentum"},
    "conv2d": {"channels", "kernel", "stride", "padding", "bias", "prunable", "initializer"},
    "dense": {"units", "bias", "prunable", "initializer"},
    "dropout": {"rate"},
    "flatten": set(),
    "max_pool2d": {"kernel", "stride"},
    "relu": set(),
}


# What the program takes for a key that a configuration leaves out; of those above that a converter needs. The stride of a pooling is
# its kernel.
DEFAULTS = {
    "average_pool2d": {"kernel": 2},
    "batch_norm": {"epsilon": 1e-5, "momentum": 0.1},
    "conv2d": {"kernel": 3, "stride": 1, "padding": 0},
    "dropout": {"rate": 0.5},
    "max_pool2d": {"kernel": 2},
}


class GraphError(ValueError):
    """A graph that is incomplete, or has something that this program does not know."""


@dataclasses.dataclass
class Node:
    """A layer. Shapes are (channels, rows, columns), None where a file does not have them; the configured ones are those before
    units were removed."""
    name: str
    type: str
    inputs: list        # names of nodes before this one; `input`: the input of the network
    keys: dict
    input_shapes: list = None
    output_shape: tuple = None
    configured_input_shapes: list = None
    configured_output_shape: tuple = None

    def __getitem__(self, key):
        if key not in self.keys:
            raise GraphError(f"{self} has no '{key}'")
        return self.keys[key]

    def __str__(self):
        return f"layer {self.name} ({self.type})"


@dataclasses.dataclass
class Graph:
    """Nodes in topological order. `output` is the name of the node whose output is that of the network."""
    nodes: list
    output: str
    input_shape: tuple = None

    def __post_init__(self):
        known = {INPUT}
        for node in self.nodes:
            for name in node.inputs:
                if name not in known:
                    raise GraphError(f"{node} reads '{name}', which is no layer before it")
            known.add(node.name)
        if self.output not in known - {INPUT}:
            raise GraphError(f"the output '{self.output}' is no layer of the graph")

    def __iter__(self):
        return iter(self.nodes)

    def node(self, name):
        return next(node for node in self.nodes if node.name == name)

    def check_known(self):
        """Raises GraphError that names the first layer of an unknown type or with an unknown key."""
        for node in self.nodes:
            if node.type not in KNOWN_KEYS:
                raise GraphError(f"{node} is of a type that this program does not know: it knows {', '.join(KNOWN_KEYS)}")
            for key in node.keys:
                if key not in KNOWN_KEYS[node.type]:
                    raise GraphError(f"{node} has the key '{key}', which this program does not know")


@contextlib.contextmanager
def naming(path):
    """A GraphError in its body names the file."""
    try:
        yield
    except GraphError as error:
        raise GraphError(f"{path}: {error}") from None


def graph(path):
    """The graph of the network in a checkpoint."""
    path = checkpoint.find(path)
    with checkpoint.open_file(path) as file:
        stored = file["graph"][0] if "graph" in file else None
    with naming(path):
        return _from_json(stored) if stored is not None else _from_configuration(path)


def layers(path):
    """The layers as dictionaries with `name`, `layer` (the type) and the keys of the type."""
    return [{"name": node.name, "layer": node.type, **node.keys} for node in graph(path)]


def _from_json(text):
    try:
        described = json.loads(text)
        nodes = [Node(entry["name"], entry["type"], entry["inputs"], entry["keys"],
                      *([tuple(shape) for shape in entry.get(f"{prefix}input_shapes", entry["input_shapes"])]
                        if part == "input" else tuple(entry.get(f"{prefix}output_shape", entry["output_shape"]))
                        for prefix in ("", "configured_") for part in ("input", "output")))
                 for entry in described["nodes"]]
        return Graph(nodes, described["output"], tuple(described["input_shape"]))
    except KeyError as error:
        raise GraphError(f"the graph has a part without {error}") from None
    except (TypeError, AttributeError, RecursionError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise GraphError(f"the graph is not readable: {error}") from None


# Files of format 1 and 2, and weight files that were made from a configuration.

def entries(model):
    """(name, type, keys) of each entry of the `model` list of a configuration."""
    counts = collections.Counter()
    for entry in model:
        kind = entry["layer"]
        counts[kind] += 1   # entries with a name of their own count too
        keys = {key: value for key, value in entry.items() if key not in ("name", "layer")}
        yield entry.get("name", f"{kind}{counts[kind]}"), kind, keys


def _with_defaults(kind, keys, weight):
    """weight: the shape of the layer's weight, which knows the kernel of a convolution; None: it has none."""
    known = dict(DEFAULTS.get(kind, {}))
    if kind == "conv2d" and weight is not None:
        known["kernel"] = weight[-1]
    keys = {**known, **keys}
    return {**keys, "stride": keys.get("stride", keys["kernel"])} if "kernel" in keys else keys


def _from_configuration(path):
    """A chain: each layer reads the one before it."""
    with h5py.File(path) as file:
        shape = file["data"].attrs.get("input_shape")   # a weight file has none
        weights = {name: checkpoint.tensor_shape(layer["weight"]) for name, layer in file["model"].items() if "weight" in layer}
    outputs = {name: weight[0] for name, weight in weights.items()}
    nodes = []
    for name, kind, keys in entries(checkpoint.config(path)["model"]):
        nodes.append(Node(name, kind, [nodes[-1].name if nodes else INPUT], _with_defaults(kind, keys, weights.get(name))))
    result = Graph(nodes, nodes[-1].name)
    if shape is None:
        for node in nodes:
            if node.type == "dense":
                node.output_shape = _output_shape(node, None, outputs[node.name])
        return result
    result.input_shape = before = configured_before = tuple(int(size) for size in shape)
    for node in nodes:
        node.input_shapes, node.configured_input_shapes = [before], [configured_before]
        node.output_shape = before = _output_shape(node, before, outputs.get(node.name))
        node.configured_output_shape = configured_before = _output_shape(node, configured_before,
                                                                         node.keys.get("units", node.keys.get("channels")))
    return result


def _output_shape(node, shape, outputs):
    """Of the layers that files of format 1 and 2 can have. outputs: units or channels of a layer with weights."""
    if node.type == "dense":
        return (outputs, 1, 1)
    if node.type == "flatten":
        return (math.prod(shape), 1, 1)
    if "kernel" in node.keys:
        pixels = [(size + 2 * node.keys.get("padding", 0) - node["kernel"]) // node["stride"] + 1 for size in shape[1:]]
        return (shape[0] if outputs is None else outputs, *pixels)
    return shape
