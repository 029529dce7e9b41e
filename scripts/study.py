#!/usr/bin/env python3
"""Runs the study of scripts/study.yaml (methods x networks x sparsities x seeds) and writes docs/results.md.

    scripts/study.py [--networks N ...] [--methods M ...] [--sparsities S ...] [--seeds K ...] [--minutes 40] [--collect]

Each run combines the prune section of a method with the input of a network. All runs with the first seed precede those with the
next seed. Finished runs are not repeated and interrupted ones are resumed, so the same command continues a study. The results
are stored in docs/results.csv, so another machine can continue the study, as long as the recipe is the same. A failed run does
not stop the others; failures are listed at the end, with exit status 1.
The times of a method scale with the length of the run: at_epoch 16 of 40 becomes 4 of 10. If the schedule of the method has the
same type as that of the network, the latter is used. MPIRUN: the launcher with its flags. Needs python3-yaml, python3-matplotlib.
"""

import argparse
import concurrent.futures
import csv
import dataclasses
import hashlib
import json
import math
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import time

import packages

packages.explain(__name__)
import study_page  # noqa: E402
import yaml  # noqa: E402

ROOT = study_page.ROOT
STUDY = ROOT / "scripts/study.yaml"
EXECUTION = "density"   # auto depends on measured times, and so selects other kernels on a busy machine
# A recipe has the names that keys had when the study began, so that a renamed key invalidates no result.
OLD_NAMES = {"granularity": "grouping", "std": "deviation"}
OLD_WORDS = {"on_failure": {"continue": "go_on"}}
NUMBERS = ("test_accuracy", "wall_s", "samples_per_s", "prunable_kept", "ranks")     # fields of summary.json that the page needs


class Unusable(Exception):
    """A run folder or a study that cannot be used."""


def with_old_names(section):
    """The section with the names of OLD_NAMES and OLD_WORDS, in all its maps. The order stays."""
    if isinstance(section, list):
        return [with_old_names(entry) for entry in section]
    if not isinstance(section, dict):
        return section
    return {OLD_NAMES.get(key, key): with_old_names(OLD_WORDS.get(key, {}).get(value, value) if isinstance(value, str) else value)
            for key, value in section.items()}


def read_input(path):
    return yaml.safe_load((ROOT / path).read_text())


def scaled(section, epochs, steps):
    """The section with its times multiplied by factors for epochs and for steps."""
    def of(key, value):
        if re.search("_epochs?$", key):
            return round(value * epochs, 6)
        if re.search("_steps?$", key):
            return round(value * steps) if key.startswith("at_") else max(1, round(value * steps))
        return value
    return {key: of(key, value) for key, value in section.items()} if isinstance(section, dict) else section


def pruned_by(method, network):
    """The prune section of the input `method`, for a run of the input `network`."""
    epochs = network["train"]["epochs"] / method["train"]["epochs"]
    steps = epochs * method["train"]["global_batch"] / network["train"]["global_batch"]
    prune = {key: scaled(value, epochs, steps) for key, value in method["prune"].items()}
    if prune["schedule"]["type"] == network["prune"]["schedule"]["type"]:
        prune["schedule"] = network["prune"]["schedule"]
    return prune


