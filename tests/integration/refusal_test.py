"""What cannot work ends with the documented exit code and a message that says what and where."""

import http.server
import os
import stat
import subprocess
import threading
import unittest

import libtorrent

from support import (DISK, IN_USE, INTEGRITY, KIB, MIB, NETWORK, USAGE, LanwardTest, bytes_on_disk,
                     wait_until)


class BadManifests(LanwardTest):
    def setUp(self):
        super().setUp()
        self.origin = self.start_origin()
        self.published = self.publish(self.origin, 8 * MIB, torrent=self.root / "good.torrent")
        self.home = self.directory("home")

    def check(self, manifest, code, cause):
        """As SOURCE and as --manifest: refused, named, and no byte of the file asked for."""
        path = self.root / "bad.torrent"
        path.write_bytes(manifest)
        output = self.home / "copy.img"
        for arguments in ([path, output], [self.published.url, output, "--manifest", path]):
            with self.subTest(arguments=arguments):
                get = self.get_failing(code, *arguments)
                self.assertEqual(get.error["code"], cause)
                self.assertIn("bad.torrent", get.error["message"])
                self.assertEqual(os.listdir(self.home), [])
        self.assertEqual(self.origin.sent("release.img"), 0)
        return get.error["message"]

    def changed(self, change):
        """The good manifest with its decoded form changed."""
        manifest = libtorrent.bdecode(self.published.torrent.read_bytes())
        change(manifest)
        return libtorrent.bencode(manifest)

    def test_a_truncated_one(self):
        good = self.published.torrent.read_bytes()
        for length in (1, len(good) // 2, len(good) - 1):
            self.check(good[:length], INTEGRITY, "manifest_invalid")

    def test_an_empty_one(self):
        self.check(b"", INTEGRITY, "manifest_invalid")

    def test_random_bytes(self):
        self.check(self.random.randbytes(5000), INTEGRITY, "manifest_invalid")

    def test_bytes_after_its_end(self):
        self.check(self.published.torrent.read_bytes() + b"x", INTEGRITY, "manifest_invalid")

    def test_one_of_version_1_only(self):
        info = {b"name": b"release.img", b"length": 8 * MIB, b"piece length": MIB,
                b"pieces": bytes(8 * 20)}
        message = self.check(libtorrent.bencode({b"info": info}), USAGE, "unsupported")
        self.assertIn("v2", message)

    def test_a_name_that_leads_out_of_the_directory(self):
        for name in (b"../evil", b"/etc/evil", b"..", b"a/b"):
            def change(manifest, to=name):
                info = manifest[b"info"]
                [tree] = info[b"file tree"].values()
                info[b"name"], info[b"file tree"] = to, {to: tree}
            self.check(self.changed(change), INTEGRITY, "manifest_invalid")
        self.assertFalse((self.root / "evil").exists())

    def test_a_suggested_name_that_leads_out_of_the_directory(self):
        def change(manifest):
            manifest[b"lanward"][b"name"] = b"../evil"
        path = self.root / "bad.torrent"
        path.write_bytes(self.changed(change))
        get = self.get_failing(INTEGRITY, path, str(self.home) + "/")
        self.assertEqual(get.error["code"], "manifest_invalid")
        self.assertFalse((self.root / "evil").exists())

    def test_a_piece_layer_that_does_not_belong_to_the_file(self):
        def change(manifest):
            [(root, layer)] = manifest[b"piece layers"].items()
            manifest[b"piece layers"] = {root: layer[:-1] + bytes([layer[-1] ^ 1])}
        self.check(self.changed(change), INTEGRITY, "manifest_invalid")


class BadOrigins(LanwardTest):
    def check_refused(self, code, causes, get, url):
        self.assertIn(get.error["code"], causes)
        self.assertIn(url, get.stderr)
        self.assertEqual(get.process.returncode, code)

    def test_a_url_that_is_not_there(self):
        origin = self.start_origin()
        url = origin.url("none.img")
        output = self.directory("home") / "copy.img"
        get = self.get_failing(NETWORK, url, output)
        self.check_refused(NETWORK, ["origin_rejected"], get, url)
        self.assertIn("404", get.stderr)
        self.assertEqual(os.listdir(output.parent), [])

    def test_a_copy_that_is_longer_or_shorter_than_published(self):
        origin = self.start_origin()
        for change in (-1, 1, -MIB, MIB):
            with self.subTest(change=change):
                published = self.publish(origin, 4 * MIB, name=f"a{change}.img",
                                         torrent=self.root / f"a{change}.torrent")
                data = published.path.read_bytes() + bytes(MIB)
                published.path.write_bytes(data[:published.size + change])
                output = self.root / "copy.img"
                get = self.get_failing(INTEGRITY, published.url, output, "--manifest",
                                       published.torrent, "--no-peers")
                self.check_refused(INTEGRITY, ["content_changed", "integrity"], get,
                                   published.url)
                self.assertFalse(output.exists())

    def test_one_that_ignores_ranges_is_read_once_from_begin_to_end(self):
        origin = self.start_origin(ranges=False)
        published = self.publish(origin, 24 * MIB + 3)
        for number, manifest in enumerate(([], ["--manifest", published.torrent])):
            with self.subTest(manifest=manifest):
                before = origin.sent(published.name)
                output = self.root / f"copy-{number}.img"
                summary = self.get(published.url, output, "--no-peers", *manifest).summary
                self.check_delivered(published, output, summary)
                self.assertEqual(summary["wasted"], 0)
                whole = [r for r in origin.requests(published.name)
                         if r.method == "GET" and r.sent == published.size]
                self.assertEqual(len(whole), number + 1)
                # Requests that find out and are cut short are not free, but cheap.
                self.assertLess(origin.sent(published.name) - before, published.size + 8 * MIB)


class Busy(http.server.BaseHTTPRequestHandler):
    """Refuses for a moment, then redirects."""

    refusals = 2
    target = ""

    def answer(self):
        if Busy.refusals > 0:
            Busy.refusals -= 1
            self.send_response(503)
            self.send_header("Retry-After", "0")
        else:
            self.send_response(302)
            self.send_header("Location", Busy.target + self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = answer

    def log_message(self, *_):
        pass


class Detours(LanwardTest):
    def test_an_origin_that_is_busy_and_then_redirects_serves_in_the_end(self):
        origin = self.start_origin()
        published = self.publish(origin, 8 * MIB)
        Busy.refusals, Busy.target = 2, origin.url("").rstrip("/")
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Busy)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        url = f"http://127.0.0.1:{server.server_address[1]}/{published.name}"
        output = self.root / "copy.img"
        get = self.get(url, output, "--no-peers")
        self.check_delivered(published, output, get.summary)
        self.assertEqual(get.summary["integrity"], "manifest")
        self.assertEqual(Busy.refusals, 0)


class BadDestinations(LanwardTest):
    def setUp(self):
        super().setUp()
        self.origin = self.start_origin()
        self.published = self.publish(self.origin, 4 * MIB)

    def check(self, output, *names):
        get = self.get_failing(DISK, self.published.url, output)
        self.assertEqual(get.error["code"], "destination")
        for name in names or [str(output)]:
            self.assertIn(name, get.stderr)
        self.assertEqual(self.origin.sent(self.published.name), 0)

    def test_its_directory_is_missing(self):
        self.check(self.root / "none" / "copy.img", str(self.root / "none"))

    def test_its_directory_is_a_file(self):
        (self.root / "file").write_bytes(b"x")
        self.check(self.root / "file" / "copy.img", str(self.root / "file"))

    def test_a_directory_is_where_the_file_should_be(self):
        home = self.directory("home")
        (home / self.published.name).mkdir()
        self.check(str(home) + "/", str(home / self.published.name))
        self.assertEqual(os.listdir(home), [self.published.name])

    def test_its_directory_may_not_be_written(self):
        if os.geteuid() == 0:
            self.skipTest("root may write everywhere")
        home = self.directory("home")
        home.chmod(stat.S_IRUSR | stat.S_IXUSR)
        self.addCleanup(home.chmod, 0o700)
        self.check(home / "copy.img", str(home))


class InUse(LanwardTest):
    def test_a_second_process_is_refused_the_cache_and_the_first_goes_on(self):
        origin = self.start_origin(rate=MIB)
        published = self.publish(origin, 12 * MIB)
        cache = self.root / "cache"
        first = self.start_get(published.url, self.root / "one.img", "--cache", cache)
        wait_until(lambda: bytes_on_disk(cache) > 0, "bytes move")
        second = self.get_failing(IN_USE, published.url, self.root / "two.img", "--cache", cache)
        self.assertEqual(second.error["code"], "in_use")
        self.assertIn(str(cache), second.stderr)
        self.assertEqual(first.wait(), 0, first.story())
        self.check_delivered(published, self.root / "one.img", first.find("summary")[0])

    def test_a_second_process_for_the_same_destination_is_refused(self):
        origin = self.start_origin(rate=MIB)
        published = self.publish(origin, 12 * MIB)
        output = self.directory("home") / "copy.img"
        first = self.start_get(published.url, output)
        wait_until(lambda: bytes_on_disk(output.parent / ".copy.img.lanward") > 0, "bytes move")
        second = self.get_failing(IN_USE, published.url, output)
        self.assertEqual(second.error["code"], "in_use")
        self.assertEqual(first.wait(), 0, first.story())
        self.check_delivered(published, output, first.find("summary")[0])
        self.assertEqual(os.listdir(output.parent), ["copy.img"])


class DiskFull(LanwardTest):
    """A small file system of our own."""

    def mount(self, name, size):
        path = self.directory(name)
        done = self.run_tool("mount", "-t", "tmpfs", "-o", f"size={size}", "lanward-test", path)
        if done.returncode:
            self.skipTest("mounting needs root")
        self.addCleanup(self.run_tool, "umount", path)
        return path

    @staticmethod
    def run_tool(*command):
        return subprocess.run(command, capture_output=True, timeout=30, check=False)

    def enlarge(self, path, size):
        done = self.run_tool("mount", "-o", f"remount,size={size}", path)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_it_is_reported_and_with_more_space_the_next_try_goes_on(self):
        origin = self.start_origin()
        published = self.publish(origin, 24 * MIB)
        small = self.mount("small", 12 * MIB)
        output = small / "copy.img"
        get = self.get_failing(DISK, published.url, output)
        self.assertEqual(get.error["code"], "disk_full")
        self.assertIn(str(small), get.stderr)
        self.assertFalse(output.exists())
        self.assertEqual(get.error["kept"], str(small / ".copy.img.lanward"))
        self.enlarge(small, 64 * MIB)
        summary = self.get(published.url, output).summary
        self.check_delivered(published, output, summary)
        self.assertGreater(summary["cached"], 4 * MIB)
        self.assertEqual(os.listdir(small), ["copy.img"])

    def test_a_destination_without_space_keeps_the_verified_file_in_the_cache(self):
        origin = self.start_origin()
        published = self.publish(origin, 8 * MIB)
        small = self.mount("small", 4 * MIB)
        cache, output = self.root / "cache", small / "copy.img"
        get = self.get_failing(DISK, published.url, output, "--cache", cache)
        self.assertEqual(get.error["code"], "disk_full")
        self.assertIn(str(output), get.stderr)
        self.assertEqual(get.error["kept"], str(cache))
        self.assertEqual(os.listdir(small), [])
        self.enlarge(small, 16 * MIB)
        summary = self.get(published.url, output, "--cache", cache).summary
        self.check_delivered(published, output, summary)
        self.assertEqual((summary["cached"], summary["bytes_from_origin"]), (published.size, 0))

    def test_even_the_smallest_is_reported(self):
        origin = self.start_origin()
        published = self.publish(origin, 8 * MIB)
        small = self.mount("small", 16 * KIB)
        get = self.get_failing(DISK, published.url, small / "copy.img")
        self.assertEqual(get.error["code"], "disk_full")
        self.assertIn(str(small), get.stderr)


if __name__ == "__main__":
    unittest.main()
