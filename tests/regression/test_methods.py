#!/usr/bin/python3
"""Every criterion, granularity, allocation, schedule and regrowth gives one result on any number of ranks, also after a restart."""

import re
import unittest

import h5py
import numpy

from support import UNEVEN, EndToEnd, run, to_dense

ORDERED = UNEVEN.replace("train: {execution: sparse,", "train: {sum: ordered, slices: 8,")
N_M = ("prune={granularity: {type: n_m, n: 2, m: 4}, schedule: {type: cubic, start_step: 5, end_step: 40, every_steps: 7}, "
       "final_sparsity: 0.5}")      # without an allocation
UNITS = ("prune.granularity={type: row, norm: mean}",)
SCALES = (*UNITS, "model.4.prunable=false", "model.6.prunable=false")   # no batch_norm follows them
ALSO = {"activation": UNITS, "apoz": UNITS, "batch_norm_scale": SCALES}
NEEDS = {"per_layer": "{type: per_layer, sparsity: {dense1: 0.6}}", "one_shot": "{type: one_shot, at_step: 0}",
         "rewinding": "{type: rewinding, rounds: 2, to_step: 4}",
         "threshold": "{type: threshold, threshold: 1e9, start_step: 5, end_step: 40, every_steps: 7}"}


def members(kind):
    """The members of a family, from the output of --describe."""
    described = run("--describe").stdout
    return re.search(rf"^prune\.{kind}\.type\n.*\n    word, ([\w |]+);", described, re.MULTILINE).group(1).split(" | ")


STATIC = "prune={criterion: random, allocation: erk, schedule: {type: one_shot, at_step: 0}, final_sparsity: 0.7}"


def settings_for(kind, member):
    if kind == "regrow":
        keys = "" if member == "none" else ", fraction: 0.4, every_steps: 3"
        return STATIC.replace("final_", f"regrow: {{type: {member}{keys}}}, final_")
    if member == "n_m":
        return N_M
    return f"prune.{kind}={NEEDS[member]}" if member in NEEDS else f"prune.{kind}.type={member}"


def methods():
    """(name, settings) for every member of every family, with the other families at their defaults."""
    also = {"criterion": (), "allocation": (), "granularity": ("prune.final_sparsity=0.5",), "schedule": ("prune.criterion=taylor",),
            "regrow": ()}
    return [(f"{kind}-{member}", (settings_for(kind, member), "prune.layer_floor=0.01", *settings, *ALSO.get(member, ())))
            for kind, settings in also.items() for member in members(kind)]


STRAIGHT_THROUGH = [    # soft-pruned weights are trained, and may return
    ("straight-magnitude", ("prune.straight_through=true", "prune.layer_floor=0.01")),
    ("straight-some", ("prune.straight_through=true", "prune.hidden_trained=0.3", "prune.layer_floor=0.01")),
    ("straight-movement", ("prune.criterion=movement", "prune.straight_through=true", "prune.layer_floor=0.01")),
    ("straight-soft", ("prune={criterion: {type: movement, rate: 30, penalty: 0.001}, straight_through: true, layer_floor: 0.01, "
                       "schedule: {type: threshold, threshold: -0.2, start_step: 5, end_step: 40, every_steps: 7}, final_sparsity: 0.7}",)),
    ("straight-snip", ("prune.criterion=snip", "prune.schedule={type: one_shot, at_step: 20, rounds: 3}",
                       "prune.straight_through=true", "prune.layer_floor=0.01")),
    ("straight-n_m", (N_M.replace("cubic,", "cubic, initial_sparsity: 0.5,").replace("final_", "straight_through: true, final_"),
                      "prune.hidden_decay=0.02"))]
METHODS = methods() + STRAIGHT_THROUGH


