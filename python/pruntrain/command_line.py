"""Converts checkpoints of pruntrain for SciPy, NumPy, PyTorch and ONNX, and PyTorch's weights for pruntrain.

    FILE.h5                              # prints a table; FILE.h5 may be the folder of a run: its best or newest checkpoint
    FILE.h5 --csr dense1.weight OUT.npz  # a SciPy sparse matrix
    FILE.h5 --numpy OUT.npz              # all tensors as dense NumPy arrays
    FILE.h5 --torch OUT.pt               # a PyTorch state_dict
    FILE.h5 --torch-sparse OUT.pt        # the same, pruned weights as torch.sparse_csr
    FILE.h5 --torch-masks OUT.pt         # the same, pruned weights as weight_orig and weight_mask of torch.nn.utils.prune
    FILE.h5 --safetensors OUT            # the state_dict as safetensors
    FILE.h5 --onnx OUT.onnx              # the network, its normalization included
    from-torch STATE CONFIG.yaml OUT.h5  # for run.start_from; STATE: a state_dict, a checkpoint that holds one, or safetensors
    from-torch STATE FILE.h5 OUT.h5      # likewise, for the network of a checkpoint

`from-torch --help` has the options of from-torch. The layout of the file is in docs/checkpoint_format.md.
"""
import argparse
import contextlib
import errno
import io
import math
import os
import pathlib
import sys
import warnings

import h5py
import numpy
import scipy.sparse

from . import checkpoint
from .outputs import check_outputs, replaced
from .seal import FIRST_LINE, seal_is_whole

KNOWN_FORMATS = (1, 2, 3)
WRONG_INPUT, FAULT = 2, 1   # exit statuses, as those of the program
# Errors of the machine; other errors of files, such as a missing one, are wrong input.
FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


FROM_TORCH = """Writes a weight file for run.start_from. A module of the state becomes the layer of its name. Others are matched by
shape and order if that leaves one way; if not, --map states what is what. Weights that are masked by torch.nn.utils.prune, or absent
from a sparse tensor, are absent from the pattern."""


class Parser(argparse.ArgumentParser):
    """Reports a wrong command line in one line."""

    def error(self, message):
        self.exit(WRONG_INPUT, f"{self.prog.split()[0]}: {message}; see --help\n")


@contextlib.contextmanager
def checkpoint_to_read(path):
    """Raises ValueError or OSError if a file is no checkpoint that this program can read, also if its body finds that out."""
    with open(path, "rb") as file:
        start = file.read(len(FIRST_LINE))
    if start != FIRST_LINE:
        kind = "no checkpoint of pruntrain" if h5py.is_hdf5(path) else "no HDF5 file"
        raise ValueError(f"{path} is no checkpoint: it is {'an HDF5 file, but ' if h5py.is_hdf5(path) else ''}{kind}")
    if not seal_is_whole(path):
        raise ValueError(f"{path} is damaged or truncated: its seal does not fit its content")
    try:
        with h5py.File(path) as file:
            if file.attrs["format_version"] not in KNOWN_FORMATS:
                raise ValueError(f"{path} is of format {file.attrs['format_version']}; this program reads the formats "
                                 f"{', '.join(map(str, KNOWN_FORMATS))}")
        yield
    except OSError as error:
        if error.errno is not None:
            raise
        raise ValueError(f"{path} is damaged: {error}") from None
    except KeyError as error:
        raise ValueError(f"{path} is damaged, or no checkpoint of pruntrain: it has no {error.args[0] if error.args else error}") from None


def file_of(program, path):
    """The checkpoint of a folder, of which standard error says which it is; another path as it is."""
    found = checkpoint.find(path)
    if found != path:
        print(f"{program}: note: the checkpoint is {found}", file=sys.stderr)
    return found


