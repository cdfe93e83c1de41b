"""Two local networks with a router between them that forwards no multicast."""

import asyncio
import signal
import unittest

import tracker
from bittorrent import BLOCK, INTERESTED, PIECE, REQUEST, Gone, Peer, Swarm
from networks import NetworkTest
from support import CANCELLED, DONE, MIB, wait_until

# A beacon tells of a new content so often before it falls quiet (docs/protocol.md).
ANNOUNCEMENTS = 4
ANYWHERE = ("--listen", "0.0.0.0:0")


class TwoLans(NetworkTest):
    def build(self, left="10.81.0", right="10.82.0"):
        """Two machines on either side."""
        self.sides = []
        for name, net in (("left", left), ("right", right)):
            switch = self.add_switch(name, f"{net}.254/24")
            self.sides.append([self.plug(switch, f"{net}.{number}/24", gateway=f"{net}.254")
                               for number in (1, 2)])

    def publish_at(self, machine, size=4 * MIB + 99):
        return self.publish(self.start_origin(prefix=machine.prefix), size)

    def share(self, machine, published, name, *arguments):
        process = self.start_get(published.url, self.root / name, "--share", "forever", *ANYWHERE,
                                 *arguments, prefix=machine.prefix)
        process.wait_event("sharing")
        return process

    def start_from_peers(self, machine, published, name, *arguments):
        return self.start_get(published.torrent, self.root / name, "--no-cdn", *ANYWHERE,
                              *arguments, prefix=machine.prefix)

    def from_peers(self, machine, published, name, *arguments):
        """Classes by address of those who gave the file."""
        process = self.start_from_peers(machine, published, name, *arguments)
        self.assertEqual(process.wait(), DONE, process.story())
        [summary] = process.find("summary")
        self.check_delivered(published, self.root / name, summary)
        self.assertEqual(summary["bytes_from_origin"], 0)
        return self.sources_of(summary)

    def cancel(self, process):
        """Ends a download that has got nothing."""
        process.signal(signal.SIGTERM)
        self.assertEqual(process.wait(), CANCELLED, process.story())
        for told in process.find("progress"):
            self.assertEqual((told["done"], told["bytes_from_peers"]), (0, 0))

    def group(self, name):
        path = self.root / name
        process = self.start_lanward("group", "init", "-o", path, "--json")
        self.assertEqual(process.wait(), DONE, process.story())
        return path


class Reach(TwoLans):
    def test_beacons_stay_in_their_lan_and_a_known_peer_joins_both(self):
        self.build()
        [[first, second], [third, fourth]] = self.sides
        left, right = self.listen_for_beacons(second), self.listen_for_beacons(fourth)
        published = self.publish_at(first)
        sharing = self.share(first, published, "one")
        self.assertEqual(self.from_peers(second, published, "two"), {first.address: "lan"})
        alone = self.start_from_peers(third, published, "three")
        wait_until(lambda: len(right.sources()) >= ANNOUNCEMENTS, "the beacons of the other LAN")
        told = alone.wait_event("progress", lambda event: event["peers_answer"] == "looking")
        self.assertEqual(told["peers"], 0)
        self.cancel(alone)
        self.assertEqual(set(right.sources()), {third.address})
        self.assertEqual(set(left.sources()), {first.address, second.address})
        address = f"{first.address}:{sharing.port}"
        self.assertEqual(self.from_peers(third, published, "three", "--peer", address),
                         {first.address: "lan"})
        self.stop_sharing(sharing)

    def test_rules_decide_which_lan_peers_are_in_and_are_followed_at_once(self):
        self.build()
        [[first, _], [third, _]] = self.sides
        published = self.publish_at(first)
        sharing = self.share(first, published, "one")
        rules = self.root / "peers.rules"
        rules.write_text("lanward-peers 1\nallow 10.82.0.0/24\n")
        process = self.start_from_peers(third, published, "three", "--peer-rules", rules, "--peer",
                                        f"{first.address}:{sharing.port}")
        told = process.wait_event("progress",
                                  lambda event: event["peers_answer"] == "addresses_refused")
        self.assertEqual((told["peers"], told["done"]), (0, 0))
        changed = self.root / "changed"
        changed.write_text("lanward-peers 1\nallow 10.80.0.0/14\ndeny 10.81.0.2\n")
        changed.replace(rules)
        self.assertEqual(process.wait(), DONE, process.story())
        [summary] = process.find("summary")
        self.check_delivered(published, self.root / "three", summary)
        self.assertEqual(self.sources_of(summary), {first.address: "lan"})
        self.stop_sharing(sharing)

    def test_who_is_beyond_the_lan_is_told_apart(self):
        self.build(right="198.51.100")
        [[first, _], [third, fourth]] = self.sides
        published = self.publish_at(first)
        rules = self.root / "peers.rules"
        rules.write_text("lanward-peers 1\nallow 10.81.0.0/24\nallow 198.51.100.0/24\n")
        group = self.group("site.group")
        for kind, options in (("other", ()), ("group", ("--group", group))):
            options = ("--peer-rules", rules, *options)
            sharing = self.share(first, published, f"one-{kind}", *options)
            peer = ("--peer", f"{first.address}:{sharing.port}")
            # Their addresses are not for local use, but its own network is its own.
            here = self.start_from_peers(third, published, f"three-{kind}", "--share", "forever",
                                         *options, *peer)
            here.wait_event("sharing")
            self.assertEqual(self.sources_of(here.find("summary")[0]), {first.address: "lan"})
            near = self.from_peers(fourth, published, f"four-{kind}", *options)
            self.assertEqual(near[third.address], "lan")
            self.stop_sharing(here)
            ended = self.stop_sharing(sharing)
            served = {s["name"].rsplit(":", 1)[0]: s["class"] for s in ended["sources"]
                      if s["kind"] == "peer" and s["served"] > 0}
            self.assertEqual(served[third.address], kind)

    def test_addresses_that_are_not_for_local_use_need_a_rule(self):
        self.build(right="198.51.100")
        [[first, _], [third, _]] = self.sides
        published = self.publish_at(first)
        sharing = self.share(first, published, "one")
        process = self.start_from_peers(third, published, "three", "--peer",
                                        f"{first.address}:{sharing.port}")
        process.wait_event("progress", lambda event: event["peers_answer"] == "handshake_refused")
        self.cancel(process)
        self.stop_sharing(sharing)


