"""Reads cases.yaml, runs a case with a program, and takes the numbers of what it left.

Only what is documented is read: attributes of checkpoints, columns of CSV files by their names, keys of summary.json, and of
printed text the numbers, so that words may change. Floats are compared as the program prints them, which is exactly.
"""

import csv
import functools
import hashlib
import io
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess

import h5py
import numpy
import yaml

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CHECKPOINTS = HERE / "checkpoints"

# Ranks share cores with those of other cases: none is bound to one.
ENVIRONMENT = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
               "OMPI_MCA_mpi_yield_when_idle": "1", "OMPI_MCA_hwloc_base_binding_policy": "none"}
MPIRUN = shlex.split(os.environ.get("MPIRUN", "mpirun --oversubscribe"))
HANG_S = 120    # a run takes a second or two

# The columns that no clock decides; columns that come later are not looked at.
HISTORY = ("step", "epoch", "train_loss", "validation_loss", "validation_accuracy", "sparsity", "learning_rate", "sparse_layers",
           "values_reduced")
LAYERS = ("step", "epoch", "tensor", "kept", "of", "execution")
SENSITIVITY = ("layer", "sparsity", "density", "loss", "accuracy", "drop")
PLAN = ("density", "summed_bytes", "shared_bytes", "sent_bytes", "exchanged_bytes", "gathered_bytes")
CLUSTER = """
ranks_per_node: 4
node: {latency_us: 0.5, bandwidth_gb_s: 4}
network: {latency_us: 2, bandwidth_gb_s: 12.5}
rank: {dense_gflops: 50, sparse_gflops: 25, memory_gb_s: 4}
"""     # given, so that not much is measured


class Failed(Exception):
    """A run that did not end as it should."""


class LeftOut(Exception):
    """A case that this machine cannot run."""


def digest(content):
    return hashlib.sha256(content if isinstance(content, bytes) else content.encode()).hexdigest()[:16]


def load():
    """({name: case}, the whole table)"""
    table = yaml.safe_load((HERE / "cases.yaml").read_text())
    cases = {case["name"]: case for case in table["cases"]}
    if len(cases) != len(table["cases"]):
        raise ValueError("two cases have the same name")
    return cases, table


def config_text(case, table, root):
    """The configuration of a case; files of inputs/ are those of the checkout `root`."""
    name = case["config"]
    if name in table["configs"]:
        return yaml.safe_dump(table["configs"][name], sort_keys=False)
    return (root / name).read_text()


def definition(case, table, root):
    """All that decides what a case does."""
    stored = [digest((CHECKPOINTS / name).read_bytes()) for name in sorted(set(re.findall(r"\w+\.h5", str(case))))
              if (CHECKPOINTS / name).exists()]
    data = digest((HERE / "datafiles.py").read_bytes())
    return digest(json.dumps([case, table["sets"], config_text(case, table, root), stored, data]))


