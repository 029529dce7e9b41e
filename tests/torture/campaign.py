#!/usr/bin/python3
"""Injects random faults. After each, the run must exit with a nonzero status within a time limit. When resumed, it must end
bit-identical to an undisturbed run.

    tests/torture/campaign.py [--faults 200] [--seed 1] [--minutes 60]

Every case is a separate run on 1 to 4 ranks, replicas or shards, with ordered sums, with or without asynchronous checkpoints. It is
disturbed at least once, each time resumed on other ranks, and finally runs to its end. Prints a line per case and a table of
counts; exit status 1 if a run was lost or hung. As root it also fills small file systems.
"""

import argparse
import collections
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/regression"))
from support import ENVIRONMENT, UNEVEN, Run, command, kill, run  # noqa: E402 (its folder is known only now)

# Long enough to be disturbed anywhere: a checkpoint every half epoch takes longer than training.
EPOCHS = 60
CONFIG = (UNEVEN.replace("epochs: 4,", f"epochs: {EPOCHS},").replace("end_step: 40", "end_step: 600")
          .replace("train: {execution: sparse,", "train: {sum: ordered, slices: 8,").replace("keep: 3", "keep: 2"))
GRIDS = {1: ((),), 2: ((), ("parallel.shard_optimizer=true",)), 3: ((),), 4: ((), ("parallel.shard_optimizer=true",))}
SHARDED = ("parallel.model_shards=2",)      # sums depend on the number of shards, so such a run keeps its grid
QUICK_S = 60    # time limit to exit after a fault


class Lost(Exception):
    """A run did not survive its faults."""


