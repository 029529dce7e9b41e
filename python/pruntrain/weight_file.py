"""Writes a file from which a run of pruntrain starts (run.start_from): weights of PyTorch, without the state of a run."""
import json
import pathlib
import typing

import h5py
import numpy
import scipy.sparse

from . import checkpoint
from .network_graph import KNOWN_KEYS, entries, graph
from .seal import SEAL_BYTES, seal
from .torch_network import torch_name

# A file without a graph is one of format 2: a configuration need not state all keys, as a graph does.
FORMAT_WITH_GRAPH, FORMAT_WITHOUT_GRAPH = 3, 2
BATCH_NORM = ("scale", "shift", "running_mean", "running_variance")


class Expected(typing.NamedTuple):
    """A tensor of the model."""
    shape: tuple    # None: a size that is not known
    prunable: bool = False
    optional: bool = False


def from_torch(state, configuration, out, sparse=False):
    """Writes a weight file of a PyTorch state_dict and the text of a configuration.

    The state's tensors have the names of pruntrain's layers, or the order of the model's layers. With `sparse`, weights that are
    exactly 0 are absent from the pattern of prunable tensors. Raises ValueError if something does not fit."""
    import yaml

    try:
        described = yaml.safe_load(configuration)
    except yaml.YAMLError as error:
        raise ValueError(f"the configuration is no YAML: {error}") from error
    if not isinstance(described, dict):
        raise ValueError("the configuration has no keys such as 'data:' and 'model:'")
    mean, deviation = _given_normalization(described["data"])
    layers = list(_expected_tensors(entries(described["model"])))
    source = {"config": configuration, "data": {"mean": numpy.array(mean), "deviation": numpy.array(deviation)}}
    _write(out, _matched(state, layers), sparse, source)


def from_torch_like(state, path, out, sparse=False):
    """Writes a weight file of a PyTorch state_dict for the network of a checkpoint, of which it takes graph, configuration and
    normalization. Units that were removed from that network are not in the new file either."""
    with h5py.File(path) as file:
        source = {name: file[name][0].decode() for name in ("config", "graph", "class_names") if name in file}
        source["data"] = dict(file["data"].attrs)
        source["full_shapes"] = {f"{layer}.{name}": node.attrs["full_shape"] for layer, stored in file["model"].items()
                                 for name, node in stored.items() if "full_shape" in node.attrs}
    source["shard_cuts"] = checkpoint.state(path).get("shard_cuts", "")
    prunable = {node.name: node.keys.get("prunable", False) for node in graph(path)}
    layers = {}
    for name, node in checkpoint.tensors(path):
        layer, tensor = name.split(".")
        layers.setdefault(layer, {})[tensor] = Expected(checkpoint.tensor_shape(node), tensor == "weight" and prunable[layer])
    _write(out, _matched(state, list(layers.items())), sparse, source)


def _expected_tensors(model):
    """(layer, {tensor: Expected}) of the layers that have tensors. What the configuration does not state is left to the state:
    the kernel of a convolution, and whether a layer has a bias. Weights are prunable if it does not say otherwise."""
    channels = None     # units or channels of the layer before
    for name, kind, keys in model:
        if kind not in KNOWN_KEYS:
            raise ValueError(f"the model has a layer of type '{kind}', which this program does not know: {', '.join(KNOWN_KEYS)}")
        if kind in ("dense", "conv2d"):
            before, channels = channels, keys["units" if kind == "dense" else "channels"]
            kernel = (keys.get("kernel"),) * 2 if kind == "conv2d" else ()
            tensors = {"weight": Expected((channels, before, *kernel), prunable=keys.get("prunable") is not False)}
            if keys.get("bias") is not False:
                tensors["bias"] = Expected((channels,), optional="bias" not in keys)
            yield name, tensors
        elif kind == "batch_norm":
            yield name, {tensor: Expected((channels,)) for tensor in BATCH_NORM}
        elif kind == "flatten":
            channels = None


def _module_names(state, layers):
    """{module of the state: layer of the model}: of equal names if there are any, else in order."""
    modules = list(dict.fromkeys(name.rpartition(".")[0] for name in state))
    names = [name for name, _ in layers]
    if set(modules) & set(names):
        return {module: module for module in modules}
    if len(modules) != len(names):
        raise ValueError(f"the state has {len(modules)} modules with weights ({', '.join(modules)}), the model {len(names)} layers "
                         f"({', '.join(names)}): they cannot be matched in order")
    return dict(zip(modules, names))


def _matched(state, layers):
    """(layer, tensor, array, prunable) of all tensors in model order. Raises ValueError that names all that does not fit."""
    state = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}   # has no use here
    layer_of = _module_names(state, layers)
    given = {}
    for name in state:
        module, _, tensor = name.rpartition(".")
        given[f"{layer_of[module]}.{tensor}"] = name
    wanted = {torch_name(f"{layer}.{tensor}"): (layer, tensor, expected)
              for layer, tensors in layers for tensor, expected in tensors.items()}
    missing = [f"no {name}" for name, (_, _, expected) in wanted.items() if name not in given and not expected.optional]
    missing += [f"{own}, which the model does not have" for name, own in given.items() if name not in wanted]
    if missing:
        raise ValueError("the state has " + "; ".join(missing))
    found, wrong = [], []
    for name, (layer, tensor, (shape, prunable, _)) in wanted.items():
        if name not in given:
            continue
        own = given[name]
        array = numpy.ascontiguousarray(state[own].detach().cpu().float().numpy())
        if len(shape) != array.ndim or any(size not in (None, has) for size, has in zip(shape, array.shape)):
            needed = "x".join("?" if size is None else str(size) for size in shape)
            wrong.append(f"{own} is {'x'.join(map(str, array.shape))}, the model's {layer}.{tensor} {needed}")
        elif prunable and not array.any():
            wrong.append(f"{own} is 0 throughout")
        found.append((layer, tensor, array, prunable))
    if wrong:
        raise ValueError("; ".join(wrong))
    return found


