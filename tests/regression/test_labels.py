#!/usr/bin/python3
"""Values and labels as they are found in practice: large offsets, missing values, labels from 1, one-hot rows, one output."""

import unittest

import numpy

from support import EndToEnd, at_once, run

SAMPLES = 600
CONFIG = """
run: {{name: labels, output: {folder}, progress: lines}}
data: {{format: npy, directory: {folder}, train_inputs: x.npy, train_targets: y.npy, validation_samples: 60, test_samples: 60}}
model: [{{layer: dense, units: 16}}, {{layer: relu}}, {{layer: dense, units: 3}}]
train: {{epochs: 8, global_batch: 20, sum: ordered, slices: 4, loss: cross_entropy, execution: dense}}
optimizer: {{learning_rate: 0.01}}
"""


class Labels(EndToEnd):
    def setUp(self):
        super().setUp()
        random = numpy.random.default_rng(5)
        self.y = numpy.arange(SAMPLES) % 3
        self.x = random.normal(size=(SAMPLES, 4)) + 2 * numpy.eye(4)[self.y]
        self.save("x", self.x.astype("f4"))
        self.save("y", self.y)
        self.config = self.write_config(CONFIG.format(folder=self.folder))

    def save(self, name, array):
        numpy.save(self.folder / f"{name}.npy", array)

    def outcome(self, name, *settings, ranks=None):
        """History without clocks, and the summary."""
        return self.train(CONFIG.format(folder=self.folder), name, *settings, ranks=ranks)

    def test_labels_by_any_names_train_the_same_network(self):
        self.save("from_1", (self.y + 1).astype("u1"))
        self.save("pairs", numpy.array([-1, 1])[self.y % 2])
        self.save("gaps", numpy.array([0, 2, 3])[self.y])
        self.save("one_hot", numpy.eye(3, dtype="f4")[self.y])
        plain, *others = at_once(lambda name, *settings: self.outcome(name, *settings), [
            ("plain",),
            ("from_1", "data.train_targets=from_1.npy", "data.first_class=1"),
            ("gaps", "data.train_targets=gaps.npy", "data.labels=[0,2,3]"),
            ("one_hot", "data.train_targets=one_hot.npy"),
        ])
        self.assertGreater(plain.summary["test_accuracy"], 0.8)
        for other in others:
            self.assertEqual(other.outcome(), plain.outcome())
        # A checkpoint is evaluated with the keys of its run.
        done = run("evaluate", others[0].checkpoints[-1])
        self.assertIn(f"accuracy  {plain.summary['test_accuracy']}", done.stdout + done.stderr)
        # Counts are the same on any number of ranks, and their diagonal is the accuracy.
        tables = []
        for ranks in (None, 3):
            path = self.folder / f"confusion-{ranks}.csv"
            done = run("evaluate", others[1].checkpoints[-1], "--metrics", "--confusion", path, ranks=ranks)
            self.assertRegex(done.stdout, r"label +samples +precision +recall +F1\n")
            tables.append((path.read_text(), done.stdout))
        self.assertEqual(tables[0], tables[1])
        rows = [line.split(",") for line in tables[0][0].split()]
        self.assertEqual([row[0] for row in rows], ["label", "0", "2", "3"])
        self.assertAlmostEqual(sum(int(rows[i][i]) for i in (1, 2, 3)) / 60, plain.summary["test_accuracy"], places=12)
        refused = [
            (("data.train_targets=from_1.npy",), ("from_1.npy", "sample 2", "label 3", "set data.first_class to 1")),
            (("data.train_targets=gaps.npy",), ("gaps.npy", "set data.labels to [0, 2, 3]")),
            (("data.train_targets=pairs.npy", "model.2.units=2"), ("pairs.npy", "sample 0", "label -1", "set data.labels to [-1, 1]")),
            (("data.first_class=1", "train.loss=mean_squared_error", "model.2.units=1"), ("data.first_class is for class labels",)),
            (("data.train_targets=one_hot.npy", "model.2.units=4"), ("a probability for each of the 4 outputs", "targets of 3 values")),
            (("data.train_targets=x.npy", "model.2.units=4"), ("x.npy", "sample 0", "cross_entropy")),
        ]
        for settings, words in refused:
            self.assert_refused(run(self.config, "run.name=refused", *settings), *words)
        self.assertFalse((self.folder / "refused").exists())

    def test_two_classes_with_one_output(self):
        self.save("two", (self.y == 0).astype("u1"))
        self.save("pairs", numpy.where(self.y == 0, 1, -1))
        settings = ("train.loss=binary_cross_entropy", "model.2.units=1")
        one, pairs, three = at_once(lambda name, ranks, *more: self.outcome(name, *settings, *more, ranks=ranks), [
            ("two", None, "data.train_targets=two.npy"),
            ("pairs", None, "data.train_targets=pairs.npy", "data.labels=[-1,1]"),
            ("three", 3, "data.train_targets=two.npy")])
        self.assertGreater(one.summary["test_accuracy"], 0.85)
        self.assertEqual(pairs.outcome(), one.outcome())
        self.assertEqual(three.outcome(), one.outcome())
        self.assert_refused(run(self.config, "run.name=refused", *settings), "y.npy", "label 2", "from 0 to 1")

    def test_probabilities_train_without_accuracy(self):
        self.save("soft", (numpy.eye(3)[self.y] * 0.9 + 0.1 / 3).astype("f4"))
        soft = self.outcome("soft", "data.train_targets=soft.npy")
        self.assertIsNone(soft.summary.get("test_accuracy"))
        self.assertLess(soft.summary["test_loss"], 0.9)
        entropy = -(0.9 + 0.1 / 3) * numpy.log(0.9 + 0.1 / 3) - 2 * 0.1 / 3 * numpy.log(0.1 / 3)
        self.assertGreater(soft.summary["test_loss"], entropy)

    def test_time_stamps_are_learnt_as_without_their_offset(self):
        stamps = numpy.column_stack([1.7e9 + numpy.arange(SAMPLES) * 0.125, 5.4e6 + self.y * 0.125])
        ids = numpy.column_stack([10**15 + numpy.arange(SAMPLES) % 50, 7 * 10**12 + self.y])
        for name, array in (("stamps", stamps), ("centred", stamps - [1.7e9, 5.4e6]), ("ids", ids), ("small", ids - [10**15, 7 * 10**12])):
            self.save(name, array)
        runs = dict(zip(("stamps", "disk", "centred", "ids", "small"), at_once(
            lambda name, ranks, file, *more: self.outcome(name, f"data.train_inputs={file}.npy", *more, ranks=ranks), [
                ("stamps", None, "stamps"), ("disk", 3, "stamps", "data.residency=disk"), ("centred", None, "centred"),
                ("ids", 2, "ids"), ("small", None, "small")])))
        for name, other in (("stamps", "centred"), ("ids", "small")):
            self.assertGreater(runs[name].summary["test_accuracy"], 0.95)
            self.assertAlmostEqual(runs[name].summary["test_loss"], runs[other].summary["test_loss"], delta=1e-4)
        self.assertEqual(runs["disk"].outcome(), runs["stamps"].outcome())
        self.assertIn("2 of 2 features of the inputs have a mean of more than 1024 std", run("--check", self.config, "data.train_inputs=ids.npy").stdout)
        # With mean and std of the checkpoint, evaluate reads the same inputs.
        done = run("evaluate", runs["stamps"].checkpoints[-1], ranks=2)
        self.assertIn(f"loss      {runs['stamps'].summary['test_loss']}\n", done.stdout)

    def test_values_that_are_not_finite_are_refused_in_every_split(self):
        for name, value in (("nan", numpy.nan), ("large", 1e300)):
            bad = self.x.copy()
            bad[17, 2] = value
            self.save(name, bad)
        targets = self.x[:, :1].astype("f4")
        targets[4] = numpy.nan
        self.save("missing", targets)
        test = ("data.test_samples=0", "data.test_targets=y.npy", "data.test_inputs=nan.npy")
        regression = ("train.loss=mean_squared_error", "model.2.units=1", "data.train_targets=missing.npy")
        cases = [((*settings, f"data.residency={residency}"), words)
                 for residency in ("node", "shard", "disk")
                 for settings, words in ((("data.train_inputs=large.npy",), ("large.npy", "feature 2 of sample 17", "1e+300")),
                                         (test, ("nan.npy", "feature 2 of sample 17", "NaN")),
                                         (regression, ("missing.npy", "target 0 of sample 4", "NaN")))]
        cases = [(i, *case) for i, case in enumerate(cases)]
        for (i, settings, words), done in zip(cases, at_once(
                lambda i, settings, words: run(self.config, f"run.name=bad{i}", *settings, ranks=2 if i % 2 else None), cases)):
            self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
            for word in words:
                self.assertIn(word, done.stderr)
            self.assertFalse((self.folder / f"bad{i}").exists())
        # Held-out samples of the training files, which nobody measures, and training samples in their first epoch.
        held_out = ("data.validation_samples=300", "data.train_inputs=nan.npy", "data.residency=disk")
        given = ("data.normalization=given", "data.mean=0", "data.std=1")
        for settings, ranks in (((*held_out, "data.split_seed=1"), None), ((*held_out, "data.split_seed=2", *given), 3)):
            done = run(self.config, "run.name=held_out", *settings, ranks=ranks)
            self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
            self.assertIn("nan.npy': feature 2 of sample 17 (both counted from 0) is NaN", done.stderr)
        self.assertEqual(run("--check", self.config, *test, "data.residency=disk").returncode, 2)

    def test_an_evaluation_that_overflows_ends_the_run(self):
        large = self.x.astype("f4")
        large[9] = 1e38
        self.save("large", large)
        done = run(self.config, "run.name=overflow", "train.epochs=1", "data.test_samples=0", "data.test_inputs=large.npy",
                   "data.test_targets=y.npy", "data.normalization=given", "data.mean=0", "data.std=0.01", ranks=2)
        self.assert_refused(done, "the test loss is", "600 samples", "overflows")
        self.assertFalse((self.folder / "overflow" / "summary.json").exists())

    def test_splits_by_share_and_by_class(self):
        rare = numpy.where(numpy.arange(SAMPLES) < 20, 2, self.y % 2)
        self.save("rare", rare)
        settings = ("data.train_targets=rare.npy", "data.validation_samples=0.1", "data.test_samples=0.2", "data.stratified=true")
        first, second = at_once(lambda name, ranks: self.outcome(name, *settings, ranks=ranks), [("first", None), ("second", 3)])
        self.assertEqual(first.outcome(), second.outcome())
        self.assertEqual(first.summary["test_samples"], 120)
        plan = run("--check", self.config, *settings).stdout
        self.assertIn("420 training, 60 validation, 120 test samples", plan)
        self.assertNotIn("warning", plan)
        self.save("single", numpy.zeros(SAMPLES, "u1"))
        for arguments, words in ((("data.train_targets=single.npy",), "warning: all training samples have the label 0"),
                                 (("model.2.units=5",), "warning: no training sample has the labels 3, 4")):
            self.assertIn(words, run("--check", self.config, *arguments).stdout)
        self.assert_refused(run("--check", self.config, "data.validation_samples=1.5"), "validation_samples", "1.5", "shares below 1")


if __name__ == "__main__":
    unittest.main()
