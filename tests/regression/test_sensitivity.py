#!/usr/bin/python3
"""Compares the sensitivity analysis with runs that prune one layer at their end, and tests the resulting allocation."""

import csv
import subprocess
import sys
import unittest

import yaml

from support import CONVOLUTION, ROOT, UNEVEN, UNEVEN_WEIGHTS, EndToEnd, at_once, run

LAYERS = {"dense1": 13 * 23, "dense2": 23 * 11, "dense3": 11 * 3}
# Dense, so that the last evaluation of a run and the analysis use the same kernels.
NETWORK = UNEVEN.replace("execution: sparse, epochs: 4", "execution: dense, epochs: 2")
UNPRUNED = NETWORK[:NETWORK.index("prune:")] + NETWORK[NETWORK.index("checkpoint:"):]
COLUMNS = ["layer", "sparsity", "density", "loss", "accuracy", "drop"]


def removed(sparsity, size):
    return int(sparsity * size * (1 + 1e-12))


def evaluated(checkpoint, split):
    said = dict(line.split(maxsplit=1) for line in run("evaluate", checkpoint, "--split", split).stdout.splitlines())
    return float(said["loss"]), float(said["accuracy"])


class Sensitivity(EndToEnd):
    def analyze(self, checkpoint, name, *arguments, ranks=None):
        """(parsed rows of the CSV, its text, standard output)"""
        path = self.folder / f"{name}.csv"
        done = run("sensitivity", checkpoint, "--output", path, *arguments, ranks=ranks)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        rows = list(csv.DictReader(path.read_text().splitlines()))
        self.assertEqual(list(rows[0]), COLUMNS)
        for row in rows:
            row.update({name: float(row[name] or "nan") for name in COLUMNS[1:]})
        return rows, path.read_text(), done.stdout

    def whole(self, *settings):
        """The network of a run without pruning."""
        return self.train(NETWORK, "whole", "prune.final_sparsity=0", *settings).checkpoints[-1]

    def pruned_alone(self, layer, sparsity, *settings):
        """The same run, which removes weights of one layer after its last step."""
        count = removed(sparsity, LAYERS[layer])
        table = ", ".join(f"{name}: {count / size if name == layer else 0}" for name, size in LAYERS.items())
        return self.train(NETWORK, f"{layer}-{sparsity}", f"prune.final_sparsity={(count + 0.5) / UNEVEN_WEIGHTS}",
                          f"prune.allocation={{type: per_layer, sparsity: {{{table}}}}}", "prune.layer_floor=0",
                          "prune.schedule={type: one_shot, at_step: 26}", *settings).checkpoints[-1]

    def test_a_row_is_the_evaluation_of_a_network_pruned_alike(self):
        for criterion in ("magnitude", "random"):
            setting = f"prune.criterion={criterion}"
            whole = self.whole(setting, "--overwrite")
            for split in ("validation", "test"):
                rows, _, said = self.analyze(whole, criterion, "--sparsities", "0.9,0.5", "--split", split)
                self.assertEqual([(row["layer"], row["sparsity"]) for row in rows],
                                 [(layer, sparsity) for layer in LAYERS for sparsity in (0.5, 0.9)])
                loss, accuracy = evaluated(whole, split)
                self.assertIn(f"loss      {loss!r}\naccuracy  {accuracy!r}\n", said)
                if split == "test":
                    continue
                pruned = at_once(lambda row: self.pruned_alone(row["layer"], row["sparsity"], setting, "--overwrite"),
                                 [(row,) for row in rows])
                for row, checkpoint in zip(rows, pruned):
                    size = LAYERS[row["layer"]]
                    self.assertEqual(row["density"], (size - removed(row["sparsity"], size)) / size)
                    self.assertEqual((row["loss"], row["accuracy"]), evaluated(checkpoint, split), row)
                    self.assertAlmostEqual(row["drop"], 100 * (accuracy - row["accuracy"]), delta=1e-9)

    def test_gradients_of_a_batch(self):
        # Without dropout and batch-norm, and with all samples in the batch, training has the same gradient as the analysis.
        settings = ("model.3.rate=0", "model.1={layer: relu}", "train.global_batch=619", "train.epochs=26")
        whole = self.whole(*settings)
        for criterion in ("taylor", "fisher", "wood_fisher"):
            setting = f"prune.criterion={criterion}"
            rows, _, _ = self.analyze(whole, criterion, "--sparsities", "0.6", setting)
            pruned = at_once(lambda row: self.pruned_alone(row["layer"], 0.6, setting, "--overwrite", *settings),
                             [(row,) for row in rows])
            for row, checkpoint in zip(rows, pruned):
                loss, accuracy = evaluated(checkpoint, "validation")
                # The order of the samples may decide ties.
                self.assertAlmostEqual(row["loss"], loss, delta=0.02 * loss)
                self.assertAlmostEqual(row["accuracy"], accuracy, delta=0.03)

    def test_any_number_of_ranks_writes_the_same(self):
        jobs = [("magnitude", ()), ("taylor", ("prune.criterion=taylor",)), ("rows", ("prune.granularity=row",)),
                ("fisher", ("prune.criterion={type: fisher, samples: 4, batches: 6}",)),
                ("wood_fisher", ("prune.criterion={type: wood_fisher, samples: 4, batches: 6, block: 20}",))]
        whole = self.whole()
        for name, settings in jobs:
            written = at_once(lambda ranks: self.analyze(whole, f"{name}-{ranks}", *settings, ranks=ranks)[1:],
                              [(ranks,) for ranks in (None, 2, 3)])
            self.assertEqual(len(written[0][0].splitlines()), 1 + 3 * 6)
            self.assertEqual(written[0], written[1], name)
            self.assertEqual(written[0], written[2], name)

    def test_ordered_sums_and_images(self):
        trained = self.train(CONVOLUTION.replace("execution: sparse,", "sum: ordered, slices: 3,"), "images", ranks=2)
        written = [self.analyze(trained.checkpoints[-1], f"ranks-{ranks}", ranks=ranks) for ranks in (None, 3)]
        self.assertEqual(written[0][1:], written[1][1:])
        rows = written[0][0]
        loss, accuracy = evaluated(trained.checkpoints[-1], "validation")
        kept = {layer["name"]: layer["kept"] / layer["size"] for layer in trained.summary["layers"]}
        for row in rows:    # it is at 0.8 already: a layer that is sparse enough is not changed
            density = kept[row["layer"] + ".weight"]
            self.assertLessEqual(row["density"], density)
            if row["density"] == density:
                self.assertEqual((row["loss"], row["accuracy"], row["drop"]), (loss, accuracy, 0))
        self.assertTrue(any(row["density"] < 1 - row["sparsity"] for row in rows))

    def test_whole_units(self):
        rows, _, _ = self.analyze(self.whole(), "rows", "--sparsities", "0.5,0.97", "prune.granularity=row")
        self.assertEqual([row["density"] for row in rows], [11 / 23, 1 / 23, 5 / 11, 1 / 11, 1 / 3, 1 / 3])

    def test_a_run_without_pruning(self):
        trained = self.train(UNPRUNED, "unpruned", "train.epochs=1")
        rows, _, _ = self.analyze(trained.checkpoints[-1], "unpruned", "--sparsities", "0,0.8")
        self.assertEqual([row["density"] for row in rows[:2]], [1, 60 / 299])
        _, accuracy = evaluated(trained.checkpoints[-1], "validation")
        self.assertEqual((rows[0]["accuracy"], rows[0]["drop"]), (accuracy, 0))
        with_criterion, _, _ = self.analyze(trained.checkpoints[-1], "random", "--sparsities", "0.8", "prune.criterion=random")
        self.assertNotEqual(with_criterion[0]["loss"], rows[1]["loss"])

    def test_the_allocation_prunes_a_run(self):
        whole = self.whole("train.epochs=6")
        path = self.folder / "allocation.yaml"
        rows, _, _ = self.analyze(whole, "drops")
        drop = sorted(row["drop"] for row in rows)[len(rows) // 2]      # some rows have exactly this cost
        _, _, said = self.analyze(whole, "drops", "--drop", drop, "--allocation", path)
        self.assertIn(path.read_text(), said)
        lines = yaml.safe_load(path.read_text())
        wanted = {layer: max([row["sparsity"] for row in rows if row["layer"] == layer and row["drop"] <= drop], default=0)
                  for layer in LAYERS}
        self.assertEqual(lines["allocation"], {"type": "per_layer", "sparsity": wanted})
        self.assertGreater(len(set(wanted.values())), 1)
        settings = [f"prune.{line}".replace(": ", "=", 1) for line in path.read_text().splitlines()[1:]]
        trained = self.train(NETWORK, "allocated", *settings)
        for layer, size in LAYERS.items():
            kept = next(entry["kept"] for entry in trained.summary["layers"] if entry["name"] == layer + ".weight")
            self.assertAlmostEqual(kept, (1 - wanted[layer]) * size, delta=1)
        # The one unit that must remain exceeds the last sparsity, so it is not proposed.
        self.analyze(whole, "rows", "--sparsities", "0,0.99", "--drop", "100", "--allocation", path, "prune.granularity=row")
        self.assertEqual(yaml.safe_load(path.read_text())["allocation"]["sparsity"], dict.fromkeys(LAYERS, 0))

    def test_a_regression_has_no_accuracy(self):
        config = UNPRUNED.replace("loss: cross_entropy", "loss: mean_squared_error").replace("units: 3,", "units: 1,")
        trained = self.train(config, "regression", "train.epochs=1")
        rows, text, said = self.analyze(trained.checkpoints[-1], "regression", "--sparsities", "0.5")
        self.assertTrue(all(row.endswith(",,") for row in text.splitlines()[1:]))
        self.assertNotIn("allocation", said)
        self.assert_refused(run("sensitivity", trained.checkpoints[-1], "--allocation", self.folder / "a.yaml"),
                            "--allocation", "accuracy", "regression")

    def test_bad_input(self):
        whole = self.whole()
        before = sorted(self.folder.rglob("*"))
        for words, arguments in {
            ("1.5", "0 <= x < 1"): ["--sparsities", "0.5,1.5"],
            ("--sparsities", "half"): ["--sparsities", "half"],
            ("--drop", "-1", "100"): ["--drop", "-1"],
            ("--split", "tset"): ["--split", "tset"],
            ("movement", "prune.criterion=magnitude"): ["prune.criterion=movement"],
            ("prune.citerion", "prune.criterion"): ["prune.citerion=random"],
            ("parallel.model_shards", "1"): ["parallel.model_shards=2"],
            ("missing/table.csv", "folder"): ["--output", self.folder / "missing" / "table.csv"],
            ("missing/a.yaml", "folder"): ["--allocation", self.folder / "missing" / "a.yaml"],
            ("no validation split", "--split"): ["data.validation_samples=0"],
        }.items():
            self.assert_refused(run("sensitivity", whole, *arguments, ranks=2), *words)
        self.assertEqual(sorted(self.folder.rglob("*")), before)
        self.assert_refused(run("sensitivity", self.folder / "none.h5"), "none.h5")
        self.assert_refused(run("sensitivity"), "file", "--help")
        unpruned = self.train(UNPRUNED, "unpruned", "train.epochs=0").checkpoints[-1]
        self.assert_refused(run("sensitivity", unpruned, "prune.granularity=n_m", "prune.final_sparsity=0.5"),
                            "2 of 4", "prune.granularity=weight")

    def test_the_plot(self):
        self.analyze(self.whole(), "table")
        try:
            import matplotlib  # noqa: F401
        except ImportError:
            self.skipTest("needs python3-matplotlib")
        picture = self.folder / "picture.svg"
        subprocess.run([sys.executable, ROOT / "scripts" / "plot_sensitivity.py", picture, self.folder / "table.csv"],
                       check=True)
        self.assertIn("<svg", picture.read_text())


if __name__ == "__main__":
    unittest.main()
