#!/usr/bin/python3
"""Checkpoints of short runs, read by others: h5py and SciPy, AnnData, PyTorch.

Environment: PRUNTRAIN the program, MPIRUN the launcher with its flags, DATA the folder of Fashion-MNIST.
"""
import csv
import gzip
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import unittest

import anndata.experimental
import h5py
import numpy
import scipy.sparse
import torch

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SCRIPT = ROOT / "scripts" / "read_checkpoint.py"
sys.path.insert(0, str(SCRIPT.parent))
import read_checkpoint  # noqa: E402 (its folder is known only now)

PRUNTRAIN = os.environ.get("PRUNTRAIN", str(ROOT / "pruntrain"))
MPIRUN = shlex.split(os.environ.get("MPIRUN", "mpirun"))
DATA = pathlib.Path(os.environ.get("DATA", "/usr/share/datasets/fashion-mnist"))

SYNTHETIC = """
run: {name: synthetic, seed: 1}
data: {format: synthetic, samples: 2000, test_samples: 500, shape: [32], classes: 4, validation_samples: 200}
model:
  - {layer: dense, units: 24}
  - {layer: batch_norm}
  - {layer: relu}
  - {layer: dense, units: 4}
train: {epochs: 2, global_batch: 50, loss: cross_entropy}
optimizer: {type: adam, learning_rate: 0.003}
prune:
  criterion: magnitude
  allocation: global
  schedule: {type: cubic, start_epoch: 0, end_epoch: 1, every_steps: 10}
  final_sparsity: 0.9
"""

# Every layer type that the program has; one epoch.
CONVOLUTION = f"""
run: {{name: convolution, seed: 1}}
data: {{format: idx, directory: {DATA}, validation_samples: 5000}}
model:
  - {{layer: conv2d, channels: 8, kernel: 3, stride: 2, padding: 1, bias: false}}
  - {{layer: batch_norm}}
  - {{layer: relu}}
  - {{layer: max_pool2d, kernel: 2}}
  - {{layer: conv2d, channels: 16, kernel: 3, padding: 1}}
  - {{layer: relu}}
  - {{layer: average_pool2d, kernel: 3, stride: 2}}
  - {{layer: flatten}}
  - {{layer: dropout, rate: 0.1}}
  - {{layer: dense, units: 10}}
train: {{epochs: 1, global_batch: 128, loss: cross_entropy}}
optimizer: {{type: adam, learning_rate: 0.003}}
prune:
  criterion: magnitude
  allocation: global
  schedule: {{type: cubic, start_epoch: 0.1, end_epoch: 0.6, every_steps: 20}}
  final_sparsity: 0.7
"""


