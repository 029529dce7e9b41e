"""The network of a checkpoint in PyTorch."""
import collections

import numpy
import scipy.sparse
import torch

from . import checkpoint
from .checkpoint import torch_name
from .network_graph import INPUT, graph, naming


def state_dict(path, sparse=False, masks=False):
    """The PyTorch state_dict: tensors in the shapes and under the names that PyTorch gives them. With `sparse`, pruned
    weights are torch.sparse_csr matrices, those of convolutions of shape (O, C*kh*kw). With `masks`, they are `weight_orig` and
    `weight_mask`, as modules of torch.nn.utils.prune have them."""
    if sparse and masks:
        raise ValueError("a state_dict has either sparse matrices or masks")
    path = checkpoint.find(path)
    arrays = checkpoint.arrays(path)
    state = collections.OrderedDict((torch_name(name), torch.from_numpy(array)) for name, array in arrays.items())
    for name, matrix in checkpoint.load(path).items() if sparse or masks else ():
        if not scipy.sparse.issparse(matrix):
            continue
        if sparse:
            pointers, indices = (torch.from_numpy(array.astype("int64")) for array in (matrix.indptr, matrix.indices))
            state[torch_name(name)] = torch.sparse_csr_tensor(pointers, indices, torch.from_numpy(matrix.data), matrix.shape)
        else:
            present = scipy.sparse.csr_matrix((numpy.ones_like(matrix.data), matrix.indices, matrix.indptr), matrix.shape)
            mask = torch.from_numpy(present.toarray().reshape(arrays[name].shape))
            state[f"{name}_orig"], state[f"{name}_mask"] = state.pop(torch_name(name)), mask
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
        return values[self.graph.output].flatten(1)    # images too, as the program writes outputs

    def train(self, mode=True):
        """As that of PyTorch, also if a layer is named `training`."""
        self.__dict__["training"] = mode
        for module in self.children():
            module.train(mode)
        return self

    def __getitem__(self, layer):
        return self._modules[layer] if isinstance(layer, str) else list(self._modules.values())[layer]

    def __len__(self):
        return len(self._modules)


def network(path):
    """The network as torch.nn.Module, in evaluation mode. Feed it what `normalized` returns."""
    path = checkpoint.find(path)
    state = state_dict(path)
    described = graph(path)
    with naming(path):
        result = Network(described, state)
    result.load_state_dict(state)
    return result.eval()
