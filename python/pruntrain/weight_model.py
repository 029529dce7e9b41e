"""The tensors and the normalization of the model that a configuration describes."""
import typing

import numpy

from .network_graph import KNOWN_KEYS

BATCH_NORM = ("scale", "shift", "running_mean", "running_variance")


class Expected(typing.NamedTuple):
    """A tensor of the model."""
    shape: tuple    # None: a size that is not known
    prunable: bool = False
    optional: bool = False


def expected_tensors(model):
    """(layer, {tensor: Expected}) of the layers that have tensors. What the configuration does not state is left to the state:
    the kernel of a convolution, and whether a layer has a bias. Weights are prunable if it does not say otherwise.

    model: (name, type, keys) of each layer"""
    channels = None     # units or channels of the layer before
    for name, kind, keys in model:
        if kind not in KNOWN_KEYS:
            raise ValueError(f"the model has a layer of type '{kind}', which this program does not know: {', '.join(KNOWN_KEYS)}")
        if kind in ("dense", "conv2d"):
            before, channels = channels, _size(name, kind, keys, "units" if kind == "dense" else "channels")
            kernel = (_size(name, kind, keys, "kernel") if "kernel" in keys else None,) * 2 if kind == "conv2d" else ()
            tensors = {"weight": Expected((channels, before, *kernel), prunable=keys.get("prunable") is not False)}
            if keys.get("bias") is not False:
                tensors["bias"] = Expected((channels,), optional="bias" not in keys)
            yield name, tensors
        elif kind == "batch_norm":
            yield name, {tensor: Expected((channels,)) for tensor in BATCH_NORM}
        elif kind == "flatten":
            channels = None


def _size(name, kind, keys, key):
    if key not in keys:
        raise ValueError(f"layer {name} ({kind}) of the configuration has no '{key}'")
    if type(keys[key]) is not int or keys[key] < 1:
        raise ValueError(f"{key} of layer {name} ({kind}) is '{keys[key]}': a whole number from 1 on is needed")
    return keys[key]


def given_normalization(data):
    """(mean, standard deviation) that the section `data` of a configuration states."""
    kind = data.get("normalization", "measured")
    if kind == "none":
        return [0.0], [1.0]
    if kind == "given":
        std = "std" if "std" in data else "deviation"    # its earlier name
        for key in ("mean", std):
            if key not in data:
                raise ValueError(f"data.normalization is given, so data.{'std' if key == std else key} is needed")
        try:
            return [[float(number) for number in numpy.atleast_1d(data[key])] for key in ("mean", std)]
        except (TypeError, ValueError):
            raise ValueError(f"data.mean is {data['mean']} and data.{std} is {data[std]}: numbers or lists of them are needed") from None
    raise ValueError("data.normalization is measured, but only you know how the network's data were normalized: set it to given, "
                     "with mean and std of the samples as they are in the files, or to none")
