#!/usr/bin/python3
"""Model shards: one mask and one checkpoint on every grid of replicas x shards, losses within rounding."""

import re
import resource
import shutil
import subprocess
import unittest

import h5py
from support import CONVOLUTION, ENVIRONMENT, HANG_S, ROOT, UNEVEN, EndToEnd, Run, by_its_memory, command, run

GRIDS = ((1, 1), (2, 1), (1, 2), (2, 2), (3, 1), (1, 3), (4, 2))    # replicas, shards
ROUNDING = 3e-4     # see test_ranks.py

# 33.6 million weights: values, gradients and momentum take 403 MB, and 134 MB more while random numbers are drawn.
LARGE = """
run: {name: large, seed: 1, progress: lines}
data: {format: synthetic, samples: 32, shape: [4096], classes: 4, validation_samples: 4, test_samples: 4}
model:
  - {layer: dense, units: 4096}
  - {layer: relu}
  - {layer: dense, units: 4096}
  - {layer: relu}
  - {layer: dense, units: 4}
train: {execution: sparse, epochs: 1, global_batch: 12, loss: cross_entropy}
optimizer: {type: sgd, momentum: 0.9, learning_rate: 0.01}
prune: {criterion: magnitude, schedule: {type: one_shot, at_step: 1}, final_sparsity: 0.95}
checkpoint: {every_epochs: 1}
"""
LARGE_LIMIT = 1_000_000_000     # bytes of address space; an idle rank needs 60 % of it