def _given_normalization(data):
    kind = data.get("normalization", "measured")
    if kind == "none":
        return [0.0], [1.0]
    if kind == "given":
        std = "std" if "std" in data else "deviation"    # its earlier name
        return [[float(number) for number in numpy.atleast_1d(data[key])] for key in ("mean", std)]
    raise ValueError("data.normalization is measured, but only you know how the network's data were normalized: set it to given, "
                     "with mean and std of the samples as they are in the files, or to none")


def _attributes(stored, sparse, shard_cuts, version):
    prunable = [array for _, _, array, is_prunable in stored if is_prunable]
    size, kept = (sum(count(array) for array in prunable) for count in (numpy.size, numpy.count_nonzero))
    layers_with_weights = sum(tensor == "weight" for _, tensor, _, _ in stored)
    return {"format_version": numpy.int64(version), "program_version": "from-torch",
            **dict.fromkeys(("step", "loss_samples"), numpy.int64(0)), "best_step": numpy.int64(-1),
            **dict.fromkeys(("epoch", "seconds", "loss_sum", "train_seconds"), 0.0), "best_score": -numpy.inf,
            "seed": numpy.uint64(0), "ranks": numpy.int32(1), "grid": "1x1", "shard_cuts": shard_cuts, "pattern_hash": "",
            "weights_hash": "", "execution": " ".join(["dense"] * layers_with_weights),
            "sparsity": (size - kept) / size if sparse and size else 0.0, "validation_accuracy": numpy.nan, "rate_factor": 1.0}


def _write(out, stored, sparse, source):
    """source: texts `config` and, if there is one, `graph`; attributes of `data`; `shard_cuts` and `full_shapes` of a network from
    which units were removed."""
    version = FORMAT_WITH_GRAPH if "graph" in source else FORMAT_WITHOUT_GRAPH
    temporary = pathlib.Path(f"{out}.tmp")
    try:
        with h5py.File(temporary, "w", libver=("earliest", "v110"), userblock_size=SEAL_BYTES) as file:
            _set_attributes(file, _attributes(stored, sparse, source.get("shard_cuts", ""), version))
            for name in ("config", "graph", "class_names"):
                if name in source:
                    text = source[name].encode()
                    _write_dataset(file, name, numpy.array([text], h5py.string_dtype("utf-8", len(text))))
            _set_attributes(file.create_group("data"), source["data"])
            for name in ("model", "optimizer", "history"):
                file.create_group(name, track_order=True)
            for layer, tensor, array, prunable in stored:
                if layer not in file["model"]:
                    file["model"].create_group(layer, track_order=True)
                made = _write_tensor(file["model"][layer], f"{layer}.{tensor}", array, sparse and prunable and not array.all())
                full_shape = source.get("full_shapes", {}).get(f"{layer}.{tensor}")
                if full_shape is not None:
                    _set_attributes(made, {"full_shape": full_shape})
        seal(temporary, version)
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)


def _set_attributes(node, values):
    for name, value in values.items():
        if isinstance(value, str):      # of fixed length; HDF5 has no text of length 0
            value = numpy.array(value.encode(), h5py.string_dtype("utf-8", max(1, len(value.encode()))))
        node.attrs[name] = value


def _write_dataset(group, name, array):
    import xxhash

    filters = {} if array.dtype.kind == "f" else {"shuffle": True, "compression": 1}
    made = group.create_dataset(name, data=array, chunks=True, fletcher32=True, **filters)
    _set_attributes(made, {"xxh3_64": xxhash.xxh3_64_hexdigest(array.tobytes())})
    return made


def _write_tensor(layer, full_name, array, sparse):
    name = full_name.split(".")[1]
    if not sparse:
        made = _write_dataset(layer, name, array)
        _set_attributes(made, {"encoding-type": "array", "encoding-version": "0.2.0"})
        return made
    matrix = scipy.sparse.csr_matrix(array.reshape(len(array), -1))
    group = layer.create_group(name, track_order=True)
    for own, alias, values in (("pointers_to_1", "indptr", matrix.indptr.astype("int64")),
                                ("indices_1", "indices", matrix.indices.astype("int32")), ("values", "data", matrix.data)):
        group[alias] = _write_dataset(group, own, values)
    described = {"version": "0.1", "format": "CSR", "shape": matrix.shape, "number_of_stored_values": matrix.nnz,
                 "data_types": {"pointers_to_1": "int64", "indices_1": "int32", "values": "float32"}}
    described = {**described, "binsparse": described, "pruntrain": {"tensor": full_name, "tensor_shape": array.shape}}
    _set_attributes(group, {"binsparse": json.dumps(described), "encoding-type": "csr_matrix", "encoding-version": "0.1.0",
                            "shape": numpy.array(matrix.shape, "int64"), "tensor_shape": numpy.array(array.shape, "int64")})
    return group
