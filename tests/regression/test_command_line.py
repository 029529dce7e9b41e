#!/usr/bin/python3
"""Options, subcommands, overrides, and the exact number of removed weights."""

import itertools
import math
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import h5py
import numpy
import xxhash
import yaml

from support import (CONVOLUTION, ENVIRONMENT, HANG_S, PRUNTRAIN, ROOT, UNEVEN, UNEVEN_OTHERS, UNEVEN_WEIGHTS, EndToEnd, Run, at_once, described_keys,
                     messages, run, tree)

COLUMNS = ["step", "epoch", "seconds", "train_loss", "validation_loss", "validation_accuracy", "sparsity",
           "learning_rate", "samples_per_s", "sparse_layers", "values_reduced"]
SUMMARY = {"test_accuracy", "test_loss", "sparsity", "kept", "parameters", "wall_s", "samples_per_s", "peak_mb", "resident_mb", "ranks",
           "steps", "pattern_hash", "weights_hash", "checkpoint"}


OLD_NAMES = UNEVEN.replace("test_samples: 80}", "test_samples: 80,\n       normalization: given, mean: 0, deviation: 2}").replace(
    "allocation: global", "allocation: global\n  grouping: row\n  layer_floor: 0.01")


def give_old_names(checkpoint, replacements):
    """Replaces words of equal length in the configuration of a checkpoint, which is valid afterwards."""
    with h5py.File(checkpoint, "r+") as file:
        config = file["config"][0]
        for new, old in replacements.items():
            assert len(new) == len(old) and new in config, new
            config = config.replace(new, old)
        file["config"][0] = config
        if "xxh3_64" in file["config"].attrs:
            digest = xxhash.xxh3_64_hexdigest(file["config"][()].tobytes()).encode()
            file["config"].attrs.modify("xxh3_64", numpy.array(digest, file["config"].attrs.get_id("xxh3_64").dtype))
    content = bytearray(checkpoint.read_bytes())
    covered = bytes(content[:512]).partition(b"xxh3_64 ")[0]
    covered = re.sub(rb"bytes \d+", b"bytes %d" % len(content), covered)
    digest = xxhash.xxh3_64_hexdigest(covered + bytes(content[512:])).encode()
    content[:512] = (covered + b"xxh3_64 " + digest + b"\n").ljust(512, b"\0")
    checkpoint.write_bytes(content)


def keys_of(node, path=()):
    """All keys of a YAML tree, in the form of --describe. A word is short for its type only where a map is allowed."""
    if isinstance(node, dict):
        for name, child in node.items():
            yield from keys_of(child, (*path, name))
    elif isinstance(node, list) and any(isinstance(child, dict) for child in node):
        for child in node:
            yield from keys_of(child, (*path, "[]"))
    else:
        yield ".".join(path)


