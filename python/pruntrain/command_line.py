"""Converts checkpoints of pruntrain for SciPy, NumPy, PyTorch and ONNX, and PyTorch's weights for pruntrain.

    FILE.h5                              # prints a table
    FILE.h5 --csr dense1.weight OUT.npz  # a SciPy sparse matrix
    FILE.h5 --numpy OUT.npz              # all tensors as dense NumPy arrays
    FILE.h5 --torch OUT.pt               # a PyTorch state_dict
    FILE.h5 --torch-sparse OUT.pt        # the same, pruned weights as torch.sparse_csr
    FILE.h5 --onnx OUT.onnx              # the network, its normalization included
    from-torch STATE.pt CONFIG.yaml OUT.h5 [--sparse]   # for run.start_from
    from-torch STATE.pt FILE.h5 OUT.h5 [--sparse]       # likewise, for the network of a checkpoint

The layout of the file is in docs/checkpoint_format.md.
"""
import argparse
import math
import pathlib
import sys

import h5py
import numpy
import scipy.sparse

from . import checkpoint


def print_table(path):
    state = checkpoint.state(path)
    print(f"step {state['step']}, epoch {state['epoch']:.2f}, sparsity {state['sparsity']:.4f}, "
          f"validation accuracy {state['validation_accuracy']:.4f}\n")
    print(f"{'tensor':32} {'shape':>16} {'kept':>12} {'of':>12} {'density':>8}")
    for name, node in checkpoint.tensors(path):
        shape = checkpoint.tensor_shape(node)
        kept, size = len(node["values"]) if isinstance(node, h5py.Group) else node.size, math.prod(shape)
        print(f"{name:32} {'x'.join(map(str, shape)):>16} {kept:12,} {size:12,} {kept / size:8.4f}")


def save_csr(path, name, out):
    found = checkpoint.load(path)
    if name not in found:
        raise ValueError(f"{path} has no tensor '{name}'; it has {', '.join(found)}")
    matrix = found[name]
    if not scipy.sparse.issparse(matrix):
        matrix = scipy.sparse.csr_matrix(matrix.reshape(len(matrix), -1))
    scipy.sparse.save_npz(out, matrix)


def save_torch(path, out, sparse=False):
    import torch
    from .torch_network import state_dict

    torch.save(state_dict(path, sparse), out)


def save_onnx(path, out):
    import onnx
    from .onnx_export import onnx_model

    onnx.save(onnx_model(path), out)


def read_checkpoint_command(words):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="checkpoint (.h5); or the word from-torch, see above")
    parser.add_argument("--csr", nargs=2, metavar=("LAYER.weight", "OUT.npz"), help="save a SciPy sparse matrix")
    parser.add_argument("--numpy", metavar="OUT.npz", help="save all tensors as dense arrays")
    parser.add_argument("--torch", metavar="OUT.pt", help="save a PyTorch state_dict")
    parser.add_argument("--torch-sparse", metavar="OUT.pt", help="likewise, with pruned weights as torch.sparse_csr")
    parser.add_argument("--onnx", metavar="OUT.onnx", help="save the network as ONNX model")
    arguments = parser.parse_args(words)
    if arguments.csr:
        save_csr(arguments.file, *arguments.csr)
    if arguments.numpy:
        numpy.savez(arguments.numpy, **checkpoint.arrays(arguments.file))
    if arguments.torch:
        save_torch(arguments.file, arguments.torch)
    if arguments.torch_sparse:
        save_torch(arguments.file, arguments.torch_sparse, sparse=True)
    if arguments.onnx:
        save_onnx(arguments.file, arguments.onnx)
    if not any(value for name, value in vars(arguments).items() if name != "file"):
        print_table(arguments.file)


def from_torch_command(program, words):
    import pickle
    import torch
    from .weight_file import from_torch, from_torch_like

    parser = argparse.ArgumentParser(prog=f"{program} from-torch", description=from_torch.__doc__)
    parser.add_argument("state", help="a state_dict, written by torch.save (.pt)")
    parser.add_argument("model", help="configuration of pruntrain with the same model (.yaml), or a checkpoint of it (.h5)")
    parser.add_argument("out", help="weight file to write (.h5)")
    parser.add_argument("--sparse", action="store_true", help="weights that are exactly 0 are absent from the pattern")
    arguments = parser.parse_args(words)
    try:
        state = torch.load(arguments.state, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError):    # a whole network, which would be a program; no file of PyTorch
        state = None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError(f"{arguments.state} holds no state_dict: write it by torch.save(network.state_dict(), ...)")
    if h5py.is_hdf5(arguments.model):
        from_torch_like(state, arguments.model, arguments.out, arguments.sparse)
    else:
        from_torch(state, pathlib.Path(arguments.model).read_text(), arguments.out, arguments.sparse)


def main():
    program = pathlib.Path(sys.argv[0]).stem
    try:
        if sys.argv[1:2] == ["from-torch"]:
            from_torch_command(program, sys.argv[2:])
        else:
            read_checkpoint_command(sys.argv[1:])
    except KeyError as error:
        sys.exit(f"{program}: missing: {error}")
    except (OSError, ValueError) as error:
        sys.exit(f"{program}: {error}")
