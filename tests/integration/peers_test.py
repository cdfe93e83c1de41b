"""Several `lanward` processes: how they find each other and what they take from whom."""

import http.server
import os
import subprocess
import threading
import unittest
import urllib.parse

from support import DEADLINE, MIB, LanwardTest, bytes_on_disk, sha256, wait_until


class Peers(LanwardTest):
    def test_three_that_start_together_share_what_a_slow_cdn_gives_each(self):
        origin = self.start_origin(rate=MIB)
        published = self.publish(origin, 32 * MIB - 777)
        gets = []
        for number in range(3):
            known = [word for get in gets for word in ("--peer", get.address)]
            gets.append(self.start_get(published.url, self.root / f"copy-{number}.img",
                                       "--share", "forever", *known))
        for get in gets:
            get.wait_event("sharing")
        summaries = [get.find("summary")[0] for get in gets]
        for number, summary in enumerate(summaries):
            self.assertEqual(summary["cached"], 0)
            self.check_delivered(published, self.root / f"copy-{number}.img", summary)
        from_peers = sum(summary["bytes_from_peers"] for summary in summaries)
        self.assertGreater(from_peers, published.size // 2)
        ends = [self.stop_sharing(get) for get in gets]
        served = sum(s["served"] for end in ends for s in end["sources"] if s["kind"] == "peer")
        self.assertGreater(served, published.size // 4)  # the end of it may not be counted yet
        # What each says it took from the origin, the origin has sent.
        from_origin = sum(summary["bytes_from_origin"] for summary in summaries)
        self.assertGreaterEqual(origin.sent(published.name), from_origin)
        self.assertLess(origin.sent(published.name), 2 * published.size)

    def test_one_without_the_cdn_takes_every_byte_from_another_that_shares(self):
        origin = self.start_origin()
        published = self.publish(origin, 32 * MIB + 1)
        first = self.start_get(published.url, self.root / "one.img", "--share", "forever")
        first.wait_event("sharing")
        asked_before = origin.requests()
        output = self.root / "two.img"
        summary = self.get(published.torrent, output, "--no-cdn", "--peer", first.address).summary
        self.check_delivered(published, output, summary)
        self.assertEqual((summary["bytes_from_origin"], summary["cached"]), (0, 0))
        self.assertEqual({s["kind"] for s in summary["sources"]}, {"peer"})
        self.assertEqual(origin.requests(), asked_before)
        [served] = [s["served"] for s in self.stop_sharing(first)["sources"] if s["kind"] == "peer"]
        self.assertGreater(served, 0)
        self.assertLessEqual(served, summary["bytes_from_peers"])

    def test_one_that_shares_has_a_single_copy_on_its_disk_and_serves_that(self):
        origin = self.start_origin()
        published = self.publish(origin, 32 * MIB + 1)
        home = self.directory("home")
        first = self.start_get(published.url, home / "one.img", "--share", "forever")
        first.wait_event("sharing")
        allocated = sum(path.stat().st_blocks * 512 for path in home.rglob("*"))
        self.assertLess(allocated, published.size + 4 * MIB)
        # Moved and deleted, it is still there for peers.
        (home / "one.img").rename(home / "elsewhere.img")
        output = self.root / "two.img"
        for number in range(2):
            summary = self.get(published.torrent, output, "--no-cdn", "--peer",
                               first.address).summary
            self.check_delivered(published, output, summary)
            self.assertEqual(summary["bytes_from_origin"], 0)
            if number == 0:
                (home / "elsewhere.img").unlink()
                output.unlink()
        self.stop_sharing(first)
        self.assertEqual(os.listdir(home), [])

    def test_a_file_that_is_changed_while_it_is_shared_is_served_to_nobody(self):
        origin = self.start_origin()
        published = self.publish(origin, 8 * MIB)
        first = self.start_get(published.url, self.root / "one.img", "--share", "forever")
        first.wait_event("sharing")
        with open(self.root / "one.img", "r+b") as changed:
            changed.write(b"this is mine now")
        output = self.root / "two.img"
        summary = self.get(published.url, output, "--peer", first.address).summary
        self.check_delivered(published, output, summary)
        self.assertEqual((summary["bytes_from_peers"], summary["wasted"]), (0, 0))
        self.stop_sharing(first)
        self.assertEqual((self.root / "one.img").read_bytes()[:16], b"this is mine now")
        self.assertEqual((self.root / "one.img").stat().st_size, published.size)

    def test_a_peer_that_is_killed_in_the_middle_is_replaced_by_the_origin(self):
        origin = self.start_origin()
        published = self.publish(origin, 64 * MIB)
        first = self.start_get(published.url, self.root / "one.img", "--share", "forever")
        first.wait_event("sharing")
        output = self.root / "two.img"
        second = self.start_get(published.url, output, "--peer", first.address)
        wait_until(lambda: bytes_on_disk(self.root / ".two.img.lanward") > MIB
                   or second.process.poll() is not None, "the peer serves")
        first.kill()
        self.assertEqual(second.wait(), 0, second.story())
        summary = second.find("summary")[0]
        self.check_delivered(published, output, summary)
        self.assertGreater(summary["bytes_from_peers"], 0)
        self.assertGreater(summary["bytes_from_origin"], 0)

    def test_a_peer_serves_for_as_long_as_it_was_told_to(self):
        origin = self.start_origin()
        published = self.publish(origin, MIB)
        get = self.get(published.url, self.root / "copy.img", "--share", "1")
        [sharing], [ended] = get.find("sharing"), get.find("share_ended")
        self.assertEqual(sharing["seconds"], 1)
        self.assertEqual(sharing["port"], get.port)
        self.assertGreaterEqual(ended["elapsed"] - sharing["elapsed"], 0.99)


class Tracker(http.server.ThreadingHTTPServer):
    """BEP 3 with compact replies (BEP 23): tells each peer all the others."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), TrackerRequest)
        self.lock = threading.Lock()
        self.swarms = {}
        self.told = 0  # addresses in all replies
        self.url = f"http://127.0.0.1:{self.server_address[1]}/announce"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def announced(self, infohash, port, event):
        """The other peers."""
        with self.lock:
            ports = self.swarms.setdefault(infohash, set())
            others = ports - {port}
            (ports.discard if event == "stopped" else ports.add)(port)
            self.told += len(others)
            return others

    def ports(self):
        with self.lock:
            return {port for ports in self.swarms.values() for port in ports}

    def end(self):
        self.shutdown()
        self.server_close()


class TrackerRequest(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query,
                                            keep_blank_values=True, encoding="latin-1"))
        others = self.server.announced(query["info_hash"], int(query["port"]), query.get("event"))
        peers = b"".join(bytes([127, 0, 0, 1]) + port.to_bytes(2, "big") for port in others)
        body = b"d8:intervali60e5:peers%d:%be" % (len(peers), peers)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class DiscoveryByTracker(LanwardTest):
    def start_tracker(self):
        tracker = Tracker()
        self.addCleanup(tracker.end)
        return tracker

    def share(self, published, *arguments):
        first = self.start_get(published.url, self.root / "one.img", "--share", "forever",
                               *arguments)
        first.wait_event("sharing")
        return first

    def test_two_that_know_only_the_tracker_find_each_other(self):
        tracker = self.start_tracker()
        published = self.publish(self.start_origin(), 8 * MIB)
        first = self.share(published, "--tracker", tracker.url)
        wait_until(lambda: first.port in tracker.ports(), "the first peer announces itself")
        output = self.root / "two.img"
        summary = self.get(published.torrent, output, "--no-cdn", "--tracker", tracker.url).summary
        self.check_delivered(published, output, summary)
        self.assertEqual(summary["bytes_from_origin"], 0)
        self.assertGreater(tracker.told, 0)

    def test_the_tracker_may_be_named_by_the_manifest_alone(self):
        tracker = self.start_tracker()
        origin = self.start_origin()
        path = self.make_file(origin.www / "a.img", 4 * MIB)
        publish = self.start_lanward("publish", path, "--url", origin.url("a.img"), "--tracker",
                                     tracker.url, "--json")
        self.assertEqual(publish.wait(), 0, publish.story())
        first = self.start_get(origin.url("a.img"), self.root / "one.img", "--share", "forever")
        wait_until(lambda: first.port in tracker.ports(), "the first peer announces itself")
        first.wait_event("sharing")
        output = self.root / "two.img"
        self.get(str(path) + ".torrent", output, "--no-cdn")
        self.assertEqual(sha256(output), sha256(path))

    def test_a_tracker_that_is_down_delays_nothing(self):
        tracker = self.start_tracker()
        tracker.end()
        published = self.publish(self.start_origin(), 4 * MIB)
        summary = self.get(published.url, self.root / "copy.img", "--tracker",
                           tracker.url).summary
        self.check_delivered(published, self.root / "copy.img", summary)
        self.assertLess(summary["seconds"], DEADLINE / 2)


class DiscoveryOnTheLan(LanwardTest):
    """Two network name spaces joined by a cable: nothing else to find each other by."""

    def setUp(self):
        super().setUp()
        self.spaces = [f"lw-{os.getpid()}-{side}" for side in "ab"]
        for space in self.spaces:
            if self.ip("netns", "add", space).returncode:
                self.skipTest("network name spaces need root")
            self.addCleanup(self.ip, "netns", "del", space)
            if self.ip("-n", space, "link").returncode:
                self.skipTest("network name spaces cannot be entered here")
        left, right = self.spaces
        added = self.ip("link", "add", "lan0", "netns", left, "type", "veth", "peer", "name",
                        "lan0", "netns", right)
        if added.returncode:
            self.skipTest("no veth: " + added.stderr.decode())
        for number, space in enumerate(self.spaces, 1):
            self.check_ip("-n", space, "addr", "add", f"10.77.0.{number}/24", "dev", "lan0")
            for device in ("lo", "lan0"):
                self.check_ip("-n", space, "link", "set", device, "up")
            self.check_ip("-n", space, "route", "add", "default", "dev", "lan0")

    @staticmethod
    def ip(*arguments):
        return subprocess.run(["ip", *arguments], capture_output=True, timeout=DEADLINE,
                              check=False)

    def check_ip(self, *arguments):
        done = self.ip(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr)

    def check(self, *listen):
        left, right = (["ip", "netns", "exec", space] for space in self.spaces)
        origin = self.start_origin(prefix=left)
        published = self.publish(origin, 4 * MIB + 99)
        first = self.start_get(published.url, self.root / "one.img", "--share", "forever",
                               *listen, prefix=left)
        first.wait_event("sharing")
        output = self.root / "two.img"
        summary = self.get(published.torrent, output, "--no-cdn", *listen, prefix=right).summary
        self.check_delivered(published, output, summary)
        [host] = {s["name"].rsplit(":", 1)[0] for s in summary["sources"]}
        self.assertEqual(host, "10.77.0.1")

    def test_two_that_were_told_nothing_find_each_other(self):
        self.check("--listen", "0.0.0.0:0")  # the default

    def test_two_that_listen_on_a_port_of_choice_find_each_other(self):
        self.check("--listen", "0.0.0.0:17771")  # free: the name space is ours


if __name__ == "__main__":
    unittest.main()
