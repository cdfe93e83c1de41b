"""Ends in the middle: SIGKILL at random points and resuming, SIGINT and SIGTERM."""

import os
import signal
import unittest

from support import CANCELLED, DONE, KIB, MIB, LanwardTest, bytes_on_disk, wait_until

REQUESTS = 4  # of one download at once: core::Policy::origin_requests_max
# What a request may have got from the origin without it being proven on disk: a piece that is not
# whole, what the origin's and our socket and the transfer hold, and whole pieces in the workers'
# hands, which a loaded machine lets pile up.
UNPROVEN = 256 * KIB + MIB


class Resume(LanwardTest):
    def kill_at_random_points(self, times, working, *arguments):
        origin = self.start_origin(rate=4 * MIB)
        published = self.publish(origin, 40 * MIB + 5)
        output = self.directory("home") / "copy.img"
        points = sorted(self.random.sample(range(MIB, published.size - 2 * MIB), times))
        cached = 0
        for point in points:
            sent_before = origin.sent(published.name)
            get = self.start_get(published.url, output, *arguments)
            wait_until(lambda at=point, run=get: bytes_on_disk(working) >= at
                       or run.process.poll() is not None, f"{point} bytes are there")
            get.kill()
            self.assertFalse(output.exists(), get.story())
            sent = origin.sent(published.name) - sent_before
            kept = self.proven(working, published, get)
            with self.subTest(point=point, kept=kept, sent=sent):
                self.assertLessEqual(kept, cached + sent)
                # Every run keeps what it fetched but for what was in flight.
                self.assertGreaterEqual(kept, cached + sent - REQUESTS * UNPROVEN)
            cached = kept
        get = self.get(published.url, output, *arguments)
        self.check_delivered(published, output, get.summary)
        self.assertGreaterEqual(get.summary["cached"], cached)
        self.assertGreater(get.summary["cached"], 0)
        self.assertLessEqual(origin.sent(published.name),
                             published.size + (times + 1) * REQUESTS * UNPROVEN)
        return output

    def proven(self, working, published, killed):
        """What a new run finds in the cache: one that may ask nobody, and is killed in turn."""
        arguments = [a for a in killed.command[killed.command.index("get") + 1:]]
        arguments[0] = str(published.torrent)
        looker = self.start_lanward("get", *arguments, "--no-cdn")
        found = looker.wait_event("progress")["cached"]
        looker.kill()
        return found

    def test_ten_kills_cost_no_more_than_what_was_in_flight(self):
        cache = self.root / "cache"
        self.kill_at_random_points(10, cache, "--cache", cache)

    def test_the_working_directory_beside_the_destination_serves_as_well(self):
        working = self.root / "home" / ".copy.img.lanward"
        output = self.kill_at_random_points(3, working)
        self.assertEqual(os.listdir(output.parent), ["copy.img"])


class Signals(LanwardTest):
    def start_slow(self, *arguments):
        origin = self.start_origin(rate=MIB)
        published = self.publish(origin, 32 * MIB)
        output = self.directory("home") / "copy.img"
        return origin, published, output, self.start_get(published.url, output, *arguments)

    def check_cancelled(self, number, name):
        origin, published, output, get = self.start_slow()
        wait_until(lambda: bytes_on_disk(output.parent / ".copy.img.lanward") > MIB, "bytes move")
        get.signal(number)
        self.assertEqual(get.wait(), CANCELLED, get.story())
        self.assertEqual(get.error["code"], "cancelled")
        self.assertIn(name, get.error["message"])
        self.assertIsNone(get.error["kept"])
        self.assertEqual(os.listdir(output.parent), [])
        self.assertLess(origin.sent(published.name), published.size)
        # Nothing of it is left to go on from.
        origin.restart(rate=0)
        summary = self.get(published.torrent, output).summary
        self.assertEqual(summary["cached"], 0)

    def test_sigint_cancels_and_leaves_nothing(self):
        self.check_cancelled(signal.SIGINT, "SIGINT")

    def test_sigterm_cancels_and_leaves_nothing(self):
        self.check_cancelled(signal.SIGTERM, "SIGTERM")

    def test_a_cancel_purges_the_pieces_from_a_cache_that_stays(self):
        cache = self.root / "cache"
        _, published, output, get = self.start_slow("--cache", cache)
        wait_until(lambda: bytes_on_disk(cache) > MIB, "bytes move")
        get.signal(signal.SIGTERM)
        self.assertEqual(get.wait(), CANCELLED, get.story())
        self.assertEqual(os.listdir(output.parent), [])
        self.assertEqual(os.listdir(cache / "data"), [])

    def test_a_signal_while_the_manifest_is_sought_ends_at_once(self):
        origin = self.start_origin()
        origin.stop()
        get = self.start_get(origin.url("a.img"), self.root / "copy.img")
        get.wait_event("state", lambda e: e["state"] == "transient_error")
        get.signal(signal.SIGINT)
        self.assertEqual(get.wait(), CANCELLED, get.story())

    def test_signals_after_delivery_end_the_sharing_in_peace(self):
        origin = self.start_origin()
        published = self.publish(origin, 8 * MIB)
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number):
                home = self.directory(f"home-{number}")
                get = self.start_get(published.url, home / "copy.img", "--share", "forever")
                get.wait_event("sharing")
                get.signal(number)
                self.assertEqual(get.wait(), DONE, get.story())
                self.assertEqual(get.events[-1]["event"], "share_ended")
                self.assertEqual(os.listdir(home), ["copy.img"])


if __name__ == "__main__":
    unittest.main()
