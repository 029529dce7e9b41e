#!/usr/bin/python3
"""Invalid input gives one message with the problem and the allowed values, exit status 2, and no changed file."""

import gzip
import struct
import subprocess
import time
import unittest

from support import CONVOLUTION, ENVIRONMENT, HANG_S, ROOT, UNEVEN, EndToEnd, at_once, command, run, tree

QUICK_S = 30    # invalid input is detected before training; allows for a busy machine


def idx(magic, sizes, content):
    """An IDX file: magic number and sizes as big-endian words, then bytes."""
    return struct.pack(f">{1 + len(sizes)}I", magic, *sizes) + content


class BadInput(EndToEnd):
    def refuse(self, config, words, *arguments):
        """Checks on 1 and 3 ranks that it is quick and creates no folder."""
        for ranks in (None, 3):
            begin = time.monotonic()
            done = run(config, f"run.output={self.folder / 'runs'}", *arguments, ranks=ranks)
            self.assert_refused(done, *words)
            self.assertLess(time.monotonic() - begin, QUICK_S)
            self.assertFalse((self.folder / "runs").exists())

    def refuse_all(self, cases):
        """cases: [(configuration text, words of the message, override ...)]"""
        at_once(self.refuse, [(self.write_config(content, f"case{i}.yaml"), *rest)
                              for i, (content, *rest) in enumerate(cases)])

    def refuse_changed(self, cases):
        """cases: {(old, new): words}, each a replacement in UNEVEN."""
        for old, _ in cases:
            self.assertEqual(UNEVEN.count(old), 1, old)
        self.refuse_all([(UNEVEN.replace(old, new), words) for (old, new), words in cases.items()])

    def test_unknown_and_missing_keys(self):
        self.refuse_changed({
            ("loss: ", "los: "): ("unknown key train.los", "line 12", "train.loss", "--describe"),
            ("every_epochs: 0.5", "evry_epochs: 0.5"): ("unknown key checkpoint.evry_epochs", "every_epochs"),
            ("optimizer:", "optimiser:"): ("unknown key optimiser ", "line 13", "did you mean optimizer?"),
            ("learning_rate: 0.003", "lr: 0.003"): ("unknown key optimizer.lr ", "line 13", "did you mean optimizer.learning_rate?"),
            ("global_batch: 50", "batch_size: 50"): ("unknown key train.batch_size", "did you mean train.global_batch?"),
            ("epochs: 4,", "epochs:4,"): ("unknown key train.epochs:4", "a blank is missing after the colon in 'epochs:4'"),
            ("every_steps", "each_steps"): ("unknown key prune.schedule.each_steps", "known here", "every_steps"),
            ("name: uneven, ", ""): ("run.name is missing", "text"),
            ("global_batch: 50, ", ""): ("train.global_batch is missing", "whole number, 1 <= x <= 1073741824"),
            (", units: 23", ""): ("model.0.units is missing", "1 <= x <= 134217728"),
            ("\n  final_sparsity: 0.7", ""): ("prune.final_sparsity is missing", "0 <= x < 1"),
        })

    def test_wrong_types_and_ranges(self):
        self.refuse_changed({
            ("learning_rate: 0.003", "learning_rate: fast"): ("optimizer.learning_rate", "line 13", "'fast'", "> 0"),
            ("learning_rate: 0.003", "learning_rate: -1"): ("optimizer.learning_rate", "line 13", "is -1", "> 0"),
            ("learning_rate: 0.003", "learning_rate: .nan"): ("optimizer.learning_rate", ".nan", "> 0"),
            ("global_batch: 50", "global_batch: 50.5"): ("train.global_batch", "50.5", "whole number"),
            ("global_batch: 50", "global_batch: [50]"): ("train.global_batch", "[50]", "whole number"),
            ("global_batch: 50", "global_batch:"): ("train.global_batch", "no value", "whole number"),
            ("epochs: 4,", "epochs: 1e300,"): ("train.epochs", "1e+300", "13 steps per epoch", "<= "),
            ("final_sparsity: 0.7", "final_sparsity: 1"): ("prune.final_sparsity", "is 1", "0 <= x < 1"),
            ("final_sparsity: 0.7", "final_sparsity: 90"): ("prune.final_sparsity", "is 90", "0 <= x < 1", "0.9 is 90 %"),
            ("final_sparsity: 0.7", "final_sparsity: 90 %"): ("prune.final_sparsity", "'90 %'", "as 0.9 for 90 %"),
            ("learning_rate: 0.003", "learning_rate: '0,003'"): ("optimizer.learning_rate", "'0,003'", "no comma"),
            ("type: cubic", "type: cubik"): ("prune.schedule.type", "'cubik'", "did you mean 'cubic'", "one_shot"),
            ("criterion: magnitude", "criterion: [magnitude]"): ("prune.criterion", "map of keys"),
            ("layer: dropout", "layer: dropuot"): ("model.3.layer", "line 8", "'dropuot'", "'dropout'", "conv2d"),
            ("rate: 0.2", "rate: 1"): ("model.3.rate", "is 1", "0 <= x < 1"),
            ("format: synthetic", "format: syntetic"): ("data.format", "'syntetic'", "'synthetic'", "idx"),
            ("end_step: 40", "end_step: 4"): ("prune schedule", "step 4", "step 5"),
            ("end_step: 40", "end_step: 40, end_epoch: 3"): ("schedule.end_step", "schedule.end_epoch", "give one"),
        })

    def test_an_invalid_override_is_reported_as_such(self):
        config = self.write_config(UNEVEN)
        self.refuse(config, ("optimizer.learning_rate (command line) is -1", "> 0"), "optimizer.learning_rate=-1")
        self.refuse(config, ("model.0.units (command line)", "'x'"), "model.0={layer: dense, units: x}")

    def test_files_that_are_not_a_configuration(self):
        self.refuse_all([
            ("run: {name: a\ndata: 3\n", ("case0.yaml", "no valid YAML", "line 2")),
            (UNEVEN + "run: {name: again}\n", ("case1.yaml", "line 20", "'run'", "twice", "line 2")),
            (UNEVEN.replace("seed: 3", "seed: 3, seed: 4"), ("case2.yaml", "line 2", "'seed'", "twice")),
            ("", ("case3.yaml", "cannot read", "non-empty")),
            ("just words\n", ("case4.yaml", "no configuration", "'run:'")),
            ("- 1\n- 2\n", ("case5.yaml", "no configuration", "'model:'")),
            ("run: &all [*all]\n", ("case6.yaml", "alias")),
            ("run: " + "[" * 200 + "]" * 200, ("case7.yaml", "nested")),
            ("run: *nothing\n", ("case8.yaml", "no valid YAML", "anchor")),
            (UNEVEN, ("override", "control character"), r'run.name="a\nb"'),
            (UNEVEN, ("override", "control character"), r'model.0.name="a\0b"'),
            (UNEVEN, ("model.0.name", "'../x'", "slash"), "model.0.name=../x"),
            (UNEVEN + "---\nrun: {name: second}\n", ("case12.yaml line 21", "second YAML document")),
            (UNEVEN, ("run.output (command line)", "PRUNTRAIN_UNSET is not set"), "run.output=$PRUNTRAIN_UNSET/x"),
            (UNEVEN, ("data.directory (command line)", "PRUNTRAIN_UNSET is not set"),
             "data={format: npy, directory: '${PRUNTRAIN_UNSET}', train_inputs: x.npy, train_targets: y.npy}"),
            ("defaults: &d {learning_rate: 0.1}\n" + UNEVEN, ("unknown key defaults", "x-defaults")),
        ])
        self.refuse("/dev/zero", ("/dev/zero", "longer than 16777216 bytes"))
        self.refuse(self.folder, ("cannot read", str(self.folder)))
        self.refuse(self.folder / "missing.yaml", ("cannot read", "missing.yaml"))

    def test_too_little_shared_memory(self):
        """A file system without free blocks in place of /dev/shm."""
        done = subprocess.run(command(self.write_config(UNEVEN), f"run.output={self.folder / 'runs'}", ranks=2), cwd=ROOT,
                              env=dict(ENVIRONMENT, OMPI_MCA_osc_sm_backing_store="/proc"), timeout=HANG_S,
                              capture_output=True, text=True)
        self.assert_refused(done, "shared memory", "/proc has 0 B left", "data.residency")

    def test_models_that_do_not_fit(self):
        last = "  - {layer: dense, units: 3, prunable: true}\ntrain"
        self.assertEqual(UNEVEN.count(last), 1)
        self.refuse_all([
            (UNEVEN, ("dense1", "flat", "2x3x4", "flatten"), "data.shape=[2,3,4]"),
            (UNEVEN, ("model has no layers",), "model=[]"),
            (UNEVEN, ("no layer with weights",), "model=[{layer: relu}]"),
            (UNEVEN, ("two layers", "'dense2'"), "model.0.name=dense2"),
            (UNEVEN, ("model.0.name", "'a/b'", "slash"), "model.0.name=a/b"),
            (UNEVEN.replace(last, last.replace("3", "2")), ("sample", "label 2", "from 0 to 1", "2 classes", "give the last layer 3 outputs")),
            (UNEVEN.replace(last, last.replace("3", "1")), ("cross_entropy", "at least 2")),
            (UNEVEN, ("conv2d1",), "model.0={layer: conv2d, channels: 3, kernel: 20}"),
            (UNEVEN, ("model.0.units (command line) is 9000000000", "<= 134217728"), "model.0.units=9000000000"),
            (UNEVEN, ("dense2", "2000000 inputs", "model.4.units", "1099511627776 weights"),
             "model.0.units=2000000", "model.4.units=1000000"),
            (CONVOLUTION, ("model.4.channels", "<= 134217728"), "model.4.channels=3000000000"),
            (CONVOLUTION, ("conv2d2", "2000000 input channels", "model.4.channels"),
             "model.0.channels=2000000", "model.4.channels=100000"),
            (UNEVEN, ("train.global_batch", "<= 1073741824"), "train.global_batch=9000000000000000"),
            (CONVOLUTION, ("dense1", "flat", "7x2x2", "flatten"), "model.6={layer: relu}"),
            (CONVOLUTION, ("max_pool2d1", "9x9"), "model.3.kernel=30"),
            (UNEVEN, ("no layer of the model is prunable",), "model.0.prunable=false", "model.4.prunable=false",
             "model.6.prunable=false"),
            (UNEVEN, ("validation_samples", "801", "800 samples"), "data.validation_samples=801"),
        ])

    def test_data_files(self):
        config = self.write_config("""
run: {name: uneven}
data: {format: idx, test_inputs: '', test_targets: '', test_samples: 2}
model: [{layer: flatten}, {layer: dense, units: 3}]
train: {epochs: 1, global_batch: 4}
optimizer: {learning_rate: 0.01}
""")
        images, labels = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
        good_images, good_labels = idx(2051, (9, 2, 2), bytes(range(36))), idx(2049, (9,), bytes([0, 1, 2] * 3))
        packed = gzip.compress(good_images)
        cases = [   # images, labels, words of the message
            (None, good_labels, (images, "data.directory")),
            (b"", good_labels, (images, "too short")),
            (good_images[:-1], good_labels, (images, "truncated")),
            (good_images + b"x", good_labels, (images, "longer")),
            (idx(2051, (2**31, 2**15, 2**15), bytes(36)), good_labels, (images, "truncated")),
            (b"PK\3\4" + good_images[4:], good_labels, (images, "magic number", "2051")),
            (good_labels, good_images, (images, "(samples, rows, columns)")),
            (good_images, idx(2049, (8,), bytes(8)), ("9", "8")),
            (good_images, idx(2049, (9,), bytes([0] * 8 + [3])), ("sample 8", "label 3", "from 0 to 2")),
            (packed[:-9], good_labels, (images,)),
        ]

        def write(name, image_bytes, label_bytes):
            folder = self.folder / name
            folder.mkdir()
            for file, content in ((images, image_bytes), (labels, label_bytes)):
                if content is not None:
                    (folder / file).write_bytes(content)
            return f"data.directory={folder}"

        at_once(self.refuse, [(config, words, write(f"data{i}", image_bytes, label_bytes))
                              for i, (image_bytes, label_bytes, words) in enumerate(cases)])
        # the files are valid otherwise, compressed or not
        for name, content in (("plain", good_images), ("packed", packed)):
            directory = write(f"{name}-data", content, good_labels)
            done = run(config, f"run.output={self.folder}", f"run.name={name}", directory)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_checkpoints(self):
        trained = self.train(UNEVEN, "first", "train.epochs=1")
        checkpoint = trained.checkpoints[-1]
        good = checkpoint.read_bytes()
        damaged = self.folder / "damaged.h5"
        for name, content, words in (
                ("flipped", good[:5000] + bytes([good[5000] ^ 4]) + good[5001:], ("damaged", "checksum")),
                ("first line", good[:3] + b"X" + good[4:], ("not a pruntrain checkpoint",)),
                ("truncated", good[:-1], ("truncated",)),
                ("longer", good + b"x", ("too many",)),
                ("empty", b"", ("not a pruntrain checkpoint",)),
                ("newer", good.replace(b"format_version 3", b"format_version 4", 1), ("format version 4", "newer"))):
            with self.subTest(name):
                damaged.write_bytes(content)
                for subcommand in ("inspect", "evaluate"):
                    self.assert_refused(run(subcommand, damaged), str(damaged), *words)
        self.assert_refused(run("inspect", damaged, ranks=3), str(damaged))
        self.assert_refused(run("inspect", self.folder), str(self.folder), "is a folder without checkpoints")
        self.assert_refused(run("evaluate", self.folder / "none.h5", ranks=3), "none.h5", "does not exist")
        self.assert_refused(run("evaluate", checkpoint, "model.0.units=24", ranks=3), str(checkpoint), "dense1.weight",
                            "24x13", "23x13", "another network")
        self.assert_refused(run("evaluate", checkpoint, "data.test_samples=0"), "no test split", "--split")
        self.assert_refused(run("evaluate", checkpoint, "data.samples=x"), "data.samples", "'x'", "whole number")

    def test_a_folder_that_cannot_be_created(self):
        config = self.write_config(UNEVEN)
        (self.folder / "file").write_text("in the way")
        (self.folder / "runs").mkdir()
        (self.folder / "runs" / "taken").write_text("in the way")
        before = tree(self.folder)
        for ranks in (None, 3):
            done = run(config, f"run.output={self.folder / 'file'}", ranks=ranks)
            self.assert_refused(done, str(self.folder / "file" / "uneven"), "run.output")
            done = run(config, f"run.output={self.folder / 'runs'}", "run.name=taken", ranks=ranks)
            self.assert_refused(done, str(self.folder / "runs" / "taken"), "run.output")
            done = run(config, f"run.output={self.folder}", "run.name=a/b", ranks=ranks)
            self.assert_refused(done, "run.name", "'a/b'", "slash")
        self.assertEqual(tree(self.folder), before)

    def test_a_loss_that_is_not_finite(self):
        config = self.write_config(UNEVEN)
        for i, ranks in enumerate((None, 3)):
            done = run(config, f"run.output={self.folder}", f"run.name=wild{i}", "optimizer.learning_rate=1e30",
                       ranks=ranks)
            self.assert_refused(done, "the loss is", "at step 2", "1e+30", "optimizer.learning_rate", "clip_norm")
            self.assertEqual(list((self.folder / f"wild{i}" / "checkpoints").iterdir()), [])
            self.assertFalse((self.folder / f"wild{i}" / "summary.json").exists())

    def test_a_loss_that_becomes_infinite_leaves_the_checkpoints(self):
        trained = self.train(UNEVEN, "wild", "train.epochs=1")
        saved = {p.name: p.read_bytes() for p in trained.checkpoints}
        done = run(self.folder / "wild.yaml", f"run.output={self.folder}", "run.name=wild", "--resume",
                   "train.epochs=3", "optimizer.learning_rate=1e30", "prune.schedule.end_step=30", ranks=3)
        self.assert_refused(done, "the loss is", "nothing after step 13 is saved")
        self.assertEqual({p.name: p.read_bytes() for p in trained.checkpoints}, saved)


if __name__ == "__main__":
    unittest.main()
