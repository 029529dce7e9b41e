"""Names the Debian package of a Python package that is not installed. Imports the standard library only."""
import pathlib
import sys

DEBIAN = {"PIL": "python3-pil",
          **{name: f"python3-{name}" for name in ("h5py", "matplotlib", "numpy", "onnx", "scipy", "torch", "xxhash", "yaml")}}


def explain(module):
    """For programs: a missing package ends them with one line and exit status 1, without a traceback. Call it as
    explain(__name__) before the imports; it does nothing for a module that another one imports."""
    if module == "__main__":
        sys.excepthook = _print_explanation


def _print_explanation(kind, error, trace):
    package = (error.name or "").split(".")[0] if isinstance(error, ModuleNotFoundError) else None
    if package in DEBIAN:
        program = pathlib.Path(sys.argv[0]).stem
        print(f"{program}: the Python package {package} is missing: install {DEBIAN[package]}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)
