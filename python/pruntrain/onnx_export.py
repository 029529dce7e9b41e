"""The network of a checkpoint in ONNX."""
import numpy
import onnx
from onnx import helper, numpy_helper

from . import checkpoint
from .network_graph import INPUT, graph, naming

SAMPLES, OUTPUTS = "samples", "outputs"     # input and output of the model
METADATA = ("step", "epoch", "sparsity", "pattern_hash", "weights_hash", "program_version")


class Builder:
    """The nodes and constants of a model that is being made. A layer may have any name, so a name that is taken gets a suffix:
    `samples` and `outputs` are those of the model."""

    def __init__(self):
        self.nodes, self.constants = [], []
        self._taken = {SAMPLES, OUTPUTS}

    def _free(self, name):
        while name in self._taken:
            name += ".value"
        self._taken.add(name)
        return name

    def constant(self, name, array):
        name = self._free(name)
        self.constants.append(numpy_helper.from_array(numpy.ascontiguousarray(array, numpy.float32), name))
        return name

    def rename(self, value, name):
        for node in self.nodes:
            for names in (node.input, node.output):
                for place, old in enumerate(names):
                    if old == value:
                        names[place] = name

    def add(self, operator, name, *inputs, **attributes):
        """Adds a node. Returns the name of its output."""
        output = self._free(name)
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output


def _window(node):
    return {"kernel_shape": [node["kernel"]] * 2, "strides": [node["stride"]] * 2}


def _batch_norm(builder, node, x, own):
    inputs = [own[name] for name in ("scale", "shift", "running_mean", "running_variance")]
    return builder.add("BatchNormalization", node.name, *x, *inputs, epsilon=float(node["epsilon"]))


# Type of a layer -> what adds it. x: the names of its inputs; own: the names of its constants by tensor, the weight first.
# Returns the name of its output.
OPERATORS = {
    "average_pool2d": lambda builder, node, x, own: builder.add("AveragePool", node.name, *x, **_window(node)),
    "batch_norm": _batch_norm,
    "conv2d": lambda builder, node, x, own: builder.add("Conv", node.name, *x, *own.values(), pads=[node["padding"]] * 4,
                                                        **_window(node)),
    "dense": lambda builder, node, x, own: builder.add("Gemm", node.name, *x, *own.values(), transB=1),
    "dropout": lambda builder, node, x, own: x[0],  # does nothing in evaluation
    "flatten": lambda builder, node, x, own: builder.add("Flatten", node.name, *x),
    "max_pool2d": lambda builder, node, x, own: builder.add("MaxPool", node.name, *x, **_window(node)),
    "relu": lambda builder, node, x, own: builder.add("Relu", node.name, *x),
}
MAKES_VECTORS = ("dense", "flatten")


def _sample_sizes(network):
    """The dimensions of a sample; names where the file does not know the sizes."""
    shape = network.input_shape
    if shape is not None:
        return list(shape[:1] if shape[1] == shape[2] == 1 else shape)
    return ["channels", "rows", "columns"] if {node.type for node in network} & {"conv2d", "flatten"} else ["features"]


def _add_layers(builder, network, weights, normalized, images):
    """normalized: the name of the network's input; images: whether samples are. Returns the name of the network's output."""
    network.check_known()
    values, is_image = {INPUT: normalized}, {INPUT: images}
    for node in network:
        own = {name.split(".")[1]: builder.constant(name, array) for name, array in weights.items()
               if name.split(".")[0] == node.name}
        x = [values[name] for name in node.inputs]
        if node.type == "dense" and is_image[node.inputs[0]]:   # of one pixel
            x = [builder.add("Flatten", f"{node.name}.input", *x)]
        values[node.name] = OPERATORS[node.type](builder, node, x, own)
        is_image[node.name] = is_image[node.inputs[0]] and node.type not in MAKES_VECTORS
    return builder.add("Flatten", f"{OUTPUTS}.flat", values[network.output]) if is_image[network.output] else values[network.output]


def onnx_model(path):
    """The network as onnx.ModelProto: from `samples`, float32 with the values of the data files, to `outputs`, which for classes
    are the logits. Operators of opset 13, which every runtime of the last years has. Pruned weights are dense, with zeros:
    hardly any runtime reads ONNX's sparse initializers."""
    path = checkpoint.find(path)
    network, state = graph(path), checkpoint.state(path)
    sample = _sample_sizes(network)
    builder = Builder()
    sizes = (1, -1) + (1,) * (len(sample) - 1)
    mean, deviation = (values.reshape(sizes) for values in checkpoint.normalization(path))
    centred = builder.add("Sub", f"{SAMPLES}.centred", SAMPLES, builder.constant(f"{SAMPLES}.mean", mean))
    normalized = builder.add("Div", f"{SAMPLES}.normalized", centred, builder.constant(f"{SAMPLES}.deviation", deviation))
    with naming(path):
        builder.rename(_add_layers(builder, network, checkpoint.arrays(path), normalized, len(sample) == 3), OUTPUTS)
    last = network.node(network.output)
    width = int(numpy.prod(last.output_shape)) if last.output_shape is not None else "features"
    made = helper.make_graph(builder.nodes, "pruntrain",
                             [helper.make_tensor_value_info(SAMPLES, onnx.TensorProto.FLOAT, ["batch", *sample])],
                             [helper.make_tensor_value_info(OUTPUTS, onnx.TensorProto.FLOAT, ["batch", width])], builder.constants)
    model = helper.make_model(made, producer_name="pruntrain", opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    helper.set_model_props(model, {name: str(state[name]) for name in METADATA})
    onnx.checker.check_model(model, full_check=True)
    return model
