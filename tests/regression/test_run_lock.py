#!/usr/bin/python3
"""One process at a time trains in the folder of a run; how it ends decides nothing but whether its lock is still there."""

import os
import signal
import subprocess
import time
import unittest

from support import ENVIRONMENT, HANG_S, PRUNTRAIN, ROOT, UNEVEN, EndToEnd, Run, kill, messages, run, start, tree

# Ends only by a signal.
ENDLESS = UNEVEN.replace("epochs: 4,", "epochs: 100000,").replace("every_epochs: 0.5", "every_epochs: 1")


class RunLock(EndToEnd):
    def start_endless(self, name, *arguments, ranks=None):
        """Starts an endless run and waits for a checkpoint."""
        config = self.write_config(ENDLESS, "endless.yaml")
        process = start(config, f"run.output={self.folder}", f"run.name={name}", *arguments, ranks=ranks)
        self.addCleanup(lambda: process.poll() is None and kill(process))
        folder, end = self.folder / name, time.monotonic() + HANG_S
        while not Run(folder).checkpoints or not (folder / "run.lock").exists():
            self.assertIsNone(process.poll(), "the run has ended")
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)
        return process, folder

    def test_a_second_start_is_refused_and_changes_nothing(self):
        for ranks in (None, 2):
            process, folder = self.start_endless(f"ranks{ranks}", ranks=ranks)
            holder = dict(line.split(" ", 1) for line in (folder / "run.lock").read_text().splitlines()[1:])
            os.kill(int(holder["pid"]), signal.SIGSTOP)     # so that the folder stands still
            time.sleep(0.05)
            before = tree(folder)
            for option in ((), ("--resume",), ("--overwrite",)):
                done = run(folder / ".." / "endless.yaml", f"run.output={self.folder}", f"run.name=ranks{ranks}", *option)
                self.assertEqual(done.returncode, 2, done.stderr)
                said = messages(done.stderr)
                self.assertEqual(len(said), 1, done.stderr)
                for word in (str(folder), "in use", f"process {holder['pid']} on {holder['host']}", f"since {holder['since']}"):
                    self.assertIn(word, said[0])
            self.assertEqual(tree(folder), before)
            os.kill(int(holder["pid"]), signal.SIGCONT)
            process.send_signal(signal.SIGUSR1)
            self.assertIn(process.wait(HANG_S), (75,))
            self.assertFalse((folder / "run.lock").exists())

    def test_the_lock_of_a_killed_run_stops_nobody(self):
        process, folder = self.start_endless("killed", ranks=2)
        kill(process)
        self.assertTrue((folder / "run.lock").exists())
        begin = time.monotonic()
        done = run(self.folder / "endless.yaml", f"run.output={self.folder}", "run.name=killed", "--resume", "train.epochs=0.1",
                   "prune.schedule={type: one_shot, at_step: 0}")
        self.assertIn(done.returncode, (0, 2), done.stderr)
        self.assertNotIn("in use", done.stderr)
        self.assertLess(time.monotonic() - begin, 30)
        self.assertFalse((folder / "run.lock").exists())

    def test_the_end_of_a_run_removes_the_lock(self):
        config = self.write_config(UNEVEN)
        for name, status, *changes in (("done", 0), ("stopped", 75, "--simulate-preempt", 3),
                                       ("infinite", 2, "optimizer.type=sgd", "optimizer.learning_rate=1e30")):
            done = run(config, f"run.output={self.folder}", f"run.name={name}", *changes)
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertTrue((self.folder / name).exists())
            self.assertFalse((self.folder / name / "run.lock").exists())

    def test_a_lock_of_another_machine(self):
        """One that nobody has renewed for long is taken over; a fresh one of this batch job before its restart too."""
        config = self.write_config(UNEVEN)
        foreign = "host elsewhere\npid 1\nsince 2026-01-02 03:04:05 UTC\njob 7\nrestart 0\nmachine elsewhere/1/2\ntoken 7\n"
        for name, age_s, variables in (("old", 1000, {}),
                                       ("restarted", 0, {"SLURM_JOB_ID": "7", "SLURM_RESTART_COUNT": "1"})):
            (self.folder / name).mkdir()
            lock = self.folder / name / "run.lock"
            lock.write_text(foreign)
            os.utime(lock, (time.time() - age_s,) * 2)
            environment = {key: value for key, value in ENVIRONMENT.items() if not key.startswith("SLURM_")}
            begin = time.monotonic()
            done = subprocess.run([PRUNTRAIN, config, f"run.output={self.folder}", f"run.name={name}", "train.epochs=1",
                                   "prune.schedule={type: one_shot, at_step: 5}"],
                                  env=dict(environment, **variables), cwd=ROOT, capture_output=True, text=True, timeout=HANG_S)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(messages(done.stderr), [])
            self.assertLess(time.monotonic() - begin, 30)
            self.assertFalse(lock.exists())

    def test_a_run_that_has_lost_its_lock_ends_without_writing(self):
        process, folder = self.start_endless("lost")
        (folder / "other").write_text("host elsewhere\npid 1\ntoken 7\n")
        (folder / "other").rename(folder / "run.lock")
        _, said = process.communicate(timeout=HANG_S)
        self.assertEqual(process.returncode, 1, said)
        self.assertIn("process 1 on elsewhere", said)
        self.assertIn("token 7", (folder / "run.lock").read_text())

    @staticmethod
    def finished_files(folder):
        """Without a file that a process was writing when it was suspended."""
        return {path: content for path, content in tree(folder).items() if not path.endswith(".tmp")}

    def test_a_suspended_run_whose_folder_another_one_had_ends_without_writing(self):
        """Its lock is removed by hand; the other run has ended, or is still there, when it is woken."""
        for name, ends in (("ended", True), ("there", False)):
            process, folder = self.start_endless(name)
            os.kill(process.pid, signal.SIGSTOP)
            (folder / "run.lock").unlink()
            if ends:
                done = run(self.folder / "endless.yaml", f"run.output={self.folder}", f"run.name={name}", "--overwrite",
                           "train.epochs=1", "prune.schedule={type: one_shot, at_step: 5}")
                self.assertEqual(done.returncode, 0, done.stderr)
            else:
                other, _ = self.start_endless(name, "--overwrite")
                os.kill(other.pid, signal.SIGSTOP)
            before = self.finished_files(folder)
            os.kill(process.pid, signal.SIGCONT)
            _, said = process.communicate(timeout=HANG_S)
            self.assertEqual(process.returncode, 1, said)
            self.assertIn("ends without writing", said)
            self.assertIn("has been removed" if ends else f"process {other.pid} on ", said)
            self.assertEqual(self.finished_files(folder), before)
            if not ends:
                os.kill(other.pid, signal.SIGCONT)

    def test_unlock(self):
        config = self.write_config(UNEVEN)
        arguments = (config, f"run.output={self.folder}", "train.epochs=1", "prune.schedule={type: one_shot, at_step: 5}")
        for name, content in (("foreign", "host elsewhere\npid 1\nmachine elsewhere/1/2\ntoken 7\n"), ("empty", "")):
            (self.folder / name).mkdir()
            lock = self.folder / name / "run.lock"
            lock.write_text(content)
            self.assert_refused(run(*arguments, f"run.name={name}"), str(lock), "--unlock")
            begin = time.monotonic()
            done = run(*arguments, f"run.name={name}", "--unlock")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertLess(time.monotonic() - begin, 30)
            self.assertIn(f"warning: --unlock removes {lock}", done.stderr)
            self.assertFalse(lock.exists())
        process, folder = self.start_endless("lives")
        done = run(self.folder / "endless.yaml", f"run.output={self.folder}", "run.name=lives", "--resume", "--unlock")
        self.assertEqual(done.returncode, 2, done.stderr)    # not assert_refused: the other one may be writing a .tmp
        self.assertRegex(messages(done.stderr)[-1], f"process {process.pid} on .*end that process first")
        self.assertTrue((folder / "run.lock").exists())

    def test_tasks_of_srun_without_mpi_are_refused(self):
        config = self.write_config(UNEVEN)
        tasks = dict(ENVIRONMENT, SLURM_PROCID="1", SLURM_STEP_NUM_TASKS="4", SLURM_NTASKS="4")

        def call(*arguments, **variables):
            return subprocess.run([PRUNTRAIN, *map(str, arguments)], env=dict(tasks, **variables), cwd=ROOT,
                                  capture_output=True, text=True, timeout=HANG_S)

        self.assert_refused(call(config, f"run.output={self.folder}"), "4 tasks", "--mpi=pmix", "--independent")
        self.assert_refused(call("evaluate", "some.h5"), "4 tasks")
        self.assertFalse((self.folder / "uneven").exists())
        self.assertEqual(call("--check", config).returncode, 0)
        self.assertEqual(call("--describe").returncode, 0)
        done = call(config, "--independent", f"run.output={self.folder}", "train.epochs=1")
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
