"""Content that came by credentials is not given to peers, the download modes, and why no peers."""

import base64
import shutil
import signal

import support
from support import DONE, KIB, LANWARD, MIB, USAGE, LanwardTest, Origin, sha256

CREDENTIALS = "Authorization: Basic " + base64.b64encode(b"user:secret").decode()


class GuardedOrigin(Origin):
    """nginx that asks for a password below /private/."""

    def config(self):
        users = self.root / "users"
        users.write_text("user:{PLAIN}secret\n")
        guarded = (f"    location /private/ {{ auth_basic 'x'; auth_basic_user_file {users}; }}\n")
        place = "    location = /.status"
        return super().config().replace(place, guarded + place)


class PrivateTest(LanwardTest):
    def setUp(self):
        super().setUp()
        self.origin = GuardedOrigin(self.root / "origin")
        self.addCleanup(self.origin.stop)
        for name in ("private", "public"):
            (self.origin.www / name).mkdir()
        self.cache = self.root / "cache"
        self.source = self.publish(self.origin, 3 * MIB, "private/release.img")
        # B knows what it wants, and has no password.
        self.torrent = self.root / "b.torrent"
        shutil.copy(self.source.torrent, self.torrent)

    def with_credentials(self, *arguments, **options):
        return self.start_get(self.source.url, self.root / "a.out", "--header", CREDENTIALS,
                              "--cache", self.cache, *arguments, **options)

    def from_peer_only(self, node, name):
        return self.start_get(self.torrent, self.root / name, "--no-origin", "--peer", node.address)

    def assert_gives_nothing(self, node, name):
        """Whoever asks the machine for the content is sent away."""
        other = self.from_peer_only(node, name)
        told = other.wait_event("progress", lambda e: e["peers_answer"] == "handshake_refused")
        self.assertEqual((told["bytes_from_peers"], told["peers"], told["done"]), (0, 0, 0))
        other.signal(signal.SIGTERM)
        self.assertEqual(other.wait(), support.CANCELLED, other.story())

    def assert_gives_all(self, node, name):
        other = self.from_peer_only(node, name)
        self.assertEqual(other.wait(), DONE, other.story())
        self.assertEqual(other.find("summary")[0]["bytes_from_peers"], self.source.size)
        self.assertEqual(sha256(self.root / name), self.source.sha)

    def serve_cache(self):
        return self.start_lanward("jobs", "run", "--state", self.root / "state", "--cache",
                                  self.cache, "--keep-going", "--no-discovery", "--json",
                                  "--listen", "127.0.0.1:0")

    def end(self, node):
        node.signal(signal.SIGTERM)
        self.assertEqual(node.wait(), DONE, node.story())

    def shared(self):
        listed = self.start_lanward("cache", "list", "--cache", self.cache, "--json")
        self.assertEqual(listed.wait(), DONE, listed.story())
        return [content["shared"] for content in listed.find("content")]


