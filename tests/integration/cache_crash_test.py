"""A cache whose process is killed at random moments, while it downloads and serves a peer: whatever
it claims afterwards is right."""

import os
import shutil
import sys
import time
import unittest

from support import DONE, MIB, LanwardTest, bytes_on_disk

# 200 for a thorough run.
ROUNDS = int(os.environ.get("LANWARD_KILL_ROUNDS", "6"))
SIZE = 24 * MIB + 5
# A round brings at most so much, or takes so long: kills come early, late and in between.
STEP = 4 * MIB
ROUND_SECONDS = 3.0


class KilledWhileServing(LanwardTest):
    def check_cache(self, cache):
        """Hashes every piece the cache claims; returns how many bytes it claims."""
        check = self.start_lanward("cache", "verify", "--cache", cache, "--json")
        self.assertEqual(check.wait(), DONE, check.story())
        for found in check.find("checked"):
            self.assertEqual(found["bad_pieces"], [], found)
        listed = self.start_lanward("cache", "list", "--cache", cache, "--json")
        self.assertEqual(listed.wait(), DONE, listed.story())
        return sum(c["verified"] for c in listed.find("content"))

    def test_every_piece_that_is_claimed_after_a_kill_is_right(self):
        origin = self.start_origin(rate=8 * MIB)
        published = self.publish(origin, SIZE)
        caches = {"one": self.root / "one.cache", "two": self.root / "two.cache"}
        claimed = dict.fromkeys(caches, 0)
        gained = 0
        for turn in range(ROUNDS):
            one = self.start_get(published.url, self.root / f"one-{turn}", "--cache",
                                 caches["one"], "--share", "forever")
            two = self.start_get(published.url, self.root / f"two-{turn}", "--cache",
                                 caches["two"], "--peer", one.address, "--share", "forever")
            target = bytes_on_disk(caches["one"]) + self.random.randrange(STEP)
            until = time.monotonic() + self.random.random() * ROUND_SECONDS
            while time.monotonic() < until and bytes_on_disk(caches["one"]) < target:
                os.sched_yield()
            one.kill()
            two.kill()
            for name, cache in caches.items():
                before, claimed[name] = claimed[name], self.check_cache(cache)
                self.assertGreaterEqual(claimed[name], before, "what was verified was lost")
                gained += claimed[name] - before
            if claimed["one"] > SIZE - STEP and turn + 1 < ROUNDS:
                for name, cache in caches.items():  # little is left to fetch: begin again
                    shutil.rmtree(cache)
                    claimed[name] = 0
        for name, cache in caches.items():
            output = self.root / f"{name}.out"
            got = self.get(published.url, output, "--no-peers", "--cache", cache)
            self.check_delivered(published, output, got.summary)
            self.assertEqual(got.summary["cached"], claimed[name])
        print(f"{ROUNDS} kills of each: the caches gained {gained / MIB:.1f} MiB that held, for "
              f"{origin.sent(published.name) / MIB:.1f} MiB from the origin", file=sys.stderr)


if __name__ == "__main__":
    unittest.main()
