#!/usr/bin/env python3
"""Checks conventions that the compiler does not check: modules, sizes, format, and the language of the documentation.

    scripts/lint.py [--program ./pruntrain]

Run by `make lint`. Prints one line per finding; exit status 1 if there is any. If the program is built, its --describe texts are
checked too.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys

import lint_code
import lint_text

ROOT = pathlib.Path(__file__).resolve().parent.parent
LONGEST_FILE = 500      # lines
LONGEST_README = 150
FORBIDDEN = re.compile(r"\b(TODO|FIXME|XXX)\b|namespace utils?\b")
GENERATED = ("configuration.md", "compatibility.md")    # pages whose texts come from the program


def check_file(path, text):
    length = text.count("\n")
    if length > LONGEST_FILE:
        yield f"has {length} lines: more than {LONGEST_FILE}"
    if path.name != "lint.py" and FORBIDDEN.search(text):
        yield f"contains '{FORBIDDEN.search(text).group()}'"
    if any(line != line.rstrip() for line in text.split("\n")):
        yield "has trailing blanks"


def check_format(sources):
    done = subprocess.run(["clang-format", "--dry-run", "--Werror", *map(str, sources)], capture_output=True, text=True)
    for name in sorted(set(re.findall(r"^(\S+?):\d+:\d+: error", done.stderr, re.MULTILINE))):
        yield f"{pathlib.Path(name).relative_to(ROOT)} is not formatted: run clang-format -i"


def check_syntax(script):
    if script.suffix == ".py":
        try:
            compile(script.read_text(), str(script), "exec")
        except SyntaxError as error:
            yield f"is not valid Python: {error}"
    elif script.suffix in (".sh", ".sbatch"):
        checked = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True)
        if checked.returncode:
            yield f"is not a valid shell script: {checked.stderr.strip()}"


def check_documentation():
    readme = ROOT / "README.md"
    for page in (readme, *sorted((ROOT / "docs").glob("*.md"))):
        if page.name not in GENERATED:
            for finding in lint_text.check_markdown(page.read_text()):
                yield f"{page.relative_to(ROOT)} {finding}"
    length = readme.read_text().count("\n")
    if length > LONGEST_README:
        yield f"README.md has {length} lines: more than {LONGEST_README}; move details to docs/"
    for path in sorted((ROOT / "inputs").rglob("*.yaml")):
        for finding in lint_text.check_comments(path.read_text()):
            yield f"{path.relative_to(ROOT)} {finding}"


def check_description(program):
    described = subprocess.run([program, "--describe"], capture_output=True, text=True)
    if described.returncode:
        yield f"{program} --describe fails: {described.stderr.strip()}"
    yield from lint_text.check_description(described.stdout)


def findings():
    code = {path: path.read_text() for top in ("include", "src") for path in sorted((ROOT / top).rglob("*.?pp"))}
    tests = sorted((ROOT / "tests").rglob("*.?pp"))
    scripts = [path for path in (*sorted((ROOT / "scripts").rglob("*")), *sorted((ROOT / "tests").rglob("*.py")),
                                  *sorted((ROOT / "python").rglob("*.py")))
               if path.is_file() and "__pycache__" not in path.parts]
    for path in (*code, *tests, *scripts):
        for finding in check_file(path, path.read_text()):
            yield f"{path.relative_to(ROOT)} {finding}"
    for path in scripts:
        for finding in check_syntax(path):
            yield f"{path.relative_to(ROOT)} {finding}"
    yield from lint_code.check(ROOT, code)
    yield from check_format([*code, *tests])
    yield from check_documentation()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, default=os.environ.get("PRUNTRAIN", ROOT / "pruntrain"))
    arguments = parser.parse_args()
    found = list(findings())
    if pathlib.Path(arguments.program).is_file():
        found += check_description(arguments.program)
    for finding in found:
        print("lint:", finding)
    print(f"lint: {len(found)} findings" if found else "lint: all good")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
