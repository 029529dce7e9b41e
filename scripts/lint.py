#!/usr/bin/env python3
"""Checks what the compiler cannot: the floors of the house, the owners of libraries, file length, format.

Run by `make lint`; exit status 1 and a line for each finding if there is one.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# A file may include headers of floors below its own. Floors on one line do not see each other.
FLOORS = [
    ["base"],
    ["config"],
    ["math", "comm"],
    ["io"],
    ["data"],
    ["model"],
    ["optim"],
    ["parallel"],
    ["run"],
    ["prune"],
    ["train"],
    ["plan"],
    ["app"],
]
HEIGHT = {name: height for height, names in enumerate(FLOORS) for name in names}

# Each library is included in the bodies of one floor only.
OWNERS = {"mpi.h": "comm", "cblas.h": "math", "hwy/": "math", "yaml-cpp/": "config", "hdf5.h": "io", "zlib.h": "io",
          "CLI/": "app", "sys/socket.h": "run"}

LONGEST_FILE = 500
FORBIDDEN = re.compile(r"\b(TODO|FIXME|XXX)\b|namespace utils?\b")


def floor_of(path):
    parts = path.relative_to(ROOT).parts
    inside = parts[1:] if parts[0] == "src" else parts[2:]
    return inside[0]


def check_includes(path, text):
    floor = floor_of(path)
    if floor not in HEIGHT:
        yield f"is in the unknown folder {floor}/"
        return
    for header in re.findall(r'^\s*#include\s+[<"]([^>"]+)[>"]', text, re.MULTILINE):
        if header.startswith("pruntrain/"):
            other = header.split("/")[1]
            if other != floor and HEIGHT[other] >= HEIGHT[floor]:
                yield f"({floor}/) includes {header}: not below it"
        for library, owner in OWNERS.items():
            if header.startswith(library) and (floor != owner or "include" in path.relative_to(ROOT).parts):
                yield f"includes {header}, which belongs in the bodies of {owner}/"


def findings():
    code = [p for top in ("src", "include") for p in sorted((ROOT / top).rglob("*.?pp"))]
    tests = sorted((ROOT / "tests").rglob("*.?pp"))
    scripts = [p for p in sorted((ROOT / "scripts").rglob("*")) + sorted((ROOT / "tests").rglob("*.py")) if p.is_file()]
    for path in code + tests + scripts:
        if "__pycache__" in path.parts:
            continue
        text = path.read_text()
        if path in code:
            for finding in check_includes(path, text):
                yield f"{path.relative_to(ROOT)} {finding}"
        length = text.count("\n")
        if length > LONGEST_FILE:
            yield f"{path.relative_to(ROOT)} has {length} lines: more than {LONGEST_FILE}"
        if path.name != "lint.py" and FORBIDDEN.search(text):
            yield f"{path.relative_to(ROOT)} contains '{FORBIDDEN.search(text).group()}'"
        if any(line != line.rstrip() for line in text.split("\n")):
            yield f"{path.relative_to(ROOT)} has blanks at the end of a line"
    sources = [str(p) for p in code + tests]
    unformatted = subprocess.run(["clang-format", "--dry-run", "--Werror", *sources], capture_output=True, text=True)
    for line in sorted(set(re.findall(r"^(\S+?):\d+:\d+: error", unformatted.stderr, re.MULTILINE))):
        yield f"{pathlib.Path(line).relative_to(ROOT)} is not formatted: clang-format -i"
    for script in scripts:
        if script.suffix == ".py":
            compiled = subprocess.run([sys.executable, "-c", f"compile(open({str(script)!r}).read(), {str(script)!r}, 'exec')"],
                                      capture_output=True, text=True)
            if compiled.returncode:
                yield f"{script.relative_to(ROOT)} is no valid Python: {compiled.stderr.strip()}"
        elif script.suffix in (".sh", ".sbatch"):
            checked = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True)
            if checked.returncode:
                yield f"{script.relative_to(ROOT)} is no valid shell script: {checked.stderr.strip()}"


def main():
    found = list(findings())
    for finding in found:
        print("lint:", finding)
    print(f"lint: {len(found)} findings" if found else "lint: all good")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