def run(command, expected_status=0):
    done = subprocess.run([str(word) for word in command], text=True, capture_output=True, timeout=200)
    if done.returncode != expected_status:
        raise AssertionError(f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout + done.stderr


def read_idx(name):
    with gzip.open(DATA / name) as file:
        data = file.read()
    sizes = numpy.frombuffer(data, ">i4", count=data[3], offset=4)
    return numpy.frombuffer(data, numpy.uint8, offset=4 + 4 * data[3]).reshape(sizes)


class CheckpointReaders(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.summaries, cls.files = {}, {}
        for name, text in (("synthetic", SYNTHETIC), ("convolution", CONVOLUTION)):
            config = pathlib.Path(cls.folder.name, f"{name}.yaml")
            config.write_text(text)
            run([*MPIRUN, "-n", "2", PRUNTRAIN, config, f"run.output={cls.folder.name}"])
            summary = json.loads(pathlib.Path(cls.folder.name, name, "summary.json").read_text())
            cls.summaries[name] = summary
            cls.files[name] = sorted(pathlib.Path(cls.folder.name, name, "checkpoints").glob("step_*.h5"))[-1]

    def test_three_readers_see_the_same_matrix(self):
        matrices = 0
        for path in self.files.values():
            with h5py.File(path) as file:
                groups = [node for layer in file["model"].values() for node in layer.values()
                          if isinstance(node, h5py.Group)]
                for g in groups:
                    dense = numpy.zeros(g.attrs["shape"], numpy.float32)    # the slow obvious twin
                    for row in range(len(dense)):
                        for k in range(g["pointers_to_1"][row], g["pointers_to_1"][row + 1]):
                            dense[row, g["indices_1"][k]] = g["values"][k]
                    A = scipy.sparse.csr_matrix((g["values"][:], g["indices_1"][:], g["pointers_to_1"][:]),
                                                shape=tuple(g.attrs["shape"]))
                    B = anndata.experimental.read_elem(g)
                    T = torch.sparse_csr_tensor(torch.from_numpy(g["indptr"][:]),
                                                torch.from_numpy(g["indices"][:].astype("int64")),
                                                torch.from_numpy(g["data"][:]), size=A.shape)
                    self.assertTrue(A.has_sorted_indices)
                    self.assertTrue(numpy.array_equal(A.toarray(), dense))
                    self.assertTrue(scipy.sparse.isspmatrix_csr(B))
                    self.assertTrue(numpy.array_equal(B.toarray(), dense))
                    self.assertTrue(numpy.array_equal(T.to_dense().numpy(), dense))
                    described = json.loads(text_of(g.attrs["binsparse"]))
                    self.assertEqual(described["shape"], list(A.shape))
                    self.assertEqual(described["number_of_stored_values"], A.nnz)
                    self.assertEqual(described["binsparse"]["data_types"]["values"], str(g["values"].dtype))
                    matrices += 1
        self.assertEqual(matrices, 5)   # all weights are prunable

    def test_arrays_read_as_arrays(self):
        with h5py.File(self.files["synthetic"]) as file:
            bias = anndata.experimental.read_elem(file["model/dense1/bias"])
            self.assertEqual(bias.shape, (24,))
            self.assertTrue(numpy.array_equal(bias, file["model/dense1/bias"][:]))

    def test_every_array_is_protected(self):
        def check(name, node):
            if isinstance(node, h5py.Dataset):
                self.assertIsNotNone(node.chunks, name)
                self.assertTrue(node.fletcher32, name)
                self.assertRegex(text_of(node.attrs["xxh3_64"]), "^[0-9a-f]{16}$")
        for path in self.files.values():
            with h5py.File(path) as file:
                file.visititems(check)

    def test_sizes_and_sparsity_are_those_of_the_summary(self):
        for name, path in self.files.items():
            summary, tensors = self.summaries[name], read_checkpoint.load(path)
            names = list(tensors)
            self.assertEqual([n for n in names if not n.split(".")[1].startswith("running_")],
                             [layer["name"] for layer in summary["layers"]])     # in model order
            for layer in summary["layers"]:
                tensor = tensors[layer["name"]]
                self.assertEqual(tensor.nnz if scipy.sparse.issparse(tensor) else tensor.size, layer["kept"])
            with h5py.File(path) as file:
                for key in ("sparsity", "seed"):
                    self.assertEqual(file.attrs[key], summary[key])
                for key in ("pattern_hash", "weights_hash"):
                    self.assertEqual(text_of(file.attrs[key]), summary[key])

    def test_optimizer_slots_lie_beside_the_values(self):
        for path in self.files.values():
            with h5py.File(path) as file:
                self.assertEqual(len(file["optimizer"]), 2)     # Adam's two moments
                for slot in file["optimizer"].values():
                    for name, tensor in read_checkpoint.load(path).items():
                        if name.split(".")[1].startswith("running_"):
                            continue
                        kept = tensor.nnz if scipy.sparse.issparse(tensor) else tensor.size
                        self.assertEqual(slot[name.replace(".", "/")].shape, (kept,))

    def test_configuration_and_history_are_those_of_the_run(self):
        for name, path in self.files.items():
            folder = path.parent.parent
            with h5py.File(path) as file, open(folder / "history.csv", newline="") as table:
                self.assertEqual(file["config"][0].decode(), (folder / "config.yaml").read_text())
                rows = list(csv.DictReader(table))
                self.assertEqual(set(file["history"]), set(rows[0]))
                for column, node in file["history"].items():
                    written = numpy.array([float(row[column] or "nan") for row in rows])
                    self.assertTrue(numpy.array_equal(node[:], written, equal_nan=True), column)

    def test_pytorch_computes_the_same(self):
        path = self.files["convolution"]
        outputs_file = pathlib.Path(self.folder.name, "outputs.npy")
        run([PRUNTRAIN, "evaluate", path, "--outputs", outputs_file])
        ours = numpy.load(outputs_file)
        labels = read_idx("t10k-labels-idx1-ubyte.gz")
        images = read_checkpoint.normalized(path, read_idx("t10k-images-idx3-ubyte.gz")[:, numpy.newaxis])
        network = read_checkpoint.network(path)
        with torch.no_grad():
            theirs = network(torch.from_numpy(images)).numpy()
        self.assertEqual(ours.shape, theirs.shape)
        # Sums of up to 144 products in another order: 1e-4 is a hundred roundings of a float.
        tolerance = 1e-4 * max(1, abs(theirs).max() / 10)
        self.assertLess(abs(ours - theirs).max(), tolerance)
        accuracy = self.summaries["convolution"]["test_accuracy"]
        self.assertGreater(accuracy, 0.7)    # it has learnt; a network that guesses has 0.1
        best = numpy.sort(theirs, axis=1)[:, -2:]
        undecided = numpy.mean(best[:, 1] - best[:, 0] < 2 * tolerance)
        self.assertLessEqual(abs(numpy.mean(theirs.argmax(axis=1) == labels) - accuracy), undecided + 1e-9)

    def test_script(self):
        path, folder = self.files["synthetic"], pathlib.Path(self.folder.name)
        table = run([sys.executable, SCRIPT, path])
        self.assertRegex(table, r"dense1\.weight +24x32 +\d+ +768 +0\.\d+")
        run([sys.executable, SCRIPT, path, "--torch", folder / "out.pt", "--csr", "dense1.weight", folder / "out.npz"])
        matrix = read_checkpoint.load(path)["dense1.weight"]
        self.assertEqual((scipy.sparse.load_npz(folder / "out.npz") != matrix).nnz, 0)
        state = torch.load(folder / "out.pt")
        self.assertTrue(numpy.array_equal(state["dense1.weight"].numpy(), matrix.toarray()))
        self.assertEqual(list(state), ["dense1.weight", "dense1.bias", "batch_norm1.weight", "batch_norm1.bias",
                                       "batch_norm1.running_mean", "batch_norm1.running_var", "dense2.weight",
                                       "dense2.bias"])
        said = run([sys.executable, SCRIPT, path, "--csr", "dense9.weight", folder / "no.npz"], expected_status=1)
        self.assertIn("has no tensor 'dense9.weight'; it has dense1.weight, ", said)

    def test_inspect_accepts_it_and_refuses_a_damaged_one(self):
        path, damaged = self.files["synthetic"], pathlib.Path(self.folder.name, "damaged.h5")
        self.assertIn("dense1.weight", run([PRUNTRAIN, "inspect", path]))
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        damaged.write_bytes(content)
        self.assertIn("damaged.h5 is damaged", run([PRUNTRAIN, "inspect", damaged], expected_status=2))


def text_of(value):
    return value.decode() if isinstance(value, bytes) else str(value)


if __name__ == "__main__":
    unittest.main()
