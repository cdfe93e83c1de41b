"""A small run of the whole lab: python3 -m unittest smoke_test, with LANWARD set to the binary."""

import contextlib
import io
import json
import os
import tempfile
import unittest
from pathlib import Path

import lab

LANWARD = os.environ.get("LANWARD", "")
SCENARIO = """
[file]
size = "8MiB"
[site]
peers = 2
wan = "400Mbit"
lan = "1Gbit"
"""


class SmallSite(unittest.TestCase):
    def setUp(self):
        if problem := lab.check_machine():
            self.skipTest(problem)
        self.directory = tempfile.TemporaryDirectory(prefix="lanward-lab-test-")
        self.addCleanup(self.directory.cleanup)
        self.root = Path(self.directory.name)

    def run_lab(self, *arguments):
        """Exit code and results."""
        (self.root / "s.toml").write_text(SCENARIO)
        results = self.root / "results.json"
        # .../api/lanward of a build
        build = Path(LANWARD).resolve().parent.parent
        with contextlib.redirect_stdout(io.StringIO()) as output:
            code = lab.main([str(self.root / "s.toml"), "--build", str(build), "--dir",
                             str(self.root), "--json", str(results), *arguments])
        self.output = output.getvalue()
        return code, json.loads(results.read_text())

    def test_two_peers_and_curl_get_the_file_and_every_byte_is_accounted_for(self):
        code, results = self.run_lab("--competitors", "curl")
        self.assertEqual(code, 0, self.output)
        ours, curl = results["runs"]["lanward"][0], results["runs"]["curl"][0]
        self.assertAlmostEqual(curl["egress"], 2.0, places=2)
        self.assertAlmostEqual(curl["egress_wire"], 2.0, delta=0.02)
        # Even a plain download of each is no more than that.
        self.assertGreaterEqual(round(ours["egress"], 2), 1.0)
        self.assertLess(ours["egress"], 2.1)
        for run in (ours, curl):
            self.assertGreater(run["ratio"], 1.0, self.output)
            self.assertEqual([peer["peer"] for peer in run["peers"]], [0, 1])
            self.assertTrue(all(peer["finished_s"] > 0 for peer in run["peers"]))
        self.assertEqual([p.name for p in self.root.glob("lanward-lab-*")], [])


if __name__ == "__main__":
    unittest.main()
