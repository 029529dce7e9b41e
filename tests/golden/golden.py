#!/usr/bin/python3
"""Runs many small trainings and compares their results bit for bit: with those of another program, or with what is recorded.

    golden.py --against OTHER [--cache FILE] [PATTERN ...]   runs both programs
    golden.py [PATTERN ...]                                  compares with results/ for this kind of processor
    golden.py --record [PATTERN ...]                         writes results/

A PATTERN is a part of a case's name, or one with * and ?. Exit status: 0 all the same, 1 something differs or fails, 2 there is
nothing to compare with.
"""

import argparse
import concurrent.futures
import fnmatch
import hashlib
import json
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import cases  # noqa: E402 (its folder is known only now)
import datafiles  # noqa: E402

RESULTS = HERE / "results"
JOBS = 2    # cases at once: much of a short run goes by in waiting for MPI to start


# What decides the last bits beside the program's source.

def vectors():
    """The widest vectors that the program's own kernels take."""
    if platform.machine() != "x86_64":
        return platform.machine()
    flags = re.search(r"^flags\s*:(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)[1].split()
    if {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"} <= set(flags):
        return "avx512"
    return "avx2" if {"avx2", "fma"} <= set(flags) else "sse"


def said_by(*command):
    return subprocess.run([str(word) for word in command], env=cases.ENVIRONMENT, capture_output=True, text=True, check=True).stdout


def kind_of_processor(program):
    """OpenBLAS's kernels, the vectors, and the caches for which sparse layers are cut in panels: zen-avx2-32k-512k"""
    core = re.search(r"(\w+) MAX_THREADS", said_by(program, "--version"))
    caches = [int(said_by("getconf", name)) // 1024 for name in ("LEVEL1_DCACHE_SIZE", "LEVEL2_CACHE_SIZE")]
    return "-".join([core[1].lower() if core else "unknown", vectors(), *(f"{size}k" for size in caches)])


def made_with(program):
    """Libraries and the compiler, whose rounding may be another in another version."""
    found = {"openblas": r"OpenBLAS (\S+)", "mpi": r"\(([^)]*)\) ([\d.]+)", "compiler": r"GCC: \([^)]*\) ([\d.]+)"}
    texts = {"openblas": said_by(program, "--version"), "mpi": said_by(cases.MPIRUN[0], "--version"),
             "compiler": pathlib.Path(program).read_bytes().decode("latin-1")}
    matches = {name: re.search(pattern, texts[name]) for name, pattern in found.items()}
    return {**{name: " ".join(match.groups()) if match else "unknown" for name, match in matches.items()}, "libc": platform.libc_ver()[1]}


# Records: {case: [{what: text} of each step]}.

def results_file(program):
    return RESULTS / f"{kind_of_processor(program)}.json"


def recorded(program):
    """({case: results}, "") for this kind of processor; (None, why) if there is nothing that can be compared."""
    file = results_file(program)
    if not file.exists():
        there = ", ".join(sorted(path.stem for path in RESULTS.glob("*.json"))) or "none"
        return None, f"no results are recorded for this kind of processor, {file.stem} (recorded: {there})"
    content, here = json.loads(file.read_text()), made_with(program)
    others = [f"{name} {version} and not {here[name]}" for name, version in content["made_with"].items() if here[name] != version]
    if others:
        return None, f"the results of {file.stem} were recorded with {', '.join(others)}"
    return content["cases"], ""


def write_record(path, results, more):
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(results[name])}" for name in sorted(results))
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'{{"made_with": {json.dumps(more)},\n"cases": {{\n{lines}\n}}}}\n')


class Cache:
    """Results of a program in a file, by what the program and the case are."""

    def __init__(self, path, program, table, root):
        self.path, self.table, self.root = path, table, root
        self.program = hashlib.sha256(pathlib.Path(program).read_bytes()).hexdigest()[:16]
        self.known = json.loads(path.read_text()) if path and path.exists() else {}

    def key(self, case):
        return f"{self.program} {case['name']} {cases.definition(case, self.table, self.root)}"

    def get(self, case):
        return self.known.get(self.key(case))

    def put(self, case, results):
        if self.path is None:
            return
        self.known[self.key(case)] = results
        new = self.path.with_name(self.path.name + ".new")
        new.write_text(json.dumps(self.known, indent=0))
        new.replace(self.path)


# Comparison.

def differences(ours, theirs):
    """What of two results is not the same, in words; empty if all is."""
    if len(ours) != len(theirs):
        return [f"{len(ours)} steps, not {len(theirs)}"]
    return [f"step {number}: {name} {one.get(name, 'missing')}, not {other.get(name, 'missing')}"
            for number, (one, other) in enumerate(zip(ours, theirs), 1)
            for name in dict.fromkeys((*other, *one)) if one.get(name) != other.get(name)]


def chosen(all_cases, patterns, small=False):
    def matches(name):
        return not patterns or any(fnmatch.fnmatch(name, pattern if set(pattern) & set("*?") else f"*{pattern}*") for pattern in patterns)
    return [case for name, case in all_cases.items() if matches(name) and (case.get("small") or not small)]


class Workshop:
    """Runs cases in a folder of their own, some at a time."""

    def __init__(self, table, folder, jobs=JOBS):
        self.table, self.folder = table, folder
        self.pool = concurrent.futures.ThreadPoolExecutor(jobs)
        self.data = folder / "data"
        self.data.mkdir(parents=True)
        datafiles.write(self.data)

    def start(self, program, case, who="ours", root=cases.ROOT, more=()):
        """A future with (results, or an exception as it is; seconds)."""
        def work():
            start, folder = time.monotonic(), self.folder / who / case["name"]
            try:
                results = cases.CaseRun(pathlib.Path(program).resolve(), case, self.table, folder, self.data, root, more).results()
            except (cases.Failed, cases.LeftOut) as error:
                results = error
            return results, time.monotonic() - start
        return self.pool.submit(work)


def compare(workshop, program, wanted, expected_of, tell):
    """Runs the cases and compares each with expected_of(case), which waits for what is expected.
    @return {verdict: number}"""
    counts = dict.fromkeys(("same", "differ", "fail", "not recorded", "left out"), 0)
    futures = [(case, workshop.start(program, case)) for case in wanted]
    for case, future in futures:
        ours, seconds = future.result()
        theirs = expected_of(case)
        if isinstance(ours, cases.LeftOut) or isinstance(theirs, cases.LeftOut):
            verdict, lines = "left out", [str(ours if isinstance(ours, cases.LeftOut) else theirs)]
        elif isinstance(ours, cases.Failed):
            verdict, lines = "fail", [str(ours)]
        elif isinstance(theirs, cases.Failed):
            verdict, lines = "fail", [f"the other program: {theirs}"]
        elif theirs is None:
            verdict, lines = "not recorded", []
        else:
            lines = differences(ours, theirs)
            verdict = "differ" if lines else "same"
        counts[verdict] += 1
        tell(case, verdict, lines, seconds)
    return counts


def record(workshop, program, wanted):
    path, results = results_file(program), {}
    if path.exists():
        results = {name: one for name, one in json.loads(path.read_text())["cases"].items() if name in cases.load()[0]}
    futures = [(case, workshop.start(program, case)) for case in wanted]
    failed = 0
    for case, future in futures:
        found, _ = future.result()
        if isinstance(found, Exception):
            failed += isinstance(found, cases.Failed)
            print(f"not recorded: {case['name']}: {found}", flush=True)
        else:
            results[case["name"]] = found
    write_record(path, results, made_with(program))
    print(f"{len(wanted) - failed} cases recorded in {path}")
    return 1 if failed else 0


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=str(cases.ROOT / "pruntrain"), help="whose results are looked at")
    parser.add_argument("--against", metavar="PROGRAM", help="another program, whose results are expected")
    parser.add_argument("--against-root", metavar="FOLDER", type=pathlib.Path, default=cases.ROOT,
                        help="a checkout whose inputs/ the other program reads, if keys in this one are new to it")
    parser.add_argument("--cache", metavar="FILE", type=pathlib.Path, help="where the results of the other program are kept for the next time")
    parser.add_argument("--record", action="store_true", help="the results are those to expect from now on")
    parser.add_argument("--small", action="store_true", help="only the cases that make test runs")
    parser.add_argument("--jobs", type=int, default=JOBS, help="cases at once")
    parser.add_argument("--keep", metavar="FOLDER", type=pathlib.Path, help="leaves the runs there")
    parser.add_argument("--verbose", action="store_true", help="a line for each case")
    parser.add_argument("patterns", metavar="PATTERN", nargs="*")
    arguments = parser.parse_args()
    if arguments.keep and arguments.keep.exists():
        parser.error(f"--keep: {arguments.keep} exists already")
    return arguments


