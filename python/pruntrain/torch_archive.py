"""Reads a file of torch.save without a call of anything that the file names: torch.load(weights_only=True) refuses a file with any
other object than tensors, though only its tensors are needed.

The file is a zip archive of `data.pkl`, a pickle that refers to storages, and the bytes of each storage in `data/KEY`. Before PyTorch
1.6 it was a sequence of pickles, then the length and the bytes of each storage. Here tensors are built by the functions below, and
every other object becomes an inert Placeholder.
"""
import collections
import os
import pickle
import struct
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
    """read_storage: (key, dtype, size) -> tensor of one dimension"""

    def __init__(self, file, read_storage=None):
        super().__init__(file, encoding="utf-8")
        self._read_storage = read_storage
        self.storages = {}

    def find_class(self, module, name):
        """Never imports what the file names."""
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        return CALLED.get((module, name)) or type(f"{module}.{name}", (Placeholder,), {})

    def persistent_load(self, described):
        """described: ("storage", type, key, place, size), and in old files what part of another storage it is."""
        if described[0] != "storage" or self._read_storage is None or not isinstance(described[1], torch.dtype):
            return None
        _, dtype, key, _, size, *part = described
        if any(part):
            raise pickle.UnpicklingError(f"the storage {key} is a part of another one, as before PyTorch 0.4")
        if key not in self.storages:
            self.storages[key] = self._read_storage(key, dtype, size)
        return self.storages[key]


def read_archive(path):
    """The object in a file of torch.save, with tensors on the CPU and placeholders."""
    with zipfile.ZipFile(path) as archive:
        folder = next(name.rpartition("/")[0] for name in archive.namelist() if name.endswith("/data.pkl"))
        if f"{folder}/byteorder" in archive.namelist() and archive.read(f"{folder}/byteorder") != b"little":
            raise pickle.UnpicklingError("it is of a big-endian machine")
        with archive.open(f"{folder}/data.pkl") as file:
            return Unpickler(file, lambda key, dtype, size: _storage(archive.read(f"{folder}/data/{key}"), key, dtype, size)).load()


def _storage(content, key, dtype, size):
    if len(content) < size * torch.empty(0, dtype=dtype).element_size():
        raise pickle.UnpicklingError(f"the storage {key} is truncated")
    return torch.frombuffer(bytearray(content), dtype=dtype) if content else torch.empty(0, dtype=dtype)


def read_old_file(path):
    """As read_archive, of a file that PyTorch wrote before 1.6. Storages come after the tensors that are views of them."""
    with open(path, "rb") as file:
        for _ in range(3):      # magic number, version, sizes of the machine's types
            Unpickler(file).load()
        size_of_file = os.fstat(file.fileno()).st_size

        def allocated(key, dtype, size):
            if not 0 <= size <= size_of_file:
                raise pickle.UnpicklingError(f"the storage {key} is truncated")
            return torch.zeros(size, dtype=dtype)
        unpickler = Unpickler(file, allocated)
        read = unpickler.load()
        for key in Unpickler(file).load():
            storage = unpickler.storages[key]
            size = struct.unpack("<q", file.read(8))[0]
            content = file.read(len(storage) * storage.element_size())
            if size != len(storage):
                raise pickle.UnpicklingError(f"the storage {key} has another size than its tensors")
            if size:
                storage.copy_(_storage(content, key, storage.dtype, size))
        return read
