#!/usr/bin/python3
"""A new run starts from the weights of a file, of another run or of PyTorch."""

import re
import shutil
import subprocess
import sys
import unittest

import h5py
import numpy
import torch

from support import CONVOLUTION, ROOT, UNEVEN, UNEVEN_WEIGHTS, EndToEnd, Run, at_once, kept_of, run

sys.path.insert(0, str(ROOT / "scripts"))
import pruntrain_io  # noqa: E402 (its folder is known only now)

ORDERED = UNEVEN.replace("train: {execution: sparse,", "train: {execution: sparse, sum: ordered, slices: 8,")
UNPRUNED = re.sub(r"(?s)prune:.*checkpoint:", "checkpoint:", ORDERED)
ROWS = ("prune.granularity=row", "prune.reconfigure=true", "prune.final_sparsity=0.6", "prune.layer_floor=0.01")
SHORT = "train.epochs=1"
AS_IT_IS = "train.epochs=0"

# All layers except dropout, as a reference in PyTorch.
FOREIGN = """
run: {{name: foreign, seed: 1}}
data: {{format: npy, directory: {folder}, train_inputs: x.npy, train_targets: y.npy, test_inputs: x.npy, test_targets: y.npy,
       normalization: given, mean: [100, 90], std: [50, 60]}}
model:
  - {{layer: conv2d, channels: 6, padding: 1}}
  - {{layer: batch_norm}}
  - {{layer: relu}}
  - {{layer: max_pool2d}}
  - {{layer: flatten}}
  - {{layer: dense, units: 7, bias: false}}
  - {{layer: relu}}
  - {{layer: dense, units: 3, name: last}}
train: {{epochs: 1, global_batch: 20, loss: cross_entropy, execution: dense}}
optimizer: {{type: sgd, learning_rate: 0.01}}
"""


def accuracy_and_loss(text):
    return [float(re.search(rf"^{name} +(\S+)", text, re.MULTILINE)[1]) for name in ("accuracy", "loss")]


