"""Writes a file from which a run of pruntrain starts (run.start_from): weights of PyTorch, without the state of a run."""
import io
import json

import h5py
import numpy
import scipy.sparse

from . import checkpoint, yaml_words
from .network_graph import entries, graph
from .outputs import check_outputs, replaced
from .seal import SEAL_BYTES, sealed
from .torch_matching import dimensions, fitted_shape, match
from .torch_tensors import by_module, plain_name
from .weight_model import Expected, expected_tensors, given_normalization

# A file without a graph is one of format 2: a configuration need not state all keys, as a graph does.
FORMAT_WITH_GRAPH, FORMAT_WITHOUT_GRAPH = 3, 2
TEXTS = ("config", "graph", "class_names", "input_names")   # of a checkpoint, that its weight file has too
MOST_NAMED = 20     # names in a message


def from_torch(state, configuration, out, sparse=False, mapping=None, ignore=()):
    """Writes a weight file of a PyTorch state_dict and the text of a configuration.

    The state's tensors have the names of pruntrain's layers; or shapes and order, where they leave exactly one way. Otherwise
    `mapping` states what is what: {module: layer}, or {tensor: "layer.weight"}. Weights that are masked (torch.nn.utils.prune), or
    not stored in a sparse tensor, are absent from the pattern; with `sparse`, those that are exactly 0 as well. Tensors that match
    a pattern of `ignore` are left out. Raises ValueError if something does not fit."""
    model, data = parsed(configuration)
    mean, deviation = given_normalization(data)
    source = {"config": configuration, "data": {"mean": numpy.array(mean), "deviation": numpy.array(deviation)}}
    check_outputs((), (out,))
    _write(out, _matched(state, list(expected_tensors(entries(model))), mapping, ignore), sparse, source)


def parsed(configuration):
    """(model, data) of the text of a configuration."""
    try:
        described = yaml_words.load(configuration)
    except ValueError as error:
        raise ValueError(f"the configuration is {error}") from None
    if not isinstance(described, dict):
        raise ValueError("the configuration has no keys such as 'data:' and 'model:'")
    model, data = described.get("model"), described.get("data")
    if not isinstance(data, dict):
        raise ValueError("the configuration has no section 'data'")
    if not isinstance(model, list) or not all(isinstance(entry, dict) and "layer" in entry for entry in model):
        raise ValueError("the configuration has no list 'model' whose entries name a layer, as {layer: dense, units: 10}")
    names = [name for name, _, _ in entries(model)]
    for name in names:
        if not name or set(name) & set("/. "):
            raise ValueError(f"a layer of the configuration is named '{name}': a name must have no slash, dot or space")
        if names.count(name) > 1:
            raise ValueError(f"two layers of the configuration are named '{name}'")
    return model, data


def from_torch_like(state, path, out, sparse=False, mapping=None, ignore=()):
    """Writes a weight file of a PyTorch state_dict for the network of a checkpoint, of which it takes graph, configuration and
    normalization. Units that were removed from that network are not in the new file either. The arguments are those of from_torch."""
    path = checkpoint.find(path)
    with checkpoint.open_file(path) as file:
        source = {name: file[name][0].decode() for name in TEXTS if name in file}
        source["data"] = dict(file["data"].attrs)
        source["full_shapes"] = {f"{layer}.{name}": node.attrs["full_shape"] for layer, stored in file["model"].items()
                                 for name, node in stored.items() if "full_shape" in node.attrs}
    source["shard_cuts"] = checkpoint.state(path).get("shard_cuts", "")
    check_outputs((path,), (out,))
    prunable = {node.name: node.keys.get("prunable", False) for node in graph(path)}
    layers = {}
    for name, node in checkpoint.tensors(path):
        layer, tensor = name.split(".")
        layers.setdefault(layer, {})[tensor] = Expected(checkpoint.tensor_shape(node), tensor == "weight" and prunable[layer])
    _write(out, _matched(state, list(layers.items()), mapping, ignore), sparse, source)


def _renamed(state, mapping):
    """(state, {module: layer}): entries of the mapping with `layer.tensor` rename a tensor, the others are pairs of module and layer."""
    pairs = {}
    for name, target in mapping.items():
        if "." not in target:
            pairs[plain_name(name)] = target
            continue
        if name not in state:
            raise ValueError(f"--map {name}={target}: the state has no tensor {name}; it has {', '.join(state)}")
        if target in state:
            raise ValueError(f"--map {name}={target}: the state has a tensor {target} too; leave it out by --ignore")
        state = {target if own == name else own: value for own, value in state.items()}
    return state, pairs


