"""Wrong bytes: never delivered, never shared, and blamed on who sent them."""

import os
import unittest

from support import INTEGRITY, KIB, MIB, LanwardTest, bytes_on_disk, flip_byte, sha256, wait_until

PIECE = 256 * KIB


class WrongBytes(LanwardTest):
    def fail_on_a_flipped_byte(self, *arguments, rate=0):
        """A get of a file of which the origin's copy has one wrong byte."""
        origin = self.start_origin(rate=rate)
        published = self.publish(origin, 32 * MIB)
        at = self.random.randrange(8 * MIB, published.size)
        flip_byte(published.path, at)
        output = self.directory("home") / "copy.img"
        get = self.get_failing(INTEGRITY, published.url, output, *arguments)
        self.assertFalse(output.exists())
        self.assertEqual(get.error["code"], "integrity")
        self.assertIn(f"piece {at // PIECE} ", get.stderr)
        self.assertIn(published.url, get.stderr)
        return origin, published, output, at, get

    def test_a_flipped_byte_ends_the_download_and_names_piece_and_url(self):
        _, _, output, _, get = self.fail_on_a_flipped_byte("--no-peers")
        self.assertEqual(os.listdir(output.parent), [".copy.img.lanward"])
        self.assertEqual(get.error["kept"], str(output.parent / ".copy.img.lanward"))
        self.assertIn(get.error["kept"], get.stderr)

    def test_from_a_repaired_origin_only_the_missing_pieces_are_fetched(self):
        cache = self.root / "cache"
        origin, published, output, at, get = self.fail_on_a_flipped_byte(
            "--no-peers", "--cache", cache)
        self.assertEqual(get.error["kept"], str(cache))
        flip_byte(published.path, at)
        sent_before = origin.sent(published.name)
        summary = self.get(published.url, output, "--no-peers", "--cache", cache).summary
        self.check_delivered(published, output, summary)
        self.assertGreaterEqual(summary["cached"], 4 * MIB)
        self.assertEqual(summary["bytes_from_origin"], published.size - summary["cached"])
        self.assertEqual(summary["wasted"], 0)
        # The probe may take some bytes that are asked for again.
        self.assertLessEqual(origin.sent(published.name) - sent_before,
                             published.size - summary["cached"] + MIB)

    def test_what_a_failed_download_left_is_served_to_peers_right_pieces_only(self):
        cache = self.root / "cache"
        origin, published, output, at, _ = self.fail_on_a_flipped_byte("--cache", cache)
        partial = self.start_get(published.torrent, output, "--no-cdn", "--cache", cache)
        partial.wait_event("state", lambda e: e["state"] == "transferring")
        flip_byte(published.path, at)
        origin.restart(rate=2 * MIB)
        whole = self.root / "whole.img"
        second = self.start_get(published.url, whole, "--peer", partial.address, "--share",
                                "forever")
        second.wait_event("sharing")
        summary = second.find("summary")[0]
        self.check_delivered(published, whole, summary)
        self.assertGreater(summary["bytes_from_peers"], 0)
        self.assertFalse([s for s in summary["sources"] if s["banned"]])
        # What was missing comes back the same way, without the origin.
        self.assertEqual(partial.wait(), 0, partial.story())
        got = partial.find("summary")[0]
        self.check_delivered(published, output, got)
        self.assertGreater(got["cached"], 0)
        self.assertEqual(got["bytes_from_origin"], 0)

    def test_a_mirror_that_lies_is_dropped_for_one_that_does_not(self):
        # The honest one is so slow that the other is asked too, and every piece of that is wrong.
        origin, mirror = self.start_origin(), self.start_origin("mirror", rate=MIB)
        published = self.publish(origin, 16 * MIB)
        honest = mirror.www / "honest.img"
        honest.write_bytes(published.path.read_bytes())
        for position in range(0, published.size, 64 * KIB):
            flip_byte(published.path, position)
        output = self.root / "copy.img"
        summary = self.get(published.url, output, "--no-peers", "--mirror",
                           mirror.url("honest.img")).summary
        self.check_delivered(published, output, summary)
        self.assertGreater(summary["wasted"], 0)
        banned = {s["name"]: s["banned"] for s in summary["sources"]}
        self.assertEqual(banned, {published.url: True, mirror.url("honest.img"): False})

    def test_a_file_replaced_in_the_middle_never_mixes_with_the_old_one(self):
        origin = self.start_origin(rate=MIB)
        published = self.publish(origin, 16 * MIB)
        output = self.directory("home") / "copy.img"
        get = self.start_get(published.url, output, "--no-peers")
        wait_until(lambda: bytes_on_disk(output.parent / ".copy.img.lanward") > 2 * MIB
                   or get.process.poll() is not None, "bytes move")
        other = self.make_file(origin.www / "new", published.size)
        os.replace(other, published.path)
        self.assertEqual(get.wait(), INTEGRITY, get.story())
        self.assertIn(get.error["code"], ("content_changed", "integrity"))
        self.assertIn(published.url, get.stderr)
        self.assertFalse(output.exists())

    def test_without_a_manifest_a_replaced_file_is_noticed_too(self):
        origin = self.start_origin(rate=MIB)
        published = self.publish(origin, 16 * MIB, torrent=self.root / "unknown.torrent")
        output = self.directory("home") / "copy.img"
        get = self.start_get(published.url, output)
        wait_until(lambda: bytes_on_disk(output.parent / ".copy.img.lanward") > 2 * MIB
                   or get.process.poll() is not None, "bytes move")
        other = self.make_file(origin.www / "new", published.size)
        # A date in the future: validators of this server have a resolution of a second.
        os.utime(other, (2_000_000_000, 2_000_000_000))
        os.replace(other, published.path)
        self.assertEqual(get.wait(), INTEGRITY, get.story())
        self.assertEqual(get.error["code"], "content_changed")
        self.assertFalse(output.exists())
        # The next try fetches the new file and nothing of the old.
        origin.restart(rate=0)
        summary = self.get(published.url, output).summary
        self.assertEqual(summary["cached"], 0)
        self.assertEqual(sha256(output), sha256(published.path))


if __name__ == "__main__":
    unittest.main()
