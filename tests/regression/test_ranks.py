#!/usr/bin/python3
"""The number of ranks changes the speed only: one mask, and losses within rounding, for any divisibility."""

import unittest

from support import CONVOLUTION, UNEVEN, EndToEnd

# Ranks add the same floating-point values in another order. Gradients then differ by a few units in the last place (6e-8),
# and Adam can turn the sign of a tiny gradient into a full step of one weight. Over the 13 to 52 steps of an epoch the mean
# loss (about 1) changes by about 1e-5. A lost, duplicated or wrongly weighted sample changes it by at least 1/619.
ROUNDING = 3e-4


class OneMask(EndToEnd):
    def test_pruning_of_the_same_weights_is_one_mask_on_all_ranks(self):
        # train.epochs=0: initial weights, one pruning event, a checkpoint. Only counts are summed over ranks.
        mlp = UNEVEN.replace("type: cubic, start_step: 5, end_step: 40, every_steps: 7", "type: one_shot")
        for name, config in (("mlp", mlp), ("convolution", CONVOLUTION)):
            for criterion in ("magnitude", "random"):
                many = (1, 2, 3, 7, 64) if criterion == "magnitude" else (1, 7)
                hashes = set()
                for trained in self.train_all([(config, f"{name}-{criterion}-{ranks}", ("train.epochs=0", f"prune.criterion={criterion}"),
                                                ranks) for ranks in many]):
                    hashes.add((trained.summary["pattern_hash"], trained.summary["weights_hash"]))
                    self.assertGreater(trained.summary["sparsity"], 0.6)
                self.assertEqual(len(hashes), 1, f"{name}, {criterion}: {hashes}")


class OneLoss(EndToEnd):
    def first_losses(self, name, config, *arguments, ranks=(1, 2, 3, 5)):
        """The mean loss of the first epoch on each number of ranks."""
        runs = self.train_all([(config, f"{name}-{count}", ("train.epochs=1", "checkpoint.every_epochs=0", *arguments), count)
                               for count in ranks])
        losses = [float(trained.history[0]["train_loss"]) for trained in runs]
        for loss in losses:
            self.assertAlmostEqual(loss, losses[0], delta=ROUNDING, msg=f"{name}: {losses} on {ranks} ranks")
        return losses

    def test_a_batch_that_no_rank_count_divides(self):
        # 619 samples in batches of 50: 17, 17, 16 per rank, and a last batch of 19
        self.first_losses("uneven", UNEVEN)

    def test_a_batch_smaller_than_the_ranks(self):
        # some ranks have no sample; batch-norm still uses the whole batch
        self.first_losses("tiny", UNEVEN, "data.samples=300", "train.global_batch=3", "optimizer.learning_rate=0.0003")

    def test_a_last_batch_of_one_sample(self):
        # 619 = 3 x 206 + 1; without batch-norm, because one sample has no variance
        self.first_losses("one", UNEVEN, "train.global_batch=206", "model.1={layer: relu}", "prune.schedule.clamp=true")

    def test_a_batch_larger_than_the_data(self):
        self.first_losses("whole", UNEVEN, "train.global_batch=5000", "prune.schedule.clamp=true", ranks=(1, 3))

    def test_an_image_network(self):
        self.first_losses("convolution", CONVOLUTION, "train.global_batch=7", "prune.schedule.at_step=5", ranks=(1, 3))

    def test_evaluation_counts_every_sample_once(self):
        # the validation split also has fewer samples than ranks
        accuracies, losses = set(), []
        for ranks in (1, 5):
            trained = self.train(UNEVEN, f"few-{ranks}", "train.epochs=0", "data.test_samples=3", ranks=ranks)
            accuracies.add(trained.summary["test_accuracy"])
            losses.append(trained.summary["test_loss"])
        self.assertEqual(len(accuracies), 1)
        # the same float outputs, summed in double precision in another order
        self.assertAlmostEqual(losses[0], losses[1], delta=1e-6)

    def test_another_seed_moves_the_loss_by_more_than_the_tolerance(self):
        one = self.first_losses("seed-1", UNEVEN, ranks=(1,))
        two = self.first_losses("seed-2", UNEVEN, "run.seed=2", ranks=(1,))
        self.assertGreater(abs(one[0] - two[0]), ROUNDING)


if __name__ == "__main__":
    unittest.main()
