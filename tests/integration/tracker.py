"""A real tracker: opentracker, by HTTP (BEP 3) and UDP (BEP 15)."""

import contextlib
import os
import shutil
import socket
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path

from bittorrent import bdecode
from support import DEADLINE, start, stop, wait_until

PORT = 6969
# It refuses to be root.
NOBODY = ("--reuid", "65534", "--regid", "65534", "--clear-groups")


def binary():
    """None: it is not installed."""
    return shutil.which("opentracker", path=os.environ.get("PATH", "") + ":/usr/bin:/usr/sbin")


class OpenTracker:
    """In a namespace, for these infohashes (20 bytes each) only: as Debian builds it, it needs a
    list."""

    def __init__(self, namespace, address, infohashes):
        self.namespace = namespace
        self.place = f"{address}:{PORT}"
        # Of a user who may not look into the test's own.
        self.directory = Path(tempfile.mkdtemp(prefix="lanward-tracker-"))
        self.directory.chmod(0o755)
        allowed, config = self.directory / "allowed", self.directory / "conf"
        allowed.write_text("".join(infohash.hex() + "\n" for infohash in infohashes))
        config.write_text(f"listen.tcp {self.place}\nlisten.udp {self.place}\n"
                          f"access.whitelist {allowed}\n")
        with open(self.directory / "log", "wb") as log, namespace.entered():
            self.process = start(["setpriv", *NOBODY, "--pdeathsig", "KILL", binary(), "-f",
                                  config], stdout=log, stderr=log)
        for infohash in infohashes:  # it reads its list in the background
            wait_until(lambda each=infohash: self.serves(each), "opentracker serves")

    def stop(self):
        stop(self.process)
        shutil.rmtree(self.directory, ignore_errors=True)

    def url(self, scheme):
        return f"{scheme}://{self.place}/announce"

    def ask(self, infohash, event):
        """The reply to somebody in the tracker's own namespace."""
        fields = {"info_hash": infohash, "peer_id": b"-test-" + bytes(14), "port": 1, "left": 1,
                  "uploaded": 0, "downloaded": 0, "compact": 1, "event": event}
        # A space as %20: opentracker takes a plus sign for what it is.
        asked = urllib.parse.urlencode(fields, quote_via=urllib.parse.quote)
        url = f"{self.url('http')}?{asked}"
        with self.namespace.entered(), urllib.request.urlopen(url, timeout=DEADLINE) as reply:
            return bdecode(reply.read())[0]

    def serves(self, infohash):
        if self.process.poll() is not None:
            raise AssertionError("opentracker ended: " + (self.directory / "log").read_text())
        with contextlib.suppress(OSError):
            # Of those that leave it does not ask whether they may be there.
            refused = b"failure reason" in self.ask(infohash, "started")
            self.ask(infohash, "stopped")
            return not refused
        return False

    def members(self, infohash):
        """What anybody learns who knows an infohash: addresses."""
        reply = self.ask(infohash, "started")
        if b"failure reason" in reply:
            raise AssertionError(f"opentracker refuses: {reply}")
        self.ask(infohash, "stopped")
        packed = reply.get(b"peers", b"")
        found = {(socket.inet_ntoa(packed[at:at + 4]), int.from_bytes(packed[at + 4:at + 6], "big"))
                 for at in range(0, len(packed), 6)}
        return {(address, port) for address, port in found if port != 1}
