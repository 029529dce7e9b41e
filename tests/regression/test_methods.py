#!/usr/bin/python3
"""Every criterion, allocation and schedule: one result on any number of ranks, and the same after a restart."""

import re
import shutil
import unittest

from support import UNEVEN, EndToEnd, Run, at_once, run

ORDERED = UNEVEN.replace("train: {execution: sparse,", "train: {sum: ordered, slices: 8,")
NEEDS = {"per_layer": "{type: per_layer, sparsity: {dense1: 0.6}}", "one_shot": "{type: one_shot, at_step: 0}"}


def members(kind):
    """The members of a family, as --describe lists them."""
    described = run("--describe").stdout
    return re.search(rf"^prune\.{kind}\.type\n.*\n    word, ([\w |]+);", described, re.MULTILINE).group(1).split(" | ")


def methods():
    """(name, settings) for every member of every family, the others at their defaults."""
    return [(f"{kind}-{member}", (f"prune.{kind}={NEEDS[member]}" if member in NEEDS else f"prune.{kind}.type={member}",
                                  "prune.layer_floor=0.01", *settings))
            for kind, settings in (("criterion", ()), ("allocation", ()), ("schedule", ("prune.criterion=taylor",)))
            for member in members(kind)]


METHODS = methods()


class Methods(EndToEnd):
    def test_one_result_on_any_number_of_ranks(self):
        jobs = [(name, settings, ranks) for name, settings in METHODS for ranks in (1, 2, 3, 8)]
        runs = at_once(lambda name, settings, ranks: self.train(ORDERED, f"{name}-{ranks}", "train.epochs=2", *settings,
                                                                ranks=ranks), jobs)
        of = {(name, ranks): one for (name, _, ranks), one in zip(jobs, runs)}
        for name, _ in METHODS:
            for ranks in (2, 3, 8):
                self.assertEqual(of[name, ranks].outcome(), of[name, 1].outcome(), f"{name} on {ranks} ranks")
        self.assertEqual(len({one.summary["kept"] for one in runs}), 1)
        for kind in ("criterion", "allocation"):    # they do differ
            hashes = {of[name, 1].summary["pattern_hash"] for name, _ in METHODS if name.startswith(kind)}
            self.assertGreaterEqual(len(hashes), 3, kind)

    def test_one_pattern_on_a_grid_of_shards(self):
        methods = [(name, settings) for name, settings in METHODS
                   if name.startswith("allocation") or name == "criterion-random"]
        jobs = [(name, settings, ranks, shards) for name, settings in methods for ranks, shards in ((1, 1), (4, 2), (3, 3))]
        runs = at_once(lambda name, settings, ranks, shards:
                       self.train(UNEVEN, f"grid-{name}-{ranks}", *settings, f"prune.schedule={NEEDS['one_shot']}",
                                  "train.epochs=0", f"parallel.model_shards={shards}", ranks=ranks), jobs)
        of = {(name, ranks): one.summary["pattern_hash"] for (name, _, ranks, _), one in zip(jobs, runs)}
        for name, _ in methods:
            self.assertEqual({of[name, ranks] for ranks in (1, 4, 3)}, {of[name, 1]}, name)

    def test_a_restart_between_events_changes_nothing(self):
        def one(name, settings):
            straight = self.train(ORDERED, f"straight-{name}", "checkpoint.keep=99", *settings, ranks=2)
            cut = Run(self.folder / f"cut-{name}")
            shutil.copytree(straight.folder, cut.folder)
            (cut.folder / "summary.json").unlink()
            for checkpoint in cut.checkpoints[3:]:
                checkpoint.unlink()
            done = run(self.folder / f"straight-{name}.yaml", f"run.output={self.folder}", f"run.name={cut.folder.name}",
                       "--resume", *settings, ranks=3)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            return straight.outcome(), cut.outcome()
        names = [method for method in METHODS if method[0] != "schedule-one_shot"]
        for (name, _), (straight, cut) in zip(names, at_once(one, names)):
            self.assertEqual(cut, straight, name)


if __name__ == "__main__":
    unittest.main()
