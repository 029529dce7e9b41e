#!/usr/bin/python3
"""Checkpoints of pruntrain for SciPy, NumPy, PyTorch and ONNX, and PyTorch's weights for pruntrain; needs no pruntrain.

As a module: load, arrays, state_dict, network, normalized, onnx_model, from_torch (docs/analysis.md). As a program:

    python3 scripts/pruntrain_io.py FILE.h5                              # prints a table
    python3 scripts/pruntrain_io.py FILE.h5 --csr dense1.weight OUT.npz  # a SciPy sparse matrix
    python3 scripts/pruntrain_io.py FILE.h5 --numpy OUT.npz              # all tensors as dense NumPy arrays
    python3 scripts/pruntrain_io.py FILE.h5 --torch OUT.pt               # a PyTorch state_dict
    python3 scripts/pruntrain_io.py FILE.h5 --torch-sparse OUT.pt        # the same, pruned weights as torch.sparse_csr
    python3 scripts/pruntrain_io.py FILE.h5 --onnx OUT.onnx              # the network, its normalization included
    python3 scripts/pruntrain_io.py from-torch STATE.pt CONFIG.yaml OUT.h5 [--sparse]   # for run.start_from

The layout of the file is in docs/checkpoint_format.md.
"""
import argparse
import collections
import json
import pathlib
import sys

import h5py
import numpy
import scipy.sparse

import sealed_file

TORCH_NAMES = {"scale": "weight", "shift": "bias", "running_variance": "running_var"}    # of batch-norm
TENSORS = {"dense": ("weight", "bias"), "conv2d": ("weight", "bias"),
           "batch_norm": ("scale", "shift", "running_mean", "running_variance")}     # in the order of the file
POOLING = {"kernel": 2}     # its stride is the kernel if none is given
DEFAULTS = {"dense": {"bias": True, "prunable": True},
            "conv2d": {"kernel": 3, "stride": 1, "padding": 0, "bias": True, "prunable": True},
            "max_pool2d": POOLING, "average_pool2d": POOLING, "batch_norm": {"epsilon": 1e-5}, "dropout": {"rate": 0.5},
            "relu": {}, "flatten": {}}

FORMAT_VERSION = 2


# Reading.

def read(node):
    """A sparse tensor as CSR matrix, whose rows are outputs; another as array. Hidden weights are 0, as the network sees them."""
    sparse = isinstance(node, h5py.Group)
    values = node["values"][:] if sparse else node[()]
    hidden = node.file.get(f"optimizer/hidden/{node.name.removeprefix('/model/')}")
    if hidden is not None:
        values = numpy.where(hidden[()].reshape(values.shape) != 0, values.dtype.type(0), values)
    if not sparse:
        return values
    return scipy.sparse.csr_matrix((values, node["indices_1"][:], node["pointers_to_1"][:]), shape=tuple(node.attrs["shape"]))


def tensors(path):
    """(name, node) of every parameter and statistic in model order; pruned ones are groups, others datasets."""
    with h5py.File(path) as file:
        for layer in file["model"].values():
            for name, node in layer.items():
                yield f"{layer.name.split('/')[-1]}.{name}", node


def load(path):
    """Name -> scipy.sparse.csr_matrix of a pruned tensor, numpy array of another."""
    return {name: read(node) for name, node in tensors(path)}


def arrays(path):
    """Name -> numpy array: all tensors dense, in their own shapes."""
    return {name: read(node).toarray().reshape(node.attrs["tensor_shape"]) if isinstance(node, h5py.Group) else read(node)
            for name, node in tensors(path)}


def config(path):
    """The configuration of the run, as Python dictionaries and lists."""
    import yaml

    with h5py.File(path) as file:
        return yaml.safe_load(file["config"][0].decode())


def with_defaults(model):
    """The `model` list of a configuration with names and defaults filled in."""
    counts = collections.Counter()
    for entry in model:
        kind = entry["layer"]
        if kind not in DEFAULTS:
            raise ValueError(f"the model has a layer of type '{kind}', which this program does not know: {', '.join(DEFAULTS)}")
        counts[kind] += 1   # those with a name of their own too
        full = {"name": f"{kind}{counts[kind]}", **DEFAULTS[kind], **entry}
        if DEFAULTS[kind] is POOLING:
            full.setdefault("stride", full["kernel"])
        yield full