def print_table(path):
    state = checkpoint.state(path)
    print(f"step {state['step']}, epoch {state['epoch']:.2f}, sparsity {state['sparsity']:.4f}, "
          f"validation accuracy {state['validation_accuracy']:.4f}\n")
    print(f"{'tensor':32} {'shape':>16} {'kept':>12} {'of':>12} {'density':>8}")
    for name, node in checkpoint.tensors(path):
        shape = checkpoint.tensor_shape(node)
        kept, size = len(node["values"]) if isinstance(node, h5py.Group) else node.size, math.prod(shape)
        print(f"{name:32} {'x'.join(map(str, shape)):>16} {kept:12,} {size:12,} {kept / size:8.4f}")


def npz_name(out):
    """With the ending that NumPy adds."""
    return out if str(out).endswith(".npz") else f"{out}.npz"


def save_csr(path, name, out):
    found = checkpoint.load(path)
    if name not in found:
        raise ValueError(f"{path} has no tensor '{name}'; it has {', '.join(found)}")
    matrix = found[name]
    if not scipy.sparse.issparse(matrix):
        matrix = scipy.sparse.csr_matrix(matrix.reshape(len(matrix), -1))
    with replaced(npz_name(out)) as file:
        scipy.sparse.save_npz(file, matrix)


def save_numpy(path, out):
    with replaced(npz_name(out)) as file:
        numpy.savez(file, **checkpoint.arrays(path))


def save_torch(path, out, **form):
    import torch
    from .torch_network import state_dict

    content = io.BytesIO()      # PyTorch's own messages about a full disk do not say so
    torch.save(state_dict(path, **form), content)
    with replaced(out) as file:
        file.write(content.getvalue())


def save_safetensors(path, out):
    from .safetensors_file import write_safetensors

    with replaced(out) as file:
        write_safetensors({checkpoint.torch_name(name): array for name, array in checkpoint.arrays(path).items()}, file)


def save_onnx(path, out):
    from .onnx_export import onnx_model

    with replaced(out) as file:
        file.write(onnx_model(path).SerializeToString())


# Option -> what is saved, a metavariable, and its help.
FORMS = {
    "numpy": (save_numpy, "OUT.npz", "save all tensors as dense arrays"),
    "torch": (save_torch, "OUT.pt", "save a PyTorch state_dict"),
    "torch_sparse": (lambda path, out: save_torch(path, out, sparse=True), "OUT.pt",
                     "likewise, with pruned weights as torch.sparse_csr"),
    "torch_masks": (lambda path, out: save_torch(path, out, masks=True), "OUT.pt",
                    "likewise, with pruned weights as weight_orig and weight_mask of torch.nn.utils.prune"),
    "safetensors": (save_safetensors, "OUT.safetensors", "save the state_dict as safetensors"),
    "onnx": (save_onnx, "OUT.onnx", "save the network as ONNX model"),
}


def read_checkpoint_command(program, words):
    parser = Parser(prog=program, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="checkpoint (.h5), or the folder of a run: its best or newest checkpoint; or the word from-torch, "
                                     "see above")
    parser.add_argument("--csr", nargs=2, metavar=("LAYER.weight", "OUT.npz"), help="save a SciPy sparse matrix")
    for name, (_, metavariable, explanation) in FORMS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", metavar=metavariable, help=explanation)
    arguments = parser.parse_args(words)
    path, outputs = file_of(program, arguments.file), {name: getattr(arguments, name) for name in FORMS if getattr(arguments, name) is not None}
    files = [npz_name(out) if name == "numpy" else out for name, out in outputs.items()]
    check_outputs([path], [*files, *([npz_name(arguments.csr[1])] if arguments.csr else [])])
    with checkpoint_to_read(path):
        if arguments.csr:
            save_csr(path, *arguments.csr)
        for name, out in outputs.items():
            FORMS[name][0](path, out)
        if not outputs and not arguments.csr:
            print_table(path)


