"""`lanward cache` on a cache that real downloads have filled."""

import contextlib
import json
import os
import sqlite3
import unittest

from support import DONE, INTEGRITY, KIB, MIB, USAGE, LanwardTest, flip_byte, sha256

PIECE = 256 * KIB


class CacheTest(LanwardTest):
    def setUp(self):
        super().setUp()
        self.cache = self.root / "cache"

    def fetch(self, origin, name, size, *arguments):
        published = self.publish(origin, size, name)
        self.get(published.url, self.root / (name + ".out"), "--no-peers", "--cache", self.cache,
                 *arguments)
        return published

    def run_cache(self, *arguments, code=DONE):
        process = self.start_lanward("cache", *arguments, "--cache", self.cache, "--json")
        self.assertEqual(process.wait(), code, process.story())
        return process

    def contents(self):
        return {c["name"]: c for c in self.run_cache("list").find("content")}

    def status(self, *arguments):
        return self.run_cache("status", *arguments).find("status")[0]

    def data_file(self, content):
        return self.cache / "data" / content["id"]


class Commands(CacheTest):
    def test_what_was_fetched_is_listed_with_all_there_is_to_know(self):
        origin = self.start_origin()
        published = self.fetch(origin, "a.img", 3 * MIB)
        content = self.contents()["a.img"]
        self.assertEqual(content["size"], published.size)
        self.assertEqual(content["verified"], published.size)
        self.assertTrue(content["manifest_known"])
        self.assertEqual(content["jobs"], [])
        self.assertEqual(content["origin"], published.url)
        status = self.status()
        self.assertEqual((status["contents"], status["contents_complete"]), (1, 1))
        self.assertGreaterEqual(status["used"], published.size)
        self.assertEqual(status["trouble"], "")

    def test_a_content_is_found_again_without_the_origin_and_from_another_url(self):
        origin = self.start_origin()
        published = self.fetch(origin, "a.img", 3 * MIB)
        published.path.rename(origin.www / "b.img")
        published.torrent.rename(origin.www / "b.img.torrent")
        output = self.root / "again"
        got = self.get(origin.url("b.img"), output, "--no-peers", "--cache", self.cache).summary
        self.assertEqual(sha256(output), published.sha)
        self.assertEqual((got["bytes_from_origin"], got["cached"]), (0, published.size))

    def test_ids_may_be_short_but_not_unknown_or_malformed(self):
        origin = self.start_origin()
        self.fetch(origin, "a.img", MIB)
        content = self.contents()["a.img"]
        done = self.run_cache("pin", content["id"][:6])
        self.assertEqual(done.find("changed")[0]["id"], content["id"])
        for wrong in ("0" * 64 if content["id"][0] != "0" else "1" * 64, "xyz", content["id"][:3]):
            failed = self.run_cache("pin", wrong, code=USAGE)
            self.assertEqual(failed.find("id_error")[0]["id"], wrong)

    def test_a_pinned_content_survives_what_removes_the_others(self):
        origin = self.start_origin()
        for name in ("a.img", "b.img"):
            self.fetch(origin, name, 2 * MIB)
        pinned, other = (self.contents()[name]["id"] for name in ("a.img", "b.img"))
        self.run_cache("pin", pinned)
        self.run_cache("delete", pinned, code=USAGE)
        trimmed = self.run_cache("trim", "--cache-max", "1MB").find("trimmed")[0]
        self.assertEqual(trimmed["contents"], 1)
        self.assertEqual(list(self.contents()), ["a.img"])
        self.assertFalse((self.cache / "data" / other).exists())
        self.run_cache("unpin", pinned)
        self.run_cache("delete", pinned)
        self.assertEqual(self.contents(), {})
        self.assertEqual(self.status()["used"], 0)

    def test_a_content_goes_when_its_time_has_come(self):
        origin = self.start_origin()
        self.fetch(origin, "a.img", MIB)
        content = self.contents()["a.img"]["id"]
        self.run_cache("expire", "--in", "1d", content)
        self.assertIsNotNone(self.contents()["a.img"]["expires"])
        self.run_cache("trim")
        self.run_cache("expire", "--in", "never", content)
        self.assertIsNone(self.contents()["a.img"]["expires"])
        self.run_cache("expire", "--in", "0", content)
        self.assertEqual(self.run_cache("trim").find("trimmed")[0]["contents"], 1)
        self.assertEqual(self.contents(), {})

    def test_verify_finds_every_flipped_byte_and_the_next_download_heals_it(self):
        origin = self.start_origin()
        published = [self.fetch(origin, name, 4 * MIB) for name in ("a.img", "b.img")]
        good = self.run_cache("verify")
        self.assertEqual(good.find("verified")[0]["bad"], 0)
        content = self.contents()["a.img"]
        pieces = sorted(self.random.sample(range(4 * MIB // content["piece_size"]), 5))
        for piece in pieces:
            offset = self.random.randrange(content["piece_size"])
            flip_byte(self.data_file(content), piece * content["piece_size"] + offset)
        checks = {c["id"]: c for c in self.run_cache("verify", code=INTEGRITY).find("checked")}
        self.assertEqual(checks[content["id"]]["bad_pieces"], pieces)
        self.assertEqual([c["verdict"] for i, c in checks.items() if i != content["id"]], ["good"])
        output = self.root / "healed"
        got = self.get(published[0].url, output, "--no-peers", "--cache", self.cache).summary
        self.assertEqual(sha256(output), published[0].sha)
        self.assertEqual(got["bytes_from_origin"], len(pieces) * content["piece_size"])
        self.run_cache("verify")

    def test_a_file_of_this_machine_is_imported_and_exported(self):
        path = self.make_file(self.root / "image", 5 * MIB + 7)
        imported = self.run_cache("import", path, "--name", "my image", "--pin")
        content = imported.find("changed")[0]
        self.assertEqual((content["name"], content["size"]), ("my image", 5 * MIB + 7))
        self.assertTrue(content["pinned"])
        out = self.directory("out")
        exported = self.run_cache("export", content["id"], "-o", out, "--with-manifest")
        self.assertEqual(exported.find("exported")[0]["destination"], str(out / "my image"))
        self.assertEqual(sha256(out / "my image"), sha256(path))
        # What was exported is what a download by its manifest gets, without a byte from anywhere.
        got = self.get(out / "my image.torrent", self.root / "copy", "--no-peers",
                       "--cache", self.cache).summary
        self.assertEqual(got["cached"], 5 * MIB + 7)

    def test_an_import_that_is_not_what_its_manifest_says_is_refused(self):
        origin = self.start_origin()
        published = self.publish(origin, 2 * MIB)
        flip_byte(published.path, MIB)
        failed = self.run_cache("import", published.path, "--manifest", published.torrent,
                                code=INTEGRITY)
        self.assertIn("piece", failed.error["message"])
        self.assertEqual([c for c in self.contents().values() if c["verified"] == c["size"]], [])

    def test_a_link_planted_at_the_destination_is_not_followed(self):
        path = self.make_file(self.root / "image", MIB)
        content = self.run_cache("import", path).find("changed")[0]
        victim = self.root / "victim"
        victim.write_text("precious")
        os.symlink(victim, self.root / "link")
        process = self.start_lanward("cache", "export", content["id"], "-o", self.root / "link",
                                     "--cache", self.cache, "--json")
        process.wait()
        self.assertEqual(victim.read_text(), "precious", process.story())

    def test_without_a_cache_there_is_an_error_and_nothing_is_made(self):
        failed = self.run_cache("list", code=USAGE)
        self.assertIn(str(self.cache), failed.error["message"])
        self.assertFalse(self.cache.exists())


class Quota(CacheTest):
    def test_the_oldest_make_room_for_the_new(self):
        origin = self.start_origin()
        for name in ("a.img", "b.img", "c.img"):
            self.fetch(origin, name, 4 * MIB, "--cache-max", "10MiB")
            # Time passes: uses are told apart by the second.
            with contextlib.closing(sqlite3.connect(self.cache / "index.sqlite")) as index:
                index.execute("UPDATE contents SET last_use = last_use - 100")
                index.commit()
        self.run_cache("trim", "--cache-max", "10MiB")
        self.assertLessEqual(self.status("--cache-max", "10MiB")["used"], 10 * MIB)
        self.assertIn("c.img", self.contents())
        self.assertNotIn("a.img", self.contents())

    def test_a_file_that_is_larger_than_the_cache_arrives_and_the_cache_keeps_its_quota(self):
        origin = self.start_origin()
        published = self.publish(origin, 24 * MIB, "large.img")
        output = self.root / "large"
        process = self.get(published.url, output, "--no-peers", "--cache", self.cache,
                           "--cache-max", "8MiB")
        self.assertEqual(sha256(output), published.sha)
        self.assertIn("cache", json.dumps(process.summary).lower())
        self.run_cache("trim", "--cache-max", "8MiB")
        self.assertLessEqual(self.status("--cache-max", "8MiB")["used"], 8 * MIB)


if __name__ == "__main__":
    unittest.main()
