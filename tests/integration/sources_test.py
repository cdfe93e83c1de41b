"""How fast an origin is asked, and caches of the site that are asked before it."""

import http.server
import os
import re
import shutil
import socket
import threading
import time
import unittest

from support import DONE, KIB, MIB, NETWORK, LanwardTest, Origin, sha256


class MeteredOrigin:
    """An origin that knows when it has sent how much; its sockets hold little."""

    BUFFER = 32 * KIB

    def __init__(self, directory):
        self.lock = threading.Lock()
        self.sent = []  # (time, bytes of bodies so far)
        self.total = 0
        origin = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, origin.BUFFER)
                super().setup()

            def do_GET(self):
                path = directory / self.path.lstrip("/")
                if not path.is_file():
                    self.send_error(404)
                    return
                body = path.read_bytes()
                asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
                begin, end = (int(asked[1]), int(asked[2]) + 1) if asked else (0, len(body))
                end = min(end, len(body))
                self.send_response(206 if asked else 200)
                self.send_header("ETag", '"1"')
                self.send_header("Content-Length", str(end - begin))
                if asked:
                    self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(body)}")
                self.end_headers()
                while begin < end:
                    count = self.request.send(body[begin:min(begin + 8 * KIB, end)])
                    begin += count
                    origin.note(count)

            def log_message(self, *_):
                pass

            def handle(self):
                try:
                    super().handle()
                except ConnectionError:
                    pass  # the client has gone

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def note(self, count):
        with self.lock:
            self.total += count
            self.sent.append((time.monotonic(), self.total))

    def url(self, name):
        return f"http://127.0.0.1:{self.server.server_address[1]}/{name}"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class CacheHost(Origin):
    """nginx in the way of a Connected Cache: fetches from the server that cacheHostOrigin names.

    refuse: answers 404 instead. account: what stands in the place of the range in its account.
    """

    refuse = False
    account = "$http_range"

    def config(self):
        answer = "return 404;" if self.refuse else (
            "proxy_pass http://$arg_cacheHostOrigin$request_uri; proxy_buffering off;")
        return re.sub(r"(    location = /.status)", f"    location / {{ {answer} }}\n\\1",
                      super().config().replace("$http_range", self.account))


class Limits(LanwardTest):
    RATE = 2_000_000
    # What lies between the server's send() and the client's bucket: buffers of the kernel on both
    # sides of each connection, and a burst. Far less than the file.
    SLACK = 8 * MIB

    def make(self):
        directory = self.directory("www")
        self.make_file(directory / "f.img", 16 * MIB)
        origin = MeteredOrigin(directory)
        self.addCleanup(origin.stop)
        return origin, directory / "f.img"

    def test_the_origin_is_never_asked_for_more_than_the_limit(self):
        origin, path = self.make()
        output = self.root / "copy.img"
        self.get(origin.url("f.img"), output, "--no-peers", "--limit-rate", "2MB")
        self.assertEqual(sha256(output), sha256(path))
        begin = origin.sent[0][0]
        for moment, total in origin.sent:
            self.assertLessEqual(total, self.RATE * (moment - begin) + self.SLACK)
        self.assertGreaterEqual(origin.total, path.stat().st_size)

    def test_a_queue_keeps_to_the_limit_too(self):
        origin, path = self.make()
        state, output = self.root / "state", self.root / "copy.img"
        create = self.start_lanward("jobs", "create", "--state", state, "--json", "--start",
                                    "--file", f"{origin.url('f.img')}={output}")
        self.assertEqual(create.wait(), DONE, create.story())
        run = self.start_lanward("jobs", "run", "--state", state, "--json", "--no-peers",
                                 "--complete", "--limit-rate", "16Mbit")
        self.assertEqual(run.wait(), DONE, run.story())
        self.assertEqual(sha256(output), sha256(path))
        begin = origin.sent[0][0]
        for moment, total in origin.sent:
            self.assertLessEqual(total, self.RATE * (moment - begin) + self.SLACK)

    def test_a_rate_that_is_none_is_a_usage_error(self):
        process = self.start_lanward("get", "http://127.0.0.1:1/f", "--limit-rate", "2Mb")
        process.wait()
        self.assertIn("--limit-rate", process.stderr)
        self.assertIn("'2Mb'", process.stderr)