def _matched(state, layers, mapping, ignore):
    """(layer, tensor, array, mask or None, prunable) of all tensors in model order. Raises ValueError that names all that does not
    fit."""
    state, pairs = _renamed(dict(state), mapping or {})
    modules = by_module(state, ignore)
    layer_of = match(modules, [(layer, _in_torch(tensors)) for layer, tensors in layers], pairs)
    given = {layer: modules[module] for module, layer in layer_of.items()}
    wanted = {(layer, name): expected for layer, tensors in layers for name, expected in _in_torch(tensors).items()}
    missing = [f"no {layer}.{name}" for (layer, name), expected in wanted.items()
               if name not in given.get(layer, {}) and not expected.optional]
    unknown = [tensor.name for module, tensors in modules.items() for name, tensor in tensors.items()
               if (layer_of.get(module), name) not in wanted]
    if unknown:
        more = f" and {len(unknown) - MOST_NAMED} more" if len(unknown) > MOST_NAMED else ""
        missing.append(f"{', '.join(unknown[:MOST_NAMED])}{more}, which the model does not have (--ignore NAME leaves out what the "
                       "network does not need)")
    if missing:
        raise ValueError(f"the state has {'; '.join(missing)}. Its modules are {', '.join(filter(None, modules)) or 'none'}, the "
                         f"model's layers {', '.join(layer for layer, _ in layers)}; --map MODULE=LAYER or TENSOR=LAYER.weight pairs "
                         "them")
    wrong = [f"{given[layer][name].name} is {dimensions(given[layer][name].shape)}, the model's {layer}.{name} "
             f"{dimensions(expected.shape)}" for (layer, name), expected in wanted.items()
             if name in given[layer] and fitted_shape(given[layer][name], expected.shape) is None]
    if wrong:
        raise ValueError("; ".join(wrong))
    return [(layer, tensor, *_weights(given[layer][checkpoint.torch_tensor(tensor)], expected), expected.prunable)
            for layer, tensors in layers for tensor, expected in tensors.items()
            if checkpoint.torch_tensor(tensor) in given[layer]]


def _in_torch(tensors):
    return {checkpoint.torch_tensor(name): expected for name, expected in tensors.items()}


def _weights(tensor, expected):
    """(array, mask of the present weights or None) of a tensor that fits."""
    array, present = tensor.read()
    if tensor.mask is not None and not expected.prunable:
        raise ValueError(f"{tensor.name} has a mask, but the model's tensor is never pruned: call torch.nn.utils.prune.remove for it "
                         "before the state_dict is saved, or set prunable: true if it is a weight")
    shape = fitted_shape(tensor, expected.shape)
    return array.reshape(shape), None if present is None or not expected.prunable else present.reshape(shape)


def _attributes(stored, shard_cuts, version):
    size = sum(array.size for _, _, array, _, is_prunable in stored if is_prunable)
    absent = sum(present.size - numpy.count_nonzero(present) for _, _, _, present, _ in stored if present is not None)
    layers_with_weights = sum(tensor == "weight" for _, tensor, *_ in stored)
    return {"format_version": numpy.int64(version), "program_version": "from-torch",
            **dict.fromkeys(("step", "loss_samples"), numpy.int64(0)), "best_step": numpy.int64(-1),
            **dict.fromkeys(("epoch", "seconds", "loss_sum", "train_seconds"), 0.0), "best_score": -numpy.inf,
            "seed": numpy.uint64(0), "ranks": numpy.int32(1), "grid": "1x1", "shard_cuts": shard_cuts, "pattern_hash": "",
            "weights_hash": "", "execution": " ".join(["dense"] * layers_with_weights),
            "sparsity": absent / size if size else 0.0, "validation_accuracy": numpy.nan, "rate_factor": 1.0}


def _write(out, stored, sparse, source):
    """source: texts `config` and, if there is one, `graph`; attributes of `data`; `shard_cuts` and `full_shapes` of a network from
    which units were removed."""
    version = FORMAT_WITH_GRAPH if "graph" in source else FORMAT_WITHOUT_GRAPH
    if sparse:
        stored = [(layer, tensor, array, array != 0 if prunable else None, prunable) for layer, tensor, array, _, prunable in stored]
    made = io.BytesIO()     # HDF5 in memory, so that a full disk is an error of the copy
    with h5py.File(made, "w", libver=("earliest", "v110"), userblock_size=SEAL_BYTES) as file:
        _set_attributes(file, _attributes(stored, source.get("shard_cuts", ""), version))
        for name in TEXTS:
            if name in source:
                text = source[name].encode()
                _write_dataset(file, name, numpy.array([text], h5py.string_dtype("utf-8", len(text))))
        _set_attributes(file.create_group("data"), source["data"])
        for name in ("model", "optimizer", "history"):
            file.create_group(name, track_order=True)
        for layer, tensor, array, present, _ in stored:
            if layer not in file["model"]:
                file["model"].create_group(layer, track_order=True)
            node = _write_tensor(file["model"][layer], f"{layer}.{tensor}", array, present)
            full_shape = source.get("full_shapes", {}).get(f"{layer}.{tensor}")
            if full_shape is not None:
                _set_attributes(node, {"full_shape": full_shape})
    with replaced(out) as file:
        file.write(sealed(made.getvalue(), version))


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


def _write_tensor(layer, full_name, array, present):
    name = full_name.split(".")[1]
    if present is None or present.all():
        made = _write_dataset(layer, name, array)
        _set_attributes(made, {"encoding-type": "array", "encoding-version": "0.2.0"})
        return made
    matrix = scipy.sparse.csr_matrix(present.reshape(len(array), -1))
    group = layer.create_group(name, track_order=True)
    for own, alias, values in (("pointers_to_1", "indptr", matrix.indptr.astype("int64")),
                                ("indices_1", "indices", matrix.indices.astype("int32")), ("values", "data", array[present])):
        group[alias] = _write_dataset(group, own, values)
    described = {"version": "0.1", "format": "CSR", "shape": matrix.shape, "number_of_stored_values": matrix.nnz,
                 "data_types": {"pointers_to_1": "int64", "indices_1": "int32", "values": "float32"}}
    described = {**described, "binsparse": described, "pruntrain": {"tensor": full_name, "tensor_shape": array.shape}}
    _set_attributes(group, {"binsparse": json.dumps(described), "encoding-type": "csr_matrix", "encoding-version": "0.1.0",
                            "shape": numpy.array(matrix.shape, "int64"), "tensor_shape": numpy.array(array.shape, "int64")})
    return group