def main():
    arguments = parse()
    all_cases, table = cases.load()
    wanted = chosen(all_cases, arguments.patterns, arguments.small)
    expected = None
    if not wanted:
        print("no case has such a name")
        return 2
    if not arguments.against and not arguments.record:
        expected, why_not = recorded(arguments.program)
        if expected is None:
            print(f"golden: {why_not}: compare with another program (--against), or --record the results of one that is known to be good")
            return 2
    folder = arguments.keep or pathlib.Path(tempfile.mkdtemp(prefix="pruntrain_golden_"))
    try:
        workshop = Workshop(table, folder, arguments.jobs)
        if arguments.record:
            return record(workshop, arguments.program, wanted)
        expected_of = (lambda case: expected.get(case["name"])) if expected is not None else \
            results_of_other(workshop, arguments, wanted, table)

        def tell(case, verdict, lines, seconds):
            if arguments.verbose or verdict != "same":
                print(f"{verdict:12} {case['name']}, {seconds:.1f} s", *lines, sep="\n    ", flush=True)
        counts = compare(workshop, arguments.program, wanted, expected_of, tell)
    finally:
        if not arguments.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{counts['same']} same, {counts['differ']} differ",
          *(f"{counts[verdict]} {verdict}" for verdict in ("fail", "not recorded", "left out") if counts[verdict]), sep=", ")
    return 1 if counts["differ"] or counts["fail"] else 0


def results_of_other(workshop, arguments, wanted, table):
    """Starts the other program where its results are not known. @return what gives the results of a case"""
    cache = Cache(arguments.cache, arguments.against, table, arguments.against_root)
    futures = {case["name"]: workshop.start(arguments.against, case, "other", arguments.against_root)
               for case in wanted if cache.get(case) is None}

    def expected_of(case):
        if case["name"] not in futures:
            return cache.get(case)
        results, _ = futures[case["name"]].result()
        if not isinstance(results, Exception):
            cache.put(case, results)
        return results
    return expected_of


if __name__ == "__main__":
    sys.exit(main())
