"""Peers that find each other by DNS-SD, with Avahi's daemon on each machine."""

import os
import shutil
import signal
import subprocess
import unittest

from networks import NetworkTest
from support import CANCELLED, DEADLINE, DONE, MIB, start, stop, wait_until

BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/>
<allow user="*"/></policy></busconfig>
"""
AVAHI_CONFIG = """[server]
host-name={host}
use-ipv4=yes
use-ipv6=no
[publish]
publish-hinfo=no
publish-workstation=no
[rlimits]
"""
# A daemon has one place for its process id and its socket, so each gets a /run of its own.
OWN_RUN = "mount -t tmpfs none /run && exec \"$@\""


def program(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/bin:/usr/sbin")


class Services(NetworkTest):
    """Two machines between which only the datagrams of mDNS pass, none of our own."""

    def setUp(self):
        super().setUp()
        for name in ("dbus-daemon", "avahi-daemon", "avahi-browse"):
            if program(name) is None:
                self.skipTest(f"{name} is not installed")
        switch = self.add_switch("lan")
        self.machines = [self.plug(switch, f"10.83.0.{number}/24") for number in (1, 2)]
        for machine in self.machines:
            machine.namespace.configure(["route add default dev eth0",
                                         "route add blackhole 239.192.76.87",    # beacons
                                         "route add blackhole 239.192.152.143"])  # BEP 14
        self.buses = [self.root / f"bus-{number}" for number in (1, 2)]
        self.daemons = []

    def start_bus(self, number):
        """A system bus of its own for a machine."""
        config = self.root / f"bus-{number}.conf"
        config.write_text(BUS_CONFIG.format(socket=self.buses[number]))
        self.run_daemon(number, program("dbus-daemon"), f"--config-file={config}", "--nofork")
        wait_until(self.buses[number].exists, "the bus is there")

    def start_avahi(self, number):
        config = self.root / f"avahi-{number}.conf"
        config.write_text(AVAHI_CONFIG.format(host=f"machine{number}"))
        daemon = self.run_daemon(number, "unshare", "--mount", "sh", "-c", OWN_RUN, "sh",
                                 program("avahi-daemon"), "-f", config, "--no-drop-root",
                                 "--no-chroot", "--no-rlimits", "--no-proc-title")

        def answers():
            if daemon.poll() is not None:
                self.skipTest("Avahi's daemon does not run here")
            return subprocess.run(
                [*self.machines[number].prefix, "dbus-send", "--system", "--print-reply",
                 "--dest=org.freedesktop.Avahi", "/", "org.freedesktop.Avahi.Server.GetState"],
                env=self.environment(number), capture_output=True, timeout=DEADLINE,
                check=False).stdout.find(b"int32 2") >= 0
        wait_until(answers, "Avahi runs")
        return daemon

    def run_daemon(self, number, *command):
        with open(self.root / f"daemon-{number}.log", "ab") as log:
            process = start([*self.machines[number].prefix, *command], stdout=log, stderr=log,
                            env=self.environment(number))
        self.addCleanup(stop, process)
        return process

    def environment(self, number):
        return os.environ | {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={self.buses[number]}"}

    def start_on(self, number, source, name, *arguments):
        return self.start_lanward("get", source, "-o", self.root / name, "--json", *arguments,
                                  prefix=self.machines[number].prefix,
                                  env=self.environment(number))

    def publish_here(self):
        return self.publish(self.start_origin(prefix=self.machines[0].prefix), 4 * MIB + 99)

    def share(self, published, *arguments):
        process = self.start_on(0, published.url, "one", "--share", "forever", "--dns-sd",
                                *arguments)
        process.wait_event("sharing")
        return process

    def browse(self, number):
        """What anybody on the network learns of the services."""
        return subprocess.run([*self.machines[number].prefix, program("avahi-browse"), "--parsable",
                               "--resolve", "--terminate", "--no-db-lookup", "_lanward._tcp"],
                              env=self.environment(number), capture_output=True, text=True,
                              timeout=DEADLINE, check=True).stdout

    def check_found(self, process, published, name):
        self.assertEqual(process.wait(), DONE, process.story())
        [summary] = process.find("summary")
        self.check_delivered(published, self.root / name, summary)
        self.assertEqual(self.sources_of(summary), {self.machines[0].address: "lan"})


class DnsSd(Services):
    def setUp(self):
        super().setUp()
        for number in range(2):
            self.start_bus(number)
            self.start_avahi(number)

    def test_two_find_each_other_and_nobody_learns_what_they_have(self):
        published = self.publish_here()
        sharing = self.share(published)
        process = self.start_on(1, published.torrent, "two", "--no-cdn", "--dns-sd")
        self.check_found(process, published, "two")
        seen = wait_until(lambda: self.browse(1), "the service is seen")
        self.assertIn(f";{sharing.port};", seen)
        for secret in (published.name, published.infohash, str(published.sha)):
            self.assertNotIn(secret, seen)
        self.stop_sharing(sharing)
        wait_until(lambda: not self.browse(1), "the service has gone")

    def test_members_of_a_group_find_each_other_and_strangers_do_not(self):
        group = self.root / "site.group"
        made = self.start_lanward("group", "init", "-o", group, "--json")
        self.assertEqual(made.wait(), DONE, made.story())
        published = self.publish_here()
        sharing = self.share(published, "--group", group)
        process = self.start_on(1, published.torrent, "two", "--no-cdn", "--dns-sd", "--group",
                                group)
        self.check_found(process, published, "two")
        stranger = self.start_on(1, published.torrent, "three", "--no-cdn", "--dns-sd")
        # It has heard of the service, if it has heard of anything.
        wait_until(lambda: len(set(line.split(";")[8] for line in self.browse(0).splitlines()
                                   if line.startswith("="))) >= 2, "both services are seen")
        told = stranger.wait_event("progress", lambda event: event["peers_answer"] == "looking")
        self.assertEqual(told["peers"], 0)
        stranger.signal(signal.SIGTERM)
        self.assertEqual(stranger.wait(), CANCELLED, stranger.story())
        self.assertEqual(stranger.find("progress")[-1]["bytes_from_peers"], 0)
        self.stop_sharing(sharing)


class WithoutAvahi(Services):
    def test_a_daemon_that_starts_later_is_waited_for(self):
        published = self.publish_here()
        for number in range(2):
            self.start_bus(number)
        self.start_avahi(1)
        sharing = self.share(published)
        process = self.start_on(1, published.torrent, "two", "--no-cdn", "--dns-sd")
        self.start_avahi(0)
        self.check_found(process, published, "two")
        self.stop_sharing(sharing)

    def test_without_a_bus_it_says_so_and_goes_on(self):
        published = self.publish_here()
        process = self.share(published)
        note = process.wait_event("note", lambda event: "--dns-sd" in event["message"])
        self.assertIn("Avahi", note["message"])
        self.stop_sharing(process)


if __name__ == "__main__":
    unittest.main()
