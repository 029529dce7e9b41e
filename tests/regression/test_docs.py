#!/usr/bin/python3
"""The documentation: the tutorial runs, the page of all keys is current, links are valid."""

import contextlib
import io
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import unittest

from support import ENVIRONMENT, HANG_S, MPIRUN, PRUNTRAIN, ROOT, EndToEnd, run

sys.path.insert(0, str(ROOT / "scripts"))
import lint_text  # noqa: E402 (its folder is known only now)
import make_docs  # noqa: E402

FENCE = re.compile(r"^```(.*)\n((?:.*\n)*?)```$", re.MULTILINE)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def anchors_of(text):
    """Anchors of headings as on GitHub: lower case, no punctuation, hyphens for blanks, a suffix for duplicates."""
    anchors = set()
    for heading in re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE):
        heading = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading)
        base = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        anchors.add(next(name for name in (base, *(f"{base}-{n}" for n in range(1, 99))) if name not in anchors))
    return anchors


def links_of(text):
    """(file, anchor) of the relative links; either may be empty."""
    text = re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            yield path, anchor


class Tutorial(EndToEnd):
    """Runs the blocks marked "run" of docs/tutorial.md in order, in a folder with the layout of the source."""

    def setUp(self):
        super().setUp()
        for name in ("inputs", "scripts"):
            (self.folder / name).symlink_to(ROOT / name)
        (self.folder / "pruntrain").symlink_to(pathlib.Path(PRUNTRAIN).resolve())
        programs = self.folder / "programs"
        programs.mkdir()
        launcher = [shutil.which(MPIRUN[0]), *MPIRUN[1:]]   # with the flags for this machine
        for name, words in {"mpirun": launcher, "python3": [sys.executable]}.items():
            (programs / name).write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
            (programs / name).chmod(0o755)
        self.environment = dict(ENVIRONMENT, PATH=f"{programs}:{os.environ['PATH']}")
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder)

    def test_it_runs(self):
        session = {}
        blocks = [(kind, text) for kind, text in FENCE.findall((ROOT / "docs/tutorial.md").read_text()) if kind.endswith(" run")]
        self.assertGreater(len(blocks), 15)
        said = ""
        for kind, text in blocks:
            if kind == "python run":
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(compile(text, "docs/tutorial.md", "exec"), session)
                continue
            self.assertEqual(kind, "bash run")
            done = subprocess.run(["bash", "-e", "-c", text], env=self.environment, timeout=HANG_S, text=True, capture_output=True)
            self.assertEqual(done.returncode, 0, f"{text}\n{done.stdout}\n{done.stderr}")
            said += done.stdout

        summaries = {path.parent.name: json.loads(path.read_text()) for path in self.folder.glob("runs/*/summary.json")}
        hashes = {summaries[f"stripes_{name}"]["weights_hash"] for name in ("npy", "idx", "hdf5")}
        self.assertEqual(hashes, set(re.findall(r"^  weights_hash +(\w+)$", said, re.MULTILINE)))   # for csv, from inspect
        self.assertEqual(summaries["stripes"]["steps"], 20 * 50)
        self.assertEqual(session["W"].shape, (100, 64))
        self.assertIn("resuming from runs/stripes/checkpoints/step_00000500.h5 at step 500\n", said)
        self.assertIn("split     validation, 500 samples\n", said)
        self.assertIn("</html>", (self.folder / "comparison.html").read_text())


class Pages(unittest.TestCase):
    def test_the_page_of_all_keys_is_current(self):
        made = make_docs.page(run("--describe").stdout)
        self.assertTrue(made == (ROOT / "docs/configuration.md").read_text(),
                        "docs/configuration.md is not what ./pruntrain --describe says: run python3 scripts/make_docs.py")

    def test_the_texts_of_all_keys_use_the_terms_of_the_field(self):
        self.assertEqual(list(lint_text.check_description(run("--describe").stdout)), [])

    def test_the_page_has_every_key_with_its_allowed_values(self):
        keys = list(make_docs.keys_of(run("--describe").stdout))
        made = make_docs.page(run("--describe").stdout)
        self.assertGreater(len(keys), 150)
        for key in keys:
            self.assertRegex(made, rf"\| `(\S+\.)?{re.escape(key['key'].split('.')[-1])}` \|.*{re.escape(key['meaning'])} \|\n")
        self.assertIn("| `beta1` | type: `adam`, `adamw` | number, 0 <= x < 1 | `0.9` | decay of the first moment, the mean gradient |\n", made)
        self.assertRegex(made, r"\| `start_step` \| type: `ac_dc` \| whole number, >= 0 \| or `start_epoch` \|")
        with self.assertRaisesRegex(ValueError, "train.epochs"):
            list(make_docs.keys_of("train.epochs\n    passes\n    a number of some kind; required\n"))

    def test_the_examples_of_extending_compile(self):
        blocks = [text for kind, text in FENCE.findall((ROOT / "docs/extending.md").read_text()) if kind == "cpp"]
        self.assertEqual(len(blocks), 5)
        done = subprocess.run(["g++", "-std=c++20", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{ROOT}/include", "-x", "c++", "-"],
                              input="".join(blocks), text=True, capture_output=True, timeout=HANG_S)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_links_are_valid(self):
        lost = []
        for page in PAGES:
            for path, anchor in links_of(page.read_text()):
                target = (page.parent / path).resolve() if path else page
                if not target.exists():
                    lost.append(f"{page.relative_to(ROOT)}: there is no {path}")
                elif anchor and anchor not in anchors_of(target.read_text()):
                    lost.append(f"{page.relative_to(ROOT)}: {path} has no heading #{anchor}")
        self.assertEqual(lost, [])

    def test_the_readme_links_every_page(self):
        linked = {path for path, _ in links_of((ROOT / "README.md").read_text())}
        self.assertEqual({f"docs/{page.name}" for page in PAGES[1:]} - linked, set())


if __name__ == "__main__":
    unittest.main()
