"""To take part, any BitTorrent v2 client needs the published manifest and nothing else of ours.

The client is libtorrent with its default settings in a process of its own.
"""

import subprocess
import sys
import unittest
from pathlib import Path

import libtorrent

from support import KIB, MIB, LanwardTest, sha256, start, stop, wait_until

SCRIPT = Path(__file__).resolve().parent.parent / "peer" / "stock_client.py"


class StockClient:
    def __init__(self, torrent, directory, *peer):
        self.file = directory / libtorrent.torrent_info(str(torrent)).name()
        self.output = directory / "stock-client.log"
        with open(self.output, "w") as log:
            self.process = start([sys.executable, SCRIPT, torrent, directory, *peer],
                                 stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT)

    def lines(self):
        if self.process.poll() is not None:
            raise AssertionError("the stock client ended: " + self.output.read_text())
        return self.output.read_text().splitlines()

    def wait_complete(self):
        wait_until(lambda: "complete" in self.lines(), "the stock client has the file")

    def address(self):
        [line] = wait_until(lambda: [x for x in self.lines() if x.startswith("listening ")],
                            "the stock client listens")
        return "127.0.0.1:" + line.split()[1]


class StockClientInterop(LanwardTest):
    def publish_for_peers(self, size):
        """Without a web seed, so that the client has nobody to ask but us."""
        return self.publish(self.start_origin(), size, urls=[])

    def start_client(self, published, directory, *peer):
        client = StockClient(published.torrent, directory, *peer)
        self.addCleanup(stop, client.process)
        return client

    def check_download_from_lanward(self, size):
        published = self.publish_for_peers(size)
        sharer = self.start_get(published.url, self.root / "copy.img", "--share", "forever")
        sharer.wait_event("sharing")
        client = self.start_client(published, self.directory("client"), "127.0.0.1", sharer.port)
        client.wait_complete()
        self.assertEqual(sha256(client.file), published.sha)
        served = [s["served"] for s in self.stop_sharing(sharer)["sources"] if s["kind"] == "peer"]
        self.assertGreater(sum(served), 0)

    def check_download_from_the_client(self, size):
        published = self.publish_for_peers(size)
        directory = self.directory("client")
        name = libtorrent.torrent_info(str(published.torrent)).name()
        published.path.rename(directory / name)
        client = self.start_client(published, directory)
        client.wait_complete()
        output = self.root / "copy.img"
        summary = self.get(published.torrent, output, "--no-cdn", "--peer",
                           client.address()).summary
        self.check_delivered(published, output, summary)
        self.assertEqual(summary["bytes_from_origin"], 0)
        self.assertEqual(summary["integrity"], "manifest")

    def test_it_downloads_from_a_sharing_lanward(self):
        self.check_download_from_lanward(32 * MIB + 12345)

    def test_it_downloads_a_small_file_from_a_sharing_lanward(self):
        self.check_download_from_lanward(100 * KIB)

    def test_lanward_downloads_from_it(self):
        self.check_download_from_the_client(32 * MIB + 12345)

    def test_lanward_downloads_a_small_file_from_it(self):
        self.check_download_from_the_client(100 * KIB)


if __name__ == "__main__":
    unittest.main()
