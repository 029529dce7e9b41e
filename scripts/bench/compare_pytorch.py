#!/usr/bin/env python3
"""Dense training of 784-1024-1024-10 on two ranks, pruntrain and PyTorch in turn; prints CSV.

Both use Adam, 128 samples a rank and step, one thread a rank, the same data in memory. A row is a pair of runs, the last
row the median of the ratios: machines are noisy, ratios in alternation are not.
"""

import argparse
import json
import os
import pathlib
import shlex
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
RANKS = 2


def pruntrain_rate(folder):
    launch = shlex.split(os.environ.get("MPIRUN", "mpirun")) + ["-n", str(RANKS)]
    if os.geteuid() == 0:
        launch.append("--allow-run-as-root")
    subprocess.run([*launch, ROOT / "pruntrain", ROOT / "scripts/bench/mlp1024.yaml", f"run.output={folder}", "--overwrite"],
                   check=True, stdout=subprocess.DEVNULL, env=dict(os.environ, OPENBLAS_NUM_THREADS="1"))
    return json.loads((pathlib.Path(folder) / "mlp1024/summary.json").read_text())["samples_per_s"]


def pytorch_rate():
    script = ROOT / "scripts/bench/pytorch_mlp.py"
    done = subprocess.run([sys.executable, script, "--ranks", str(RANKS)], check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    arguments = parser.parse_args()
    print("network,ranks,pruntrain_samples_per_s,pytorch_samples_per_s,ratio", flush=True)
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(arguments.pairs):
            ours.append(pruntrain_rate(folder))
            theirs.append(pytorch_rate())
            print(f"784-1024-1024-10,{RANKS},{ours[-1]:.0f},{theirs[-1]:.0f},{ours[-1] / theirs[-1]:.2f}", flush=True)
    ratio = statistics.median(a / b for a, b in zip(ours, theirs))
    print(f"median,{RANKS},{statistics.median(ours):.0f},{statistics.median(theirs):.0f},{ratio:.2f}")


if __name__ == "__main__":
    main()
