#!/usr/bin/python3
"""Non-finite values, unwritable files and hung ranks: all ranks react as the configuration requires."""

import math
import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import time
import unittest

import h5py
import numpy

from support import HANG_S, UNEVEN, EndToEnd, Run, at_once, kill, messages, run, start, to_dense, wait_until_gone

SAMPLES, BATCH = 120, 20
SPOILT = """
run: {{name: spoilt, seed: 3, progress: lines}}
data: {{format: npy, directory: {folder}, train_inputs: x.npy, train_targets: y.npy, test_inputs: t.npy, test_targets: u.npy,
       normalization: given, mean: 0, std: 0.5}}
model:
  - {{layer: dense, units: 8}}
  - {{layer: relu}}
  - {{layer: dense, units: 3}}
train: {{execution: sparse, sum: ordered, slices: 4, epochs: 4, global_batch: 20, loss: cross_entropy}}
optimizer: {{type: adam, learning_rate: 0.01}}
prune: {{schedule: {{type: linear, start_step: 3, end_step: 15, every_steps: 3}}, layer_floor: 0, final_sparsity: 0.6}}
checkpoint: {{every_epochs: 0.5, keep: 99}}
"""
# Gradient descent on a quadratic diverges slowly at this rate, and converges at half of it.
STEEP = """
run: {{name: steep, seed: 3, progress: lines}}
data: {{format: npy, directory: {folder}, train_inputs: x.npy, train_targets: z.npy, test_inputs: t.npy, test_targets: v.npy,
       normalization: none}}
model: [{{layer: dense, units: 1}}]
train: {{sum: ordered, slices: 4, epochs: 300, evaluate_every_epochs: 10, global_batch: 120, loss: mean_squared_error}}
optimizer: {{type: sgd, momentum: 0, learning_rate: {rate}}}
checkpoint: {{every_epochs: 20, keep: 99}}
"""