class Options(EndToEnd):
    def test_help_has_examples(self):
        done = run("--help")
        self.assertEqual(done.returncode, 0)
        self.assertIn("mpirun -n 2 ./pruntrain inputs/", done.stdout)
        for option in ("--check", "--describe", "--resume", "--overwrite", "--profile", "--version", "inspect", "monitor",
                       "evaluate", "sensitivity"):
            self.assertIn(option, done.stdout)
        self.assertNotIn("watch", done.stdout)      # the old name works, but is not offered

    def test_each_command_has_help_of_its_own(self):
        for command, option in {"inspect": "file", "monitor": "--once", "watch": "--once", "evaluate": "--outputs",
                                "sensitivity": "--allocation"}.items():
            done = run(command, "--help")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn(f"Usage: pruntrain {command} ", done.stdout)
            self.assertIn(option, done.stdout)
            self.assertIn("Example", done.stdout)
            self.assertNotIn("--describe", done.stdout)

    def test_the_examples_of_the_help_name_files_that_exist(self):
        for path in re.findall(r"inputs/\w+\.yaml", run("--help").stdout):
            self.assertTrue((ROOT / path).is_file(), path)

    def test_version_is_printed_once(self):
        done = run("--version", ranks=2)
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"\Apruntrain \d+\.\d+\.\d+.*\n\Z")

    def test_describe_knows_every_key_of_the_inputs(self):
        done = run("--describe")
        self.assertEqual(done.returncode, 0)
        described = described_keys(done.stdout)
        for path in sorted((ROOT / "inputs").rglob("*.yaml")):
            for key in keys_of(yaml.safe_load(path.read_text())):
                key = re.sub(r"(prune\.allocation\.sparsity)\.\w+$", r"\1.LAYER", key)    # a table
                self.assertTrue(key in described or f"{key}.type" in described, f"{path.name}: {key}")

    def test_old_names_are_noted_once_and_resolved(self):
        old = self.write_config(OLD_NAMES, "old.yaml")
        for ranks in (None, 3):
            done = run(old, "--check", "checkpoint.on_failure=go_on", f"run.output={self.folder}", ranks=ranks)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(messages(done.stderr), [
                "pruntrain: note: checkpoint.on_failure (command line): go_on is now continue: write that",
                f"pruntrain: note: data.deviation ({old}, line 4) is now data.std: write that",
                f"pruntrain: note: prune.grouping ({old}, line 18) is now prune.granularity: write that"])
        present = OLD_NAMES.replace("grouping", "granularity").replace("deviation", "std")
        for name, text in (("old", OLD_NAMES), ("present", present)):
            self.train(text, "run", f"run.output={self.folder / name}", "prune.grouping.norm=l1")
        configs = [(self.folder / name / "run/config.yaml").read_text() for name in ("old", "present")]
        self.assertEqual(configs[0].replace("/old", "/present"), configs[1])
        self.assertNotRegex(configs[0], "grouping|deviation|go_on")
        self.assert_refused(run(old, "--check", "prune={granularity: row, grouping: row, final_sparsity: 0.5}"),
                            "prune.grouping", "prune.granularity", "both given")

    def test_a_checkpoint_with_old_names_is_evaluated_and_resumed(self):
        present = OLD_NAMES.replace("grouping", "granularity").replace("deviation", "std")
        settings = (f"run.output={self.folder}", "run.name=run", "checkpoint.on_failure=continue")
        config = self.write_config(present, "run.yaml")
        self.assertEqual(run(config, *settings, "--simulate-preempt", "9").returncode, 75)
        checkpoint = Run(self.folder / "run").checkpoints[-1]
        expected = run("evaluate", checkpoint)
        give_old_names(checkpoint, {b"granularity:": b"grouping:   ", b"continue": b"go_on   "})
        evaluated = run("evaluate", checkpoint, "prune.grouping.norm=l2")
        self.assertEqual((evaluated.returncode, evaluated.stdout), (0, expected.stdout), evaluated.stderr)
        resumed = run(config, "--resume", *settings)
        self.assertEqual(resumed.returncode, 0, resumed.stderr)
        self.assertIn("resuming from", resumed.stdout)
        self.assertNotIn("has changed", resumed.stdout)

    def test_describe_has_type_default_range_and_meaning(self):
        text = run("--describe").stdout
        self.assertRegex(text, r"train\.global_batch\n    samples of an update.*\n    whole number, 1 <= x <= 1073741824; required\n")
        self.assertRegex(text, r"optimizer\.beta1   \(type: adam\)\n    .+\n    number, 0 <= x < 1; default 0\.9\n")
        for block in re.split(r"\n(?=\S)", text.strip()):
            self.assertRegex(block, r"\A\S.*\n    \S.*\n    .*; (required|default .+)\Z")

    def test_check_trains_nothing_and_makes_no_folder(self):
        config = self.write_config(UNEVEN)
        for ranks in (None, 3):
            done = run("--check", config, f"run.output={self.folder / 'runs'}", ranks=ranks)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("dense1", done.stdout)
            self.assertIn("52 steps, 13 an epoch", done.stdout)
            self.assertEqual(done.stdout.count("dense1 "), 1)
            self.assertEqual([p.name for p in self.folder.iterdir()], ["config.yaml"])

    def test_check_accepts_every_input(self):
        for done in at_once(lambda path: run("--check", path), [(path,) for path in (ROOT / "inputs").rglob("*.yaml")]):
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_wrong_options(self):
        config = self.write_config(UNEVEN)
        self.assert_refused(run("--chekc", config), "--chekc", "--help")
        self.assert_refused(run(), "no configuration", "--help")
        self.assert_refused(run("--resume", "--overwrite", config), "--resume", "--overwrite", "give one")
        self.assert_refused(run("evaluate"), "file", "--help")
        self.assert_refused(run("evaluate", "x.h5", "--split", "tset"), "--split", "test")

    def test_wrong_overrides(self):
        config = self.write_config(UNEVEN)
        self.assert_refused(run("--check", config, "epochs"), "'epochs'", "key.path=value")
        self.assert_refused(run("--check", config, "model.9.units=8"), "model.9.units=8", "below 7")
        self.assert_refused(run("--check", config, "train.epoch=3"), "unknown key train.epoch", "train.epochs")
        self.assert_refused(run("--check", config, "train.epochs="), "train.epochs", "no value")
        self.assert_refused(run("--check", config, "data={"), "data={", "no valid YAML")

    def test_overrides_replace_members_and_take_keys_away(self):
        content = UNEVEN.replace("type: adam,", "type: sgd, momentum: 0.5,").replace("start_step: 5", "start_epoch: 1")
        config = self.write_config("x-rates: &rates {learning_rate: 0.003}\n" +
                                   content.replace("learning_rate: 0.003", "<<: *rates") + "parallel:\n")
        for changes, shows, notes in (
                (("optimizer.type=adam",), "0.7", ["optimizer.momentum"]),
                (("optimizer.type=adam", "optimizer.momentum=null"), "0.7", ["optimizer.momentum"]),
                (("prune.schedule.start_step=3",), "0.7", ["prune.schedule.start_epoch"]),
                (("prune.schedule.type=one_shot",), "0.7", ["start_epoch", "end_step", "every_steps"]),
                (("prune=none",), "", []),
                (("prune=null", "run.output=~/x"), "", [])):
            done = run("--check", config, *changes)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(shows, done.stdout)
            self.assertEqual("\npruning\n  none\n" not in done.stdout, bool(shows), done.stdout)
            said = messages(done.stderr)
            for word, line in zip(notes, said, strict=True):
                self.assertIn(word, line)
                self.assertIn("is left out: the command line has", line)

    def test_paths_are_expanded(self):
        home = dict(ENVIRONMENT, HOME=str(self.folder / "home"), PRUNTRAIN_TEST_RUNS=str(self.folder / "runs"))
        config = self.write_config(UNEVEN)
        for output, folder in (("~/x", "home/x"), ("${PRUNTRAIN_TEST_RUNS}/y", "runs/y")):
            done = subprocess.run([PRUNTRAIN, config, f"run.output={output}", "train.epochs=1"], env=home, cwd=self.folder,
                                  capture_output=True, text=True, timeout=HANG_S)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertTrue((self.folder / folder / "uneven" / "summary.json").exists())
            self.assertIn(output, (self.folder / folder / "uneven" / "config.yaml").read_text())
        self.assertFalse((self.folder / "~").exists())

    def test_overrides_reach_lists_and_short_forms(self):
        done = run("--check", self.write_config(UNEVEN), "model.0.units=8", "prune.criterion=random",
                   "prune.allocation.type=uniform")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("dense, 8 units", done.stdout)
        self.assertIn("random of weights, uniform", done.stdout)
        long = UNEVEN.replace("criterion: magnitude", "criterion: {type: magnitude, norm: l2}")
        done = run("--check", self.write_config(long), "prune.criterion=random")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("random of weights, global", done.stdout)


