"""Evaluates an ONNX model node by node in PyTorch, because Debian 12 has neither onnx.reference nor onnxruntime."""

import onnx
import torch
from onnx import helper, numpy_helper
from torch.nn import functional


def pairs(attributes, name, otherwise):
    return tuple(attributes.get(name, (otherwise, otherwise)))


def convolution(x, weight, *bias, **attributes):
    top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
    padded = functional.pad(x, (left, right, top, bottom))
    return functional.conv2d(padded, weight, *bias, stride=pairs(attributes, "strides", 1))


def gemm(x, weight, *bias, transB=0):
    product = x @ (weight.T if transB else weight)
    return product + bias[0] if bias else product


def batch_norm(x, scale, shift, mean, variance, epsilon):
    return functional.batch_norm(x, mean, variance, scale, shift, training=False, eps=epsilon)


# The default stride is 1 in ONNX, unlike PyTorch's pooling.
OPERATORS = {
    "Sub": torch.sub, "Div": torch.div, "Relu": torch.relu, "Conv": convolution, "Gemm": gemm, "BatchNormalization": batch_norm,
    "Flatten": lambda x: x.flatten(1),
    "MaxPool": lambda x, **a: functional.max_pool2d(x, a["kernel_shape"], pairs(a, "strides", 1)),
    "AveragePool": lambda x, **a: functional.avg_pool2d(x, a["kernel_shape"], pairs(a, "strides", 1)),
}


def outputs(path, samples):
    """The outputs of the model in a file, for samples in a numpy array. An unknown attribute is an error."""
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    known = {tensor.name: torch.tensor(numpy_helper.to_array(tensor)) for tensor in model.graph.initializer}
    known[model.graph.input[0].name] = torch.tensor(samples, dtype=torch.float32)
    for node in model.graph.node:
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        known[node.output[0]] = OPERATORS[node.op_type](*(known[name] for name in node.input), **attributes)
    return known[model.graph.output[0].name].numpy()
