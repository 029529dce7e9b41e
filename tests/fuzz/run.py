#!/usr/bin/env python3
"""Runs fuzz targets from a few seed files, with a fixed random seed.

    tests/fuzz/run.py [--seconds 60] FOLDER [NAME ...]     FOLDER: folder of the programs fuzz_*; NAME: only these

Exit status 1 if a target crashed, leaked, hung or allocated more memory than files of a few kB can need. The failing input
is in FOLDER; run the program with that file as its argument to reproduce the failure.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LONGEST = 4096     # maximum bytes of an input
MEMORY = "/dev/shm"     # every input becomes a file, so a disk would be the bottleneck
LIMITS = [f"-max_len={LONGEST}", "-timeout=20", "-malloc_limit_mb=64", "-rss_limit_mb=1024"]


def idx(dimensions, numbers):
    return bytes([0, 0, 8, len(dimensions)]) + b"".join(size.to_bytes(4, "big") for size in dimensions) + numbers


def npy(descr, shape, numbers, version=1):
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY" + bytes([version, 0]) + len(header).to_bytes(2 if version == 1 else 4, "little") + header + numbers


def seeds(target):
    """The seed files of a target; the other targets generate their files."""
    if target == "config":
        texts = [(ROOT / "inputs" / name).read_bytes() for name in
                 ("fashion_cnn.yaml", "quick_synthetic.yaml", "methods/blocks.yaml", "methods/rigl.yaml")]
        return texts + [b"a: &x {n: 1}\nb: *x\n", texts[1] + b"\0model.0.units=5\0prune.criterion=magnitude"]
    if target == "idx":
        files = [idx([2, 1, 3], bytes(range(6))), idx([3], b"\1\2\3"), idx([2, 2], b"abcd")]
        return [bytes([first]) + file for file in files for first in (0, 1)]
    if target == "npy":
        return [npy("<f4", "(2, 3)", bytes(24)), npy("|u1", "(4, 1)", b"abcd"), npy("<i8", "(2,)", bytes(16), 2),
                npy("<f8", "(1, 1, 1, 1)", bytes(8), 3), npy("<i4", "(2, 2)", bytes(16)), npy("<f4", "(4294967296, 1048576)", bytes(8))]
    if target == "csv":
        # Two bytes of choices, see fuzz_csv.cpp, before the file.
        tables = [b"a,b,label\n1,2.5,0\n-3,4e1,1\n", b" 1 ;\t2\r\n3;4\n\n", b"0\t1\t2\n3\t4\t5", b"# x\n+1.5D+02 0.2-102 3\r4 5 6\r",
                  b"\xef\xbb\xbf\"a\",\"b\nc\",\"d \"\"x\"\"\",\n1,\"2\",yes,\n3,4,no,\n", b"1,5;2,5;x\n3,0;4,5;y\n", b"a b\nr1 1 2\nr2 3 4\n"]
        return [bytes([first, second]) + table for table in tables for first, second in ((0, 0), (5, 4), (0x18, 8), (4, 0x72))]
    if target == "checkpoint_graph":
        node = {"name": "dense1", "type": "dense", "inputs": ["input"], "keys": {"units": 4, "bias": True}, "input_shapes": [[3, 1, 1]],
                "output_shape": [2, 1, 1], "configured_output_shape": [4, 1, 1]}
        graphs = [{"input_shape": [3, 1, 1], "nodes": [node], "output": "dense1"},
                  {"input_shape": [3, 1, 1], "nodes": [node, {**node, "name": "b", "inputs": ["dense1", "dense1"]}], "output": "b"}]
        return [json.dumps(graph).encode() for graph in graphs]
    return [bytes(16), bytes(range(256)), b"\xff" * 64]


def run(program, seconds):
    """@return (finding or None, summary of libFuzzer)"""
    target = program.name.removeprefix("fuzz_")
    work = pathlib.Path(tempfile.mkdtemp(prefix="pruntrain_fuzz_", dir=MEMORY if os.access(MEMORY, os.W_OK) else None))
    (work / "seeds").mkdir()
    (work / "new").mkdir()
    for number, content in enumerate(seeds(target)):
        (work / "seeds" / str(number)).write_bytes(content)
    environment = dict(os.environ, TMPDIR=str(work), OPENBLAS_NUM_THREADS="1",
                       LSAN_OPTIONS=f"suppressions={ROOT}/tests/sanitizer.supp:print_suppressions=0",
                       UBSAN_OPTIONS="print_stacktrace=1")
    command = [program, "-seed=1", f"-max_total_time={seconds}", *LIMITS, f"-artifact_prefix={program.parent}/{target}_",
               "-print_final_stats=1", work / "new", work / "seeds"]
    try:
        done = subprocess.run([str(part) for part in command], env=environment, timeout=2 * seconds + 120, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace")
        status, output = done.returncode, done.stdout
    except subprocess.TimeoutExpired as expired:
        status, output = "hang", (expired.stdout or b"").decode(errors="replace")
    shutil.rmtree(work, ignore_errors=True)
    count = re.search(r"number_of_executed_units: (\d+)", output)
    covered = re.findall(r" cov: (\d+) ", output)
    summary = f"{int(count[1]) if count else 0:,} inputs, {covered[-1] if covered else 0} edges"
    return (output[-6000:] if status != 0 else None), summary


def main():
    parser = argparse.ArgumentParser(description="Runs fuzz targets.")
    parser.add_argument("folder", type=pathlib.Path, help="folder of the programs fuzz_*")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("names", nargs="*", help="only these targets: config, idx, ...")
    arguments = parser.parse_args()
    programs = sorted(p for p in arguments.folder.resolve().glob("fuzz_*")
                      if p.is_file() and not p.suffix and (not arguments.names or p.name[5:] in arguments.names))
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for program, (finding, summary) in zip(programs, pool.map(lambda one: run(one, arguments.seconds), programs)):
            print(f"{'FAIL' if finding else 'ok  '}  {program.name}: {summary}", flush=True)
            if finding:
                print(finding, flush=True)
                failed += 1
    print(f"{len(programs) - failed} targets without a finding, {failed} with one")
    return 0 if programs and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
