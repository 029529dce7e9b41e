#!/usr/bin/python3
"""A short, fixed fault-injection campaign (tests/torture/campaign.py; `make torture` runs a long one)."""

import pathlib
import sys
import unittest

from support import ROOT, EndToEnd

sys.path.insert(0, str(ROOT / "tests/torture"))
import campaign  # noqa: E402 (its folder is known only now)


class Torture(EndToEnd):
    def test_nothing_is_lost(self):
        folder = pathlib.Path(self.folder)
        counts, _, lost = campaign.campaign(folder, faults=6, seed=7, minutes=2)
        self.assertEqual(lost, [])
        self.assertEqual(counts.total(), 6)
        self.assertGreaterEqual(len(counts), 3, counts)


if __name__ == "__main__":
    unittest.main()
