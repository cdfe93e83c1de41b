"""Benchmarks of HTTP sources, each against a peer in the same run.

Usage: origins_bench.py --lanward BINARY [--only NAME] [--size MIB] [--runs N] [--directory DIR]

http     one file from nginx on loopback, verified, against curl -o
https    the same over TLS
small    files of 1 byte, 1 KiB and 1 MiB, against curl -o
latency  one origin behind a proxy that delays: 40 ms each way, 100 Mbit/s over all connections
mirrors  three mirrors behind links of 160, 80 and 40 Mbit/s (tc tbf in network namespaces; needs
         root), against aria2c -x8 -s8; then the same with one mirror killed in the middle

Runs alternate, after one of each that does not count; medians, and medians of ratios pair by pair.
"""

import argparse
import asyncio
import collections
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from bench import MIB, alternate, report, run, support  # noqa: E402

DELAY = 0.04              # seconds, each way
LINK = 12_500_000         # bytes a second of the delaying proxy
LINKS = (160, 80, 40)     # Mbit a second of the mirrors: 20, 10 and 5 MB/s
BURST = 128 * 1024        # of their shapers


def fill(path, size):
    with open(path, "wb") as file:
        for at in range(0, size, MIB):
            file.write(os.urandom(min(MIB, size - at)))


def getting(*command, output):
    def once():
        for path in (output, Path(f"{output}.aria2")):
            path.unlink(missing_ok=True)
        return run([*command, output])
    return once


def bench_http(arguments, directory):
    origin = support.Origin(directory / "plain", send_buffer=0)
    try:
        fill(origin.www / "file.bin", arguments.size * MIB)
        url = f"http://127.0.0.1:{origin.port}/file.bin"
        run([arguments.lanward, "publish", origin.www / "file.bin", "--url", url])
        ours = getting(arguments.lanward, "get", "--quiet", "--no-peers", url, "-o",
                       output=directory / "ours")
        curl = getting("curl", "-s", "-S", url, "-o", output=directory / "curl")
        pairs = alternate(arguments.runs, ours, curl)
        report("http", ("lanward get", "curl -o"), pairs, arguments.size * MIB)
    finally:
        support.stop(origin.process)


def bench_https(arguments, directory):
    key, certificate = directory / "key.pem", directory / "cert.pem"
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate])

    class Secure(support.Origin):
        def config(self):
            return (super().config()
                    .replace(f"127.0.0.1:{self.port};", f"127.0.0.1:{self.port} ssl;")
                    .replace("    root", f"    ssl_certificate {certificate};\n"
                                         f"    ssl_certificate_key {key};\n    root", 1))

    origin = Secure(directory / "secure", send_buffer=0)
    try:
        fill(origin.www / "file.bin", arguments.size * MIB)
        url = f"https://localhost:{origin.port}/file.bin"
        run([arguments.lanward, "publish", origin.www / "file.bin", "--url", url])
        ours = getting(arguments.lanward, "get", "--quiet", "--no-peers", "--ca-file", certificate,
                       url, "-o", output=directory / "ours")
        curl = getting("curl", "-s", "-S", "--cacert", certificate, url, "-o",
                       output=directory / "curl")
        pairs = alternate(arguments.runs, ours, curl)
        report("https", ("lanward get", "curl -o"), pairs, arguments.size * MIB)
    finally:
        support.stop(origin.process)


def bench_small(arguments, directory):
    origin = support.Origin(directory / "small", send_buffer=0)
    try:
        for size in (1, 1024, MIB):
            path = origin.www / f"file-{size}"
            fill(path, size)
            url = f"http://127.0.0.1:{origin.port}/{path.name}"
            run([arguments.lanward, "publish", path, "--url", url])
            ours = getting(arguments.lanward, "get", "--quiet", "--no-peers", url, "-o",
                           output=directory / "ours")
            curl = getting("curl", "-s", "-S", url, "-o", output=directory / "curl")
            pairs = alternate(4 * arguments.runs, ours, curl)
            wall = [statistics.median(pair[n][0] for pair in pairs) * 1000 for n in range(2)]
            more = statistics.median((a[0] - b[0]) * 1000 for a, b in pairs)
            ratio = statistics.median(a[0] / b[0] for a, b in pairs)
            print(f"small, {size} bytes: lanward get {wall[0]:.1f} ms, curl -o {wall[1]:.1f} ms, "
                  f"ratio {ratio:.2f}, {more:.1f} ms more", flush=True)
    finally:
        support.stop(origin.process)


