#!/usr/bin/python3
"""Physical compaction during training: identical on any ranks and shards, and through checkpoints."""

import re
import shutil
import unittest

import h5py

from support import CONVOLUTION, UNEVEN, EndToEnd, Run, at_once, run

ROWS = ("prune.granularity={type: row, norm: l2}", "prune.reconfigure=true", "prune.final_sparsity=0.6", "prune.layer_floor=0.01")
ORDERED = UNEVEN.replace("train: {execution: sparse,", "train: {sum: ordered, slices: 8,")


def shapes(run):
    """{tensor: (shape, original shape)} of all tensors that have shrunk."""
    return {layer["name"]: (layer["shape"], layer["full_shape"]) for layer in run.summary["layers"]
            if layer["shape"] != layer["full_shape"]}


class Shrink(EndToEnd):
    def test_one_network_on_any_number_of_ranks(self):
        grids = ((1, 1), (2, 1), (3, 1), (8, 1))
        runs = self.train_all([(ORDERED, f"ranks-{ranks}", ROWS, ranks) for ranks, _ in grids])
        for one in runs[1:]:
            self.assertEqual(one.outcome(), runs[0].outcome())
        smaller = shapes(runs[0])
        self.assertIn("dense1.weight", smaller)
        self.assertIn("batch_norm1.scale", smaller)
        shape, full_shape = smaller["dense2.weight"]
        self.assertEqual(full_shape, [11, 23])
        self.assertEqual(shape[1], smaller["dense1.weight"][0][0])
        self.assertGreaterEqual(runs[0].summary["sparsity"], 0.6)
        last = [layer for layer in runs[0].summary["layers"] if layer["name"] == "dense3.weight"][0]
        self.assertEqual(last["shape"][0], 3)

    def test_images_and_shards(self):
        for name, config in (("vectors", UNEVEN), ("images", CONVOLUTION)):
            one_shot = (*ROWS, "prune.final_sparsity=0.3", "prune.schedule={type: one_shot, at_step: 0}", "train.epochs=0")
            runs = at_once(lambda ranks, shards: self.train(config, f"{name}-{ranks}", *one_shot,
                                                            f"parallel.model_shards={shards}", ranks=ranks),
                           ((1, 1), (2, 2), (4, 2)))
            for one in runs[1:]:
                self.assertEqual(shapes(one), shapes(runs[0]), name)
                self.assertEqual(one.summary["pattern_hash"], runs[0].summary["pattern_hash"], name)
            self.assertNotEqual(shapes(runs[0]), {})

    def test_a_resumed_run_continues_with_the_smaller_network(self):
        for settings, ranks, others in (((), 2, ((2, 1), (3, 1), (4, 2))),
                                        (("parallel.model_shards=2", "parallel.shard_optimizer=true"), 4, ((4, 2), (1, 1)))):
            straight = self.train(ORDERED, f"straight-{ranks}", "checkpoint.keep=99", *ROWS, *settings, ranks=ranks)
            middle = straight.checkpoints[1]
            with h5py.File(middle) as file:
                self.assertEqual(list(file["model/dense1/weight"].attrs["full_shape"]), [23, 13])
            for other, shards in others:
                name = f"resumed-{ranks}-{other}-{shards}"
                (self.folder / name / "checkpoints").mkdir(parents=True)
                shutil.copy(middle, self.folder / name / "checkpoints")
                done = run(self.folder / f"straight-{ranks}.yaml", f"run.output={self.folder}", f"run.name={name}", "--resume",
                           "checkpoint.keep=99", *ROWS, *settings, f"parallel.model_shards={shards}", ranks=other)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                if f"parallel.model_shards={shards}" in (*settings, "parallel.model_shards=1" if not settings else ""):
                    self.assertEqual(Run(self.folder / name).outcome(), straight.outcome())
                self.assertAlmostEqual(Run(self.folder / name).summary["test_loss"], straight.summary["test_loss"], delta=0.05)

    def test_rows_move_between_shards_of_a_smaller_network(self):
        # dense1 uses sparse kernels and is rebalanced, the others are dense; all lose units.
        config = UNEVEN.replace("execution: sparse", "execution: density").replace("  - {layer: batch_norm}\n", "")
        prune = ("prune={allocation: {type: per_layer, sparsity: {dense1: 0.8, dense2: 0.5, dense3: 0.55}}, final_sparsity: 0.656, "
                 "layer_floor: 0, reconfigure: true, schedule: {type: cubic, start_step: 5, end_step: 40, every_steps: 7}}")
        written = self.write_config(config)
        done = run(written, f"run.output={self.folder}", "run.name=moved", prune, "parallel.model_shards=2",
                   "parallel.rebalance_above=1", ranks=2)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"removed from the network(.*\n)*.*rows moved between shards")
        smaller = shapes(Run(self.folder / "moved"))
        self.assertIn("dense1.weight", smaller)
        self.assertIn("dense2.bias", smaller)

    def test_other_commands_see_both_shapes(self):
        trained = self.train(UNEVEN, "trained", *ROWS)
        inspected = run("inspect", trained.checkpoints[-1])
        self.assertEqual(inspected.returncode, 0, inspected.stderr)
        self.assertRegex(inspected.stdout, r"dense1\.weight +\d+x13 of 23x13")
        evaluated = run("evaluate", trained.checkpoints[-1])
        self.assertEqual(evaluated.returncode, 0, evaluated.stderr)
        loss = float(re.search(r"loss +(\S+)", evaluated.stdout).group(1))
        self.assertAlmostEqual(loss, trained.summary["test_loss"], delta=1e-6)

    def test_incompatible_settings_are_rejected(self):
        config = self.write_config(UNEVEN)
        self.assert_refused(run("--check", config, "prune.reconfigure=true", "prune.regrow={type: random, every_steps: 3}"),
                            "prune.reconfigure", "removes units permanently", "set it to false")
        self.assert_refused(run("--check", config, "prune.reconfigure=true", "prune.schedule={type: ac_dc, every_steps: 3}"),
                            "prune.reconfigure", "set it to false")


if __name__ == "__main__":
    unittest.main()
