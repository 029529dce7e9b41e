"""The tensors of a state_dict by module, as weights: masks of torch.nn.utils.prune and weight_norm are applied."""
import dataclasses
import fnmatch
import re

import numpy
import scipy.sparse

# Counters of batch-norm and of torch.optim.swa_utils.AveragedModel, which no network computes with.
COUNTERS = ("num_batches_tracked", "n_averaged")
PARAMETRIZED = re.compile(r"(?:(.*)\.)?parametrizations\.(\w+)\.original([01]?)")


@dataclasses.dataclass
class Given:
    """A tensor of a module. `value` is PyTorch's or NumPy's; with a mask, only the weights that are 1 in it are present; with `norm`
    it is the direction of weight_norm."""
    name: str           # in the file
    value: object
    mask: object = None
    norm: object = None

    @property
    def shape(self):
        return tuple(self.value.shape)

    @property
    def is_matrix_of_convolution(self):
        """A sparse matrix has two dimensions, also if it holds the kernels of a convolution."""
        return _is_sparse(self.value) and len(self.value.shape) == 2

    def read(self):
        """(float32 array, mask of the present weights or None: all). Raises ValueError for values that are no weights."""
        original, present = _dense(self.name, self.value)
        if self.norm is not None:
            original = _with_norm(self.name, original, _dense(f"{self.name}_g", self.norm)[0])
        if self.mask is not None:
            present = _mask(f"{self.name}_mask", self.mask, original.shape)
            original = numpy.where(present, original, original.dtype.type(0))
        with numpy.errstate(over="ignore"):
            array = numpy.ascontiguousarray(original, numpy.float32)
        _check_finite(self.name, original, array)
        return array, present


def _is_sparse(value):
    return "sparse" in str(getattr(value, "layout", ""))


def _dense(name, value):
    """(array of floating-point numbers, mask of the elements that a sparse tensor stores or None)."""
    if isinstance(value, numpy.ndarray):
        is_float = value.dtype.kind == "f"
    else:
        if value.is_meta:
            raise ValueError(f"{name} has no values (device meta)")
        is_float = value.is_floating_point() and not value.is_quantized
    if not is_float:
        raise ValueError(f"{name} is of type {value.dtype}: weights are floating-point numbers; quantized ones are not read")
    if isinstance(value, numpy.ndarray):
        return value, None
    value, stored = value.detach().cpu(), None
    if _is_sparse(value):
        value, stored = _from_sparse(name, value)
    return (value if str(value.dtype) in ("torch.float32", "torch.float64") else value.float()).numpy(), stored


def _from_sparse(name, value):
    kind = str(value.layout)
    if kind == "torch.sparse_coo" and value.dense_dim() == 0:
        value = value.coalesce()
        stored = numpy.zeros(tuple(value.shape), bool)
        stored[tuple(value.indices().numpy())] = True
        return value.to_dense(), stored
    if kind == "torch.sparse_csr" and len(value.shape) == 2:
        columns = value.col_indices().numpy()
        pattern = scipy.sparse.csr_matrix((numpy.ones(len(columns)), columns, value.crow_indices().numpy()), tuple(value.shape))
        return value.to_dense(), pattern.toarray() > 0
    raise ValueError(f"{name} has the layout {kind} with {len(value.shape)} dimensions: sparse weights are COO, or matrices in CSR")


def _with_norm(name, direction, norm):
    """weight = g v / |v|. The norm is over the dimensions in which g has size 1, or over all if g is a scalar."""
    if norm.ndim not in (0, direction.ndim) or any(size not in (1, own) for size, own in zip(norm.shape, direction.shape)):
        raise ValueError(f"{name}_g is {norm.shape}, which is no norm of {name}_v of {direction.shape}")
    direction = direction.astype(numpy.float64)
    axes = tuple(axis for axis in range(direction.ndim) if norm.ndim == 0 or norm.shape[axis] == 1)
    with numpy.errstate(divide="ignore", invalid="ignore"):
        return norm * direction / numpy.sqrt((direction ** 2).sum(axes, keepdims=True))