class PrivateContent(PrivateTest):
    def test_it_is_given_to_nobody_before_its_bytes_are_public(self):
        mine = self.with_credentials("--share", "forever")
        mine.wait_event("sharing")
        summary = mine.find("summary")[0]
        self.assertEqual(summary["peers_answer"], "private_content", summary)
        self.assertEqual(sha256(self.root / "a.out"), self.source.sha)
        self.assert_gives_nothing(mine, "b1")
        self.end(mine)
        self.assertEqual(self.shared(), [False])
        node = self.serve_cache()
        node.wait_event("listening")
        self.assert_gives_nothing(node, "b2")
        self.end(node)
        # The same bytes where nobody is asked for a password.
        for suffix in ("", ".torrent"):
            shutil.copy(f"{self.source.path}{suffix}",
                        self.origin.www / ("public/release.img" + suffix))
        again = self.get(self.origin.url("public/release.img"), self.root / "a2.out", "--cache",
                         self.cache)
        self.assertEqual(again.summary["cached"], self.source.size)
        self.assertEqual(self.shared(), [True])
        node = self.serve_cache()
        node.wait_event("sharing", lambda event: event["contents"] == 1)
        self.assert_gives_all(node, "b3")
        self.end(node)

    def test_a_part_of_it_is_given_to_nobody_while_it_is_fetched(self):
        self.origin.restart(rate=256 * KIB)
        mine = self.with_credentials()
        mine.wait_event("progress", lambda event: event["done"] > 0)
        self.assert_gives_nothing(mine, "b")
        mine.signal(signal.SIGTERM)
        mine.wait()

    def test_the_publisher_may_let_it_be_shared(self):
        path = self.source.path
        published = self.start_lanward("publish", path, "-o", self.source.torrent,
                                       "--share-private", "--json")
        self.assertEqual(published.wait(), DONE, published.story())
        self.assertEqual(published.find("published")[0]["infohash"], self.source.infohash)
        mine = self.with_credentials("--share", "forever")
        mine.wait_event("sharing")
        self.assert_gives_all(mine, "b")
        self.end(mine)
        self.assertEqual(self.shared(), [True])

    def test_a_job_without_peers_leaves_nothing_for_them(self):
        shutil.copy(self.source.path, self.origin.www / "public/f.img")
        shutil.copy(self.source.torrent, self.origin.www / "public/f.img.torrent")
        self.get(self.origin.url("public/f.img"), self.root / "out", "--no-peers", "--cache",
                 self.cache)
        self.assertEqual(self.shared(), [False])

    def test_an_administrator_says_what_is_shared(self):
        for arguments, shared in ((["import", self.source.path, "--private"], False),
                                  (["import", self.source.path], True)):
            done = self.start_lanward("cache", *arguments, "--cache", self.cache, "--json")
            self.assertEqual(done.wait(), DONE, done.story())
            self.assertEqual(self.shared(), [shared])
            content = done.find("changed")[0]["id"]
        for command, shared in (("unshare", False), ("share", True)):
            done = self.start_lanward("cache", command, content, "--cache", self.cache, "--json")
            self.assertEqual(done.wait(), DONE, done.story())
            self.assertEqual(self.shared(), [shared])


class DownloadModes(PrivateTest):
    def setUp(self):
        super().setUp()
        for suffix in ("", ".torrent"):
            shutil.copy(f"{self.source.path}{suffix}",
                        self.origin.www / ("public/release.img" + suffix))
        self.url = self.origin.url("public/release.img")

    def test_http_only_checks_against_the_manifest_and_has_no_peers(self):
        got = self.get(self.url, self.root / "out", "--no-peers", "--download-mode", "0")
        self.assertEqual(got.summary["integrity"], "manifest")
        got = self.start_lanward("get", self.url, "-o", self.root / "out2", "--json",
                                 "--download-mode", "http-only")
        self.assertEqual(got.wait(), DONE, got.story())
        self.assertEqual(got.find("summary")[0]["peers_answer"], "mode")
        self.assertFalse(got.find("listening"))

    def test_simple_asks_for_nothing_but_the_url(self):
        got = self.start_lanward("get", self.url, "-o", self.root / "out", "--json",
                                 "--download-mode", "99")
        self.assertEqual(got.wait(), DONE, got.story())
        self.assertEqual(sha256(self.root / "out"), self.source.sha)
        self.assertEqual(got.find("summary")[0]["integrity"], "transport")
        self.assertEqual({request.uri for request in self.origin.requests()},
                         {"/public/release.img"})

    def test_bypass_takes_nothing_from_the_cache_and_keeps_nothing(self):
        self.get(self.url, self.root / "first", "--cache", self.cache)
        before = self.origin.sent("public/release.img")
        state = self.root / "state"
        for arguments in (["create", "--start", "--file", f"{self.url}={self.root / 'second'}"],
                          ["run", "--complete", "--download-mode", "100"]):
            done = self.start_lanward("jobs", *arguments, "--state", state, "--cache", self.cache,
                                      "--json")
            self.assertEqual(done.wait(), DONE, done.story())
        self.assertEqual(sha256(self.root / "second"), self.source.sha)
        self.assertGreaterEqual(self.origin.sent("public/release.img") - before, self.source.size)
        listed = self.start_lanward("cache", "list", "--cache", self.cache, "--json")
        self.assertEqual(listed.wait(), DONE)
        self.assertEqual(len(listed.find("content")), 1, "that of the first")
        self.assertEqual([p.name for p in self.root.iterdir() if p.name.endswith(".part")], [])

    def test_contradictions_are_told(self):
        for arguments in (["--download-mode", "2"], ["--download-mode", "3"],
                          ["--download-mode", "7"], ["--download-mode", "1", "--no-peers"],
                          ["--download-mode", "0", "--listen", "127.0.0.1:0"],
                          ["--download-mode", "99", "--share", "1"],
                          ["--download-mode", "100", "--cache", self.cache]):
            got = self.start_lanward("get", self.url, "-o", self.root / "out", "--json", *arguments)
            self.assertEqual(got.wait(), USAGE, (arguments, got.story()))


