"""One process, honest peers and some that mean harm: what they cost it.

Each scenario runs twice, without and with the adversaries, and returns the figures of both.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from support import DEADLINE, MIB, start, stop

ADVERSARY = Path(__file__).resolve().parent / "adversary.py"
TICKS = os.sysconf("SC_CLK_TCK")
ADVERSARIES = 5
HONEST = 3


class Adversaries:
    def __init__(self, kind, victim, torrent, seconds, *options):
        self.process = start([sys.executable, ADVERSARY, kind, "--target", victim.address,
                              "--torrent", torrent, "--seconds", seconds,
                              "--sources", ADVERSARIES, *options],
                             stdout=subprocess.PIPE, text=True)

    def wait_ready(self):
        if self.process.stdout.readline() != "ready\n":
            raise AssertionError("the adversaries did not begin")

    def wait(self):
        """What they did."""
        said, _ = self.process.communicate(timeout=DEADLINE)
        return json.loads(said.splitlines()[-1])


class Account:
    """Processor seconds of a process, and its peak of memory in MiB, from now on."""

    def __init__(self, process):
        self.directory = Path(f"/proc/{process.process.pid}")
        (self.directory / "clear_refs").write_text("5")  # the peak begins anew
        self.begun, self.before = time.monotonic(), self.cpu()

    def cpu(self):
        fields = (self.directory / "stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def peak(self):
        [line] = [each for each in (self.directory / "status").read_text().splitlines()
                  if each.startswith("VmHWM:")]
        return int(line.split()[1]) / 1024

    def figures(self, honest_seconds):
        return {"honest_s": round(honest_seconds, 2), "cpu_s": round(self.cpu() - self.before, 2),
                "peak_mib": round(self.peak(), 1),
                "seconds": round(time.monotonic() - self.begun, 2)}


class Site:
    """A published file on an origin, and the group that everybody is in, if any."""

    def __init__(self, test, size, rate, group):
        self.test, self.rate, self.number = test, rate, 0
        self.origin = test.start_origin()
        self.published = test.publish(self.origin, size)
        self.group = []
        if group:
            path = test.root / "site.group"
            process = test.start_lanward("group", "init", "-o", path, "--json")
            test.assertEqual(process.wait(), 0, process.story())
            self.group = ["--group", path]

    def output(self):
        self.number += 1
        return self.test.root / f"copy-{self.number}.img"

    def sharer(self):
        process = self.test.start_get(self.published.url, self.output(), "--share", "forever",
                                      *self.group)
        process.wait_event("sharing")
        return process

    def getter(self, *arguments):
        """Fetches from peers only, at a rate that lets others do their worst meanwhile."""
        process = self.test.start_get(self.published.torrent, self.output(), "--no-origin",
                                      "--peer-download-rate", self.rate, *self.group, *arguments)
        process.output = self.test.root / f"copy-{self.number}.img"
        return process

    def check(self, getter):
        getter.wait_event("summary")
        self.test.check_delivered(self.published, getter.output, getter.find("summary")[0])
        getter.output.unlink()


def begin(site, kind, victim, seconds, *options):
    return Adversaries(kind, victim, site.published.torrent, seconds, *site.group, *options)


def serving(site, kind, seconds, *options):
    """The victim serves one honest peer while the others attack it."""
    victim = site.sharer()
    account, adversaries, did = Account(victim), None, {}
    if kind:
        adversaries = begin(site, kind, victim, seconds, *options)
        adversaries.wait_ready()
    begun = time.monotonic()
    honest = site.getter("--peer", victim.address)
    site.check(honest)
    took = time.monotonic() - begun
    if adversaries:
        did = adversaries.wait()
    figures = account.figures(took)
    site.test.stop_sharing(victim)
    return figures | did


def fetching(site, kind, seconds, *options):
    """The victim fetches from honest peers, and the others offer themselves to it."""
    sharers = [site.sharer() for _ in range(HONEST)]
    begun = time.monotonic()
    known = [word for each in sharers for word in ("--peer", each.address)]
    victim = site.getter("--share", "forever", *known)
    account, adversaries, did = Account(victim), None, {}
    if kind:
        adversaries = begin(site, kind, victim, seconds, *options)
    site.check(victim)
    took = time.monotonic() - begun
    figures = account.figures(took)
    if adversaries:
        did = adversaries.wait()
    sources = victim.find("summary")[0]["sources"]
    figures["wasted_mib"] = round(sum(each["wasted"] for each in sources) / MIB, 2)
    for each in (victim, *sharers):
        stop(each.process)
    return figures | did


def compare(test, scenario, kind, *options, size=8 * MIB, rate="4MB", seconds=4, group=False):
    """Figures without and with the adversaries."""
    site = Site(test, size, rate, group)
    calm = scenario(site, None, seconds)
    attacked = scenario(site, kind, seconds, *options)
    print(json.dumps({"kind": kind, "group": group, "calm": calm, "attacked": attacked}),
          file=sys.stderr, flush=True)
    return calm, attacked
