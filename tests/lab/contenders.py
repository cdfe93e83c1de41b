"""Who fetches the file: lanward, and what else one could use for it.

Each is the command of one machine's process, and what its output tells. The file is `source` on
the origin; `torrent` a BitTorrent v1 torrent of it with the origin as web seed.
"""

import datetime
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

import network

FILE_NAME = "file.bin"
URL = f"http://{network.ORIGIN}/{FILE_NAME}"
PORT = 6881
TRACKER_PORT = 6969
ANNOUNCE = f"http://{network.TRACKER}:{TRACKER_PORT}/announce"
NOBODY = ("--reuid", "65534", "--regid", "65534", "--clear-groups")
SLICE = "1m"  # of the cache box, as caches of game downloads use it


class Contender:
    serves = False      # goes on after its file is complete, until SIGTERM
    multicast = False   # its machines hear each other's multicast
    tracker = False     # opentracker runs in the site

    def prepare(self, site):
        """Servers in the site that it needs; called before the run begins."""
        if self.tracker:
            start_tracker(site, self.infohashes())

    def infohashes(self):
        return []

    def output(self, directory):
        return directory / FILE_NAME

    def line(self, fleet, peer, text):
        """One line of the process's standard output."""

    def complete_at_exit(self, peer):
        return peer.exit_code == 0


class Curl(Contender):
    name = "curl"

    def __init__(self, _content):
        self.url = URL

    def command(self, site, index, directory):
        return ["curl", "-sS", "--fail", "-o", self.output(directory), self.url]


class Cache(Curl):
    """Curl through a caching proxy on the LAN."""
    name = "cache"

    def __init__(self, content):
        super().__init__(content)
        self.url = f"http://{network.CACHE}/{FILE_NAME}"

    def prepare(self, site):
        machine = site.machine("cache", network.CACHE, None)
        directory = site.directory / "cache"
        zone = (f"  proxy_cache_path {directory}/data keys_zone=site:16m max_size=1000g "
                f"inactive=1d use_temp_path=off;\n"
                f"  upstream origin {{ server {network.ORIGIN}:80; keepalive 64; }}\n")
        server = (f"    location / {{\n      slice {SLICE};\n      proxy_cache site;\n"
                  "      proxy_cache_key $uri$slice_range;\n"
                  "      proxy_set_header Range $slice_range;\n"
                  "      proxy_set_header Connection '';\n"
                  f"      proxy_set_header Host {network.ORIGIN};\n"
                  "      proxy_http_version 1.1;\n      proxy_cache_valid 200 206 1d;\n"
                  "      proxy_cache_lock on;\n      proxy_cache_lock_age 2m;\n"
                  "      proxy_cache_lock_timeout 1h;\n"
                  "      proxy_pass http://origin;\n    }\n")
        box = network.Nginx(machine, directory, network.CACHE, server, zone)
        site.stack.callback(network.stop, box.process, signal.SIGKILL)


class Lanward(Contender):
    name = "lanward"
    serves = True

    def __init__(self, content, binary, discovery):
        self.content, self.binary, self.discovery = content, binary, discovery
        self.multicast = discovery == "lsd"
        self.tracker = discovery == "tracker"

    def infohashes(self):
        return [self.content.infohash[:40]]  # trackers know the first 20 bytes

    def command(self, site, index, directory):
        command = [self.binary, "get", URL, "--manifest", self.content.manifest, "-o",
                   self.output(directory), "--json", "--share", "forever",
                   "--listen", f"{network.peer_address(index)}:{PORT}"]
        if self.discovery == "static":
            for other in range(site.scenario.peers):
                if other != index:
                    command += ["--peer", f"{network.peer_address(other)}:{PORT}"]
        if self.discovery == "tracker":
            command += ["--tracker", ANNOUNCE]
        return command

    def line(self, fleet, peer, text):
        name, value = read_event(text)
        if name == "summary":
            peer.finished = fleet.on_wall(value.pop("at"))
            peer.facts |= value
        elif name == "complete":
            peer.facts["complete"] = fleet.on_wall(value)
        elif name == "error":
            peer.error = value

    def complete_at_exit(self, peer):
        return False  # it tells


def read_event(text):
    """(what, value) of a line of lanward's events: summary, complete, error, or nothing."""
    try:
        event = json.loads(text)
    except json.JSONDecodeError:
        return None, None
    kind = event.get("event") if isinstance(event, dict) else None
    if kind == "error":
        return "error", event.get("message", "no message")
    if kind not in ("summary", "state"):
        return None, None
    at = datetime.datetime.fromisoformat(event["time"]).timestamp()
    if kind == "state":
        return ("complete", at) if event.get("state") == "transferred" else (None, None)
    return "summary", {"at": at, "from_origin": event["bytes_from_origin"],
                       "from_peers": event["bytes_from_peers"], "wasted": event["wasted"]}


class Aria2(Contender):
    name = "aria2"
    order = "default"  # of what it asks the origin for; alike on all machines
    serves = True
    tracker = True

    def __init__(self, content):
        self.content = content

    def infohashes(self):
        return [self.content.v1_infohash]

    def command(self, site, index, directory):
        return ["aria2c", "--no-conf", f"--stream-piece-selector={self.order}",
                "--enable-dht=false", "--bt-enable-lpd=false", "--seed-ratio=0.0",
                "--file-allocation=none", f"--listen-port={PORT}", "--show-console-readout=false",
                "--summary-interval=0", "--enable-color=false", f"--dir={directory}",
                f"--on-bt-download-complete={self.content.hook}", self.content.torrent]

    def line(self, fleet, peer, text):
        # The hook tells when; aria2 itself only when it writes its summary.
        if text.startswith("lab: complete "):
            peer.finished = fleet.on_wall(float(text.split()[2]))


