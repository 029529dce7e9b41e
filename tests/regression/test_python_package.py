#!/usr/bin/python3
"""The Python package: graphs in checkpoints of all formats, networks in PyTorch and ONNX made of them, what is said of a graph that
is not understood or of a Python package that is missing, and installation.

Environment: PRUNTRAIN the program, MPIRUN the launcher with its flags.
"""
import ast
import importlib.util
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import h5py
import numpy
import onnx_in_torch
import torch
import xxhash
import yaml

from support import ROOT, EndToEnd, run

sys.path.insert(0, str(ROOT / "python"))
import pruntrain  # noqa: E402 (its folder is known only now)
from pruntrain import network_graph, onnx_export, torch_network  # noqa: E402
from pruntrain.missing_packages import DEBIAN  # noqa: E402
from pruntrain.seal import seal  # noqa: E402

SCRIPTS = ROOT / "scripts"
OLDER = ROOT / "tests" / "golden" / "checkpoints"   # files of programs without graphs
OF_FORMAT_2 = OLDER / "format_2.h5"

# All types of layers; a dense layer that reads images of one pixel; names that PyTorch's and ONNX's own names resemble.
MODEL = """
run: {name: all, seed: 1}
data: {format: npy, train_inputs: images.npy, train_targets: y.npy, test_inputs: images.npy, test_targets: y.npy}
model:
  - {layer: conv2d, channels: 6, padding: 1, name: input}
  - {layer: batch_norm, epsilon: 0.01, momentum: 0.2, name: outputs}
  - {layer: relu, name: forward}
  - {layer: average_pool2d}
  - {layer: conv2d, channels: 5, kernel: 2, bias: false, name: graph}
  - {layer: relu}
  - {layer: max_pool2d}
  - {layer: dropout}
  - {layer: dense, units: 8, name: samples}
  - {layer: batch_norm}
  - {layer: flatten}
  - {layer: dense, units: 3, prunable: false}
train: {epochs: 1, global_batch: 20, loss: cross_entropy, execution: density}
optimizer: {type: sgd, learning_rate: 0.05}
prune: {grouping: row, reconfigure: true, layer_floor: 0, schedule: {type: one_shot, at_step: 0}, final_sparsity: 0.5}
"""


def edit(path, change, version):
    """Changes a file by change(h5py.File), and gives it a new seal, of this version."""
    with h5py.File(path, "r+") as file:
        change(file)
        file.attrs["format_version"] = numpy.int64(version)
    seal(path, version)


def store_graph(file, text):
    del file["graph"]
    stored = numpy.array([text.encode()], f"S{len(text.encode())}")
    file.create_dataset("graph", data=stored).attrs["xxh3_64"] = numpy.array(xxhash.xxh3_64_hexdigest(stored.tobytes()).encode())


