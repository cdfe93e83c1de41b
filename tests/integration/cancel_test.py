"""A cancel seen from outside: by the file system, the other peers and the origin's log."""

import os
import signal
import subprocess
import time
import unittest

from jobs_test import JobsTest
from support import (CANCELLED, LANWARD, MIB, LanwardTest, bytes_on_disk, sha256, start, stop,
                     wait_until)

# LANWARD_CANCEL_ROUNDS=200 for a long run.
ROUNDS = int(os.environ.get("LANWARD_CANCEL_ROUNDS") or 10)
PEERS = 4


class InASwarm(LanwardTest):
    SIZE = 12 * MIB + 345

    def test_one_that_cancels_vanishes_and_the_others_finish(self):
        for number in range(ROUNDS):
            with self.subTest(round=number):
                self.cancel_one(self.directory(f"round-{number}"))

    def cancel_one(self, root):
        origin = self.start_origin(root / "origin", rate=MIB)
        published = self.publish(origin, self.SIZE, urls=[])
        homes, gets = [], []
        for number in range(PEERS):
            # A URL of its own tells in the origin's log who asked.
            os.link(published.path, origin.www / f"{number}.img")
            homes.append(root / f"home-{number}")
            homes[-1].mkdir()
            known = [word for get in gets for word in ("--peer", get.address)]
            gets.append(self.start_get(origin.url(f"{number}.img"), homes[-1] / "copy.img",
                                       "--manifest", published.torrent,
                                       "--share", "forever", *known))
        victim = self.random.randrange(PEERS)
        cancelled, home = gets[victim], homes[victim]
        moment = self.random.randrange(int(self.SIZE * 0.8))
        wait_until(lambda: bytes_on_disk(home / ".copy.img.lanward") >= moment
                   or cancelled.find("summary") or cancelled.process.poll() is not None,
                   "bytes move")
        self.assertFalse(cancelled.find("summary"), "the origin is not slow enough")
        cancelled.signal(signal.SIGINT)
        self.assertEqual(cancelled.wait(), CANCELLED, cancelled.story())
        self.assertEqual(cancelled.error["code"], "cancelled")
        # Only that is the promise: what is asked for later is asked for by nobody.
        asked = self.asked(origin, victim)
        self.assertEqual(os.listdir(home), [])
        others = [get for get in gets if get is not cancelled]
        for get, place in zip(others, [h for h in homes if h is not home], strict=True):
            get.wait_event("sharing")
            self.check_delivered(published, place / "copy.img", get.find("summary")[0])
        self.assertEqual(self.asked(origin, victim), asked)
        self.assertEqual(os.listdir(home), [])
        for get in others:
            self.stop_sharing(get)
        origin.stop()

    @staticmethod
    def asked(origin, number):
        return len(origin.requests(f"{number}.img"))


class Durable(JobsTest):
    SIZE = 12 * MIB

    def setUp(self):
        super().setUp()
        self.origin = self.start_origin(rate=2 * MIB)
        self.published = self.publish(self.origin, self.SIZE)

    def half_done(self):
        """A job with some of its pieces in the cache and nobody at work."""
        job = self.create("--start", "--file", f"{self.published.url}=copy.img")
        self.kill_in_the_middle(self.start_run())
        return job

    def check_gone(self, job):
        self.assertEqual([e["id"] for e in self.events("list")], [])
        listed = {e["id"]: e["state"] for e in self.events("list", "--all")}
        self.assertEqual(listed[job], "cancelled")
        self.assertEqual(self.leftovers(), [])
        self.assertEqual(os.listdir(self.home), [])

    def cancel(self, job):
        return start([LANWARD, "jobs", "cancel", "--state", self.state, "--json", job],
                     stdout=subprocess.PIPE, text=True, cwd=self.home)

    def test_killed_right_after_it_said_so_the_next_command_cleans_up(self):
        job = self.half_done()
        process = self.cancel(job)
        self.assertIn('"cancelled"', process.stdout.readline())
        stop(process)
        self.check_gone(job)

    def test_killed_at_any_moment_it_is_done_or_it_did_not_happen(self):
        """Also when nothing was said: never a job that runs without its pieces, nor the reverse."""
        outcomes = {"queued": 0, "cancelled": 0}
        for number in range(ROUNDS):
            job = self.half_done()
            process = self.cancel(job)
            time.sleep(self.random.uniform(0, 0.06))  # the moment, not a wait
            stop(process)
            before = bytes_on_disk(self.cache)
            state = self.show(job)["state"]
            outcomes[state] += 1
            with self.subTest(round=number, state=state):
                if state == "queued":
                    self.assertGreater(bytes_on_disk(self.cache), 0)
                    self.assertEqual(bytes_on_disk(self.cache), before)
                    self.jobs("cancel", job)
                self.check_gone(job)
        print(f"{self.id()}: {outcomes}", flush=True)

    def test_a_job_that_was_cancelled_can_be_fetched_anew(self):
        self.jobs("cancel", self.half_done())
        self.origin.restart(rate=0)
        self.create("--start", "--file", f"{self.published.url}=copy.img")
        ended = self.run_queue("--complete")
        self.assertGreaterEqual(ended["bytes_from_origin"], self.SIZE)
        self.assertEqual(sha256(self.home / "copy.img"), self.published.sha)


if __name__ == "__main__":
    unittest.main()
