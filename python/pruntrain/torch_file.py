"""Reads the tensors of a file of PyTorch: a state_dict, a checkpoint that holds one, or safetensors. Executes nothing of the file."""
import pathlib
import pickle
import zipfile
import zlib

from .placeholder import Placeholder, placeholder_name
from .safetensors_file import looks_like_safetensors, read_safetensors

# Where training programs keep the state_dict in their checkpoints: PyTorch's tutorials, Lightning, torchvision and others.
ENTRIES = ("state_dict", "model_state_dict", "model", "net", "network", "module")
OPTIMIZER = {"state", "param_groups"}
LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."     # first bytes of torch.save before PyTorch 1.6
# First bytes of other files, which people give an ending of PyTorch.
OTHERS = ((b"\x93NUMPY", "a NumPy array"), (b"\x89HDF", "an HDF5 file"), (b"\x1f\x8b", "compressed by gzip"),
          (b"version https://git-lfs", "a Git LFS pointer: the file itself was not fetched"))


def _unpickled(path):
    import torch

    from .torch_archive import read_archive, read_old_file

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, TypeError):
        # Other things than tensors, such as settings, or a version of PyTorch that does not know all of pickle (1.13: floats).
        return read_archive(path) if zipfile.is_zipfile(path) else read_old_file(path)


def _other_kind(path):
    """What a file is that is none of torch.save, or None."""
    with open(path, "rb") as file:
        start = file.read(64)
    if not start:
        return "empty"
    for bytes_, kind in OTHERS:
        if start.startswith(bytes_):
            return kind
    if start.startswith(b"PK"):
        try:
            with zipfile.ZipFile(path) as archive:
                names = [name.partition("/")[2] for name in archive.namelist()]
                wrong = archive.testzip()   # PyTorch 1.13 does not compare checksums
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, OSError, zlib.error) as error:
            return f"damaged or truncated: {_first_words(error)}"
        if wrong is not None:
            return f"damaged: its part {wrong} does not fit its checksum"
        if "constants.pkl" in names:
            return ("a TorchScript program, which is not executed here; write its tensors by "
                    f"torch.save(torch.jit.load('{path}').state_dict(), 'state.pt')")
        if "data.pkl" not in names:
            return "a zip archive of another program"
    elif not start.startswith(LEGACY):
        return "of unknown format"
    return None


def _whole_module(name, path, index=""):
    return ValueError(f"{path} holds a whole module ({name}), which is code and is not loaded here. Where that class can be "
                      f"imported, run torch.save(torch.load('{path}', weights_only=False){index}.state_dict(), 'state.pt')")


def _is_state(value):
    import torch

    return isinstance(value, dict) and any(isinstance(tensor, torch.Tensor) for tensor in value.values())


def _entry(loaded, path, entry):
    """The state_dict in what torch.load returned. entry: the key that the user named, or None."""
    if isinstance(loaded, Placeholder):
        raise _whole_module(placeholder_name(loaded), path)
    if not isinstance(loaded, dict):
        raise ValueError(f"{path} holds no state_dict but {type(loaded).__name__}: write it by "
                         "torch.save(network.state_dict(), 'state.pt')")
    if not loaded:
        raise ValueError(f"{path} holds an empty dictionary: it has no tensors")
    if entry is None and _is_state(loaded):
        return loaded
    states = [key for key, value in loaded.items() if _is_state(value)]
    chosen = [entry] if entry is not None else [key for key in ENTRIES if key in states] or [key for key in ENTRIES if key in loaded]
    if len(chosen) == 1 and chosen[0] in loaded:
        value = loaded[chosen[0]]
        if isinstance(value, Placeholder):
            raise _whole_module(placeholder_name(value), path, f"['{chosen[0]}']")
        if _is_state(value):
            return value
        raise ValueError(f"{path} has no tensors in its entry '{chosen[0]}'")
    keys = ", ".join(map(str, loaded))
    if not states:
        kind = "the state of an optimizer, no weights" if OPTIMIZER <= set(loaded) else f"no state_dict; its entries are {keys}"
        raise ValueError(f"{path} holds {kind}: write the weights by torch.save(network.state_dict(), 'state.pt')")
    wrong = f"no entry '{entry}'" if entry is not None else f"the entries {keys}"
    raise ValueError(f"{path} has {wrong}: choose the state_dict by --entry NAME, where NAME is one of {', '.join(map(str, states))}")


def load_state(path, entry=None):
    """Name -> tensor (PyTorch's, or an array from safetensors). entry: the key of the state_dict in a checkpoint that has several.

    Raises ValueError that says what the file is and what to do."""
    path = pathlib.Path(path)
    with open(path, "rb") as file:
        start = file.read(9)
    if path.suffix == ".safetensors" or looks_like_safetensors(start):
        state = read_safetensors(path)
        if not state:
            raise ValueError(f"{path} has no tensors")
        return state
    kind = _other_kind(path)
    if kind is not None:
        raise ValueError(f"{path} is no usable file of torch.save: it is {kind}")
    try:
        loaded = _unpickled(path)
    except Exception as error:  # noqa: BLE001 (a damaged pickle may raise anything)
        if isinstance(error, (ModuleNotFoundError, MemoryError)):
            raise
        raise ValueError(f"{path} is no file of torch.save, or it is damaged: {_first_words(error)}") from None
    state = _entry(loaded, path, entry)
    for name, value in state.items():
        if isinstance(value, Placeholder) and "rebuild_qtensor" in placeholder_name(value):
            raise ValueError(f"{path}: {name} is quantized; convert a network before it is quantized")
    return state


def _first_words(error):
    return " ".join(str(error).split())[:150] or type(error).__name__
