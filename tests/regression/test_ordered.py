#!/usr/bin/python3
"""With train.sum: ordered the result is bit-identical on any number of ranks, even if it changes during a run."""

import random
import time
import unittest

from support import CONVOLUTION, HANG_S, UNEVEN, EndToEnd, Run, kill, run, start

MLP = UNEVEN.replace("train: {execution: sparse,", "train: {sum: ordered, slices: 8,")
IMAGES = CONVOLUTION.replace("train: {execution: sparse, epochs: 1,", "train: {sum: ordered, slices: 8, epochs: 3,")
LONG = MLP.replace("epochs: 4,", "epochs: 60,").replace("end_step: 40", "end_step: 700")


class Ordered(EndToEnd):
    def outcomes(self, name, config, *arguments, ranks):
        return [trained.outcome() for trained in
                self.train_all([(config, f"{name}-{count}", arguments, count) for count in ranks])]

    def assert_all_equal(self, outcomes):
        for outcome in outcomes[1:]:
            self.assertEqual(outcome, outcomes[0])

    def test_any_number_of_ranks_is_bit_identical(self):
        # 619 samples in batches of 50 in 8 slices of 6 or 7; the last batch of 19 in slices of 2 or 3. With 3, 5 and 7 ranks
        # the slices of a rank are not one node of the tree.
        for name, config in (("mlp", MLP), ("convolution", IMAGES)):
            outcomes = self.outcomes(name, config, ranks=(1, 2, 3, 4, 5, 7, 8))
            self.assert_all_equal(outcomes)
            self.assertGreater(len(outcomes[0]["history"]), 2)

    def test_slices_that_are_no_power_of_two(self):
        self.assert_all_equal(self.outcomes("eleven", MLP, "train.slices=11", ranks=(1, 2, 4, 11)))

    def test_more_slices_than_samples(self):
        arguments = ("train.slices=64", "train.epochs=2", "optimizer={type: sgd, momentum: 0.9, learning_rate: 0.02}")
        self.assert_all_equal(self.outcomes("empty", MLP, *arguments, ranks=(1, 3, 64)))

    def test_the_number_of_slices_is_another_order(self):
        one, = self.outcomes("eight", MLP, ranks=(1,))
        other, = self.outcomes("four", MLP, "train.slices=4", ranks=(1,))
        self.assertNotEqual(one["weights_hash"], other["weights_hash"])
        self.assertAlmostEqual(float(one["history"][0]["train_loss"]), float(other["history"][0]["train_loss"]),
                               delta=3e-4)

    def test_a_partitioned_optimizer_state_is_bit_identical(self):
        for optimizer in ("optimizer.type=adamw", "optimizer={type: sgd, momentum: 0.9, learning_rate: 0.02}"):
            alone, = self.outcomes("alone", MLP, optimizer, "optimizer.weight_decay=0.01", "--overwrite", ranks=(1,))
            shared = self.outcomes("shared", MLP, optimizer, "optimizer.weight_decay=0.01",
                                   "parallel.shard_optimizer=true", "checkpoint.keep=99", "--overwrite", ranks=(2, 3, 4))
            self.assert_all_equal([alone, *shared])

    def test_a_partitioned_optimizer_state_resumes_with_another_partition(self):
        straight = self.train(MLP, "straight", "parallel.shard_optimizer=true", "checkpoint.keep=99", ranks=3)
        for ranks, shared in ((1, True), (2, False), (4, True)):
            cut = self.cut(straight, f"cut-{ranks}", keep=2)
            done = run(self.folder / "straight.yaml", f"run.output={self.folder}", f"run.name={cut.folder.name}",
                       "--resume", f"parallel.shard_optimizer={str(shared).lower()}", ranks=ranks)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertEqual(cut.outcome(), straight.outcome())

    def test_dense_and_sparse_and_by_density(self):
        for execution in ("dense", "sparse", "density"):
            self.assert_all_equal(self.outcomes(execution, MLP, f"train.execution={execution}", ranks=(1, 3)))

    def test_killed_on_four_ranks_and_resumed_on_two_is_the_straight_run_on_one(self):
        straight = self.train(LONG, "straight")
        config = self.folder / "straight.yaml"
        killed = Run(self.folder / "killed")
        seed = time.time_ns() % 10**6
        moment = random.Random(seed)
        for ranks, resume in ((4, ()), (3, ("--resume",))):     # killed twice, in the middle of the schedule
            before = killed.checkpoints[-1:]
            process = start(config, f"run.output={self.folder}", "run.name=killed", *resume, ranks=ranks)
            end = time.monotonic() + HANG_S
            while killed.checkpoints[-1:] == before and process.poll() is None and time.monotonic() < end:
                time.sleep(0.002)
            time.sleep(moment.uniform(0, 0.15))
            kill(process)
            self.assertNotEqual(killed.checkpoints[-1:], before)
        done = run(config, f"run.output={self.folder}", "run.name=killed", "--resume", ranks=2)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(killed.outcome(), straight.outcome(), f"seed of the moments: {seed}")

    def test_incompatible_settings_are_rejected(self):
        config = self.write_config(MLP)
        where = f"run.output={self.folder}"
        self.assert_refused(run(config, where, "train.slices=2", ranks=3), "train.slices is 2", "3 ranks", "at most 2")
        self.assert_refused(run(config, where, "reduce.precision=bf16"), "reduce.precision is bf16", "train.sum: ordered")
        self.assert_refused(run(config, where, "train.slices=0"), "train.slices", "0", ">= 1")


if __name__ == "__main__":
    unittest.main()
