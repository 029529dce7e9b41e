#!/usr/bin/python3
"""layers.csv, the HTML report of scripts/report.py, and the display of `pruntrain monitor`."""

import contextlib
import csv
import fcntl
import html.parser
import io
import os
import pathlib
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import unittest

from support import CONVOLUTION, ENVIRONMENT, HANG_S, ROOT, UNEVEN, UNEVEN_OTHERS, EndToEnd, Run, at_once, command, run

sys.path.insert(0, str(ROOT / "scripts"))
import report  # noqa: E402

REPORT = ROOT / "scripts" / "report.py"
UNITS = ("prune.granularity={type: row, norm: l2}", "prune.reconfigure=true", "prune.final_sparsity=0.6", "prune.layer_floor=0.01")
REGRESSION = """
run: {name: regression, seed: 3, progress: lines}
data: {format: synthetic, samples: 200, shape: [5], classes: 3, validation_samples: 20, test_samples: 20}
model: [{layer: dense, units: 4}, {layer: relu}, {layer: dense, units: 1}]
train: {epochs: 2, global_batch: 50, loss: mean_squared_error}
optimizer: {type: sgd, learning_rate: 0.01}
"""
VOID = {"meta", "br", "img", "link", "hr", "input"}
RUNS = pathlib.Path(tempfile.mkdtemp(prefix="pruntrain_test_"))


def setUpModule():
    """Trains the runs that the tests read and copy."""
    unittest.addModuleCleanup(shutil.rmtree, RUNS, ignore_errors=True)

    def train(config, name, ranks, *arguments):
        path = RUNS / f"{name}.yaml"
        path.write_text(config)
        done = run(path, f"run.output={RUNS}", f"run.name={name}", *arguments, ranks=ranks)
        if done.returncode:
            raise AssertionError(done.stdout + done.stderr)

    at_once(train, ((UNEVEN, "pruned", 2, "--profile", "checkpoint.keep=99"),
                    (UNEVEN, "units", 2, "parallel.model_shards=2", *UNITS), (CONVOLUTION, "images", None),
                    (REGRESSION, "regression", None)))


class Page(html.parser.HTMLParser):
    """A parsed page; tags must be closed in order."""

    def __init__(self, content):
        super().__init__()
        self.open, self.tags, self.texts = [], [], {}
        self.feed(content)
        self.close()
        if self.open:
            raise AssertionError(f"not closed: {self.open}")

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            raise AssertionError(f"</{tag}> where it was not open")

    def handle_data(self, data):
        if data.strip():
            self.texts.setdefault(self.open[-1] if self.open else "", []).append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


class Results(EndToEnd):
    def copy(self, name, to):
        shutil.copytree(RUNS / name, self.folder / to)
        return self.folder / to

    def report(self, *folders):
        """The page about these runs, generated in this process, because importing matplotlib takes a second."""
        output = self.folder / "page.html"
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            status = report.main([*map(str, folders), "--output", str(output)])
        self.assertEqual((status, said.getvalue()), (0, f"{output}\n"))
        return self.checked(output.read_text())

    def checked(self, content):
        """Checks the requirements of every page."""
        page = Page(content)
        names = {name for name, _ in page.tags}
        self.assertFalse(names & {"script", "link", "iframe", "object", "embed", "base", "form"})
        self.assertFalse([word for word in ("http://", "https://", "javascript:") if word in content])
        ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
        self.assertEqual(len(ids), len(set(ids)))
        for name, attributes in page.tags:
            self.assertFalse([key for key in attributes if key.startswith("on") or key == "src"], (name, attributes))
            href = attributes.get("href", "#")
            self.assertTrue(href.startswith(("#", "data:image/png;base64,")), href[:40])
            if href.startswith("#") and len(href) > 1:
                self.assertIn(href[1:], ids)
            for value in attributes.values():
                for target in re.findall(r"url\(#(.+?)\)", value or ""):
                    self.assertIn(target, ids)
        for svg in page.all("svg"):
            self.assertEqual(svg["role"], "img")
            self.assertIn(svg["aria-labelledby"], ids)
        self.assertEqual(len(page.all("svg")), len(page.all("figcaption")))
        for heading in page.all("th"):
            self.assertIn(heading["scope"], ("col", "row"))
        self.assertEqual(len(page.all("table")), len(page.all("caption")))
        return page


