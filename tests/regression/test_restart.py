#!/usr/bin/python3
"""An interrupted and resumed run ends bit-identical to an uninterrupted one."""

import math
import pathlib
import random
import resource
import shutil
import subprocess
import time
import unittest

from support import HANG_S, UNEVEN, EndToEnd, Run, kill, messages, run, start, tree

# Long enough (some seconds) to be killed in the middle; pruning continues until the last epochs.
LONG = UNEVEN.replace("epochs: 4,", "epochs: 60,").replace("end_step: 40", "end_step: 700")
MOMENTUM = "optimizer={type: sgd, momentum: 0.9, learning_rate: 0.02, schedule: {type: cosine, warmup_epochs: 1}}"


def wait_for(condition, process):
    end = time.monotonic() + HANG_S
    while not condition():
        if process.poll() is not None or time.monotonic() > end:
            raise AssertionError("the run ended too early: " + (process.communicate()[1] or ""))
        time.sleep(0.002)


class Restart(EndToEnd):
    def resume(self, folder, name, config, *arguments, ranks=None):
        done = run(config, f"run.output={folder}", f"run.name={name}", "--resume", *arguments, ranks=ranks)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_an_interruption_between_checkpoints(self):
        decay = ("optimizer.type=adamw", "optimizer.weight_decay=0.01")
        for name, ranks, arguments in (("adam", 1, ()), ("momentum", 2, (MOMENTUM, "train.execution=dense")),
                                       ("adamw", 2, decay)):
            straight = self.train(UNEVEN, name, *arguments, "checkpoint.keep=99", ranks=ranks)
            self.assertGreater(len(straight.checkpoints), 5)
            for keep in (2, 5):     # steps 13 and 33, both before the last pruning event
                cut = self.cut(straight, f"{name}-cut-{keep}", keep)
                said = self.resume(self.folder, cut.folder.name, self.folder / f"{name}.yaml", *arguments,
                                   "checkpoint.keep=99", ranks=ranks)
                self.assertIn(f"resuming from {cut.checkpoints[keep - 1]}", said)
                self.assertEqual(cut.outcome(), straight.outcome())

    def test_kill_at_a_random_moment(self):
        seed = time.time_ns() % 10**6
        moment = random.Random(seed)
        for ranks, arguments in ((1, ()), (2, (MOMENTUM,))):
            straight = self.train(LONG, f"straight-{ranks}", *arguments, ranks=ranks)
            config = self.folder / f"straight-{ranks}.yaml"
            killed = Run(self.folder / f"killed-{ranks}")
            for resume in ((), ("--resume",)):      # killed twice
                process = start(config, f"run.output={self.folder}", f"run.name={killed.folder.name}", *arguments,
                                *resume, ranks=ranks)
                already = killed.checkpoints[-1:]
                wait_for(lambda: killed.checkpoints[-1:] != already, process)
                time.sleep(moment.uniform(0, 0.15))
                kill(process)
                if (killed.folder / "summary.json").exists():
                    break       # on a fast machine it may finish before it is killed
            self.resume(self.folder, killed.folder.name, config, *arguments, ranks=ranks)
            self.assertEqual(killed.outcome(), straight.outcome(), f"seed of the moments: {seed}")

    def test_without_a_checkpoint_it_starts_from_the_start(self):
        straight = self.train(UNEVEN, "straight")
        fresh = Run(self.folder / "fresh")
        self.assertIn("starting at step 0", self.resume(self.folder, "fresh", self.folder / "straight.yaml"))
        self.assertEqual(fresh.outcome(), straight.outcome())

    def test_a_finished_run_is_not_changed(self):
        straight = self.train(UNEVEN, "straight", ranks=2)
        before, files = straight.outcome(), {p.name: p.read_bytes() for p in straight.checkpoints}
        for _ in range(2):
            self.resume(self.folder, "straight", self.folder / "straight.yaml", ranks=2)
            self.assertEqual(straight.outcome(), before)
            self.assertEqual({p.name: p.read_bytes() for p in straight.checkpoints}, files)

    def test_an_extended_run_resumes_from_a_finished_one(self):
        self.train(UNEVEN, "grown", "train.epochs=2")
        said = self.resume(self.folder, "grown", self.folder / "grown.yaml", "train.epochs=3")
        self.assertIn("the configuration has changed", said)
        self.assertIn("+   epochs: 3", said)
        self.assertEqual(Run(self.folder / "grown").summary["steps"], 39)

    def test_a_damaged_newest_checkpoint_is_skipped(self):
        straight = self.train(UNEVEN, "straight", "checkpoint.keep=4", ranks=2)

        def flip(content):
            middle = len(content) // 2
            return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1:]

        damages = {"flipped": flip, "truncated": lambda content: content[:-100], "empty": lambda content: b"",
                   "other": lambda content: b"no checkpoint at all" * 99}
        for name, damage in damages.items():
            shutil.copytree(straight.folder, self.folder / name)
            damaged = Run(self.folder / name)
            newest, older = damaged.checkpoints[-1], damaged.checkpoints[-2]
            newest.write_bytes(damage(newest.read_bytes()))
            said = self.resume(self.folder, name, self.folder / "straight.yaml", "checkpoint.keep=4", ranks=2)
            self.assertRegex(said, f"warning: {newest} is .*trying an older one")
            self.assertIn(f"resuming from {older}", said)
            self.assertEqual(said.count("warning"), 1)
            self.assertEqual(damaged.outcome(), straight.outcome())
            self.assertEqual(run("inspect", newest).returncode, 0)      # written again

    def test_a_damaged_newer_checkpoint_does_not_remove_valid_ones(self):
        # Without a validation split there is no best checkpoint, which would be kept in any case.
        no_best = UNEVEN.replace("validation_samples: 101", "validation_samples: 0")
        straight = self.train(no_best, "straight", "checkpoint.keep=99")
        damaged = self.cut(straight, "damaged", 3)
        later = damaged.folder / "checkpoints" / "step_99999999.h5"
        later.write_bytes(b"damaged")
        said = self.resume(self.folder, "damaged", self.folder / "straight.yaml", "checkpoint.keep=1")
        self.assertIn(f"warning: {later}", said)
        self.assertEqual(damaged.outcome(), straight.outcome())
        self.assertTrue(pathlib.Path(damaged.summary["checkpoint"]).exists())

    def test_the_newest_and_the_best_stay(self):
        # The learning rate is too large, so the best model is an early one.
        trained = self.train(UNEVEN, "kept", "checkpoint.keep=2", "train.epochs=8", "optimizer.learning_rate=0.3",
                             "prune.schedule.end_step=10", "train.evaluate_every_epochs=0.5")
        summary = trained.summary
        scores = {int(row["step"]): float(row["validation_accuracy"]) for row in trained.history}
        del scores[7]       # the only one before step 10, where the final sparsity is reached
        best = max(scores, key=lambda step: (scores[step], -step))
        self.assertEqual(pathlib.Path(summary["best_checkpoint"]).name, f"step_{best:08d}.h5")
        every = range(1, 17)    # half epochs of 6.5 steps
        newest = [f"step_{math.ceil(6.5 * i):08d}.h5" for i in every][-2:]
        self.assertEqual({p.name for p in trained.checkpoints}, {*newest, f"step_{best:08d}.h5"})
        for checkpoint in trained.checkpoints:
            self.assertEqual(run("inspect", checkpoint).returncode, 0)

    def test_another_network_or_optimizer_is_refused(self):
        trained = self.train(UNEVEN, "first", ranks=2)
        before = tree(trained.folder)
        for override, words in (("model.0.units=24", ("dense1.weight", "23x13", "24x13")),
                                ("model.1={layer: relu}", ("batch_norm1",)),
                                (MOMENTUM, ("first_moment", "momentum"))):
            done = run(self.folder / "first.yaml", f"run.output={self.folder}", "run.name=first", "--resume", override,
                       ranks=3)
            self.assert_refused(done, str(trained.checkpoints[-1]), *words)
            self.assertEqual(tree(trained.folder), before)


