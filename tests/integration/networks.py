"""Networks of machines in network namespaces, for tests of how peers find each other.

    machine --(switch)-- router --(switch)-- machine

The router forwards packets between its switches, and no multicast. Nothing outside of the
namespaces is changed; they end with the test.
"""

import os
import socket
import struct
import sys
from pathlib import Path

from support import LanwardTest, Origin

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lab"))
from network import Namespace, SiteError  # noqa: E402

# docs/protocol.md
BEACON_V4, BEACON_V6, BEACON_PORT = "239.192.76.87", "ff12::4c57", 17676
BEACON_BYTES_MAX = 2048


class Machine:
    """prefix: runs a command there."""

    def __init__(self, namespace, address=""):
        self.namespace, self.address = namespace, address
        self.prefix = ["nsenter", f"--net={namespace.path}"]


class SiteOrigin(Origin):
    """nginx at an address that all machines reach."""

    def __init__(self, root, machine, address, **options):
        self.address = address
        super().__init__(root, prefix=machine.prefix, **options)

    def config(self):
        return super().config().replace("listen 127.0.0.1:", f"listen {self.address}:")

    def url(self, name):
        return f"http://{self.address}:{self.port}/{name}"


class BeaconListener:
    """Hears what a machine would hear. sources: where datagrams came from so far."""

    def __init__(self, machine, device="eth0"):
        self.heard = []
        v6 = ":" in machine.address
        with machine.namespace.entered():
            index = socket.if_nametoindex(device)
            self.socket = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET,
                                        socket.SOCK_DGRAM)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if v6:
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                self.socket.bind(("::", BEACON_PORT))
                request = socket.inet_pton(socket.AF_INET6, BEACON_V6) + struct.pack("@I", index)
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
            else:
                self.socket.bind((BEACON_V4, BEACON_PORT))
                request = socket.inet_aton(BEACON_V4) + struct.pack("@4si", b"\0" * 4, index)
                self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
        self.socket.setblocking(False)

    def close(self):
        self.socket.close()

    def sources(self):
        while True:
            try:
                self.heard.append(self.socket.recvfrom(BEACON_BYTES_MAX)[1][0])
            except BlockingIOError:
                return self.heard


class NetworkTest(LanwardTest):
    """Tests that build networks; skipped where that is impossible."""

    def setUp(self):
        super().setUp()
        if os.geteuid() != 0:
            self.skipTest("network name spaces need root")
        try:
            self.router = self.namespace()
        except (OSError, SiteError) as error:
            self.skipTest(f"network name spaces cannot be made here: {error}")
        with self.router.entered():
            Namespace.sysctl("net/ipv4/ip_forward", 1)
        self.ports = 0

    def namespace(self, ipv6=False):
        made = Namespace()
        self.addCleanup(made.close)
        if ipv6:
            with made.entered():
                try:
                    for place in ("all", "default"):
                        Namespace.sysctl(f"net/ipv6/conf/{place}/disable_ipv6", 0)
                    # Addresses are there at once: nobody else can have them.
                    Namespace.sysctl("net/ipv6/conf/default/accept_dad", 0)
                except OSError as error:
                    self.skipTest(f"no IPv6 here: {error}")
        return made

    def add_switch(self, name, address=None):
        """A switch; `address` (10.0.0.1/24): of the router on it."""
        lines = [f"link add {name} type bridge mcast_snooping 0", f"link set {name} up"]
        try:
            self.router.configure(lines + ([f"addr add {address} dev {name}"] if address else []))
        except SiteError as error:
            self.skipTest(f"no switch: {error}")
        return name

    def plug(self, switch, *addresses, gateway=None, ipv6=False):
        """A machine on the switch, which is reached at the first of the addresses."""
        self.ports += 1
        port = f"port{self.ports}"
        machine = Machine(self.namespace(ipv6), addresses[0].split("/")[0] if addresses else "")
        try:
            self.router.configure([
                f"link add {port} type veth peer name eth0 netns {machine.namespace.path}",
                f"link set {port} master {switch} up"])
        except SiteError as error:
            self.skipTest(f"no cables: {error}")
        lines = [f"addr add {address} dev eth0" for address in addresses] + ["link set eth0 up"]
        if gateway:
            lines.append(f"route add default via {gateway}")
        machine.namespace.configure(lines)
        return machine

    def listen_for_beacons(self, machine):
        listener = BeaconListener(machine)
        self.addCleanup(listener.close)
        return listener

    def sources_of(self, summary):
        """Classes by address of the peers that gave something."""
        return {s["name"].rsplit(":", 1)[0]: s["class"] for s in summary["sources"]
                if s["kind"] == "peer" and s["received"] > 0}
