#!/usr/bin/python3
"""--check --ranks: predictions for more ranks than are available."""

import csv
import json
import re
import subprocess
import sys
import unittest

from support import ENVIRONMENT, MPIRUN, ROOT, UNEVEN, UNEVEN_OTHERS, UNEVEN_WEIGHTS, EndToEnd, run

CLUSTER = """
name: test_cluster
ranks_per_node: 16
node: {latency_us: 0.5, bandwidth_gb_s: 4}
network: {latency_us: 1.5, bandwidth_gb_s: 12.5, algorithm: halving}
"""


class Scaling(EndToEnd):
    def plan(self, config, ranks, *arguments):
        """The plan in the form of --json."""
        done = run("--check", "--ranks", ranks, "--json", config, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_a_plan_for_many_ranks_has_all_its_parts(self):
        config, cluster = self.write_config(UNEVEN), self.write_config(CLUSTER, "cluster.yaml")
        done = run("--check", "--ranks", 4096, "--cluster", cluster, config, "parallel.model_shards=2")
        self.assertEqual(done.returncode, 0, done.stderr)
        for part in ("2048 replicas of 2 shards", "plan for 4,096 ranks on 256 nodes of cluster test_cluster",
                     "a prediction, not a measurement", "8 replicas in shared memory, then over 256 nodes: halving",
                     "density 1.0000", "density 0.3009", "memory", "gradients summed", "sent to other nodes",
                     "sent between shards", "forward, ms", "backward, ms", "computation, ms",
                     "communication, exposed, ms", "step, ms", "samples/s", "speed-up over one rank", "efficiency",
                     "GF/s", "Not included"):
            self.assertIn(part, done.stdout)
        self.assertEqual([p.name for p in self.folder.iterdir() if p.is_dir()], [])

    def test_the_values_of_a_plan_are_consistent(self):
        config, cluster = self.write_config(UNEVEN), self.write_config(CLUSTER, "cluster.yaml")
        plan = self.plan(config, 64, "--cluster", cluster, "--density", "0.5")
        self.assertEqual((plan["ranks"], plan["replicas"], plan["shards"], plan["rank_samples"]), (64, 64, 1, 1))
        dense, half = plan["densities"]
        self.assertEqual(dense["density"], 1)
        self.assertAlmostEqual(half["density"], 0.5, delta=1 / UNEVEN_WEIGHTS)
        self.assertLess(half["sent_bytes"], dense["sent_bytes"])
        for at in (dense, half):
            self.assertAlmostEqual(at["step_s"], at["compute_s"] + at["exposed_s"], delta=1e-12)
            self.assertAlmostEqual(at["samples_per_s"], 50 / at["step_s"], delta=1e-6 * at["samples_per_s"])
            self.assertAlmostEqual(at["speedup"], at["samples_per_s"] / at["one_rank_samples_per_s"], delta=1e-6)
            self.assertAlmostEqual(at["efficiency"], at["speedup"] / 64, delta=1e-9)
            self.assertAlmostEqual(at["sent_bytes"], 2 * 3 / 4 * at["summed_bytes"] / 16)
        alone = self.plan(config, 1)["densities"][0]
        self.assertEqual((alone["summed_bytes"], alone["sent_bytes"], alone["exposed_s"]), (0, 0, 0))
        self.assertEqual(alone["speedup"], 1)

    def test_two_ranks_sum_the_bytes_that_are_predicted(self):
        trained = self.train(UNEVEN, "trained", ranks=2)
        plan = self.plan(self.folder / "trained.yaml", 2)["densities"]
        self.assertEqual(plan[0]["summed_bytes"], 4 * (UNEVEN_WEIGHTS + UNEVEN_OTHERS))
        self.assertEqual(plan[1]["summed_bytes"], 4 * int(trained.history[-1]["values_reduced"]))

    def test_a_rank_needs_less_memory_on_more_of_them(self):
        config = self.write_config(UNEVEN)
        for settings in (["parallel.shard_optimizer=true"], ["train.sum=ordered", "train.slices=16"], []):
            one, many = (self.plan(config, ranks, *settings)["densities"][0] for ranks in (1, 16))
            self.assertLess(many["memory_bytes"], one["memory_bytes"])
        shared, whole = (self.plan(config, 16, *settings)["densities"][0]
                         for settings in (["parallel.shard_optimizer=true"], []))
        self.assertLess(shared["memory_bytes"], whole["memory_bytes"])
        self.assertGreater(shared["gathered_bytes"], whole["gathered_bytes"])

    def test_a_model_too_large_for_this_machine_can_be_planned(self):
        config = self.write_config(UNEVEN)
        plan = self.plan(config, 65536, "parallel.model_shards=65536", "model.0.units=300000", "model.4.units=300000",
                         "model.6.units=65536", "data.classes=65536", "train.global_batch=8")
        self.assertGreater(plan["densities"][0]["exchanged_bytes"], 0)
        self.assertLess(plan["densities"][0]["memory_bytes"], 1e9)

    def test_incompatible_files_are_rejected(self):
        config = self.write_config(UNEVEN)
        self.assert_refused(run("--check", "--ranks", 4098, config, "parallel.model_shards=4"),
                            "parallel.model_shards is 4", "4098 ranks", "one of 1, 2, 3, 6", "4098")
        self.assert_refused(run("--check", "--ranks", 9, config, "train.sum=ordered"), "train.slices is 8", "9 ranks")
        self.assert_refused(run("--ranks", 2, config), "--ranks", "--check")
        self.assert_refused(run("--check", "--json", config), "--json", "--ranks")
        self.assert_refused(run("--check", "--ranks", 0, config), "--ranks")
        self.assert_refused(run("--check", "--ranks", 2, "--density", 0, config), "--density")
        wrong = self.write_config(CLUSTER + "rank: {dense_gflop: 3}\n", "wrong.yaml")
        self.assert_refused(run("--check", "--ranks", 2, "--cluster", wrong, config), "rank.dense_gflop", "dense_gflops")
        self.assert_refused(run("--check", "--ranks", 2, "--cluster", self.folder / "none.yaml", config), "none.yaml")

    def test_describe_has_the_keys_of_a_cluster_file(self):
        done = run("--describe")
        self.assertRegex(done.stdout, r"network\.bandwidth_gb_s   \(--cluster FILE\)\n    .+\n    number, > 0; default 12\.5\n")
        page = (ROOT / "docs/scaling.md").read_text()
        for key in re.findall(r"^(\S+)   \(--cluster FILE\)$", done.stdout, re.MULTILINE):
            self.assertIn(f"| `{key}` |", page)

    def test_the_script_measures_and_predicts(self):
        config = self.write_config(UNEVEN)
        done = subprocess.run(["sh", ROOT / "scripts/scaling.sh", config, "--ranks", "1", "2", "--steps", "10", "--densities", "1", "--rounds", "1"],
                              env=dict(ENVIRONMENT, MPIRUN=" ".join(MPIRUN), PYTHON=sys.executable), cwd=ROOT,
                              timeout=120, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        rows = list(csv.DictReader(done.stdout.splitlines()))
        self.assertEqual([(row["scaling"], row["ranks"], row["global_batch"]) for row in rows],
                         [("strong", "1", "50"), ("strong", "2", "50"), ("weak", "1", "50"), ("weak", "2", "100")])
        for row in rows:
            self.assertGreater(float(row["samples_per_s"]), 0)
            self.assertGreater(float(row["predicted_samples_per_s"]), 0)


if __name__ == "__main__":
    unittest.main()
