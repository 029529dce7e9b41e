#!/usr/bin/python3
"""A trained network is used on new files: the training files may be gone, and the new samples may have no targets."""

import sys
import unittest

import h5py
import numpy

from support import ROOT, EndToEnd, messages, run

sys.path.insert(0, str(ROOT / "python"))
import pruntrain

SAMPLES, NEW = 300, 50
CONFIG = """
run: {{name: {name}, output: {folder}, progress: lines}}
data: {{{data}, directory: {folder}, test_samples: 30, normalization: measured}}
model: [{{layer: dense, units: 16}}, {{layer: relu}}, {{layer: dense, units: 3}}]
train: {{epochs: 4, global_batch: 20, execution: dense}}
optimizer: {{learning_rate: 0.01}}
prune: {{final_sparsity: 0.5}}
"""
KINDS = ["cat", "dog", "eel"]


class NewSamples(EndToEnd):
    def setUp(self):
        super().setUp()
        random = numpy.random.default_rng(3)
        self.y = numpy.arange(SAMPLES) % 3
        self.x = (random.normal(size=(SAMPLES, 4)) + 2 * numpy.eye(4)[self.y]).astype("f4")
        numpy.save(self.folder / "x.npy", self.x)
        numpy.save(self.folder / "y.npy", self.y)
        numpy.save(self.folder / "new.npy", self.x[:NEW])
        numpy.save(self.folder / "new_y.npy", self.y[:NEW])
        self.table("all.csv", self.x, self.y)
        self.table("new.csv", self.x[:NEW])
        self.table("labeled.csv", self.x[:NEW], self.y[:NEW])
        for name, count in (("all", SAMPLES), ("new", NEW)):
            with h5py.File(self.folder / f"{name}.h5", "w") as file:
                file["inputs"] = self.x[:count]
                if name == "all":
                    file["targets"] = self.y

    def table(self, name, inputs, labels=None):
        rows = [",".join(map(str, row)) + ("" if labels is None else f",{KINDS[label]}")
                for row, label in zip(inputs, range(len(inputs)) if labels is None else labels)]
        heading = "a,b,c,d" + ("" if labels is None else ",kind")
        (self.folder / name).write_text("\n".join([heading, *rows]) + "\n")

    def trained(self, name, data, *files):
        """Trains on files, which are then removed. @return folder of the run"""
        config = self.folder / f"{name}.yaml"
        config.write_text(CONFIG.format(folder=self.folder, name=name, data=data))
        done = run(config)
        self.assertEqual(done.returncode, 0, done.stderr)
        for file in files:
            (self.folder / file).unlink()
        return self.folder / name

    def outputs(self, run_folder, *options, ranks=None):
        path = self.folder / "outputs.npy"
        done = run("evaluate", run_folder, "--outputs", path, *options, ranks=ranks)
        self.assertEqual(done.returncode, 0, done.stderr)
        return numpy.load(path), done.stdout

    def assert_refused(self, expected, run_folder, *options):
        done = run("evaluate", run_folder, "--outputs", self.folder / "none.npy", *options)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn(expected, messages(done.stderr)[-1])

    def test_arrays(self):
        folder = self.trained("arrays", "format: npy, train_inputs: x.npy, train_targets: y.npy", "x.npy", "y.npy")
        new = "data.test_inputs=new.npy"
        bare, said = self.outputs(folder, "--no-targets", new)
        self.assertIn(f"split     test, {NEW} samples without targets", said)
        self.assertNotIn("loss", said)
        full, said = self.outputs(folder, new, "data.test_targets=new_y.npy")
        numpy.testing.assert_array_equal(bare, full)
        self.assertIn(f"accuracy  {(full.argmax(1) == self.y[:NEW]).mean()}", said)
        self.assertGreater((full.argmax(1) == self.y[:NEW]).mean(), 0.7)
        for residency, ranks in (("shard", 2), ("disk", 3)):
            other, _ = self.outputs(folder, "--no-targets", new, f"data.residency={residency}", ranks=ranks)
            numpy.testing.assert_allclose(other, bare, rtol=1e-5, atol=1e-6)

        # The network was trained with its own mean and std, and its outputs are numbers.
        huge = self.x[:NEW].copy()
        huge[7] = 3e38
        numpy.save(self.folder / "huge.npy", huge)
        deep = "model=[" + "{layer: dense, units: 64}, " * 4 + "{layer: dense, units: 3}]"
        trained = run(self.folder / "arrays.yaml", "data={format: synthetic, samples: 300, shape: [4], classes: 3}",
                              deep, "run.name=deep")
        self.assertEqual(trained.returncode, 0, trained.stderr)
        replaced = "data={format: npy, train_inputs: none.npy, train_targets: none.npy, directory: " + str(self.folder) + "}"
        self.assert_refused("output 0 of sample 7", self.folder / "deep", "--no-targets", replaced, "data.test_inputs=huge.npy")
        for more in ((), ("--no-targets",)):
            self.assert_refused("leave data.normalization out", folder, "data.normalization=measured", *more, new,
                                "data.test_targets=new_y.npy")
        whole, _ = self.outputs(folder, "--no-targets", replaced, new)
        numpy.testing.assert_array_equal(bare, whole)
        done = run("evaluate", folder, "--outputs", self.folder / "o.csv", "--no-targets", new)
        self.assertEqual(done.returncode, 2)
        self.assertIn("must end in .npy", done.stderr)

        # Without the option, without test files, and with options that need targets.
        for options, expected in (((new,), "for outputs of samples without targets: evaluate --no-targets"),
                                  (("--no-targets",), "samples without targets must be in test files"),
                                  (("--no-targets", "--metrics", new), "--no-targets computes only the outputs"),
                                  (("--no-targets", "--split", "train", new), "use --split test"),
                                  (("--split", "train"), "x.npy")):
            self.assert_refused(expected, folder, *options)

    def test_tables(self):
        folder = self.trained("table", "format: csv, train_file: all.csv, target: kind", "all.csv")
        bare, _ = self.outputs(folder, "--no-targets", "data.test_file=new.csv")
        unread, _ = self.outputs(folder, "--no-targets", "data.test_file=labeled.csv")
        numpy.testing.assert_array_equal(bare, unread)
        # Classes have the names and numbers of the training files.
        confusion = self.folder / "confusion.csv"
        full, said = self.outputs(folder, "--metrics", "--confusion", confusion, "data.test_file=labeled.csv", ranks=2)
        numpy.testing.assert_allclose(full, bare, rtol=1e-5, atol=1e-6)
        self.assertRegex(said, r"(?m)^ +eel +16 ")
        self.assertEqual(confusion.read_text().splitlines()[0], "label,cat,dog,eel")
        self.assert_refused("samples of 5 channels or features, but the network was trained on 4", folder, "--no-targets",
                            "data.test_file=labeled.csv", "data.target=last", "data.inputs=[]")
        self.assert_refused("if the file has no targets, evaluate it with --no-targets", folder, "data.test_file=new.csv",
                            "data.target=last", "data.inputs=[]")
        self.assert_refused("has 0 columns besides the inputs, and 1 should be targets: if it has no targets, evaluate it with "
                            "--no-targets", folder, "data.test_file=new.csv", "data.target=last")

    def test_columns_are_found_by_name(self):
        folder = self.trained("named", "format: csv, train_file: all.csv, target: kind, index_column: keep", "all.csv")
        file = sorted((folder / "checkpoints").glob("step_*.h5"))[-1]
        self.assertEqual(pruntrain.input_names(file), ["a", "b", "c", "d"])
        pruntrain.verify(file)
        self.assertIn("inputs               4: a, b, c, d\n", run("inspect", file).stdout)
        bare, _ = self.outputs(folder, "--no-targets", "data.test_file=new.csv")
        full, said = self.outputs(folder, "data.test_file=labeled.csv")
        numpy.testing.assert_array_equal(full, bare)

        # Columns in another order, with an index, and with one that the training did not have.
        rows = [[row, KINDS[label], x[3], x[1], x[2], "note", x[0]] for row, (x, label) in enumerate(zip(self.x[:NEW], self.y))]
        (self.folder / "moved.csv").write_text("\n".join(",".join(map(str, row)) for row in [["", "kind", "d", "b", "c", "z", "a"], *rows]))
        unread, _ = self.outputs(folder, "--no-targets", "data.test_file=moved.csv")
        numpy.testing.assert_array_equal(unread, bare)
        moved, said_then = self.outputs(folder, "data.test_file=moved.csv")
        numpy.testing.assert_array_equal(moved, bare)
        self.assertEqual(*([line for line in output.splitlines() if "accuracy" in line or "loss" in line]
                           for output in (said_then, said)))

        # What has no names, or others, is taken by its place only if the user says so.
        (self.folder / "plain.csv").write_text("\n".join(",".join(map(str, x)) for x in self.x[:NEW]))
        self.assert_refused("data.inputs is 'a', but '%s/plain.csv' has no heading" % self.folder, folder, "--no-targets",
                            "data.test_file=plain.csv")
        plain, _ = self.outputs(folder, "--no-targets", "data.test_file=plain.csv", "data.inputs=[]", "data.index_column=keep")
        numpy.testing.assert_array_equal(plain, bare)
        (self.folder / "other.csv").write_text((self.folder / "new.csv").read_text().replace("a,b,c,d", "a,b,c,e"))
        self.assert_refused("data.inputs is 'd', but '%s/other.csv' has no such column" % self.folder, folder, "--no-targets",
                            "data.test_file=other.csv")
        arrays, _ = self.outputs(folder, "--no-targets", f"data={{format: npy, train_inputs: x.npy, train_targets: y.npy, "
                                 f"directory: {self.folder}}}", "data.test_inputs=new.npy")
        numpy.testing.assert_array_equal(arrays, bare)

    def test_a_resumed_run_has_the_inputs_of_the_training(self):
        folder = self.trained("resumed", "format: csv, train_file: all.csv, target: kind")
        table = [line.split(",") for line in (self.folder / "all.csv").read_text().split()]
        (self.folder / "all.csv").write_text("\n".join(",".join([row[1], row[0], *row[2:]]) for row in table))
        config = self.folder / "resumed.yaml"
        done = run(config, "--resume", "train.epochs=5")
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertIn("was trained with the inputs a, b, c, d", done.stderr)
        self.assertIn("input 1 was 'a' and is 'b': list the inputs of the training in data.inputs", done.stderr)
        done = run(config, "--resume", "train.epochs=5", "data.inputs=[a, b, c, d]")
        self.assertEqual(done.returncode, 0, done.stderr)
        started = run(config, f"run.start_from={next((folder / 'checkpoints').glob('*.h5'))}", "run.name=started",
                      f"data.mean={list(map(float, pruntrain.normalization(folder)[0]))}", "data.normalization=given",
                      f"data.std={list(map(float, pruntrain.normalization(folder)[1]))}")
        self.assertEqual(started.returncode, 2, started.stdout)
        self.assertIn("input 1 was 'a' and is 'b'", started.stderr)

    def test_hdf5(self):
        folder = self.trained("h5", "format: hdf5, train_file: all.h5", "all.h5")
        bare, _ = self.outputs(folder, "--no-targets", "data.test_file=new.h5")
        self.assertGreater((bare.argmax(1) == self.y[:NEW]).mean(), 0.7)


if __name__ == "__main__":
    unittest.main()