def _mask(name, value, shape):
    array = value if isinstance(value, numpy.ndarray) else value.detach().cpu().float().numpy()
    if array.shape != shape:
        raise ValueError(f"{name} is {array.shape}, the tensor {shape}")
    if not numpy.isin(array, (0, 1)).all():
        raise ValueError(f"{name} has other values than 0 and 1")
    return array != 0


def _check_finite(name, original, array):
    wrong = numpy.argwhere(~numpy.isfinite(array))
    if len(wrong):
        value = original[tuple(wrong[0])]
        too_large = ", too large for float32" if numpy.isfinite(value) else ""
        more = f" (and {len(wrong) - 1} more of its values)" if len(wrong) > 1 else ""
        raise ValueError(f"{name}[{', '.join(map(str, wrong[0]))}] is {value}{too_large}{more}: weights must be finite")


def plain_name(name):
    """Without what torch.compile adds."""
    return ".".join(part for part in name.split(".") if part != "_orig_mod")


def by_module(state, ignore=()):
    """{module: {tensor: Given}} in the order of the state. ignore: patterns of names that are left out."""
    state = _without(state, ignore)
    modules = {}
    for name, value in state.items():
        if name.rpartition(".")[2] in COUNTERS:
            continue
        if "_packed_params" in name:
            raise ValueError(f"{name} is of a quantized module: convert the network before it is quantized")
        if not hasattr(value, "shape") or not hasattr(value, "dtype"):
            raise ValueError(f"{name} is no tensor but {type(value).__name__}: leave it out by --ignore '{name}'")
        module, tensor = _parts(name)
        if tensor in modules.setdefault(module, {}):
            raise ValueError(f"the state has {modules[module][tensor].name} and {name}, which are the same tensor")
        modules[module][tensor] = Given(name, value)
    for module, tensors in modules.items():
        _apply_norms_and_masks(module, tensors)
    return modules


def _without(state, ignore):
    for name in state:
        if not isinstance(name, str):
            raise ValueError(f"the state has the key {name!r}: the keys of a state_dict are names")
    for pattern in ignore:
        found = fnmatch.filter(state, pattern)
        if not found:
            raise ValueError(f"--ignore '{pattern}': the state has no such name; it has {', '.join(state)}")
        state = {name: value for name, value in state.items() if name not in found}
    return state


def _parts(name):
    """(module, tensor) of a name in the file."""
    plain = plain_name(name)
    parametrized = PARAMETRIZED.fullmatch(plain)
    if parametrized and parametrized[3]:    # torch.nn.utils.parametrizations.weight_norm
        return parametrized[1] or "", f"{parametrized[2]}{'_v' if parametrized[3] == '1' else '_g'}"
    if parametrized:
        raise ValueError(f"{name} is parametrized: call torch.nn.utils.parametrize.remove_parametrizations(module, "
                         f"'{parametrized[2]}') before the state_dict is saved")
    module, _, tensor = plain.rpartition(".")
    return module, tensor


def _apply_norms_and_masks(module, tensors):
    for tensor in ("weight", "bias"):
        parts = {suffix: tensors.get(f"{tensor}_{suffix}") for suffix in ("g", "v", "orig", "mask", "u")}
        name = f"{module}.{tensor}" if module else tensor
        if parts["orig"] and parts["u"]:
            raise ValueError(f"{name} has spectral_norm ({parts['orig'].name}, {parts['u'].name}): call "
                             "torch.nn.utils.remove_spectral_norm(module) before the state_dict is saved")
        if parts["orig"] and not parts["mask"]:
            raise ValueError(f"{parts['orig'].name} has no {name}_mask: it is parametrized by something that is not known")
        folded = None
        if parts["g"] and parts["v"]:
            folded, used = Given(name, parts["v"].value, norm=parts["g"].value), "gv"
        elif parts["orig"] and parts["mask"]:
            folded, used = Given(name, parts["orig"].value, mask=parts["mask"].value), ("orig", "mask")
        if folded is None:
            continue
        if tensor in tensors:
            raise ValueError(f"the state has {tensors[tensor].name} and also {', '.join(parts[suffix].name for suffix in used)}")
        for suffix in used:
            del tensors[f"{tensor}_{suffix}"]
        tensors[tensor] = folded