class FullDisk(EndToEnd):
    """A failed write reports its file, and older checkpoints stay valid."""

    def check_what_is_left(self, done, folder, last_good):
        self.assertEqual(done.returncode, 1, done.stderr)
        said = messages(done.stderr)
        self.assertEqual(len(said), 1, done.stderr)
        self.assertRegex(said[0], f"cannot write {folder}.*\\.h5: ")
        self.assertEqual([p for p in folder.rglob("*.tmp")], [])
        self.assertEqual(run("inspect", last_good).returncode, 0)

    def test_a_file_size_limit(self):
        config = self.write_config(LONG)
        trained = Run(self.folder / "limited")
        process = start(config, f"run.output={self.folder}", "run.name=limited")
        wait_for(lambda: trained.checkpoints, process)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (9000, 9000))      # a checkpoint has about 30 kB
        stderr = process.communicate(timeout=HANG_S)[1]
        done = subprocess.CompletedProcess([], process.returncode, "", stderr)
        self.check_what_is_left(done, trained.folder, trained.checkpoints[-1])
        straight = self.train(LONG, "straight")
        self.assertEqual(run(config, f"run.output={self.folder}", "run.name=limited", "--resume").returncode, 0)
        self.assertEqual(trained.outcome(), straight.outcome())

    def test_a_full_disk(self):
        disk = self.folder / "disk"
        disk.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", disk], capture_output=True)
        if mounted.returncode != 0:
            self.skipTest("may not mount a small file system")
        self.addCleanup(subprocess.run, ["umount", disk], check=True)
        done = run(self.write_config(UNEVEN), f"run.output={disk}", "run.name=full", "checkpoint.keep=99", ranks=2)
        trained = Run(disk / "full")
        self.check_what_is_left(done, trained.folder, trained.checkpoints[-1])


if __name__ == "__main__":
    unittest.main()
