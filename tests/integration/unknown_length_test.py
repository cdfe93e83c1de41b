"""Servers that tell neither the length of a file nor serve ranges of it."""

import http.server
import os
import signal
import threading
import unittest

from support import KIB, MIB, LanwardTest, sha256, wait_until


class Talker(http.server.BaseHTTPRequestHandler):
    """Serves server.data in chunks; 404 for everything but /file."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path != "/file":
            self.send_error(404)
            return
        server = self.server
        with server.lock:
            server.bodies += 1
            nth = server.bodies
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for at in range(0, len(server.data), 64 * KIB):
                if server.breaks(nth, at):
                    self.connection.close()
                    self.close_connection = True
                    return
                server.gate.wait()
                chunk = server.data[at:at + 64 * KIB]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True  # the client has heard enough

    def log_message(self, *_):
        pass


class UnknownLength(LanwardTest):
    def setUp(self):
        super().setUp()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Talker)
        self.server.daemon_threads = True
        self.server.lock = threading.Lock()
        self.server.bodies = 0  # the probe asks for one as well
        self.server.data = self.random.randbytes(5 * MIB + 123)
        self.server.breaks = lambda nth, at: False
        self.server.gate = threading.Event()
        self.server.gate.set()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.addCleanup(self.server.gate.set)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/file"
        self.output = self.root / "copy"
        (self.root / "original").write_bytes(self.server.data)

    def check(self, get):
        self.assertEqual(sha256(self.output), sha256(self.root / "original"))
        size = len(self.server.data)
        self.assertEqual(get.summary["size"], size)
        self.assertEqual(get.summary["cached"], 0)
        self.assertEqual(get.summary["bytes_from_origin"], size + get.summary["wasted"])

    def test_the_file_arrives_and_the_status_says_why_it_is_slow(self):
        get = self.get(self.url, self.output, "--no-peers")
        self.check(get)
        self.assertTrue(get.find("note", lambda e: "does not tell the length" in e["message"]),
                        get.story())
        self.assertEqual(self.server.bodies, 2)  # the probe and the file

    def test_an_empty_file(self):
        self.server.data = b""
        (self.root / "original").write_bytes(b"")
        self.check(self.get(self.url, self.output, "--no-peers"))

    def test_a_body_that_breaks_is_fetched_again_from_its_start(self):
        self.server.breaks = lambda nth, at: nth == 2 and at >= 2 * MIB
        get = self.get(self.url, self.output, "--no-peers")
        self.check(get)
        self.assertGreater(get.summary["wasted"], 0)
        self.assertEqual(self.server.bodies, 3)

    def test_a_digest_is_checked(self):
        right = sha256(self.root / "original")
        get = self.get(self.url, self.output, "--no-peers", "--sha256", right)
        self.check(get)
        self.assertEqual(get.summary["integrity"], "digest")

    def test_a_wrong_digest_delivers_nothing(self):
        get = self.start_get(self.url, self.output, "--no-peers", "--sha256", "0" * 64)
        self.assertNotEqual(get.wait(), 0)
        self.assertEqual(get.error["code"], "integrity")
        self.assertFalse(self.output.exists())

    def test_an_interrupted_one_leaves_nothing_of_the_file(self):
        self.server.gate.clear()
        get = self.start_get(self.url, self.output, "--no-peers")
        wait_until(lambda: self.server.bodies == 2, "the file is asked for")
        get.signal(signal.SIGINT)
        get.wait()
        self.assertFalse(self.output.exists())
        spools = [name for where, _, names in os.walk(self.root) for name in names
                  if os.path.basename(where) == "spool"]
        self.assertEqual(spools, [])


if __name__ == "__main__":
    unittest.main()
