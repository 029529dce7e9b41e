#!/usr/bin/python3
"""Checkpoints of pruntrain for SciPy, NumPy, PyTorch and ONNX, and PyTorch's weights for pruntrain; does not need the program.

As a module it has the functions of the package in python/pruntrain: load, arrays, graph, state_dict, network, normalized,
onnx_model, from_torch and others (docs/analysis.md). As a program: python3 scripts/pruntrain_io.py --help.
"""
import packages

packages.explain(__name__)
import pruntrain  # noqa: E402 (its folder is known only now)

__all__ = pruntrain.__all__


def __getattr__(name):
    """The functions of the package, each imported on first use: reading arrays needs no PyTorch."""
    return getattr(pruntrain, name)


if __name__ == "__main__":
    from pruntrain.command_line import main

    main()
