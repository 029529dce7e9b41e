#!/usr/bin/python3
"""Progress output of a run: lines in a log, a redrawn line on a terminal."""

import os
import pty
import re
import subprocess
import unittest

from support import ENVIRONMENT, HANG_S, ROOT, UNEVEN, EndToEnd, Run, command, run

LONGER = UNEVEN.replace("epochs: 4,", "epochs: 40,").replace("every_epochs: 0.5", "every_epochs: 0")


class Progress(EndToEnd):
    def output(self, *arguments, ranks=None):
        done = run(self.write_config(LONGER), f"run.output={self.folder}", *arguments, ranks=ranks)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, "")
        return done.stdout

    def test_a_log_has_whole_lines_and_no_carriage_return(self):
        for ranks in (None, 2):
            out = self.output("run.progress=auto", f"run.name=auto-{ranks}", ranks=ranks)
            self.assertNotIn("\r", out)
            self.assertNotIn("\033", out)
            rows = [line for line in out.splitlines() if line.startswith("epoch ") and "train loss" in line]
            self.assertEqual(len(rows), 40)     # one per evaluation, from one rank only
            self.assertEqual(len(set(rows)), 40)
            # no progress line between the rows, because the run takes less than 30 s
            self.assertFalse([line for line in out.splitlines() if line.endswith(" left")])

    def test_one_line_per_interval(self):
        out = self.output("run.progress=lines", "run.log_every_s=0.01", "train.epochs=150", "run.name=lines")
        shown = [line for line in out.splitlines() if line.endswith(" left")]
        self.assertGreater(len(shown), 0)
        for line in shown:
            self.assertRegex(line, r"^epoch \d+\.\d\d  step \d+/1950  loss \d+\.\d{4}  accuracy [01]\.\d{4}  "
                                   r"sparsity 0\.\d{4}  [\d,]+ samples/s  .+ left$")
        steps = [int(line.split("step ")[1].split("/")[0]) for line in shown]
        self.assertEqual(steps, sorted(set(steps)))
        self.assertLessEqual(len(shown), Run(self.folder / "lines").summary["wall_s"] / 0.01)    # at most one per interval

    def test_redraw_returns_the_carriage(self):
        out = self.output("run.progress=redraw", "run.log_every_s=0.001", "run.name=redraw")
        self.assertIn("\r\033[K", out)
        # After all redraws, each line is a row or a message.
        last = [line.split("\r\033[K")[-1] for line in out.split("\n")]
        self.assertEqual(len([line for line in last if line.startswith("epoch ") and "train loss" in line]), 40)
        self.assertTrue(out.endswith("\n"))
        self.assertFalse(any(line.endswith(" left") for line in last))

    def test_auto_redraws_on_a_terminal(self):
        if not os.path.exists("/proc/self/fd/1"):
            self.skipTest("needs /proc")
        ours, theirs = pty.openpty()
        words = command(self.write_config(LONGER), f"run.output={self.folder}", "run.progress=auto",
                        "run.log_every_s=0.001", ranks=1)
        process = subprocess.Popen(words, env=ENVIRONMENT, cwd=ROOT, stdout=theirs, stderr=theirs,
                                   stdin=subprocess.DEVNULL)
        os.close(theirs)
        out = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:     # Linux reports EIO after the last writer has closed
                break
            if not piece:
                break
            out += piece
        os.close(ours)
        self.assertEqual(process.wait(HANG_S), 0, out)
        self.assertIn(b"\r\033[K", out)

    def test_a_run_ends_with_its_results(self):
        out = self.output("run.name=results", "train.epochs=2", "prune.schedule.end_step=20", ranks=3)
        for word in ("test_accuracy", "test_loss", "sparsity", "parameters", "checkpoint", "results"):
            self.assertEqual(len(re.findall(f"^  {word}  ", out, re.MULTILINE)), 1, word)


if __name__ == "__main__":
    unittest.main()
