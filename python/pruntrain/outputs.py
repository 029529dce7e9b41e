"""Output files: checked before the work, and complete or absent after it."""
import contextlib
import os
import pathlib


def check_outputs(inputs, outputs):
    """Raises ValueError if an output cannot be written, is an input, or is given twice."""
    seen = {}
    for out in map(pathlib.Path, outputs):
        folder = out.resolve().parent
        if out.is_dir():
            raise ValueError(f"the output {out} is a folder: give the name of a file")
        if not folder.is_dir():
            raise ValueError(f"cannot write {out}: there is no folder {folder}; make it first")
        if not os.access(out if _is_device(out) else folder, os.W_OK):
            raise ValueError(f"cannot write {out}: no permission to write in {folder}")
        for name in inputs:
            if out.exists() and pathlib.Path(name).exists() and out.samefile(name):
                raise ValueError(f"the output {out} is the input {name}: choose another name")
        if out.resolve() in seen and not _is_device(out):
            raise ValueError(f"two outputs are the same file: {seen[out.resolve()]} and {out}")
        seen[out.resolve()] = out


def _is_device(path):
    """Devices and pipes are written to; a file is replaced."""
    return path.exists() and not path.is_file()


@contextlib.contextmanager
def replaced(out):
    """A binary file to write to. It replaces `out` at the end, or is removed if the body raises."""
    out = pathlib.Path(out)
    if _is_device(out):
        with open(out, "wb") as file:
            yield file
        return
    out = out.resolve()     # a symbolic link stays
    temporary = out.with_name(f"{out.name}.tmp")
    try:
        with open(temporary, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)
