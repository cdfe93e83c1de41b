"""A cache whose process is killed at random moments, while it downloads and serves a peer: whatever
it claims afterwards is right."""

import os
import shutil
import sys
import time
import unittest

from support import DONE, KIB, MIB, LanwardTest, bytes_on_disk

# 200 for a thorough run.
ROUNDS = int(os.environ.get("LANWARD_KILL_ROUNDS", "6"))
SIZE = 24 * MIB + 5
# A round brings at most so much, or takes so long: kills come early, late and in between.
STEP = 4 * MIB
ROUND_SECONDS = 3.0
# What the two of a round may have got from the origin without it being proven on disk: of each of
# their four requests a piece that is not whole, and what sockets, transfer and workers hold.
IN_FLIGHT = 2 * 4 * (256 * KIB + MIB)


def sent_twice(requests):
    """Bytes among those sent that had been sent before."""
    sent = bytearray(SIZE)
    twice = 0
    for request in requests:
        first = int(request.range.removeprefix("bytes=").split("-")[0])
        end = first + request.sent
        twice += sum(sent[first:end])
        sent[first:end] = b"\x01" * request.sent
    return twice


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

    @staticmethod
    def account(origin, published, skipped):
        """Bytes the origin has sent, but for so many requests, and those sent again."""
        # A single byte answers the question how long the file is.
        requests = [r for r in origin.requests(published.name)[skipped:] if r.sent > 1]
        return sum(r.sent for r in requests), sent_twice(requests)

    def test_every_piece_that_is_claimed_after_a_kill_is_right(self):
        origin = self.start_origin(rate=8 * MIB)
        published = self.publish(origin, SIZE)
        caches = {"one": self.root / "one.cache", "two": self.root / "two.cache"}
        claimed = dict.fromkeys(caches, 0)
        gained = 0
        sent, twice = [], []  # each time that the caches began empty
        skipped = since = 0
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
            present = self.account(origin, published, skipped)
            with self.subTest(turn=turn):
                self.assertLessEqual(present[1], (turn - since) * IN_FLIGHT)
            if turn + 1 == ROUNDS:
                sent.append(present[0])
                twice.append(present[1])
            elif claimed["one"] > SIZE - STEP:
                for name, cache in caches.items():  # little is left to fetch: begin again
                    shutil.rmtree(cache)
                    claimed[name] = 0
                sent.append(present[0])
                twice.append(present[1])
                skipped, since = len(origin.requests(published.name)), turn + 1
        for name, cache in caches.items():
            output = self.root / f"{name}.out"
            got = self.get(published.url, output, "--no-peers", "--cache", cache)
            self.check_delivered(published, output, got.summary)
            self.assertEqual(got.summary["cached"], claimed[name])
        print(f"{ROUNDS} kills of each: the caches gained {gained / MIB:.1f} MiB that held, for "
              f"{sum(sent) / MIB:.1f} MiB from the origin, {sum(twice) / MIB:.1f} MiB of it for a "
              "second time", file=sys.stderr)


if __name__ == "__main__":
    unittest.main()