@functools.cache
def nodes_work():
    """Whether a process can get a host name of its own, which root may, and mpirun starts its daemons by a program."""
    try:
        version = subprocess.run([MPIRUN[0], "--version"], capture_output=True, text=True).stdout
        return "Open MPI" in version and subprocess.run(["unshare", "--uts", "hostname", "other"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def columns(text, names):
    """A digest of some columns of a CSV file."""
    rows = list(csv.DictReader(io.StringIO(text)))
    return digest("\n".join(",".join(row.get(name, "no such column") for name in names) for row in rows))


def read_or_none(path):
    return path.read_text() if path.exists() else None


class CaseRun:
    """A case, run in a folder of its own with a program."""

    def __init__(self, program, case, table, folder, data, root, more=()):
        self.program, self.case, self.table, self.folder, self.data, self.more = program, case, table, folder, data, more
        folder.mkdir(parents=True)
        self.config = folder / "config.yaml"
        self.config.write_text(config_text(case, table, root).replace("$DATA", str(data)))

    def results(self):
        """A list with the numbers of each step: {what: text}."""
        return [getattr(self, step.get("do", "train"))(step) for step in self.case.get("steps", [{}])]

    # How the program is started.

    def overrides(self, *sections):
        """Those of the case and of a step, or of one of them."""
        sets = [override for section in sections for name in section.get("use", ()) for override in self.table["sets"][name]]
        given = [*sets, *(override for section in sections for override in section.get("set", ())), *self.more]
        return [" ".join(override.split()).replace("$DATA", str(self.data)) for override in given]

    def ranks(self, step):
        """Those of the case are for trainings."""
        return step.get("ranks", 1 if "do" in step else self.case.get("ranks", 1))

    def launcher(self, step):
        ranks, nodes = self.ranks(step), self.case.get("nodes", 1)
        if ranks == 1:
            return []
        if nodes == 1:
            return [*MPIRUN, "-n", str(ranks)]
        # A daemon of mpirun for each node, with a host name of its own: mpirun and MPI take them for different machines.
        if not nodes_work():
            raise LeftOut("needs Open MPI, and unshare --uts as root, for more than one node")
        agent = self.folder / "agent.sh"
        agent.write_text('#!/bin/sh\nname=$1\nshift\nexec unshare --uts sh -c "hostname $name && exec $*"\n')
        agent.chmod(0o755)
        hosts = ",".join(f"golden{number}:{ranks // nodes}" for number in range(nodes))
        return [MPIRUN[0], "--mca", "plm_rsh_agent", str(agent), "--mca", "btl", "self,vader,tcp", "--mca", "btl_tcp_if_include", "lo",
                "--mca", "oob_tcp_if_include", "lo", "--host", hosts, "-n", str(ranks)]

    def run(self, step, *arguments, status=0):
        """@return what it printed"""
        command = [*self.launcher(step), str(self.program), *map(str, arguments)]
        # Of two launchers that share a folder for their files, one that ends may remove it while the other begins.
        process = subprocess.Popen(command, env={**ENVIRONMENT, "OMPI_MCA_orte_tmpdir_base": str(self.folder)}, cwd=self.folder,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            stdout, stderr = process.communicate(timeout=HANG_S)
        except subprocess.TimeoutExpired:
            process.terminate()     # mpirun ends its ranks first
            process.communicate()
            raise Failed(f"hangs: {shlex.join(command)}") from None
        with open(self.folder / "log.txt", "ab") as log:    # for golden.py --keep
            log.write(f"$ {shlex.join(command)}\n".encode() + stdout + stderr)
        if process.returncode != status:
            lines = stderr.decode(errors="replace").splitlines()
            said = "\n    ".join([line for line in lines if line.startswith("pruntrain: ")][:1] or lines[-20:])
            raise Failed(f"exit status {process.returncode}, not {status}: {shlex.join(command)}\n    {said}")
        return stdout.decode()

    # What the steps do.

    def run_folder(self, step):
        return self.folder / step.get("run", "run")

    def checkpoint(self, name):
        """A stored one, or the newest of a run."""
        if name.endswith(".h5"):
            return CHECKPOINTS / name
        return max((self.folder / name / "checkpoints").glob("step_*.h5"))

    def file(self, step):
        return self.checkpoint(step.get("file", step.get("run", "run")))

    def train(self, step):
        folder = self.run_folder(step)
        arguments = [self.config, f"run.output={self.folder}", f"run.name={folder.name}", *self.overrides(self.case, step)]
        if not any("train.execution=" in str(text) or "train.sum=ordered" in str(text) for text in arguments):
            raise ValueError(f"{self.case['name']}: train.execution is auto, which is measured: such a run does not repeat")
        if "begin_with" in step:
            stored = self.checkpoint(step["begin_with"])
            with h5py.File(stored) as file:
                number = int(file.attrs["step"])
            (folder / "checkpoints").mkdir(parents=True)
            shutil.copy(stored, folder / "checkpoints" / f"step_{number:08}.h5")
        if "start_from" in step:
            arguments.append(f"run.start_from={self.checkpoint(step['start_from'])}")
        if "begin_with" in step or "resume" in step:
            arguments.append("--resume")
        if "stop" in step:
            arguments += ["--simulate-preempt", step["stop"]]
        status = 75 if "stop" in step else 0
        self.run(step, *arguments, status=status)
        return {"status": str(status), **self.of_run(folder)}

    def of_run(self, folder):
        found = {}
        if list((folder / "checkpoints").glob("step_*.h5")):
            with h5py.File(self.checkpoint(folder.name)) as file:
                found["step"] = str(int(file.attrs["step"]))
                for name in ("pattern_hash", "weights_hash"):
                    text = file.attrs[name]
                    found[name] = text.decode() if isinstance(text, bytes) else str(text)
        for name, names in (("history", HISTORY), ("layers", LAYERS)):
            text = read_or_none(folder / f"{name}.csv")
            if text is not None:
                found[name] = columns(text, names)
        summary = read_or_none(folder / "summary.json")
        if summary is not None:
            numbers = json.loads(summary, parse_float=str, parse_int=str)
            found.update((name, numbers.get(name, "none")) for name in ("test_loss", "test_accuracy") if numbers.get(name) is not None)
        return found

    def evaluate(self, step):
        outputs = self.folder / "outputs.npy"
        wanted = ["--outputs", outputs] if self.ranks(step) == 1 else []     # more ranks write none
        said = self.run(step, "evaluate", self.file(step), *wanted, *step.get("arguments", ()), *self.overrides(step))
        found = dict(re.findall(r"^(loss|accuracy) +(\S+)$", said, re.MULTILINE))
        if wanted:
            array = numpy.load(outputs)
            outputs.unlink()
            found["outputs"] = f"{digest(array.tobytes())} {array.dtype} {'x'.join(map(str, array.shape))}"
        return found

    def sensitivity(self, step):
        table, allocation = self.folder / "table.csv", self.folder / "allocation.yaml"
        arguments = ["--output", table, *step.get("arguments", ())]
        if "mean_squared_error" not in self.config.read_text():     # which has no accuracy that could drop
            arguments += ["--allocation", allocation, "--drop", "5"]
        said = self.run(step, "sensitivity", self.file(step), *arguments, *self.overrides(step))
        found = {**dict(re.findall(r"^(loss|accuracy) +(\S+)$", said, re.MULTILINE)), "table": columns(table.read_text(), SENSITIVITY)}
        if allocation.exists():
            found["allocation"] = " ".join(re.findall(r"(?<![\w.])\d[\d.e+-]*", allocation.read_text()))
            allocation.unlink()
        return found

    def inspect(self, step):
        said = self.run(step, "inspect", self.file(step))
        rows = re.findall(r"^  (\S+) +(\d[\dx]*(?: of \d[\dx]*)?) +([\d,]+) +([\d,]+) +[\d.]+ +", said, re.MULTILINE)
        return {**dict(re.findall(r"^  (pattern_hash|weights_hash) +(\w+)$", said, re.MULTILINE)), "tensors": digest(str(rows))}

    def check(self, step):
        said = self.run(step, "--check", self.config, *self.overrides(self.case, step))
        rows = re.findall(r"^  (\S+) .* (\d[\dx]*) +([\d,]+)$", said, re.MULTILINE)
        return {"layers": digest(str(rows)), "count": str(len(rows))}

    def plan(self, step):
        (self.folder / "cluster.yaml").write_text(CLUSTER)
        said = self.run(step, "--check", "--json", "--cluster", self.folder / "cluster.yaml", *step["arguments"], self.config,
                        *self.overrides(self.case, step))
        densities = json.loads(said, parse_float=str)["densities"]
        return {f"at {number}": " ".join(row[name] for name in PLAN) for number, row in enumerate(densities)}