@dataclasses.dataclass
class Run:
    network: str
    method: str
    sparsity: float
    seed: int
    input: pathlib.Path
    prune: dict
    output: pathlib.Path

    @property
    def name(self):
        return f"{self.network}_{self.method}_{self.sparsity:g}_{self.seed}"

    @property
    def folder(self):
        return self.output / self.name

    def recipe(self):
        """Everything that determines the result. The program itself would resume a run whose configuration has changed."""
        config = read_input(self.input)
        config["run"], config["prune"] = {"seed": self.seed}, self.prune
        config["train"]["execution"] = EXECUTION
        return json.dumps(with_old_names(config), indent=1)

    def command(self, arguments):
        launch = [*shlex.split(os.environ.get("MPIRUN", "mpirun")), "-n", str(arguments.ranks)]
        if os.geteuid() == 0 and "--allow-run-as-root" not in launch:
            launch.append("--allow-run-as-root")
        if arguments.jobs > 1 and "--bind-to" not in launch:
            launch += ["--bind-to", "none"]     # otherwise all jobs share the first cores
        prune = yaml.safe_dump(self.prune, default_flow_style=True, sort_keys=False, width=math.inf).strip()
        return [*launch, arguments.program, self.input, "--resume", f"run.output={self.output}", f"run.name={self.name}",
                f"run.seed={self.seed}", f"train.execution={EXECUTION}", f"prune={prune}"]

    def key(self):
        """The key of the run in a file of results. It contains a digest of the recipe."""
        return (self.network, self.method, f"{self.sparsity:g}", str(self.seed), hashlib.sha256(self.recipe().encode()).hexdigest()[:16])

    def result(self):
        """The result of the run, or None if it is not finished. Raises Unusable if the recipe differs."""
        if not self.folder.exists() or not os.listdir(self.folder):
            return None
        recipe = self.folder / "recipe.json"
        if not recipe.exists() or recipe.read_text() != self.recipe():
            raise Unusable(f"{self.folder} is a run of another configuration: remove it, or choose another --output")
        try:
            summary = json.loads((self.folder / "summary.json").read_text())
            if not all(math.isfinite(summary[key]) for key in NUMBERS):
                return None
            checkpoint = self.folder / "checkpoints" / pathlib.Path(summary["checkpoint"]).name
            return {**{key: summary[key] for key in NUMBERS}, "bytes": checkpoint.stat().st_size, "seed": self.seed}
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None     # interrupted, or the summary is invalid

    def train(self, arguments):
        """Trains to the end. Returns the result; raises Unusable if there is none."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "recipe.json").write_text(self.recipe())
        log = self.folder / "study.log"
        with open(log, "w") as file:
            status = subprocess.run(list(map(str, self.command(arguments))), stdin=subprocess.DEVNULL, stdout=file,
                                    stderr=subprocess.STDOUT, cwd=ROOT, env=dict(os.environ, OPENBLAS_NUM_THREADS="1")).returncode
        result = self.result()
        if status or not result:
            said = re.findall("^pruntrain: .*", log.read_text(errors="replace"), re.MULTILINE)
            raise Unusable(f"exit status {status}{': ' + said[0] if said else ''}; see {log}")
        return result


def runs_of(study, arguments):
    """All runs of the study that the options select, in order."""
    inputs = {name: read_input(method["input"]) for name, method in study["methods"].items() if "input" in method}
    runs = []
    for seed in arguments.seeds or study["seeds"]:
        for network, about in study["networks"].items():
            config = read_input(about["input"])
            for method, sparsities in about["sparsities"].items():
                if method not in study["methods"]:
                    raise Unusable(f"the study has no method {method}: choose from {', '.join(study['methods'])}")
                prune = pruned_by(inputs.get(method, config), config)
                runs += [Run(network, method, sparsity, seed, ROOT / about["input"], {**prune, "final_sparsity": sparsity},
                             arguments.output) for sparsity in sparsities]

    def wanted(run):
        dense = run.sparsity == 0   # the reference of all others
        return ((not arguments.networks or run.network in arguments.networks)
                and (dense or not arguments.methods or run.method in arguments.methods)
                and (dense or not arguments.sparsities or run.sparsity in arguments.sparsities))
    return [run for run in runs if wanted(run)]


KEY = ("network", "method", "sparsity", "seed", "recipe")
COLUMNS = (*KEY, *NUMBERS, "bytes")


def read_results(path):
    """{key of a run: result} from a file written by `write_results`."""
    if not path.exists():
        return {}
    with open(path, newline="") as file:
        return {tuple(row[name] for name in KEY):
                {"seed": int(row["seed"]), **{name: json.loads(row[name]) for name in (*NUMBERS, "bytes")}} for row in csv.DictReader(file)}


def write_results(path, results):
    temporary = path.with_suffix(".new")
    with open(temporary, "w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        rows.writerows([*key, *(json.dumps(result[name]) for name in COLUMNS[len(KEY):])] for key, result in sorted(results.items()))
    temporary.replace(path)


def run_all(runs, known, arguments):
    """Executes the missing runs. Returns (failures by name, number of runs not started for lack of time)."""
    end = time.monotonic() + 60 * arguments.minutes
    failures, left = {}, 0

    def one(run):
        if run.key() in known or run.result():
            return "there"
        return run.train(arguments) if time.monotonic() < end else "left"

    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        futures = {pool.submit(one, run): run for run in runs}
        try:
            for number, future in enumerate(concurrent.futures.as_completed(futures), 1):
                run = futures[future]
                try:
                    result = future.result()
                except Unusable as error:
                    failures[run.name] = result = str(error)
                if result in ("there", "left"):
                    left += result == "left"
                    continue
                said = f"{result['test_accuracy']:.4f}  {result['wall_s']:.0f} s" if isinstance(result, dict) else result
                print(f"{number}/{len(runs)}  {run.name}  {said}", flush=True)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return failures, left


def command_of(arguments):
    """The command that reproduces the page, without folder names."""
    words = ["scripts/study.py"]
    for option in ("networks", "methods", "sparsities", "seeds"):
        values = getattr(arguments, option)
        words += [f"--{option}", *(f"{value:g}" if option == "sparsities" else str(value) for value in values)] if values else []
    return shlex.join([*words, "--ranks", str(arguments.ranks), "--jobs", str(arguments.jobs)])


def parsed():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=pathlib.Path, default=STUDY, help="the table of the study")
    for option, kind in (("networks", str), ("methods", str), ("sparsities", float), ("seeds", int)):
        parser.add_argument(f"--{option}", type=kind, nargs="+", help="only these; dense runs are always included")
    parser.add_argument("--minutes", type=float, default=math.inf, help="start no run after this many minutes")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=1, help="concurrent runs")
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "pruntrain")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "runs/study", help="parent of the run folders")
    parser.add_argument("--page", type=pathlib.Path, default=ROOT / "docs/results.md", help="plots and table of runs are written to the same folder")
    parser.add_argument("--untimed", action="store_true", help="the machine is busy: record no times")
    parser.add_argument("--collect", action="store_true", help="run nothing, write the page from existing results")
    parser.add_argument("--list", action="store_true", help="only print the missing runs")
    arguments = parser.parse_args()
    study = yaml.safe_load(arguments.study.read_text())
    for option in ("networks", "methods"):
        unknown = [name for name in getattr(arguments, option) or [] if name not in study[option]]
        if unknown:
            parser.error(f"the study has no {unknown[0]} among its {option}: choose from {', '.join(study[option])}")
    arguments.output, arguments.program = arguments.output.resolve(), arguments.program.resolve()
    if not (arguments.collect or arguments.list or arguments.program.is_file()):
        parser.error(f"program {arguments.program} not found: run make, or use --program")
    return study, arguments


def main():
    study, arguments = parsed()
    runs = runs_of(study, arguments)
    table = arguments.page.with_suffix(".csv")
    known = read_results(table)
    if arguments.list:
        missing = [run for run in runs if run.key() not in known and not run.result()]
        print("\n".join([*(run.name for run in missing), f"{len(missing)} of {len(runs)} runs are missing"]))
        return 0
    arguments.output.mkdir(parents=True, exist_ok=True)
    failures, left = ({}, 0) if arguments.collect else run_all(runs, known, arguments)
    results = {}
    for run in runs:
        try:
            result = run.result()
            result = known.get(run.key(), result)
        except Unusable as error:
            failures[run.name] = str(error)
            continue
        if result and arguments.untimed and run.key() not in known:
            result = {**result, **dict.fromkeys(("wall_s", "samples_per_s"))}
        if result:
            known[run.key()] = result
            results.setdefault(run.network, {}).setdefault((run.method, run.sparsity), []).append(result)
    if results:
        arguments.page.parent.mkdir(parents=True, exist_ok=True)
        write_results(table, known)
        study_page.write(arguments.page, study, results, len(runs), command_of(arguments), arguments.jobs)
        print(f"wrote {arguments.page}")
    elif arguments.collect:
        raise Unusable(f"{arguments.output} has no finished run of this study")
    if left:
        print(f"{left} runs were not started within {arguments.minutes:g} minutes: repeat the command to continue")
    for name, failure in failures.items():
        print(f"failed: {name}: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)   # waits for the runs that have started
    try:
        sys.exit(main())
    except Unusable as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("stopped: repeat the command to continue the study; --collect writes the page from existing results")
