"""One `lanward get`: where the manifest comes from, and what is at the destination when."""

import os
import unittest

from support import (DONE, INTEGRITY, KIB, MIB, NETWORK, LanwardTest, bytes_on_disk, sha256,
                     wait_until)

PIECE = 256 * KIB  # of every file up to 256 MiB: docs/file-formats.md


class Delivery(LanwardTest):
    def test_a_url_with_a_sidecar_manifest_is_fetched_whole_and_verified(self):
        origin = self.start_origin()
        published = self.publish(origin, 24 * MIB + 4321)
        output = self.root / "copy.img"
        process = self.get(published.url, output)
        summary = process.summary
        self.check_delivered(published, output, summary)
        self.assertEqual(summary["file"], str(output))
        self.assertEqual(summary["integrity"], "manifest")
        self.assertIs(summary["verified"], True)
        self.assertEqual((summary["cached"], summary["wasted"]), (0, 0))
        self.assertEqual([(s["kind"], s["name"]) for s in summary["sources"]],
                         [("origin", published.url)])
        self.assertGreater(summary["seconds"], 0)
        self.assertEqual(process.find("note"), [])
        # The probe may bring bytes that are fetched again as part of a range.
        self.assertLessEqual(origin.sent(published.name), published.size + MIB)

    def test_only_the_file_is_left_and_its_mode_follows_the_umask(self):
        origin = self.start_origin()
        published = self.publish(origin, 8 * MIB)
        for umask, mode in ((0o022, 0o644), (0o077, 0o600), (0o002, 0o664)):
            with self.subTest(umask=oct(umask)):
                home = self.directory(f"home-{umask}")
                self.get(published.url, home / "copy.img", "--no-peers", umask=umask)
                self.assertEqual(os.listdir(home), ["copy.img"])
                self.assertEqual((home / "copy.img").stat().st_mode & 0o7777, mode)

    def test_the_destination_is_absent_until_the_file_is_whole(self):
        origin = self.start_origin(rate=640 * KIB)
        published = self.publish(origin, 8 * MIB)
        output = self.directory("home") / "copy.img"
        working = output.parent / ".copy.img.lanward"
        process = self.start_get(published.url, output, "--no-peers")
        looks_half_way = 0

        def delivered():
            nonlocal looks_half_way
            looks_half_way += MIB < bytes_on_disk(working) < published.size - MIB
            return output.exists() or process.process.poll() is not None

        wait_until(delivered, "the file is delivered")
        # Looked at the moment it is there, perhaps before the process has said so.
        self.assertEqual(sha256(output), published.sha)
        self.assertEqual(process.wait(), DONE, process.story())
        self.assertGreater(looks_half_way, 10)
        states = [event["state"] for event in process.find("state")]
        self.assertEqual(states[-2:], ["transferred", "acknowledged"])
        self.assertTrue(process.find("progress", lambda e: 0 < e["done"] < e["size"]))

    def test_what_was_at_the_destination_stays_until_it_is_replaced_in_one_step(self):
        origin = self.start_origin(rate=640 * KIB)
        published = self.publish(origin, 4 * MIB)
        output = self.root / "copy.img"
        output.write_bytes(b"the old version")
        process = self.start_get(published.url, output, "--no-peers")
        seen = set()

        def ended():
            seen.add(output.stat().st_size)
            return process.process.poll() is not None

        wait_until(ended, "the download ends")
        self.assertEqual(process.wait(), DONE, process.story())
        self.assertEqual(seen, {15, published.size})
        self.assertEqual(sha256(output), published.sha)

    def test_several_urls_of_equal_bytes_share_what_the_cache_has(self):
        origin = self.start_origin()
        published = self.publish(origin, 8 * MIB)
        cache = self.root / "cache"
        self.get(published.url, self.root / "one.img", "--cache", cache)
        again = self.get(published.torrent, self.root / "two.img", "--cache", cache).summary
        self.check_delivered(published, self.root / "two.img", again)
        self.assertEqual((again["cached"], again["bytes_from_origin"]), (published.size, 0))


