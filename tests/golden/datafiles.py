"""The data files of the cases, the same bytes on every machine."""

import gzip
import random

import h5py
import numpy


def noise(seed, *shape):
    """Bytes at random; Python promises the same for a seed, NumPy's generators do not."""
    return numpy.frombuffer(random.Random(seed).randbytes(int(numpy.prod(shape))), numpy.uint8).reshape(shape)


def classes(inputs, count):
    """A label that the first numbers of a sample decide."""
    flat = inputs.reshape(len(inputs), -1).astype(int)
    return (((flat[:, 0] > 127) + 2 * (flat[:, 1] + flat[:, 2] > 255)) % count).astype(numpy.uint8)


def write_idx(path, array):
    head = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    with gzip.GzipFile(path, "wb", mtime=0) as file:
        file.write(head + array.tobytes())


def write(folder):
    """Images of one byte a pixel as HDF5 and IDX, floats as NPY (once with a sample that is too large), and a table."""
    for name, samples, storage in (("train", 251, {}), ("test", 13, {"chunks": (2, 1, 5, 7), "compression": "gzip"})):
        images = noise(samples, samples, 1, 5, 7)
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file.create_dataset("inputs", data=images, **storage)
            file["targets"] = classes(images, 3)
        with h5py.File(folder / "paths.h5", "a") as file:
            group = file.create_group("a" if name == "train" else "b")
            group["x"], group["y"] = images, classes(images, 3)
        idx = "train" if name == "train" else "t10k"
        write_idx(folder / f"{idx}-images-idx3-ubyte.gz", images[:, 0])
        write_idx(folder / f"{idx}-labels-idx1-ubyte.gz", classes(images, 3))

    numbers = noise(3, 120, 6)
    inputs = numbers.astype(numpy.float32) / numpy.float32(256)
    numpy.save(folder / "x.npy", inputs)
    numpy.save(folder / "y.npy", classes(numbers, 3))
    spoilt = inputs.copy()
    spoilt[17, 2] = 3e38    # infinite after normalization
    numpy.save(folder / "spoilt.npy", spoilt)

    rows = [[*(value / 256 for value in map(int, row)), (int(row[0]) + int(row[1])) / 256, int(row[2]) * int(row[3]) / 65536]
            for row in noise(4, 150, 6)]
    for name, separator in (("table.csv", ","), ("table.tsv", "\t")):
        (folder / name).write_text("".join(separator.join(map(repr, row)) + "\n" for row in rows))
