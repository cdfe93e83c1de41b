"""The BITS-style example against an HTTP origin on the loopback interface."""

import http.server
import os
import random
import re
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

KIB = 1024
# Far above what it takes; only a hang runs into it.
DEADLINE = float(os.environ.get("LANWARD_TEST_DEADLINE") or 60)
SEED = 20
RANGE = re.compile(r"bytes=(\d+)-(\d*)")


def handler_of(content):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            if self.path != "/file":
                self.reply(404, b"")
                return
            asked = RANGE.fullmatch(self.headers.get("Range", ""))
            if not asked:
                self.reply(200, content)
                return
            begin = int(asked[1])
            end = min(int(asked[2] or len(content)), len(content) - 1)
            self.reply(206, content[begin:end + 1], f"bytes {begin}-{end}/{len(content)}")

        do_HEAD = do_GET

        def reply(self, status, body, content_range=None):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("ETag", '"v1"')
            if content_range:
                self.send_header("Content-Range", content_range)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *arguments):
            pass  # the output belongs to the test

    return Handler


class Sample(unittest.TestCase):
    example = os.environ.get("EXAMPLE", "")

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="lanward-")
        self.addCleanup(directory.cleanup)
        self.root = Path(directory.name)
        self.content = random.Random(SEED).randbytes(700 * KIB + 1)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler_of(self.content))
        self.server.daemon_threads = True
        thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        thread.start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)

    def run_example(self, path):
        url = f"http://127.0.0.1:{self.server.server_port}/{path}"
        return subprocess.run([self.example, url, str(self.root / "copy"),
                               str(self.root / "state")],
                              capture_output=True, timeout=DEADLINE, check=False)

    def test_it_fetches_and_delivers_a_file(self):
        done = self.run_example("file")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((self.root / "copy").read_bytes(), self.content)
        self.assertIn(f"{len(self.content)} bytes".encode(), done.stdout)

    def test_it_names_the_cause_of_a_failure(self):
        done = self.run_example("missing")
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"404", done.stdout)
        self.assertRegex(done.stderr, rb"failed: 0x8[0-9a-f]{7}")
        self.assertFalse((self.root / "copy").exists())


if __name__ == "__main__":
    unittest.main()
