"""The other programs of the tree: the embedding example and the simulator."""

import json
import os
import subprocess
import unittest

from support import DEADLINE, MIB, LanwardTest


def run(*command):
    return subprocess.run([str(part) for part in command], capture_output=True, timeout=DEADLINE,
                          check=False)


class EmbeddingExample(LanwardTest):
    example = os.environ.get("EXAMPLE", "")

    def test_it_fetches_and_delivers_a_file(self):
        published = self.publish(self.start_origin(), 3 * MIB)
        output = self.root / "copy.img"
        done = run(self.example, published.url, output, self.root / "cache")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(output.read_bytes(), published.path.read_bytes())
        self.assertEqual(done.stdout.split()[-1], b"acknowledged")

    def test_it_names_the_cause_of_a_failure(self):
        origin = self.start_origin()
        done = run(self.example, f"http://127.0.0.1:{origin.port}/missing", self.root / "copy.img",
                   self.root / "cache")
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"404", done.stderr)
        self.assertFalse((self.root / "copy.img").exists())


class Simulator(unittest.TestCase):
    simulator = os.environ.get("SIMULATOR", "")
    site = ("--peers", "8", "--size", "64MiB", "--wan", "100Mbit", "--lan", "1Gbit")

    def test_one_seed_prints_the_same_bytes_twice(self):
        first, second = (run(self.simulator, "--seed", "5", *self.site) for _ in range(2))
        self.assertEqual(first.returncode, 0, first.stdout)
        self.assertEqual(first.stdout, second.stdout)
        self.assertTrue(first.stdout.startswith(b"seed 5\n"))

    def test_another_seed_is_another_run(self):
        first, second = (run(self.simulator, "--seed", seed, *self.site) for seed in "56")
        self.assertNotEqual(first.stdout.split(b"\n", 1)[1], second.stdout.split(b"\n", 1)[1])

    def test_json_tells_that_every_machine_got_the_file(self):
        done = run(self.simulator, "--seed", "5", *self.site, "--json")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(json.loads(done.stdout)["seed"], 5)

    def test_a_value_that_makes_no_sense_is_named(self):
        done = run(self.simulator, "--wan", "fast")
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"--wan", done.stderr)
        self.assertIn(b"fast", done.stderr)