class Files(EndToEnd):
    def setUp(self):
        super().setUp()
        random = numpy.random.default_rng(1)
        self.images = random.normal([[[[3]], [[-200]]]], [[[[0.1]], [[50]]]], (60, 2, 6, 6)).astype(numpy.float32)
        numpy.save(self.folder / "images.npy", self.images)
        numpy.save(self.folder / "y.npy", random.integers(0, 3, 60).astype(numpy.uint8))
        self.in_folder = f"data.directory={self.folder}"

    def train(self, config, name, *arguments, **options):
        return super().train(config, name, self.in_folder, *arguments, **options)

    def outputs_of_the_program(self, path, data=None):
        done = run("evaluate", path, "--outputs", self.folder / "outputs.npy", data or self.in_folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        return numpy.load(self.folder / "outputs.npy")

    def assert_same_network(self, path, data=None):
        """PyTorch and ONNX compute what the program computes. data: a setting that replaces the data of the file"""
        ours = self.outputs_of_the_program(path, data)
        with torch.no_grad():
            in_torch = pruntrain.network(path)(torch.from_numpy(pruntrain.normalized(path, self.images))).numpy()
        (self.folder / "model.onnx").write_bytes(pruntrain.onnx_model(path).SerializeToString())
        for theirs in (in_torch, onnx_in_torch.outputs(self.folder / "model.onnx", self.images)):
            self.assertEqual(theirs.shape, ours.shape)
            self.assertLess(abs(ours - theirs).max(), 1e-5 * abs(ours).max())

    def test_all_types_of_layers(self):
        known = set(re.findall(r"member\((\w+), ", (ROOT / "src/model/registry.cpp").read_text().split("#define LOSSES")[0]))
        for table in (network_graph.KNOWN_KEYS, torch_network.MODULES, onnx_export.OPERATORS):
            self.assertEqual(set(table), known)
        trained = self.train(MODEL, "all", ranks=2)
        path, folder = trained.checkpoints[-1], trained.folder
        graph = pruntrain.graph(path)
        self.assertEqual({node.type for node in graph}, known)
        self.assert_same_network(path)
        pruntrain.verify(path)

        # The graph is the resolved configuration, with inputs and shapes.
        entries = yaml.safe_load((folder / "config.yaml").read_text())["model"]
        self.assertEqual([{"layer": node.type, "name": node.name, **node.keys} for node in graph],
                         [{key: float(value) if key == "epsilon" else value for key, value in entry.items()} for entry in entries])
        self.assertEqual([node.inputs for node in graph], [["input"], *([node.name] for node in graph.nodes[:-1])])
        self.assertEqual((graph.input_shape, graph.output), ((2, 6, 6), "dense2"))
        shapes = {name: pruntrain.arrays(path)[name].shape for name in pruntrain.load(path)}
        full = {layer["name"]: tuple(layer["full_shape"]) for layer in trained.summary["layers"]}
        self.assertNotEqual(shapes["input.weight"], full["input.weight"])     # it has lost channels
        for node in graph:
            weight = f"{node.name}.weight"
            if weight in shapes:
                self.assertEqual(node.output_shape[0], shapes[weight][0])
                self.assertEqual(node.configured_output_shape[0], full[weight][0])
                self.assertEqual(node.input_shapes[0][0], shapes[weight][1])
                self.assertEqual(node.configured_input_shapes[0][0], full[weight][1])
        with torch.no_grad():
            network = pruntrain.network(path)
            x = torch.from_numpy(pruntrain.normalized(path, self.images[:1]))
            for node in graph:
                self.assertEqual(x.numel(), numpy.prod(node.input_shapes[0]))
                x = network[node.name](x)
                self.assertEqual(x.numel(), numpy.prod(node.output_shape), node)
        self.assertEqual(network["outputs"].momentum, 0.2)
        self.assertEqual(len(list(network)), len(graph.nodes))

    def test_the_graph_does_not_depend_on_the_grid(self):
        graphs = set()
        for ranks, shards in ((1, 1), (2, 2), (3, 1), (3, 3)):
            path = self.train(MODEL, f"on-{ranks}-{shards}", "prune.reconfigure=false", f"parallel.model_shards={shards}",
                              ranks=ranks).checkpoints[-1]
            with h5py.File(path) as file:
                graphs.add(file["graph"][0])
        self.assertEqual(len(graphs), 1)
        self.assertNotIn(b"exchange", graphs.pop())
        # Each shard keeps a unit of every layer at least, so that others may be removed.
        path = self.train(MODEL, "smaller", "parallel.model_shards=2", ranks=2).checkpoints[-1]
        self.assertNotEqual(pruntrain.graph(path).node("input").output_shape, (6, 6, 6))
        self.assert_same_network(path)

    def test_files_of_format_1_and_2(self):
        numpy.save(self.folder / "images.npy", numpy.random.default_rng(2).normal(0, 1, (60, 2, 7, 6)).astype(numpy.float32))
        self.images = numpy.load(self.folder / "images.npy")
        for name in ("format_1", "format_2", "format_2_shrunk"):
            with self.subTest(name):
                path = OLDER / f"{name}.h5"
                pruntrain.verify(path)
                mean, deviation = (values.tolist() for values in pruntrain.normalization(path))
                data = f"data={{format: npy, directory: {self.folder}, train_inputs: images.npy, train_targets: y.npy, " \
                    f"test_inputs: images.npy, test_targets: y.npy, normalization: given, mean: {mean}, deviation: {deviation}}}"
                self.assert_same_network(path, data)
                graph = pruntrain.graph(path)
                self.assertEqual([node.inputs for node in graph], [["input"], *([node.name] for node in graph.nodes[:-1])])
                self.assertEqual(graph.node("batch_norm1").keys, {"momentum": 0.1, "epsilon": 1e-5})
                if name == "format_1":
                    self.assertEqual((graph.input_shape, graph.node("dense2").output_shape), (None, (3, 1, 1)))    # not in the file
                    continue
                tensors = {key: value.shape for key, value in pruntrain.arrays(path).items()}
                first, flat, dense = (graph.node(node) for node in ("conv2d1", "flatten1", "dense1"))
                self.assertEqual((graph.input_shape, first.configured_output_shape), ((2, 7, 6), (5, 7, 6)))
                self.assertEqual((flat.configured_output_shape, dense.configured_output_shape), ((45, 1, 1), (12, 1, 1)))
                self.assertEqual(first.output_shape, (tensors["conv2d1.weight"][0], 7, 6))
                self.assertEqual((flat.output_shape[0], dense.output_shape[0]), tensors["dense1.weight"][::-1])
                self.assertEqual(flat.output_shape != flat.configured_output_shape, name == "format_2_shrunk")

    def test_a_resumed_run_of_format_2_continues_with_format_3(self):
        (self.folder / "stored" / "checkpoints").mkdir(parents=True)
        shutil.copy(OF_FORMAT_2, self.folder / "stored" / "checkpoints" / "step_00000013.h5")
        with h5py.File(OF_FORMAT_2) as file:
            text = file["config"][0].decode()
        resumed = super().train(text, "stored", "train.epochs=2", "--resume", ranks=2)
        with h5py.File(resumed.checkpoints[-1]) as file:
            self.assertEqual(file.attrs["format_version"], 3)
        self.assertEqual(pruntrain.graph(resumed.checkpoints[-1]), pruntrain.graph(OF_FORMAT_2))

    def test_a_graph_that_is_not_understood_is_named(self):
        path = self.train(MODEL, "first", "train.epochs=0").checkpoints[-1]
        with h5py.File(path) as file:
            text = file["graph"][0].decode()
        changed = self.folder / "changed.h5"
        refused_by_all = (
            ('"inputs":["input"]', '"inputs":["nobody"]', "reads 'nobody'"),
            ('"output":"dense2"', '"output":"dense3"', "output 'dense3'"),
            ('"inputs":["input"],', "", "without 'inputs'"),
            (text, "[" * 100_000, "the graph is not readable"),
            (text, '{"nodes": 7}', "the graph is not readable"))
        refused_by_python = (
            ('"type":"relu"', '"type":"gelu"', "layer forward (gelu) is of a type that this program does not know"),
            ('"rate":0.5', '"rate":0.5,"scaled":true', "layer dropout1 (dropout) has the key 'scaled'"),
            ('"stride":2', '"strides":2', "strides"),
            ('"momentum":0.2', '"x":1', "'x'"))
        for old, new, words in refused_by_all + refused_by_python:
            with self.subTest(words):
                self.assertIn(old, text)
                shutil.copy(path, changed)
                edit(changed, lambda file: store_graph(file, text.replace(old, new, 1)), 3)
                done = subprocess.run([sys.executable, SCRIPTS / "pruntrain_io.py", changed, "--onnx", self.folder / "no.onnx"],
                                      text=True, capture_output=True)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertRegex(done.stderr, r"^pruntrain_io: .*changed\.h5: .*\n$")
                self.assertIn(words, done.stderr)
                with self.assertRaises(pruntrain.GraphError):
                    pruntrain.network(changed)
                if (old, new, words) in refused_by_all:
                    self.assert_refused(run("inspect", changed), "changed.h5 is no usable checkpoint: graph: ")
        self.assertFalse((self.folder / "no.onnx").exists())

    def test_the_page_names_all_that_a_file_has(self):
        path = self.train(MODEL, "first", "optimizer.momentum=0.9").checkpoints[-1]
        page = (ROOT / "docs/checkpoint_format.md").read_text()

        def find(place, node):
            for name in node.attrs:
                self.assertIn(f"`{name}`", page, place)
            if "model" not in place:
                parts = place.split("/")
                words = {"optimizer": "/optimizer/", "history": "/history/"}.get(parts[0], f"`/{place}`")
                self.assertIn(words, page)
        with h5py.File(path) as file:
            find("data", file)
            file.visititems(find)
            self.assertIn(f"format_version {file.attrs['format_version']}\n", page)
            self.assertIn(f"This page describes format {file.attrs['format_version']}.", page)
            for member in {name for text in (json.loads(file["graph"][0]),) for node in [text, *text["nodes"]] for name in node}:
                self.assertIn(f"`{member}`", page)

    def test_damage_is_found(self):
        path = self.train(MODEL, "first", "train.epochs=0").checkpoints[-1]
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        damaged = self.folder / "damaged.h5"
        damaged.write_bytes(content)
        with self.assertRaisesRegex(ValueError, "damaged.h5 is damaged"):
            pruntrain.verify(damaged)
        shutil.copy(path, damaged)

        def other_bias(file):
            file["model/dense2/bias"][0] += 1
        edit(damaged, other_bias, 3)
        with self.assertRaisesRegex(ValueError, "model/dense2/bias does not fit its checksum"):
            pruntrain.verify(damaged)

    def test_a_weight_file_has_the_keys_of_its_configuration(self):
        module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(72, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3, bias=False))
        text = ("data: {normalization: given, mean: 2, deviation: 5}\n"
                "model: [{layer: flatten}, {layer: dense, units: 5}, {layer: relu}, {layer: dense, units: 3}]")
        path = self.folder / "weights.h5"
        pruntrain.from_torch(module.state_dict(), text, path)
        with torch.no_grad():
            expected = module(torch.from_numpy((self.images - 2) / 5)).numpy()
            in_torch = pruntrain.network(path)(torch.from_numpy(pruntrain.normalized(path, self.images))).numpy()
        model = pruntrain.onnx_model(path)
        (self.folder / "model.onnx").write_bytes(model.SerializeToString())
        for theirs in (in_torch, onnx_in_torch.outputs(self.folder / "model.onnx", self.images)):
            self.assertLess(abs(theirs - expected).max(), 1e-5 * abs(expected).max())
        self.assertEqual(model.graph.output[0].type.tensor_type.shape.dim[1].dim_value, 3)
        self.assertEqual([node.name for node in pruntrain.graph(path)], ["flatten1", "dense1", "relu1", "dense2"])
        with self.assertRaisesRegex(ValueError, "has no keys"):
            pruntrain.from_torch(module.state_dict(), "text", path)

    def test_a_weight_file_needs_no_defaults(self):
        """The converters and the program take the same ones, and the kernel of the weights."""
        module = torch.nn.Sequential(torch.nn.Conv2d(2, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
                                     torch.nn.Dropout(), torch.nn.Flatten(), torch.nn.Linear(16, 3)).eval()
        text = (f"data: {{format: npy, directory: {self.folder}, train_inputs: images.npy, train_targets: y.npy, "
                "test_inputs: images.npy, test_targets: y.npy, normalization: none}\n"
                "model: [{layer: conv2d, channels: 4, name: 0}, {layer: batch_norm, name: 1}, {layer: relu}, {layer: max_pool2d}, "
                "{layer: dropout}, {layer: flatten}, {layer: dense, units: 3, name: 6}]\n"
                "run: {name: defaults}\ntrain: {epochs: 1, global_batch: 20, loss: cross_entropy}\n"
                "optimizer: {type: sgd, learning_rate: 0.05}\n")
        path = self.folder / "weights.h5"
        pruntrain.from_torch(module.state_dict(), text, path)
        self.assert_same_network(path)
        with torch.no_grad():
            expected = module(torch.from_numpy(self.images)).numpy()
        self.assertLess(abs(self.outputs_of_the_program(path) - expected).max(), 1e-5 * abs(expected).max())
        trained = self.train(text, "defaults", f"run.start_from={path}")
        self.assertEqual(set(pruntrain.state_dict(trained.folder)),     # module names again
                         {name for name in module.state_dict() if not name.endswith("num_batches_tracked")})
        resolved = {node.name: node.keys for node in pruntrain.graph(trained.folder)}
        for node in pruntrain.graph(path):
            self.assertEqual(node.keys, {key: resolved[node.name][key] for key in node.keys}, node)
            defaults = network_graph.DEFAULTS.get(node.type, {})
            self.assertEqual(defaults, {key: resolved[node.name][key] for key in defaults}, node)
        module[0] = torch.nn.Conv2d(2, 4, 5)
        module[6] = torch.nn.Linear(4, 3)
        pruntrain.from_torch(module.state_dict(), text, path)
        self.assertEqual(pruntrain.graph(path).node("0")["kernel"], 5)

    def test_the_folder_of_a_run(self):
        trained = self.train(MODEL, "all", "train.epochs=2", "checkpoint.keep=5")
        newest, other = trained.checkpoints[-1], trained.folder / "checkpoints" / "step_00000001.h5"
        for best, expected in ((-1, newest), (1, other), (77, newest)):
            edit(newest, lambda file: file.attrs.__setitem__("best_step", numpy.int64(best)), 3)
            if best == 1:
                shutil.copy(newest, other)
                edit(other, lambda file: file.attrs.__setitem__("step", numpy.int64(1)), 3)
            for folder in (trained.folder, str(trained.folder / "checkpoints")):
                self.assertEqual(pruntrain.find(folder), expected)
                self.assertEqual(pruntrain.state(folder)["step"], pruntrain.state(expected)["step"])
            self.assertIn(f"checkpoint is {expected}", run("inspect", trained.folder).stderr)
        self.assertEqual(pruntrain.find(newest), newest)
        self.assertEqual(pruntrain.graph(trained.folder), pruntrain.graph(newest))
        numpy.testing.assert_equal(pruntrain.arrays(trained.folder), pruntrain.arrays(newest))
        pruntrain.network(trained.folder)
        done = subprocess.run([sys.executable, SCRIPTS / "pruntrain_io.py", trained.folder], text=True, capture_output=True)
        self.assertEqual((done.returncode, done.stderr), (0, f"pruntrain_io: note: the checkpoint is {newest}\n"))
        newest.write_bytes(newest.read_bytes()[:-1])
        self.assertEqual(pruntrain.find(trained.folder).name, trained.checkpoints[-2].name)
        for path in trained.folder.glob("checkpoints/*"):
            path.unlink()
        done = subprocess.run([sys.executable, SCRIPTS / "pruntrain_io.py", trained.folder], text=True, capture_output=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn("folder without checkpoints", done.stderr)

    def test_what_is_no_checkpoint(self):
        with self.assertRaisesRegex(FileNotFoundError, "nothing.h5 does not exist: give a checkpoint"):
            pruntrain.load(self.folder / "nothing.h5")
        with self.assertRaisesRegex(ValueError, "images.npy is no checkpoint: it is no HDF5 file"):
            pruntrain.load(self.folder / "images.npy")

    def test_images_with_the_channels_last(self):
        last = numpy.moveaxis(self.images, 1, -1)       # (60, 6, 6, 2)
        numpy.save(self.folder / "last.npy", last)
        config = MODEL.replace("images.npy", "last.npy").replace("format: npy,", "format: npy, layout: nhwc,")
        path = self.train(config, "last").checkpoints[-1]
        self.assert_same_network(path)                  # images that are (N, C, H, W) already
        numpy.testing.assert_array_equal(pruntrain.normalized(path, last), pruntrain.normalized(path, self.images))
        with self.assertRaisesRegex(ValueError, r"have the shape \(2, 3, 12\), but .* samples of \(2, 6, 6\) or \(6, 6, 2\)"):
            pruntrain.normalized(path, last.reshape(-1, 2, 3, 12))
        first = self.train(MODEL, "first").checkpoints[-1]
        with self.assertRaisesRegex(ValueError, r"\(6, 6, 2\), but the network in .* samples of \(2, 6, 6\)$"):
            pruntrain.normalized(first, last)

    def test_trained_on_in_pytorch_and_back(self):
        path = self.train(MODEL, "first").checkpoints[-1]
        network = pruntrain.network(path)
        with torch.no_grad():
            network["dense2"].weight += 0.1
            x = torch.from_numpy(pruntrain.normalized(path, self.images))
            expected = network(x).numpy()
        torch.save(network.state_dict(), self.folder / "state.pt")
        back = self.folder / "back.h5"
        done = subprocess.run([sys.executable, "-m", "pruntrain", "from-torch", self.folder / "state.pt", path, back],
                              text=True, capture_output=True, env=dict(os.environ, PYTHONPATH=str(ROOT / "python")))
        self.assertEqual(done.returncode, 0, done.stderr)
        pruntrain.verify(back)
        self.assertEqual(pruntrain.graph(back), pruntrain.graph(path))
        self.assertLess(abs(self.outputs_of_the_program(back) - expected).max(), 1e-5 * abs(expected).max())
        self.assert_same_network(back)
        started = self.train(re.sub(r"prune:.*\n", "", MODEL), "started", f"run.start_from={back}", "train.epochs=0", ranks=2)
        self.assert_same_network(started.checkpoints[-1])
        with self.assertRaisesRegex(ValueError, "dense2.weight is 3x9, the model's dense2.weight 3x"):
            pruntrain.from_torch_like({**network.state_dict(), "dense2.weight": torch.ones(3, 9)}, path, back)


class MissingPackages(unittest.TestCase):
    """A package is missing where an empty module of its name is found first, which raises as Python does."""

    def run_without(self, package, script, *arguments):
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, f"{package}.py").write_text(
                f"raise ModuleNotFoundError(\"No module named '{package}'\", name='{package}')\n")
            return subprocess.run([sys.executable, script, *map(str, arguments)], text=True, capture_output=True, timeout=100,
                                  env=dict(os.environ, PYTHONPATH=folder))

    def imported_by(self, path):
        """Packages that a script imports at its start, also through modules of this repository."""
        found = set()
        for node in ast.parse(path.read_text()).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else \
                [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                first = name.split(".")[0]
                own = [place for place in (path.parent / f"{first}.py", SCRIPTS / f"{first}.py", SCRIPTS / "bench" / f"{first}.py",
                                           ROOT / "python" / f"{name.replace('.', '/')}.py") if place.exists()]
                if own:
                    found |= self.imported_by(own[0])
                elif first not in sys.stdlib_module_names and first != "pruntrain":
                    found.add(first)
        return found

    def assert_explained(self, done, script, package):
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertEqual(done.stderr, f"{script.stem}: the Python package {package} is missing: install {DEBIAN[package]}\n")

    def test_every_script_names_the_debian_package(self):
        pairs = [(script, package) for script in sorted(SCRIPTS.rglob("*.py")) for package in sorted(self.imported_by(script))
                 if "__main__" in script.read_text()]
        self.assertGreater(len(pairs), 15)
        for script, package in pairs:
            with self.subTest(script=script.name, package=package):
                self.assert_explained(self.run_without(package, script, "--help"), script, package)

    def test_packages_that_are_needed_later(self):
        script = SCRIPTS / "pruntrain_io.py"
        for package, arguments in (("torch", ("--torch", "no.pt")), ("onnx", ("--onnx", "no.onnx")),
                                   ("yaml", ("--onnx", "no.onnx"))):
            self.assert_explained(self.run_without(package, script, OF_FORMAT_2, *arguments), script, package)
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder, "out.safetensors")
            for words in ((OF_FORMAT_2,), (OF_FORMAT_2, "--safetensors", out), ("from-torch", out, OF_FORMAT_2, f"{folder}/out.h5")):
                done = self.run_without("torch", script, *words)
                self.assertEqual(done.returncode, 0, done.stderr)
            numpy.testing.assert_equal(pruntrain.arrays(f"{folder}/out.h5"), pruntrain.arrays(OF_FORMAT_2))


class Installation(unittest.TestCase):
    def test_versions_agree(self):
        version = re.search(r"^VERSION +:= (\S+)", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
        self.assertIn(f'version = "{version}"\n', (ROOT / "python" / "pyproject.toml").read_text())

    @unittest.skipUnless(all(importlib.util.find_spec(name) for name in ("pip", "setuptools", "wheel")), "needs pip and setuptools")
    def test_pip_installs_it(self):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(ROOT / "python", f"{folder}/source")    # pip leaves files there
            done = subprocess.run([sys.executable, "-m", "pip", "install", "--no-build-isolation", "--no-index", "--no-deps",
                                   "--target", f"{folder}/installed", f"{folder}/source"], text=True, capture_output=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            done = subprocess.run([sys.executable, "-m", "pruntrain", OF_FORMAT_2], text=True, capture_output=True, cwd=folder,
                                  env=dict(os.environ, PYTHONPATH=f"{folder}/installed"))
            self.assertRegex(done.stdout, r"dense1\.weight +12x45 ", done.stderr)


if __name__ == "__main__":
    unittest.main()
