#!/usr/bin/python3
"""Text tables through the program: columns by name, words as classes, and their names in checkpoints."""

import random
import sys
import unittest

import h5py

from support import ROOT, EndToEnd, run

sys.path.insert(0, str(ROOT / "python"))
import pruntrain  # noqa: E402 (its folder is known only now)

CONFIG = """
run: {{name: table}}
data: {{format: csv, directory: {folder}, train_file: train.csv, test_file: test.csv, target: species, leave_out: [id],
       validation_samples: 10}}
model:
  - {{layer: dense, units: 3}}
train: {{epochs: 1, global_batch: 10, execution: dense}}
optimizer: {{learning_rate: 0.05}}
"""
SPECIES = ["setosa", "versicolor", "virginica"]


def table(species, rows, seed=0, separator=","):
    values = random.Random(seed)
    lines = [separator.join(("id", "length", "species", "width"))]
    for row in range(rows):
        name = species[row % len(species)]
        size = SPECIES.index(name) if name in SPECIES else 0
        lines.append(separator.join((str(row), f"{size + values.random():.3f}", f'"{name}"', f"{values.random() - size:.3f}")))
    return "\n".join(lines) + "\n"


class Tables(EndToEnd):
    def setUp(self):
        super().setUp()
        (self.folder / "train.csv").write_text(table(SPECIES, 60))
        (self.folder / "test.csv").write_text(table(SPECIES, 12, seed=1))
        self.config = CONFIG.format(folder=self.folder)

    def test_names_of_classes(self):
        trained = self.train(self.config, "table", ranks=2)
        file = trained.checkpoints[-1]
        with h5py.File(file) as stored:
            self.assertEqual(stored["class_names"][0].decode(), "\n".join(SPECIES))
        self.assertEqual(pruntrain.class_names(file), SPECIES)
        pruntrain.verify(file)
        self.assertIn("classes              3: setosa, versicolor, virginica\n", run("inspect", file).stdout)

        # A file without the first class: its words keep their indices. The losses are those of the same samples.
        (self.folder / "part.csv").write_text(table(SPECIES[1:], 12, seed=2, separator=";"))
        (self.folder / "coded.csv").write_text((self.folder / "part.csv").read_text().replace('"versicolor"', "1")
                                               .replace('"virginica"', "2"))
        words = run("evaluate", file, "data.train_file=part.csv", "data.test_file=part.csv", "data.validation_samples=0")
        self.assertEqual(words.returncode, 0, words.stderr)
        coded = run("evaluate", file, "data.train_file=coded.csv", "data.test_file=coded.csv", "data.validation_samples=0")
        self.assertEqual(words.stdout, coded.stdout)

        (self.folder / "unknown.csv").write_text(table(["setosa", "tulip"], 12))
        unknown = run("evaluate", file, "data.test_file=unknown.csv")
        self.assertEqual(unknown.returncode, 2)
        self.assertIn("unknown.csv' line 3 column 3 (species): the class 'tulip' is unknown: the classes are setosa, versicolor",
                      unknown.stderr)

        # Other classes on resume and as a start would shift the indices.
        (self.folder / "train.csv").write_text(table(SPECIES[1:], 60))
        (self.folder / "test.csv").write_text(table(SPECIES[1:], 12))
        for arguments in (("--resume", "train.epochs=2"), ("run.name=other", f"run.start_from={file}", "data.normalization=given",
                          f"data.mean={list(map(float, pruntrain.normalization(file)[0]))}",
                          f"data.std={list(map(float, pruntrain.normalization(file)[1]))}")):
            path = self.folder / "again.yaml"
            path.write_text(self.config)
            refused = run(path, f"run.output={trained.folder.parent}", f"run.name={trained.folder.name}", *arguments)
            self.assertEqual(refused.returncode, 2, refused.stderr)
            self.assertIn('set data.class_names=\'["setosa", "versicolor", "virginica"]\'', refused.stderr)

    def test_words_need_a_loss_of_classes(self):
        path = self.folder / "squared.yaml"
        path.write_text(self.config.replace("units: 3", "units: 1").replace("execution:", "loss: mean_squared_error, execution:"))
        refused = run(path, f"run.output={self.folder}")
        self.assertEqual(refused.returncode, 2)
        self.assertIn("the targets are words of 3 classes", refused.stderr)

    def test_an_index_is_never_an_input(self):
        path = self.folder / "index.yaml"
        path.write_text(self.config.replace(", leave_out: [id]", ""))
        refused = run(path, f"run.output={self.folder}")
        self.assertEqual(refused.returncode, 2)
        self.assertIn("column 1 (id) counts up to 59", refused.stderr)
        self.assertIn("data.index_column=drop", refused.stderr)
        checked = run("--check", path, "data.index_column=drop")
        self.assertIn("input 2, 9 parameters", checked.stdout)


if __name__ == "__main__":
    unittest.main()