class WhyNoPeers(PrivateTest):
    def test_a_copied_command_without_its_module_says_so(self):
        """Neither beside the copy nor, in this test, where the build would install it."""
        if not (support.Path(LANWARD).parent / "lanward-peer.so").exists():
            self.skipTest("this build has no module")
        if any(support.Path("/usr/local").glob("lib*/**/lanward/lanward-peer.so")):
            self.skipTest("a module is installed")
        alone = self.directory("alone") / "lanward"
        shutil.copy(LANWARD, alone)
        shutil.copy(self.source.path, self.origin.www / "public/f.img")
        shutil.copy(self.source.torrent, self.origin.www / "public/f.img.torrent")
        self.origin.restart(rate=512 * KIB)
        before, support.LANWARD = support.LANWARD, str(alone)
        try:
            got = self.start_lanward("get", self.origin.url("public/f.img"), "-o",
                                     self.root / "out", "--json")
        finally:
            support.LANWARD = before
        self.assertEqual(got.wait(), DONE, got.story())
        summary = got.find("summary")[0]
        self.assertEqual(summary["peers_answer"], "module_missing", summary)
        self.assertIn("lanward-peer.so", summary["peers_text"])
        self.assertIn("missing", summary["peers_text"])

    def test_rules_that_stop_everything_are_the_answer(self):
        state = self.directory("state")
        rules = state / "peers.rules"
        rules.write_text("lanward-peers 1\nserving off\n")
        self.origin.restart(rate=32 * KIB)
        shutil.copy(self.source.path, self.origin.www / "public/f.img")
        shutil.copy(self.source.torrent, self.origin.www / "public/f.img.torrent")
        got = self.start_get(self.origin.url("public/f.img"), self.root / "out", "--peer-rules",
                             rules)
        got.wait_event("progress", lambda event: event["peers_answer"] == "rules_stopped")
        got.signal(signal.SIGTERM)
        got.wait()

    def test_jobs_show_tells_what_was_decided(self):
        state = self.root / "state"
        made = self.start_lanward("jobs", "create", "--state", state, "--json")
        self.assertEqual(made.wait(), DONE, made.story())
        job = made.find("created")[0]["id"]
        added = self.start_lanward("jobs", "add-file", job, self.source.url, "--no-peers", "-o",
                                   self.root / "out", "--state", state, "--json")
        self.assertEqual(added.wait(), DONE, added.story())
        shown = self.start_lanward("jobs", "show", job, "--state", state, "--json")
        self.assertEqual(shown.wait(), DONE, shown.story())
        self.assertEqual(shown.find("job")[0]["files"][0]["peers_answer"], "not_asked")

    def test_jobs_show_knows_the_headers_before_anything_is_fetched(self):
        state = self.root / "state"

        def jobs(*arguments):
            done = self.start_lanward("jobs", *arguments, "--state", state, "--json")
            self.assertEqual(done.wait(), DONE, done.story())
            return done

        job = jobs("create").find("created")[0]["id"]
        jobs("add-file", job, self.source.url, "-o", self.root / "out")
        for change, reason in ((["--header", CREDENTIALS], "private_content"),
                               (["--no-headers"], "idle"),
                               (["--header", "Accept-Language: de"], "idle"),
                               (["--header", "X-Pass: 1"], "private_content")):
            jobs("set", job, *change)
            [file] = jobs("show", job).find("job")[0]["files"]
            self.assertEqual(file["peers_answer"], reason, (change, file["peers_text"]))