class Aria2Random(Aria2):
    name = "aria2-random"
    order = "random"


class Libtorrent(Contender):
    name = "libtorrent"
    serves = True
    tracker = True

    def __init__(self, content):
        self.content = content

    def infohashes(self):
        return [self.content.v1_infohash]

    def command(self, site, index, directory):
        script = Path(__file__).with_name("libtorrent_peer.py")
        return [sys.executable, script, self.content.torrent, directory,
                f"{network.peer_address(index)}:{PORT}"]

    def line(self, fleet, peer, text):
        words = text.split()
        if words[:1] == ["complete"]:
            peer.finished = fleet.on_wall(float(words[1]))
            peer.facts |= {"wasted": int(words[2])}


COMPETITORS = {each.name: each for each in (Curl, Aria2, Aria2Random, Libtorrent, Cache)}

NEED_TORRENT = ("aria2", "aria2-random", "libtorrent")


class Content:
    """The file of a scenario: made and published once, fetched by everybody."""

    def __init__(self, scenario, directory, lanward):
        self.directory = directory
        self.path = directory / FILE_NAME
        self.size = scenario.size
        digest = hashlib.sha256()
        with open(self.path, "wb") as file:
            for begin in range(0, self.size, 1 << 20):
                block = os.urandom(min(1 << 20, self.size - begin))
                digest.update(block)
                file.write(block)
        self.sha256 = digest.hexdigest()
        self.manifest = directory / (FILE_NAME + ".torrent")
        command = [lanward, "publish", self.path, "--url", URL, "-o", self.manifest, "--json"]
        done = subprocess.run(command, text=True, capture_output=True, check=False)
        events = [json.loads(line) for line in done.stdout.splitlines()]
        published = [event for event in events if event["event"] == "published"]
        if done.returncode != 0 or not published:
            raise network.SiteError(f"lanward publish failed: {done.stderr.strip()}")
        self.infohash = published[0]["infohash"]
        self.piece = published[0]["piece_length"]
        if scenario.piece not in (None, self.piece):
            scenario.without_effect.append("file.piece")

    def make_torrent(self):
        """For the competitors that speak BitTorrent."""
        self.torrent = self.directory / "v1.torrent"
        hashes = []
        with open(self.path, "rb") as file:
            while block := file.read(self.piece):
                hashes.append(hashlib.sha1(block).digest())
        info = {b"length": self.size, b"name": FILE_NAME.encode(), b"piece length": self.piece,
                b"pieces": b"".join(hashes)}
        self.v1_infohash = hashlib.sha1(bencode(info)).hexdigest()
        self.torrent.write_bytes(bencode({b"announce": ANNOUNCE.encode(), b"info": info,
                                          b"url-list": URL.encode()}))
        self.hook = self.directory / "complete"
        self.hook.write_text("#!/bin/sh\necho lab: complete $(date +%s.%N)\n")
        self.hook.chmod(0o755)


def bencode(value):
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    return b"d" + b"".join(bencode(k) + bencode(v) for k, v in sorted(value.items())) + b"e"


def start_tracker(site, infohashes):
    """An opentracker, which as Debian builds it serves only the contents it is told."""
    binary = shutil.which("opentracker")
    if binary is None:
        raise network.SiteError("opentracker is not installed: apt-get install opentracker")
    machine = site.machine("tracker", network.TRACKER)
    # It refuses to be root; nobody may enter a temporary directory, but perhaps not the lab's.
    directory = Path(tempfile.mkdtemp(prefix="lanward-lab-tracker-"))
    site.stack.callback(shutil.rmtree, directory, ignore_errors=True)
    directory.chmod(0o755)
    (directory / "whitelist").write_text("".join(hash_ + "\n" for hash_ in infohashes))
    (directory / "conf").write_text(f"listen.tcp {network.TRACKER}:{TRACKER_PORT}\n"
                                    f"access.whitelist {directory}/whitelist\n")
    log = site.directory / "tracker.log"
    with open(log, "wb") as out:
        process = network.start([binary, "-f", directory / "conf"], machine, NOBODY, stdout=out,
                                stderr=subprocess.STDOUT)
    site.stack.callback(network.stop, process, signal.SIGKILL)
    network.wait_for_port(machine, network.TRACKER, TRACKER_PORT, process, "opentracker", log)
    for infohash in infohashes:
        check_announce(machine, infohash)


def check_announce(machine, infohash):
    """That the tracker serves a content: it reads its list in the background."""
    fields = {"info_hash": bytes.fromhex(infohash), "peer_id": b"-lab-" + bytes(15), "port": 1,
              "uploaded": 0, "downloaded": 0, "left": 1, "compact": 1, "event": "stopped"}
    url = ANNOUNCE + "?" + urllib.parse.urlencode(fields, quote_via=urllib.parse.quote)
    end = time.monotonic() + network.START_SECONDS
    while True:
        with machine.entered(), urllib.request.urlopen(url, timeout=network.START_SECONDS) as reply:
            answer = reply.read()
        if b"failure reason" not in answer:
            return
        if time.monotonic() > end:
            raise network.SiteError(f"opentracker refuses {infohash}: {answer!r}")
        time.sleep(network.POLL)
