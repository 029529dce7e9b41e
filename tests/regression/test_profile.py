#!/usr/bin/python3
"""--profile: the table, profile.csv and summary.json agree, and the option does not change the training."""

import csv
import math
import unittest

from support import CONVOLUTION, UNEVEN, UNEVEN_OTHERS, UNEVEN_WEIGHTS, EndToEnd, Run, run

STEP = ["input", "forward", "loss", "backward", "reduce", "update", "observe"]
STEPS = 52      # of UNEVEN


class Profile(EndToEnd):
    def profile(self, config, name, *arguments, ranks=None):
        """Trains with --profile: (run, parsed rows of profile.csv, standard output)."""
        path = self.write_config(config, f"{name}.yaml")
        done = run("--profile", path, f"run.output={self.folder}", f"run.name={name}", *arguments, ranks=ranks)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        with open(self.folder / name / "profile.csv", newline="") as file:
            rows = [{key: value if key in ("phase", "layer") else float(value or "nan") for key, value in row.items()}
                    for row in csv.DictReader(file)]
        return rows, done.stdout

    def test_a_run_with_events_on_two_ranks(self):
        rows, printed = self.profile(UNEVEN, "events", ranks=2)
        summary = Run(self.folder / "events").summary
        layers = ["dense1", "batch_norm1", "relu1", "dropout1", "dense2", "relu2", "dense3"]
        entered = [(row["phase"], row["layer"]) for row in rows]
        parts = [(phase, layer) for phase in STEP for layer in (layers if phase in ("forward", "backward") else [""])]
        self.assertEqual(entered[:len(parts)], parts)
        self.assertLessEqual({("prune", ""), ("evaluate", ""), ("checkpoint", "")}, set(entered[len(parts):]))

        of = dict(zip(entered, rows))
        self.assertEqual(of["prune", ""]["times"], 6)           # steps 5, 12, .., 40
        self.assertEqual(of["evaluate", ""]["times"], 4 + 1)    # epochs, and the test split
        self.assertEqual(of["checkpoint", ""]["times"], 8)      # every half epoch
        for part in ("input", "loss", "update"):
            self.assertEqual(of[part, ""]["times"], STEPS)
        self.assertAlmostEqual(sum(row["share"] for row in rows[:len(parts)]), 1, places=9)
        for row in rows:
            self.assertGreaterEqual(row["seconds"], 0)
            self.assertGreaterEqual(row["slowest_s"], row["seconds"])
            self.assertEqual(math.isnan(row["share"]), row["phase"] not in STEP)
        self.assertLess(sum(row["seconds"] for row in rows), summary["wall_s"])

        # The table has the same rows and values, and the total of the step.
        table = printed[printed.index("profile of 52 steps on 2 ranks"):]
        for row in rows:
            name = f"{row['phase']} {row['layer']}".strip()
            self.assertRegex(table, rf"(?m)^  {name} +{row['seconds']:.3f} +{row['slowest_s']:.3f} ", table)
        self.assertRegex(table, r"(?m)^  step +\d+\.\d{3} +- +1\.0000 ")
        # summary.json has the seconds of each phase, summed over layers.
        for phase in {row["phase"] for row in rows}:
            self.assertAlmostEqual(summary["seconds"][phase], sum(r["seconds"] for r in rows if r["phase"] == phase))

    def test_counters_of_a_dense_run(self):
        rows, _ = self.profile(UNEVEN, "dense", "prune.final_sparsity=0", ranks=2)
        of = {(row["phase"], row["layer"]): row for row in rows}
        # Rank 0 has half of every batch: 12 batches of 50 and one of 19 per epoch, 4 epochs.
        samples = 4 * (12 * 25 + 9)
        self.assertEqual(of["forward", "dense2"]["flops"], 2 * 23 * 11 * samples)
        self.assertEqual(of["backward", "dense2"]["flops"], 2 * 2 * 23 * 11 * samples)
        self.assertEqual(of["backward", "dense1"]["flops"], 2 * 13 * 23 * samples)     # no input gradient
        self.assertEqual(of["forward", "relu1"]["flops"], 0)
        numbers = UNEVEN_WEIGHTS + UNEVEN_OTHERS
        self.assertEqual(of["reduce", ""]["summed_bytes"], 4 * numbers * STEPS)
        self.assertGreater(of["forward", "batch_norm1"]["summed_bytes"], 0)
        self.assertEqual(of["update", ""]["moved_bytes"], 7 * 4 * numbers * STEPS)     # g; w, m, v read and written

    def test_one_rank_reduces_nothing_and_remaining_weights_count(self):
        rows, printed = self.profile(CONVOLUTION, "convolution", "prune.schedule={type: one_shot, at_step: 0}")
        of = {(row["phase"], row["layer"]): row for row in rows}
        self.assertEqual(sum(row["summed_bytes"] for row in rows), 0)
        self.assertEqual(of["prune", ""]["times"], 1)
        kept = {layer["name"]: layer["kept"] for layer in Run(self.folder / "convolution").summary["layers"]}
        self.assertEqual(of["forward", "conv2d1"]["flops"], 2 * kept["conv2d1.weight"] * 9 * 9 * 100)
        self.assertIn("profile of 4 steps on 1 rank\n", printed)

    def test_the_model_is_the_same(self):
        self.profile(UNEVEN, "profiled", "prune.final_sparsity=0")
        plain = self.train(UNEVEN, "plain", "prune.final_sparsity=0")
        self.assertEqual(Run(self.folder / "profiled").summary["weights_hash"], plain.summary["weights_hash"])
        self.assertNotIn("seconds", plain.summary)
        self.assertFalse((plain.folder / "profile.csv").exists())
        self.train(self.folder / "profiled.yaml", "profiled", "--overwrite", "train.epochs=1")
        self.assertFalse((self.folder / "profiled" / "profile.csv").exists())

    def test_a_run_without_a_step(self):
        rows, printed = self.profile(UNEVEN, "none", "train.epochs=0", "prune.schedule={type: one_shot}")
        self.assertEqual({row["phase"] for row in rows} & set(STEP), set())
        self.assertIn("profile of 0 steps", printed)


if __name__ == "__main__":
    unittest.main()