class StartFrom(EndToEnd):
    def start(self, config, name, file, *arguments, ranks=None):
        return self.train(config, name, f"run.start_from={file}", *arguments, ranks=ranks)

    def test_the_network_is_that_of_the_file(self):
        file = self.train(ORDERED, "first", SHORT, "prune.schedule.end_step=13", ranks=2).checkpoints[-1]
        with h5py.File(file) as stored:
            hashes = [stored.attrs[name].decode() for name in ("pattern_hash", "weights_hash")]
            sparsity = stored.attrs["sparsity"]
        evaluated = run("evaluate", file)
        grids = ((1, 1), (3, 1), (2, 2), (4, 2))
        for started, (_, shards) in zip(at_once(lambda ranks, shards: self.start(
                UNPRUNED, f"started-{ranks}", file, AS_IT_IS, f"parallel.model_shards={shards}", ranks=ranks), grids), grids):
            summary = started.summary
            self.assertEqual([summary["pattern_hash"], summary["weights_hash"]], hashes)
            self.assertEqual((summary["steps"], summary["sparsity"]), (0, sparsity))
            if shards == 1:
                self.assertEqual([summary["test_accuracy"], summary["test_loss"]], accuracy_and_loss(evaluated.stdout))
            with h5py.File(started.checkpoints[0]) as stored:
                for node in stored["optimizer/first_moment"].values():
                    self.assertFalse(any(numbers[()].any() for numbers in node.values()))
                self.assertEqual(len(stored["history/step"]), 0)

    def test_training_continues_identically_on_any_number_of_ranks(self):
        dense = self.train(UNPRUNED, "dense", SHORT).checkpoints[-1]
        pruned = at_once(lambda ranks: self.start(ORDERED, f"pruned-{ranks}", dense, ranks=ranks), ((1,), (2,), (3,)))
        for one in pruned[1:]:
            self.assertEqual(one.outcome(), pruned[0].outcome())
        removed = [layer["size"] - layer["kept"] for layer in pruned[0].summary["layers"] if layer["prunable"]]
        self.assertEqual(sum(removed), int(0.7 * UNEVEN_WEIGHTS))
        self.assertNotEqual(pruned[0].outcome(), self.train(ORDERED, "anew").outcome())

        # Removed weights do not return; an event with a lower sparsity than the present one does nothing.
        file = pruned[0].checkpoints[-1]
        further = at_once(lambda ranks, goal: self.start(ORDERED, f"further-{ranks}-{goal}", file, f"prune.final_sparsity={goal}",
                                                         ranks=ranks), [(1, 0.8), (2, 0.8), (1, 0.3)])
        self.assertEqual(further[0].outcome(), further[1].outcome())
        self.assertEqual(float(further[0].history[0]["sparsity"]), pruned[0].summary["sparsity"])
        self.assertEqual(further[2].summary["pattern_hash"], pruned[0].summary["pattern_hash"])
        with h5py.File(file) as before, h5py.File(further[0].checkpoints[-1]) as after:
            for layer in ("dense1", "dense2", "dense3"):
                was, now = (kept_of(stored[f"model/{layer}/weight"]) for stored in (before, after))
                self.assertFalse((now & ~was).any())
        self.assertEqual(further[0].summary["sparsity"], int(0.8 * UNEVEN_WEIGHTS) / UNEVEN_WEIGHTS)

    def test_a_network_without_some_units(self):
        for name, config in (("vectors", UNEVEN), ("images", CONVOLUTION)):
            schedule = "prune.schedule={type: one_shot, at_step: 0}"
            first = self.train(config, f"{name}-first", *ROWS, schedule, AS_IT_IS)
            smaller = [layer for layer in first.summary["layers"] if layer["shape"] != layer["full_shape"]]
            self.assertNotEqual(smaller, [])
            plain = re.sub(r"(?s)prune:.*checkpoint:", "checkpoint:", config)
            for started in at_once(lambda ranks, shards: self.start(
                    plain, f"{name}-{ranks}", first.checkpoints[-1], AS_IT_IS, f"parallel.model_shards={shards}",
                    "parallel.shard_optimizer=true", ranks=ranks), ((1, 1), (2, 1), (4, 2))):
                for key in ("weights_hash", "layers", "sparsity"):
                    self.assertEqual(started.summary[key], first.summary[key])
            self.start(config, f"{name}-on", first.checkpoints[-1], *ROWS, schedule.replace("0}", "2}"), "prune.final_sparsity=0.7",
                       SHORT, ranks=2)

    def test_resume(self):
        file = self.train(UNPRUNED, "first", SHORT).checkpoints[-1]
        straight = self.start(ORDERED, "straight", file, "checkpoint.keep=99")
        nothing_yet = self.start(ORDERED, "nothing_yet", file, "checkpoint.keep=99", "--resume", ranks=2)
        self.assertEqual(nothing_yet.outcome(), straight.outcome())
        (self.folder / "cut_off" / "checkpoints").mkdir(parents=True)
        shutil.copy(straight.checkpoints[2], self.folder / "cut_off" / "checkpoints")
        file.unlink()    # the checkpoint of the run itself is sufficient
        cut_off = self.start(ORDERED, "cut_off", file, "checkpoint.keep=99", "--resume", ranks=2)
        self.assertEqual(cut_off.outcome(), straight.outcome())

    def test_check(self):
        file = self.train(UNEVEN, "first", SHORT, "prune.schedule.end_step=13").checkpoints[-1]
        config = self.write_config(UNEVEN)
        for arguments in ((), ("--ranks", "64")):
            done = run("--check", *arguments, config, f"run.start_from={file}")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(f"weights of {file} (step 13, sparsity 0.699", done.stdout)
        self.assert_refused(run("--check", config, "run.start_from=none.h5"), "run.start_from", "none.h5 does not exist")

    def test_errors(self):
        file = self.train(UNEVEN, "first", SHORT, "prune.schedule.end_step=13").checkpoints[-1]
        smaller = self.train(UNEVEN, "smaller", *ROWS, "prune.schedule={type: one_shot, at_step: 0}", AS_IT_IS).checkpoints[-1]
        damaged = self.folder / "damaged.h5"
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        damaged.write_bytes(content)
        config = self.write_config(UNEVEN.replace("  allocation: global\n", ""))
        cases = (("none.h5", (), ("none.h5 does not exist",)),
                 (config, (), ("config.yaml is not a pruntrain checkpoint",)),
                 (damaged, (), ("damaged.h5 is damaged",)),
                 (file, ("model.0.units=29",), (file.name, "dense1.weight 23x13", "29x13", "another network")),
                 (smaller, ("model.0.units=29",), ("dense1.weight 23x13", "29x13")),
                 (file, ("model.1.layer=relu",), ("batch_norm1.scale", "dense2.weight")),
                 (file, ("data.validation_samples=200",), (file.name, "data.normalization=given data.mean=[", "data.std=[")),
                 (smaller, ("prune.regrow={type: random, every_steps: 3}",), ("units were removed", "regrow", "prune.reconfigure: false")),
                 (file, ("prune.granularity={type: n_m, n: 2, m: 4}", "prune.final_sparsity=0.5"),
                  ("weights were removed", "2 of 4", "leave the prune section out")))

        def refuse(number, start, arguments, words):
            for ranks in (None, 2) if number % 3 == 0 else (None,):
                done = run(config, f"run.output={self.folder}", f"run.name=refused-{number}", f"run.start_from={start}", *arguments,
                           ranks=ranks)
                self.assert_refused(done, "run.start_from: ", *words)
                self.assertFalse((self.folder / f"refused-{number}").exists())
        at_once(refuse, [(number, *case) for number, case in enumerate(cases)])
        done = run(config, f"run.output={self.folder}", "run.name=first", "--overwrite", f"run.start_from={file}")
        self.assert_refused(done, file.name, "of this run itself", "--resume", "run.name")
        self.assertTrue(file.exists())

    def test_another_normalization_is_reported_with_the_required_settings(self):
        file = self.train(UNPRUNED, "first", SHORT).checkpoints[-1]
        other = "data.validation_samples=200"
        done = run(self.write_config(UNPRUNED), f"run.output={self.folder}", "run.name=other", f"run.start_from={file}", other)
        settings = re.search(r"set (data\S+) (data\S+) (data\S+)", done.stderr).groups()
        started = self.start(UNPRUNED, "other", file, other, AS_IT_IS, *settings)
        self.assertEqual(started.summary["weights_hash"], Run(self.folder / "first").summary["weights_hash"])