class DelayingProxy:
    """Passes bytes on after DELAY, at LINK bytes a second over all connections, to one port."""

    def __init__(self, port):
        self.to = port
        self.free_at = 0.0
        self.loop = asyncio.new_event_loop()
        self.server = self.loop.run_until_complete(
            asyncio.start_server(self.accept, "127.0.0.1", 0, limit=MIB))
        self.port = self.server.sockets[0].getsockname()[1]
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    async def accept(self, reader, writer):
        await asyncio.sleep(2 * DELAY)  # what connecting takes
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.to, limit=MIB)
        await asyncio.gather(self.carry(reader, to_writer, False),
                             self.carry(to_reader, writer, True), return_exceptions=True)

    async def carry(self, reader, writer, shaped):
        queue, ready, room = collections.deque(), asyncio.Event(), asyncio.Event()
        room.set()
        queued = 0

        async def receive():
            nonlocal queued
            while True:
                data = await reader.read(64 * 1024)
                due = self.loop.time() + DELAY
                if shaped and data:
                    self.free_at = max(self.free_at, self.loop.time()) + len(data) / LINK
                    due = self.free_at + DELAY
                queue.append((due, data))
                queued += len(data)
                ready.set()
                if not data:
                    return
                # Two round trips of the link: a receive window that does not hold anybody up.
                if queued > 4 * DELAY * LINK:
                    room.clear()
                    await room.wait()

        receiver = asyncio.ensure_future(receive())
        try:
            while True:
                while not queue:
                    ready.clear()
                    await ready.wait()
                due, data = queue.popleft()
                queued -= len(data)
                room.set()
                await asyncio.sleep(max(0, due - self.loop.time()))
                if not data:
                    break
                writer.write(data)
                await writer.drain()
        finally:
            receiver.cancel()
            writer.close()


def bench_latency(arguments, directory):
    size = 128 * MIB
    origin = support.Origin(directory / "far", send_buffer=0)
    try:
        fill(origin.www / "file.bin", size)
        proxy = DelayingProxy(origin.port)
        url = f"http://127.0.0.1:{proxy.port}/file.bin"
        run([arguments.lanward, "publish", origin.www / "file.bin", "--url", url])
        ours = getting(arguments.lanward, "get", "--quiet", "--no-peers", url, "-o",
                       output=directory / "ours")
        curl = getting("curl", "-s", "-S", url, "-o", output=directory / "curl")
        pairs = alternate(arguments.runs, ours, curl)
        report("latency of 80 ms", ("lanward get", "curl -o"), pairs, size)
        for name, n in (("lanward", 0), ("curl", 1)):
            used = statistics.median(size / LINK / pair[n][0] for pair in pairs)
            print(f"  {name} uses {100 * used:.1f} % of the link")
    finally:
        support.stop(origin.process)


