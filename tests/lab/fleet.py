"""One run: processes that join a site as the scenario says, its faults, and what is measured.

Nothing polls: the lab sleeps until a process writes or ends, a packet that it waits for arrives, or
a join or fault is due, so that it takes no processor time from what it measures.
"""

import dataclasses
import functools
import heapq
import itertools
import os
import random
import selectors
import signal
import subprocess
import time

import network

STOP_SECONDS = 15      # for a process to end after SIGTERM
RETRY_SECONDS = 0.02   # between two looks for pullers when there are fewer than a fault wants
RETRIES = 50
TICKS = os.sysconf("SC_CLK_TCK")


class RunError(Exception):
    """A run that says nothing; the message says why."""


@dataclasses.dataclass
class Peer:
    """Times are seconds after the start of the run."""
    index: int
    joined: float | None = None
    finished: float | None = None
    gone: str | None = None       # "kill" or "leave": it need not finish
    first_wan: float | None = None
    first_lan: float | None = None
    cpu: float | None = None      # user and system seconds
    rss: int | None = None        # peak bytes
    facts: dict = dataclasses.field(default_factory=dict)  # what the process told
    error: str | None = None
    exit_code: int | None = None
    process: subprocess.Popen | None = None
    pidfd: int = -1

    @property
    def running(self):
        return self.process is not None and self.exit_code is None