def read_mapping(words):
    """{name in the file: name of a layer} of the values of --map."""
    from .yaml_words import load_words

    mapping = {}
    for word in words:
        name, separator, layer = word.rpartition("=")
        entries = {name: layer} if separator else None
        if not separator:
            try:
                entries = load_words(pathlib.Path(word).read_text())
            except ValueError as error:
                raise ValueError(f"--map {word}: {error}") from None
        if not isinstance(entries, dict) or not all(isinstance(part, str) and part for pair in entries.items() for part in pair):
            raise ValueError(f"--map {word}: it must be NAME=LAYER, or a file in YAML or JSON that maps names to layers")
        for name, layer in entries.items():
            if mapping.setdefault(name, layer) != layer:
                raise ValueError(f"--map gives {name} two layers, {mapping[name]} and {layer}")
    return mapping


def from_torch_command(program, words):
    from .weight_file import from_torch, from_torch_like

    parser = Parser(prog=f"{program} from-torch", description=FROM_TORCH)
    parser.add_argument("state", help="a state_dict or a checkpoint that holds one, written by torch.save; or safetensors")
    parser.add_argument("model", help="configuration of pruntrain with the same model (.yaml), or a checkpoint of it (.h5) or its "
                        "run's folder")
    parser.add_argument("out", help="weight file to write (.h5)")
    parser.add_argument("--sparse", action="store_true", help="weights that are exactly 0 are absent from the pattern")
    parser.add_argument("--map", action="append", default=[], metavar="NAME=LAYER",
                        help="a module of the state is this layer, or a tensor is LAYER.weight; also a YAML or JSON file of such pairs")
    parser.add_argument("--ignore", action="append", default=[], metavar="NAME", help="leave out tensors of this name; * and ? match")
    parser.add_argument("--entry", metavar="NAME", help="the entry of the checkpoint that holds the state_dict")
    arguments = parser.parse_args(words)
    arguments.model = file_of(program, arguments.model)
    check_outputs([arguments.state, arguments.model], [arguments.out])
    mapping = read_mapping(arguments.map)
    from .torch_file import load_state

    options = arguments.out, arguments.sparse, mapping, arguments.ignore
    if h5py.is_hdf5(arguments.model):
        state = load_state(arguments.state, arguments.entry)
        with checkpoint_to_read(arguments.model):
            from_torch_like(state, arguments.model, *options)
        return
    try:
        configuration = pathlib.Path(arguments.model).read_text()
    except UnicodeDecodeError:
        raise ValueError(f"{arguments.model} is neither a configuration nor a checkpoint: it is no text") from None
    from_torch(load_state(arguments.state, arguments.entry), configuration, *options)


def explained(error):
    """(text, exit status) for an exception."""
    if isinstance(error, OSError):
        is_fault = error.errno in FAULTS or "No space left" in str(error)
        text = f"cannot use {error.filename}: {error.strerror}" if error.filename is not None else str(error)
        return text + (": is the disk full?" if error.errno == errno.ENOSPC else ""), FAULT if is_fault else WRONG_INPUT
    if isinstance(error, ValueError):
        return str(error), WRONG_INPUT
    if isinstance(error, MemoryError):
        return "not enough memory", FAULT
    return f"internal error: {type(error).__name__}: {error} (python3 -X dev shows where)", FAULT


def main():
    """Runs the command of sys.argv. Ends with the exit statuses of the program and, for an error, one line."""
    program = pathlib.Path(sys.argv[0]).stem
    if not sys.flags.dev_mode:
        warnings.simplefilter("ignore")     # of PyTorch about features that may change
    try:
        if sys.argv[1:2] == ["from-torch"]:
            from_torch_command(program, sys.argv[2:])
        else:
            read_checkpoint_command(program, sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:     # the reader of the table needs no more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAULT)
    except KeyboardInterrupt:
        sys.exit(130)
    except ModuleNotFoundError:
        raise       # missing_packages names the package to install
    except Exception as error:  # noqa: BLE001 (a user sees one line, whatever it is)
        if sys.flags.dev_mode:
            raise
        text, status = explained(error)
        print(f"{program}: {' '.join(text.split())}", file=sys.stderr)
        if isinstance(error, OSError) and status == FAULT:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left for standard output fails again at exit
        sys.exit(status)
