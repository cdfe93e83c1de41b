"""Files without a manifest that rest on a digest of the whole, and Metalinks."""

import base64
import hashlib
import unittest

from support import INTEGRITY, KIB, MIB, USAGE, LanwardTest, flip_byte, sha256

SIZE = 8 * MIB + 12345


def metalink(files):
    """`files`: list of (name, size, sha-256, URLs, the best first)."""
    text = '<?xml version="1.0" encoding="UTF-8"?>\n'
    text += '<metalink xmlns="urn:ietf:params:xml:ns:metalink">\n'
    for name, size, digest, urls in files:
        text += f'<file name="{name}"><size>{size}</size>'
        text += f'<hash type="sha-256">{digest}</hash>'
        for priority, url in enumerate(urls, 1):
            text += f'<url priority="{priority}">{url}</url>'
        text += "</file>\n"
    return text + "</metalink>\n"


class WholeFileDigests(LanwardTest):
    def setUp(self):
        super().setUp()
        self.origin = self.start_origin()
        self.path = self.make_file(self.origin.www / "file.img", SIZE)
        self.url = self.origin.url("file.img")
        self.sha = sha256(self.path)
        self.output = self.directory("home") / "copy.img"

    def test_the_right_file_is_delivered_and_says_what_it_rests_on(self):
        summary = self.get(self.url, self.output, "--no-peers", "--sha256", self.sha).summary
        self.assertEqual(sha256(self.output), self.sha)
        self.assertEqual(summary["integrity"], "digest")
        self.assertEqual(summary["digest"], "sha-256=" + self.sha)
        self.assertTrue(summary["verified"])

    def test_the_wrong_file_is_not_delivered_and_nothing_is_kept_of_it(self):
        flip_byte(self.path, SIZE // 2)
        get = self.get_failing(INTEGRITY, self.url, self.output, "--no-peers",
                               "--sha256", self.sha)
        self.assertEqual(get.error["code"], "integrity")
        for part in ("sha-256", self.sha, sha256(self.path), "the caller"):
            self.assertIn(part, get.error["message"])
        self.assertFalse(self.output.exists())
        self.assertEqual(list(self.output.parent.iterdir()), [])

    def test_of_several_digests_the_strongest_is_checked(self):
        self.get(self.url, self.output, "--no-peers", "--sha256", self.sha,
                 "--digest", "md5=" + 32 * "0")
        self.output.unlink()
        self.get_failing(INTEGRITY, self.url, self.output, "--no-peers", "--sha256", self.sha,
                         "--digest", "sha-512=" + 128 * "0")

    def test_a_digest_that_is_none_is_a_fault_of_the_command_line(self):
        get = self.get_failing(USAGE, self.url, self.output, "--no-peers", "--sha256", "abc")
        self.assertIn("64 hexadecimal digits", get.error["message"])

    def test_a_killed_download_goes_on_and_the_whole_is_checked(self):
        cache = self.root / "cache"
        # Slow enough to be killed in the middle.
        self.origin.restart(rate=256 * KIB)
        get = self.start_get(self.url, self.output, "--no-peers", "--sha256", self.sha,
                             "--cache", cache)
        get.wait_event("progress", lambda e: MIB < e["done"] < SIZE - MIB)
        get.kill()
        self.origin.restart(rate=0)
        summary = self.get(self.url, self.output, "--no-peers", "--sha256", self.sha,
                           "--cache", cache).summary
        self.assertGreater(summary["cached"], 0)
        self.assertEqual(sha256(self.output), self.sha)
        self.assertEqual(summary["integrity"], "digest")

    def test_the_origins_header_is_checked(self):
        value = base64.b64encode(bytes.fromhex(self.sha)).decode()
        self.origin.restart(headers={"Repr-Digest": f"sha-256=:{value}:"})
        summary = self.get(self.url, self.output, "--no-peers").summary
        self.assertEqual(summary["digest"], "sha-256=" + self.sha)
        self.output.unlink()
        flip_byte(self.path, 1)
        get = self.get_failing(INTEGRITY, self.url, self.output, "--no-peers")
        self.assertIn("Repr-Digest", get.error["message"])

    def test_a_weak_header_is_checked_and_called_weak(self):
        md5 = base64.b64encode(hashlib.md5(self.path.read_bytes()).digest()).decode()
        self.origin.restart(headers={"Digest": "MD5=" + md5})
        get = self.get(self.url, self.output, "--no-peers")
        self.assertFalse(get.summary["verified"])
        self.assertIn("accidents only", get.find("note")[0]["message"])


class Metalinks(LanwardTest):
    def test_of_three_mirrors_one_may_lie(self):
        origins = [self.start_origin(f"origin{n}") for n in range(3)]
        path = self.make_file(origins[0].www / "file.img", SIZE)
        digest = sha256(path)
        (origins[1].www / "file.img").write_bytes(path.read_bytes())
        (origins[2].www / "file.img").write_bytes(path.read_bytes())
        self.make_file(path, SIZE)  # other bytes, whatever part of them is used
        home = self.directory("home")
        document = self.root / "file.meta4"
        document.write_text(metalink([("file.img", SIZE, digest,
                                       [o.url("file.img") for o in origins])]))
        summary = self.get(document, f"{home}/", "--no-peers").summary
        self.assertEqual(sha256(home / "file.img"), digest)
        self.assertEqual(summary["digest"], "sha-256=" + digest)

    def test_its_files_are_all_delivered_into_the_directory(self):
        origin = self.start_origin()
        files = []
        for name in ("one.img", "two.img"):
            path = self.make_file(origin.www / name, 300 * KIB)
            files.append(("any/" + name, 300 * KIB, sha256(path), [origin.url(name)]))
        (origin.www / "both.meta4").write_text(metalink(files))
        home = self.directory("home")
        summary = self.get(origin.url("both.meta4"), f"{home}/", "--no-peers").summary
        self.assertEqual(sorted(p.name for p in home.iterdir()), ["one.img", "two.img"])
        for name, _, digest, _ in files:
            self.assertEqual(sha256(home / name.split("/")[1]), digest)
        self.assertEqual(len(summary["files"]), 2)

    def test_a_name_that_climbs_is_refused(self):
        document = self.root / "bad.meta4"
        document.write_text(metalink([("../escaped", 1, 64 * "0", ["http://127.0.0.1:9/x"])]))
        home = self.directory("home")
        get = self.get_failing(INTEGRITY, document, f"{home}/", "--no-peers")
        self.assertEqual(get.error["code"], "manifest_invalid")
        self.assertIn("line 3", get.error["message"])


if __name__ == "__main__":
    unittest.main()
