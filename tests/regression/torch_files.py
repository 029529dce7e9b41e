"""Common code of the tests of files for PyTorch: a network and its data, and scripts/pruntrain_io.py in this process."""
import contextlib
import io
import pathlib
import sys
from unittest import mock

import numpy
import torch
from torch import nn

from support import ROOT, EndToEnd, run

sys.path.insert(0, str(ROOT / "python"))
import pruntrain  # noqa: E402 (its folder is known only now)
from pruntrain import command_line  # noqa: E402

CONFIG = """
run: {{name: foreign}}
data: {{format: npy, directory: {folder}, train_inputs: x.npy, train_targets: y.npy, test_inputs: x.npy, test_targets: y.npy,
       normalization: none}}
model: [{model}]
train: {{epochs: 1, global_batch: 16, loss: cross_entropy}}
optimizer: {{learning_rate: 0.01}}
"""
MLP = "{layer: dense, units: 8}, {layer: relu}, {layer: dense, units: 3}"


def prefixed(state, prefix):
    return {prefix + name: value for name, value in state.items()}


class Files(EndToEnd):
    """A network of PyTorch, data for it, and what converts it."""

    def setUp(self):
        super().setUp()
        random = numpy.random.default_rng(1)
        self.x = random.normal(0, 1, (30, 4)).astype(numpy.float32)
        numpy.save(self.folder / "x.npy", self.x)
        numpy.save(self.folder / "y.npy", random.integers(0, 3, 30).astype(numpy.uint8))
        torch.manual_seed(1)
        self.network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        self.state = self.network.state_dict()
        self.mlp = self.configuration(MLP, "mlp.yaml")
        self.out = self.folder / "weights.h5"

    def configuration(self, model, name):
        return self.write_config(CONFIG.format(folder=self.folder, model=model), name)

    def pruntrain_io(self, *words):
        """(exit status, standard error) of the script, in this process."""
        error = io.StringIO()
        with mock.patch.object(sys, "argv", ["pruntrain_io", *map(str, words)]), contextlib.redirect_stderr(error):
            try:
                command_line.main()
                status = 0
            except SystemExit as exit_:
                status = exit_.code
        return status, error.getvalue()

    def convert(self, given, *options, config=None, name="state.pt"):
        """Converts a file, or what torch.save writes to one. Returns the arrays of the weight file."""
        path = given
        if not isinstance(given, pathlib.Path):
            path = self.folder / name
            torch.save(given, path)
        self.out.unlink(missing_ok=True)
        status, error = self.pruntrain_io("from-torch", path, config or self.mlp, self.out, *options)
        self.assertEqual((status, error), (0, ""))
        return pruntrain.arrays(self.out)

    def refuse(self, given, *words, options=(), config=None, name="state.pt", status=2):
        path = given
        if not isinstance(given, pathlib.Path):
            path = self.folder / name
            torch.save(given, path)
        self.out.unlink(missing_ok=True)
        done = self.pruntrain_io("from-torch", path, config or self.mlp, self.out, *options)
        self.assertEqual(done[0], status, done)
        self.assertRegex(done[1], r"^pruntrain_io: [^\n]*\n$")
        for word in words:
            self.assertIn(word, done[1])
        self.assertEqual(list(self.folder.glob("weights.h5*")), [])

    def outputs(self, path=None):
        done = run("evaluate", path or self.out, "--split", "test", "--outputs", self.folder / "outputs.npy")
        self.assertEqual(done.returncode, 0, done.stderr)
        return numpy.load(self.folder / "outputs.npy")

    def assert_computes(self, network):
        with torch.no_grad():
            expected = network(torch.from_numpy(self.x)).numpy()
        self.assertLess(abs(self.outputs() - expected).max(), 1e-5 * abs(expected).max())

    def assert_is(self, arrays, state=None, layers=("dense1", "dense2"), modules=("0", "2")):
        for layer, module in zip(layers, modules):
            for tensor in ("weight", "bias"):
                numpy.testing.assert_array_equal(arrays[f"{layer}.{tensor}"], (state or self.state)[f"{module}.{tensor}"].numpy())