class FromTorch(EndToEnd):
    def setUp(self):
        super().setUp()
        random = numpy.random.default_rng(1)
        self.x = random.integers(0, 256, (60, 2, 8, 8), numpy.uint8)
        numpy.save(self.folder / "x.npy", self.x)
        numpy.save(self.folder / "y.npy", random.integers(0, 3, 60).astype(numpy.uint8))
        torch.manual_seed(1)
        self.network = torch.nn.Sequential(
            torch.nn.Conv2d(2, 6, 3, padding=1), torch.nn.BatchNorm2d(6), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
            torch.nn.Flatten(), torch.nn.Linear(96, 7, bias=False), torch.nn.ReLU(), torch.nn.Linear(7, 3))
        inputs = torch.from_numpy((self.x - numpy.array([100, 90]).reshape(1, 2, 1, 1)) / numpy.array([50, 60]).reshape(1, 2, 1, 1))
        self.network(inputs.float())    # updates the running statistics
        self.network.eval()
        with torch.no_grad():
            self.network[5].weight[self.network[5].weight.abs() < 0.05] = 0
            self.expected = self.network(inputs.float()).numpy()
        self.config = self.write_config(FOREIGN.format(folder=self.folder), "foreign.yaml")

    def convert(self, state, *arguments, config=None):
        torch.save(state, self.folder / "state.pt")
        file = self.folder / "weights.h5"
        words = ["from-torch", self.folder / "state.pt", config or self.config, file, *arguments]
        done = subprocess.run([sys.executable, pruntrain_io.__file__, *map(str, words)], text=True, capture_output=True)
        return done, file

    def test_outputs_are_those_of_pytorch(self):
        state = self.network.state_dict()
        zeros = int((state["5.weight"] == 0).sum())
        layers = {"0": "conv2d1", "1": "batch_norm1", "5": "dense1", "7": "last"}
        named = {layers[name[0]] + name[1:]: value for name, value in reversed(state.items())}
        for given, arguments in ((state, ()), (named, ()), (state, ("--sparse",))):
            done, file = self.convert(given, *arguments)
            self.assertEqual(done.returncode, 0, done.stderr)
            for said in (run("inspect", file), run("evaluate", file, "--outputs", self.folder / "outputs.npy")):
                self.assertEqual(said.returncode, 0, said.stderr)
            outputs = numpy.load(self.folder / "outputs.npy")
            self.assertLess(abs(outputs - self.expected).max(), 1e-5 * abs(self.expected).max())
            started = self.train(self.config, "started", f"run.start_from={file}", AS_IT_IS, "--overwrite", ranks=2)
            layers = {layer["name"]: layer for layer in started.summary["layers"]}
            absent = zeros if arguments else 0
            self.assertEqual(layers["dense1.weight"]["size"] - layers["dense1.weight"]["kept"], absent)
            self.assertEqual(started.summary["sparsity"], absent / started.summary["prunable"])
            with h5py.File(file) as stored:
                self.assertEqual(stored.attrs["sparsity"], started.summary["sparsity"])
            run("evaluate", started.checkpoints[-1], "--outputs", self.folder / "outputs.npy")
            self.assertTrue(numpy.array_equal(numpy.load(self.folder / "outputs.npy"), outputs))
            again = pruntrain_io.state_dict(started.checkpoints[-1])
            for name, value in named.items():
                if "num_batches" not in name:
                    self.assertTrue(torch.equal(again[name], value), name)

    def test_pruned_during_further_training(self):
        _, file = self.convert(self.network.state_dict())
        prune = "prune={schedule: {type: one_shot, at_step: 1}, final_sparsity: 0.5}"
        started = self.train(self.config, "pruned", f"run.start_from={file}", prune, ranks=2)
        self.assertEqual(started.summary["sparsity"], 0.5 - (started.summary["prunable"] % 2) / 2 / started.summary["prunable"])

    def test_errors_name_what_does_not_fit(self):
        state = self.network.state_dict()
        named = {"conv2d1" + name[1:]: value for name, value in state.items() if name.startswith("0")}
        text = self.config.read_text()
        measured = self.write_config(re.sub(r"normalization: given.*\]", "validation_samples: 3", text), "measured.yaml")
        incomplete = self.write_config(text.replace(", units: 7", ""), "incomplete.yaml")
        unknown = self.write_config(text.replace("max_pool2d", "gelu"), "unknown.yaml")
        cases = ((named, self.config, "no batch_norm1.weight", "no dense1.weight", "no last.weight"),
                 ({**state, "5.bias": torch.zeros(7)}, self.config, "5.bias, which the model does not have"),
                 ({**state, "9.weight": torch.zeros(7)}, self.config, "5 modules", "4 layers", "dense1, last"),
                 ({**state, "5.weight": torch.ones(8, 96)}, self.config, "5.weight is 8x96, the model's dense1.weight 7x?"),
                 ({**state, "7.weight": torch.ones(3, 8)}, self.config, "7.weight is 3x8, the model's last.weight 3x7"),
                 (state, measured, "data.normalization is measured", "given, with mean and std"),
                 (state, unknown, "type 'gelu'", "max_pool2d"))
        for given, config, *words in cases:
            with self.assertRaises(ValueError) as raised:
                pruntrain_io.from_torch(given, config.read_text(), self.folder / "weights.h5")
            for word in words:
                self.assertIn(word, str(raised.exception))
        for given, config, word in ((self.network, None, "holds a whole module (torch.nn.modules.container.Sequential)"),
                                    (state, incomplete, "dense1 (dense) of the configuration has no 'units'")):
            done, _ = self.convert(given, config=config)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertRegex(done.stderr, r"^pruntrain_io: .*\n$")
            self.assertIn(word, done.stderr)
        self.assertEqual(list(self.folder.glob("weights.h5*")), [])
        # The program checks what depends on the data.
        _, file = self.convert({**state, "5.weight": torch.ones(7, 95)})
        done = run(self.config, f"run.output={self.folder}", f"run.start_from={file}")
        self.assert_refused(done, "dense1.weight 7x95", "7x96")


if __name__ == "__main__":
    unittest.main()