def layers(path):
    """The layers of the network: dictionaries with `name`, `layer` and the keys of their type."""
    return list(with_defaults(config(path)["model"]))


def normalization(path):
    """(mean, deviation): one number for all features, or one for each channel."""
    with h5py.File(path) as file:
        return file["data"].attrs["mean"], file["data"].attrs["deviation"]


def normalized(path, samples):
    """(samples - mean) / deviation as float32. samples: (N, channels, ...), as they stand in the data files."""
    sizes = (-1,) + (1,) * (samples.ndim - 2)
    mean, deviation = (numbers.reshape(sizes) for numbers in normalization(path))
    return ((samples - mean) / deviation).astype(numpy.float32)


# To PyTorch.

def torch_name(name):
    layer, tensor = name.split(".")
    return f"{layer}.{TORCH_NAMES.get(tensor, tensor)}"


def state_dict(path, sparse=False):
    """The PyTorch state_dict: tensors in the shapes and under the names that PyTorch gives them. With `sparse`, pruned
    weights are torch.sparse_csr matrices, those of convolutions of shape (O, C*kh*kw)."""
    import torch

    state = collections.OrderedDict((torch_name(name), torch.from_numpy(array)) for name, array in arrays(path).items())
    if sparse:
        for name, matrix in load(path).items():
            if scipy.sparse.issparse(matrix):
                pointers, indices = (torch.from_numpy(numbers.astype("int64")) for numbers in (matrix.indptr, matrix.indices))
                state[torch_name(name)] = torch.sparse_csr_tensor(pointers, indices, torch.from_numpy(matrix.data), matrix.shape)
    return state


def network(path):
    """The network as torch.nn.Sequential, in evaluation mode. Feed it what `normalized` returns."""
    import torch

    class BatchNorm(torch.nn.BatchNorm1d):
        """For vectors and images alike: the arithmetic of PyTorch's own is the same, only its check is not."""
        def _check_input_dim(self, _):
            pass

    state = state_dict(path)
    modules = collections.OrderedDict()
    for entry in layers(path):
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
        else:
            modules[name] = torch.nn.Flatten()
    result = torch.nn.Sequential(modules)
    result.load_state_dict(state)
    return result.eval()


# To ONNX.