class Mirrors:
    """A client's namespace and one for each mirror, joined by shaped links."""

    def __init__(self, directory, size):
        self.client = f"lwb{os.getpid()}"
        self.spaces, self.servers, self.urls = [self.client], [], []
        fill(directory / "file.bin", size)
        self.ip("netns", "add", self.client)
        self.ip("-n", self.client, "link", "set", "lo", "up")
        for i, rate in enumerate(LINKS):
            space = f"{self.client}m{i}"
            self.spaces.append(space)
            self.ip("netns", "add", space)
            self.ip("link", "add", f"c{i}", "netns", self.client, "type", "veth", "peer", "name",
                    "up0", "netns", space)
            for name, device, address in ((self.client, f"c{i}", 1), (space, "up0", 2)):
                self.ip("-n", name, "addr", "add", f"10.79.{i}.{address}/24", "dev", device)
                self.ip("-n", name, "link", "set", device, "up")
            run(["ip", "netns", "exec", space, "tc", "qdisc", "add", "dev", "up0", "root", "tbf",
                 "rate", f"{rate}mbit", "burst", str(BURST), "latency", "50ms"])
            self.servers.append(None)
            self.urls.append(f"http://10.79.{i}.2/file.bin")
        self.directory = directory
        for i in range(len(LINKS)):
            self.start(i)

    def ip(self, *command):
        run(["ip", *command])

    def start(self, i):
        root = self.directory / f"mirror{i}"
        root.mkdir(exist_ok=True)
        temporary = "".join(f"{kind}_temp_path {root}/tmp; "
                            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (root / "nginx.conf").write_text(
            f"daemon off; master_process off; pid {root}/pid; error_log {root}/error.log;\n"
            f"events {{ worker_connections 256; }}\nhttp {{ sendfile on; access_log off; "
            f"{temporary}\n  server {{ listen 10.79.{i}.2:80; root {self.directory}; }} }}\n")
        self.servers[i] = subprocess.Popen(
            ["ip", "netns", "exec", f"{self.client}m{i}", shutil.which("nginx") or
             "/usr/sbin/nginx", "-p", root, "-c", root / "nginx.conf", "-e", root / "error.log"],
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        support.wait_until(lambda: (root / "pid").exists(), "nginx starts")

    def kill(self, i):
        self.servers[i].send_signal(signal.SIGKILL)
        self.servers[i].wait()
        (self.directory / f"mirror{i}" / "pid").unlink(missing_ok=True)

    def close(self):
        for server in self.servers:
            if server is not None:
                server.kill()
                server.wait()
        for space in self.spaces:
            subprocess.run(["ip", "netns", "del", space], check=False)


def bench_mirrors(arguments, directory):
    size = 512 * MIB
    mirrors = Mirrors(directory, size)
    try:
        inside = ["ip", "netns", "exec", mirrors.client]
        run([arguments.lanward, "publish", directory / "file.bin", *(
            word for url in mirrors.urls for word in ("--url", url))])
        ours = getting(*inside, arguments.lanward, "get", "--quiet", "--no-peers",
                       directory / "file.bin.torrent", "-o", output=directory / "ours")
        aria = getting(*inside, "aria2c", "-q", "-x8", "-s8", "--file-allocation=none",
                       "--allow-overwrite=true", "-d", "/", *mirrors.urls, "-o",
                       output=directory / "aria")
        pairs = alternate(arguments.runs, ours, aria)
        report("three mirrors", ("lanward get", "aria2c -x8 -s8"), pairs, size)
        total = sum(LINKS) * 1e6 / 8 * (1448 / 1514)  # what the shapers leave for the payload
        for name, n in (("lanward", 0), ("aria2", 1)):
            used = statistics.median(size / total / pair[n][0] for pair in pairs)
            print(f"  {name} uses {100 * used:.1f} % of the three links")
        whole = statistics.median(pair[0][0] for pair in pairs)

        costs = []
        for _ in range(arguments.runs):
            timer = threading.Timer(whole / 2, mirrors.kill, [1])
            begun = time.monotonic()
            timer.start()
            wall = ours()[0]
            timer.join()
            died = time.monotonic() - begun - wall + whole / 2
            # Until the death all three carry, then the others alone.
            left = size - died * total
            ideal = died + left / (total * (LINKS[0] + LINKS[2]) / sum(LINKS))
            costs.append(wall / ideal)
            mirrors.start(1)
        print(f"  one mirror dies in the middle: {statistics.median(costs):.3f} of the ideal time")
    finally:
        mirrors.close()


BENCHES = {"http": bench_http, "https": bench_https, "small": bench_small, "latency": bench_latency,
           "mirrors": bench_mirrors}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lanward", required=True)
    parser.add_argument("--only", choices=BENCHES)
    parser.add_argument("--size", type=int, default=2048,
                        help="of http and https, MiB; default 2048")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--directory", help="where the files go; default: the temporary directory")
    arguments = parser.parse_args()
    for name, bench in BENCHES.items():
        if arguments.only not in (None, name):
            continue
        directory = Path(tempfile.mkdtemp(prefix="lanward-bench-", dir=arguments.directory))
        try:
            bench(arguments, directory)
        finally:
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