class Fleet:
    """Runs one contender of a scenario on a site.

    The contender has command(site, index, directory), the process of a peer; line(peer, text,
    now), for each line it writes; serves, whether it goes on after its file is complete; and
    ended(peer), called when the process ended by itself: whether the file is complete.
    """

    def __init__(self, site, contender, directory, deadline):
        self.site, self.contender, self.directory = site, contender, directory
        self.scenario = site.scenario
        self.chance = random.Random(self.scenario.seed)
        self.peers = [Peer(index) for index in range(self.scenario.peers)]
        self.timers, self.order = [], itertools.count()
        self.selector = selectors.DefaultSelector()
        self.watchers = set()
        self.notes = []
        self.deadline = deadline
        self.over = False
        self.own_cpu = 0.0  # seconds of processor time that the lab itself took

    # Time

    def at(self, when, action, *arguments):
        heapq.heappush(self.timers, (when, next(self.order), action, arguments))

    def now(self):
        return time.monotonic() - self.begun

    def on_wall(self, epoch_seconds):
        """A time of the wall clock as one of the run."""
        return epoch_seconds - self.begun_wall

    def run(self):
        """Returns when every peer is done and all processes have ended."""
        self.begun, self.begun_wall = time.monotonic(), time.time()
        self.at(self.deadline, self.give_up)
        for peer, when in zip(self.peers, self.scenario.joins):
            self.watch_first_data(peer)
            self.at(when, self.join, peer)
        for fault in self.scenario.faults:
            self.at(fault.at, self.apply, fault, RETRIES)
        cpu = time.process_time()
        try:
            while not self.settled():
                self.step()
            self.own_cpu = time.process_time() - cpu
            if not any(peer.finished for peer in self.peers):
                raise RunError("nobody was left to finish")
            self.note_memory()
            self.over = True
            self.end_processes()
        finally:
            self.close()

    def settled(self):
        return all(peer.finished is not None or peer.gone for peer in self.peers)

    def step(self):
        wait = max(0.0, self.timers[0][0] - self.now()) if self.timers else None
        for key, _ in self.selector.select(wait):
            key.data()
        while self.timers and self.timers[0][0] <= self.now():
            _, _, action, arguments = heapq.heappop(self.timers)
            action(*arguments)

    def give_up(self):
        waiting = [str(peer.index) for peer in self.peers
                   if peer.finished is None and not peer.gone]
        raise RunError(f"peers {', '.join(waiting)} were not done within {self.deadline:.0f} s")

    # Processes

    def join(self, peer):
        if peer.gone:
            return
        directory = self.directory / f"peer-{peer.index}"
        directory.mkdir()
        peer.joined = self.now()
        with open(directory / "stderr", "wb") as errors:
            peer.process = network.start(
                self.contender.command(self.site, peer.index, directory),
                self.site.machines[peer.index], cwd=directory, stdout=subprocess.PIPE,
                stderr=errors)
        peer.pidfd = os.pidfd_open(peer.process.pid)
        os.set_blocking(peer.process.stdout.fileno(), False)
        output = bytearray()
        self.selector.register(peer.process.stdout, selectors.EVENT_READ,
                               lambda: self.read(peer, output))
        self.selector.register(peer.pidfd, selectors.EVENT_READ, lambda: self.ended(peer))

    def read(self, peer, output):
        data = os.read(peer.process.stdout.fileno(), 1 << 16)
        if not data:
            self.selector.unregister(peer.process.stdout)
            return
        with open(self.directory / f"peer-{peer.index}" / "stdout", "ab") as file:
            file.write(data)
        output += data
        *lines, rest = output.split(b"\n")
        output[:] = rest
        for line in lines:
            self.contender.line(self, peer, line.decode(errors="replace"))

    def ended(self, peer):
        now = self.now()
        self.selector.unregister(peer.pidfd)
        os.close(peer.pidfd)
        _, status, usage = os.wait4(peer.process.pid, 0)
        peer.exit_code = peer.process.returncode = os.waitstatus_to_exitcode(status)
        peer.cpu = usage.ru_utime + usage.ru_stime
        while peer.process.stdout in self.selector.get_map():
            key = self.selector.get_key(peer.process.stdout)
            try:
                key.data()
            except BlockingIOError:
                break
        if self.over or peer.gone:
            return
        if peer.finished is None and self.contender.complete_at_exit(peer):
            peer.finished = now
        if peer.finished is None or self.contender.serves:
            raise RunError(f"peer {peer.index} ended with {peer.exit_code}: "
                           + self.last_words(peer))

    def last_words(self, peer):
        errors = self.directory / f"peer-{peer.index}" / "stderr"
        lines = errors.read_text(errors="replace").strip().splitlines()
        return peer.error or (lines[-1] if lines else "no message")

    def note_memory(self):
        for peer in self.peers:
            if peer.running:
                with open(f"/proc/{peer.process.pid}/status", encoding="ascii") as status:
                    for line in status:
                        if line.startswith("VmHWM:"):
                            peer.rss = int(line.split()[1]) * 1024

    def end_processes(self):
        """SIGTERM, and SIGKILL to those that do not follow."""
        for peer in self.peers:
            if peer.running:
                peer.process.terminate()
        self.at(self.now() + STOP_SECONDS, self.kill_rest)
        while any(peer.running for peer in self.peers):
            self.step()

    def kill_rest(self):
        for peer in self.peers:
            if peer.running:
                self.notes.append(f"peer {peer.index} did not end after SIGTERM")
                peer.process.kill()

    def close(self):
        for peer in self.peers:
            if peer.running:
                peer.process.kill()
                peer.process.wait()
                os.close(peer.pidfd)
            if peer.process:
                peer.process.stdout.close()
        for watcher in self.watchers:
            watcher.close()
        self.selector.close()

    # First bytes

    def watch_first_data(self, peer):
        for name, lan in (("first_wan", False), ("first_lan", True)):
            watcher = self.site.first_data(peer.index, lan)
            self.watchers.add(watcher)
            self.selector.register(watcher, selectors.EVENT_READ,
                                   functools.partial(self.seen, peer, name, watcher))

    def seen(self, peer, name, watcher):
        setattr(peer, name, self.on_wall(network.arrival(watcher)))
        self.selector.unregister(watcher)
        self.watchers.discard(watcher)
        watcher.close()

    # Faults

    def apply(self, fault, retries):
        if fault.kind in ("kill", "leave"):
            self.remove_peers(fault, retries)
            return
        if fault.kind == "origin_429":
            self.site.set_refusing(True)
            end, arguments = self.site.set_refusing, (False,)
        else:
            self.site.set_wan(fault.kind == "wan_up")
            end, arguments = self.site.set_wan, (True,)
        self.notes.append(f"{self.now():.1f} s: {fault.kind}")
        if fault.lasts:
            self.at(fault.at + fault.lasts, end, *arguments)

    def remove_peers(self, fault, retries):
        alive = [peer for peer in self.peers if peer.running and not peer.gone]
        if isinstance(fault.who, list):
            chosen = [peer for peer in alive if peer.index in fault.who]
        elif fault.who == "pullers":
            addresses = self.site.pullers()
            chosen = [p for p in alive if network.peer_address(p.index) in addresses]
            if len(chosen) < fault.peers and retries:
                self.at(self.now() + RETRY_SECONDS, self.apply, fault, retries - 1)
                return
        else:
            chosen = alive
        if len(chosen) > fault.peers:
            chosen = self.chance.sample(chosen, fault.peers)
        for peer in chosen:
            peer.gone = fault.kind
            peer.process.send_signal(signal.SIGKILL if fault.kind == "kill" else signal.SIGTERM)
        names = ", ".join(str(peer.index) for peer in chosen) or "nobody"
        self.notes.append(f"{self.now():.2f} s: {fault.kind} {names}"
                          + ("" if len(chosen) == fault.peers else f" (of {fault.peers} wanted)"))
