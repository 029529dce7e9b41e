#!/usr/bin/python3
"""Files that scripts/pruntrain_io.py writes for PyTorch, safetensors and ONNX; its messages and exit statuses.

Environment: PRUNTRAIN the program, MPIRUN the launcher with its flags.
"""
import os
import subprocess
import sys
import unittest
from unittest import mock

import h5py
import numpy
import onnx_in_torch
import torch
from torch import nn
from torch.nn.utils import prune
from torch_files import Files, command_line, pruntrain

from pruntrain.seal import seal  # torch_files has made it importable
from support import ROOT

# Words that YAML 1.1 or Python read as something else, and names of ONNX's graph and of parts of a torch.nn.Module.
NAMES = ("0", "on", "010", "half", "outputs", "mean", "samples", "normalized", "training", "forward", "null", "1e3", "~x", "graph",
         "samples-mean", "no")


class Exports(Files):
    """One pruned run with a convolution, whose exports are read again."""

    def setUp(self):
        super().setUp()
        self.x = numpy.random.default_rng(2).normal(3, 2, (30, 2, 6, 6)).astype(numpy.float32)
        numpy.save(self.folder / "x.npy", self.x)

    def train_images(self, model, name, *arguments):
        config = self.configuration(model, f"{name}.yaml")
        return self.train(config, name, "prune={schedule: {type: one_shot, at_step: 1}, final_sparsity: 0.5}", *arguments).checkpoints[-1]

    def assert_same_everywhere(self, path):
        """The outputs of PyTorch and ONNX are those of the program, in shape and values."""
        ours = self.outputs(path)
        with torch.no_grad():
            in_torch = pruntrain.network(path)(torch.from_numpy(pruntrain.normalized(path, self.x))).numpy()
        self.assertEqual(self.pruntrain_io(path, "--onnx", self.folder / "model.onnx"), (0, ""))
        for theirs in (in_torch, onnx_in_torch.outputs(self.folder / "model.onnx", self.x)):
            self.assertEqual(theirs.shape, ours.shape)
            self.assertLess(abs(ours - theirs).max(), 1e-5 * abs(ours).max())

    def test_every_form_is_read_again(self):
        path = self.train_images("{layer: conv2d, channels: 4, name: 0}, {layer: batch_norm, name: 1}, {layer: relu}, "
                                 "{layer: flatten}, {layer: dense, units: 3, name: 4}", "forms")
        forms = {"--torch": "s.pt", "--torch-sparse": "c.pt", "--torch-masks": "m.pt", "--safetensors": "s.safetensors"}
        status, error = self.pruntrain_io(path, *[word for form, out in forms.items() for word in (form, self.folder / out)])
        self.assertEqual((status, error), (0, ""))
        expected, loaded = pruntrain.arrays(path), pruntrain.load(path)
        self.assertLess(loaded["0.weight"].nnz, expected["0.weight"].size)
        ours = self.outputs(path)
        for form, out in forms.items():
            with self.subTest(form):
                options = [] if form in ("--torch-sparse", "--torch-masks") else ["--sparse"]
                for config in (path, self.configuration("{layer: conv2d, channels: 4, kernel: 3, name: 0}, {layer: batch_norm, name: 1}, "
                                                        "{layer: relu}, {layer: flatten}, {layer: dense, units: 3, name: 4}", "f.yaml")):
                    arrays = self.convert(self.folder / out, *options, config=config)
                    for name, array in expected.items():
                        numpy.testing.assert_array_equal(arrays[name], array)
                    numpy.testing.assert_array_equal(pruntrain.load(self.out)["0.weight"].indices, loaded["0.weight"].indices)
                    self.assertLess(abs(self.outputs() - ours).max(), 1e-5 * abs(ours).max())   # executed dense
        # The file with masks loads into modules that torch.nn.utils.prune has changed.
        module = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)).eval()
        prune.identity(module[0], "weight")
        prune.identity(module[4], "weight")
        missing = module.load_state_dict(torch.load(self.folder / "m.pt"), strict=False)
        self.assertEqual((missing.missing_keys, missing.unexpected_keys), ([], []))
        with torch.no_grad():
            theirs = module(torch.from_numpy(pruntrain.normalized(path, self.x))).numpy()
        self.assertLess(abs(ours - theirs).max(), 1e-5 * abs(ours).max())
        self.assertEqual(int(module[0].weight_mask.sum()), loaded["0.weight"].nnz)

    def test_layers_may_have_any_name(self):
        # Layers with and without weights in turn, so that ONNX has nodes and constants of all names.
        kinds = ("batch_norm", "relu", "conv2d, channels: 3, kernel: 1", "relu")
        layers = [f"{{layer: {kinds[place % 4]}, name: {name!r}}}" if name == "null" else
                  f"{{layer: {kinds[place % 4]}, name: {name}}}" for place, name in enumerate(NAMES)]
        model = ", ".join(("{layer: conv2d, channels: 2, name: input}", *layers, "{layer: flatten}", "{layer: dense, units: 3}"))
        path = self.train_images(model, "names")
        self.assertEqual([node.name for node in pruntrain.graph(path)][1:-2], list(NAMES))
        self.assertEqual([entry["name"] for entry in pruntrain.config(path)["model"]][1:-2], list(NAMES))
        self.assert_same_everywhere(path)
        network = pruntrain.network(path)
        self.assertEqual((network.training, network.train().training, network["training"].training), (False, True, True))
        arrays = self.convert(pruntrain.state_dict(path), config=self.folder / "names.yaml")
        for name, array in pruntrain.arrays(path).items():
            numpy.testing.assert_array_equal(arrays[name], array)
        ours = self.outputs(path)
        self.assertLess(abs(self.outputs() - ours).max(), 1e-5 * abs(ours).max())

    def test_a_network_may_end_with_an_image(self):
        conv = "{layer: conv2d, channels: 3, padding: 1}"
        for name, model in (("average", f"{conv}, {{layer: relu}}, {{layer: average_pool2d, kernel: 6}}"),
                            ("largest", f"{conv}, {{layer: max_pool2d, kernel: 6}}"),
                            ("activation", f"{conv.replace('padding: 1', 'kernel: 6')}, {{layer: relu}}"),
                            ("dropped", f"{conv.replace('padding: 1', 'kernel: 6')}, {{layer: dropout}}")):
            with self.subTest(name):
                path = self.train_images(model, name)
                self.assert_same_everywhere(path)
                self.assertEqual(self.outputs(path).shape, (30, 3))