class Faults(EndToEnd):
    def setUp(self):
        super().setUp()
        random = numpy.random.default_rng(7)
        x, t = (random.normal(size=(size, 6)).astype(numpy.float32) for size in (SAMPLES, 30))
        self.x = x.copy()
        numpy.save(self.folder / "t.npy", t)
        for name, inputs in (("y", x), ("u", t)):
            numpy.save(self.folder / f"{name}.npy", inputs[:, :3].argmax(axis=1).astype(numpy.uint8))
        for name, inputs in (("z", x), ("v", t)):
            numpy.save(self.folder / f"{name}.npy", (inputs.sum(axis=1, keepdims=True) + 1).astype(numpy.float32))
        numpy.save(self.folder / "x.npy", x)

    def spoil(self):
        self.x[17, 2] = 3e38    # infinite after division by std
        numpy.save(self.folder / "x.npy", self.x)

    def test_a_corrupt_sample_is_skipped_on_all_ranks(self):
        self.spoil()
        config = SPOILT.format(folder=self.folder)
        grids = ((1, ()), (3, ()), (4, ("parallel.shard_optimizer=true",)), (4, ("parallel.shard_optimizer=true", "optimizer.clip_norm=9")))
        runs = at_once(lambda ranks, settings: self.train(config, f"skip-{ranks}-{len(settings)}", "train.non_finite=skip", *settings,
                                                          ranks=ranks), grids)
        for one in runs[1:]:
            self.assertEqual(one.outcome(), runs[0].outcome())
        self.assertTrue(math.isfinite(runs[0].summary["test_loss"]))
        sharded = self.train(config, "skip-shards", "train.non_finite=skip", "parallel.model_shards=2", ranks=4)
        self.assertEqual(sharded.summary["sparsity"], runs[0].summary["sparsity"])
        self.assertTrue(math.isfinite(sharded.summary["test_loss"]))

        done = run(self.folder / "skip-1-0.yaml", f"run.output={self.folder}", "--overwrite", "train.non_finite=skip", ranks=2)
        warnings = re.findall(r"^warning: .*", done.stdout, re.MULTILINE)
        self.assertEqual(len(warnings), 4, done.stdout)     # once per epoch
        for warning in warnings:
            self.assertRegex(warning, r"the gradient of dense[12]\.\w+ is not finite at step \d+ \(epoch .*\): the step is skipped")
        # A run resumed from any checkpoint skips the same samples.
        cut = self.cut(runs[0], "cut", keep=2)
        done = run(self.folder / "skip-1-0.yaml", f"run.output={self.folder}", "run.name=cut", "--resume", "train.non_finite=skip", ranks=2)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(cut.outcome(), runs[0].outcome())

    def test_a_corrupt_sample_stops_the_run_with_a_report(self):
        self.spoil()
        path = self.write_config(SPOILT.format(folder=self.folder), "stop.yaml")
        for ranks, settings in ((None, ()), (4, ("parallel.model_shards=2",)), (3, ("train.non_finite=roll_back", "checkpoint.every_epochs=9"))):
            done = run(path, f"run.output={self.folder}", f"run.name=stop-{ranks}", *settings, ranks=ranks)
            self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
            self.assertRegex(messages(done.stderr)[0], r"the gradient of dense[12]\.\w+ is not finite at step \d+")
            self.assertEqual(len(messages(done.stderr)), 1)
            self.assertFalse((self.folder / f"stop-{ranks}" / "summary.json").exists())
        self.assertIn("no checkpoint to roll back to", messages(done.stderr)[0])
        # The same sample fails repeatedly; the run ends after three attempts.
        done = run(path, f"run.output={self.folder}", "run.name=again", "train.non_finite=roll_back",
                   "checkpoint.every_epochs=0.1", ranks=2)
        self.assertEqual(done.returncode, 2)
        self.assertIn("with a factor of 0.125 on the learning rate after rolling back", messages(done.stderr)[0])

    def test_ten_skips_in_a_row_are_enough(self):
        self.x[:] = 3e38
        numpy.save(self.folder / "x.npy", self.x)
        done = run(self.write_config(SPOILT.format(folder=self.folder), "all.yaml"), f"run.output={self.folder}", "train.non_finite=skip")
        self.assertEqual(done.returncode, 2)
        self.assertIn("at step 11", messages(done.stderr)[0])
        self.assertIn("after 10 consecutive skipped steps", messages(done.stderr)[0])

    def test_a_diverging_run_rolls_back_and_converges_at_a_smaller_rate(self):
        augmented = numpy.hstack([self.x, numpy.ones((SAMPLES, 1))]).astype(float)
        steepest = numpy.linalg.eigvalsh(2 * augmented.T @ augmented / SAMPLES)[-1]    # of the mean squared error
        config = STEEP.format(folder=self.folder, rate=3 / steepest)
        back = [self.train(config, f"back-{ranks}", "train.non_finite=roll_back", "optimizer.clip_norm=0", ranks=ranks) for ranks in (1, 3)]
        self.assertEqual(back[1].outcome(), back[0].outcome())
        self.assertLess(back[0].summary["test_loss"], 1e30)
        rates = [float(row["learning_rate"]) for row in back[0].history]
        self.assertEqual(len(rates), 30)
        self.assertAlmostEqual(rates[-1] / rates[0], 0.5, places=12)
        with h5py.File(back[0].checkpoints[-1]) as file:
            self.assertEqual(file.attrs["rate_factor"], 0.5)
            self.assertTrue(numpy.isfinite(to_dense(file["model/dense1/weight"])).all())
        # The factor is in the checkpoints, so a restart uses it.
        cut = self.cut(back[0], "cut", keep=-1)
        done = run(self.folder / "back-1.yaml", f"run.output={self.folder}", "run.name=cut", "--resume", "train.non_finite=roll_back", ranks=2)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(cut.outcome(), back[0].outcome())

    def on_small_disk(self, name, kib, config, *settings):
        """Starts a run on a separate file system of this size in KiB."""
        disk = self.folder / f"disk_{name}"
        disk.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", disk], capture_output=True)
        if mounted.returncode != 0:
            self.skipTest("may not mount a small file system")
        self.addCleanup(subprocess.run, ["umount", disk], check=True)
        return run(self.write_config(config, f"{name}.yaml"), f"run.output={disk}", f"run.name={name}", *settings, ranks=2), Run(disk / name)

    def test_a_checkpoint_that_cannot_be_written(self):
        # A dense checkpoint is large, the final one is small.
        wide = UNEVEN.replace("units: 23", "units: 900").replace("final_sparsity: 0.7", "final_sparsity: 0.98")
        settings = ("checkpoint.keep=1", "prune.layer_floor=0.01")
        straight = self.train(wide, "straight", "checkpoint.keep=99", *settings[1:], ranks=2)
        sizes = [path.stat().st_size for path in straight.checkpoints]
        self.assertLess(3 * sizes[-1] + 20_000, sizes[0])
        room = sizes[0] // 1024 - 2
        done, on = self.on_small_disk("on", room, wide, *settings, "checkpoint.on_failure=continue")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"warning: cannot write \S+step_\d+\.h5.*; training continues, older checkpoints are kept")
        self.assertEqual(on.outcome(), straight.outcome())
        self.assertEqual([path.name for path in (on.folder / "checkpoints").iterdir() if path.suffix != ".h5"], [])
        done, stopped = self.on_small_disk("stopped", room, wide, *settings)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertRegex(messages(done.stderr)[0], r"cannot write \S+step_\d+\.h5")
        # The last checkpoint cannot be retried.
        done, end = self.on_small_disk("end", sizes[-1] // 2048, wide, *settings, "checkpoint.on_failure=continue")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertFalse((end.folder / "summary.json").exists())

    def test_asynchronous_checkpoints(self):
        settings = ("checkpoint.asynchronous=true", "checkpoint.every_epochs=0.2", "checkpoint.keep=99")
        straight = self.train(UNEVEN, "straight", *settings[1:], ranks=2)
        beside = self.train(UNEVEN, "beside", *settings, ranks=2)
        self.assertEqual(beside.outcome(), straight.outcome())
        self.assertEqual([path.name for path in beside.checkpoints], [path.name for path in straight.checkpoints])
        for ours, theirs in zip(beside.checkpoints, straight.checkpoints):    # all except names, times and the key itself
            with h5py.File(ours) as a, h5py.File(theirs) as b:
                self.assertEqual((a.attrs["weights_hash"], a.attrs["step"]), (b.attrs["weights_hash"], b.attrs["step"]))
            self.assertEqual(run("inspect", ours).returncode, 0)
        # After an interruption during a write, on shards, the file is complete.
        shards = ("parallel.model_shards=2", "parallel.shard_optimizer=true")
        whole = self.train(UNEVEN, "whole", *shards, ranks=4)
        config = self.write_config(UNEVEN, "cut.yaml")
        done = run(config, f"run.output={self.folder}", "run.name=cut", *settings, *shards, "--simulate-preempt", 24, ranks=4)
        self.assertEqual(done.returncode, 75, done.stderr)
        self.assertEqual(Run(self.folder / "cut").checkpoints[-1].name, "step_00000024.h5")
        done = run(config, f"run.output={self.folder}", "run.name=cut", *settings, *shards, "--resume", ranks=4)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(Run(self.folder / "cut").outcome(), whole.outcome())
        # A full disk is reported with the next checkpoint.
        done, stopped = self.on_small_disk("stopped", 100, UNEVEN, *settings)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertRegex(messages(done.stderr)[0], r"cannot write \S+step_\d+\.h5")
        self.assertEqual([path.name for path in stopped.folder.rglob("*.tmp")], [])
        self.assertEqual(run("inspect", stopped.checkpoints[-1]).returncode, 0)

    def test_a_history_that_cannot_be_written(self):
        settings = ("train.evaluate_every_epochs=0.06", "checkpoint.every_epochs=0")
        done, stopped = self.on_small_disk("stopped", 16, UNEVEN, *settings)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertRegex(done.stderr, r"(history|layers)\.csv: is the disk full\?")
        done, on = self.on_small_disk("on", 16, UNEVEN, *settings, "checkpoint.on_failure=continue")
        self.assertRegex(done.stdout, r"csv: is the disk full\?; training continues, the row is written with the next one")
        self.assertEqual(done.returncode, 1)    # there is no space for the last checkpoint either
        self.assertEqual([path.name for path in on.folder.glob("*.tmp")], [])

    def begin_endless(self, name, *settings, ranks=3):
        """Starts an endless run. @return (process, {rank: process ID}) once all ranks train"""
        config = self.write_config(UNEVEN.replace("epochs: 4", "epochs: 100000"), f"{name}.yaml")
        process = start(config, f"run.output={self.folder}", f"run.name={name}", *settings, ranks=ranks)
        self.addCleanup(lambda: process.poll() is None and kill(process))
        end = time.monotonic() + HANG_S
        while not (self.folder / name / "checkpoints").is_dir() or not Run(self.folder / name).checkpoints:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.02)
        pids = map(int, pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())
        return process, {int(re.search(rb"OMPI_COMM_WORLD_RANK=(\d+)", pathlib.Path(f"/proc/{pid}/environ").read_bytes())[1]): pid
                         for pid in pids}

    def said_within(self, process, pattern, seconds):
        """Reads standard error up to the first line with the pattern."""
        end, lines = time.monotonic() + seconds, ""
        while not re.search(pattern, lines):
            ready, _, _ = select.select([process.stderr], [], [], max(0, end - time.monotonic()))
            self.assertTrue(ready, f"not said within {seconds} s: {pattern}\n{lines}")
            lines += os.read(process.stderr.fileno(), 65536).decode()
        return lines

    def test_a_hung_rank_is_reported(self):
        for stopped in (2, 0):     # rank 1 monitors rank 0
            process, pids = self.begin_endless(f"still-{stopped}", "run.stall_s=2")
            os.kill(pids[stopped], signal.SIGSTOP)
            self.said_within(process, rf"pruntrain: warning: rank {stopped} on {re.escape(socket.gethostname())}, in step \d+, phase "
                                      r"\w+, has been silent for [2-9]\.\d s: the process is stopped", 20)
            os.kill(pids[stopped], signal.SIGCONT)
            self.said_within(process, rf"pruntrain: warning: rank {stopped} is back after", 20)
            os.kill(pids[1], signal.SIGTERM)
            process.communicate(timeout=HANG_S)
            self.assertEqual(process.returncode, 75)

    def test_a_hung_rank_ends_the_run_with_abort(self):
        process, pids = self.begin_endless("abort", "run.stall_s=2", "run.on_stall=abort")
        os.kill(pids[1], signal.SIGSTOP)
        begin = time.monotonic()
        stderr = process.communicate(timeout=HANG_S)[1]
        self.assertTrue(wait_until_gone(pids.values()))
        self.assertLess(time.monotonic() - begin, 20)
        self.assertEqual(process.returncode, 1)
        self.assertRegex(stderr, r"rank 1 on .* has been silent .*: the run is aborted, as configured by run\.on_stall; --resume continues")
        last = Run(self.folder / "abort").checkpoints[-1]
        self.assertEqual(run("inspect", last).returncode, 0)

    def test_a_rank_that_is_killed_ends_the_run(self):
        process, pids = self.begin_endless("killed")
        os.kill(pids[1], signal.SIGKILL)
        begin = time.monotonic()
        process.communicate(timeout=HANG_S)
        self.assertTrue(wait_until_gone(pids.values()))
        self.assertLess(time.monotonic() - begin, 20)
        self.assertNotIn(process.returncode, (0, 2, 75))
        last = max(int(path.stem[5:]) for path in Run(self.folder / "killed").checkpoints)
        content = UNEVEN.replace("epochs: 4", f"epochs: {last // 13 + 2}")
        straight = self.train(content, "straight", ranks=2)
        done = run(self.folder / "straight.yaml", f"run.output={self.folder}", "run.name=killed", "--resume", ranks=3)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(Run(self.folder / "killed").summary["steps"], straight.summary["steps"])


if __name__ == "__main__":
    unittest.main()
