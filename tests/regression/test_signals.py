#!/usr/bin/python3
"""A run that is asked to stop saves a checkpoint and exits with 75; after a resume it ends like an undisturbed run."""

import os
import pathlib
import random
import re
import signal
import subprocess
import time
import unittest

from support import ENVIRONMENT, HANG_S, PRUNTRAIN, ROOT, UNEVEN, EndToEnd, Run, at_once, command, kill, messages, run, start

INTERRUPTED = 75
STEPS = 260
# Long enough to be interrupted: a checkpoint every half epoch takes longer than training.
LONG = UNEVEN.replace("epochs: 4,", "epochs: 20,").replace("end_step: 40", "end_step: 240")
# By number of ranks: bf16 gradients between nodes, ordered sums, two replicas of two shards.
KINDS = {1: (), 2: ("reduce.precision=bf16",), 3: ("train.sum=ordered", "train.slices=4"), 4: ("parallel.model_shards=2",)}


def ranks_of(process):
    """The process IDs of the ranks that mpirun has started so far."""
    return [int(pid) for pid in pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def catches(pid, number):
    """True if a process of the program has a handler for a signal; a forked process has that of mpirun at first."""
    try:
        if pathlib.Path(os.readlink(f"/proc/{pid}/exe")).name != pathlib.Path(PRUNTRAIN).name:
            return False
        caught = re.search(r"^SigCgt:\s*(\w+)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return bool(int(caught[1], 16) >> (number - 1) & 1)


class Signals(EndToEnd):
    def wait_for(self, condition, process):
        end = time.monotonic() + HANG_S
        while not condition():
            if process.poll() is not None or time.monotonic() > end:
                self.fail("the run ended too early: " + (process.communicate()[1] or ""))
            time.sleep(0.002)

    def arguments(self, name, *more):
        return [self.folder / "config.yaml", f"run.output={self.folder}", f"run.name={name}", *more]

    def begin(self, name, *more, ranks):
        """Starts a run, and waits until all ranks catch signals, which is long before training."""
        self.write_config(LONG)
        process = subprocess.Popen(command(*self.arguments(name, *more), ranks=ranks), env=ENVIRONMENT, cwd=ROOT,
                                   text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(lambda: process.poll() is None and kill(process))
        self.wait_for(lambda: len(ranks_of(process)) == ranks and
                      all(catches(pid, signal.SIGUSR2) for pid in ranks_of(process)), process)
        return process

    def check_interrupted(self, name, done, why, steps=STEPS):
        """Checks status, message, its checkpoint, and that there is no summary. @return the step"""
        self.assertEqual(done.returncode, INTERRUPTED, done.stdout + done.stderr)
        said = re.findall(rf"^stopped at step (\d+) of {steps} by (\S+): (\S+) is saved, resume with --resume$", done.stdout,
                          re.MULTILINE)
        self.assertEqual(len(said), 1, done.stdout)
        self.assertEqual(messages(done.stderr), [])
        step, by, checkpoint = said[0]
        interrupted = Run(self.folder / name)
        self.assertEqual(by, why)
        self.assertEqual(checkpoint, str(interrupted.checkpoints[-1]))
        self.assertIn(f"step_{int(step):08d}.h5", checkpoint)
        self.assertFalse((interrupted.folder / "summary.json").exists())
        self.assertTrue(all(int(row["step"]) <= int(step) for row in interrupted.history))
        return int(step)

    def resume(self, name, *more, ranks):
        done = run(*self.arguments(name, "--resume", *more), ranks=ranks)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return Run(self.folder / name).outcome()

    def interrupt(self, name, ranks, number, wait_s):
        """Sends one signal to the last rank, this long after the first row of the history; None: during the setup.
        @return the outcome of the resumed run"""
        process = self.begin(name, *KINDS[ranks], ranks=ranks)
        if wait_s is not None:
            history = self.folder / name / "history.csv"
            self.wait_for(lambda: history.exists() and len(history.read_text().splitlines()) > 1, process)
            time.sleep(wait_s)
        os.kill(ranks_of(process)[-1], number)
        out, err = process.communicate(timeout=HANG_S)
        done = subprocess.CompletedProcess([], process.returncode, out, err)
        step = self.check_interrupted(name, done, signal.Signals(number).name)
        if wait_s is None:
            self.assertEqual(step, 1)
        return self.resume(name, *KINDS[ranks], ranks=ranks)

    def test_a_signal_to_one_rank_at_any_moment(self):
        seed = time.time_ns() % 10**6
        moments = random.Random(seed)
        straight = dict(at_once(lambda ranks: (ranks, self.train(LONG, f"straight-{ranks}", *KINDS[ranks], ranks=ranks)),
                                [(ranks,) for ranks in KINDS]))
        jobs = [(f"{signal.Signals(number).name}-{ranks}-{early}", ranks, number,
                 None if early else moments.uniform(0, 0.1))
                for ranks in KINDS for number, early in ((signal.SIGUSR1, False), (signal.SIGTERM, ranks % 2 == 1))]
        for (name, ranks, *_), outcome in zip(jobs, at_once(self.interrupt, jobs)):
            self.assertEqual(outcome, straight[ranks].outcome(), f"{name}, seed of the moments: {seed}")

    def test_mpirun_forwards_a_signal_to_all_ranks_and_a_second_one_changes_nothing(self):
        process = self.begin("forwarded", ranks=2)
        for _ in range(2):
            process.send_signal(signal.SIGUSR1)
            time.sleep(0.01)
        out, err = process.communicate(timeout=HANG_S)
        self.check_interrupted("forwarded", subprocess.CompletedProcess([], process.returncode, out, err), "SIGUSR1")

    def test_a_simulated_preemption(self):
        straight = self.train(UNEVEN, "straight", ranks=2)
        self.write_config(UNEVEN)
        preempt = ("--simulate-preempt", 29)
        done = run(*self.arguments("stopped", *preempt), ranks=2)
        self.assertEqual(self.check_interrupted("stopped", done, "--simulate-preempt", 52), 29)
        self.assertEqual(self.resume("stopped", *preempt, ranks=2), straight.outcome())     # the step is in the past

    def test_a_run_that_finishes_does_not_stop(self):
        self.write_config(UNEVEN)
        done = run(*self.arguments("finished", "--simulate-preempt", 52))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertNotIn("stopped", done.stdout)
        self.assertEqual(Run(self.folder / "finished").summary["steps"], 52)

    def test_a_resumed_run_has_no_old_summary(self):
        self.train(UNEVEN, "grown")
        self.write_config(UNEVEN)
        done = run(*self.arguments("grown", "--resume", "train.epochs=5", "--simulate-preempt", 60))
        self.assertEqual(self.check_interrupted("grown", done, "--simulate-preempt", 65), 60)

    def test_a_time_limit(self):
        limit_s = 3
        self.write_config(LONG)
        begin = time.monotonic()
        done = run(*self.arguments("limited", "train.epochs=20000", f"run.time_limit=0:00:0{limit_s}"), ranks=2)
        self.assertLess(time.monotonic() - begin, limit_s + 3)      # including the time of mpirun
        step = self.check_interrupted("limited", done, "run.time_limit", 13 * 20000)
        epochs = f"train.epochs={max(20, step // 13 + 2)}"      # the prune schedule does not change
        straight = self.train(LONG, "straight", epochs, "checkpoint.every_epochs=0", ranks=2).outcome()
        resumed = self.resume("limited", epochs, ranks=2)
        self.assertEqual(resumed["weights_hash"], straight["weights_hash"], f"stopped at step {step}")
        self.assertEqual(resumed["pattern_hash"], straight["pattern_hash"])

    def test_wrong_values(self):
        self.write_config(UNEVEN)
        for limit in ("5400", "1:30", "0:00:00", "1:60:00", "1:00:60", "-1:00:00", "10000:00:00", "1-00:00:00", "soon"):
            done = run(*self.arguments("wrong", f"run.time_limit={limit}"))
            self.assert_refused(done, f"run.time_limit (command line) is '{limit}'", "h:mm:ss")
        for step in (0, -1, 1.5, 2**32):
            done = run(*self.arguments("wrong", f"--simulate-preempt={step}"))
            self.assert_refused(done, "--simulate-preempt")
        self.assertFalse((self.folder / "wrong").exists())

    def test_other_commands_end_at_once(self):
        config = self.write_config(LONG.replace("samples: 800", "samples: 3000000"))     # takes some seconds to generate
        process = start("--check", config)
        self.wait_for(lambda: catches(process.pid, signal.SIGUSR1), process)
        self.wait_for(lambda: not catches(process.pid, signal.SIGUSR1), process)
        process.send_signal(signal.SIGUSR1)
        process.communicate(timeout=HANG_S)
        self.assertEqual(process.returncode, -signal.SIGUSR1)


if __name__ == "__main__":
    unittest.main()