class RunFolder(EndToEnd):
    def test_files_of_a_run(self):
        trained = self.train(UNEVEN, "first", ranks=2)
        summary, history = trained.summary, trained.history
        self.assertEqual(list(history[0]), COLUMNS)
        self.assertLessEqual(SUMMARY, set(summary))
        self.assertEqual([row["step"] for row in history], ["13", "26", "39", "52"])
        for row in history:
            removed = round(float(row["sparsity"]) * UNEVEN_WEIGHTS)
            self.assertEqual(int(row["values_reduced"]), UNEVEN_WEIGHTS - removed + UNEVEN_OTHERS)
        self.assertLess(int(history[-1]["values_reduced"]), int(history[0]["values_reduced"]))
        self.assertEqual(int(history[-1]["values_reduced"]), summary["kept"])
        self.assertEqual(summary["parameters"], UNEVEN_WEIGHTS + UNEVEN_OTHERS)
        self.assertEqual((summary["ranks"], summary["steps"]), (2, 52))
        self.assertGreater(summary["resident_mb"], 1)   # of a process that has initialized MPI
        self.assertGreaterEqual(summary["peak_mb"], summary["resident_mb"])
        self.assertEqual(summary["checkpoint"], str(trained.checkpoints[-1]))
        self.assertEqual([p for p in self.folder.rglob("*") if p.suffix == ".tmp"], [])

    def test_values_reduced_in_the_row_of_an_event(self):
        # Every epoch ends with a pruning event; its row counts the weights remaining after it.
        trained = self.train(UNEVEN, "events", "prune.schedule.start_step=0", "prune.schedule.end_step=52",
                             "prune.schedule.every_steps=13")
        for row in trained.history:
            removed = round(float(row["sparsity"]) * UNEVEN_WEIGHTS)
            self.assertEqual(int(row["values_reduced"]), UNEVEN_WEIGHTS - removed + UNEVEN_OTHERS)

    def test_an_existing_run_is_not_changed(self):
        self.train(UNEVEN, "first")
        before = tree(self.folder / "first")
        for ranks in (None, 3):
            done = run(self.folder / "first.yaml", f"run.output={self.folder}", "run.name=first", ranks=ranks)
            self.assert_refused(done, str(self.folder / "first"), "--resume", "--overwrite", "run.name")
            self.assertEqual(tree(self.folder / "first"), before)

    def test_overwrite_removes_the_earlier_run_and_nothing_else(self):
        self.train(UNEVEN, "first")
        note = self.folder / "first" / "note.txt"
        note.write_text("mine")
        again = self.train(UNEVEN, "first", "--overwrite", "train.epochs=1")
        self.assertEqual(len(again.history), 1)
        self.assertLessEqual({p.name for p in again.checkpoints}, {"step_00000007.h5", "step_00000013.h5"})
        self.assertEqual(note.read_text(), "mine")

    def test_the_resolved_configuration_gives_the_same_run(self):
        first = self.train(UNEVEN, "first", "prune.criterion=random", "model.0.units=17", ranks=2)
        again = self.train(first.folder / "config.yaml", "again", ranks=2)
        self.assertEqual(first.outcome(), again.outcome())
        third = self.train(again.folder / "config.yaml", "third", "run.seed=4", ranks=2)
        self.assertNotEqual(first.summary["weights_hash"], third.summary["weights_hash"])

    def test_inspect_and_evaluate_agree_with_the_summary(self):
        trained = self.train(UNEVEN, "first", ranks=2)
        summary = trained.summary
        before = tree(trained.folder)
        done = run("inspect", summary["checkpoint"])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(summary["weights_hash"], done.stdout)
        self.assertIn(summary["pattern_hash"], done.stdout)
        self.assertIn("all good", done.stdout)
        done = run("evaluate", summary["checkpoint"], ranks=2)
        self.assertEqual(done.returncode, 0, done.stderr)
        said = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
        self.assertEqual(float(said["accuracy"]), summary["test_accuracy"])
        self.assertEqual(float(said["loss"]), summary["test_loss"])    # the same ranks: bit-identical sums
        done = run("evaluate", summary["checkpoint"], "--split", "validation", "data.noise=0.9")
        said = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertLess(float(said["accuracy"]), summary["validation_accuracy"])   # nine in ten labels are random
        self.assertEqual(tree(trained.folder), before)


