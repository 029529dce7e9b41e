#!/usr/bin/python3
"""make install and make uninstall: the program from another folder, its scripts, manual page and completion."""

import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

from support import ENVIRONMENT, HANG_S, PRUNTRAIN, ROOT, EndToEnd, Run, described_keys, run

PREFIX = "/opt/pruntrain test"      # with a blank


def make(target, destination, build, source=ROOT):
    """The program exists, so that nothing is compiled here."""
    return subprocess.run(["make", "-s", target, f"DESTDIR={destination}", f"PREFIX={PREFIX}", f"PYTHON={sys.executable}",
                           f"PROGRAM={PRUNTRAIN}", f"BUILD={build}"],
                          cwd=source, env=ENVIRONMENT, timeout=HANG_S, text=True, capture_output=True)


class Install(EndToEnd):
    def setUp(self):
        super().setUp()
        self.destination = self.folder / "destination"
        self.installed = pathlib.Path(f"{self.destination}{PREFIX}")
        self.shared = self.installed / "share" / "pruntrain"
        self.work = self.folder / "work"
        self.work.mkdir()

    def make(self, target, source=ROOT):
        done = make(target, self.destination, self.folder / "build", source)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def files(self):
        return {str(path.relative_to(self.installed)) for path in self.installed.rglob("*") if path.is_file()}

    def there(self, *words):
        """Runs a command in a folder that has nothing of the source."""
        done = subprocess.run([str(word) for word in words], cwd=self.work, env=dict(ENVIRONMENT, PYTHONDONTWRITEBYTECODE=""),
                              timeout=HANG_S, text=True, capture_output=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_what_is_installed_works_and_is_removed(self):
        self.make("install")
        program = self.installed / "bin" / "pruntrain"
        said = self.there(program, self.shared / "inputs" / "quick_synthetic.yaml", "train.epochs=7", "checkpoint.every_epochs=1")
        self.assertIn("test_accuracy", said)
        trained = Run(self.work / "runs" / "quick_synthetic")
        self.assertIn("all good", self.there(program, "inspect", trained.checkpoints[-1]))
        for path in (ROOT / "inputs").rglob("*.yaml"):
            self.assertEqual((self.shared / path.relative_to(ROOT)).read_bytes(), path.read_bytes())

        scripts = self.shared / "scripts"
        self.assertIn("dense1.weight", self.there(sys.executable, scripts / "pruntrain_io.py", trained.checkpoints[-1]))
        if self.can_import("matplotlib"):
            self.there(sys.executable, scripts / "report.py", trained.folder, "--output", "page.html")
            self.assertIn("</html>", (self.work / "page.html").read_text())
            self.there(sys.executable, scripts / "plot_history.py", "history.svg", trained.folder)
        if (ROOT / "python" / "pruntrain").is_dir():
            self.there(sys.executable, "-c", f"import sys; sys.path.insert(0, {str(self.shared / 'python')!r}); import pruntrain")
        self.assertTrue(list(self.shared.rglob("__pycache__")))     # belongs to what is removed

        self.make("uninstall")
        self.assertEqual(list(self.installed.rglob("*")), [])
        again = make("uninstall", self.destination, self.folder / "build")
        self.assertEqual(again.returncode, 2)       # of make
        self.assertIn("installed.txt", again.stderr)

    def can_import(self, module):
        return subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True).returncode == 0

    def test_a_newer_version_removes_what_it_no_longer_has(self):
        source = self.folder / "source"
        for name in ("Makefile", "scripts", "inputs"):
            source.mkdir(exist_ok=True)
            (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, source / name)
        (source / "inputs" / "old.yaml").write_text("old")
        self.make("install", source)
        self.assertIn("share/pruntrain/inputs/old.yaml", self.files())
        (self.shared / "inputs" / "mine.yaml").write_text("mine")
        self.make("install")
        listed = {line for line in (self.shared / "installed.txt").read_text().splitlines() if not line.endswith("/")}
        self.assertEqual(listed, self.files() - {"share/pruntrain/inputs/mine.yaml"})
        self.assertNotIn("share/pruntrain/inputs/old.yaml", listed)
        self.make("uninstall")
        self.assertEqual(self.files(), {"share/pruntrain/inputs/mine.yaml"})


