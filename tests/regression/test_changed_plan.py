#!/usr/bin/python3
"""A run that ends well has done what its plan says: resumed with another configuration, or in windows that do not fit."""

import shutil
import unittest

import h5py

from support import EndToEnd, Run, at_once, messages, run

# 400 training samples in batches of 20: 20 steps per epoch.
SMALL = """
run: {name: small, seed: 5, progress: lines}
data: {format: synthetic, samples: 500, shape: [12], classes: 4, validation_samples: 50, test_samples: 50}
model:
  - {layer: dense, units: 20}
  - {layer: relu}
  - {layer: dense, units: 4}
train: {epochs: 6, global_batch: 20, execution: density}
optimizer: {learning_rate: 0.003}
"""
PRUNED = SMALL + "prune: {final_sparsity: 0.5, schedule: {type: cubic, start_epoch: 1, end_epoch: 3, every_steps: 10}}\n"
PRUNABLE, BIASES = 12 * 20 + 20 * 4, 20 + 4


def kept(sparsity):
    return PRUNABLE - int(sparsity * PRUNABLE + 1e-9) + BIASES


class Trained(EndToEnd):
    """Runs that are copied before they are resumed, so that each is trained once."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.trained = {}

    def train(self, name, config, *settings, ranks=None, status=0):
        done = run(self.write_config(config, f"{name}.yaml"), f"run.output={self.folder}", f"run.name={name}", *settings, ranks=ranks)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return Run(self.folder / name), done

    def resume(self, name, config, *settings, ranks=None):
        return run("--resume", self.write_config(config, f"{name}.yaml"), f"run.output={self.folder}", f"run.name={name}", *settings,
                   ranks=ranks)

    def assert_refused(self, done, *words):
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        for word in words:
            self.assertIn(word, messages(done.stderr)[-1])


class Resumed(Trained):
    def resume_copies(self, source, jobs):
        """Resumes a copy of a run for each (name, config, settings). @return {name: (run, completed process)}"""
        for name, _, _ in jobs:
            shutil.copytree(source.folder, self.folder / name)
        done = at_once(lambda name, config, settings: self.resume(name, config, *settings), jobs)
        return {name: (Run(self.folder / name), result) for (name, _, _), result in zip(jobs, done)}

    def test_prune_events_of_the_past_are_made_up_for(self):
        dense, _ = self.train("dense", SMALL)
        later = "train.epochs=8"
        section = "schedule: {type: cubic, start_epoch: 1, end_epoch: 5, every_steps: 7}"
        results = self.resume_copies(dense, [
            ("cubic", SMALL + f"prune: {{final_sparsity: 0.9, {section}}}\n", [later]),
            ("one-shot", SMALL + "prune: {final_sparsity: 0.8, schedule: {type: one_shot, at_epoch: 2}}\n", [later]),
            ("before", SMALL + "prune: {final_sparsity: 0.8, criterion: snip, schedule: one_shot}\n", [later]),
            ("rows", SMALL + "prune: {final_sparsity: 0.5, granularity: row, schedule: {type: one_shot, at_epoch: 2}}\n", [later]),
            ("partly", SMALL + "prune: {final_sparsity: 0.9, schedule: {type: linear, start_epoch: 0, end_epoch: 7.5, every_steps: 10}}\n",
             [later]),
        ])
        for name, sparsity in {"cubic": 0.9, "one-shot": 0.8, "before": 0.8, "partly": 0.9}.items():
            resumed, done = results[name]
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(resumed.summary["kept"], kept(sparsity), name)
            self.assertRegex(done.stdout, r"the prune event of step \d+ is made up for")
            with h5py.File(resumed.checkpoints[-1]) as file:
                self.assertTrue(file.attrs["best_step"] == -1 or file.attrs["best_step"] > 120)    # not the dense one
            self.assertEqual(int(float(resumed.history[-1]["step"])), 160)
        self.assertEqual(results["rows"][0].summary["kept"], 10 * 12 + 80 + BIASES)     # the last layer's rows stay
        self.assertLess(float(results["partly"][0].history[6]["sparsity"]), 0.9)

    def test_a_higher_sparsity_is_reached(self):
        pruned, _ = self.train("pruned", PRUNED)
        results = self.resume_copies(pruned, [
            ("higher", PRUNED, ["train.epochs=8", "prune.final_sparsity=0.9"]),
            ("half", PRUNED, ["train.epochs=12", "prune={final_sparsity: 0.75}"]),    # its window ends where the run was
            ("layers", PRUNED, ["train.epochs=8", "model.2.prunable=false"]),
            ("same", PRUNED, ["train.epochs=8"]),
        ])
        for name, left in {"higher": kept(0.9), "half": kept(0.75), "same": kept(0.5)}.items():
            resumed, done = results[name]
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(resumed.summary["kept"], left, name)
        self.assertNotIn("made up for", results["same"][1].stdout)

    def test_what_cannot_be_reached_is_refused(self):
        pruned, _ = self.train("pruned", PRUNED)
        before = sorted(path.name for path in (pruned.folder / "checkpoints").iterdir())
        self.assert_refused(self.resume("pruned", PRUNED, "prune.final_sparsity=0.9"), "0.9", "train.epochs")
        self.assert_refused(self.resume("pruned", PRUNED, "train.epochs=8", "prune.final_sparsity=0.3"), "0.3", "0.5", "higher")
        self.assert_refused(self.resume("pruned", PRUNED, "train.epochs=4"), "epoch 6", "epoch 4", "train.epochs")
        self.assertEqual(before, sorted(path.name for path in (pruned.folder / "checkpoints").iterdir()))

    def test_another_split_of_the_data_is_refused(self):
        """Samples that the run was trained on would become validation or test samples."""
        trained, _ = self.train("split", SMALL, "train.epochs=1")
        for key, value, before in (("validation_samples", "60", "50"), ("test_samples", "0.2", "50"), ("split_seed", "1", "0"),
                                   ("stratified", "true", "false")):
            self.assert_refused(self.resume("split", SMALL, f"data.{key}={value}"), f"data.{key} is {value}, but it was {before}",
                                "run.start_from")
        done = self.resume("split", SMALL, "train.epochs=1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"time .* on 1 rank\n")      # no samples per second: nothing was left to train

    def test_a_result_that_is_not_the_plan_has_exit_status_1(self):
        config = SMALL + "prune: {final_sparsity: 0.5, schedule: {type: rewinding, rounds: 1}}\n"
        config = config.replace("units: 20}", "units: 20, prunable: false}").replace("epochs: 6", "epochs: 1")
        self.train("rewound", config, "--simulate-preempt", "30", status=75)
        done = self.resume("rewound", config, "model.0.prunable=true")    # its only event was before
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("final_sparsity", done.stderr)
        self.assertTrue((self.folder / "rewound" / "summary.json").exists())

    def test_a_pruned_run_without_its_prune_section_is_warned_of(self):
        self.train("cut", PRUNED, "--simulate-preempt", "40", status=75)
        done = self.resume("cut", SMALL)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"warning: .*there is no prune section")


class OtherBatch(Trained):
    def test_epochs_count_when_the_batch_changes(self):
        for name, batch, steps in (("larger", 40, 10), ("smaller", 10, 40), ("uneven", 30, 14)):
            first, _ = self.train(name, PRUNED, "--simulate-preempt", "70", status=75)   # epoch 3.5
            done = self.resume(name, PRUNED, f"train.global_batch={batch}", "--simulate-preempt", "75")
            self.assertEqual(done.returncode, 75, done.stderr)
            self.assertIn("an epoch had 20 steps", done.stdout)
            self.assertEqual(first.checkpoints[-1].name, "step_00000075.h5")
            with h5py.File(first.checkpoints[-1]) as file:
                self.assertEqual(file.attrs["step"] + file.attrs["step_offset"], 75)
                self.assertAlmostEqual(file.attrs["epoch"], (70 * steps // 20 + 5) / steps)
            done = self.resume(name, PRUNED, f"train.global_batch={batch}", ranks=2)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertNotIn("an epoch had", done.stdout)
            rows = [(float(row["step"]), float(row["epoch"])) for row in first.history]
            self.assertEqual(rows, sorted(rows))
            self.assertEqual(rows[-1], (70 + 6 * steps - 70 * steps // 20, 6))
            self.assertEqual(first.summary["kept"], kept(0.5))

    def test_a_part_of_the_data_is_no_end_of_the_run(self):
        fewer = PRUNED.replace("samples: 500", "samples: 300")
        run_, _ = self.train("fewer", PRUNED, "--simulate-preempt", "70", status=75)
        done = self.resume("fewer", fewer, "data.validation_samples=50")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(float(run_.history[-1]["epoch"]), 6)

    def test_resumed_runs_are_bit_identical_after_a_change(self):
        results = []
        for name, stops in (("straight", []), ("stopped", ["90"])):
            trained, _ = self.train(name, PRUNED, "--simulate-preempt", "70", status=75)
            for stop in stops:
                self.assertEqual(self.resume(name, PRUNED, "train.global_batch=40", "--simulate-preempt", stop).returncode, 75)
            self.assertEqual(self.resume(name, PRUNED, "train.global_batch=40").returncode, 0)
            results.append(trained.outcome())
        self.assertEqual(*results)

    def test_rewinding_needs_the_same_batch(self):
        config = SMALL + "prune: {final_sparsity: 0.5, schedule: {type: rewinding, rounds: 2}}\n"
        self.train("rewinding", config, "--simulate-preempt", "70", status=75)
        self.assert_refused(self.resume("rewinding", config, "train.global_batch=40"), "rewinding", "start_from")


class Windows(Trained):
    def check(self, schedule, *settings):
        config = self.write_config(SMALL + f"prune: {{final_sparsity: 0.5, schedule: {schedule}}}\n")
        return run("--check", config, *settings)

    def test_events_after_the_end_are_refused(self):
        for schedule, key in (("{type: cubic, start_epoch: 7, end_epoch: 26}", "start_epoch"), ("{type: one_shot, at_epoch: 6.5}", "at_epoch"),
                              ("{type: one_shot, at_step: 121}", "at_step"), ("{type: linear, start_step: 500, end_step: 600}", "start_step"),
                              ("{type: ac_dc, start_epoch: 9, end_epoch: 10}", "start_epoch"),
                              ("{type: exponential, start_epoch: 5, end_epoch: 26, every_steps: 20}", "start_epoch")):
            done = self.check(schedule)
            self.assert_refused(done, f"prune.schedule.{key}", "clamp: true")
            self.assertEqual(self.check(schedule.replace("}", ", clamp: true}")).returncode, 0)

    def test_regrowth_without_an_event_is_warned_of(self):
        for keys, warns in (("every_steps: 5, end_step: 4", True), ("every_steps: 4, end_step: 4", False),
                            ("every_steps: 100000", True), ("every_steps: 100000, clamp: true", False)):
            checked = run("--check", self.write_config(SMALL), "prune={final_sparsity: 0.5, schedule: {type: one_shot, at_step: 0}, "
                          f"allocation: erk, criterion: random, regrow: {{type: random, {keys}}}}}")
            self.assertEqual(checked.returncode, 0, checked.stderr)
            said = checked.stdout + checked.stderr
            self.assertEqual("no weight will be regrown: the first event would be at step" in said, warns, (keys, said))

    def test_regrowth_after_the_end_is_refused(self):
        late = "prune={final_sparsity: 0.5, schedule: cubic, regrow: {type: random, start_epoch: 7, end_epoch: 9"
        self.assert_refused(run("--check", self.write_config(SMALL), late + "}}"), "prune.regrow.start_epoch", "clamp: true")
        trained, _ = self.train("clamped", SMALL, late + ", clamp: true}}", "train.epochs=1")
        self.assertEqual(trained.summary["kept"], kept(0.5))
        self.assertEqual(run("evaluate", trained.folder, "train.epochs=2").returncode, 0)

    def test_a_window_that_is_cut_is_warned_of(self):
        done = self.check("{type: cubic, start_epoch: 1, end_epoch: 26, every_steps: 10}")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, r"warning: prune.schedule.end_epoch .* after the end of the run, which is epoch 6 \(step 120\)")
        self.assertIn("no training follows", done.stderr)

    def test_an_interval_that_is_too_long_is_warned_of(self):
        done = self.check("{type: cubic, start_epoch: 1, end_epoch: 2, every_steps: 100}")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("single event, at step 40", done.stderr)

    def test_a_window_that_fits_is_not_warned_of(self):
        for schedule in ("{type: cubic, start_epoch: 1, end_epoch: 3, every_steps: 10}", "{type: one_shot, at_epoch: 2}", "cubic",
                         "{type: ac_dc}"):
            done = self.check(schedule)
            self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_clamped_events_are_at_the_end(self):
        trained, _ = self.train("clamped", SMALL + "prune: {final_sparsity: 0.5, schedule: {type: cubic, start_epoch: 5, end_epoch: 26, "
                                "clamp: true}}\n", "train.epochs=1")
        self.assertEqual(trained.summary["kept"], kept(0.5))

    def test_pruning_without_training_allows_all_times(self):
        trained, _ = self.train("none", SMALL + "prune: {final_sparsity: 0.5, schedule: {type: cubic, start_epoch: 5, end_epoch: 26}}\n",
                                "train.epochs=0")
        self.assertEqual(trained.summary["kept"], kept(0.5))


class Outputs(Trained):
    ROWS = "prune: {final_sparsity: 0.8, granularity: row, layer_floor: 0, schedule: {type: one_shot, at_epoch: 1}}\n"

    def test_rows_of_the_last_layer_stay(self):
        trained, done = self.train("rows", SMALL + self.ROWS, "train.epochs=2")
        self.assertEqual(trained.summary["kept"], 4 * 12 + 80 + BIASES)
        self.assertNotIn("no weights left", done.stdout)
        self.assertIn("prunable: false", (trained.folder / "config.yaml").read_text())

    def test_rows_of_a_single_layer(self):
        single = self.write_config(SMALL.replace("  - {layer: dense, units: 20}\n  - {layer: relu}\n", "") + self.ROWS)
        self.assert_refused(run("--check", single), "no layer of the model is prunable", "leaves the last layer with weights alone", "granularity: weight",
                            "prunable: true")
        self.assertEqual(run("--check", single, "model.0.prunable=true", "prune.final_sparsity=0.5").returncode, 0)

    def test_rows_of_the_last_layer_are_pruned_if_asked_for(self):
        scaled = SMALL.replace("units: 4}", "units: 4, prunable: true}")
        for ranks, settings in ((1, ()), (2, ("parallel.model_shards=2",))):
            trained, done = self.train(f"asked{ranks}", scaled + self.ROWS.replace("row,", "{type: row, norm: l1},"), "train.epochs=2", *settings, ranks=ranks)
            self.assertRegex(done.stdout, r"warning: step 20: outputs [0-3, ]+ of the network \([1-3] in all\) have no weights left")


if __name__ == "__main__":
    unittest.main()