class TrackerOfAGroup(TwoLans):
    """opentracker at the router: nothing else joins the two sides."""

    def setUp(self):
        super().setUp()
        if tracker.binary() is None:
            self.skipTest("opentracker is not installed")
        self.build()
        self.members_file = self.group("site.group")
        self.published = self.publish_at(self.sides[0][0])
        self.swarm = Swarm(self.published.torrent, self.members_file)
        self.public = Swarm(self.published.torrent)
        self.tracker = tracker.OpenTracker(self.router, "10.81.0.254",
                                           [each.infohash[:20] for each in (self.swarm,
                                                                            self.public)])
        self.addCleanup(self.tracker.stop)

    def members(self):
        return self.tracker.members(self.swarm.infohash[:20])

    def check(self, scheme):
        [[first, _], [third, fourth]] = self.sides
        options = ("--group", self.members_file, "--tracker", self.tracker.url(scheme))
        sharing = self.share(first, self.published, "one", *options)
        place = (first.address, sharing.port)
        wait_until(lambda: place in self.members(), "the first member is known to the tracker")
        self.assertEqual(self.from_peers(third, self.published, "three", *options),
                         {first.address: "lan"})
        # The tracker has never heard the name that outsiders know.
        self.assertEqual(self.tracker.members(self.public.infohash[:20]), set())
        return fourth, place, sharing

    def test_members_find_each_other_by_http(self):
        self.check("http")

    def test_members_find_each_other_by_udp(self):
        self.check("udp")

    def test_who_learns_the_addresses_from_the_tracker_gets_nothing(self):
        stranger, place, sharing = self.check("http")
        self.assertIn(place, self.members())
        with stranger.namespace.entered():
            said = asyncio.run(self.ask_for_bytes(place, stranger.address))
        self.assertNotIn(PIECE, said)
        other = self.group("other.group")
        for number, group in enumerate(([], ["--group", other])):
            process = self.start_from_peers(stranger, self.published, f"stranger-{number}",
                                            "--peer", "%s:%d" % place, *group)
            process.wait_event("progress",
                               lambda event: event["peers_answer"] == "handshake_refused")
            self.cancel(process)
        served = [s["name"] for s in self.stop_sharing(sharing)["sources"]
                  if s["kind"] == "peer" and s["served"] > 0]
        self.assertFalse([name for name in served if name.startswith(stranger.address)])

    async def ask_for_bytes(self, place, source):
        """Types of all messages that come until the other end hangs up."""
        self.swarm.key = None  # it has only heard the name of the swarm
        peer = Peer(self.swarm, place, source)
        said = []
        try:
            await peer.connect()
            await peer.greet()
            await peer.introduce()
            await peer.send(INTERESTED)
            await peer.send(REQUEST, bytes(8) + BLOCK.to_bytes(4, "big"))
            while True:
                said.append((await peer.next())[0])
        except Gone:
            return said
        finally:
            peer.close()


if __name__ == "__main__":
    unittest.main()
