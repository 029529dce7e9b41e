#!/usr/bin/python3
"""Checkpoints of short runs in other readers: h5py and SciPy, AnnData, PyTorch, ONNX; and the examples of docs/analysis.md.

Environment: PRUNTRAIN the program, MPIRUN the launcher with its flags, DATA the folder of Fashion-MNIST.
"""
import csv
import gzip
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import anndata.experimental
import h5py
import numpy
import onnx
import onnx_in_torch
import scipy.sparse
import torch

from support import ROOT, Run, at_once, run

SCRIPT = ROOT / "scripts" / "pruntrain_io.py"
sys.path.insert(0, str(SCRIPT.parent))
import pruntrain_io  # noqa: E402 (its folder is known only now)

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

# Every layer type of the program; one epoch.
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


# All layer types again, with two channels and physical compaction.
SMALLER = """
run: {name: smaller, seed: 1}
data: {format: npy, train_inputs: images.npy, train_targets: y.npy, test_inputs: images.npy, test_targets: y.npy}
model:
  - {layer: conv2d, channels: 9, padding: 1}
  - {layer: batch_norm, epsilon: 0.01}
  - {layer: relu}
  - {layer: average_pool2d}
  - {layer: conv2d, channels: 7, kernel: 2, stride: 2, bias: false}
  - {layer: relu}
  - {layer: max_pool2d, kernel: 3, stride: 1}
  - {layer: flatten}
  - {layer: dropout}
  - {layer: dense, units: 12, name: middle}
  - {layer: batch_norm}
  - {layer: relu}
  - {layer: dense, units: 3, bias: false}
train: {epochs: 1, global_batch: 20, loss: cross_entropy}
optimizer: {type: sgd, learning_rate: 0.01}
prune: {granularity: row, reconfigure: true, layer_floor: 0, schedule: {type: one_shot, at_step: 1}, final_sparsity: 0.6}
"""

# Vectors with a mean and a std per feature; outputs that are not classes.
VECTORS = """
run: {name: vectors, seed: 1}
data: {format: npy, train_inputs: vectors.npy, train_targets: targets.npy, test_inputs: vectors.npy, test_targets: targets.npy}
model: [{layer: batch_norm}, {layer: dense, units: 5}, {layer: relu}, {layer: dense, units: 2}]
train: {epochs: 1, global_batch: 20, loss: mean_squared_error}
optimizer: {type: sgd, learning_rate: 0.01}
prune: {schedule: {type: one_shot, at_step: 1}, final_sparsity: 0.5}
"""


