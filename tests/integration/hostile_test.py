"""Peers that mean harm, over real sockets: honest ones get on, and what it costs is bounded.

tests/bench/hostile_bench.py does the same at full size.
"""

import os
import unittest

from hostile_scenarios import ADVERSARIES, compare, fetching, serving
from support import LanwardTest

# What the worst of them may cost besides. The memory of an idle process differs by some MiB from
# run to run; processor time is that of a second or so until somebody is found out, several times,
# since a second is long on a machine that has other things to do.
MEMORY_MIB = 32
CPU_SECONDS = 4.0
# Messages that only libtorrent reads are noticed once a second: until then five lines that are as
# fast as the processor fill what the kernel and libtorrent have for them.
UNSEEN_MEMORY_MIB = 256
UNSEEN_CPU_SECONDS = 12.0
# Of one connection that comes to nothing: a socket, a handshake and its end.
CPU_PER_CONNECTION = 0.005
# Sanitizers have an account of their own.
BOUNDED = os.environ.get("SANITIZED", "") == ""


class Hostile(LanwardTest):
    def check(self, calm, attacked, cpu=CPU_SECONDS, memory=MEMORY_MIB):
        if BOUNDED:
            self.assertLess(attacked["peak_mib"], calm["peak_mib"] + memory)
            self.assertLess(attacked["cpu_s"], calm["cpu_s"] + cpu)


class Floods(Hostile):
    """200 connections a second."""

    def check_flood(self, kind, group=False):
        calm, attacked = compare(self, serving, kind, seconds=3, group=group)
        self.assertGreater(attacked["connected"], 0)
        self.check(calm, attacked, 0.5 + CPU_PER_CONNECTION * attacked["connected"])
        return attacked

    def test_that_say_nothing(self):
        self.check_flood("nothing")

    def test_that_say_garbage(self):
        self.check_flood("garbage")

    def test_that_say_half_a_handshake(self):
        self.check_flood("half")

    def test_that_know_the_content_and_say_no_more(self):
        attacked = self.check_flood("full")
        self.assertGreater(attacked["cut"], 0)

    def test_that_know_the_content_of_a_group_and_prove_nothing(self):
        attacked = self.check_flood("full", group=True)
        self.assertGreater(attacked["cut"], 0)


class Garbage(Hostile):
    """As fast as it goes over good connections, by five peers."""

    def check_garbage(self, kind, *bounds, group=False):
        calm, attacked = compare(self, serving, kind, seconds=5, group=group)
        self.assertGreater(attacked["sent"], 10_000_000)
        self.assertGreaterEqual(attacked["cut"], ADVERSARIES)
        self.check(calm, attacked, *bounds)

    def test_lengths_without_end(self):
        self.check_garbage("lengths")

    def test_messages_that_nobody_knows(self):
        self.check_garbage("unknown")

    def test_malformed_dictionaries(self):
        self.check_garbage("dictionaries", UNSEEN_CPU_SECONDS, UNSEEN_MEMORY_MIB)

    def test_malformed_dictionaries_of_members(self):
        self.check_garbage("dictionaries", UNSEEN_CPU_SECONDS, UNSEEN_MEMORY_MIB, group=True)

    def test_requests_of_hashes(self):
        self.check_garbage("hashes")

    def test_lease_messages(self):
        self.check_garbage("leases")

    def test_lease_messages_of_members(self):
        self.check_garbage("leases", group=True)

    def test_lease_messages_that_nobody_can_read(self):
        self.check_garbage("nonsense")

    def test_requests_of_which_nobody_takes_the_answers(self):
        self.check_garbage("grabber")


class Offers(Hostile):
    """Five of eight peers do not give what they say they have."""

    def check_offers(self, kind, *options, group=False):
        calm, attacked = compare(self, fetching, kind, *options, group=group)
        self.assertGreater(attacked["connected"], 0)
        self.check(calm, attacked)
        return calm, attacked

    def test_wrong_bytes_for_every_piece(self):
        _, attacked = self.check_offers("corrupt")
        self.assertGreaterEqual(attacked["cut"], ADVERSARIES)

    def test_wrong_bytes_for_every_piece_by_members(self):
        _, attacked = self.check_offers("corrupt", group=True)
        self.assertGreaterEqual(attacked["cut"], ADVERSARIES)

    def test_a_wrong_block_now_and_then(self):
        self.check_offers("corrupt", "--every", 9, "--file",
                          self.root / "origin" / "www" / "release.img")

    def test_a_block_in_ten_seconds(self):
        self.check_offers("slow")

    def test_never_a_block(self):
        self.check_offers("stall")

    def test_lies_about_what_there_is(self):
        self.check_offers("liar")

    def test_claims_that_are_not_kept(self):
        self.check_offers("hog")


if __name__ == "__main__":
    unittest.main()
