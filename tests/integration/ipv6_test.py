"""A local network that has no IPv4."""

import unittest

from networks import NetworkTest
from support import DONE, MIB


class Ipv6Only(NetworkTest):
    """Addresses of the link, and local ones (fd00::/8) where a test gives them."""

    def build(self, unique=True, machines=3):
        switch = self.add_switch("lan")
        self.machines = []
        for number in range(1, machines + 1):
            addresses = [f"fd81::{number}/64"] if unique else []
            self.machines.append(self.plug(switch, *addresses, ipv6=True))

    def start_on(self, machine, source, name, *arguments):
        """Without --listen, unless it is said."""
        return self.start_lanward("get", source, "-o", self.root / name, "--json", *arguments,
                                  prefix=machine.prefix)

    def share(self, machine, published, name, *arguments):
        process = self.start_on(machine, published.url, name, "--share", "forever", *arguments)
        process.wait_event("sharing")
        return process

    def from_peers(self, machine, published, name, *arguments):
        process = self.start_on(machine, published.torrent, name, "--no-cdn", *arguments)
        self.assertEqual(process.wait(), DONE, process.story())
        [summary] = process.find("summary")
        self.check_delivered(published, self.root / name, summary)
        self.assertEqual(summary["bytes_from_origin"], 0)
        return self.sources_of(summary)

    def check(self, *arguments, **options):
        """One shares, and two that start later find it."""
        self.build(**options)
        first, second, third = self.machines
        published = self.publish(self.start_origin(prefix=first.prefix), 4 * MIB + 99)
        sharing = self.share(first, published, "one", *arguments)
        for number, machine in enumerate((second, third)):
            sources = self.from_peers(machine, published, f"copy-{number}", *arguments)
            self.assertEqual(set(sources.values()), {"lan"})
            self.assertTrue(all(host.startswith("[f") for host in sources), sources)
        self.stop_sharing(sharing)

    def test_peers_find_each_other_without_being_told_of_ipv6(self):
        self.check()

    def test_peers_find_each_other_where_they_listen_to_ipv6(self):
        self.check("--listen", "[::]:0")

    def test_addresses_of_the_link_are_enough(self):
        self.check("--listen", "[::]:0", unique=False)

    def make_group(self):
        group = self.root / "site.group"
        process = self.start_lanward("group", "init", "-o", group, "--json")
        self.assertEqual(process.wait(), DONE, process.story())
        return group

    def test_members_of_a_group_find_each_other(self):
        self.check("--group", self.make_group())

    def test_members_need_no_other_addresses_than_those_of_the_link(self):
        self.check("--group", self.make_group(), unique=False)

    def test_rules_hold_for_addresses_of_the_link(self):
        self.build(unique=False, machines=2)
        first, second = self.machines
        published = self.publish(self.start_origin(prefix=first.prefix), 4 * MIB + 99)
        sharing = self.share(first, published, "one")
        rules = self.root / "peers.rules"
        rules.write_text("lanward-peers 1\ndeny fe80::/10\n")
        process = self.start_on(second, published.torrent, "two", "--no-cdn", "--peer-rules",
                                rules)
        told = process.wait_event("progress",
                                  lambda event: event["peers_answer"] != "undecided"
                                  and event["elapsed"] > 2)
        self.assertEqual((told["peers"], told["done"]), (0, 0))
        changed = self.root / "changed"
        changed.write_text("lanward-peers 1\n")
        changed.replace(rules)
        self.assertEqual(process.wait(), DONE, process.story())
        [summary] = process.find("summary")
        self.check_delivered(published, self.root / "two", summary)
        self.assertEqual(list(self.sources_of(summary).values()), ["lan"])
        self.stop_sharing(sharing)

    def test_a_known_peer_is_dialled(self):
        self.build(machines=2)
        first, second = self.machines
        published = self.publish(self.start_origin(prefix=first.prefix), 4 * MIB + 99)
        sharing = self.share(first, published, "one", "--listen", f"[{first.address}]:0")
        rules = self.root / "peers.rules"
        rules.write_text("lanward-peers 1\ndeny fe80::/10\n")
        sources = self.from_peers(second, published, "two", "--peer-rules", rules, "--peer",
                                  f"[{first.address}]:{sharing.port}")
        self.assertEqual(sources, {f"[{first.address}]": "lan"})
        self.stop_sharing(sharing)


if __name__ == "__main__":
    unittest.main()