class Shards(EndToEnd):
    def train_on(self, name, config, grids, *arguments):
        """Trains a configuration on these grids."""
        return self.train_all([(config, f"{name}-{replicas}x{shards}", (f"parallel.model_shards={shards}", *arguments),
                                replicas * shards) for replicas, shards in grids])

    def test_one_mask_on_every_grid(self):
        mlp = UNEVEN.replace("type: cubic, start_step: 5, end_step: 40, every_steps: 7", "type: one_shot")
        for name, config, grids in (("mlp", mlp, (*GRIDS, (32, 2))), ("convolution", CONVOLUTION, GRIDS)):
            runs = self.train_on(name, config, grids, "train.epochs=0")
            self.assertEqual(len({(one.summary["pattern_hash"], one.summary["weights_hash"]) for one in runs}), 1)
            self.assertEqual(len({one.summary["kept"] for one in runs}), 1)

    def test_losses_agree_on_every_grid(self):
        for name, config in (("mlp", UNEVEN), ("convolution", CONVOLUTION.replace("at_step: 2", "at_step: 1"))):
            runs = self.train_on(name, config, GRIDS, "train.epochs=1", "optimizer.clip_norm=1")
            losses = [float(one.history[0]["train_loss"]) for one in runs]
            for loss in losses:
                self.assertAlmostEqual(loss, losses[0], delta=ROUNDING, msg=f"{name}: {losses} on {GRIDS}")
            self.assertEqual({one.summary["sparsity"] for one in runs}, {runs[0].summary["sparsity"]})

    def test_sixty_four_ranks(self):
        config = UNEVEN.replace("units: 3,", "units: 4,").replace("classes: 3", "classes: 4")
        small, large = self.train_on("many", config, ((1, 1), (16, 4)), "train.epochs=1")
        self.assertAlmostEqual(float(small.history[0]["train_loss"]), float(large.history[0]["train_loss"]), delta=ROUNDING)
        images = CONVOLUTION.replace("units: 3,", "units: 4,").replace("classes: 3", "classes: 4")
        small, large = self.train_on("many-images", images, ((1, 1), (16, 4)), "train.epochs=1")
        self.assertAlmostEqual(float(small.history[0]["train_loss"]), float(large.history[0]["train_loss"]), delta=ROUNDING)
        self.assertEqual(large.summary["pattern_hash"], small.summary["pattern_hash"])

    def test_ordered_sums_over_replicas_of_shards(self):
        ordered = UNEVEN.replace("train: {execution: sparse,", "train: {sum: ordered, slices: 8,")
        for shards in (2, 3):
            runs = self.train_on(f"ordered{shards}", ordered, ((1, shards), (2, shards), (3, shards)))
            for one in runs[1:]:
                self.assertEqual(one.outcome(), runs[0].outcome())

    def test_a_checkpoint_resumes_on_another_grid(self):
        straight = self.train(UNEVEN, "straight", "checkpoint.keep=99", "parallel.model_shards=2", ranks=4)
        config = self.folder / "straight.yaml"
        for replicas, shards in ((2, 2), (1, 1), (3, 1), (1, 3), (2, 3)):
            cut = self.cut(straight, f"cut-{replicas}x{shards}", keep=2)    # in the middle of the prune schedule
            done = run(config, f"run.output={self.folder}", f"run.name={cut.folder.name}", "--resume",
                       "checkpoint.keep=99", f"parallel.model_shards={shards}", ranks=replicas * shards)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            if (replicas, shards) == (2, 2):
                self.assertEqual(cut.outcome(), straight.outcome())
            for row, expected in zip(cut.history, straight.history, strict=True):
                self.assertAlmostEqual(float(row["train_loss"]), float(expected["train_loss"]), delta=10 * ROUNDING)
            self.assertEqual(cut.summary["kept"], straight.summary["kept"])

    def test_rows_move_between_shards_also_after_a_resume(self):
        config = self.write_config(UNEVEN)
        where = (f"run.output={self.folder}", "checkpoint.keep=99", "parallel.rebalance_above=1")
        done = run(config, *where, "run.name=straight", "parallel.model_shards=2", ranks=4)
        self.assertEqual(done.returncode, 0, done.stderr)
        moves = [int(step) for step in re.findall(r"^step (\d+): rows moved between shards", done.stdout, re.MULTILINE)]
        self.assertGreaterEqual(len(moves), 2, done.stdout)     # one before the interruption below, one after it
        straight = Run(self.folder / "straight")
        middle = next(file for file in straight.checkpoints if int(file.stem.split("_")[1]) > moves[0])
        self.assertLess(int(middle.stem.split("_")[1]), moves[-1])
        with h5py.File(middle) as file:
            cuts = file.attrs["shard_cuts"].decode()
            self.assertRegex(cuts, r"^dense1 0 \d+ 23, dense2 0 \d+ 11$")  # dense3 is row-parallel

        for ranks, shards in ((4, 2), (2, 2), (3, 3), (1, 1)):
            name = f"resumed-{ranks}-{shards}"
            copied = self.folder / name / "checkpoints"
            copied.mkdir(parents=True)
            shutil.copy(middle, copied)
            done = run(config, *where, f"run.name={name}", "--resume", f"parallel.model_shards={shards}", ranks=ranks)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            if ranks == 4:
                self.assertEqual(Run(self.folder / name).outcome(), straight.outcome())
            self.assertEqual(Run(self.folder / name).summary["kept"], straight.summary["kept"])
            self.assertAlmostEqual(Run(self.folder / name).summary["test_loss"], straight.summary["test_loss"], delta=0.01)

        done = run(config, *where, "run.name=still", "parallel.model_shards=2", "parallel.rebalance_above=9", ranks=4)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("rows moved", done.stdout)
        self.assertRegex(done.stdout, r"step 40: the fullest shard has 1\.\d+ times the mean non-zeros")

    def test_evaluate_needs_no_shards(self):
        trained = self.train(UNEVEN, "trained", "parallel.model_shards=3", ranks=3)
        done = run("evaluate", trained.checkpoints[-1])
        self.assertEqual(done.returncode, 0, done.stderr)
        loss = float(next(line.split()[1] for line in done.stdout.splitlines() if line.startswith("loss")))
        self.assertAlmostEqual(loss, trained.summary["test_loss"], delta=1e-6)

    @by_its_memory
    def test_a_model_too_large_for_one_rank_trains_in_four_shards(self):
        config = self.write_config(LARGE)

        def limited(ranks):
            return subprocess.run(command(config, f"run.output={self.folder}", f"run.name=large-{ranks}",
                                          f"parallel.model_shards={ranks}", ranks=ranks),
                                  env=ENVIRONMENT, cwd=ROOT, timeout=2 * HANG_S, capture_output=True, text=True,
                                  preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (LARGE_LIMIT, LARGE_LIMIT)))
        alone, four = limited(1), limited(4)
        self.assertEqual(four.returncode, 0, four.stdout + four.stderr)
        self.assertAlmostEqual(Run(self.folder / "large-4").summary["sparsity"], 0.95, places=6)
        self.assertNotEqual(alone.returncode, 0)
        self.assertIn("not enough memory", alone.stderr)

    def test_incompatible_files_are_rejected(self):
        config = self.write_config(UNEVEN)
        where = f"run.output={self.folder}"
        self.assert_refused(run(config, where, "parallel.model_shards=4", ranks=6),
                            "parallel.model_shards is 4", "6 ranks", "one of 1, 2, 3, 6")
        self.assert_refused(run(config, where, "parallel.model_shards=4", ranks=4), "dense3 has 3 outputs", "<= 3")
        self.assert_refused(run(config, where, "parallel.model_shards=0"), "parallel.model_shards", ">= 1")
        self.assert_refused(run(config, where, "parallel.model_shards=2", "model.0={layer: batch_norm}", ranks=2),
                            "batch_norm1", "before the first dense or conv2d")

    def test_check_reports_shards_without_starting_them(self):
        done = run("--check", self.write_config(UNEVEN), "parallel.model_shards=3")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("1 replica of 3 shards", done.stdout)
        self.assertIn("reduce-scatter of partial sums of 3 shards", done.stdout)
        done = run("--check", self.write_config(UNEVEN), "parallel.model_shards=3", "parallel.cut=outputs")
        self.assertEqual(done.stdout.count("all-gather from 3 shards"), 2, done.stdout + done.stderr)
        done = run("--check", self.write_config(UNEVEN), "parallel.model_shards=3",
                   "prune={granularity: {type: n_m, n: 2, m: 4}, final_sparsity: 0.5}", ranks=3)
        self.assert_refused(done, "prune.granularity", "inputs of layer dense2", "parallel.cut: outputs")


if __name__ == "__main__":
    unittest.main()
