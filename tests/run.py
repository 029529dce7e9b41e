#!/usr/bin/env python3
"""Runs all tests and prints 'N passed, N failed' as its last line.

    tests/run.py [--build build] [--program pruntrain] [--mpirun mpirun] [--patience 1] [NAME ...]

NAME: only steps whose name contains it.

Every step has a time limit, so that a hang is a failure. The exit status is 0 only if all steps passed.
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import shlex
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Steps that use one process at a time, or mostly wait. Two of them at a time run concurrently with the other regression steps,
# but not with the tests of many ranks, whose load would reach the time limits of SLURM.
CONCURRENT = tuple(f"regression test_{name}" for name in
               ("slurm", "bad_input", "command_line", "report", "checkpoint_readers", "study", "docs", "start_from",
                "scaling", "progress", "signals", "install", "python_package", "torch_files", "torch_matching", "torch_exports",
                "data_arrays"))


def mpirun_command(program):
    """mpirun with the options to start more ranks than cores, and as root."""
    command = shlex.split(program) + ["--oversubscribe", "--mca", "mpi_yield_when_idle", "1"]
    return command + ["--allow-run-as-root"] if os.geteuid() == 0 else command


def steps(build, mpirun):
    """(name, command, time limit in seconds) of every step."""
    yield "unit", [build / "test_unit"], 240
    yield "conformance (real = double)", [build / "test_conformance"], 240
    for ranks in (1, 2, 3, 4):
        yield f"mpi on {ranks} ranks", [*mpirun, "-n", str(ranks), build / "test_mpi"], 120
    yield "mpi on 64 ranks", [*mpirun, "-n", "64", build / "test_mpi", "--test-suite=many ranks"], 240
    files = sorted((ROOT / "tests" / "regression").glob("test_*.py"))
    for test in files:
        yield f"regression {test.stem}", [sys.executable, test, "-v"], 400


def order_of(step):
    """Programs first, then the concurrent steps, the longest of them first, then the others."""
    name = step[0]
    if not name.startswith("regression"):
        return 0, 0
    return (1, CONCURRENT.index(name)) if name in CONCURRENT else (2, 0)


def count_cases(output):
    """(passed, failed) cases in the output of doctest or unittest; (0, 0) if there are none."""
    doctest = re.findall(r"test cases:\s+\d+ \|\s+(\d+) passed \|\s+(\d+) failed", output)
    if doctest:
        return sum(int(p) for p, _ in doctest[:1]), max(int(f) for _, f in doctest)
    ran = re.search(r"^Ran (\d+) tests? in", output, re.MULTILINE)
    if ran:
        failed = sum(int(n) for n in re.findall(r"(?:failures|errors)=(\d+)", output))
        skipped = sum(int(n) for n in re.findall(r"skipped=(\d+)", output))
        return max(0, int(ran[1]) - failed - skipped), failed     # a skipped class was not run
    return 0, 0


def run_step(name, command, limit, environment):
    """@return (name, status or "hang", output, seconds)"""
    start = time.monotonic()
    try:
        done = subprocess.run([str(part) for part in command], cwd=ROOT, env=environment, timeout=limit, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace")
        status, output = done.returncode, done.stdout
    except subprocess.TimeoutExpired as expired:
        status, output = "hang", (expired.stdout or b"").decode(errors="replace") + f"\nstill running after {limit} s"
    return name, status, output, time.monotonic() - start


def report(name, status, output, seconds):
    """Prints the result of a step. @return (passed, failed) cases"""
    good, bad = count_cases(output)
    if status != 0 and bad == 0:
        bad = 1     # it crashed or hung before it printed counts
    reason = re.search(r"skipped [\"'](.*)[\"']$", output, re.MULTILINE)
    if status == 0 and good == 0 and reason:    # all cases
        print(f"skip  {name}: {reason[1]}", flush=True)
        return 0, 0
    if status == 0 and good == 0:
        bad, output = 1, output + "\nno test was run"
    print(f"{'ok  ' if bad == 0 else 'FAIL'}  {name}: {good} passed, {bad} failed, {seconds:.1f} s", flush=True)
    if bad:
        print(output, flush=True)
    return good, bad


def main():
    parser = argparse.ArgumentParser(description="Runs all tests.")
    parser.add_argument("--build", default="build", help="folder of the test programs")
    parser.add_argument("--program", default="pruntrain", help="the program under test")
    parser.add_argument("--mpirun", default="mpirun", help="the MPI launcher")
    parser.add_argument("--patience", type=int, default=1, help="factor for the time limits")
    parser.add_argument("names", nargs="*", help="only steps whose name contains one of these")
    arguments = parser.parse_args()
    mpirun = mpirun_command(arguments.mpirun)
    # At each of many starts Open MPI searches for networks, and without one it uses these.
    for name, value in (("OMPI_MCA_pml", "ob1"), ("OMPI_MCA_btl", "self,vader"), ("PMIX_MCA_gds", "hash")):
        os.environ.setdefault(name, value)
    environment = dict(os.environ, OPENBLAS_NUM_THREADS="1", PRUNTRAIN=str(ROOT / arguments.program),
                       MANY_RUNS=str(ROOT / arguments.build / "many_runs"), MPIRUN=shlex.join(mpirun))

    wanted = [(name, command, arguments.patience * limit) for name, command, limit in steps(ROOT / arguments.build, mpirun)
              if not arguments.names or any(word in name for word in arguments.names)]
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        concurrent_steps = []
        for step in sorted(wanted, key=order_of):
            if step[0] in CONCURRENT:
                concurrent_steps.append(pool.submit(run_step, *step, environment))
                continue
            good, bad = report(*run_step(*step, environment))
            passed, failed = passed + good, failed + bad
        for future in concurrent_steps:
            good, bad = report(*future.result())
            passed, failed = passed + good, failed + bad
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
