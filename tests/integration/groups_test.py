"""Groups of peers and the rules of addresses, with real processes."""

import os
import stat
import unittest

from peers_test import DiscoveryOnTheLan as TwoSpaces
from support import DISK, DONE, MIB, USAGE, LanwardTest, wait_until


class Cli(LanwardTest):
    """Files of groups and of rules."""

    def run_lanward(self, *arguments, code=DONE):
        process = self.start_lanward(*arguments, "--json")
        self.assertEqual(process.wait(), code, process.story())
        return process

    def group(self, name):
        path = self.root / name
        self.run_lanward("group", "init", "-o", path)
        return path


class GroupCommand(Cli):
    def test_a_group_is_made_shown_and_rotated_without_showing_its_secrets(self):
        path = self.group("site.group")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        words = path.read_text().split()
        secrets = [word for word in words if len(word) == 64]
        self.assertEqual(len(secrets), 2)
        shown = self.run_lanward("group", "show", path)
        [event] = shown.find("group")
        self.assertEqual(event["id"], words[words.index("id") + 1])
        self.assertEqual([key["used"] for key in event["keys"]], [True])
        [rotated] = self.run_lanward("group", "rotate", path).find("group")
        self.assertEqual([key["used"] for key in rotated["keys"]], [False, True])
        self.assertEqual([key["accepted"] for key in rotated["keys"]], [True, True])
        self.assertIsNone(rotated["keys"][1]["until"])
        refused = self.run_lanward("group", "rotate", path, code=USAGE)
        self.assertIn(rotated["keys"][0]["id"], refused.stderr)
        [cut] = self.run_lanward("group", "rotate", "--now", path).find("group")
        self.assertEqual(len(cut["keys"]), 1)
        self.assertEqual(cut["id"], event["id"])
        for process in (shown, refused):
            for secret in secrets:
                self.assertNotIn(secret, process.stderr + str(process.events))

    def test_a_file_that_is_there_or_that_others_may_read_is_refused(self):
        path = self.group("site.group")
        before = path.read_bytes()
        self.run_lanward("group", "init", "-o", path, code=DISK)
        self.assertEqual(path.read_bytes(), before)
        path.chmod(0o640)
        refused = self.run_lanward("group", "show", path, code=USAGE)
        self.assertIn("chmod 600", refused.stderr)


class Groups(Cli):
    def test_two_groups_and_those_without_one_see_nothing_of_each_other(self):
        origin = self.start_origin()
        published = self.publish(origin, 8 * MIB + 5)
        ours, theirs = self.group("ours"), self.group("theirs")
        first = self.start_get(published.url, self.root / "one.img", "--share", "forever",
                               "--group", ours)
        first.wait_event("sharing")
        [listening] = first.find("listening")
        self.assertEqual(len(listening["group"]), 32)
        for number, group in enumerate((["--group", theirs], [])):
            output = self.root / f"foreign-{number}.img"
            summary = self.get(published.url, output, "--peer", first.address, *group).summary
            self.check_delivered(published, output, summary)
            self.assertEqual(summary["bytes_from_peers"], 0)
        output = self.root / "two.img"
        summary = self.get(published.torrent, output, "--no-cdn", "--group", ours).summary
        self.check_delivered(published, output, summary)
        served = [s for s in self.stop_sharing(first)["sources"] if s["kind"] == "peer"]
        self.assertEqual(len(served), 1)

    def test_a_key_is_rotated_while_members_come_and_go(self):
        origin = self.start_origin()
        published = self.publish(origin, 8 * MIB + 5)
        old = self.group("old")
        first = self.start_get(published.url, self.root / "one.img", "--share", "forever",
                               "--group", old)
        first.wait_event("sharing")
        new = self.root / "new"
        new.write_bytes(old.read_bytes())
        new.chmod(0o600)
        self.run_lanward("group", "rotate", new)
        for number, group in enumerate((old, new)):
            output = self.root / f"copy-{number}.img"
            summary = self.get(published.torrent, output, "--no-cdn", "--group", group).summary
            self.check_delivered(published, output, summary)
        # The first gets the new file; then the old key goes.
        self.run_lanward("group", "rotate", "--now", new)
        new.replace(old)
        output = self.root / "last.img"
        summary = self.get(published.torrent, output, "--no-cdn", "--group", old, "--peer",
                           first.address).summary
        self.check_delivered(published, output, summary)
        self.stop_sharing(first)


class Rules(Cli):
    def test_a_ban_holds_at_once_and_until_it_is_lifted(self):
        origin = self.start_origin()
        published = self.publish(origin, 8 * MIB + 5)
        rules = self.root / "peers.rules"
        first = self.start_get(published.url, self.root / "one.img", "--share", "forever",
                               "--peer-rules", rules)
        first.wait_event("sharing")
        for number, (change, back) in enumerate(((["ban", "127.0.0.1"], ["unban", "127.0.0.1"]),
                                                 (["stop"], ["start"]))):
            self.run_lanward("peers", *change, "--rules", rules)
            output = self.root / f"copy-{number}.img"

            def gets_nothing():
                summary = self.get(published.url, output, "--peer", first.address).summary
                self.check_delivered(published, output, summary)
                return summary["bytes_from_peers"] == 0

            wait_until(gets_nothing, "the change is noticed")
            self.assertTrue(gets_nothing())
            self.run_lanward("peers", *back, "--rules", rules)
            output.unlink()
            summary = self.get(published.torrent, output, "--no-cdn", "--peer",
                               first.address).summary
            self.check_delivered(published, output, summary)
        [shown] = self.run_lanward("peers", "show", "--rules",
                                   rules).find("peer_rules")
        self.assertEqual((shown["serving"], shown["ban"]), (True, []))
        self.run_lanward("peers", "ban", "everybody", "--rules", rules, code=USAGE)
        self.run_lanward("peers", "unban", "192.0.2.1", "--rules", rules, code=USAGE)
        self.stop_sharing(first)


class GroupOnTheLan(TwoSpaces):
    """Only the beacon: a group has no other discovery."""

    def setUp(self):
        super().setUp()
        self.group = self.root / "site.group"
        process = self.start_lanward("group", "init", "-o", self.group, "--json")
        self.assertEqual(process.wait(), DONE, process.story())

    def start_get(self, source, output, *arguments, **options):
        return super().start_get(source, output, "--group", self.group, *arguments, **options)

    def test_two_that_speak_ipv6_find_each_other(self):
        for number, space in enumerate(self.spaces, 1):
            self.check_ip("-n", space, "addr", "add", f"fd77::{number}/64", "dev", "lan0", "nodad")
        left, right = (["ip", "netns", "exec", space] for space in self.spaces)
        origin = self.start_origin(prefix=left)
        published = self.publish(origin, 4 * MIB + 99)
        first = self.start_get(published.url, self.root / "one.img", "--share", "forever",
                               "--listen", "[::]:0", prefix=left)
        first.wait_event("sharing")
        output = self.root / "two.img"
        summary = self.get(published.torrent, output, "--no-cdn", "--listen", "[::]:0",
                           prefix=right).summary
        self.check_delivered(published, output, summary)
        [host] = {s["name"].rsplit(":", 1)[0] for s in summary["sources"]}
        self.assertTrue(host.startswith("[f"), host)


del TwoSpaces


if __name__ == "__main__":
    unittest.main()