class CommandLine(Files):
    def setUp(self):
        super().setUp()
        torch.save(self.state, self.folder / "state.pt")
        self.convert(self.folder / "state.pt")
        self.file = self.out.rename(self.folder / "file.h5")

    def assert_says(self, *words, says, status=2):
        done = self.pruntrain_io(*words)
        self.assertEqual(done[0], status, done)
        self.assertRegex(done[1], r"^pruntrain_io: [^\n]*\n$")
        self.assertIn(says, done[1])

    def test_outputs_are_checked_first(self):
        content = self.file.read_bytes()
        (self.folder / "link.h5").symlink_to(self.file)
        with mock.patch.object(command_line, "save_torch", side_effect=AssertionError), \
                mock.patch.object(command_line, "save_numpy", side_effect=AssertionError):
            for form in ("--torch", "--torch-sparse", "--torch-masks", "--safetensors", "--onnx", "--numpy"):
                self.assert_says(self.file, form, self.folder / "nowhere" / "o", says="there is no folder")
        self.assert_says(self.file, "--csr", "dense1.weight", self.folder / "nowhere" / "o", says="there is no folder")
        self.assert_says(self.file, "--torch", self.file, says="is the input")
        self.assert_says(self.file, "--torch", self.folder / "link.h5", says="is the input")
        self.assert_says(self.file, "--torch", self.folder, says="is a folder")
        self.assert_says(self.file, "--torch", self.folder / "o", "--onnx", self.folder / "o", says="two outputs are the same file")
        for out, says in ((self.folder / "nowhere" / "w.h5", "there is no folder"), (self.folder / "state.pt", "is the input"),
                          (self.mlp, "is the input")):
            self.assert_says("from-torch", self.folder / "state.pt", self.mlp, out, says=says)
        self.assertEqual(self.file.read_bytes(), content)
        self.assertTrue(torch.load(self.folder / "state.pt"))

    def test_files_are_replaced_as_a_whole(self):
        out = self.folder / "out.pt"
        out.write_text("older")
        with mock.patch("os.fsync", side_effect=OSError(28, "No space left on device")):
            for form in ("--torch", "--safetensors", "--numpy", "--onnx"):
                name = out if form != "--numpy" else self.folder / "out.npz"
                self.assert_says(self.file, form, name, says="No space left", status=1)
            self.assert_says("from-torch", self.folder / "state.pt", self.mlp, out, says="No space left", status=1)
        self.assertEqual(out.read_text(), "older")
        self.assertEqual([path.name for path in self.folder.iterdir() if path.suffix == ".tmp" or path.name == "out.npz"], [])
        self.assertEqual(self.pruntrain_io(self.file, "--torch", out), (0, ""))
        self.assertTrue(torch.equal(torch.load(out)["dense1.bias"], self.state["0.bias"]))

    @unittest.skipUnless(os.path.exists("/dev/full"), "needs /dev/full, which is a full disk")
    def test_a_full_disk_is_a_fault(self):
        script = [sys.executable, ROOT / "scripts" / "pruntrain_io.py", self.file]
        for form in ("--torch", "--safetensors", "--onnx"):
            self.assert_says(self.file, form, "/dev/full", says="is the disk full?", status=1)
        with open("/dev/full", "w") as full:
            done = subprocess.run(script, stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"^pruntrain_io: [^\n]*No space left[^\n]*\n$")

    def test_wrong_inputs_are_named_in_one_line(self):
        def file(name, content):
            (self.folder / name).write_bytes(content)
            return self.folder / name
        with h5py.File(self.folder / "other.h5", "w") as other:
            other["x"] = 1
        content = self.file.read_bytes()
        text = self.mlp.read_bytes()
        place = content.index(self.state["0.weight"].numpy().tobytes())
        changed = file("changed.h5", content[:place] + b"\0" + content[place + 1:])
        for form in ("--torch", "--safetensors", "--onnx"):
            self.assert_says(changed, form, self.folder / "no", says="changed.h5 is damaged")
        with h5py.File(file("less.h5", content), "r+") as less:
            del less["model/dense1/weight"]
        self.assert_says(self.folder / "less.h5", "--onnx", self.folder / "no", says="less.h5 is damaged or truncated: its seal")
        seal(self.folder / "less.h5", 2)
        self.assert_says(self.folder / "less.h5", "--onnx", self.folder / "no", says="less.h5 is damaged, or no checkpoint")
        self.assertFalse((self.folder / "no").exists())
        with h5py.File(file("newer.h5", content), "r+") as newer:
            newer.attrs["format_version"] = 9
        seal(self.folder / "newer.h5", 9)
        for path, says in ((self.folder / "newer.h5", "is of format 9"), (self.folder / "absent.h5", "does not exist"), (self.folder, "a folder without checkpoints"), (self.mlp, "no HDF5 file"),
                           (self.folder / "other.h5", "no checkpoint of pruntrain"), (file("cut.h5", content[:2000]), "cut.h5"),
                           (file("empty.h5", b""), "no HDF5 file")):
            self.assert_says(path, says=says)
            if path != self.mlp:
                self.assert_says("from-torch", self.folder / "state.pt", path, self.out, says="")
        for config, says in ((b"[1, 2", "no YAML"), (b"\xff\xfe\x00", "no text"), (b"model: 3\ndata: {normalization: none}", "no list"),
                             (b"model: []", "no section 'data'"), (text.replace(b"units: 8", b"units: x"), "units of layer dense1"),
                             (text.replace(b"normalization: none", b"normalization: given"), "data.mean is needed"),
                             (text.replace(b"normalization: none", b"normalization: given, mean: a, std: b"), "data.mean is a"),
                             (text.replace(b"units: 8", b"units: 8, name: a.b"), "is named 'a.b'"),
                             (text.replace(b"units: 8", b"units: 8, name: dense2"), "two layers of the configuration are named 'dense2'"),
                             (b"&a [*a]", "no keys"), (b"", "no keys"), (b"a: \x01", "no YAML"), (b"a: 2020-13-99", "no YAML"), (b"!!python/object:os.system {}", "no YAML")):
            self.assert_says("from-torch", self.folder / "state.pt", file("config.yaml", config), self.out, says=says)
        self.assert_says(self.file, "--what", says="--what")
        self.assert_says("from-torch", "a", says="required")
        self.assert_says(says="required")
        with mock.patch.object(command_line, "print_table", side_effect=ZeroDivisionError("x")):
            self.assert_says(self.file, says="internal error: ZeroDivisionError: x", status=1)


if __name__ == "__main__":
    unittest.main()
