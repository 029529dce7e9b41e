#!/usr/bin/python3
"""Small trainings of every kind end with the bits that are recorded for this kind of processor (tests/golden/)."""

import os
import pathlib
import shutil
import sys
import tempfile
import unittest

from support import PRUNTRAIN, ROOT

sys.path.insert(0, str(ROOT / "tests/golden"))
import cases  # noqa: E402 (its folder is known only now)
import golden  # noqa: E402


@unittest.skipIf("ASAN_OPTIONS" in os.environ, "a program with sanitizers is compiled otherwise and rounds otherwise")
class Golden(unittest.TestCase):
    maxDiff = 4000

    @classmethod
    def setUpClass(cls):
        cls.expected, why_not = golden.recorded(PRUNTRAIN)
        if cls.expected is None:
            raise unittest.SkipTest(why_not)

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pruntrain_test_"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.cases, table = cases.load()
        self.workshop = golden.Workshop(table, self.folder)

    def test_the_small_set_ends_as_recorded(self):
        said = []

        def tell(case, verdict, lines, _):
            if verdict not in ("same", "left out"):
                said.append("\n    ".join([f"{case['name']}: {verdict}", *lines]))
        wanted = golden.chosen(self.cases, [], small=True)
        counts = golden.compare(self.workshop, PRUNTRAIN, wanted, lambda case: self.expected.get(case["name"]), tell)
        self.assertEqual(said, [])
        self.assertGreater(counts["same"], 8)

    def test_another_learning_rate_is_told(self):
        case = self.cases["grid-2x2"]
        changed, _ = self.workshop.start(PRUNTRAIN, case, more=["optimizer.learning_rate=0.00300001"]).result()
        lines = golden.differences(changed, self.expected["grid-2x2"])
        for name in ("weights_hash", "history", "test_loss"):
            self.assertIn(f"step 1: {name} {changed[0][name]}, not {self.expected['grid-2x2'][0][name]}", lines)


if __name__ == "__main__":
    unittest.main()
