#!/usr/bin/python3
"""Compares criteria based on gradients and activations with their formulas in NumPy, in double precision."""

import re
import subprocess
import sys
import unittest

import h5py
import numpy

from support import CONVOLUTION, ROOT, UNEVEN, EndToEnd, run, to_dense

SAMPLES, INPUTS, CLASSES = 48, 13, 3
LAYERS = ("dense1", "dense2", "dense3")
# Every batch contains all samples, so their order has no effect.
TWIN = """
run: {{name: twin, seed: 3, progress: lines}}
data: {{format: npy, directory: {folder}, train_inputs: x.npy, train_targets: y.npy, test_inputs: x.npy, test_targets: y.npy,
       normalization: none}}
model:
  - {{layer: dense, units: 23}}
  - {{layer: relu}}
  - {{layer: dense, units: 11}}
  - {{layer: relu}}
  - {{layer: dense, units: 3}}
train: {{execution: sparse, sum: ordered, slices: 4, epochs: 5, global_batch: 48, loss: cross_entropy}}
optimizer: {{type: sgd, momentum: 0, learning_rate: 0.2}}
prune: {{criterion: magnitude, schedule: {{type: one_shot, at_step: 5}}, layer_floor: 0, final_sparsity: 0.6}}
checkpoint: {{every_epochs: 1, keep: 99}}
"""
SHARDED = UNEVEN.replace("train: {execution: sparse,", "train: {sum: ordered, slices: 8,")


class Twin:
    """A NumPy reference of the network of TWIN."""

    def __init__(self, checkpoint):
        with h5py.File(checkpoint) as file:
            self.weights = [to_dense(file[f"model/{layer}/weight"]) for layer in LAYERS]
            self.biases = [to_dense(file[f"model/{layer}/bias"]).ravel() for layer in LAYERS]

    def activations(self, x):
        """The inputs and the outputs of each layer."""
        all_of = [x]
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases)):
            y = all_of[-1] @ weight.T + bias
            all_of.append(numpy.maximum(y, 0) if number < 2 else y)
        return all_of

    def gradients(self, x, y, along=None, step=0.0, temperature=1.0):
        """Gradients of the mean loss, at the weights or displaced by a step."""
        weights = self.weights
        if along is not None:
            self.weights = [weight + step * direction for weight, direction in zip(weights, along)]
        a = self.activations(x)
        shares = numpy.exp((a[3] - a[3].max(axis=1, keepdims=True)) / temperature)
        slope = (shares / shares.sum(axis=1, keepdims=True) - numpy.eye(CLASSES)[y]) / len(x) / temperature
        gradients = []
        for number in (2, 1, 0):
            gradients.insert(0, slope.T @ a[number])
            slope = (slope @ self.weights[number]) * (a[number] > 0)
        self.weights = weights
        return gradients