def children_of(process):
    try:
        return [int(pid) for pid in pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


class Case:
    def __init__(self, folder, number, seed):
        self.random = random.Random(f"{seed}/{number}")
        self.folder, self.name = folder, f"case_{number}"
        self.run = Run(folder / self.name)
        self.sharded = self.random.random() < 0.25
        self.settings = ["checkpoint.asynchronous=true"] if self.random.random() < 0.3 else []
        self.process, self.late = None, 0   # faults after the end of the run, which do not count

    def ranks(self):
        """(number of ranks, their settings)"""
        if self.sharded:
            return 4, SHARDED
        ranks = self.random.choice(list(GRIDS))
        return ranks, self.random.choice(GRIDS[ranks])

    def arguments(self, *more):
        return [self.folder / "config.yaml", f"run.output={self.folder}", f"run.name={self.name}", "--resume", *self.settings, *more]

    def begin(self, *more):
        ranks, settings = self.ranks()
        self.process = subprocess.Popen(command(*self.arguments(*settings, *more), ranks=ranks), env=ENVIRONMENT, cwd=ROOT, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def wait_a_moment(self):
        """Waits until its ranks have started, and a random time. @return true if it still runs"""
        end = time.monotonic() + QUICK_S
        while not children_of(self.process) and self.process.poll() is None and time.monotonic() < end:
            time.sleep(0.005)
        moment = time.monotonic() + self.random.choice((0.3, 1, 3)) * self.random.random()
        while time.monotonic() < moment and self.process.poll() is None:
            time.sleep(0.005)
        self.late += self.process.poll() is not None
        return self.process.poll() is None

    def wait_until_it_trains(self):
        """Waits for training: a loading rank does not handle signals yet, and is not monitored."""
        before = self.run.checkpoints[-1:]
        while self.run.checkpoints[-1:] == before and self.process.poll() is None:
            time.sleep(0.005)

    def end(self, wanted=None):
        """@return the exit status of a process that exits by itself"""
        try:
            said = self.process.communicate(timeout=QUICK_S)[0]
        except subprocess.TimeoutExpired as expired:
            kill(self.process)
            said = (expired.stdout or b"").decode(errors="replace")
            raise Lost(f"hangs: still running {QUICK_S} s after the fault\n{said[-2000:]}") from None
        status = self.process.returncode
        if wanted is not None and status not in wanted:
            raise Lost(f"exit status {status}, expected one of {wanted}\n{said[-2000:]}")
        if status == 0 and not (self.run.folder / "summary.json").exists():
            raise Lost("exit status 0 without a summary")
        return status

    # The faults. None leaves a process running.

    def kill_one_rank(self):
        self.begin()
        if self.wait_a_moment():
            os.kill(self.random.choice(children_of(self.process) or [self.process.pid]), signal.SIGKILL)
        if self.end() in (2, 75):
            raise Lost("a killed rank was taken for something else")

    def kill_all(self):
        self.begin()
        self.wait_a_moment()
        kill(self.process)

    def ask_to_stop(self):
        self.begin()
        number = self.random.choice((signal.SIGUSR1, signal.SIGTERM))
        self.wait_until_it_trains()
        if self.wait_a_moment():
            ranks = children_of(self.process)
            if ranks:
                try:
                    os.kill(self.random.choice(ranks), number)
                except ProcessLookupError:
                    pass    # it has just ended by itself
        if self.end((0, 75)) == 75 and (self.run.folder / "summary.json").exists():
            raise Lost("a summary of a run that was interrupted")

    def stop_one_rank(self):
        self.begin("run.stall_s=3", "run.on_stall=abort")     # a busy disk takes seconds for a checkpoint, too
        self.wait_until_it_trains()
        ranks = children_of(self.process) if self.wait_a_moment() else []
        if len(ranks) > 1:
            stopped = self.random.choice(ranks)
            try:
                os.kill(stopped, signal.SIGSTOP)
                end = time.monotonic() + QUICK_S / 2
                while self.process.poll() is None and time.monotonic() < end:
                    time.sleep(0.01)
                if (self.run.folder / "summary.json").exists():     # all is done: ranks are not watched while MPI ends
                    os.kill(stopped, signal.SIGCONT)
            except ProcessLookupError:
                pass    # it has ended by itself
        self.end((0, 1))

    def damage_checkpoint(self):
        """Damages the newest checkpoint of a killed run: a flipped byte, a truncation, or another file."""
        self.kill_all()
        files = self.run.checkpoints
        if len(files) < 2:
            return
        content = bytearray(files[-1].read_bytes())
        way = self.random.choice(("flip", "cut", "foreign", "zeros"))
        if way == "flip":
            content[self.random.randrange(len(content))] ^= 1 << self.random.randrange(8)
        elif way == "cut":
            del content[self.random.randrange(len(content)):]
        elif way == "foreign":
            content = bytearray(self.random.randbytes(5000))
        else:
            first = self.random.randrange(len(content))
            content[first:first + 4096] = bytes(len(content[first:first + 4096]))
        if content != files[-1].read_bytes():
            files[-1].write_bytes(content)

    def fill_disk(self):
        """Continues the run on an almost full file system."""
        self.kill_all()
        disk = self.folder / f"{self.name}_disk"
        disk.mkdir(exist_ok=True)
        used = sum(path.stat().st_size for path in self.run.folder.rglob("*") if path.is_file()) if self.run.folder.exists() else 0
        room = used // 1024 + self.random.randrange(24, 120)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={room}k", "tmpfs", disk], capture_output=True).returncode != 0:
            return
        try:
            if self.run.folder.exists():
                shutil.copytree(self.run.folder, disk / self.name)
            ranks, settings = self.ranks()
            policy = self.random.choice(("stop", "continue"))
            done = run(self.folder / "config.yaml", f"run.output={disk}", f"run.name={self.name}", "--resume", *self.settings, *settings,
                       f"checkpoint.on_failure={policy}", ranks=ranks)
            if done.returncode not in (0, 1, 2):
                raise Lost(f"exit status {done.returncode} on a full disk\n{done.stderr[-2000:]}")
            if done.returncode and "full" not in done.stderr and "No space" not in done.stderr and "room" not in done.stderr:
                raise Lost(f"a full disk is not reported\n{done.stderr[-2000:]}")
            if (disk / self.name).exists():
                shutil.rmtree(self.run.folder, ignore_errors=True)
                shutil.copytree(disk / self.name, self.run.folder)
        finally:
            subprocess.run(["umount", disk], check=True)

    def finish(self, expected):
        ranks, settings = self.ranks()
        done = run(*self.arguments(*settings), ranks=ranks)
        if done.returncode != 0:
            raise Lost(f"cannot be resumed: exit status {done.returncode}\n{done.stdout[-1000:]}{done.stderr[-2000:]}")
        if self.run.outcome() != expected:
            raise Lost("ends differently from the undisturbed run")
        left = [path.name for path in self.run.folder.rglob("*.tmp")]
        if left:
            raise Lost(f"leaves {left}")


FAULTS = (Case.kill_one_rank, Case.kill_all, Case.ask_to_stop, Case.stop_one_rank, Case.damage_checkpoint, Case.fill_disk)


def straight(folder, name, ranks, *settings):
    done = run(folder / "config.yaml", f"run.output={folder}", f"run.name={name}", *settings, ranks=ranks)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return Run(folder / name).outcome()


def campaign(folder, faults, seed, minutes):
    """@return (counts of effective faults, number of faults after the end of a run, lost runs)"""
    (folder / "config.yaml").write_text(CONFIG)
    expected = {False: straight(folder, "straight", 1), True: straight(folder, "straight_shards", 4, *SHARDED)}
    counts, late, lost, number, end = collections.Counter(), 0, [], 0, time.monotonic() + 60 * minutes
    while counts.total() < faults and time.monotonic() < end:
        case = Case(folder, number, seed)
        number += 1
        done = []
        try:
            for _ in range(case.random.choice((1, 1, 2, 3))):
                if (case.run.folder / "summary.json").exists() or counts.total() >= faults:
                    break
                fault = case.random.choice(FAULTS)
                done.append(fault.__name__)
                try:
                    fault(case)
                finally:
                    if case.late == 0:
                        counts[fault.__name__] += 1
            case.finish(expected[case.sharded])
            verdict = "good"
        except Lost as error:
            verdict = f"LOST: {error}"
            lost.append(f"seed {seed}, {case.name}, {', '.join(done)}: {error}")
        late += case.late
        print(f"{case.name:10} {', '.join(done)}: {verdict}", flush=True)
        if verdict == "good":
            shutil.rmtree(case.run.folder, ignore_errors=True)
    return counts, late, lost


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60, help="start no case after this many minutes")
    arguments = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="pruntrain_torture_"))
    counts, late, lost = campaign(folder, arguments.faults, arguments.seed, arguments.minutes)
    print(f"\n{counts.total()} faults with seed {arguments.seed}, {len(lost)} runs lost; {late} more faults came after the end of a run")
    for fault in FAULTS:
        print(f"  {fault.__name__:18} {counts[fault.__name__]}")
    if lost:
        print(f"\nlost runs are in {folder}:", *lost, sep="\n")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
