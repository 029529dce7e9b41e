"""Reads and writes safetensors files. Needs NumPy only: Debian 12 does not package the library.

A file is the length of the header (8 bytes, little-endian), the header in JSON, and the data of all tensors without gaps. The header
maps each name to its `dtype`, `shape` and `data_offsets`, and `__metadata__` to a map of texts.
"""
import json
import math
import struct

import numpy

LARGEST_HEADER = 100_000_000    # bytes, as in the library
TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
         "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?"}
METADATA = "__metadata__"


def looks_like_safetensors(start):
    """True if a file that starts with these bytes (at least 9) has a header in JSON."""
    return len(start) > 8 and start[8:9] == b"{" and struct.unpack("<Q", start[:8])[0] <= LARGEST_HEADER


def read_safetensors(path):
    """Name -> array, in the order of the header; bfloat16 becomes float32. Raises ValueError if the file is no valid one."""
    with open(path, "rb") as file:
        content = file.read()
    try:
        return _read(content)
    except ValueError as error:
        raise ValueError(f"{path} is no valid safetensors file: {error}") from None


def _read(content):
    if len(content) < 8:
        raise ValueError(f"it has {len(content)} bytes, fewer than the 8 of the header's length")
    size = struct.unpack("<Q", content[:8])[0]
    if size > min(LARGEST_HEADER, len(content) - 8):
        raise ValueError(f"the length of the header is {size}, but the file has {len(content) - 8} more bytes")
    header, data = _parsed(content[8:8 + size]), memoryview(content)[8 + size:]
    header.pop(METADATA, None)
    entries = {name: _checked(name, entry) for name, entry in header.items()}
    end, last = 0, "the header"
    for name, (_, _, begin, stop) in sorted(entries.items(), key=lambda entry: entry[1][2:]):
        if begin != end:
            raise ValueError(f"the data of '{name}' begin at {begin}, those of '{last}' end at {end}: tensors must neither overlap "
                             "nor leave a gap")
        end, last = stop, name
    if end != len(data):
        raise ValueError(f"the header describes {end} bytes of data, the file has {len(data)}: it is truncated or has too many")
    return {name: _array(kind, shape, data[begin:stop]) for name, (kind, shape, begin, stop) in entries.items()}


def _parsed(text):
    def unique(pairs):
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a name occurs twice in its header")
        return dict(pairs)
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=unique)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise ValueError("its header is no JSON") from None
    if not isinstance(header, dict):
        raise ValueError("its header is no map of names")
    return header


def _checked(name, entry):
    """(dtype, shape, begin, end) of an entry of the header."""
    def are_sizes(values):
        return isinstance(values, list) and all(type(value) is int and 0 <= value < 1 << 62 for value in values)

    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"'{name}' must have dtype, shape and data_offsets")
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(kind, str) or kind not in TYPES:
        raise ValueError(f"'{name}' is of type {kind}; known are {', '.join(TYPES)}")
    if not are_sizes(shape) or not are_sizes(offsets) or len(offsets) != 2:
        raise ValueError(f"'{name}' has the shape {shape} and the offsets {offsets}: not lists of sizes")
    needed = math.prod(shape) * numpy.dtype(TYPES[kind]).itemsize
    if offsets[1] - offsets[0] != needed:
        raise ValueError(f"'{name}' of shape {shape} and type {kind} needs {needed} bytes, its offsets {offsets} have "
                         f"{offsets[1] - offsets[0]}")
    return kind, shape, *offsets


def _array(kind, shape, data):
    array = numpy.frombuffer(data, TYPES[kind])
    if kind == "BF16":      # the upper half of a float32
        array = (array.astype("<u4") << 16).view("<f4")
    return array.reshape(shape)


def write_safetensors(arrays, file):
    """Writes float32 arrays (name -> array) in their order to an open binary file."""
    header, end = {METADATA: {"format": "pt"}}, 0
    for name, array in arrays.items():
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [end, end + 4 * array.size]}
        end += 4 * array.size
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)     # the data begin at a multiple of 8 bytes
    file.write(struct.pack("<Q", len(text)) + text)
    for array in arrays.values():
        file.write(numpy.ascontiguousarray(array, "<f4").tobytes())
