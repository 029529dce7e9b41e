#!/usr/bin/python3
"""scripts/study.py: finished runs are not repeated, the page has the right means, failures are listed and do not stop others."""

import os
import pathlib
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import unittest

import yaml

from support import ENVIRONMENT, MPIRUN, PRUNTRAIN, ROOT, UNEVEN, EndToEnd, Run, tree

sys.path.insert(0, str(ROOT / "scripts"))
from study_page import best_of  # noqa: E402

SEEDS, SPARSITIES = (1, 2), (0.5, 0.8)


class Study(EndToEnd):
    def setUp(self):
        super().setUp()
        self.page, self.output = self.folder / "page.md", self.folder / "runs"
        network = self.write_config(UNEVEN, "network.yaml")
        # An epoch of the method is half an epoch of the network, whose run is half as long.
        one_shot = self.write_config(UNEVEN.replace("epochs: 4", "epochs: 8").replace("global_batch: 50", "global_batch: 75")
                                     .replace("{type: cubic, start_step: 5, end_step: 40, every_steps: 7}", "{type: one_shot, at_epoch: 1}"),
                                     "one_shot.yaml")
        self.table = {"seeds": list(SEEDS),
                      "methods": {"dense": {"title": "dense"}, "own": {"title": "its own"},
                                  "shot": {"title": "one shot", "input": str(one_shot)}},
                      "networks": {"uneven": {"title": "Uneven", "input": str(network), "sparsities":
                                              {"dense": [0], "own": list(SPARSITIES), "shot": list(SPARSITIES)}}}}

    def study(self, *arguments, status=0):
        path = self.write_config(yaml.safe_dump(self.table, sort_keys=False), "study.yaml")
        done = subprocess.run([sys.executable, ROOT / "scripts/study.py", "--study", path, "--output", self.output, "--page", self.page,
                               "--program", PRUNTRAIN, "--ranks", "1", "--jobs", "3", *arguments], capture_output=True, text=True,
                              env=dict(ENVIRONMENT, MPIRUN=shlex.join(MPIRUN)), timeout=60)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def ran(self, done):
        return re.findall(r"^\d+/\d+  (\S+)  ", done.stdout, re.MULTILINE)

    def summaries(self, method, sparsity, seeds=SEEDS):
        return [Run(self.output / f"uneven_{method}_{sparsity:g}_{seed}").summary for seed in seeds]

    def rows(self, first):
        """{(cells of the first columns): the others} of the table whose header starts with these cells."""
        lines = [[cell.strip() for cell in line.strip("| \n").split("|")] for line in self.page.read_text().splitlines()
                 if line.startswith("|")]
        start = next(i for i, line in enumerate(lines) if line[:len(first)] == first)
        body = lines[start + 2:]
        end = next((i for i, line in enumerate(body) if line[0] == "method"), len(body))
        return {tuple(line[:len(first)]): line[len(first):] for line in body[:end]}

    def test_an_interrupted_study_continues_and_its_page_has_the_means(self):
        first = self.study("--seeds", "1")
        self.assertEqual(sorted(self.ran(first)), sorted(["uneven_dense_0_1", *(f"uneven_{method}_{sparsity}_1" for method in ("own", "shot")
                                                                               for sparsity in SPARSITIES)]))
        self.assertIn("5 of 5 runs; seeds: 1; ranks per run: 1;", self.page.read_text())
        self.assertNotIn("**", self.page.read_text())     # one seed gives no estimate of the noise

        # An interrupted run has checkpoints but no summary.
        (self.folder / "page.csv").unlink()
        cut = self.output / "uneven_own_0.5_1"
        (cut / "summary.json").unlink()
        (cut / "checkpoints").joinpath(Run(cut).checkpoints[-1].name).unlink()
        before = tree(self.output)
        second = self.study()
        self.assertEqual(len(self.ran(second)), 6)
        self.assertIn("uneven_own_0.5_1", self.ran(second))
        self.assertRegex((cut / "study.log").read_text(), r"resuming from \S+uneven_own_0\.5_1/checkpoints/step_\d+\.h5 at step [1-9]")
        after = tree(self.output)
        for path, state in before.items():
            if not path.startswith("uneven_own_0.5_1/"):
                self.assertEqual(after[path], state, path)

        third = self.study()
        self.assertEqual(self.ran(third), [])
        self.assertEqual(tree(self.output), after)

        shot = yaml.safe_load((self.output / "uneven_shot_0.8_1/config.yaml").read_text())["prune"]
        self.assertEqual((shot["schedule"]["type"], shot["schedule"]["at_epoch"], shot["final_sparsity"]), ("one_shot", 0.5, 0.8))
        own = yaml.safe_load((self.output / "uneven_own_0.8_2/config.yaml").read_text())
        self.assertEqual((own["prune"]["schedule"]["end_step"], own["run"]["seed"]), (40, 2))

        dense = statistics.mean(one["test_accuracy"] for one in self.summaries("dense", 0))
        side, detail = self.rows(["method", "0.5", "0.8"]), self.rows(["method", "sparsity"])
        self.assertEqual(len(detail), 5)
        matrix = {line[0]: line[1:] for line in side}
        for method, title in (("own", "its own"), ("shot", "one shot")):
            for column, sparsity in enumerate(SPARSITIES):
                runs = self.summaries(method, sparsity)
                accuracies = [one["test_accuracy"] for one in runs]
                mean, deviation = f"{statistics.mean(accuracies):.4f}", f"{statistics.stdev(accuracies):.4f}"
                self.assertEqual(matrix[title][column].replace("*", ""), f"{mean} ± {deviation} (2)")
                size = statistics.mean(pathlib.Path(one["checkpoint"]).stat().st_size for one in runs)
                self.assertEqual(detail[title, str(sparsity)],
                                 ["2", mean, deviation, f"{100 * (dense - statistics.mean(accuracies)):.2f}",
                                  f"{runs[0]['wall_s']:.1f}", f"{runs[0]['samples_per_s']:,.0f}",
                                  f"{statistics.mean(one['prunable_kept'] for one in runs):,.0f}", f"{size:,.0f}"])
        plot = self.folder / "page_uneven.svg"
        self.assertIn(f"]({plot.name})", self.page.read_text())
        self.assertIn("<svg", plot.read_text())

        # The table of runs replaces the folders, as long as the recipe is the same.
        pages = self.page.read_text()
        shutil.rmtree(self.output)
        self.assertEqual(self.ran(self.study()), [])
        self.assertEqual(self.page.read_text(), pages)
        rows = (self.folder / "page.csv").read_text().splitlines()
        self.assertEqual(len(rows), 11)
        self.write_config((self.folder / "network.yaml").read_text().replace("epochs: 4", "epochs: 3"), "network.yaml")
        self.assertEqual(len(re.findall("^uneven_", self.study("--list").stdout, re.MULTILINE)), 10)
        self.write_config(UNEVEN, "network.yaml")

        # Text around the block is preserved, and --collect needs no program.
        self.page.write_text("# Mine\n\n" + self.page.read_text().split("\n\n", 2)[2] + "\nMine too.\n")
        self.study("--collect", "--program", "/no/such/program", "--sparsities", "0.8")
        text = self.page.read_text()
        self.assertTrue(text.startswith("# Mine\n") and text.endswith("Mine too.\n"), text)
        self.assertIn("6 of 6 runs", text)

        (self.folder / "page.csv").unlink()
        self.study("--untimed", "--seeds", "2")
        for _ in range(2):      # repeatable
            self.assertEqual({tuple(cells[4:6]) for cells in self.rows(["method", "sparsity"]).values()}, {("", "")})
            self.study("--collect", "--seeds", "2")

    def test_a_failed_run_is_listed_and_stops_no_other(self):
        bad = self.write_config(UNEVEN.replace("criterion: magnitude", "criterion: magnitud"), "bad.yaml")
        self.table["methods"]["bad"] = {"title": "bad", "input": str(bad)}
        self.table["networks"]["uneven"]["sparsities"] = {"bad": [0.5], "own": [0.5]}
        done = self.study("--seeds", "1", status=1)
        self.assertRegex(done.stderr, r"\Afailed: uneven_bad_0\.5_1: exit status 2: pruntrain: .*magnitud.*; see \S+study\.log\n\Z")
        self.assertIn("uneven_own_0.5_1", self.ran(done))
        self.assertIn("1 of 2 runs", self.page.read_text())

        # The folder is rejected if the recipe differs.
        self.write_config(UNEVEN.replace("epochs: 4", "epochs: 5"), "network.yaml")
        del self.table["networks"]["uneven"]["sparsities"]["bad"]
        before = tree(self.output)
        done = self.study("--seeds", "1", status=1)
        self.assertRegex(done.stderr, r"failed: uneven_own_0\.5_1: \S+ is a run of another configuration: remove it")
        self.assertEqual(tree(self.output), before)

    def test_the_best_is_marked_only_if_significant(self):
        def cells(**accuracies):
            return {method: [{"test_accuracy": one} for one in ones] for method, ones in accuracies.items()}
        # The pooled std is 0.001 sqrt(2), which is also the standard error of a difference of means of two seeds each.
        self.assertEqual(best_of(cells(a=(0.90, 0.902), b=(0.897, 0.899), c=(0.8, 0.802))), "a")
        self.assertIsNone(best_of(cells(a=(0.90, 0.902), b=(0.8985, 0.9005), c=(0.8, 0.802))))
        self.assertIsNone(best_of(cells(a=(0.90,), b=(0.8,))))
        self.assertIsNone(best_of(cells(a=(0.90, 0.902))))

    def test_no_run_starts_after_the_time_limit(self):
        done = self.study("--minutes", "0")
        self.assertIn("10 runs were not started within 0 minutes", done.stdout)
        self.assertFalse(self.page.exists() or os.listdir(self.output))
        self.assertIn("no finished run of this study", self.study("--collect", status=1).stderr)

    def test_the_study_of_the_project_is_valid(self):
        done = subprocess.run([sys.executable, ROOT / "scripts/study.py", "--list", "--output", self.output, "--page", self.page,
                               "--methods", "rigl"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        for name in ("fashion_lenet300_dense_0_1", "fashion_cnn_rigl_0.95_3"):
            self.assertIn(name, done.stdout)
        table = yaml.safe_load((ROOT / "scripts/study.yaml").read_text())
        self.assertEqual({method for network in table["networks"].values() for method in network["sparsities"]}, set(table["methods"]))


if __name__ == "__main__":
    unittest.main()