class CacheHosts(LanwardTest):
    def received(self, summary):
        return {s["name"]: s["received"] for s in summary["sources"] if s["received"]}

    def start_cache(self, **options):
        cache = CacheHost(self.root / "cache", **options)
        self.addCleanup(cache.stop)
        return cache

    def test_a_cache_host_serves_all_bytes(self):
        origin, cache = self.start_origin(), self.start_cache()
        published = self.publish(origin, 8 * MIB)
        output = self.root / "copy.img"
        process = self.get(published.url, output, "--no-peers",
                           "--cache-host", f"127.0.0.1:{cache.port}")
        self.check_delivered(published, output, process.summary)
        self.assertEqual(list(self.received(process.summary)),
                         [f"http://127.0.0.1:{cache.port}/{published.name}"
                          f"?cacheHostOrigin=127.0.0.1:{origin.port}"])
        self.assertGreaterEqual(cache.sent(published.name), published.size)

    def test_without_a_manifest_too(self):
        origin, cache = self.start_origin(), self.start_cache()
        self.make_file(origin.www / "f.img", 4 * MIB)
        output = self.root / "copy.img"
        process = self.get(origin.url("f.img"), output, "--no-peers",
                           "--cache-host", f"127.0.0.1:{cache.port}")
        self.assertEqual(sha256(output), sha256(origin.www / "f.img"))
        self.assertGreaterEqual(cache.sent("f.img"), 4 * MIB)
        self.assertEqual(len(self.received(process.summary)), 1)

    def test_a_reverse_cache_is_found_by_its_prefix(self):
        origin, mirror = self.start_origin(), self.start_origin("mirror")
        published = self.publish(origin, 4 * MIB)
        (mirror.www / "cdn").mkdir()
        copy = shutil.copy(published.path, mirror.www / "cdn")
        os.utime(copy, (1, 1))  # it has another ETag and Last-Modified than the origin's
        output = self.root / "copy.img"
        process = self.get(published.url, output, "--no-peers", "--cache-map",
                           f"{origin.url('')}={mirror.url('cdn/')}")
        self.check_delivered(published, output, process.summary)
        self.assertEqual(list(self.received(process.summary)),
                         [mirror.url("cdn/" + published.name)])

    def test_a_cache_host_that_is_down_is_no_obstacle(self):
        origin = self.start_origin()
        published = self.publish(origin, 4 * MIB)
        with socket.create_server(("127.0.0.1", 0)) as gone:
            port = gone.getsockname()[1]
        output = self.root / "copy.img"
        process = self.get(published.url, output, "--no-peers",
                           "--cache-host", f"127.0.0.1:{port}")
        self.check_delivered(published, output, process.summary)
        self.assertEqual(list(self.received(process.summary)), [published.url])

    def test_a_cache_host_without_the_file_is_left_alone_also_by_the_next_file(self):
        origin, cache = self.start_origin(), self.start_cache()
        cache.restart(refuse=True)
        files = [self.publish(origin, 2 * MIB, name) for name in ("a.img", "b.img")]
        state = self.root / "state"
        arguments = [part for f in files
                     for part in ("--file", f"{f.url}={self.root / ('copy-' + f.name)}")]
        create = self.start_lanward("jobs", "create", "--state", state, "--json", "--start",
                                    *arguments)
        self.assertEqual(create.wait(), DONE, create.story())
        run = self.start_lanward("jobs", "run", "--state", state, "--json", "--no-peers",
                                 "--complete", "--cache-host", f"127.0.0.1:{cache.port}")
        self.assertEqual(run.wait(), DONE, run.story())
        for published in files:
            self.assertEqual(sha256(self.root / ("copy-" + published.name)), published.sha)
        self.assertTrue(cache.requests("a.img"))
        self.assertEqual(cache.requests("b.img"), [])

    def test_headers_of_the_caller_are_not_for_the_cache_host(self):
        origin, cache = self.start_origin(), self.start_cache()
        cache.restart(account="$http_x_secret")
        published = self.publish(origin, 2 * MIB)
        self.get(published.url, self.root / "copy.img", "--no-peers", "--header", "X-Secret: 1",
                 "--cache-host", f"127.0.0.1:{cache.port}")
        self.assertGreaterEqual(cache.sent(published.name), published.size)
        self.assertEqual({request.range for request in cache.requests()}, {"-"})

    def test_told_to_stay_with_its_cache_host_it_fails_without_it(self):
        origin, cache = self.start_origin(), self.start_cache()
        cache.restart(refuse=True)
        published = self.publish(origin, 2 * MIB)
        self.get_failing(NETWORK, published.url, self.root / "copy.img", "--no-peers",
                         "--cache-host", f"127.0.0.1:{cache.port}",
                         "--cache-fallback-delay", "never")
        # The probe asks for a byte.
        self.assertLessEqual(origin.sent(published.name), KIB)


if __name__ == "__main__":
    unittest.main()