class FindingTheManifest(LanwardTest):
    def check(self, origin, published, source, *arguments):
        output = self.root / "copy.img"
        process = self.get(source, output, *arguments)
        self.check_delivered(published, output, process.summary)
        self.assertEqual(process.summary["integrity"], "manifest")
        self.assertIs(process.summary["verified"], True)
        self.assertEqual(process.find("note"), [])
        asked = [request.uri for request in origin.requests()]
        return asked

    def test_a_link_header_of_the_origin_tells_where_it_is(self):
        link = '</elsewhere/about.torrent>; rel="describedby"; type="application/x-bittorrent"'
        origin = self.start_origin(headers={"Link": link})
        (origin.www / "elsewhere").mkdir()
        published = self.publish(origin, 8 * MIB,
                                 torrent=origin.www / "elsewhere" / "about.torrent")
        asked = self.check(origin, published, published.url)
        self.assertIn("/elsewhere/about.torrent", asked)
        self.assertNotIn("/release.img.torrent", asked)

    def test_the_option_takes_a_path(self):
        origin = self.start_origin()
        published = self.publish(origin, 8 * MIB, torrent=self.root / "any-name")
        asked = self.check(origin, published, published.url, "--manifest", published.torrent)
        self.assertEqual(set(asked), {"/release.img"})

    def test_the_option_takes_a_url(self):
        origin = self.start_origin()
        published = self.publish(origin, 8 * MIB, torrent=origin.www / "other.torrent")
        asked = self.check(origin, published, published.url, "--manifest",
                           origin.url("other.torrent"))
        self.assertEqual(set(asked), {"/release.img", "/other.torrent"})

    def test_the_source_may_be_the_path_of_a_manifest_with_a_web_seed(self):
        origin = self.start_origin()
        published = self.publish(origin, 8 * MIB, torrent=self.root / "release.torrent")
        asked = self.check(origin, published, published.torrent)
        self.assertEqual(set(asked), {"/release.img"})

    def test_the_source_may_be_the_url_of_a_manifest_with_a_web_seed(self):
        origin = self.start_origin()
        published = self.publish(origin, 8 * MIB)
        asked = self.check(origin, published, published.url + ".torrent")
        self.assertEqual(set(asked), {"/release.img", "/release.img.torrent"})

    def test_a_manifest_as_source_names_the_file(self):
        origin = self.start_origin()
        published = self.publish(origin, 1 * MIB, torrent=self.root / "other.torrent")
        home = self.directory("home")
        self.get(published.torrent, str(home) + "/")
        self.assertEqual(os.listdir(home), [published.name])

    def test_without_one_the_job_says_that_only_the_transport_vouches(self):
        origin = self.start_origin()
        published = self.publish(origin, 8 * MIB, torrent=self.root / "kept-secret")
        output = self.root / "copy.img"
        process = self.get(published.url, output)
        self.check_delivered(published, output, process.summary)
        self.assertEqual(process.summary["integrity"], "transport")
        self.assertIs(process.summary["verified"], False)
        [note] = process.find("note")
        self.assertEqual(note["integrity"], "transport")
        self.assertIn("no manifest", note["message"])
        self.assertIn("release.img.torrent", note["message"])

    def test_one_that_was_demanded_and_is_not_there_is_an_error(self):
        origin = self.start_origin()
        published = self.publish(origin, 1 * MIB)
        process = self.get_failing(NETWORK, published.url, self.root / "copy.img", "--manifest",
                                   origin.url("none.torrent"))
        self.assertEqual(process.error["code"], "manifest_missing")
        self.assertIn("none.torrent", process.error["message"])
        self.assertEqual(origin.sent(published.name), 0)

    def test_a_damaged_sidecar_is_an_error_not_a_reason_to_go_on_without(self):
        origin = self.start_origin()
        published = self.publish(origin, 1 * MIB)
        published.torrent.write_bytes(published.torrent.read_bytes()[:-10])
        process = self.get_failing(INTEGRITY, published.url, self.root / "copy.img")
        self.assertEqual(process.error["code"], "manifest_invalid")
        self.assertIn("release.img.torrent", process.error["message"])
        self.assertFalse((self.root / "copy.img").exists())


class Sizes(LanwardTest):
    def check(self, size):
        origin = self.start_origin()
        published = self.publish(origin, size)
        self.assertEqual(published.piece, PIECE)
        for way, arguments in (("url", [published.url]), ("torrent", [published.torrent])):
            with self.subTest(source=way):
                output = self.root / f"{way}.img"
                summary = self.get(*arguments, output, "--no-peers").summary
                self.check_delivered(published, output, summary)
                self.assertEqual(summary["integrity"], "manifest")
        # The same through a peer.
        sharer = self.start_get(published.url, self.root / "first.img", "--share", "forever")
        sharer.wait_event("sharing")
        output = self.root / "second.img"
        summary = self.get(published.torrent, output, "--no-cdn", "--peer", sharer.address).summary
        self.check_delivered(published, output, summary)
        self.assertEqual(summary["bytes_from_origin"], 0)
        self.stop_sharing(sharer)

    def test_an_empty_file(self):
        self.check(0)

    def test_a_file_of_one_byte(self):
        self.check(1)

    def test_a_file_of_exactly_one_piece(self):
        self.check(PIECE)

    def test_a_file_of_one_piece_and_a_byte(self):
        self.check(PIECE + 1)

    def test_a_file_of_whole_pieces_and_a_part_of_a_block(self):
        self.check(5 * PIECE + 16 * KIB + 1)


if __name__ == "__main__":
    unittest.main()
