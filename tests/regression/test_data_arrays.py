#!/usr/bin/python3
"""Arrays as NumPy, h5py, MATLAB and others write them give the same network as plain ones, or a message that helps."""

import pathlib
import shutil
import subprocess
import tempfile
import unittest
import unittest.mock

import h5py
import numpy

import support
from support import EndToEnd, at_once, messages, run

CONFIG = """
run: {name: plain, seed: 1, progress: lines}
data: {directory: ., format: npy, train_inputs: x.npy, train_targets: y.npy}
model: [{layer: dense, units: 5}, {layer: relu}, {layer: dense, units: 3}]
train: {epochs: 2, global_batch: 16}
optimizer: {learning_rate: 0.01}
"""
SAMPLES = 60
NO_LOCKS = r"""
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int flock(int fd, int operation) {
    char link[64], name[4096];
    (void)operation;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, name, sizeof name - 1);
    name[n < 0 ? 0 : n] = 0;
    if (strncmp(name, "/memfd:", 7) == 0 || strstr(name, "(deleted)")) return 0;
    errno = ENOLCK;
    return -1;
}
"""


def npy(inputs="x.npy", targets="y.npy", more=""):
    return f"data={{format: npy, train_inputs: {inputs}, train_targets: {targets}{more}}}"


def hdf5(inputs="x", targets="y", file="all.h5", more=""):
    return f"data={{format: hdf5, train_file: {file}, inputs_path: {inputs}, targets_path: {targets}{more}}}"


