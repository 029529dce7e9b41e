"""Common code of the end-to-end tests: starting the program, reading its results, small configurations.

Environment: PRUNTRAIN the program, MANY_RUNS the program of many_runs.cpp, MPIRUN the launcher with its flags.
"""

import concurrent.futures
import csv
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import h5py
import numpy
import scipy.sparse

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PRUNTRAIN = os.environ.get("PRUNTRAIN", str(ROOT / "pruntrain"))
MANY_RUNS = os.environ.get("MANY_RUNS", str(ROOT / "build" / "many_runs"))
MPIRUN = shlex.split(os.environ.get("MPIRUN", "mpirun"))
ENVIRONMENT = dict(os.environ, OPENBLAS_NUM_THREADS="1")
# Under make test-sanitized memory cannot be tested: a sanitizer reserves terabytes of addresses and delays freeing.
by_its_memory = unittest.skipIf("ASAN_OPTIONS" in os.environ, "sanitizers use additional memory")

HANG_S = 60     # every run takes a few seconds at most, also on a busy machine
CLOCKS = ("seconds", "samples_per_s")    # columns of history.csv that differ between any two runs

# Sizes without common divisors: 619 training samples in batches of 50 are 13 steps per epoch, the last of 19 samples.
UNEVEN = """
run: {name: uneven, seed: 3, progress: lines}
data: {format: synthetic, samples: 800, shape: [13], classes: 3, validation_samples: 101, test_samples: 80}
model:
  - {layer: dense, units: 23}
  - {layer: batch_norm}
  - {layer: relu}
  - {layer: dropout, rate: 0.2}
  - {layer: dense, units: 11}
  - {layer: relu}
  - {layer: dense, units: 3, prunable: true}
train: {execution: sparse, epochs: 4, global_batch: 50, loss: cross_entropy}
optimizer: {type: adam, learning_rate: 0.003}
prune:
  criterion: magnitude
  allocation: global
  schedule: {type: cubic, start_step: 5, end_step: 40, every_steps: 7}
  final_sparsity: 0.7
checkpoint: {every_epochs: 0.5, keep: 3}
"""
UNEVEN_WEIGHTS = 13 * 23 + 23 * 11 + 11 * 3
UNEVEN_OTHERS = 23 + 2 * 23 + 11 + 3    # biases and batch-norm, never pruned

CONVOLUTION = """
run: {name: convolution, seed: 3, progress: lines}
data: {format: synthetic, samples: 120, shape: [2, 9, 9], classes: 3, validation_samples: 10, test_samples: 10}
model:
  - {layer: conv2d, channels: 5, kernel: 3, padding: 1}
  - {layer: batch_norm}
  - {layer: relu}
  - {layer: max_pool2d, kernel: 2}
  - {layer: conv2d, channels: 7, kernel: 3}
  - {layer: relu}
  - {layer: flatten}
  - {layer: dense, units: 3, prunable: true}
train: {execution: sparse, epochs: 1, global_batch: 30, loss: cross_entropy}
optimizer: {type: sgd, learning_rate: 0.05}
prune: {criterion: magnitude, allocation: global, schedule: {type: one_shot}, final_sparsity: 0.8}
checkpoint: {every_epochs: 1}
"""


def command(*arguments, ranks=None):
    """The command line for `ranks` ranks; None: without mpirun."""
    start = [] if ranks is None else [*MPIRUN, "-n", str(ranks)]
    return [*start, PRUNTRAIN, *map(str, arguments)]


def run(*arguments, ranks=None, stdout=subprocess.PIPE):
    """Runs to the end, with separate stdout and stderr. A hang raises subprocess.TimeoutExpired."""
    done = subprocess.run(command(*arguments, ranks=ranks), env=ENVIRONMENT, cwd=ROOT, timeout=HANG_S,
                          stdout=stdout, stderr=subprocess.PIPE)
    # Not text=True, which would convert a carriage return to a newline.
    return subprocess.CompletedProcess(done.args, done.returncode, (done.stdout or b"").decode(), done.stderr.decode())