class CheckpointCommands(EndToEnd):
    """Commands that read a run: their output files, and problems that are found before the work."""

    @classmethod
    def setUpClass(cls):
        cls.run_folder = pathlib.Path(tempfile.mkdtemp(prefix="pruntrain_test_"))
        cls.addClassCleanup(shutil.rmtree, cls.run_folder, ignore_errors=True)
        config = cls.run_folder / "config.yaml"
        config.write_text(UNEVEN)
        done = run(config, f"run.output={cls.run_folder}", "run.name=first", "train.epochs=1", ranks=2)
        if done.returncode:
            raise AssertionError(done.stdout + done.stderr)
        cls.trained = Run(cls.run_folder / "first")
        cls.checkpoint = cls.trained.checkpoints[-1]

    def setUp(self):
        super().setUp()
        before = tree(self.run_folder)
        self.addCleanup(lambda: self.assertEqual(tree(self.run_folder), before))

    def assert_fault(self, done, *words):
        """Exit status 1, and one message; Open MPI says more about the abort."""
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertEqual(len(messages(done.stderr)), 1, done.stderr)
        for word in words:
            self.assertIn(word, messages(done.stderr)[0])

    def outputs(self, *arguments, ranks=None):
        """(outputs, what was printed)"""
        path = self.folder / f"{'-'.join(arguments)}-{ranks}.npy"
        done = run("evaluate", self.checkpoint, "--outputs", path, *arguments, ranks=ranks)
        self.assertEqual(done.returncode, 0, done.stderr)
        return numpy.load(path), dict(line.split(maxsplit=1) for line in done.stdout.splitlines())

    def test_a_folder_means_its_best_or_newest_checkpoint(self):
        best = self.trained.summary["best_checkpoint"]
        expected, why = (best, "the best") if best else (self.checkpoint, "the newest")
        for command in ("inspect", "evaluate"):
            of_file = run(command, expected)
            self.assertEqual((of_file.returncode, of_file.stderr), (0, ""))
            for folder in (self.trained.folder, self.trained.folder / "checkpoints"):
                done = run(command, folder)
                self.assertEqual((done.returncode, done.stdout), (0, of_file.stdout), done.stderr)
                self.assertIn(str(expected), messages(done.stderr)[0])
                self.assertIn(why, messages(done.stderr)[0])
        self.assert_refused(run("evaluate", self.folder), str(self.folder), "without checkpoints")
        (self.folder / "step_00000003.h5").write_text("damaged")
        done = run("inspect", self.folder)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("none of them is valid", done.stderr)

    def test_outputs_on_any_number_of_ranks(self):
        for split, samples in {"test": 80, "validation": 101}.items():
            (alone, said), (two, _), (three, _) = at_once(lambda ranks: self.outputs("--split", split, ranks=ranks),
                                                          [(None,), (2,), (3,)])
            self.assertEqual(said["split"], f"{split}, {samples} samples")
            self.assertEqual((alone.shape, alone.dtype), ((samples, 3), numpy.float32))
            self.assertEqual(len(numpy.unique(alone, axis=0)), samples)
            numpy.testing.assert_array_equal(two, alone)
            numpy.testing.assert_array_equal(three, alone)

    def test_outputs_of_shards_and_of_ordered_sums(self):
        alone, _ = self.outputs()
        sharded, _ = self.outputs("parallel.model_shards=2", ranks=4)
        numpy.testing.assert_allclose(sharded, alone, rtol=1e-4, atol=1e-5)
        ordered, _ = self.outputs("train.sum=ordered", "train.slices=5", ranks=3)
        numpy.testing.assert_array_equal(ordered, alone)

    def test_an_output_that_cannot_be_written_is_found_before_the_work(self):
        missing, nothing = self.folder / "missing" / "file", self.folder / "none.h5"
        options = (("evaluate", "--outputs"), ("sensitivity", "--output"), ("sensitivity", "--allocation"))
        # Before anything is read: there is no checkpoint either.
        at_once(lambda ranks, command, option: self.assert_refused(
            run(command, nothing, option, missing, ranks=ranks), "cannot write", str(missing), "folder"),
            [(ranks, *words) for ranks in (None, 2) for words in options])
        at_once(lambda command, option: self.assert_refused(
            run(command, self.checkpoint, option, self.folder), "cannot write", str(self.folder), "folder"), options)
        at_once(lambda command, option: self.assert_refused(
            run(command, self.checkpoint, option, self.checkpoint), "cannot write", "reads this file"), options)
        one, other = self.folder / "same", f"{self.folder}/./same"
        self.assert_refused(run("sensitivity", self.checkpoint, "--output", one, "--allocation", other), other, "something else")
        self.assertEqual(tree(self.folder), {})

    def test_a_failed_command_leaves_no_output(self):
        new, link, earlier = (self.folder / name for name in ("new.npy", "link.npy", "earlier.npy"))
        link.symlink_to(self.folder / "target.npy")
        earlier.write_text("mine")
        for path in (new, link, earlier):
            self.assert_refused(run("evaluate", self.folder / "none.h5", "--outputs", path), "none.h5")
        self.assertEqual([path.name for path in sorted(self.folder.iterdir())], ["earlier.npy", "link.npy"])
        self.assertEqual(earlier.read_text(), "mine")

    @unittest.skipUnless(os.path.exists("/dev/full"), "needs /dev/full, which is a full disk")
    def test_a_full_disk(self):
        sparsity = ("--sparsities", "0.5")
        at_once(lambda ranks, *words: self.assert_fault(
            run(words[0], self.checkpoint, *words[1:], "/dev/full", ranks=ranks), "cannot write /dev/full", "full?"),
            [(ranks, *words) for ranks in (None, 2) for words in
             (("evaluate", "--outputs"), ("sensitivity", *sparsity, "--output"), ("sensitivity", *sparsity, "--allocation"))])

        def on_a_full_disk(*arguments):
            with open("/dev/full", "w") as full:
                self.assert_fault(run(*arguments, stdout=full), "cannot write to standard output", "full?")

        at_once(on_a_full_disk, [("evaluate", self.checkpoint), ("inspect", self.checkpoint), ("monitor", self.trained.folder),
                                 ("sensitivity", self.checkpoint, *sparsity), ("--describe",), ("--help",),
                                 ("--check", self.run_folder / "config.yaml")])

    def test_watch_is_now_monitor(self):
        for ranks in (None, 2):
            new = run("monitor", "--once", self.trained.folder, ranks=ranks)
            old = run("watch", "--once", self.trained.folder, ranks=ranks)
            self.assertEqual((new.returncode, messages(new.stderr)), (0, []))
            self.assertEqual((old.returncode, old.stdout), (0, new.stdout))
            self.assertEqual(len(messages(old.stderr)), 1, old.stderr)
            self.assertIn(f"write pruntrain monitor {self.trained.folder}", messages(old.stderr)[0])
        self.assert_refused(run("watch", self.folder / "missing"), "missing", "no folder of a run")


