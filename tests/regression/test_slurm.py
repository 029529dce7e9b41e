#!/usr/bin/python3
"""The batch scripts on a local SLURM that these tests start; needs root and Debian's packages."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from support import ENVIRONMENT, HANG_S, ROOT, UNEVEN, EndToEnd, Run, run

SCRIPTS = pathlib.Path("scripts/slurm")
CLUSTER = ROOT / "tests" / "support" / "slurm.sh"
NODE_TIMEOUT_S = 60     # until SLURM declares a silent node down
# Endless and slow: checkpoints take most of the time. The end is set after the interruption.
ENDLESS = UNEVEN.replace("epochs: 4,", "epochs: 100000,").replace("every_epochs: 0.5", "every_epochs: 0.1")
SLURM = {
    "SLURM_TEST_CPUS": "4",
    "SLURM_TEST_KILL_WAIT": "5",
    # A partition whose jobs are preempted, with notice, by those of another one.
    "SLURM_TEST_EXTRA": "\n".join((
        "PreemptType=preempt/partition_prio",
        "PreemptMode=REQUEUE",
        "SlurmctldParameters=preempt_send_user_signal",
        "PartitionName=low Nodes=ALL PriorityTier=1 GraceTime=20 PreemptMode=REQUEUE",
        "PartitionName=urgent Nodes=ALL PriorityTier=9 PreemptMode=OFF")),
    # Open MPI as root, without network, with more ranks than cores.
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_btl": "self,vader,tcp",
    "OMPI_MCA_btl_tcp_if_include": "lo",
    "OMPI_MCA_oob_tcp_if_include": "lo",
    "OMPI_MCA_mpi_yield_when_idle": "1",
    "OMPI_MCA_hwloc_base_binding_policy": "none",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
}


def hashes(trained):
    return trained.summary["pattern_hash"], trained.summary["weights_hash"]


class Slurm(EndToEnd):
    """Common code of the tests of both clusters."""
    nodes = 1
    configuration = ""

    @classmethod
    def setUpClass(cls):
        cls.environment = dict(ENVIRONMENT, **SLURM, SLURM_TEST_NODES=str(cls.nodes))
        cls.environment["SLURM_TEST_EXTRA"] += "\n" + cls.configuration
        cls.cluster = tempfile.mkdtemp(prefix="pruntrain_slurm_", dir="/tmp")
        cls.addClassCleanup(shutil.rmtree, cls.cluster, ignore_errors=True)
        started = subprocess.run([CLUSTER, "start", cls.cluster], env=cls.environment, capture_output=True, text=True)
        if started.returncode != 0:
            raise unittest.SkipTest(started.stderr.strip().splitlines()[-1])
        cls.addClassCleanup(subprocess.run, [CLUSTER, "stop", cls.cluster], env=cls.environment, check=True)
        cls.environment["SLURM_CONF"] = started.stdout.strip().split("=", 1)[1]

    def call(self, *words, **environment):
        done = subprocess.run(list(map(str, words)), env=dict(self.environment, **environment), cwd=ROOT,
                              capture_output=True, text=True, timeout=HANG_S)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def config(self, content, name):
        """A configuration named like its run, in the common run folder."""
        return self.write_config(content.replace("name: uneven", f"name: {name}, output: {self.folder}"), f"{name}.yaml")

    def submit(self, script, *arguments, options=(), ranks=1, starter=("sbatch", "--parsable"), **environment):
        """@return the job IDs; the jobs end with the test"""
        jobs = self.call(*starter, f"--ntasks-per-node={ranks}", f"--output={self.folder}/%x_%A_%a.log", *options,
                         SCRIPTS / script, *arguments, **environment).split()
        self.addCleanup(subprocess.run, ["scancel", *jobs], env=self.environment)
        return jobs

    def job(self, number, key):
        return re.search(rf"\b{key}=(\S+)", self.call("scontrol", "--oneliner", "show", "job", number))[1]

    def log(self, number):
        return "".join(path.read_text() for path in sorted(self.folder.glob(f"*_{number}_*.log")))

    def wait_for(self, condition, what, number, seconds=HANG_S):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                self.fail(f"{what}\n{self.call('scontrol', '--oneliner', 'show', 'job', number)}\n{self.log(number)}")
            time.sleep(0.1)

    def wait_for_state(self, number, *states):
        self.wait_for(lambda: self.job(number, "JobState") in states, f"job {number} is not {states}", number)

    def wait_for_progress(self, number, name):
        """Waits until a new checkpoint is written."""
        def newest():
            return [path.name for path in Run(self.folder / name).checkpoints[-1:]]
        before = newest()
        self.wait_for(lambda: newest() != before, f"job {number} does not train", number)

    def wait_until_requeued(self, number, restarts):
        self.wait_for(lambda: self.job(number, "JobState") == "PENDING" and self.job(number, "Restarts") == str(restarts),
                      f"job {number} is not queued again", number)
        self.wait_for(lambda: self.log(number).count(", queued again (restart") == restarts, "it does not say so", number)

    def start_now(self, number):
        """Starts a requeued job early; SLURM would hold it for two minutes."""
        self.wait_for(lambda: subprocess.run(["pgrep", "--full", rf"slurmstepd: \[{number}\."], capture_output=True).returncode,
                      f"job {number} is not cleared away", number)
        time.sleep(0.5)     # slurmd removes its folder

        def started():
            state = self.job(number, "JobState")
            if state == "PENDING":      # fails if it has just started
                subprocess.run(["scontrol", "update", f"JobId={number}", "StartTime=now"], env=self.environment,
                               capture_output=True)
            self.assertNotEqual(state, "FAILED", self.log(number))
            return state in ("RUNNING", "COMPLETED")
        self.wait_for(started, f"job {number} does not start again", number)

    def check_stopped(self, number, name, why="SIGUSR1"):
        """@return the step at which the run was last stopped; its reported checkpoint is valid"""
        step, said, path = re.findall(r"^stopped at step (\d+) of \d+ by (\S+): (\S+) is saved, resume with --resume$",
                                      self.log(number), re.MULTILINE)[-1]
        self.assertEqual(said, why)
        self.assertEqual(path, str(Run(self.folder / name).checkpoints[-1]))
        self.assertEqual(run("inspect", path).returncode, 0)
        self.assertFalse((self.folder / name / "summary.json").exists())
        return int(step)

    def check_it_ends_as_undisturbed(self, number, name, content=ENDLESS, ranks=1):
        """Sets the end of a stopped endless run, continues it, and compares it with an undisturbed run."""
        begun = "stopped at step" in self.log(number)       # otherwise the signal came before the first step
        step = self.check_stopped(number, name) if begun else 0
        self.check_it_goes_on(number, name, step, f"resuming from {self.folder}/{name}/checkpoints/step_{step:08d}.h5" if begun else
                              "no checkpoint to resume from", content, ranks)

    def check_it_goes_on(self, number, name, step, saying, content, ranks):
        """Sets the end of a requeued endless run after this step."""
        content = content.replace("epochs: 100000", f"epochs: {max(4, step // 13 + 2)}")
        self.config(content, name)
        self.start_now(number)
        straight = self.train(content, f"straight_{name}", "checkpoint.every_epochs=0", ranks=ranks)
        self.wait_for_state(number, "COMPLETED")
        self.assertIn(saying, self.log(number))
        self.assertEqual(hashes(Run(self.folder / name)), hashes(straight))


class OneNode(Slurm):
    def test_array_of_two_seeds(self):
        config = self.config(UNEVEN, "seeds")
        array, = self.submit("array_seeds.sbatch", config, options=("--array=1-2",))
        for seed in (1, 2):
            straight = self.train(UNEVEN, f"straight_{seed}", f"run.seed={seed}", ranks=1)
            self.wait_for_state(f"{array}_{seed}", "COMPLETED")
            self.assertEqual(Run(self.folder / f"seeds_seed_{seed}").outcome(), straight.outcome())

    def test_chain(self):
        # The first job stops at step 20, the second one continues; the others are not needed.
        config = self.config(UNEVEN, "chained")
        jobs = self.submit("pruntrain.sbatch", config, "--simulate-preempt", 20, starter=(SCRIPTS / "chain.sh", "4"))
        self.assertEqual(len(jobs), 4)
        for number, state in zip(jobs, ("FAILED", "COMPLETED", "CANCELLED", "CANCELLED")):
            self.wait_for_state(number, state)
        self.assertEqual(self.job(jobs[0], "ExitCode"), "75:0")
        self.assertIn("step_00000020.h5 at step 20", self.log(jobs[1]))
        self.assertEqual(hashes(Run(self.folder / "chained")), hashes(self.train(UNEVEN, "straight", ranks=1)))
        last, = self.submit("pruntrain.sbatch", config)     # a finished run exits at once
        self.wait_for_state(last, "COMPLETED")

    def test_requeued_up_to_the_limit(self):
        config = self.config(ENDLESS, "capped")
        number, = self.submit("pruntrain.sbatch", config, PRUNTRAIN_MAX_RESTARTS="1")
        self.wait_for_progress(number, "capped")
        self.call("scancel", "--batch", "--signal=USR1", number)
        self.wait_until_requeued(number, 1)
        self.start_now(number)
        self.wait_for_progress(number, "capped")
        self.call("scancel", "--batch", "--signal=TERM", number)
        self.wait_for_state(number, "FAILED")
        self.assertEqual(self.job(number, "ExitCode"), "75:0")
        self.assertIn("interrupted after 1 restarts, PRUNTRAIN_MAX_RESTARTS is 1: not queued again", self.log(number))
        self.check_stopped(number, "capped")

    def test_preempted(self):
        # srun forwards signals of the script to its ranks, as mpirun does.
        config = self.config(ENDLESS, "preempted")
        number, = self.submit("many_nodes.sbatch", config, options=("--nodes=1", "--partition=low"), ranks=2,
                              PRUNTRAIN_LAUNCHER="srun --mpi=pmix")
        self.wait_for_progress(number, "preempted")
        urgent = self.call("sbatch", "--parsable", "--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=true")
        self.wait_until_requeued(number, 1)
        self.wait_for_state(urgent.strip(), "COMPLETED")
        self.check_it_ends_as_undisturbed(number, "preempted", ranks=2)

    def test_cancelled(self):
        config = self.config(ENDLESS, "cancelled")
        number, = self.submit("pruntrain.sbatch", config, ranks=2)
        self.wait_for_progress(number, "cancelled")
        self.call("scancel", number)
        self.wait_for(lambda: self.call("squeue", "--noheader", "--jobs", number) == "", "job is still there", number)
        self.assertEqual(self.job(number, "JobState"), "CANCELLED")
        self.check_stopped(number, "cancelled")
        left = subprocess.run(["pgrep", "--full", str(config)], capture_output=True, text=True)
        self.assertEqual(left.stdout, "")

    def test_invalid_input_is_not_requeued(self):
        number, = self.submit("many_nodes.sbatch", self.config(UNEVEN, "wrong"), "train.epochs=-1",
                              options=("--nodes=1",), ranks=2)
        self.wait_for_state(number, "FAILED")
        self.assertEqual(self.job(number, "ExitCode"), "2:0")
        self.assertIn("train.epochs", self.log(number))

    def test_zz_time_limit(self):
        # The last test: SLURM checks the limits every 30 s, counted from its start.
        config = self.config(ENDLESS, "limited")
        number, = self.submit("pruntrain.sbatch", config, options=("--time=1", "--signal=B:USR1@58"), ranks=2)
        self.wait_until_requeued(number, 1)
        self.call("scontrol", "update", f"JobId={number}", "TimeLimit=10")
        self.check_it_ends_as_undisturbed(number, "limited", ranks=2)


class FourNodes(Slurm):
    nodes = 4
    configuration = f"SlurmdTimeout={NODE_TIMEOUT_S}"

    def start(self, content, name, *arguments, nodes=2, launcher="mpirun"):
        """Four nodes with two ranks each."""
        launcher = {"mpirun": {}, "srun": {"PRUNTRAIN_LAUNCHER": "srun --mpi=pmix"}}[launcher]
        return self.submit("many_nodes.sbatch", self.config(content, name), *arguments, options=(f"--nodes={nodes}",), ranks=2,
                           **launcher)[0]

    def last_node(self, number):
        return self.call("scontrol", "show", "hostnames", self.job(number, "NodeList")).split()[-1]

    def processes(self, node):
        """@return {process ID: command} of all processes there"""
        def machine(pid):
            return os.readlink(f"/proc/{pid}/ns/uts")
        wanted, found = machine((pathlib.Path(self.cluster) / f"slurmd_{node}.pid").read_text().strip()), {}
        self.assertNotEqual(wanted, machine("self"))
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):      # some exit in the meantime
                if machine(pid) == wanted:
                    found[int(pid)] = pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
        return found

    def test_complete_with_mpirun_and_with_srun(self):
        numbers = {name: self.start(UNEVEN, name, launcher=name) for name in ("mpirun", "srun")}
        straight = self.train(UNEVEN, "straight", ranks=4)
        for name, number in numbers.items():
            self.wait_for_state(number, "COMPLETED")
            self.assertEqual(self.job(number, "NumNodes"), "2")
            self.assertEqual(Run(self.folder / name).outcome(), straight.outcome())

    def test_resumes_on_fewer_nodes(self):
        content = ENDLESS.replace("train: {", "train: {sum: ordered, ")
        number = self.start(content, "fewer", nodes=3, launcher="srun")
        self.wait_for_progress(number, "fewer")
        self.call("scancel", "--batch", "--signal=USR1", number)
        self.wait_until_requeued(number, 1)
        self.call("scontrol", "update", f"JobId={number}", "NumNodes=2-2", "NumTasks=4")
        self.check_it_ends_as_undisturbed(number, "fewer", content, ranks=2)
        self.assertIn("on 6 ranks", self.log(number))
        self.assertIn("on 4 ranks", self.log(number))

    def test_a_hung_rank_is_reported_with_its_node(self):
        number = self.start(ENDLESS, "still", "run.stall_s=3", "run.on_stall=abort")
        self.wait_for_progress(number, "still")
        node = self.last_node(number)
        pid = next(pid for pid, command in self.processes(node).items() if command == "pruntrain")
        os.kill(pid, signal.SIGSTOP)
        self.wait_for_state(number, "FAILED")
        self.assertEqual(self.job(number, "ExitCode"), "1:0")
        self.assertRegex(self.log(number), rf"warning: rank [23] on {node}, in step \d+, phase \w+, has been silent for .*: the run is aborted")
        self.assertNotIn("has lost a node", self.log(number))

    def test_zz_nodes_fail(self):
        # mpirun notices at once, and the script requests the requeue; srun waits for SLURM, which requeues by itself.
        numbers = {name: self.start(ENDLESS, name, launcher=name) for name in ("mpirun", "srun")}
        for name, number in numbers.items():
            self.wait_for_progress(number, name)
            for pid in self.processes(self.last_node(number)):      # simulates a power failure
                os.kill(pid, signal.SIGKILL)
        for name, number in numbers.items():
            # The job is COMPLETING until SLURM declares the node down, also if the script has requested the requeue.
            self.wait_for(lambda: self.job(number, "Restarts") == "1" and self.job(number, "JobState") != "COMPLETING",
                          f"job {number} is not queued again", number, NODE_TIMEOUT_S + HANG_S)
            step = int(Run(self.folder / name).checkpoints[-1].stem.split("_")[1])
            self.check_it_goes_on(number, name, step, f"resuming from {self.folder}/{name}/checkpoints/step_{step:08d}.h5", ENDLESS, 4)
        self.assertIn(f"job {numbers['mpirun']}: has lost a node, queued again (restart 1 of", self.log(numbers["mpirun"]))
        self.assertIn("DUE TO NODE FAILURE", self.log(numbers["srun"]))


if __name__ == "__main__":
    unittest.main()
