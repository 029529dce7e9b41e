#!/usr/bin/python3
"""Rewinding: the weights of each training, and bit-identical restarts in any round."""

import unittest

import h5py
import numpy

from support import UNEVEN, UNEVEN_OTHERS, UNEVEN_WEIGHTS, EndToEnd, kept_of, to_dense

# 26 steps, then twice the steps from 13 to 26: pruning events after 26 and 39 steps, 52 in total.
REWINDING = UNEVEN
for old, new in {
        "train: {execution: sparse, epochs: 4,": "train: {sum: ordered, slices: 8, epochs: 2,",
        "type: cubic, start_step: 5, end_step: 40, every_steps: 7": "type: rewinding, rounds: 2, to_epoch: 1",
        "learning_rate: 0.003": "learning_rate: 0.003, schedule: {type: cosine}",
        "keep: 3": "keep: 99"}.items():
    assert old in REWINDING, old
    REWINDING = REWINDING.replace(old, new)


class Rewinding(EndToEnd):
    def test_remaining_weights_rewind_to_their_step(self):
        once = REWINDING[:REWINDING.index("prune:")] + "checkpoint: {every_epochs: 0.5, keep: 99}\n"
        jobs = [(once, "once", ()), *((REWINDING, what, (f"prune.schedule.rewind={what}",))
                                      for what in ("weights", "learning_rate", "random"))]
        runs = self.train_all([(*job, 2) for job in jobs])
        once, weights, rate, random = runs
        for one in runs[1:]:
            rows = one.history
            self.assertEqual([row["step"] for row in rows], ["13", "26", "39", "52"])
            self.assertEqual(rows[1]["learning_rate"], rows[3]["learning_rate"])
            self.assertEqual(rows[1]["learning_rate"], rows[2]["learning_rate"])
            self.assertEqual([float(row["sparsity"]) for row in rows[:2]], [0, 0])
            # The row at an event describes the trained network before pruning.
            for name in ("validation_loss", "validation_accuracy", "train_loss"):
                self.assertEqual(rows[1][name], once.history[1][name])
            kept = UNEVEN_WEIGHTS - int(UNEVEN_WEIGHTS * 0.7)
            self.assertEqual(one.summary["kept"], kept + UNEVEN_OTHERS)
        self.assertEqual(weights.summary["pattern_hash"], random.summary["pattern_hash"])
        self.assertNotEqual(weights.summary["pattern_hash"], rate.summary["pattern_hash"])
        self.assertNotEqual(weights.summary["weights_hash"], random.summary["weights_hash"])

        def compare(one, step, other, other_step, slots):
            """Checks that the remaining weights of `one` after `step` equal those of `other`."""
            with h5py.File(one.folder / f"checkpoints/step_{step:08}.h5") as after, \
                    h5py.File(other.folder / f"checkpoints/step_{other_step:08}.h5") as before:
                for layer, group in after["model"].items():
                    for name, tensor in group.items():
                        if name.startswith("running"):
                            continue
                        stored, kept = before[f"model/{layer}/{name}"], kept_of(tensor)
                        numpy.testing.assert_array_equal(to_dense(tensor), to_dense(stored) * kept)
                        for slot in slots:
                            now, then = (file[f"optimizer/{slot}/{layer}/{name}"][()] for file in (after, before))
                            dense = numpy.zeros(kept.shape)
                            dense[kept_of(stored)] = then
                            numpy.testing.assert_array_equal(now, dense[kept] if slots[slot] else 0 * now)

        moments = {"first_moment": True, "second_moment": True}
        anew = dict.fromkeys(moments, False)
        compare(weights, 26, weights, 13, moments)
        compare(weights, 39, weights, 13, moments)
        compare(random, 26, weights, 13, moments)
        compare(rate, 26, once, 26, anew)
        with h5py.File(random.folder / "checkpoints/step_00000039.h5") as file:
            fresh = to_dense(file["model/dense1/weight"])[kept_of(file["model/dense1/weight"])]
            self.assertTrue((file["model/dense1/bias"][()] == 0).all())
            self.assertAlmostEqual(fresh.std(), (2 / 13) ** 0.5, delta=0.1)     # he_normal of 13 inputs
        with h5py.File(weights.folder / "checkpoints/step_00000013.h5") as file:
            self.assertFalse(numpy.isin(fresh, to_dense(file["model/dense1/weight"])).any())

    def test_a_restart_in_any_round_changes_nothing(self):
        shards, shared = "parallel.model_shards=2", "parallel.shard_optimizer=true"
        jobs = [(f"{what}-{number}", (f"prune.schedule.rewind={what}", *settings)) for what, variants in
                (("weights", ((), (shared,), (shards,), (shards, shared))), ("learning_rate", ((shared,),)),
                 ("random", ((), (shards, shared)))) for number, settings in enumerate(variants)]

        straight = self.train_all([(REWINDING, name, settings, 4) for name, settings in jobs])
        resumed = []
        for (name, settings), whole in zip(jobs, straight):
            for step in (20, 26, 33, 39, 46):      # in each training, and directly after a rewind
                keep = sum(int(checkpoint.stem[5:]) <= step for checkpoint in whole.checkpoints)
                cut = self.cut(whole, f"{name}-from-{step}", keep)
                self.assertEqual(cut.checkpoints[-1].name, f"step_{step:08}.h5")
                # Sums of sharded gradients depend on the grid.
                resumed.append((whole, (self.folder / f"{name}.yaml", cut.folder.name, ("--resume", *settings),
                                        4 if shards in settings else 3)))
        for (whole, job), cut in zip(resumed, self.train_all([job for _, job in resumed])):
            self.assertEqual(cut.outcome(), whole.outcome(), job[1])
        straight = {name: whole.outcome() for (name, _), whole in zip(jobs, straight)}
        self.assertEqual(straight["weights-1"], straight["weights-0"])      # for any partition of the optimizer state
        self.assertEqual(straight["weights-3"], straight["weights-2"])


if __name__ == "__main__":
    unittest.main()