def succeed(*arguments, ranks=None):
    done = run(*arguments, ranks=ranks)
    if done.returncode != 0:
        raise AssertionError(f"{done.args} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def run_script(*words, expected_status=0):
    done = subprocess.run([sys.executable, SCRIPT, *map(str, words)], text=True, capture_output=True, timeout=100)
    if done.returncode != expected_status:
        raise AssertionError(f"{done.args} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
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
        random = numpy.random.default_rng(1)
        cls.samples = {"smaller": random.normal([[[[3]], [[-200]]]], [[[[0.1]], [[50]]]], (60, 2, 14, 14)).astype(numpy.float32),
                       "vectors": random.normal([1, 20, 300, -4], [5, 6, 7, 0.8], (60, 4)).astype(numpy.float32),
                       "convolution": read_idx("t10k-images-idx3-ubyte.gz")[:, numpy.newaxis]}
        for name, array in {"images": cls.samples["smaller"], "y": random.integers(0, 3, 60).astype(numpy.uint8),
                            "vectors": cls.samples["vectors"],
                            "targets": random.normal(0, 1, (60, 2)).astype(numpy.float32)}.items():
            numpy.save(pathlib.Path(cls.folder.name, f"{name}.npy"), array)

        def train(name, text, *arguments):
            config = pathlib.Path(cls.folder.name, f"{name}.yaml")
            config.write_text(text)
            succeed(config, f"run.output={cls.folder.name}", *arguments, ranks=2)
            return Run(pathlib.Path(cls.folder.name, name))
        in_folder = f"data.directory={cls.folder.name}"
        jobs = (("synthetic", SYNTHETIC), ("convolution", CONVOLUTION), ("smaller", SMALLER, in_folder),
                ("vectors", VECTORS, in_folder))
        runs = dict(zip((name for name, *_ in jobs), at_once(train, jobs)))
        cls.summaries = {name: one.summary for name, one in runs.items()}
        cls.all_files = {name: one.checkpoints[-1] for name, one in runs.items()}
        cls.files = {name: cls.all_files[name] for name in ("synthetic", "convolution")}

    def test_three_readers_see_the_same_matrix(self):
        matrices = 0
        for path in self.files.values():
            with h5py.File(path) as file:
                groups = [node for layer in file["model"].values() for node in layer.values()
                          if isinstance(node, h5py.Group)]
                for g in groups:
                    dense = numpy.zeros(g.attrs["shape"], numpy.float32)    # a slow reference
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
            summary, tensors = self.summaries[name], pruntrain_io.load(path)
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

    def test_optimizer_state_has_the_order_of_the_values(self):
        for path in self.files.values():
            with h5py.File(path) as file:
                self.assertEqual(len(file["optimizer"]), 2)     # Adam's two moments
                for slot in file["optimizer"].values():
                    for name, tensor in pruntrain_io.load(path).items():
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
        succeed("evaluate", path, "--outputs", outputs_file)
        ours = numpy.load(outputs_file)
        labels = read_idx("t10k-labels-idx1-ubyte.gz")
        images = pruntrain_io.normalized(path, read_idx("t10k-images-idx3-ubyte.gz")[:, numpy.newaxis])
        network = pruntrain_io.network(path)
        with torch.no_grad():
            theirs = network(torch.from_numpy(images)).numpy()
        self.assertEqual(ours.shape, theirs.shape)
        # Sums of up to 144 products in another order: 1e-4 is about a hundred float roundings.
        tolerance = 1e-4 * max(1, abs(theirs).max() / 10)
        self.assertLess(abs(ours - theirs).max(), tolerance)
        accuracy = self.summaries["convolution"]["test_accuracy"]
        self.assertGreater(accuracy, 0.7)    # guessing gives 0.1
        best = numpy.sort(theirs, axis=1)[:, -2:]
        undecided = numpy.mean(best[:, 1] - best[:, 0] < 2 * tolerance)
        self.assertLessEqual(abs(numpy.mean(theirs.argmax(axis=1) == labels) - accuracy), undecided + 1e-9)

    def test_pytorch_and_onnx_compute_the_same(self):
        for name, samples in self.samples.items():
            path, folder = self.all_files[name], pathlib.Path(self.folder.name)
            succeed("evaluate", path, "--outputs", folder / "outputs.npy")
            ours = numpy.load(folder / "outputs.npy")
            run_script(path, "--onnx", folder / "out.onnx")
            with torch.no_grad():
                in_torch = pruntrain_io.network(path)(torch.from_numpy(pruntrain_io.normalized(path, samples))).numpy()
            for theirs in (in_torch, onnx_in_torch.outputs(folder / "out.onnx", samples)):
                self.assertEqual(theirs.shape, ours.shape)
                self.assertLess(abs(ours - theirs).max(), 1e-5 * abs(ours).max(), name)
            model = onnx.load(folder / "out.onnx")
            sizes = [[size.dim_param or size.dim_value for size in node.type.tensor_type.shape.dim]
                     for node in (*model.graph.input, *model.graph.output)]
            self.assertEqual(sizes, [["batch", *samples.shape[1:]], ["batch", ours.shape[1]]])
            told = {entry.key: entry.value for entry in model.metadata_props}
            summary = self.summaries[name]
            self.assertEqual((told["step"], told["sparsity"], told["pattern_hash"]),
                             (str(summary["steps"]), str(summary["sparsity"]), summary["pattern_hash"]))
        lost_units = [layer["name"] for layer in self.summaries["smaller"]["layers"] if layer["shape"] != layer["full_shape"]]
        self.assertIn("conv2d1.weight", lost_units)
        self.assertIn("middle.weight", lost_units)

    def test_script(self):
        path, folder = self.files["synthetic"], pathlib.Path(self.folder.name)
        self.assertRegex(run_script(path), r"dense1\.weight +24x32 +\d+ +768 +0\.\d+")
        run_script(path, "--torch", folder / "out.pt", "--csr", "dense1.weight", folder / "out.npz", "--numpy", folder / "all.npz",
                   "--torch-sparse", folder / "sparse.pt")
        matrix = pruntrain_io.load(path)["dense1.weight"]
        self.assertEqual((scipy.sparse.load_npz(folder / "out.npz") != matrix).nnz, 0)
        with numpy.load(folder / "all.npz") as arrays:
            self.assertEqual(list(arrays), list(pruntrain_io.load(path)))
            self.assertTrue(numpy.array_equal(arrays["dense1.weight"], matrix.toarray()))
        state, sparse = torch.load(folder / "out.pt"), torch.load(folder / "sparse.pt")
        self.assertTrue(numpy.array_equal(state["dense1.weight"].numpy(), matrix.toarray()))
        self.assertEqual(list(state), ["dense1.weight", "dense1.bias", "batch_norm1.weight", "batch_norm1.bias",
                                       "batch_norm1.running_mean", "batch_norm1.running_var", "dense2.weight",
                                       "dense2.bias"])
        self.assertEqual(list(sparse), list(state))
        self.assertEqual(sparse["dense1.weight"].layout, torch.sparse_csr)
        for name in state:
            self.assertTrue(torch.equal(sparse[name].to_dense(), state[name]), name)
        said = run_script(path, "--csr", "dense9.weight", folder / "no.npz", expected_status=2)
        self.assertIn("has no tensor 'dense9.weight'; it has dense1.weight, ", said)

    def test_examples_of_the_page(self):
        page = (ROOT / "docs" / "analysis.md").read_text()
        examples = re.findall(r"(?ms)^```python\n(.*?)^```", page)
        self.assertGreater(len(examples), 4)
        demo = "runs/fashion_lenet300/checkpoints/step_00017200.h5"
        self.assertIn(demo, examples[0])
        succeed(ROOT / "inputs" / "fashion_lenet300.yaml", f"run.output={self.folder.name}/runs", f"data.directory={DATA}",
                "train.epochs=0.1", "prune.schedule={type: one_shot, at_step: 20}", "checkpoint.every_epochs=0")
        path = Run(pathlib.Path(self.folder.name, "runs", "fashion_lenet300")).checkpoints[-1]
        code = "\n".join(examples).replace(demo, str(path)).replace("/usr/share/datasets/fashion-mnist", str(DATA))
        done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, timeout=200, cwd=self.folder.name,
                              env=dict(os.environ, PYTHONPATH=str(ROOT / "python"), MPLBACKEND="agg"))
        self.assertEqual(done.returncode, 0, done.stderr)
        for written in set(re.findall(r"\w+\.(?:png|onnx|h5|yaml)\b", "\n".join(examples[1:]))):
            self.assertTrue(pathlib.Path(self.folder.name, written).exists(), written)
        weights = pathlib.Path(self.folder.name, "from_torch.h5")
        self.assertIn("checksums", succeed("inspect", weights))
        self.assertIn("weights of", succeed("--check", pathlib.Path(self.folder.name, "pruned.yaml"), f"run.start_from={weights}",
                                            f"data.directory={DATA}"))

    def test_inspect_accepts_it_and_refuses_a_damaged_one(self):
        path, damaged = self.files["synthetic"], pathlib.Path(self.folder.name, "damaged.h5")
        self.assertIn("dense1.weight", succeed("inspect", path))
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        damaged.write_bytes(content)
        done = run("inspect", damaged)
        self.assertEqual(done.returncode, 2)
        self.assertIn("damaged.h5 is damaged", done.stderr)


def text_of(value):
    return value.decode() if isinstance(value, bytes) else str(value)


if __name__ == "__main__":
    unittest.main()
