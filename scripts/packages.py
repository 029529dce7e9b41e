"""Makes the project's Python package importable, installed or not, and says which Debian package a script misses.

A script calls explain(__name__) before it imports what may be missing.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "python"))
from pruntrain.missing_packages import explain  # noqa: E402, F401 (its folder is known only now)