class Methods(EndToEnd):
    def test_one_result_on_any_number_of_ranks(self):    # two ranks: see the restart below
        jobs = [(name, settings, ranks) for name, settings in METHODS for ranks in (1, 3, 8)]
        runs = self.train_all([(ORDERED, f"{name}-{ranks}", ("train.epochs=2", *settings), ranks) for name, settings, ranks in jobs])
        of = {(name, ranks): one for (name, _, ranks), one in zip(jobs, runs)}
        for name, _ in METHODS:
            for ranks in (3, 8):
                self.assertEqual(of[name, ranks].outcome(), of[name, 1].outcome(), f"{name} on {ranks} ranks")
        groups = ("granularity", "straight-n_m", "straight-soft", *(f"criterion-{member}" for member in ALSO))
        self.assertEqual(len({of[name, 1].summary["kept"] for name, _ in METHODS if not name.startswith(groups)}), 1)
        for kind in ("criterion", "allocation", "granularity", "regrow", "straight"):    # the results must differ
            hashes = {of[name, 1].summary["pattern_hash"] for name, _ in METHODS if name.startswith(kind)}
            self.assertGreaterEqual(len(hashes), 3, kind)

    def test_one_pattern_on_a_grid_of_shards(self):
        methods = [(name, settings) for name, settings in METHODS
                   if name.startswith(("allocation", "granularity")) or name == "criterion-random"]
        jobs = [(name, settings, ranks, shards) for name, settings in methods for ranks, shards in ((1, 1), (4, 2), (3, 3))]
        runs = self.train_all([
            (UNEVEN, f"grid-{name}-{ranks}", (*settings, f"prune.schedule={NEEDS['one_shot']}", "train.epochs=0",
             f"parallel.model_shards={shards}", *(["parallel.cut=outputs"] if name == "granularity-n_m" else [])), ranks)
            for name, settings, ranks, shards in jobs])
        of = {(name, ranks): one.summary["pattern_hash"] for (name, _, ranks, _), one in zip(jobs, runs)}
        for name, _ in methods:
            self.assertEqual({of[name, ranks] for ranks in (1, 4, 3)}, {of[name, 1]}, name)

    def test_regrowth_keeps_counts_however_ranks_share_the_work(self):
        jobs = [(member, ranks, settings) for member in ("none", "random", "gradient", "reserve") for ranks, settings in
                ((1, ()), (4, ("parallel.shard_optimizer=true",)), (4, ("parallel.model_shards=2",)),
                 (4, ("parallel.model_shards=2", "parallel.shard_optimizer=true")))]
        runs = self.train_all([
            (ORDERED, f"shared-{member}-{ranks}-{len(settings)}-{'shard_optimizer' in str(settings)}",
             (settings_for("regrow", member), *settings), ranks) for member, ranks, settings in jobs])
        of = {(member, ranks, settings): one for (member, ranks, settings), one in zip(jobs, runs)}
        def kept(one):
            return [layer["kept"] for layer in one.summary["layers"] if layer["prunable"]]
        for one in runs:
            self.assertEqual(kept(one), kept(runs[0]))
        for member in ("random", "gradient", "reserve"):
            own, shared, sharded, both = (one.outcome() for (name, *_), one in of.items() if name == member)
            self.assertEqual(shared, own, member)
            self.assertEqual(both, sharded, member)

    def test_one_regrown_pattern_on_a_grid_of_shards(self):
        # The learning rate is so small that weights do not change, so the order of gradient sums has no effect.
        settings = (settings_for("regrow", "random"), "optimizer={type: sgd, learning_rate: 1e-60}")
        runs = self.train_all([(UNEVEN, f"regrown-{ranks}", (*settings, f"parallel.model_shards={shards}"), ranks)
                               for ranks, shards in ((1, 1), (4, 2), (3, 3))])
        self.assertEqual(len({one.summary["pattern_hash"] for one in runs}), 1)

    def weights(self, name, *settings, epochs=0):
        """{layer: matrix}"""
        run = self.train(UNEVEN, name, f"train.epochs={epochs}", *settings)
        with h5py.File(run.checkpoints[-1]) as file:
            return {layer: to_dense(file[f"model/{layer}/weight"]) for layer in ("dense1", "dense2", "dense3")}

    def test_a_regularizer_leaves_zeros_and_events_remove_them(self):
        # L1 sets about half of the weights to 0, more than the 10 % of the schedule.
        settings = ("optimizer.regularizer={type: l1, strength: 0.1, warmup_epochs: 1}", "optimizer.type=sgd",
                    "optimizer.learning_rate=0.05", "prune.final_sparsity=0.1", "prune.layer_floor=0.01")
        remove = "prune.remove_zeros=true"
        left, removed, other, shared = self.train_all([
            (ORDERED.replace("adam", "sgd"), f"zeros-{ranks}-{len(more)}", (*settings, *more), ranks)
            for ranks, more in ((1, ()), (1, (remove,)), (3, (remove,)), (4, (remove, "parallel.shard_optimizer=true")))])
        self.assertAlmostEqual(left.summary["sparsity"], 0.1, delta=0.002)
        self.assertGreater(removed.summary["sparsity"], 0.2)
        self.assertEqual(other.outcome(), removed.outcome())
        self.assertEqual(shared.outcome(), removed.outcome())

    def test_group_lasso_empties_rows(self):
        lasso = self.weights("lasso", "optimizer={type: sgd, learning_rate: 0.05, regularizer: {type: group_l2, strength: 0.05}}",
                             "prune.final_sparsity=0.05", "prune.schedule.end_step=240", "prune.remove_zeros=true",
                             "prune.layer_floor=0.01", epochs=20)
        empty = {layer: int((matrix == 0).all(axis=1).sum()) for layer, matrix in lasso.items()}
        self.assertGreater(empty["dense2"], 2, empty)
        self.assertLess(empty["dense2"], 11, empty)

    def test_synflow_is_its_paper_in_numpy(self):
        rounds, sparsity = 7, 0.9
        first = {layer: numpy.abs(matrix) for layer, matrix in self.weights("first", "prune.final_sparsity=0").items()}
        size = sum(matrix.size for matrix in first.values())
        kept = {layer: numpy.ones_like(matrix) for layer, matrix in first.items()}
        scale = 1 / numpy.sqrt(1 + 1e-5)    # from the batch_norm of an untrained network, between dense1 and dense2
        for number in range(1, rounds + 1):
            one, two, three = (first[layer] * kept[layer] for layer in first)
            into_two, into_three = scale * one.sum(axis=1), two @ (scale * one.sum(axis=1))
            out_of_two = three.sum(axis=0)
            scores = {"dense1": one * (scale * (out_of_two @ two))[:, None], "dense2": two * numpy.outer(out_of_two, into_two),
                      "dense3": three * into_three[None, :]}
            for total in (score.sum() for score in scores.values()):    # the flow is conserved
                self.assertAlmostEqual(total / scores["dense1"].sum(), 1, places=12)
            keep = size - int(size * (1 - (1 - sparsity) ** (number / rounds)) * (1 + 1e-12))
            cut = numpy.sort(numpy.concatenate([score.ravel() for score in scores.values()]))[-keep]
            kept = {layer: (score >= cut).astype(float) for layer, score in scores.items()}
        ours = self.weights("synflow", "prune.criterion=synflow", "prune.layer_floor=0", f"prune.final_sparsity={sparsity}",
                            f"prune.schedule={{type: one_shot, at_step: 0, rounds: {rounds}}}")
        for layer, mask in kept.items():
            numpy.testing.assert_array_equal(ours[layer] != 0, mask != 0, layer)

    def test_synflow_keeps_every_layer_alive(self):
        model = "[" + "{layer: dense, units: 100}, {layer: relu}, " * 6 + "{layer: dense, units: 3}]"
        settings = (f"model={model}", "prune.layer_floor=0", "prune.final_sparsity=0.999", "train.epochs=0")
        alive = self.train(UNEVEN, "alive", *settings, "prune.criterion=synflow",
                           "prune.schedule={type: one_shot, at_step: 0, rounds: 100}", ranks=2)
        kept = {layer["name"]: layer["kept"] for layer in alive.summary["layers"] if layer["prunable"]}
        self.assertEqual(sum(kept.values()), 52)        # of 51,600
        self.assertGreaterEqual(min(kept.values()), 3, kept)
        # In some layers snip leaves only the minimum of one weight.
        starved = self.train(UNEVEN, "starved", *settings, "prune.criterion=snip",
                             "prune.schedule={type: one_shot, at_step: 0}", ranks=2)
        self.assertEqual(min(layer["kept"] for layer in starved.summary["layers"] if layer["prunable"]), 1)

    def test_a_restart_between_events_changes_nothing(self):
        names = [method for method in METHODS if method[0] != "schedule-one_shot"]
        names += [(f"{member}-on-shards", (settings_for("regrow", member), "parallel.model_shards=2",
                                           "parallel.shard_optimizer=true")) for member in ("random", "gradient", "reserve")]
        names += [("straight-on-shards", (*STRAIGHT_THROUGH[1][1], "parallel.model_shards=2", "parallel.shard_optimizer=true"))]
        # Sums of sharded gradients depend on the grid.
        fixed = ["model_shards" in str(settings) for _, settings in names]
        straight = self.train_all([(ORDERED, f"straight-{name}", ("checkpoint.keep=99", *settings), 4 if same else 2)
                                   for (name, settings), same in zip(names, fixed)])
        for (name, _), whole in zip(names, straight):
            self.cut(whole, f"cut-{name}", keep=3)
        resumed = self.train_all([(self.folder / f"straight-{name}.yaml", f"cut-{name}", ("--resume", *settings), 4 if same else 3)
                                  for (name, settings), same in zip(names, fixed)])
        for (name, _), whole, cut in zip(names, straight, resumed):
            self.assertEqual(cut.outcome(), whole.outcome(), name)


if __name__ == "__main__":
    unittest.main()
