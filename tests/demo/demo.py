#!/usr/bin/env python3
"""A CDN and several peers on this machine: fetches one file with all of them and reports.

Everything lives in a temporary directory that is removed at the end.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

MIB = 1024 * 1024
FILE_NAME = "release.img"
PIPE_LINES_KEPT = 20  # of a peer's standard error, to explain a failure
STOP_SECONDS = 10     # for a peer to end after SIGTERM


def mib(count):
    return f"{count / MIB:.1f} MiB"


def free_ports(count):
    """Ports that were free a moment ago; all are held until all are known."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def make_file(path, size):
    """Reproducible bytes that do not compress."""
    source = random.Random(2025)
    with open(path, "wb") as out:
        for at in range(0, size, MIB):
            out.write(source.randbytes(min(MIB, size - at)))


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as data:
        while chunk := data.read(MIB):
            digest.update(chunk)
    return digest.hexdigest()


class Cdn:
    """nginx with a rate limit per connection, as a distant server has."""

    def __init__(self, root, rate_mib):
        self.www = root / "www"
        self.www.mkdir()
        self.log = root / "access.log"
        self.port = free_ports(1)[0]
        temporary = "".join(
            f"  {kind}_temp_path {root}/nginx-tmp;\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        config = root / "nginx.conf"
        config.write_text(
            f"daemon off;\nmaster_process off;\npid {root}/nginx.pid;\n"
            f"error_log {root}/error.log;\nevents {{ worker_connections 512; }}\n"
            f"http {{\n{temporary}"
            f"  log_format bytes '$uri $status $body_bytes_sent';\n"
            f"  access_log {self.log} bytes;\n  sendfile on;\n"
            f"  server {{\n    listen 127.0.0.1:{self.port};\n    root {self.www};\n"
            f"    limit_rate {rate_mib}m;\n  }}\n}}\n")
        binary = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if binary is None:
            sys.exit("demo: nginx is not installed")
        self.process = subprocess.Popen(
            [binary, "-p", str(root), "-c", str(config), "-e", f"{root}/error.log"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.wait_ready(root)

    def wait_ready(self, root):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        self.stop()
        sys.exit("demo: nginx did not start: " + (root / "error.log").read_text()[-500:])

    def url(self):
        return f"http://127.0.0.1:{self.port}/{FILE_NAME}"

    def egress(self):
        """Bytes of the file the CDN has sent, by its own account."""
        total = 0
        for line in self.log.read_text().splitlines():
            uri, _, sent = line.split()
            if uri == "/" + FILE_NAME:
                total += int(sent)
        return total

    def stop(self):
        stop(self.process)


def stop(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Peer:
    """One `lanward get --share forever`, followed by its JSON events."""

    def __init__(self, number, port, directory):
        self.number, self.port, self.directory = number, port, directory
        self.directory.mkdir()
        self.output = directory / FILE_NAME
        self.process = None
        self.progress = {}
        self.summary = None
        self.error = None
        self.stderr = []

    def start(self, lanward, url, peers):
        command = [lanward, "get", url, "-o", str(self.output), "--json", "--share", "forever",
                   "--listen", f"127.0.0.1:{self.port}"]
        for peer in peers:
            if peer is not self:
                command += ["--peer", f"127.0.0.1:{peer.port}"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        for reader in (self.read_events, self.read_stderr):
            threading.Thread(target=reader, daemon=True).start()

    def read_events(self):
        for line in self.process.stdout:
            event = json.loads(line)
            if event["event"] == "progress":
                self.progress = event
            elif event["event"] == "summary":
                self.summary = event
            elif event["event"] == "error":
                self.error = event["message"]

    def read_stderr(self):
        for line in self.process.stderr:
            self.stderr = (self.stderr + [line.strip()])[-PIPE_LINES_KEPT:]

    def failed(self):
        return self.summary is None and (
            self.error is not None or (self.process and self.process.poll() is not None))

    def status(self, width):
        if self.summary:
            facts, done, size = self.summary, 1, 1
            state = f"done in {facts['seconds']:.1f} s"
        else:
            facts = self.progress
            done, size = facts.get("done", 0), facts.get("size") or 0
            state = f"{mib(facts.get('rate', 0))}/s" if facts else "starting"
        share = done / size if size else 0
        filled = int(share * width)
        return (f"  peer {self.number}  [{'#' * filled}{'.' * (width - filled)}] {share:4.0%}"
                f"  CDN {mib(facts.get('bytes_from_origin', 0)):>10}"
                f"  peers {mib(facts.get('bytes_from_peers', 0)):>10}  {state}")


class Screen:
    """Redraws a few lines on a terminal; prints them now and then elsewhere."""

    PLAIN_SECONDS = 2

    def __init__(self):
        self.terminal = sys.stdout.isatty()
        self.drawn = 0
        self.last = 0.0

    def show(self, lines, last=False):
        if self.terminal:
            columns = shutil.get_terminal_size().columns
            up = f"\x1b[{self.drawn}A" if self.drawn else ""
            sys.stdout.write(up + "".join(f"\x1b[2K{line[:columns - 1]}\n" for line in lines))
            self.drawn = len(lines)
        elif last or time.monotonic() - self.last >= self.PLAIN_SECONDS:
            self.last = time.monotonic()
            sys.stdout.write("".join(line + "\n" for line in lines) + "\n")
        sys.stdout.flush()


def follow(peers, deadline):
    """Shows progress until every peer is done. Returns what went wrong, or nothing."""
    screen = Screen()
    while True:
        waiting = [p for p in peers if p.summary is None]
        screen.show([p.status(24) for p in peers], last=not waiting)
        for peer in peers:
            if peer.failed():
                reason = peer.error or " ".join(peer.stderr) or "no message"
                return f"peer {peer.number} failed: {reason}"
        if not waiting:
            return None
        if time.monotonic() > deadline:
            return f"peer {waiting[0].number} was not done in time"
        time.sleep(0.2)


def cell(count):
    return f"{count / MIB:.1f}" if count else "-"


def report(peers, size, egress, expected):
    """Prints the table; returns whether every file is what was published."""
    by_port = {f"127.0.0.1:{p.port}": p for p in peers}
    heads = ["", "time", "CDN"] + [f"peer {p.number}" for p in peers]
    heads += ["other", "duplicates", "SHA-256"]
    rows, all_right = [], True
    for peer in peers:
        received = {"CDN": 0, "other": 0}
        for source in peer.summary["sources"]:
            known = by_port.get(source["name"])
            kind = "CDN" if source["kind"] == "origin" else known.number if known else "other"
            received[kind] = received.get(kind, 0) + source["received"]
        right = sha256(peer.output) == expected
        all_right &= right and peer.summary["verified"]
        rows.append([f"peer {peer.number}", f"{peer.summary['seconds']:.1f} s",
                     cell(received["CDN"])] +
                    [cell(received.get(p.number, 0)) for p in peers] +
                    [cell(received["other"]), cell(peer.summary["wasted"]),
                     "ok" if right else "WRONG"])
    if not any(row[-3] != "-" for row in rows):
        heads.pop(-3)
        for row in rows:
            row.pop(-3)
    widths = [max(len(line[i]) for line in [heads] + rows) for i in range(len(heads))]
    print("\nMiB received, by source")
    for line in [heads] + rows:
        print("  " + "  ".join(text.rjust(width) for text, width in zip(line, widths)))
    print(f"\n  file                {mib(size)}")
    print(f"  sent by the CDN     {mib(egress)} = {egress / size:.2f} x the file, by its own log")
    print(f"  plain downloads     {mib(len(peers) * size)} = {len(peers):.2f} x the file")
    print(f"  CDN traffic saved   {1 - egress / (len(peers) * size):.0%}")
    print(f"  every copy verified and equal to the published file: {'yes' if all_right else 'NO'}")
    return all_right


def run(options, root):
    size = options.size * MIB
    print(f"== a {options.size} MiB file on a CDN (nginx, {options.rate} MiB/s per connection)")
    cdn = Cdn(root, options.rate)
    peers = []
    try:
        make_file(cdn.www / FILE_NAME, size)
        subprocess.run([options.lanward, "publish", str(cdn.www / FILE_NAME), "--url", cdn.url()],
                       check=True, stdin=subprocess.DEVNULL)
        expected = sha256(cdn.www / FILE_NAME)
        print(f"\n== {options.peers} peers fetch it, one every {options.stagger} s")
        peers += [Peer(i + 1, port, root / f"peer-{i + 1}")
                  for i, port in enumerate(free_ports(options.peers))]
        deadline = time.monotonic() + options.deadline
        starter = threading.Thread(target=start_all, args=(options, cdn.url(), peers), daemon=True)
        starter.start()
        problem = follow(peers, deadline)
        if problem:
            print(f"demo: {problem}", file=sys.stderr)
            return False
        return report(peers, size, cdn.egress(), expected)
    finally:
        for peer in peers:
            if peer.process:
                stop(peer.process)
        cdn.stop()


def start_all(options, url, peers):
    for peer in peers:
        peer.start(options.lanward, url, peers)
        time.sleep(options.stagger)


def parse_options():
    parser = argparse.ArgumentParser(prog="./run demo", description=__doc__.splitlines()[0])
    parser.add_argument("--lanward", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--peers", type=int, default=4, help="how many (default 4)")
    parser.add_argument("--size", type=int, default=256, help="of the file in MiB (default 256)")
    parser.add_argument("--rate", type=int, default=4,
                        help="of the CDN in MiB/s per connection (default 4)")
    parser.add_argument("--stagger", type=float, default=1.0,
                        help="seconds between two peers' starts (default 1)")
    parser.add_argument("--deadline", type=float, default=120.0,
                        help="seconds after which to give up (default 120)")
    options = parser.parse_args()
    if options.peers < 1 or options.size < 1 or options.rate < 1 or options.stagger < 0:
        parser.error("--peers, --size and --rate are at least 1, --stagger at least 0")
    options.lanward = os.path.abspath(options.lanward)
    return options


def main():
    options = parse_options()
    # A terminated demo still stops its processes and removes its files.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    root = Path(tempfile.mkdtemp(prefix="lanward-demo-"))
    try:
        # The published file, and at worst two copies per peer while one is delivered.
        if shutil.disk_usage(root).free < options.size * MIB * (2 * options.peers + 2):
            sys.exit(f"demo: {root.parent} has too little space: set TMPDIR or --size")
        return 0 if run(options, root) else 1
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
