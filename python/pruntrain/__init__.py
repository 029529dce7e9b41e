"""Checkpoints of pruntrain in Python: SciPy and NumPy arrays, PyTorch modules, ONNX models. Does not need the program.

    import pruntrain
    weights = pruntrain.load("step_00004300.h5")        # {"dense1.weight": csr_matrix, "dense1.bias": array, ...}
    network = pruntrain.network("step_00004300.h5")     # torch.nn.Module, in evaluation mode

docs/analysis.md has examples, docs/checkpoint_format.md the layout of the file.
"""
import importlib

# Modules are imported on first use, so that NumPy arrays need no PyTorch.
_MODULE_OF = {
    **dict.fromkeys(("arrays", "class_names", "config", "find", "history", "input_names", "load", "normalization", "normalized", "read", "state", "tensors",
                     "torch_name", "verify"), "checkpoint"),
    **dict.fromkeys(("Graph", "GraphError", "Node", "graph", "layers"), "network_graph"),
    **dict.fromkeys(("Network", "network", "state_dict"), "torch_network"),
    "onnx_model": "onnx_export",
    **dict.fromkeys(("from_torch", "from_torch_like"), "weight_file"),
    "load_state": "torch_file",
    **dict.fromkeys(("read_safetensors", "write_safetensors"), "safetensors_file"),
}
__all__ = sorted(_MODULE_OF)


def __getattr__(name):
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'pruntrain' has no attribute '{name}'")
    return getattr(importlib.import_module(f"pruntrain.{_MODULE_OF[name]}"), name)


def __dir__():
    return [*globals(), *__all__]