class Criteria(EndToEnd):
    def setUp(self):
        super().setUp()
        random = numpy.random.default_rng(5)
        self.x = random.normal(size=(SAMPLES, INPUTS)).astype(numpy.float32)
        self.y = random.integers(0, CLASSES, SAMPLES)
        numpy.save(self.folder / "x.npy", self.x)
        numpy.save(self.folder / "y.npy", self.y.astype(numpy.uint8))
        self.x = self.x.astype(float)
        self.config = TWIN.format(folder=self.folder)

    def before(self, *settings):
        """The reference run, which does not prune at step 5."""
        return self.train(self.config, "before", "prune.final_sparsity=0", *settings)

    def masks(self, name, *settings, ranks=None):
        pruned = self.train(self.config, name, *settings, ranks=ranks)
        return [weight != 0 for weight in Twin(pruned.checkpoints[-1]).weights]

    def assert_keeps_best(self, masks, scores, tolerance=1e-3):
        """Checks that the best scores are kept, except for ties with the last one within single-precision rounding."""
        mask = numpy.concatenate([mask.ravel() for mask in masks])
        score = numpy.concatenate([score.ravel() for score in scores])
        last = numpy.sort(score)[-mask.sum()]
        self.assertGreaterEqual(score[mask].min(), last - tolerance * abs(last))
        self.assertLessEqual(score[~mask].max(), last + tolerance * abs(last))
        self.assertLess((mask != (score >= last)).mean(), 0.01)

    def test_taylor(self):
        twin = Twin(self.before().checkpoints[-1])
        scores = [numpy.abs(g * w) for g, w in zip(twin.gradients(self.x, self.y), twin.weights)]
        self.assert_keeps_best(self.masks("taylor", "prune.criterion=taylor"), scores)

    def test_movement(self):
        checkpoints = self.before("prune.criterion=movement").checkpoints
        self.assertEqual(len(checkpoints), 5)
        first = self.train(self.config, "first", "prune.final_sparsity=0", "train.epochs=0")
        scores = [0.0, 0.0, 0.0]
        for checkpoint in (*first.checkpoints, *checkpoints[:-1]):
            twin = Twin(checkpoint)
            scores = [s - g * w for s, g, w in zip(scores, twin.gradients(self.x, self.y), twin.weights)]
        with h5py.File(checkpoints[-1]) as file:
            for layer, score in zip(LAYERS, scores):
                stored = file[f"optimizer/movement/{layer}/weight"][()].reshape(score.shape)
                numpy.testing.assert_allclose(stored, score, rtol=1e-4, atol=1e-6 * numpy.abs(score).max())
        self.assert_keeps_best(self.masks("movement", "prune.criterion=movement"), scores)
        rows = self.masks("rows", "prune.criterion=movement", "prune.granularity={type: row, norm: l1}")
        self.assertTrue(all((mask.all(axis=1) | ~mask.any(axis=1)).all() for mask in rows))
        for mask, score in zip(rows, scores):   # layer by layer, because each layer keeps at least one row, even of a low score
            kept, sums = mask.any(axis=1), score.sum(axis=1)
            if not kept.all():
                self.assertGreater(sums[kept].min(), sums[~kept].max())

    def test_movement_with_a_penalty(self):
        rate, penalty = 30, 0.002
        settings = (f"prune.criterion={{type: movement, rate: {rate}, penalty: {penalty}}}",)
        first = self.train(self.config, "first", "prune.final_sparsity=0", "train.epochs=0")
        sums, checkpoints = [0.0, 0.0, 0.0], self.before(*settings).checkpoints
        for checkpoint in (*first.checkpoints, *checkpoints[:-1]):
            twin = Twin(checkpoint)
            sums = [s - g * w for s, g, w in zip(sums, twin.gradients(self.x, self.y), twin.weights)]
            shares = [1 / (1 + numpy.exp(-rate * s)) for s in sums]
            sums = [s - penalty * share * (1 - share) for s, share in zip(sums, shares)]
        scores = rate * numpy.concatenate([s.ravel() for s in sums])
        threshold = -0.3
        self.assertTrue(0.1 < (scores > threshold).mean() < 0.9)
        masks = self.masks("soft", *settings, "prune.final_sparsity=0.99",
                           f"prune.schedule={{type: threshold, threshold: {threshold}, start_step: 5, end_step: 5}}")
        kept = numpy.concatenate([mask.ravel() for mask in masks])
        self.assertLess((kept != (scores > threshold)).mean(), 0.01)
        self.assertEqual(kept[numpy.abs(scores - threshold) > 1e-3].tolist(),
                         (scores > threshold)[numpy.abs(scores - threshold) > 1e-3].tolist())
        for below, warns in ((-1, True), (1, False)):
            done = run(self.write_config(UNEVEN), f"run.output={self.folder}", "--overwrite",
                       f"prune.schedule={{type: threshold, threshold: {below}, start_step: 5, end_step: 5}}")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual("warning: no weight was removed" in done.stdout, warns, done.stdout)

    def test_fisher(self):
        twin = Twin(self.before().checkpoints[-1])
        each = [twin.gradients(self.x[i:i + 1], self.y[i:i + 1]) for i in range(SAMPLES)]
        scores = [numpy.mean([g[layer] ** 2 for g in each], axis=0) * twin.weights[layer] ** 2 / 2 for layer in range(3)]
        # With one micro-batch per sample, each sample is used once.
        settings = (f"prune.criterion={{type: fisher, samples: 1, batches: {SAMPLES}}}",)
        self.assert_keeps_best(self.masks("fisher", *settings), scores)
        self.assert_keeps_best(self.masks("fisher-fast", *settings, "train.sum=fast", ranks=3), scores)
        # Blocks of one weight with little damping give the same result.
        self.assert_keeps_best(self.masks("wood", f"prune.criterion={{type: wood_fisher, samples: 1, batches: {SAMPLES}, "
                                                  "block: 1, damping: 1e-9}"), scores)
        one = [g ** 2 * w ** 2 for g, w in zip(twin.gradients(self.x, self.y), twin.weights)]    # from one batch of all samples
        self.assert_keeps_best(self.masks("fisher-one", f"prune.criterion={{type: fisher, samples: {SAMPLES}, batches: 1}}"), one)

    def test_wood_fisher(self):
        twin = Twin(self.before().checkpoints[-1])
        each = [twin.gradients(self.x[i:i + 1], self.y[i:i + 1]) for i in range(SAMPLES)]
        block, damping = 50, 1e-3
        settings = f"type: wood_fisher, samples: 1, batches: {SAMPLES}, block: {block}, damping: {damping}"
        scores, inverses = [], []
        for layer, weight in enumerate(twin.weights):
            gradients = numpy.array([g[layer].ravel() for g in each])
            places = [slice(first, first + block) for first in range(0, weight.size, block)]
            inverses.append([(place, numpy.linalg.inv(gradients[:, place].T @ gradients[:, place] / SAMPLES
                                                      + damping * numpy.eye(gradients[:, place].shape[1])))
                             for place in places])
            diagonal = numpy.concatenate([numpy.diag(inverse) for _, inverse in inverses[-1]])
            scores.append(weight ** 2 / (2 * diagonal.reshape(weight.shape)))
        self.assert_keeps_best(self.masks("wood", f"prune.criterion={{{settings}}}"), scores)
        self.assert_keeps_best(self.masks("wood-fast", f"prune.criterion={{{settings}}}", "train.sum=fast", ranks=3), scores)
        run = self.train(self.config, "update", f"prune.criterion={{{settings}, update: true}}", ranks=3)
        moved = Twin(run.checkpoints[-1]).weights
        self.assert_keeps_best([weight != 0 for weight in moved], scores)
        for weight, now, of_layer in zip(twin.weights, moved, inverses):
            for place, inverse in of_layer:     # the minimum of the quadratic form without the removed weights
                old, new = weight.ravel()[place], now.ravel()[place]
                gone = new == 0
                step = inverse[:, gone] @ numpy.linalg.solve(inverse[numpy.ix_(gone, gone)], old[gone])
                numpy.testing.assert_allclose(new[~gone], (old - step)[~gone], atol=2e-3 * numpy.abs(old).max())
        self.assertGreater(max(numpy.abs(now - weight)[now != 0].max() for weight, now in zip(twin.weights, moved)), 0.01)

    def test_straight_through(self):
        """Four reference steps: SGD on all weights, with the gradient at the masked weights."""
        rate, decay, sparsity = 0.2, 0.3, 0.6
        settings = ("prune.straight_through=true", f"prune.hidden_decay={decay}", "optimizer.weight_decay=0.1",
                    "prune.schedule={type: linear, initial_sparsity: 0.6, start_step: 1, end_step: 4, every_steps: 1}")
        run_of = self.train(self.config, "straight", *settings)
        other = self.train(self.config, "straight-other", *settings, "parallel.shard_optimizer=true", ranks=4)
        self.assertEqual(other.outcome(), run_of.outcome())
        steps = [(Twin(path), path) for path in run_of.checkpoints]
        def hidden(path):
            with h5py.File(path) as file:
                return [file[f"optimizer/hidden/{layer}/weight"][()] for layer in LAYERS]
        came_back = 0
        for (twin, path), (after, path_after) in zip(steps[:3], steps[1:4]):
            marks = [mark.reshape(weight.shape) for mark, weight in zip(hidden(path), twin.weights)]
            masters = twin.weights
            self.assertEqual(int(sum(mark.sum() for mark in marks)), int(sparsity * sum(mark.size for mark in marks)))
            magnitudes = numpy.concatenate([numpy.abs(weight).ravel() for weight in masters])
            flags = numpy.concatenate([mark.ravel() for mark in marks])
            self.assertLessEqual(magnitudes[flags == 1].max(), magnitudes[flags == 0].min())
            twin.weights = [weight * (1 - mark) for weight, mark in zip(masters, marks)]
            gradients = twin.gradients(self.x, self.y)
            moved = [w - rate * (g + (0.1 + decay * mark) * w) for w, g, mark in zip(masters, gradients, marks)]
            for layer in range(3):
                gone = after.weights[layer] == 0 if path_after == steps[3][1] else numpy.zeros(moved[layer].shape, bool)
                numpy.testing.assert_allclose(after.weights[layer], numpy.where(gone, 0, moved[layer]), rtol=1e-4, atol=1e-6)
            if path_after != steps[3][1]:
                came_back += sum(int(((old == 1) & (new.reshape(old.shape) == 0)).sum())
                                 for old, new in zip(marks, hidden(path_after)))
        self.assertGreater(came_back, 0)
        self.assertEqual(sum(int((weight != 0).sum()) for weight in steps[3][0].weights),
                         sum(weight.size for weight in steps[3][0].weights) - int(sparsity * sum(w.size for w in masters)))

        # The larger half of the soft-pruned weights is trained, the rest is frozen.
        some = self.train(self.config, "some", *settings, "prune.hidden_trained=0.5", "optimizer.momentum=0.9")
        shared = self.train(self.config, "some-shared", *settings, "prune.hidden_trained=0.5", "optimizer.momentum=0.9",
                            "parallel.shard_optimizer=true", ranks=4)
        self.assertEqual(shared.outcome(), some.outcome())
        for path, path_after in zip(some.checkpoints[:2], some.checkpoints[1:3]):
            weights, after = (numpy.concatenate([w.ravel() for w in Twin(one).weights]) for one in (path, path_after))
            with h5py.File(path_after) as file:
                momentum = numpy.concatenate([file[f"optimizer/momentum/{layer}/weight"][()].ravel() for layer in LAYERS])
            mark = numpy.concatenate([mark.ravel() for mark in hidden(path)])
            hidden_ones = int(sparsity * len(mark))
            self.assertEqual([int((mark == kind).sum()) for kind in (0, 1, 2)],
                             [len(mark) - hidden_ones, hidden_ones - hidden_ones // 2, hidden_ones // 2])
            self.assertLessEqual(numpy.abs(weights[mark == 2]).max(), numpy.abs(weights[mark == 1]).min())
            numpy.testing.assert_array_equal(after[mark == 2], weights[mark == 2])
            self.assertFalse(momentum[mark == 2].any())
            self.assertTrue((after[mark == 1] != weights[mark == 1]).mean() > 0.9)

        # Readers of a checkpoint omit soft-pruned weights, as the run does.
        said = run("evaluate", run_of.checkpoints[1], "--split", "test").stdout
        used = Twin(run_of.checkpoints[1])
        used.weights = [weight * (1 - mark.reshape(weight.shape)) for weight, mark in zip(used.weights, hidden(run_of.checkpoints[1]))]
        dense = self.folder / "dense.npz"
        subprocess.run([sys.executable, ROOT / "scripts/pruntrain_io.py", run_of.checkpoints[1], "--numpy", dense], check=True)
        for layer, weight in zip(LAYERS, used.weights):
            numpy.testing.assert_array_equal(numpy.load(dense)[f"{layer}.weight"], weight.astype(numpy.float32))
        last = used.activations(self.x)[3]
        shares = numpy.exp(last - last.max(axis=1, keepdims=True))
        expected = -numpy.log((shares / shares.sum(axis=1, keepdims=True))[numpy.arange(SAMPLES), self.y]).mean()
        self.assertAlmostEqual(float(re.search(r"^loss +(\S+)", said, re.MULTILINE)[1]), expected, places=5)

    def test_grasp(self):
        twin = Twin(self.before().checkpoints[-1])
        g = twin.gradients(self.x, self.y)
        step = 1e-6     # small enough that no activation changes its sign
        change = [(after - before) / (2 * step) for after, before in
                  zip(twin.gradients(self.x, self.y, g, step), twin.gradients(self.x, self.y, g, -step))]
        scores = [h * w for h, w in zip(change, twin.weights)]
        # The sign follows from the definition: removing a weight of high score reduces the gradient norm.
        def squares(number, row, column, share):
            away = [numpy.zeros_like(weight) for weight in twin.weights]
            away[number][row, column] = -twin.weights[number][row, column]
            return sum((one ** 2).sum() for one in twin.gradients(self.x, self.y, away, share))
        share = 1e-4
        for number in range(3):
            row, column = numpy.unravel_index(numpy.abs(scores[number]).argmax(), scores[number].shape)
            slope = (squares(number, row, column, share) - squares(number, row, column, -share)) / (2 * share)
            self.assertAlmostEqual(slope / (-2 * scores[number][row, column]), 1, places=3)
        self.assert_keeps_best(self.masks("grasp", "prune.criterion=grasp"), scores, tolerance=1e-2)
        g = twin.gradients(self.x, self.y, temperature=20)
        warm = [(after - before) / (2 * step) * w for after, before, w in
                zip(twin.gradients(self.x, self.y, g, step, 20), twin.gradients(self.x, self.y, g, -step, 20), twin.weights)]
        self.assert_keeps_best(self.masks("grasp-warm", "prune.criterion={type: grasp, temperature: 20}"), warm, tolerance=1e-2)
        self.assert_keeps_best(self.masks("grasp-fast", "prune.criterion=grasp", "train.sum=fast", ranks=3), scores,
                               tolerance=1e-2)

    def test_activations(self):
        twin = Twin(self.before().checkpoints[-1])
        behind = twin.activations(self.x)[1:]
        for criterion, score in (("activation", [numpy.abs(a).mean(axis=0) for a in behind]),
                                 ("apoz", [(a != 0).mean(axis=0) for a in behind])):
            masks = self.masks(criterion, f"prune.criterion={criterion}", "prune.granularity={type: row, norm: mean}",
                               "model.4.prunable=true", ranks=2)
            self.assertTrue(all((mask.all(axis=1) | ~mask.any(axis=1)).all() for mask in masks))
            kept = numpy.concatenate([mask.any(axis=1) for mask in masks])
            scores = numpy.concatenate(score)
            self.assertGreaterEqual(scores[kept].min(), scores[~kept].max() * (1 - 1e-6))
            self.assertLess(kept.sum(), len(kept))

    def test_activations_of_channels_with_a_relu_fused_into_pooling(self):
        random = numpy.random.default_rng(6)
        x = random.normal(size=(SAMPLES, 2, 9, 8)).astype(numpy.float32)
        numpy.save(self.folder / "x.npy", x)
        model = ("model=[{layer: conv2d, channels: 9, kernel: 3}, {layer: relu}, {layer: max_pool2d, kernel: 2}, {layer: flatten}, "
                 "{layer: dense, units: 3, prunable: false}]")
        first = self.train(self.config, "first", model, "prune.final_sparsity=0", "train.epochs=0")
        with h5py.File(first.checkpoints[-1]) as file:
            weight = file["model/conv2d1/weight"][()].reshape(9, 2, 3, 3).astype(float)
            bias = file["model/conv2d1/bias"][()].ravel()
        patches = numpy.lib.stride_tricks.sliding_window_view(x.astype(float), (3, 3), axis=(2, 3))
        active = numpy.maximum(numpy.einsum("ncrqij,ocij->norq", patches, weight) + bias[None, :, None, None], 0)
        for criterion, scores in (("activation", active.mean(axis=(0, 2, 3))), ("apoz", (active > 0).mean(axis=(0, 2, 3)))):
            run = self.train(self.config, criterion, model, f"prune.criterion={criterion}", "train.epochs=0",
                             "prune.granularity={type: row, norm: mean}", "prune.schedule.at_step=0", ranks=3)
            with h5py.File(run.checkpoints[-1]) as file:
                kept = (to_dense(file["model/conv2d1/weight"]).reshape(9, -1) != 0).all(axis=1)
            self.assertEqual(kept.sum(), 3)     # of 9, of which 0.4 may remain
            self.assertGreater(scores[kept].min(), scores[~kept].max())

    def test_one_result_on_images(self):
        rows = ("prune.granularity={type: row, norm: mean}", "prune.layer_floor=0.01", "prune.final_sparsity=0.4")
        ordered = CONVOLUTION.replace("train: {execution: sparse,", "train: {sum: ordered, slices: 4,")
        each = {"movement": (), "fisher": ("prune.criterion.samples=5",), "grasp": (),
                "wood_fisher": ("prune.criterion={type: wood_fisher, samples: 5, batches: 7, update: true}",),
                "activation": rows, "apoz": rows, "batch_norm_scale": (*rows, "model.4.prunable=false", "model.7.prunable=false")}
        jobs = [(name, ranks) for name in each for ranks in (1, 3)]
        runs = self.train_all([(ordered, f"{name}-{ranks}", (f"prune.criterion.type={name}", *each[name], "prune.schedule.at_step=3"),
                                ranks) for name, ranks in jobs])
        of = dict(zip(jobs, runs))
        for name in each:
            self.assertEqual(of[name, 3].outcome(), of[name, 1].outcome(), name)

    def test_batch_norm_scale(self):
        settings = ("model.4.prunable=false", "model.6.prunable=false", "prune.granularity={type: row, norm: mean}",
                    "prune.criterion=batch_norm_scale", "prune.schedule={type: one_shot, at_step: 40}", "train.epochs=4")
        before = self.train(UNEVEN, "before", *settings, "prune.final_sparsity=0", f"train.epochs={40 / 13}")
        with h5py.File(before.checkpoints[-1]) as file:
            scale = numpy.abs(file["model/batch_norm1/scale"][()]).ravel()
        pruned = self.train(UNEVEN, "pruned", *settings, f"train.epochs={40 / 13}", ranks=None)
        with h5py.File(pruned.checkpoints[-1]) as file:
            kept = (to_dense(file["model/dense1/weight"]) != 0).any(axis=1)
        self.assertEqual(kept.sum(), 6)     # of 23 rows, of which 0.3 may remain
        self.assertGreater(scale[kept].min(), scale[~kept].max())

    def test_state_is_partitioned_moved_and_restored(self):
        settings = ("prune.criterion=movement", "optimizer.clip_norm=1")
        shard = "parallel.shard_optimizer=true"
        whole, shared = self.train_all([(SHARDED, "whole", settings, 4), (SHARDED, "shared", (*settings, shard), 4)])
        self.assertEqual(shared.outcome(), whole.outcome())
        moving = (*settings, "parallel.model_shards=2", "parallel.rebalance_above=1", "checkpoint.keep=99")
        one, two = self.train_all([(SHARDED, "one", moving, 2), (SHARDED, "two", (*moving, shard), 4)])
        self.assertEqual(two.outcome(), one.outcome())
        cut = self.cut(two, "cut", keep=3)
        done = run(self.folder / "two.yaml", f"run.output={self.folder}", "run.name=cut", "--resume", *moving, ranks=2)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(cut.outcome(), one.outcome())
        other = run(self.folder / "two.yaml", f"run.output={self.folder}", "run.name=cut", "--resume", *moving,
                    "prune.criterion=magnitude", ranks=2)
        self.assert_refused(other, "movement", "the pruning that wrote it")

    def test_every_criterion_on_shards(self):
        rows = ("prune.granularity={type: row, norm: mean}", "prune.layer_floor=0.01")
        scales = (*rows, "model.4.prunable=false", "model.6.prunable=false")
        each = {"movement": (), "fisher": ("prune.criterion.batches=7",), "grasp": (), "activation": rows, "apoz": rows,
                "wood_fisher": ("prune.criterion={type: wood_fisher, batches: 7, update: true}",), "batch_norm_scale": scales}
        jobs = [(name, ranks) for name in each for ranks in (2, 6)]
        runs = self.train_all([(SHARDED, f"{name}-{ranks}", (f"prune.criterion.type={name}", *each[name], "parallel.model_shards=2"),
                                ranks) for name, ranks in jobs])
        of = dict(zip(jobs, runs))
        for name in each:
            self.assertEqual(of[name, 6].outcome(), of[name, 2].outcome(), name)

    def test_bad_input(self):
        config = self.write_config(UNEVEN)
        rows = "prune.granularity={type: row, norm: mean}"
        for settings, words in (
                (("prune.criterion=movement", "prune.schedule={type: one_shot, at_step: 0}"), ("prune.schedule", "step 0", "later")),
                (("prune.schedule={type: threshold, threshold: 0, at_step: 0}",), ("prune.schedule.at_step",)),
                (("prune.hidden_trained=0.5",), ("prune.hidden_trained", "straight_through is false")),
                (("prune.schedule={type: threshold}",), ("prune.schedule.threshold", "missing")),
                (("prune.schedule={type: threshold, threshold: 0}", "prune.granularity=row"),
                 ("prune.schedule", "rows by their L2 norm", "granularity to weight")),
                (("prune.schedule={type: threshold, threshold: 0}", "prune.allocation=uniform"),
                 ("prune.schedule", "uniform", "allocation to global")),
                (("prune.criterion=movement", "prune.allocation=lamp"), ("prune.allocation", "LAMP", "movement", "below 0")),
                (("prune.criterion=grasp", "reduce.precision=bf16"), ("prune.criterion", "GraSP", "bf16", "fp32")),
                (("prune.criterion={type: fisher, samples: 620}",), ("prune.criterion.samples", "620", "619")),
                (("prune.criterion={type: wood_fisher, damping: 0}",), ("prune.criterion.damping", ">= 1e-10")),
                (("prune.criterion=activation",), ("prune.granularity", "activation", "{type: row, norm: mean}")),
                (("prune.criterion=apoz", "prune.granularity=row"), ("prune.granularity", "L2 norm", "{type: row, norm: mean}")),
                (("prune.criterion=batch_norm_scale", rows), ("batch_norm", "dense2", "prunable: false"))):
            self.assert_refused(run("--check", config, *settings), *words)


if __name__ == "__main__":
    unittest.main()