class ArrayFiles(EndToEnd):
    def setUp(self):
        super().setUp()
        random = numpy.random.default_rng(1)
        self.y = numpy.arange(SAMPLES) % 3
        # halves of small integers: exact in every type of floating-point values
        self.x = (random.integers(-20, 20, (SAMPLES, 4)) / 2 + self.y[:, None]).astype("f4")
        self.save("x", self.x)
        self.save("y", self.y)
        self.config = self.write_config(CONFIG)

    def save(self, name, array):
        numpy.save(self.folder / f"{name}.npy", array)

    def data(self, keys):
        return keys.replace("data={", f"data={{directory: {self.folder}, ")

    def hash_of(self, name, keys, *more):
        done = run(self.config, f"run.output={self.folder}", f"run.name={name}", self.data(keys), *more)
        self.assertEqual(done.returncode, 0, f"{keys}: {done.stderr}")
        return support.Run(self.folder / name).summary["weights_hash"], done.stderr

    def check(self, keys):
        return run("--check", self.config, self.data(keys))

    def assert_same_network(self, cases):
        """cases: {name: keys}, whose networks must be that of the plain files; @return {name: stderr}"""
        expected, _ = self.hash_of("plain", npy())
        found = dict(zip(cases, at_once(self.hash_of, [(f"run_{name}", keys) for name, keys in cases.items()])))
        for name, (weights, _) in found.items():
            self.assertEqual(weights, expected, name)
        return {name: stderr for name, (_, stderr) in found.items()}

    def test_the_same_values_written_in_other_ways(self):
        self.save("fortran", numpy.asfortranarray(self.x.astype("f8")))
        self.save("big", self.x.astype(">f2"))
        self.save("transposed", self.x.T.copy())
        self.save("y_row", self.y[None].astype("i1"))
        self.save("y_columns", numpy.column_stack([self.y, self.y * 0 + 9]).astype(">i4"))
        for part in (2, 10):
            self.save(f"x_{part}", self.x[:25] if part == 2 else self.x[25:])
            self.save(f"y_{part}", self.y[:25] if part == 2 else self.y[25:])
        with h5py.File(self.folder / "all.h5", "w") as file:
            file["x"], file["y"] = self.x, self.y
            file["half"], file["big"] = self.x.astype("f2"), self.x.astype(">f8")
            file.create_dataset("lzf", data=self.x, compression="lzf", shuffle=True, chunks=(7, 2))
            file.create_dataset("constant_lzf", data=self.y, compression="lzf", chunks=(SAMPLES,))
            file.create_dataset("scale", data=(self.x * 2).astype("i4"), scaleoffset=0)
            file["matlab_x"], file["matlab_y"] = self.x.T, self.y[None].astype("f8")
            file["y_row"], file["y_f8"] = self.y[None], self.y.astype("f8")
        with h5py.File(self.folder / "links.h5", "w") as file:
            file["x"], file["y"] = h5py.ExternalLink("all.h5", "/x"), h5py.ExternalLink("all.h5", "/y")
        for part in (9, 10):
            with h5py.File(self.folder / f"part_{part}.h5", "w") as file:
                of_part = slice(0, 31) if part == 9 else slice(31, None)
                file["x"], file["y"] = self.x[of_part], self.y[of_part]
        self.assert_same_network({
            "fortran": npy("fortran.npy"), "big": npy("big.npy"), "row": npy(targets="y_row.npy"),
            "column": npy(targets="y_columns.npy", more=", label_column: 0"),
            "transposed": npy("transposed.npy", "y_row.npy", more=", transposed: true"), "parts": npy("'x_*.npy'", "[y_2.npy, y_10.npy]"),
            "h5": hdf5(), "h5_half": hdf5("half"), "h5_big": hdf5("big", "y_f8"), "h5_lzf": hdf5("lzf", "constant_lzf"),
            "h5_matlab": hdf5("matlab_x", "matlab_y", more=", transposed: true"), "h5_row": hdf5(targets="y_row"),
            "h5_links": hdf5(file="links.h5"), "h5_parts": hdf5(file="'part_*.h5'")})
        # integers that are twice the values: another normalization, but they are read
        self.hash_of("scale", hdf5("scale"))

    def test_truth_values_are_zero_and_one(self):
        self.save("x", (self.x > 1).astype("u1"))
        self.save("truth", self.x > 1)
        with h5py.File(self.folder / "all.h5", "w") as file:
            file["x"], file["y"] = self.x > 1, self.y
        self.assert_same_network({"npy": npy("truth.npy"), "h5": hdf5()})

    def test_refused_with_what_to_do(self):
        numpy.savez(self.folder / "both.npz", x=self.x, y=self.y)
        numpy.save(self.folder / "objects.npy", self.x.astype(object), allow_pickle=True)
        self.save("words", numpy.array(["cat", "dog", "cow"])[self.y])
        self.save("transposed", self.x.T)
        layout = h5py.VirtualLayout((SAMPLES, 4), "f4")
        with h5py.File(self.folder / "all.h5", "w") as file:
            file["x"], file["y"], file["matlab_x"] = self.x, self.y, self.x.T
            file["words"] = numpy.array(["cat", "dog", "cow"], "S3")[self.y]
            file["long_words"] = numpy.array(["cat", "dog", "cow"], h5py.string_dtype())[self.y]
            file["table"] = numpy.zeros(SAMPLES, [("height", "f4"), ("weight", "f4")])
            file["group/x"] = self.x
            file["dangling"] = h5py.ExternalLink("nowhere.h5", "/x")
            layout[:] = h5py.VirtualSource("all.h5", "x", (SAMPLES, 4))
            file.create_virtual_dataset("virtual", layout)
            file.create_dataset("elsewhere", (SAMPLES, 4), "f4", external=[(str(self.folder / "raw.bin"), 0, 16 * SAMPLES)])
            properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            properties.set_chunk((SAMPLES, 4))
            properties.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))    # Zstandard, which is not installed
            space = h5py.h5s.create_simple((SAMPLES, 4))
            h5py.h5d.create(file.id, b"zstd", h5py.h5t.IEEE_F32LE, space, properties)
        cases = {
            npy("both.npz"): ("NPZ archive", "numpy.save('x.npy', numpy.load(", "both.npz')['x']"),
            npy("objects.npy"): ("Python objects", "dtype='float32'"),
            npy(targets="words.npy"): ("'<U3'", "text", "return_inverse"),
            npy("transposed.npy"): ("4 samples", "4x60", "data.transposed to true"),
            npy("all.h5"): ("no NPY file", "data.format to hdf5"),
            hdf5(file="x.npy"): ("as HDF5", "data.format to npy"),
            hdf5("matlab_x"): ("4x60", "data.transposed to true"),
            hdf5(targets="words"): ("'words' is not numeric", "text", "return_inverse"),
            hdf5(targets="long_words"): ("'long_words' is not numeric", "text"),
            hdf5("table"): ("records of height, weight", "columns"),
            hdf5(targets="x"): ("targets of 4 values", "data.label_column"),
            hdf5("group"): ("a group with x", "data.inputs_path"),
            hdf5("images"): ("'images' cannot be opened", "the file has", "table"),
            hdf5("dangling"): ("external link to '/x' in 'nowhere.h5'",),
            hdf5("virtual"): ("virtual data set", "train_file: [a.h5, b.h5]", "h5py"),
            hdf5("elsewhere"): ("values in another file", "raw.bin", "h5py"),
            hdf5("zstd"): ("filter zstd, number 32015", "h5repack -f GZIP=1", "HDF5_PLUGIN_PATH"),
            npy("transposed.npy", more=", residency: disk"): ("4x60",),
            npy("'none_*.npy'"): ("train_inputs", "no file matches", "none_*.npy"),
        }
        for (keys, words), done in zip(cases.items(), at_once(self.check, [(keys,) for keys in cases])):
            with self.subTest(keys):
                self.assert_refused(done, *words)

    def test_disk_residency_names_the_order_that_it_cannot_read(self):
        self.save("fortran", numpy.asfortranarray(self.x))
        with h5py.File(self.folder / "all.h5", "w") as file:
            file["x"], file["y"] = self.x.T, self.y
        for keys, words in {npy("fortran.npy", more=", residency: disk"): ("Fortran order", "ascontiguousarray", "node"),
                            hdf5(more=", transposed: true, residency: disk"): ("dimensions reversed", "node")}.items():
            self.assert_refused(self.check(keys), *words)

    def test_warnings_of_unwritten_chunks_and_of_channels_in_the_last_place(self):
        with h5py.File(self.folder / "all.h5", "w") as file:
            file.create_dataset("x", (2000, 4), "f4", chunks=(100, 4))[:SAMPLES] = self.x
            file.create_dataset("y", (2000,), "i8", chunks=(100,))[:SAMPLES] = self.y
        done = self.check(hdf5())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(messages(done.stderr)), 2)
        self.assertIn("19 of its 20 chunks (95.0 %) were never written, and are read as the fill value 0", done.stderr)
        self.save("x", numpy.zeros((SAMPLES, 8, 8, 3), "u1"))
        image = ("model=[{layer: flatten}, {layer: dense, units: 3}]",)
        done = run("--check", self.config, self.data(npy()), *image)
        self.assertIn("8 channels of 8x3", done.stderr)
        self.assertIn("data.layout to nhwc", done.stderr)
        windows = "model=[{layer: conv2d, channels: 4, kernel: 5}, {layer: flatten}, {layer: dense, units: 3}]"
        for model in (windows, "model=[{layer: dense, units: 3}]"):
            self.assert_refused(run("--check", self.config, self.data(npy()), model), "x.npy' are images of 8x8x3 (channels x rows x columns)",
                                "if the channels are the last dimension, set data.layout to nhwc")
        done = run("--check", self.config, self.data(npy(more=", layout: nhwc")), *image)
        self.assertEqual((messages(done.stderr), done.returncode), ([], 0))
        self.assertIn("3x8x8", done.stdout)

    @unittest.skipUnless(shutil.which("gcc"), "gcc is missing")
    def test_a_file_system_without_locks(self):
        """HDF5 data, checkpoints and a resumed run need no file locks; who wants HDF5's gets them."""
        with tempfile.TemporaryDirectory() as folder:
            source, library = pathlib.Path(folder) / "no_locks.c", pathlib.Path(folder) / "no_locks.so"
            source.write_text(NO_LOCKS)
            subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
            with h5py.File(self.folder / "all.h5", "w") as file:
                file["x"], file["y"] = self.x, self.y

            def train(*more, **environment):
                with unittest.mock.patch.dict(support.ENVIRONMENT, LD_PRELOAD=str(library), **environment):
                    return run(self.config, f"run.output={self.folder}", "run.name=a", self.data(hdf5()), *more)

            done = train()
            self.assertEqual(done.returncode, 0, done.stderr)
            done = train("--resume", "train.epochs=3")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assert_refused(train("run.name=b", HDF5_USE_FILE_LOCKING="TRUE"), "as HDF5")


if __name__ == "__main__":
    unittest.main()