def onnx_model(path):
    """The network as onnx.ModelProto: from `samples` as they stand in the data files, float32, to `outputs`, which for classes
    are the logits. Operators of opset 13, which every runtime of the last years has. Pruned weights are dense, with zeros:
    hardly any runtime reads ONNX's sparse initializers."""
    import onnx
    from onnx import helper, numpy_helper

    with h5py.File(path) as file:
        state = {name: attribute_text(file.attrs[name]) for name in
                 ("step", "epoch", "sparsity", "pattern_hash", "weights_hash", "program_version")}
        shape = file["data"].attrs.get("input_shape")
    weights = arrays(path)
    kinds = {entry["layer"] for entry in layers(path)}
    if shape is not None:
        sample = [int(size) for size in (shape[:1] if shape[1] == shape[2] == 1 else shape)]
    else:   # a file of from-torch
        sample = ["channels", "rows", "columns"] if kinds & {"conv2d", "flatten"} else ["features"]
    nodes, initializers = [], []

    def constant(name, array):
        initializers.append(numpy_helper.from_array(numpy.ascontiguousarray(array, numpy.float32), name))
        return name

    def add(operator, name, *inputs, **attributes):
        """A node that takes the present output, and is from now on the present one."""
        present = nodes[-1].output[0] if nodes else "samples"
        nodes.append(helper.make_node(operator, [present, *inputs], [name], name=name, **attributes))

    sizes = (1, -1) + (1,) * (len(sample) - 1)
    mean, deviation = (numbers.reshape(sizes) for numbers in normalization(path))
    add("Sub", "centred", constant("mean", mean))
    add("Div", "normalized", constant("deviation", deviation))
    for entry in layers(path):
        name, kind = entry["name"], entry["layer"]
        own = [constant(f"{name}.{tensor}", weights[f"{name}.{tensor}"]) for tensor in TENSORS.get(kind, ())
               if f"{name}.{tensor}" in weights]
        window = {"kernel_shape": [entry["kernel"]] * 2, "strides": [entry["stride"]] * 2} if "stride" in entry else {}
        if kind == "dense":
            add("Gemm", name, *own, transB=1)
        elif kind == "conv2d":
            add("Conv", name, *own, pads=[entry["padding"]] * 4, **window)
        elif kind == "max_pool2d":
            add("MaxPool", name, **window)
        elif kind == "average_pool2d":
            add("AveragePool", name, **window)
        elif kind == "batch_norm":
            add("BatchNormalization", name, *own, epsilon=float(entry["epsilon"]))
        elif kind == "relu":
            add("Relu", name)
        elif kind == "flatten":
            add("Flatten", name)
        # dropout does nothing in evaluation
    if len(sample) == 3 and not kinds & {"dense", "flatten"}:
        add("Flatten", "flat")
    nodes[-1].output[0] = "outputs"
    last = [entry for entry in layers(path) if entry["layer"] == "dense"][-1:]
    width = len(weights[f"{last[0]['name']}.weight"]) if last else "features"
    number = onnx.TensorProto.FLOAT
    graph = helper.make_graph(nodes, "pruntrain", [helper.make_tensor_value_info("samples", number, ["batch", *sample])],
                              [helper.make_tensor_value_info("outputs", number, ["batch", width])], initializers)
    model = helper.make_model(graph, producer_name="pruntrain", opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    helper.set_model_props(model, state)
    onnx.checker.check_model(model, full_check=True)
    return model


def attribute_text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


# From PyTorch.

def expected_tensors(model):
    """(layer, tensor, shape, prunable) of all that the model has, in order; a size that the data decide is None."""
    before = None   # outputs or channels of the layer before
    for entry in model:
        kind, shape = entry["layer"], {}
        if kind == "dense":
            shape = {"weight": (entry["units"], before), "bias": (entry["units"],)}
            before = entry["units"]
        elif kind == "conv2d":
            shape = {"weight": (entry["channels"], before, entry["kernel"], entry["kernel"]), "bias": (entry["channels"],)}
            before = entry["channels"]
        elif kind == "flatten":
            before = None
        for tensor in TENSORS.get(kind, ()):
            if tensor != "bias" or entry["bias"]:
                yield entry["name"], tensor, shape.get(tensor, (before,)), tensor == "weight" and entry["prunable"]


def match_names(state, wanted):
    """{name in the model: name in the state}. By name if the modules have names of layers, else in order."""
    given = [name for name in state if not name.endswith("num_batches_tracked")]    # batch-norm counts, and does not use it
    of_state = list(dict.fromkeys(name.rpartition(".")[0] for name in given))
    of_model = list(dict.fromkeys(name.split(".")[0] for name in wanted))
    layer_of = {module: module for module in of_state}
    if not set(of_state) & set(of_model):
        if len(of_state) != len(of_model):
            raise ValueError(f"the state has {len(of_state)} modules with weights ({', '.join(of_state)}), the model "
                             f"{len(of_model)} layers ({', '.join(of_model)}): they cannot be matched in order")
        layer_of = dict(zip(of_state, of_model))
    found = {}
    for name in given:
        module, _, tensor = name.rpartition(".")
        found[f"{layer_of[module]}.{tensor}"] = name
    wrong = [f"no {name}" for name in wanted if name not in found]
    wrong += [f"{there}, which the model does not have" for name, there in found.items() if name not in wanted]
    if wrong:
        raise ValueError("the state has " + "; ".join(wrong))
    return found


def given_normalization(data):
    kind = data.get("normalization", "measured")
    if kind == "none":
        return [0.0], [1.0]
    if kind == "given":
        return [[float(number) for number in numpy.atleast_1d(data[key])] for key in ("mean", "deviation")]
    raise ValueError("data.normalization is measured, but only you know how the network's data were normalized: set it to given, "
                     "with mean and deviation of the samples as they stand in the files, or to none")


def from_torch(state, configuration, out, sparse=False):
    """Writes a weight file, from which run.start_from begins, of a PyTorch state_dict and the text of a configuration.

    The state's tensors have the names of pruntrain's layers, or stand in the order of the model's layers. With `sparse`, weights
    that are exactly 0 are absent from the pattern of prunable tensors. Raises ValueError if something does not fit."""
    import yaml

    try:
        described = yaml.safe_load(configuration)
    except yaml.YAMLError as error:
        raise ValueError(f"the configuration is no YAML: {error}") from error
    model = list(with_defaults(described["model"]))
    wanted = {torch_name(f"{layer}.{tensor}"): (layer, tensor, shape, prunable)
              for layer, tensor, shape, prunable in expected_tensors(model)}
    found = match_names(state, wanted)
    mean, deviation = given_normalization(described["data"])
    stored, wrong = [], []
    for name, (layer, tensor, shape, prunable) in wanted.items():
        array = numpy.ascontiguousarray(state[found[name]].detach().cpu().float().numpy())
        if len(array.shape) != len(shape) or any(size not in (None, own) for size, own in zip(shape, array.shape)):
            needed = "x".join("?" if size is None else str(size) for size in shape)
            wrong.append(f"{found[name]} is {'x'.join(map(str, array.shape))}, the model's {layer}.{tensor} {needed}")
        elif prunable and not array.any():
            wrong.append(f"{found[name]} is 0 throughout")
        stored.append((layer, tensor, array, prunable))
    if wrong:
        raise ValueError("; ".join(wrong))
    prunable_arrays = [array for _, _, array, prunable in stored if prunable]
    size, kept = (sum(count(array) for array in prunable_arrays) for count in (numpy.size, numpy.count_nonzero))
    layers_with_weights = sum(tensor == "weight" for _, tensor, _, _ in stored)
    attributes = {"format_version": numpy.int64(FORMAT_VERSION), "program_version": "from-torch",
                  **dict.fromkeys(("step", "loss_samples"), numpy.int64(0)), "best_step": numpy.int64(-1),
                  **dict.fromkeys(("epoch", "seconds", "loss_sum", "train_seconds"), 0.0), "best_score": -numpy.inf,
                  "seed": numpy.uint64(0), "ranks": numpy.int32(1), "grid": "1x1", "shard_cuts": "", "pattern_hash": "",
                  "weights_hash": "", "execution": " ".join(["dense"] * layers_with_weights),
                  "sparsity": (size - kept) / size if sparse and size else 0.0, "validation_accuracy": numpy.nan}
    beside = pathlib.Path(f"{out}.tmp")
    try:
        with h5py.File(beside, "w", libver=("earliest", "v110"), userblock_size=sealed_file.SEAL_BYTES) as file:
            set_attributes(file, attributes)
            text = configuration.encode()
            write_dataset(file, "config", numpy.array([text], h5py.string_dtype("utf-8", len(text))))
            set_attributes(file.create_group("data"), {"mean": numpy.array(mean), "deviation": numpy.array(deviation)})
            for name in ("model", "optimizer", "history"):
                file.create_group(name, track_order=True)
            for layer, tensor, array, prunable in stored:
                if layer not in file["model"]:
                    file["model"].create_group(layer, track_order=True)
                write_tensor(file["model"][layer], f"{layer}.{tensor}", array, sparse and prunable and not array.all())
        sealed_file.seal(beside, FORMAT_VERSION)
        beside.replace(out)
    finally:
        beside.unlink(missing_ok=True)


def set_attributes(node, values):
    for name, value in values.items():
        if isinstance(value, str):      # of fixed length; HDF5 has no text of none
            value = numpy.array(value.encode(), h5py.string_dtype("utf-8", max(1, len(value.encode()))))
        node.attrs[name] = value


def write_dataset(group, name, array):
    import xxhash

    filters = {} if array.dtype.kind == "f" else {"shuffle": True, "compression": 1}
    made = group.create_dataset(name, data=array, chunks=True, fletcher32=True, **filters)
    set_attributes(made, {"xxh3_64": xxhash.xxh3_64_hexdigest(array.tobytes())})
    return made


def write_tensor(layer, full_name, array, sparse):
    name = full_name.split(".")[1]
    if not sparse:
        made = write_dataset(layer, name, array)
        set_attributes(made, {"encoding-type": "array", "encoding-version": "0.2.0"})
        return
    matrix = scipy.sparse.csr_matrix(array.reshape(len(array), -1))
    group = layer.create_group(name, track_order=True)
    for own, alias, numbers in (("pointers_to_1", "indptr", matrix.indptr.astype("int64")),
                                ("indices_1", "indices", matrix.indices.astype("int32")), ("values", "data", matrix.data)):
        group[alias] = write_dataset(group, own, numbers)
    described = {"version": "0.1", "format": "CSR", "shape": matrix.shape, "number_of_stored_values": matrix.nnz,
                 "data_types": {"pointers_to_1": "int64", "indices_1": "int32", "values": "float32"}}
    described = {**described, "binsparse": described, "pruntrain": {"tensor": full_name, "tensor_shape": array.shape}}
    set_attributes(group, {"binsparse": json.dumps(described), "encoding-type": "csr_matrix", "encoding-version": "0.1.0",
                           "shape": numpy.array(matrix.shape, "int64"), "tensor_shape": numpy.array(array.shape, "int64")})


# The program.

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


def save_csr(path, name, out):
    found = load(path)
    if name not in found:
        raise ValueError(f"{path} has no tensor '{name}'; it has {', '.join(found)}")
    matrix = found[name]
    if not scipy.sparse.issparse(matrix):
        matrix = scipy.sparse.csr_matrix(matrix.reshape(len(matrix), -1))
    scipy.sparse.save_npz(out, matrix)


def save_torch(path, out, sparse=False):
    import torch
    torch.save(state_dict(path, sparse), out)


def save_onnx(path, out):
    import onnx
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
        numpy.savez(arguments.numpy, **arrays(arguments.file))
    if arguments.torch:
        save_torch(arguments.file, arguments.torch)
    if arguments.torch_sparse:
        save_torch(arguments.file, arguments.torch_sparse, sparse=True)
    if arguments.onnx:
        save_onnx(arguments.file, arguments.onnx)
    if not any(value for name, value in vars(arguments).items() if name != "file"):
        print_table(arguments.file)


def from_torch_command(words):
    import pickle
    import torch

    parser = argparse.ArgumentParser(prog="pruntrain_io.py from-torch", description=from_torch.__doc__)
    parser.add_argument("state", help="a state_dict, written by torch.save (.pt)")
    parser.add_argument("config", help="configuration of pruntrain with the same model (.yaml)")
    parser.add_argument("out", help="weight file to write (.h5)")
    parser.add_argument("--sparse", action="store_true", help="weights that are exactly 0 are absent from the pattern")
    arguments = parser.parse_args(words)
    try:
        state = torch.load(arguments.state, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError):    # a whole network, which would be a program; no file of PyTorch
        state = None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError(f"{arguments.state} holds no state_dict: write it by torch.save(network.state_dict(), ...)")
    from_torch(state, pathlib.Path(arguments.config).read_text(), arguments.out, arguments.sparse)


def main():
    try:
        if sys.argv[1:2] == ["from-torch"]:
            from_torch_command(sys.argv[2:])
        else:
            read_checkpoint_command(sys.argv[1:])
    except KeyError as error:
        sys.exit(f"pruntrain_io: missing: {error}")
    except ModuleNotFoundError as error:
        sys.exit(f"pruntrain_io: {error}: install python3-{error.name}")
    except (OSError, ValueError) as error:
        sys.exit(f"pruntrain_io: {error}")


if __name__ == "__main__":
    main()
