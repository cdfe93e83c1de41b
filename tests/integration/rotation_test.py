"""Keys of a group are changed while its members download."""

import os
import shutil
import signal
import unittest

from networks import Machine, NetworkTest, SiteOrigin
from support import CANCELLED, DONE, KIB, MIB, wait_until

MEMBERS = 4
# Slow enough for keys to change in the middle of it, whatever else the machine does.
RATE = 512 * KIB
SIZE = 48 * MIB + 4321


class Rotation(NetworkTest):
    """Each member is a machine with a copy of the group's file of its own."""

    def setUp(self):
        super().setUp()
        self.master = self.root / "master.group"
        self.group_command("init", "-o", self.master)
        switch = self.add_switch("lan", "10.84.0.254/24")
        origin = SiteOrigin(self.root / "origin", Machine(self.router), "10.84.0.254")
        self.addCleanup(origin.stop)
        self.published = self.publish(origin, SIZE)
        self.members = []
        for number in range(MEMBERS):
            machine = self.plug(switch, f"10.84.0.{1 + number}/24", gateway="10.84.0.254")
            self.copy_file(number)
            self.members.append(self.start_get(
                self.published.url, self.output(number), "--group", self.file(number),
                "--listen", "0.0.0.0:0", "--limit-rate", str(RATE), "--share", "forever",
                prefix=machine.prefix))

    def group_command(self, *arguments):
        process = self.start_lanward("group", *arguments, "--json")
        self.assertEqual(process.wait(), DONE, process.story())

    def file(self, number):
        return self.root / f"member-{number}.group"

    def output(self, number):
        return self.root / f"copy-{number}.img"

    def copy_file(self, number):
        """In one step, as every tool that copies files to machines does it."""
        new = self.root / "new"
        shutil.copyfile(self.master, new)
        new.chmod(0o600)
        os.replace(new, self.file(number))

    def now(self, number):
        """What a member told last."""
        return self.members[number].find("progress")[-1]

    def tell(self, numbers, condition, what):
        """Waits until each of the members has told, from now on, what fulfils a condition."""
        seen = {number: len(self.members[number].find("progress")) for number in numbers}

        def told():
            for number, first in seen.items():
                member = self.members[number]
                if not any(map(condition(number), member.find("progress")[first:])):
                    if member.find("summary") or member.process.poll() is not None:
                        raise AssertionError(f"it ended before: {what}" + member.story())
                    return False
            return True
        wait_until(told, f"members {list(numbers)}: {what}")

    def are_connected(self, numbers, what="they are connected"):
        """To each other, and to nobody else."""
        self.tell(numbers, lambda _: lambda event: event["peers"] == len(numbers) - 1, what)

    def go_on(self, numbers, key="bytes_from_peers"):
        """Each takes bytes from the others, or from the origin."""
        before = {number: self.now(number)[key] for number in numbers}
        self.tell(numbers, lambda number: lambda event: event[key] > before[number] + 128 * KIB,
                  f"{key} become more")

    def fewest_peers(self, number):
        """Since all were connected, and until it had everything."""
        told = self.members[number].find("progress")
        first = next(i for i, event in enumerate(told) if event["peers"] == MEMBERS - 1)
        return min(event["peers"] for event in told[first:] if event["done"] < SIZE)

    def finish(self, number):
        """The summary: all bytes are right and accounted for."""
        member = self.members[number]
        member.wait_event("sharing")
        [summary] = member.find("summary")
        self.check_delivered(self.published, self.output(number), summary)
        self.assertEqual([s for s in summary["sources"] if s["banned"]], [])
        self.assertEqual(member.find("error"), [])
        return summary

    def test_a_second_key_stops_nothing(self):
        everybody = range(MEMBERS)
        self.are_connected(everybody)
        self.group_command("rotate", self.master)
        for number in everybody:
            self.copy_file(number)
            self.go_on(everybody)
        for number in everybody:
            self.finish(number)
        self.assertEqual([self.fewest_peers(number) for number in everybody],
                         [MEMBERS - 1] * MEMBERS, "no session has ended")

    def test_dropping_the_old_keys_cuts_off_who_has_no_other(self):
        everybody, out = range(MEMBERS), MEMBERS - 1
        stay = range(out)
        self.are_connected(everybody)
        self.go_on(everybody)
        self.group_command("rotate", "--now", self.master)
        # While the file is on its way there are two groups of members.
        for number in stay[:2]:
            self.copy_file(number)
        self.are_connected(stay[:2], "those with the new key find each other")
        self.copy_file(2)
        self.are_connected(stay, "the third finds them as soon as it has the key")
        self.tell([out], lambda _: lambda event: event["peers"] == 0, "it is alone")
        before = self.now(out)
        self.go_on(stay)
        self.go_on([out], "bytes_from_origin")
        for number in stay:
            self.finish(number)
        last = self.now(out)
        self.assertGreater(before["bytes_from_peers"], 0)
        self.assertEqual(last["bytes_from_peers"], before["bytes_from_peers"])
        done = [event["done"] for event in self.members[out].find("progress")]
        self.assertEqual(done, sorted(done), "what it was given stays")
        self.members[out].signal(signal.SIGTERM)
        self.assertEqual(self.members[out].wait(), CANCELLED, self.members[out].story())


if __name__ == "__main__":
    unittest.main()
