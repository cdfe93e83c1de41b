"""What the end-to-end tests share: nginx as origin, `lanward` processes, files, and waiting.

Every wait is for a condition and has a deadline. Children die with the test that started them.
"""

import collections
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
import unittest
import urllib.request
from pathlib import Path

KIB = 1024
MIB = 1024 * KIB

LANWARD = os.environ.get("LANWARD", "")
# Far above what any step takes, so that only a hang runs into it, even under sanitizers on a
# machine that has other things to do.
DEADLINE = float(os.environ.get("LANWARD_TEST_DEADLINE") or 60)
POLL = 0.01
# Asked of nginx for its sockets: what it has sent and nobody read is then a small number.
SEND_BUFFER = 64 * KIB
START_TRIES = 5

# Exit codes of docs/cli.md.
DONE, INTERNAL, USAGE, NETWORK, INTEGRITY, DISK, IN_USE, CANCELLED = range(8)


def wait_until(condition, what, deadline=DEADLINE):
    """Polls `condition` until it is true and returns its value."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline:.0f} s: {what}")
        time.sleep(POLL)


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as data:
        while chunk := data.read(MIB):
            digest.update(chunk)
    return digest.hexdigest()


def bytes_on_disk(directory):
    """Bytes allocated by the data files of a piece cache; they are sparse until complete."""
    total = 0
    for path in Path(directory).glob("data/*"):
        try:
            total += path.stat().st_blocks * 512
        except FileNotFoundError:
            pass  # it was moved away between the two looks
    return total


def start(command, **options):
    """A child that is killed by the kernel should this process die first."""
    return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *map(str, command)],
                            stdin=options.pop("stdin", subprocess.DEVNULL), **options)


def stop(process, how=signal.SIGKILL):
    if process.poll() is None:
        process.send_signal(how)
    process.wait(DEADLINE)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe:
            pipe.close()


Request = collections.namedtuple("Request", "method uri status sent range")


class Origin:
    """nginx on a free port, with an account of what it sent.

    rate: bytes per second of each connection. ranges: False ignores range requests.
    headers: extra reply headers. prefix: a command to start nginx with. send_buffer: of its
    sockets, 0 for the system's own choice.
    """

    def __init__(self, root, rate=0, ranges=True, headers=None, prefix=(),
                 send_buffer=SEND_BUFFER):
        self.root = root
        self.www = root / "www"
        self.www.mkdir(parents=True)
        self.rate, self.ranges, self.headers = rate, ranges, headers or {}
        self.prefix = list(prefix)
        self.send_buffer = f" sndbuf={send_buffer}" if send_buffer else ""
        self.log = root / "access.log"
        self.process = None
        for _ in range(START_TRIES):
            with socket.create_server(("127.0.0.1", 0)) as free:
                self.port = free.getsockname()[1]
            if self.start():
                return
        raise AssertionError("nginx did not start: " + (root / "error.log").read_text()[-500:])

    def config(self):
        temporary = "".join(f"  {kind}_temp_path {self.root}/tmp;\n"
                            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        extra = "".join(f"    add_header {name} '{value}';\n"
                        for name, value in self.headers.items())
        extra += "" if self.ranges else "    max_ranges 0;\n"
        return (f"daemon off;\nmaster_process off;\npid {self.root}/nginx.pid;\n"
                f"error_log {self.root}/error.log;\nevents {{ worker_connections 256; }}\n"
                f"http {{\n  sendfile on;\n{temporary}"
                f"  log_format account '$request_method $uri $status $body_bytes_sent "
                f"$http_range';\n"
                f"  access_log {self.log} account;\n"
                f"  types {{ application/x-bittorrent torrent; }}\n"
                f"  server {{\n    listen 127.0.0.1:{self.port}{self.send_buffer};\n"
                f"    root {self.www};\n    limit_rate {self.rate};\n{extra}"
                f"    location = /.status {{ stub_status; access_log off; }}\n  }}\n}}\n")

    def start(self):
        config = self.root / "nginx.conf"
        config.write_text(self.config())
        binary = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if binary is None:
            raise AssertionError("nginx is not installed: apt-get install nginx-light")
        self.process = start([*self.prefix, binary, "-p", self.root, "-c", config,
                              "-e", self.root / "error.log"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # It opens its log after its sockets, and an inherited name space hides the port from us.
        wait_until(lambda: self.log.exists() and (self.root / "nginx.pid").exists()
                   or self.process.poll() is not None, "nginx starts")
        return self.process.poll() is None

    def restart(self, **options):
        """The same port and files with other options."""
        self.stop()
        for name, value in options.items():
            setattr(self, name, value)
        (self.root / "nginx.pid").unlink(missing_ok=True)
        if not self.start():
            raise AssertionError("nginx did not start again on its port")

    def stop(self):
        stop(self.process)

    def url(self, name):
        return f"http://127.0.0.1:{self.port}/{name}"

    def settle(self):
        """Waits until no request is being answered, so that all of them are in the log."""
        def idle():
            with urllib.request.urlopen(self.url(".status"), timeout=DEADLINE) as reply:
                words = reply.read().decode().split()
            # The request that asks is the one being written.
            return (words[words.index("Reading:") + 1], words[words.index("Writing:") + 1]) == (
                "0", "1")
        wait_until(idle, "nginx has answered all requests")

    def requests(self, name=None):
        self.settle()
        entries = [Request(m, uri, int(status), int(sent), asked) for m, uri, status, sent, asked
                   in (line.split(" ", 4) for line in self.log.read_text().splitlines())]
        return [e for e in entries if name is None or e.uri == "/" + name]

    def sent(self, name):
        """Body bytes of the file sent so far."""
        return sum(request.sent for request in self.requests(name))


class Lanward:
    """A running `lanward` command, followed by its JSON events."""

    def __init__(self, *arguments, prefix=(), **options):
        self.command = [*prefix, LANWARD, *map(str, arguments)]
        self.events = []
        self.ended = False  # no more events
        self.stderr = ""
        self.process = start(self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True, **options)
        self.changed = threading.Condition()
        self.readers = [threading.Thread(target=reader, daemon=True)
                        for reader in (self.read_events, self.read_stderr)]
        for reader in self.readers:
            reader.start()

    def read_events(self):
        for line in self.process.stdout:
            with self.changed:
                self.events.append(json.loads(line))
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def read_stderr(self):
        for line in self.process.stderr:
            self.stderr += line

    def find(self, name, condition=lambda event: True):
        with self.changed:
            return [e for e in self.events if e["event"] == name and condition(e)]

    def wait_event(self, name, condition=lambda event: True):
        """The first such event; fails if the process ends without one."""
        end = time.monotonic() + DEADLINE
        with self.changed:
            while True:
                for event in self.events:
                    if event["event"] == name and condition(event):
                        return event
                if self.ended or time.monotonic() > end:
                    raise AssertionError(f"no event '{name}'" + self.story())
                self.changed.wait(end - time.monotonic())

    def story(self):
        return (f"\n{' '.join(self.command)}\n"
                + "\n".join(json.dumps(e) for e in self.events[-20:]) + "\n" + self.stderr[-3000:])

    def wait(self):
        """The exit code."""
        try:
            code = self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired as hang:
            raise AssertionError("it does not end" + self.story()) from hang
        for reader in self.readers:
            reader.join(DEADLINE)
        return code

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        stop(self.process)

    @property
    def port(self):
        return self.wait_event("listening")["port"]

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    @property
    def error(self):
        """The event that ends a failed command."""
        event = self.events[-1] if self.events else {}
        if event.get("event") != "error":
            raise AssertionError("it did not end with an error event" + self.story())
        return event


Published = collections.namedtuple("Published", "name path torrent url sha size infohash piece")


def flip_byte(path, at):
    with open(path, "r+b") as data:
        data.seek(at)
        byte = data.read(1)[0]
        data.seek(at)
        data.write(bytes([byte ^ 1]))


class LanwardTest(unittest.TestCase):
    """A temporary directory, a printed seed, and children that end with the test."""

    def setUp(self):
        if not os.access(LANWARD, os.X_OK):
            self.fail("set LANWARD to the path of the lanward executable")
        self.seed = int(os.environ.get("LANWARD_TEST_SEED")
                        or random.SystemRandom().getrandbits(32))
        print(f"{self.id()}: LANWARD_TEST_SEED={self.seed}", file=sys.stderr, flush=True)
        self.random = random.Random(self.seed)
        self.root = Path(tempfile.mkdtemp(prefix="lanward-test-"))
        self.addCleanup(shutil.rmtree, self.root, ignore_errors=True)

    def directory(self, name):
        path = self.root / name
        path.mkdir()
        return path

    def start_origin(self, name="origin", **options):
        origin = Origin(self.root / name, **options)
        self.addCleanup(origin.stop)
        return origin

    def make_file(self, path, size):
        with open(path, "wb") as out:
            for at in range(0, size, MIB):
                out.write(self.random.randbytes(min(MIB, size - at)))
        return path

    def start_lanward(self, *arguments, **options):
        process = Lanward(*arguments, **options)
        self.addCleanup(process.kill)
        return process

    def publish(self, origin, size, name="release.img", urls=None, torrent=None):
        """A random file on the origin. `torrent`: where its manifest goes; default beside it."""
        path = self.make_file(origin.www / name, size)
        torrent = torrent or origin.www / (name + ".torrent")
        url = origin.url(name)
        command = ["publish", path, "-o", torrent, "--json"]
        for each in [url] if urls is None else urls:
            command += ["--url", each]
        process = self.start_lanward(*command)
        self.assertEqual(process.wait(), DONE, process.story())
        event = process.find("published")[0]
        self.assertEqual(event["size"], size)
        return Published(name, path, torrent, url, sha256(path), size, event["infohash"],
                         event["piece_length"])

    def start_get(self, source, output, *arguments, **options):
        """`lanward get`, reachable by peers on loopback only."""
        listen = [] if "--no-peers" in arguments or "--listen" in arguments else [
            "--listen", "127.0.0.1:0"]
        return self.start_lanward("get", source, "-o", output, "--json", *listen, *arguments,
                                  **options)

    def get(self, source, output, *arguments, **options):
        """Runs to success; returns the process with its summary."""
        process = self.start_get(source, output, *arguments, **options)
        self.assertEqual(process.wait(), DONE, process.story())
        process.summary = process.find("summary")[0]
        return process

    def get_failing(self, code, source, output, *arguments, **options):
        """Runs to the failure with this exit code; checks what every failure must do."""
        process = self.start_get(source, output, *arguments, **options)
        self.assertEqual(process.wait(), code, process.story())
        self.assertEqual(process.error["exit_code"], code)
        self.assertIn("lanward: " + process.error["message"], process.stderr)
        return process

    def stop_sharing(self, process):
        process.wait_event("sharing")
        process.signal(signal.SIGTERM)
        self.assertEqual(process.wait(), DONE, process.story())
        return process.find("share_ended")[0]

    def check_delivered(self, published, output, summary):
        """The bytes are right and the account of where they came from adds up."""
        self.assertEqual(sha256(output), published.sha)
        received = {kind: sum(s["received"] for s in summary["sources"] if s["kind"] == kind)
                    for kind in ("origin", "peer")}
        self.assertEqual(summary["size"], published.size)
        self.assertEqual(summary["bytes_from_origin"], received["origin"])
        self.assertEqual(summary["bytes_from_peers"], received["peer"])
        self.assertEqual(summary["wasted"], sum(s["wasted"] for s in summary["sources"]))
        self.assertEqual(sum(received.values()) + summary["cached"],
                         published.size + summary["wasted"], summary)