def at_once(work, jobs):
    """Calls work(*job) for all jobs concurrently, because a short run mostly waits for MPI to start."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda job: work(*job), jobs))


def start(*arguments, ranks=None):
    """Starts the program without waiting."""
    return subprocess.Popen(command(*arguments, ranks=ranks), env=ENVIRONMENT, cwd=ROOT, text=True,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def process_state(pid):
    """(state, parent) of a process; ("", 0) if it has ended."""
    try:
        state, parent = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[:2]
        return state, int(parent)
    except FileNotFoundError:
        return "", 0


def wait_until_gone(pids):
    """Waits until killed processes have ended and freed their memory. @return true if all have ended"""
    end = time.monotonic() + HANG_S
    while any(process_state(pid)[0] not in ("", "Z") for pid in pids):
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True


def shared_memory(pid):
    """The files in /dev/shm that Open MPI made for a process."""
    try:
        maps = pathlib.Path(f"/proc/{pid}/maps").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return set()
    return {pathlib.Path(path) for path in re.findall(r"/dev/shm/vader_segment\S+", maps)}


def kill(process):
    """Kills a command and all its descendants, like a machine failure. mpirun puts each rank into a separate process
    group, and a rank that survives it for a moment could still write."""
    parents = {int(entry): process_state(entry)[1] for entry in os.listdir("/proc") if entry.isdigit()}
    doomed = [process.pid]
    for pid in doomed:      # grows while it is read: children, their children, ...
        doomed += [child for child, parent in parents.items() if parent == pid]
    segments = {segment for pid in doomed for segment in shared_memory(pid)}
    for pid in doomed:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass    # it has just exited by itself
    process.communicate(timeout=HANG_S)
    wait_until_gone(doomed)
    for segment in segments:    # the process that removes them has been killed
        segment.unlink(missing_ok=True)


def messages(stderr):
    """The messages of the program itself; mpirun adds its own about the exit status."""
    return [line for line in stderr.splitlines() if line.startswith("pruntrain: ")]


def tree(folder):
    """{path: (content, modification time)} of all files."""
    return {str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mtime_ns)
            for p in sorted(pathlib.Path(folder).rglob("*")) if p.is_file()}


class Run:
    """The folder of a run."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    @property
    def summary(self):
        return json.loads((self.folder / "summary.json").read_text())

    @property
    def history(self):
        with open(self.folder / "history.csv", newline="") as file:
            return list(csv.DictReader(file))

    @property
    def checkpoints(self):
        return sorted((self.folder / "checkpoints").glob("step_*.h5"))

    def outcome(self):
        """The results that must be bit-identical in equal runs."""
        rows = [{name: value for name, value in row.items() if name not in CLOCKS} for row in self.history]
        summary = self.summary
        return {"history": rows, "layers": (self.folder / "layers.csv").read_text(),
                **{name: summary[name] for name in
                   ("weights_hash", "pattern_hash", "test_loss", "test_accuracy", "steps", "kept")}}


class EndToEnd(unittest.TestCase):
    """A test with a temporary folder for all its runs."""

    maxDiff = 4000

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pruntrain_test_"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def write_config(self, content, name="config.yaml"):
        path = self.folder / name
        path.write_text(content)
        return path

    def train(self, config, name, *arguments, ranks=None):
        """Trains a configuration (text, or a path) as run `name`, which must succeed."""
        path = config if isinstance(config, pathlib.Path) else self.write_config(config, f"{name}.yaml")
        done = run(path, f"run.output={self.folder}", f"run.name={name}", *arguments, ranks=ranks)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return Run(self.folder / name)

    def cut(self, whole, name, keep):
        """A copy of a finished run as it was with only its first `keep` checkpoints."""
        copy = Run(self.folder / name)
        shutil.copytree(whole.folder, copy.folder)
        (copy.folder / "summary.json").unlink()
        for checkpoint in copy.checkpoints[keep:]:
            checkpoint.unlink()
        return copy

    def train_all(self, jobs):
        """Trains all jobs (configuration, name, arguments, ranks), those of a number of ranks one after the other in one MPI
        job. All must succeed. @return their Run, in order"""
        of_ranks = {}
        for config, name, arguments, ranks in jobs:
            path = config if isinstance(config, pathlib.Path) else self.write_config(config, f"{name}.yaml")
            words = (path, f"run.output={self.folder}", f"run.name={name}", *arguments)
            of_ranks.setdefault(ranks, []).append("\t".join(map(str, words)))
        def one(ranks, lines):
            file = self.write_config("\n".join(lines), f"runs_on_{ranks}")
            done = subprocess.run([*MPIRUN, "-n", str(ranks), MANY_RUNS, file], env=ENVIRONMENT, cwd=ROOT, text=True,
                                  timeout=HANG_S + 5 * len(lines), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.assertEqual(done.returncode, 0, done.stdout[-2000:] + done.stderr)
        at_once(one, of_ranks.items())
        return [Run(self.folder / name) for _, name, *_ in jobs]

    def assert_refused(self, done, *words, status=2):
        """Checks for one message on stderr with all words, the exit status, and no sign of a crash."""
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        said = messages(done.stderr)
        self.assertEqual(len(said), 1, done.stderr)
        start = done.stderr.index(said[0])
        whole = done.stderr[start:].split("\n---")[0]   # a message may have several lines
        for word in words:
            self.assertIn(word, whole)
        self.assertNotRegex(done.stderr, r"terminate called|Signal:|what\(\)|Segmentation|ORTE_ERROR_LOG")
        leftovers = [p for p in self.folder.rglob("*") if p.suffix == ".tmp" or p.name == ".probe"]
        self.assertEqual(leftovers, [])


def to_dense(tensor):
    if isinstance(tensor, h5py.Dataset):
        return tensor[()].astype(float)
    matrix = scipy.sparse.csr_matrix((tensor["data"], tensor["indices"], tensor["indptr"]), tensor.attrs["shape"])
    return matrix.toarray().astype(float)


def kept_of(tensor):
    """The mask of the remaining weights of a stored tensor."""
    if isinstance(tensor, h5py.Dataset):
        return numpy.ones(tensor.shape, bool)
    ones = numpy.ones(len(tensor["indices"]))
    return scipy.sparse.csr_matrix((ones, tensor["indices"], tensor["indptr"]), tensor.attrs["shape"]).toarray() > 0


def described_keys(description):
    """The keys of --describe; the index of a list entry is []."""
    return set(re.findall(r"^([a-z][\w.\[\]]*\w|[a-z][\w.\[\]]*)(?:   \(.*\))?$", description, re.MULTILINE))