class Layers(Results):
    def test_content(self):
        for name in ("pruned", "units", "images", "regression"):
            trained = Run(RUNS / name)
            rows, history = rows_of(trained.folder / "layers.csv"), trained.history
            self.assertEqual(list(rows[0]), ["step", "epoch", "tensor", "kept", "of", "execution"])
            layers = {layer["name"]: layer for layer in trained.summary["layers"] if layer["name"].endswith(".weight")}
            self.assertEqual([(row["step"], row["epoch"], row["tensor"]) for row in rows],
                             [(row["step"], row["epoch"], layer) for row in history for layer in layers])
            for row in rows:
                self.assertEqual(int(row["of"]), layers[row["tensor"]]["size"])
            for row in rows[-len(layers):]:
                self.assertEqual(int(row["kept"]), layers[row["tensor"]]["kept"])
            for row in history:
                here = [layer for layer in rows if layer["step"] == row["step"]]
                kept, size = (sum(int(layer[key]) for layer in here) for key in ("kept", "of"))
                self.assertAlmostEqual(1 - kept / size, float(row["sparsity"]), places=12)
                self.assertEqual(sum(layer["execution"] == "sparse" for layer in here), int(row["sparse_layers"]))
        kept = [int(row["kept"]) for row in rows_of(RUNS / "pruned" / "layers.csv")]
        self.assertEqual(sum(kept[-3:]) + UNEVEN_OTHERS, Run(RUNS / "pruned").summary["kept"])
        self.assertGreater(len(set(kept)), 6)

    def test_a_resumed_run_writes_it_as_it_was(self):
        straight = Run(RUNS / "pruned")
        for name, damage in (("lost", lambda path: path.unlink()), ("torn", lambda path: path.write_text("step,ep"))):
            cut = Run(self.copy("pruned", name))
            for checkpoint in cut.checkpoints[3:]:
                checkpoint.unlink()
            damage(cut.folder / "layers.csv")
            done = run(RUNS / "pruned.yaml", f"run.output={self.folder}", f"run.name={name}", "--resume", "checkpoint.keep=99",
                       ranks=2)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(cut.outcome(), straight.outcome())

    def test_a_name_with_commas_and_quotes(self):
        trained = self.train(REGRESSION.replace("units: 4", """units: 4, name: 'a,"b"'"""), "named")
        self.assertEqual({row["tensor"] for row in rows_of(trained.folder / "layers.csv")}, {'a,"b".weight', "dense2.weight"})
        self.assertIn('a,"b".weight ', run("monitor", "--once", trained.folder).stdout)

    def test_overwrite_removes_it(self):
        folder = self.copy("regression", "regression")
        (folder / "layers.csv").write_text("old")
        done = run(RUNS / "regression.yaml", "--overwrite", f"run.output={self.folder}", "train.epochs=0")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((folder / "layers.csv").read_text(), "step,epoch,tensor,kept,of,execution\n")