class MadeOfTheProgram(unittest.TestCase):
    """The manual page and the completion."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="pruntrain_test_"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        done = make("install", cls.folder, cls.folder / "build")
        if done.returncode:
            raise AssertionError(done.stdout + done.stderr)
        cls.shared = pathlib.Path(f"{cls.folder}{PREFIX}") / "share"
        cls.description = run("--describe").stdout

    def test_the_manual_page(self):
        page = self.shared / "man" / "man1" / "pruntrain.1"
        source = page.read_text()
        sections = re.findall(r"^\.SH (.+)$", source, re.MULTILINE)
        self.assertEqual(sections, ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "COMMANDS", "CONFIGURATION KEYS", "EXIT STATUS",
                                    "EXAMPLES", "FILES", "SEE ALSO"])
        self.assertEqual(re.findall(r"^\.SS (.+)$", source, re.MULTILINE), ["inspect", "monitor", "evaluate", "sensitivity"])
        plain = source.replace("\\-", "-")
        self.assertNotRegex(source, r"(?<!\\)[-']")     # a bare hyphen cannot be searched for
        for option in re.findall(r"--\w[\w-]*", run("--help").stdout + run("sensitivity", "--help").stdout):
            self.assertIn(option, plain)
        for key in described_keys(self.description):
            self.assertIn(f"\n\\fB{key}\\fR", plain)
        self.assertRegex(plain, rf'\A.*\n\.TH PRUNTRAIN 1 "" "pruntrain {run("--version").stdout.split()[1]}"')
        self.assertIn(f"{PREFIX}/share/pruntrain/inputs", plain)
        renderer = shutil.which("groff")
        if renderer:
            done = subprocess.run([renderer, "-man", "-Tutf8", "-ww", "-P-c", page], text=True, capture_output=True, timeout=HANG_S)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            rendered = re.sub(".\b", "", done.stdout)     # letters over letters are bold
            for words in ("pruntrain evaluate [OPTIONS] file", "--simulate-preempt STEP", "optimizer.learning_rate",
                          "75     stopped by"):
                self.assertIn(words, re.sub(r"(?<=\S) +(?=\S)", lambda blanks: " " if len(blanks[0]) < 4 else blanks[0], rendered))

    def complete(self, line):
        """What bash offers at the end of a command line, as readline cuts it into words."""
        words = [word for word in re.split(r"(=)|\s", line) if word]
        if line.endswith(" "):
            words.append("")
        script = (f"source {shlex.quote(str(self.shared / 'bash-completion/completions/pruntrain'))}\n"
                  f"complete -p pruntrain >/dev/null || exit 1\n"
                  f"COMP_WORDS=({' '.join(map(shlex.quote, words))})\nCOMP_CWORD={len(words) - 1}\n"
                  "_pruntrain\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n")
        done = subprocess.run(["bash", "--norc", "-c", script], cwd=self.folder / "work", text=True, capture_output=True, timeout=HANG_S)
        self.assertEqual((done.returncode, done.stderr), (0, ""), line)
        return sorted(filter(None, done.stdout.splitlines()))

    @unittest.skipUnless(shutil.which("bash"), "needs bash")
    def test_the_completion(self):
        work = self.folder / "work"
        work.mkdir()
        for name in ("small.yaml", "notes.txt", "step_00000001.h5", "run 1.yaml"):
            (work / name).write_text("")
        (work / "runs").mkdir()
        configurations = ["run 1.yaml", "runs", "small.yaml"]
        for line, offered in {
            "pruntrain ": sorted([*configurations, "inspect", "monitor", "evaluate", "sensitivity"]),
            "pruntrain sm": ["small.yaml"],
            "pruntrain ev": ["evaluate"],
            "pruntrain --re": ["--resume"],
            "pruntrain --resume ": sorted([*configurations, "inspect", "monitor", "evaluate", "sensitivity"]),
            "pruntrain --ranks ": [],
            "pruntrain --check --cluster ": configurations,
            "pruntrain small.yaml train.epo": ["train.epochs="],
            "pruntrain small.yaml train.epochs=3 optimizer.learning_r": ["optimizer.learning_rate="],
            "pruntrain small.yaml train.loss=": ["binary_cross_entropy", "cross_entropy", "mean_squared_error"],
            "pruntrain small.yaml train.loss=m": ["mean_squared_error"],
            "pruntrain small.yaml prune.criterion=mag": ["magnitude"],
            "pruntrain small.yaml model.2.un": ["model.2.units="],
            "pruntrain small.yaml model.2.layer=re": ["relu"],
            "pruntrain small.yaml run.start_from=st": ["step_00000001.h5"],
            "pruntrain small.yaml prune.allocation.spars": ["prune.allocation.sparsity."],
            "pruntrain inspect ": ["runs", "step_00000001.h5"],
            "pruntrain monitor ": ["runs"],
            "pruntrain monitor --": ["--help", "--once"],
            "pruntrain evaluate step_00000001.h5 --sp": ["--split"],
            "pruntrain evaluate step_00000001.h5 --split ": ["test", "train", "validation"],
            "pruntrain evaluate step_00000001.h5 --split=v": ["validation"],
            "pruntrain evaluate --split test data.noi": [],     # the checkpoint comes first
            "pruntrain evaluate --split test step_00000001.h5 data.noi": ["data.noise="],
            "pruntrain sensitivity step_00000001.h5 --allocation s": ["small.yaml", "step_00000001.h5"],
        }.items():
            self.assertEqual(self.complete(line), offered, line)
        keys = self.complete("pruntrain small.yaml ")
        elsewhere = set(re.findall(r"^(\S+)   \(--cluster FILE\)$", self.description, re.MULTILINE))
        self.assertGreater(len(elsewhere), 5)
        wanted = {key.replace("[]", "0") + "=" for key in described_keys(self.description) - elsewhere if not key.endswith("LAYER")}
        self.assertEqual(wanted - set(keys), set())


if __name__ == "__main__":
    unittest.main()
