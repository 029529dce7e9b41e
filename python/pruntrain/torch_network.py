"""The network of a checkpoint in PyTorch."""
import collections

import scipy.sparse
import torch

from . import checkpoint
from .network_graph import INPUT, GraphError, graph, naming

TORCH_NAMES = {"scale": "weight", "shift": "bias", "running_variance": "running_var"}    # of batch-norm


def torch_name(name):
    """"batch_norm1.scale" -> "batch_norm1.weight": the name of a tensor in a state_dict."""
    layer, tensor = name.split(".")
    return f"{layer}.{TORCH_NAMES.get(tensor, tensor)}"


def state_dict(path, sparse=False):
    """The PyTorch state_dict: tensors in the shapes and under the names that PyTorch gives them. With `sparse`, pruned
    weights are torch.sparse_csr matrices, those of convolutions of shape (O, C*kh*kw)."""
    state = collections.OrderedDict((torch_name(name), torch.from_numpy(array))
                                    for name, array in checkpoint.arrays(path).items())
    if sparse:
        for name, matrix in checkpoint.load(path).items():
            if scipy.sparse.issparse(matrix):
                pointers, indices = (torch.from_numpy(array.astype("int64")) for array in (matrix.indptr, matrix.indices))
                state[torch_name(name)] = torch.sparse_csr_tensor(pointers, indices, torch.from_numpy(matrix.data), matrix.shape)
    return state


class Dense(torch.nn.Linear):
    """Reads an image of one pixel as a vector, as pruntrain does."""
    def forward(self, x):
        return super().forward(x.flatten(1))


class BatchNorm(torch.nn.BatchNorm1d):
    """For vectors and images alike: the arithmetic of PyTorch's own classes is the same, only their check is not."""
    def _check_input_dim(self, _):
        pass


def _dense(node, tensors):
    outputs, inputs = tensors["weight"].shape
    return Dense(inputs, outputs, "bias" in tensors)


def _conv2d(node, tensors):
    outputs, inputs, *kernel = tensors["weight"].shape
    return torch.nn.Conv2d(inputs, outputs, kernel, node["stride"], node["padding"], bias="bias" in tensors)


# Type of a layer -> what makes its module from the node and the node's tensors.
MODULES = {
    "average_pool2d": lambda node, tensors: torch.nn.AvgPool2d(node["kernel"], node["stride"]),
    "batch_norm": lambda node, tensors: BatchNorm(len(tensors["weight"]), node["epsilon"], node["momentum"]),
    "conv2d": _conv2d,
    "dense": _dense,
    "dropout": lambda node, tensors: torch.nn.Dropout(node["rate"]),
    "flatten": lambda node, tensors: torch.nn.Flatten(),
    "max_pool2d": lambda node, tensors: torch.nn.MaxPool2d(node["kernel"], node["stride"]),
    "relu": lambda node, tensors: torch.nn.ReLU(),
}


class Network(torch.nn.Module):
    """A graph of layers. The module of a layer has the layer's name; network["dense1"] is one, network[0] the first."""

    def __init__(self, graph, state):
        """state: a state_dict, which determines sizes; its values are not loaded."""
        super().__init__()
        graph.check_known()
        self.graph = graph
        tensors = collections.defaultdict(dict)
        for name, tensor in state.items():
            layer, own = name.split(".")
            tensors[layer][own] = tensor
        for node in graph:
            if node.name == "training":     # an attribute that PyTorch sets
                raise GraphError(f"{node} has a name that no part of a PyTorch module can have")
            self._modules[node.name] = MODULES[node.type](node, tensors[node.name])    # add_module refuses names such as `forward`
        last_use = {name: position for position, node in enumerate(graph) for name in node.inputs}
        self._unused_after = collections.defaultdict(list)
        for name, position in last_use.items():
            if name != graph.output:
                self._unused_after[position].append(name)

    def forward(self, x):
        values = {INPUT: x}
        for position, node in enumerate(self.graph):
            values[node.name] = self._modules[node.name](*(values[name] for name in node.inputs))
            for name in self._unused_after[position]:
                del values[name]
        return values[self.graph.output]

    def __getitem__(self, layer):
        return self._modules[layer] if isinstance(layer, str) else list(self._modules.values())[layer]

    def __len__(self):
        return len(self._modules)


def network(path):
    """The network as torch.nn.Module, in evaluation mode. Feed it what `normalized` returns."""
    state = state_dict(path)
    described = graph(path)
    with naming(path):
        result = Network(described, state)
    result.load_state_dict(state)
    return result.eval()