class Report(Results):
    def test_a_finished_run(self):
        page = self.report(RUNS / "pruned")
        summary, history = Run(RUNS / "pruned").summary, Run(RUNS / "pruned").history
        values = dict(zip(page.texts["dt"], page.texts["dd"]))
        self.assertEqual(values, {
            "test accuracy": f"{summary['test_accuracy']:.4f}", "sparsity": f"{summary['sparsity']:.4f}",
            "parameters": f"{summary['kept']:,}", "time": f"{summary['wall_s']:.0f} s", "ranks": "2",
            "samples/s": f"{summary['samples_per_s']:,.0f}", "state": "finished", "last checkpoint": "step 52"})
        self.assertIn(f"remaining of {summary['parameters']:,}", page.texts["small"])
        self.assertIn(f"validation: {float(history[-1]['validation_accuracy']):.4f}", page.texts["small"])
        self.assertEqual(len(page.all("svg")), 3 + 3)   # training, density, speed; one pattern per weight
        self.assertEqual(len(page.all("image")), 3)
        for layer in summary["layers"]:
            self.assertIn(layer["name"], page.texts["th"])
            self.assertIn("x".join(map(str, layer["shape"])), page.texts["td"])
            self.assertIn(f"{layer['kept'] / layer['size']:.4f}", page.texts["td"])
        for row in rows_of(RUNS / "pruned" / "profile.csv"):
            self.assertIn(f"{row['phase']} {row['layer']}".strip(), page.texts["th"])
            self.assertIn(f"{float(row['seconds']):.3f}", page.texts["td"])
        for checkpoint in Run(RUNS / "pruned").checkpoints:
            self.assertIn(checkpoint.name, page.texts["th"])
            self.assertIn(f"{checkpoint.stat().st_size:,}", page.texts["td"])
        self.assertEqual(page.texts["td"].count("checksum valid"), 8)
        self.assertEqual(page.texts["td"].count("best"), 1)
        self.assertIn((RUNS / "pruned" / "config.yaml").read_text(), page.texts["pre"])
        self.assertIn("sparsity changes", page.texts["text"])
        self.assertFalse([path for path in self.folder.iterdir() if path.suffix == ".tmp"])

    def test_compacted_units_and_images(self):
        page = self.report(RUNS / "units")
        smaller = [layer for layer in Run(RUNS / "units").summary["layers"] if layer["shape"] != layer["full_shape"]]
        self.assertIn("shape before compaction", page.texts["th"])
        for layer in smaller:
            self.assertIn("x".join(map(str, layer["full_shape"])), page.texts["td"])
        self.assertIn("--profile", page.texts["code"])
        page = self.report(RUNS / "images")
        self.assertTrue(any(caption.startswith("conv2d1.weight: 5 x 18, density ") for caption in page.texts["figcaption"]))

    def test_several_runs(self):
        self.copy("pruned", "other")
        config = self.folder / "other" / "config.yaml"
        config.write_text(config.read_text().replace("seed: 3", "seed: 4"))
        page = self.report(RUNS / "pruned", self.folder / "other", RUNS / "regression")
        self.assertEqual(len([1 for attributes in page.all("details") if attributes.get("class") == "run"]), 3)
        for name in ("pruned", "other", "regression"):
            self.assertGreaterEqual(page.texts["th"].count(name), 2)
        self.assertIn(f"{Run(RUNS / 'pruned').summary['test_accuracy']:.4f}", page.texts["td"])
        self.assertIn(f"{Run(RUNS / 'regression').summary['test_loss']:.4f}", page.texts["td"])
        page = self.report(RUNS / "pruned", self.folder / "other")
        self.assertIn("run.seed", page.texts["th"])
        self.assertNotIn("train.epochs", page.texts["th"])
        self.assertIn("seconds", page.texts["text"])
        page = self.report(RUNS / "pruned", RUNS / "pruned")
        self.assertIn("The configurations are the same.", page.texts["p"])
        self.assertIn("2: pruned", page.texts["summary"])

    def test_unfinished_runs(self):
        going = self.copy("pruned", "going")
        (going / "summary.json").unlink()
        for name in ("history.csv", "layers.csv"):
            lines = (going / name).read_text().splitlines(keepends=True)
            (going / name).write_text("".join(lines[:3]) + lines[3][:9])
        for checkpoint in Run(going).checkpoints[4:]:
            checkpoint.unlink()
        (going / "checkpoints" / "step_00000099.h5.tmp").write_text("half")
        page = self.report(going)
        values = dict(zip(page.texts["dt"], page.texts["dd"]))
        self.assertEqual((values["state"], values["test accuracy"], values["last checkpoint"]), ("epoch 2.00 of 4", "–", "step 26"))
        self.assertTrue(any("not finished; step 26" in text for text in page.texts["small"]))

        shutil.rmtree(going / "checkpoints")
        page = self.report(going)
        self.assertIn("none yet", page.texts["small"])
        self.assertIn("dense1.weight", page.texts["th"])    # from layers.csv
        for name in ("history.csv", "layers.csv"):
            (going / name).unlink()
        page = self.report(going)
        self.assertEqual(dict(zip(page.texts["dt"], page.texts["dd"]))["state"], "not started")
        self.report(going, RUNS / "pruned")

    def test_a_finished_run_that_is_extended(self):
        folder = self.copy("pruned", "longer")
        config = folder / "config.yaml"
        config.write_text(config.read_text().replace("epochs: 4\n", "epochs: 5\n"))
        self.assertEqual(dict(zip((page := self.report(folder)).texts["dt"], page.texts["dd"]))["state"], "epoch 4.00 of 5")
        self.assertNotIn("done", run("monitor", "--once", folder).stdout)

    def test_regression_nothing_pruned_and_unknown_numbers(self):
        page = self.report(RUNS / "regression")
        values = dict(zip(page.texts["dt"], page.texts["dd"]))
        self.assertEqual(values["test loss"], f"{Run(RUNS / 'regression').summary['test_loss']:.4f}")
        self.assertNotIn("test accuracy", values)
        self.assertIn("No tensor is pruned at step 8.", page.texts["p"])
        folder = self.copy("pruned", "unknown")
        history = folder / "history.csv"
        lines = history.read_text().splitlines()
        lines[2] = ",".join(["26", "2", "1.5", "nan", "inf", "", "0.4", "", "", "", ""])
        history.write_text("\n".join(lines) + "\n")
        self.report(folder)
        self.assertIn("epoch 4.00 of 4", run("monitor", "--once", folder).stdout)
        history.write_text(lines[0] + "\n13,1,1,,,,,,,,\n26,2,2,,,,,,,,\n")
        self.report(folder)
        self.assertIn("\n? samples/s", run("monitor", "--once", folder).stdout)

    def test_a_damaged_checkpoint_is_reported(self):
        folder = self.copy("pruned", "damaged")
        *_, older, newest = Run(folder).checkpoints
        content = newest.read_bytes()
        for damaged in (content[:300] + b"!" + content[301:], content[:-9] + b"!" + content[-8:], b""):
            newest.write_bytes(damaged)
            page = self.report(folder)
            self.assertIn("damaged: its checksum is wrong", page.texts["td"])
            self.assertEqual(page.texts["td"].count("checksum valid"), 7)
            self.assertEqual(dict(zip(page.texts["dt"], page.texts["dd"]))["last checkpoint"], f"step {int(older.stem[5:])}")

    def test_a_folder_without_a_run_is_rejected(self):
        (self.folder / "empty").mkdir()
        (self.folder / "broken").mkdir()
        (self.folder / "broken" / "config.yaml").write_text("a: [")
        for wrong in (self.folder / "empty", self.folder / "missing", RUNS / "pruned" / "config.yaml", self.folder / "broken"):
            output = self.folder / "page.html"
            done = subprocess.run([sys.executable, REPORT, RUNS / "pruned", wrong, "--output", output],
                                  capture_output=True, text=True, timeout=HANG_S)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn(f"report.py: {wrong} is not the folder of a run", done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)
            self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["broken", "empty"])
        done = subprocess.run([sys.executable, REPORT, RUNS / "pruned", "--output", self.folder / "no" / "page.html"],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn("cannot write", done.stderr)

    def test_no_text_of_a_file_becomes_markup(self):
        attack = """<svg\tonload=alert(1)>"'&$^{_]]><!--\x01"""
        folder = self.copy("pruned", attack)
        config = folder / "config.yaml"
        config.write_text(config.read_text().replace("seed: 3", "seed: 3\n  x: '</pre><script>alert(1)</script>'"))
        layers = folder / "layers.csv"
        layers.write_text(layers.read_text().replace("dense1.weight", '"</title><img/src=x.onerror=alert(1)>,_$$"'))
        summary = folder / "summary.json"
        summary.write_text(summary.read_text().replace("dense2.weight", "<b>&lt;\\ud800"))
        profile = folder / "profile.csv"
        profile.write_text(profile.read_text().replace("update,", "<i>update</i>,"))
        honest = self.report(RUNS / "pruned")
        page = self.report(folder)
        self.assertEqual([name for name, _ in page.tags if name not in ("g", "path", "use", "defs", "text", "clippath", "rect")],
                         [name for name, _ in honest.tags if name not in ("g", "path", "use", "defs", "text", "clippath", "rect")])
        self.assertEqual(page.texts["h1"], [attack])
        self.assertIn("<b>&lt;?", page.texts["th"])
        self.report(folder, RUNS / "pruned")

    def browse(self, page, *arguments):
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        done = subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                               "--enable-logging=stderr", f"--user-data-dir={home}", *arguments, f"file://{page}"],
                              capture_output=True, text=True, timeout=HANG_S, env=dict(ENVIRONMENT, HOME=str(home)))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("CONSOLE", done.stderr)    # chromium logs errors and policy violations with this word
        return done.stdout

    @unittest.skipUnless(shutil.which("chromium"), "chromium is not installed")
    def test_in_a_browser(self):
        import numpy
        import matplotlib.image

        self.report(RUNS / "pruned")
        picture = self.folder / "page.png"
        self.browse(self.folder / "page.html", f"--screenshot={picture}", "--window-size=900,1200", "--hide-scrollbars",
                    "--blink-settings=preferredColorScheme=1")
        pixels = (255 * matplotlib.image.imread(picture)[:, :, :3]).astype(int)
        self.assertEqual(pixels.shape, (1200, 900, 3))
        self.assertGreater(len(numpy.unique(pixels.reshape(-1, 3), axis=0)), 50)
        blue = (abs(pixels - [0x3b, 0x82, 0xd6]).max(axis=2) < 40).sum()    # the first curve of each figure
        self.assertGreater(blue, 300)
        self.assertGreater((pixels.max(axis=2) < 80).sum(), 3000)           # text and axes
        self.assertGreater((pixels.min(axis=2) > 250).mean(), 0.4)          # light background

        self.test_no_text_of_a_file_becomes_markup()
        document = self.browse(self.folder / "page.html", "--dump-dom")
        dom = Page(document)
        self.assertEqual(len(dom.all("svg")), 1 + 2 * 6)
        self.assertFalse(dom.all("script") + dom.all("img") + dom.all("b") + dom.all("i"))


