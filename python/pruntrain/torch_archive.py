"""Reads a zip archive of torch.save without a call of anything that the file names: torch.load(weights_only=True) refuses a file
with any other object than tensors, though only its tensors are needed.

The archive has `data.pkl`, a pickle that refers to storages, and the bytes of each storage in `data/KEY`. Here tensors are built
by the functions below, and every other object becomes an inert Placeholder.
"""
import collections
import pickle
import zipfile

import torch

from .placeholder import Placeholder

STORAGES = {"DoubleStorage": torch.float64, "FloatStorage": torch.float32, "HalfStorage": torch.float16,
            "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32, "ShortStorage": torch.int16,
            "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool}


def _tensor(storage, offset, size, stride, *_):
    if not isinstance(storage, torch.Tensor):
        raise pickle.UnpicklingError("a tensor has no storage")
    return torch.as_strided(storage, size, stride, offset)     # which checks that it is inside the storage


def _parameter(tensor, *_):
    return tensor


def _sparse(layout, parts):
    """parts: as PyTorch stores them, the shape after two or three tensors. The constructors check the indices."""
    if layout == "torch.sparse_coo":
        return torch.sparse_coo_tensor(*parts[:3])
    if layout == "torch.sparse_csr":
        return torch.sparse_csr_tensor(*parts[:4])
    raise pickle.UnpicklingError(f"a tensor has the layout {layout}: only torch.sparse_coo and torch.sparse_csr are read")


CALLED = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch", "Size"): tuple,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch._utils", "_rebuild_sparse_csr_tensor"): _sparse,
    ("torch._utils", "_rebuild_sparse_tensor"): _sparse,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch.serialization", "_get_layout"): str,
}


class Unpickler(pickle.Unpickler):
    def __init__(self, file, read_storage):
        super().__init__(file, encoding="utf-8")
        self._read_storage = read_storage
        self._storages = {}

    def find_class(self, module, name):
        """Never imports what the file names."""
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        return CALLED.get((module, name)) or type(f"{module}.{name}", (Placeholder,), {})

    def persistent_load(self, described):
        _, dtype, key, _, size = described
        if not isinstance(dtype, torch.dtype):
            return None
        if key not in self._storages:
            content = bytearray(self._read_storage(key))
            self._storages[key] = torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)
        if len(self._storages[key]) < size:
            raise pickle.UnpicklingError(f"the storage {key} is truncated")
        return self._storages[key]


def read_archive(path):
    """The object in a file of torch.save, with tensors on the CPU and placeholders."""
    with zipfile.ZipFile(path) as archive:
        folder = next(name.rpartition("/")[0] for name in archive.namelist() if name.endswith("/data.pkl"))
        if f"{folder}/byteorder" in archive.namelist() and archive.read(f"{folder}/byteorder") != b"little":
            raise pickle.UnpicklingError("it is of a big-endian machine")
        with archive.open(f"{folder}/data.pkl") as file:
            return Unpickler(file, lambda key: archive.read(f"{folder}/data/{key}")).load()
