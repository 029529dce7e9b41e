#!/usr/bin/python3
"""The residency of samples changes the memory only; a data file that changes during a run ends the run."""

import time
import unittest

import h5py
import numpy

from support import HANG_S, EndToEnd, at_once, by_its_memory, described_keys, messages, run, start

# Uneven sizes: 211 training samples in batches of 20, 3 test samples, 40 validation samples.
CONFIG = """
run: {{name: residency, seed: 3, progress: lines}}
data: {{format: hdf5, directory: {folder}, train_file: train.h5, test_file: test.h5, validation_samples: 40}}
model:
  - {{layer: flatten}}
  - {{layer: dense, units: 9}}
  - {{layer: relu}}
  - {{layer: dense, units: 3}}
train: {{sum: ordered, slices: 8, epochs: 3, global_batch: 20, loss: cross_entropy, evaluate_every_epochs: 0.5}}
optimizer: {{type: adam, learning_rate: 0.003}}
prune: {{criterion: taylor, allocation: global, schedule: {{type: one_shot, at_step: 9}}, final_sparsity: 0.5}}
checkpoint: {{every_epochs: 0.5}}
"""


def write_h5(path, samples, features, **storage):
    random = numpy.random.default_rng(samples)
    with h5py.File(path, "w") as file:
        inputs = file.create_dataset("inputs", (samples, *features), "u1", **storage)
        for first in range(0, samples, 1000):
            count = min(1000, samples - first)
            inputs[first:first + count] = random.integers(0, 256, (count, *features), "u1")
        file["targets"] = random.integers(0, 3, samples, "u1")


class Residency(EndToEnd):
    def setUp(self):
        super().setUp()
        write_h5(self.folder / "train.h5", 251, (1, 5, 7))
        write_h5(self.folder / "test.h5", 3, (1, 5, 7), chunks=(2, 1, 5, 7), compression="gzip")
        self.config = self.write_config(CONFIG.format(folder=self.folder))

    def test_residency_does_not_change_the_run(self):
        jobs = [(residency, ranks) for residency in ("node", "shard", "disk") for ranks in (1, 2, 3)]
        outcomes = at_once(lambda residency, ranks: self.train(self.config, f"{residency}-{ranks}",
                                                               f"data.residency={residency}", ranks=ranks).outcome(),
                           jobs)
        for job, outcome in zip(jobs, outcomes):
            self.assertEqual(outcome, outcomes[0], job)
        self.assertGreater(len(outcomes[0]["history"]), 4)

    def test_resumed_with_another_residency(self):
        straight = self.train(self.config, "straight").outcome()
        self.train(self.config, "changed", "train.epochs=2", ranks=2)
        changed = self.train(self.config, "changed", "data.residency=disk", "--resume", ranks=2).outcome()
        self.assertEqual({**changed, "history": changed["history"][-2:]},
                         {**straight, "history": straight["history"][-2:]})

    def test_check_reports_the_memory_of_a_node(self):
        said = {residency: run("--check", self.config, f"data.residency={residency}").stdout
                for residency in ("node", "shard", "disk")}
        for residency in ("node", "shard"):     # the only node holds everything: 254 samples of 35 bytes, and targets
            self.assertIn(f"9.7 KiB a node (residency: {residency})", said[residency])
        self.assertIn("1016 B a node (residency: disk)", said["disk"])
        self.assertIn("data.residency", described_keys(run("--describe").stdout))

    @by_its_memory
    def test_memory_of_disk_does_not_grow_with_the_file(self):
        for name, samples in (("small", 500), ("large", 15000)):    # 2 and 61 MB
            write_h5(self.folder / f"{name}.h5", samples, (1, 64, 64))
        peak = {}
        for residency, name in (("disk", "small"), ("disk", "large"), ("node", "large")):
            trained = self.train(self.config, f"{residency}-{name}", f"data.residency={residency}",
                                 f"data.train_file={name}.h5", "data.test_file=''", "data.test_samples=50",
                                 "train.epochs=0.1", "train.evaluate_every_epochs=0.1", "checkpoint.every_epochs=0",
                                 "prune.schedule.at_step=0", ranks=2)
            peak[residency, name] = trained.summary["peak_mb"]
        # In addition to features, a sample has 4 bytes of targets. Only large files need the 4 MiB buffers that measure the
        # mean, and 5 MB are less than 10 % of the file.
        self.assertLess(peak["disk", "large"] - peak["disk", "small"], 5, peak)
        self.assertGreater(peak["node", "large"] - peak["disk", "large"], 50, peak)


class Refused(EndToEnd):
    def test_formats_that_have_no_single_samples(self):
        (self.folder / "a.csv").write_text("1,0\n2,1\n3,2\n")
        config = CONFIG.format(folder=self.folder)
        hdf5 = "format: hdf5, directory: {0}, train_file: train.h5, test_file: test.h5".format(self.folder)
        self.assertIn(hdf5, config)
        words = ("data.residency is disk", "hdf5", "npy and idx without gzip", "set data.residency to node or shard")
        for name, keys in (("csv", f"format: csv, directory: {self.folder}, train_file: a.csv"),
                           ("synthetic", "format: synthetic, samples: 100")):
            path = self.write_config(config.replace(hdf5, keys + ", residency: disk").replace(
                "validation_samples: 40", "validation_samples: 1"), f"{name}.yaml")
            for ranks in (None, 3):
                self.assert_refused(run(path, f"run.output={self.folder}", ranks=ranks), *words)
        done = run(self.folder / "csv.yaml", "data.residency=dsik", ranks=2)
        self.assert_refused(done, "data.residency", "'dsik'", "node", "shard", "did you mean 'disk'")

    def change_while_it_runs(self, change, ranks):
        name = f"{change}-{ranks}"
        path = self.folder / f"{name}.h5"
        write_h5(path, 251, (1, 5, 7))
        config = self.write_config(CONFIG.format(folder=self.folder).replace("epochs: 3", "epochs: 100000"), f"{name}.yaml")
        process = start(config, f"run.output={self.folder}", f"run.name={name}", "data.residency=disk",
                        f"data.train_file={name}.h5", "data.test_file=''", "checkpoint.every_epochs=1000", ranks=ranks)
        history = self.folder / name / "history.csv"
        end = time.monotonic() + HANG_S
        while not (history.exists() and history.read_text().count("\n") > 3):
            self.assertIsNone(process.poll())
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)
        with open(path, "r+b") as file:
            if change == "cut":
                file.truncate(5000)
            elif change == "one byte":
                file.seek(4000)
                file.write(b"\0")
            else:
                file.write(b"\0" * 9000)
        _, said = process.communicate(timeout=HANG_S)
        self.assertEqual(process.returncode, 1, said)
        faults = messages(said)
        self.assertGreater(len(faults), 0, said)
        for fault in faults:    # from all ranks that reached it before the first one ended them
            self.assertRegex(fault, "fault on rank .*: the samples of a batch cannot be read: .*" + path.name)
            self.assertRegex(fault, "has changed since it was opened|cannot be read: ")
        self.assertNotRegex(said, r"terminate called|Signal:|what\(\)|Segmentation")

    def test_a_file_that_changes_ends_the_run(self):
        at_once(self.change_while_it_runs, [("cut", None), ("cut", 3), ("one byte", 2), ("written over", 2)])


if __name__ == "__main__":
    unittest.main()
