"""Reads what a checkpoint holds besides the graph: weights, normalization, state, configuration, history, checksums. A path may be
the folder of a run, as for the program: its best or newest checkpoint."""
import os
import pathlib
import re

import h5py
import numpy
import scipy.sparse

from .seal import seal_is_whole

TORCH_NAMES = {"scale": "weight", "shift": "bias", "running_variance": "running_var"}    # of batch-norm


def find(path):
    """The file that a path means: itself; or, of the folder of a run or a folder of checkpoints, the best checkpoint of the run if one
    is recorded and there, else the newest whole one. Raises FileNotFoundError if there is nothing, ValueError if there is none."""
    if not os.path.exists(path):
        raise FileNotFoundError(f"{path} does not exist: give a checkpoint (step_00017200.h5), or the folder of a run")
    if not os.path.isdir(path):
        return path
    folder = pathlib.Path(path)
    files = _checkpoints(folder / "checkpoints") or _checkpoints(folder)
    if not files:
        raise ValueError(f"{path} is a folder without checkpoints: give a checkpoint (step_00017200.h5), the folder of a run, or its "
                         "folder checkpoints")
    for newest in files:
        if not seal_is_whole(newest):
            continue
        with h5py.File(newest) as file:
            best = newest.with_name(f"step_{int(file.attrs['best_step']):08}.h5")
        return best if best in files else newest
    raise ValueError(f"{path} has {len(files)} checkpoint(s), but none of them is whole")


def open_file(path):
    """The file that `find` finds, open to be read. Raises ValueError, too, if it is no HDF5 file."""
    file = find(path)
    if not h5py.is_hdf5(file):
        raise ValueError(f"{file} is no checkpoint: it is no HDF5 file, or it is damaged")
    return h5py.File(file)


def _checkpoints(folder):
    """Newest first."""
    steps = {int(found[1]): path for path in folder.glob("step_*.h5") if (found := re.fullmatch(r"step_(\d{8,})\.h5", path.name))}
    return [steps[step] for step in sorted(steps, reverse=True)]


def torch_tensor(tensor):
    """"scale" -> "weight": the name of a tensor of a layer in PyTorch."""
    return TORCH_NAMES.get(tensor, tensor)


def torch_name(name):
    """"batch_norm1.scale" -> "batch_norm1.weight": the name of a tensor in a state_dict."""
    layer, tensor = name.split(".")
    return f"{layer}.{torch_tensor(tensor)}"


def read(node):
    """A sparse tensor as CSR matrix, whose rows are outputs; another one as array. Soft-pruned weights are 0, as in the
    network."""
    sparse = isinstance(node, h5py.Group)
    values = node["values"][:] if sparse else node[()]
    hidden = node.file.get(f"optimizer/hidden/{node.name.removeprefix('/model/')}")
    if hidden is not None:
        values = numpy.where(hidden[()].reshape(values.shape) != 0, values.dtype.type(0), values)
    if not sparse:
        return values
    return scipy.sparse.csr_matrix((values, node["indices_1"][:], node["pointers_to_1"][:]), shape=tuple(node.attrs["shape"]))


def tensor_shape(node):
    """The shape of a stored tensor: sparse ones are groups with a matrix, others datasets."""
    return tuple(int(size) for size in (node.attrs["tensor_shape"] if isinstance(node, h5py.Group) else node.shape))


def tensors(path):
    """(name, node) of every parameter and statistic in model order; pruned ones are groups, others datasets."""
    with open_file(path) as file:
        for layer in file["model"].values():
            for name, node in layer.items():
                yield f"{layer.name.split('/')[-1]}.{name}", node


def load(path):
    """Name -> scipy.sparse.csr_matrix of a pruned tensor, numpy array of another."""
    return {name: read(node) for name, node in tensors(path)}


def arrays(path):
    """Name -> numpy array: all tensors dense, in their own shapes."""
    return {name: read(node).toarray().reshape(tensor_shape(node)) if isinstance(node, h5py.Group) else read(node)
            for name, node in tensors(path)}


def config(path):
    """The configuration of the run, as Python dictionaries and lists."""
    from . import yaml_words

    with open_file(path) as file:
        return yaml_words.load(file["config"][0].decode())


def normalization(path):
    """(mean, deviation): one value for all features, or one for each channel."""
    with open_file(path) as file:
        return file["data"].attrs["mean"], file["data"].attrs["deviation"]


def _channels_first(path, samples):
    with open_file(path) as file:
        stored = file["data"].attrs.get("input_shape")      # older files have none
    if stored is None:
        return samples
    channels, rows, columns = (int(size) for size in stored)
    sample = samples.shape[1:]
    layout = config(path).get("data", {}).get("layout", "nchw")
    if layout == "nhwc" and sample == (rows, columns, channels):
        return numpy.moveaxis(samples, -1, 1)
    if numpy.prod(sample, dtype=int) != channels * rows * columns or (len(sample) == 3 and sample != (channels, rows, columns)):
        expected = [(channels, rows, columns)] + ([(rows, columns, channels)] if layout == "nhwc" else [])
        raise ValueError(f"the samples have the shape {sample}, but the network in {path} was trained on samples of "
                         f"{' or '.join(map(str, expected))}")
    return samples


def normalized(path, samples):
    """(samples - mean) / deviation as float32, in the order of dimensions that the network takes: (N, channels, rows, columns),
    or (N, features). samples: with the values and in the order of the data files; after a run with data.layout: nhwc
    (N, rows, columns, channels), or already (N, channels, rows, columns)."""
    path = find(path)   # once: of a folder, it reads checkpoints as a whole
    samples = _channels_first(path, numpy.asarray(samples))
    sizes = (-1,) + (1,) * (samples.ndim - 2)
    mean, deviation = (values.reshape(sizes) for values in normalization(path))
    return ((samples - mean) / deviation).astype(numpy.float32)


def state(path):
    """The state of the run: the attributes of the file as Python values."""
    with open_file(path) as file:
        values = {name: value.item() if isinstance(value, numpy.generic) else value for name, value in file.attrs.items()}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in values.items()}


def class_names(path):
    """The names of the classes in the order of their indices; none if the targets were values without names."""
    return _names(path, "class_names")


def input_names(path):
    """The names of the input features in order; none if the files of the training did not name them."""
    return _names(path, "input_names")


def _names(path, dataset):
    with open_file(path) as file:
        return file[dataset][0].decode().split("\n") if dataset in file else []


def history(path):
    """Column -> numpy array: what history.csv has; a weight file has no columns."""
    with open_file(path) as file:
        return {name: column[:] for name, column in file["history"].items()}


def verify(path):
    """Compares the seal and the checksum of every dataset. Raises ValueError that names the first that differs."""
    import xxhash

    path = find(path)
    if not seal_is_whole(path):
        raise ValueError(f"{path} is damaged: its seal does not fit its content")

    def compare(name, node):
        if isinstance(node, h5py.Dataset):
            stored = node.attrs["xxh3_64"]
            stored = stored.decode() if isinstance(stored, bytes) else stored
            if xxhash.xxh3_64_hexdigest(numpy.ascontiguousarray(node[()]).tobytes()) != stored:
                raise ValueError(f"{path} is damaged: {name} does not fit its checksum")

    with open_file(path) as file:
        file.visititems(compare)
