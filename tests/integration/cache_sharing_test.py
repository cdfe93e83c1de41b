"""A machine that offers its peers what its cache has, beside the jobs it runs."""

import signal

from support import DONE, KIB, MIB, LanwardTest, flip_byte, sha256

PIECE = 256 * KIB


class SharedFromTheCache(LanwardTest):
    def setUp(self):
        super().setUp()
        self.cache = self.root / "cache"
        self.origin = self.start_origin()

    def in_cache(self, name, size):
        published = self.publish(self.origin, size, name)
        self.get(published.url, self.root / (name + ".first"), "--cache", self.cache)
        return published

    def start_node(self, *arguments):
        node = self.start_lanward("jobs", "run", "--state", self.root / "state", "--cache",
                                  self.cache, "--keep-going", "--no-discovery", "--json",
                                  "--listen", "127.0.0.1:0", *arguments)
        node.wait_event("listening")
        return node

    def end(self, node):
        node.signal(signal.SIGTERM)
        self.assertEqual(node.wait(), DONE, node.story())

    def get_from(self, node, published, name, *arguments):
        output = self.root / name
        got = self.get(published.torrent, output, "--peer", node.address, *arguments).summary
        self.assertEqual(sha256(output), published.sha)
        return got

    def test_what_earlier_jobs_fetched_is_there_for_peers(self):
        files = [self.in_cache(name, 3 * MIB) for name in ("a.img", "b.img")]
        node = self.start_node()
        node.wait_event("sharing", lambda event: event["contents"] == 2)
        for published in files:
            got = self.get_from(node, published, published.path.name + ".out", "--no-origin")
            self.assertEqual(got["bytes_from_peers"], published.size)
        served = node.wait_event("sharing", lambda event: event["served_bytes"] >= 6 * MIB)
        self.assertEqual(served["contents"], 2)
        self.end(node)

    def test_as_many_contents_are_offered_as_were_allowed(self):
        for name in ("a.img", "b.img", "c.img"):
            self.in_cache(name, MIB)
        node = self.start_node("--share-cached", "2")
        node.wait_event("sharing", lambda event: event["contents"] == 2)
        self.end(node)
        self.assertFalse(node.find("sharing", lambda event: event["contents"] > 2))

    def test_a_peer_of_a_damaged_cache_gets_the_right_bytes(self):
        published = self.in_cache("a.img", 8 * MIB)
        data = [path for path in (self.cache / "data").iterdir() if not path.suffix]
        self.assertEqual(len(data), 1)
        node = self.start_node()
        node.wait_event("sharing", lambda event: event["contents"] == 1)
        # Behind the back of the process that believes them.
        pieces = self.random.sample(range(8 * MIB // PIECE), 4)
        for piece in pieces:
            flip_byte(data[0], piece * PIECE + self.random.randrange(PIECE))
        got = self.get_from(node, published, "out")
        self.assertGreater(got["bytes_from_origin"], 0, "what nobody else has")
        self.end(node)

    def test_a_monthly_limit_ends_what_is_given_and_outlives_the_process(self):
        published = self.in_cache("a.img", 8 * MIB)
        # Two seconds for all of it: time enough to notice.
        limits = ("--peer-upload-monthly", "1MiB", "--peer-upload-rate", "4MB")
        node = self.start_node(*limits)
        node.wait_event("sharing", lambda event: event["contents"] == 1)
        self.origin.restart(rate=MIB)  # so that the peer is asked too
        got = self.get_from(node, published, "out")
        self.assertGreater(got["bytes_from_origin"], 0, "what the peer did not give")
        self.assertGreater(got["bytes_from_peers"], 0)
        self.assertEqual({source["class"] for source in got["sources"] if source["kind"] == "peer"},
                         {"lan"})
        barred = node.wait_event("sharing", lambda event: event["barred"] == "month")
        self.assertGreaterEqual(barred["given_this_month"], MIB)
        self.assertEqual(barred["allowed_per_month"], MIB)
        self.end(node)
        given = int((self.root / "state" / "peers.given").read_text().split()[-1])
        self.assertGreaterEqual(given, MIB)
        self.assertLess(given, published.size)
        node = self.start_node(*limits)
        again = node.wait_event("sharing", lambda event: event["barred"] == "month")
        self.assertEqual((again["given_this_month"], again["contents"]), (given, 0))
        self.end(node)

    def test_a_machine_with_too_little_memory_gives_nothing(self):
        self.in_cache("a.img", MIB)
        node = self.start_node("--peer-min-memory", "1000TB")
        barred = node.wait_event("sharing", lambda event: event["barred"] == "memory")
        self.assertIn("memory", barred["reason"])
        self.end(node)
        self.assertFalse(node.find("sharing", lambda event: event["contents"] > 0))