class Exactness(EndToEnd):
    """Removed weights are floor(sparsity x weights) for every part of the prune section."""

    def prune(self, name, sparsity, *arguments, config=UNEVEN):
        trained = self.train(config, name, f"prune.final_sparsity={sparsity}", *arguments)
        summary = trained.summary
        # sparsity is decimal: 0.7 x 10 is 7, although the double 0.7 is slightly smaller
        removed = math.floor(sparsity * summary["prunable"] * (1 + 1e-12))
        self.assertEqual(summary["prunable"] - summary["prunable_kept"], removed)
        self.assertEqual(summary["sparsity"], removed / summary["prunable"])
        for layer in summary["layers"]:
            self.assertGreater(layer["kept"], 0, layer["name"])
            if not layer["prunable"]:
                self.assertEqual(layer["kept"], layer["size"])
        return trained

    def test_criterion_and_allocation(self):
        jobs = [("nothing", 0.0)]
        for criterion in ("magnitude", "random"):
            for sparsity in (0.1, 0.55):
                # A table for one layer may not exceed the total.
                table = f"{{type: per_layer, sparsity: {{dense1: {0.15 if sparsity == 0.1 else 0.3}}}}}"
                for allocation in ("global", "uniform", table):
                    jobs.append((f"run{len(jobs)}", sparsity, f"prune.criterion={criterion}",
                                 f"prune.allocation={allocation}", "prune.schedule={type: one_shot}", "train.epochs=0"))
        at_once(self.prune, jobs)

    def test_the_highest_sparsity_empties_no_layer(self):
        wide = UNEVEN.replace("units: 23", "units: 123").replace("units: 11", "units: 71")
        at_once(lambda criterion, allocation: self.prune(
            f"{criterion}-{allocation}", 0.999, f"prune.criterion={criterion}", f"prune.allocation={allocation}",
            "train.epochs=2", "prune.schedule.end_step=20", config=wide),
            itertools.product(("magnitude", "random"), ("global", "uniform")))
        self.prune("convolution", 0.98, config=CONVOLUTION)

    def test_more_than_can_be_removed_is_refused(self):
        done = run("--check", self.write_config(UNEVEN), "prune.final_sparsity=0.999")
        self.assert_refused(done, "prune.final_sparsity", "0.999", "3 layers")

    def test_schedules_and_windows(self):
        windows = {
            "steps": "start_step: 3, end_step: 32, every_steps: 9",
            "epochs": "start_epoch: 0.5, end_epoch: 2.2, every_steps: 4",
            "rare": "start_step: 10, end_step: 20, every_steps: 1000",
            "point": "start_step: 11, end_step: 11, every_steps: 5",
            "late": "start_step: 20, end_step: 5000, every_steps: 10",
            "later": "start_step: 4000, end_step: 5000, every_steps: 10",
            "mixed": "start_step: 5, end_epoch: 1, every_steps: 3",
        }
        jobs = [(f"{schedule}-{name}", f"prune.schedule={{type: {schedule}, {window}, clamp: true}}")
                for schedule in ("linear", "cubic") for name, window in windows.items()]
        for name, time in {"step": "at_step: 7", "epoch": "at_epoch: 1.5", "late": "at_step: 999"}.items():
            jobs.append((f"one_shot-{name}", f"prune.schedule={{type: one_shot, {time}, clamp: true}}"))
        at_once(lambda name, schedule: self.prune(name, 0.637, schedule, "train.epochs=3", "checkpoint.every_epochs=0"),
                jobs)

    def test_an_event_is_on_the_curve(self):
        for schedule, power in (("linear", 1), ("cubic", 3)):
            trained = self.prune(schedule, 0.6, "train.evaluate_every_epochs=0.07692307", "train.epochs=2",
                                 f"prune.schedule={{type: {schedule}, start_step: 4, end_step: 20, every_steps: 5}}")
            sparsity = {int(row["step"]): float(row["sparsity"]) for row in trained.history}
            self.assertEqual(len(sparsity), 26)     # one row per step: 13 steps per epoch
            for step in range(1, 27):
                event = 20 if step >= 20 else 4 + (step - 4) // 5 * 5
                wanted = 0.6 * (1 - (1 - (event - 4) / 16) ** power) if step >= 4 else 0
                removed = math.floor(wanted * UNEVEN_WEIGHTS * (1 + 1e-12))
                self.assertEqual(sparsity[step], removed / UNEVEN_WEIGHTS, f"{schedule}, step {step}")

    def test_a_table_of_layers(self):
        table = "{type: per_layer, sparsity: {dense1: 0.9, dense3: 0}}"
        trained = self.prune("table", 0.6, f"prune.allocation={table}")
        kept = {layer["name"]: layer["kept"] for layer in trained.summary["layers"]}
        # Counts are integers with a fixed sum, so a layer may differ from the table by one.
        self.assertAlmostEqual(kept["dense1.weight"], 0.1 * 13 * 23, delta=1)
        self.assertAlmostEqual(kept["dense3.weight"], 11 * 3, delta=1)
        done = run("--check", self.folder / "table.yaml", "prune.allocation={type: per_layer, sparsity: {dens1: 0.9}}")
        self.assert_refused(done, "dens1", "dense1, dense2, dense3")
        done = run("--check", self.folder / "table.yaml", f"prune.allocation={table}", "prune.final_sparsity=0.99")
        self.assert_refused(done, "prune.allocation.sparsity", "0.99", "cannot be reached")

    def test_layers_that_are_not_prunable_stay_whole(self):
        trained = self.prune("kept", 0.8, "model.6.prunable=false")
        self.assertEqual(trained.summary["prunable"], UNEVEN_WEIGHTS - 33)

    def test_training_continues_after_an_event(self):
        once = self.prune("once", 0.7, "prune.schedule={type: one_shot, at_epoch: 1}", "train.epochs=6")
        losses = [float(row["train_loss"]) for row in once.history]
        self.assertLess(losses[-1], losses[1])
        start = self.prune("start", 0.7, "prune.schedule={type: one_shot, at_epoch: 1}", "train.epochs=1")
        self.assertEqual(start.summary["pattern_hash"], once.summary["pattern_hash"])    # no weight returns
        self.assertNotEqual(start.summary["weights_hash"], once.summary["weights_hash"])


if __name__ == "__main__":
    unittest.main()