class Watch(Results):
    def test_once(self):
        for name in ("pruned", "images", "regression", "units"):
            summary, last = Run(RUNS / name).summary, Run(RUNS / name).history[-1]
            for folder in (RUNS / name, f"{RUNS / name}/"):
                done = run("monitor", "--once", folder)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                lines = done.stdout.splitlines()
                self.assertTrue(lines[0].startswith(f"{name}   epoch "), lines[0])
                self.assertIn(f"step {summary['steps']}", lines[0])
                self.assertIn("100 %   done", lines[1])
                self.assertIn(f"sparsity {float(last['sparsity']):.4f}", lines[2])
                self.assertIn(f"train loss {float(last['train_loss']):.4f}", lines[2])
                self.assertLessEqual(max(map(len, lines)), 80)
                self.assertNotIn("\033", done.stdout)
                self.assertRegex(done.stdout, "[\u2801-\u28ff]")
                self.assertEqual("\nsparsity\n" in done.stdout, name != "regression")
                for layer in summary["layers"]:
                    if layer["name"].endswith(".weight"):
                        density = f"{layer['kept'] / layer['size']:.4f}"
                        self.assertRegex(done.stdout, rf"(?m)^{layer['name']} +[█▏▎▍▌▋▊▉]+ +{density}  {layer['kept']} of "
                                                      rf"{layer['size']}  (dense|sparse)$")
            if summary["test_accuracy"] is not None:
                self.assertIn(f"test accuracy {summary['test_accuracy']:.4f}", lines[1])

    def test_the_line_rises_from_the_left_to_the_right(self):
        folder = self.copy("pruned", "rising")
        names = (folder / "history.csv").read_text().splitlines()[0]
        rows = [f"{13 * epoch},{epoch},1,1,1,{epoch / 10},0,0,0,0,0\n" for epoch in (1, 2, 3, 4)]
        (folder / "history.csv").write_text(names + "\n" + "".join(rows))
        lines = run("monitor", "--once", folder).stdout.splitlines()
        top = lines.index("validation accuracy") + 1
        plot = lines[top:top + 8]
        self.assertTrue(plot[0].startswith("  0.4000 ") and plot[7].startswith("  0.1000 "))
        places = [min(place for place, letter in enumerate(line[9:]) if letter != "\u2800") for line in plot]
        self.assertEqual(places, sorted(places, reverse=True))
        self.assertEqual(places[7], 17)     # epoch 1 of 4 in 71 characters

    def test_an_unfinished_run(self):
        folder = self.copy("pruned", "going")
        (folder / "summary.json").unlink()
        lines = (folder / "history.csv").read_text().splitlines(keepends=True)
        (folder / "history.csv").write_text("".join(lines[:3]) + lines[3][:20])
        out = run("monitor", "--once", folder).stdout
        self.assertIn("epoch 2.00 of 4   step 26\n", out)
        self.assertRegex(out, r" 50 %   at \d\d:\d\d:\d\d about .+ left\n")
        (folder / "history.csv").unlink()
        (folder / "layers.csv").unlink()
        out = run("monitor", "--once", folder, ranks=2).stdout
        self.assertEqual(len(out.splitlines()), 2)      # from one rank
        self.assertIn("no row of the history yet", out)

    def test_a_folder_without_a_run(self):
        self.assert_refused(run("monitor", self.folder), str(self.folder), "no folder of a run")
        self.assert_refused(run("monitor", self.folder / "missing"), "missing", "no folder of a run")
        self.assert_refused(run("monitor"), "run is required", "--help")

    def on_a_terminal(self, folder, columns, rows):
        """(process, function that waits for a text and returns the output since the last call)"""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        process = subprocess.Popen(command("monitor", folder), env=ENVIRONMENT, cwd=ROOT, stdout=theirs, stderr=theirs,
                                   stdin=subprocess.DEVNULL)
        os.close(theirs)
        self.addCleanup(os.close, ours)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        pieces = []

        def read():
            while True:
                try:
                    piece = os.read(ours, 65536)
                except OSError:     # Linux reports EIO after the last writer has closed
                    return
                pieces.append(piece)

        threading.Thread(target=read, daemon=True).start()
        taken = 0

        def wait_for(word):
            nonlocal taken
            end = time.monotonic() + HANG_S
            while word not in (text := b"".join(pieces[taken:]).decode(errors="replace")):
                self.assertLess(time.monotonic(), end, text)
                time.sleep(0.02)
            taken = len(pieces)
            return text

        return process, wait_for

    def test_a_terminal_is_redrawn_until_the_run_ends(self):
        folder = self.copy("pruned", "going")
        summary = (folder / "summary.json").read_text()
        (folder / "summary.json").unlink()
        lines = (folder / "history.csv").read_text().splitlines(keepends=True)
        (folder / "history.csv").write_text("".join(lines[:2]))
        process, wait_for = self.on_a_terminal(folder, 60, 16)
        drawing = wait_for("validation accuracy\r\n")
        self.assertEqual(drawing.count("\033[2J\033[H"), 1)
        self.assertIn("epoch 1.00 of 4", drawing)
        with open(folder / "history.csv", "a") as file:
            file.write(lines[2] + lines[3][:10])
        self.assertIn("\033[2J\033[H", wait_for("epoch 2.00 of 4"))
        with open(folder / "history.csv", "a") as file:
            file.write(lines[3][10:] + lines[4])
        (folder / "summary.json").write_text(summary)
        drawing = wait_for("100 %   done, test accuracy")
        self.assertEqual(process.wait(HANG_S), 0)
        drawing = drawing.split("\033[H")[-1].splitlines()
        self.assertLessEqual(len(drawing), 15)
        self.assertLessEqual(max(map(len, drawing)), 60)
        self.assertTrue(drawing[0].startswith("going   epoch 4.00 of 4"))

    def test_control_c_ends_it(self):
        folder = self.copy("pruned", "stopped")
        (folder / "summary.json").unlink()
        process, wait_for = self.on_a_terminal(folder, 80, 50)
        wait_for("density of layers")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(HANG_S), 0)


if __name__ == "__main__":
    unittest.main()
