#!/usr/bin/python3
"""Reads a pruntrain checkpoint without pruntrain (docs/checkpoint_format.md).

As a module: load, state_dict, network, normalized, seal_is_whole. As a program:

    python3 scripts/read_checkpoint.py FILE.h5                              # prints a table
    python3 scripts/read_checkpoint.py FILE.h5 --torch OUT.pt               # a PyTorch state_dict
    python3 scripts/read_checkpoint.py FILE.h5 --csr dense1.weight OUT.npz  # a SciPy sparse matrix
"""
import argparse
import collections
import re
import sys

import h5py
import numpy
import scipy.sparse

SEAL_BYTES = 512    # docs/checkpoint_format.md, "Whole or not at all"
TORCH_NAMES = {"scale": "weight", "shift": "bias", "running_variance": "running_var"}    # of batch-norm


def read_matrix(group):
    """A sparse tensor as CSR matrix: rows are outputs."""
    return scipy.sparse.csr_matrix((group["values"][:], group["indices_1"][:], group["pointers_to_1"][:]),
                                   shape=tuple(group.attrs["shape"]))


def tensors(path):
    """(name, node) of every parameter and statistic in model order; pruned ones are groups, others datasets."""
    with h5py.File(path) as file:
        for layer in file["model"].values():
            for name, node in layer.items():
                yield f"{layer.name.split('/')[-1]}.{name}", node


def load(path):
    """Name -> scipy.sparse.csr_matrix of a pruned tensor, numpy array of another."""
    return {name: read_matrix(node) if isinstance(node, h5py.Group) else node[()] for name, node in tensors(path)}


def state_dict(path):
    """The PyTorch state_dict: all tensors dense, in the shapes and under the names that PyTorch gives them."""
    import torch

    state = collections.OrderedDict()
    for name, node in tensors(path):
        sparse = isinstance(node, h5py.Group)
        array = read_matrix(node).toarray().reshape(node.attrs["tensor_shape"]) if sparse else node[()]
        layer, tensor = name.split(".")
        state[f"{layer}.{TORCH_NAMES.get(tensor, tensor)}"] = torch.from_numpy(array)
    return state


def seal_is_whole(path):
    """Whether every byte of the file is as it was written. Needs python3-xxhash."""
    import xxhash

    with open(path, "rb") as file:
        lines = file.read(SEAL_BYTES).rstrip(b"\0")
        covered, found, digits = lines.partition(b"xxh3_64 ")
        size = re.search(rb"^bytes (\d+)$", covered, re.MULTILINE)
        digest = xxhash.xxh3_64(covered)
        while piece := file.read(1 << 20):
            digest.update(piece)
        return bool(found and size) and int(size[1]) == file.tell() and digits == f"{digest.hexdigest()}\n".encode()


def config(path):
    """The configuration of the run, as Python dictionaries and lists."""
    import yaml

    with h5py.File(path) as file:
        return yaml.safe_load(file["config"][0].decode())


def network(path):
    """The network as torch.nn.Sequential, in evaluation mode. Feed it what `normalized` returns."""
    import torch

    class BatchNorm(torch.nn.BatchNorm1d):
        """For vectors and images alike: the arithmetic of PyTorch's own is the same, only its check is not."""
        def _check_input_dim(self, _):
            pass

    state = state_dict(path)
    modules = collections.OrderedDict()
    for entry in config(path)["model"]:
        name, kind = entry["name"], entry["layer"]
        bias = f"{name}.bias" in state
        if kind == "dense":
            outputs, inputs = state[f"{name}.weight"].shape
            modules[name] = torch.nn.Linear(inputs, outputs, bias)
        elif kind == "conv2d":
            outputs, inputs, kernel, _ = state[f"{name}.weight"].shape
            modules[name] = torch.nn.Conv2d(inputs, outputs, kernel, entry["stride"], entry["padding"], bias=bias)
        elif kind == "max_pool2d":
            modules[name] = torch.nn.MaxPool2d(entry["kernel"], entry["stride"])
        elif kind == "average_pool2d":
            modules[name] = torch.nn.AvgPool2d(entry["kernel"], entry["stride"])
        elif kind == "batch_norm":
            modules[name] = BatchNorm(len(state[f"{name}.weight"]), eps=float(entry["epsilon"]))
        elif kind == "dropout":
            modules[name] = torch.nn.Dropout(float(entry["rate"]))
        elif kind == "relu":
            modules[name] = torch.nn.ReLU()
        elif kind == "flatten":
            modules[name] = torch.nn.Flatten()
        else:
            raise ValueError(f"layer {name} is a {kind}, which this reader does not know")
    result = torch.nn.Sequential(modules)
    result.load_state_dict(state)
    return result.eval()


def normalized(path, samples):
    """(samples - mean) / deviation as float32. samples: (N, channels, ...), as they stand in the data files."""
    with h5py.File(path) as file:
        mean, deviation = file["data"].attrs["mean"], file["data"].attrs["deviation"]
    sizes = (-1,) + (1,) * (samples.ndim - 2)
    return ((samples - mean.reshape(sizes)) / deviation.reshape(sizes)).astype(numpy.float32)


def print_table(path):
    with h5py.File(path) as file:
        state = file.attrs
        print(f"step {state['step']}, epoch {state['epoch']:.2f}, sparsity {state['sparsity']:.4f}, "
              f"validation accuracy {state['validation_accuracy']:.4f}\n")
    print(f"{'tensor':32} {'shape':>16} {'kept':>12} {'of':>12} {'density':>8}")
    for name, node in tensors(path):
        sparse = isinstance(node, h5py.Group)
        shape = tuple(node.attrs["tensor_shape"]) if sparse else node.shape
        kept, size = len(node["values"]) if sparse else node.size, numpy.prod(shape)
        print(f"{name:32} {'x'.join(map(str, shape)):>16} {kept:12,} {size:12,} {kept / size:8.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="checkpoint (.h5)")
    parser.add_argument("--torch", metavar="OUT.pt", help="save a PyTorch state_dict")
    parser.add_argument("--csr", nargs=2, metavar=("LAYER.weight", "OUT.npz"), help="save a SciPy sparse matrix")
    arguments = parser.parse_args()
    if arguments.csr:
        name, out = arguments.csr
        found = load(arguments.file)
        if name not in found:
            sys.exit(f"{arguments.file} has no tensor '{name}'; it has {', '.join(found)}")
        matrix = found[name]
        if not scipy.sparse.issparse(matrix):
            matrix = scipy.sparse.csr_matrix(matrix.reshape(len(matrix), -1))
        scipy.sparse.save_npz(out, matrix)
    if arguments.torch:
        import torch
        torch.save(state_dict(arguments.file), arguments.torch)
    if not arguments.csr and not arguments.torch:
        print_table(arguments.file)


if __name__ == "__main__":
    main()
