"""Benchmarks of whole processes, each against a peer in the same run.

Usage: bench.py --lanward BINARY [--only get|peers] [--size MIB] [--runs N] [--directory DIR]

get    one file from nginx on loopback, verified, against curl -o (which verifies nothing)
peers  one file from one peer to another, both members of a group, against two libtorrent sessions
       with default settings but for uTP, which is off: over loopback it is many times slower than
       TCP; they prove nothing to each other

Runs alternate (A B A B ...), after one of each that does not count. Medians are printed, and the
median of the ratios pair by pair. Wall time is from the start of the process to its end; sessions
of libtorrent are timed from dialling the other to the last piece, so without their start.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "integration"))
import support  # noqa: E402

MIB = 1024 * 1024
DEADLINE = 600  # of one run


def run(command):
    """Wall seconds, CPU seconds and peak MiB of one process, which must succeed."""
    os.sync()  # what the one before has left to be written
    begun = time.monotonic()
    with subprocess.Popen([*map(str, command)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - begun
    if process.returncode != 0:
        raise SystemExit(f"bench: exit code {process.returncode}: {' '.join(map(str, command))}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def alternate(runs, first, second):
    pairs = [(first(), second()) for _ in range(runs + 1)][1:]
    return pairs


def report(title, names, pairs, size):
    print(f"\n{title}, {size // MIB} MiB, {len(pairs)} runs each, medians")
    print(f"  {'':24}{'wall s':>9}{'MiB/s':>9}{'CPU s':>9}{'peak MiB':>10}")
    for which, name in enumerate(names):
        wall, cpu, peak = (statistics.median(p[which][n] for p in pairs) for n in range(3))
        print(f"  {name:24}{wall:9.2f}{size / MIB / wall:9.0f}{cpu:9.2f}{peak:10.0f}")
    wall, cpu = (statistics.median(p[0][n] / p[1][n] for p in pairs) for n in range(2))
    print(f"  {'ratio, pair by pair':24}{wall:9.2f}{1 / wall:9.2f}{cpu:9.2f}", flush=True)


def bench_get(arguments, origin, url, directory):
    ours, theirs = directory / "ours", directory / "curl"

    def lanward():
        ours.unlink(missing_ok=True)
        return run([arguments.lanward, "get", "--quiet", url, "-o", ours])

    def curl():
        theirs.unlink(missing_ok=True)
        return run(["curl", "-s", "-S", "-o", theirs, url])

    pairs = alternate(arguments.runs, lanward, curl)
    report("get", ("lanward get", "curl -o"), pairs, arguments.size * MIB)
    ours.unlink()
    theirs.unlink()


# A session with default settings; prints its port, then wall, CPU and peak of the download.
STOCK = """
import libtorrent as lt, resource, sys, time
torrent, save, seed = sys.argv[1], sys.argv[2], sys.argv[3] == "seed"
session = lt.session({"listen_interfaces": "127.0.0.1:0", "enable_dht": False, "enable_upnp": False,
                      "enable_natpmp": False, "enable_lsd": False,
                      "enable_outgoing_utp": False, "enable_incoming_utp": False})
params = lt.add_torrent_params()
params.ti = lt.torrent_info(torrent)
params.ti.set_web_seeds([])
params.save_path = save
params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
handle = session.add_torrent(params)
if seed:
    while not handle.status().is_seeding:
        time.sleep(0.05)
    print(session.listen_port(), flush=True)
    sys.stdin.read()
else:
    while handle.status().state != lt.torrent_status.downloading:
        time.sleep(0.005)
    begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
    handle.connect_peer(("127.0.0.1", int(sys.argv[4])))
    while not handle.status().is_seeding:
        time.sleep(0.005)
    after = resource.getrusage(resource.RUSAGE_SELF)
    print(time.monotonic() - begun,
          after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
          after.ru_maxrss / 1024, flush=True)
"""


def bench_peers(arguments, origin, manifest, directory):
    size = arguments.size * MIB
    # A stock client names the file by the name in the info dictionary.
    import libtorrent
    seeds = directory / "seeds"
    seeds.mkdir()
    os.link(origin.www / "file.bin", seeds / libtorrent.torrent_info(str(manifest)).name())
    stock = subprocess.Popen([sys.executable, "-c", STOCK, manifest, seeds, "seed"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    sharer = None
    group = directory / "site.group"
    run([arguments.lanward, "group", "init", "-o", group])
    try:
        stock_port = int(stock.stdout.readline())
        port = free_port()
        sharer = subprocess.Popen(
            [arguments.lanward, "get", "--json", manifest, "-o", directory / "shared", "--cache",
             directory / "cache", "--listen", f"127.0.0.1:{port}", "--share", "forever",
             "--group", group],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        for line in sharer.stdout:
            if '"event":"sharing"' in line:
                break

        def lanward():
            (directory / "ours").unlink(missing_ok=True)
            return run([arguments.lanward, "get", "--quiet", "--no-cdn", manifest, "--peer",
                        f"127.0.0.1:{port}", "--listen", "127.0.0.1:0", "--group", group, "-o",
                        directory / "ours"])

        def libtorrent_session():
            save = directory / "stock"
            shutil.rmtree(save, ignore_errors=True)
            done = subprocess.run([sys.executable, "-c", STOCK, manifest, save, "get",
                                   str(stock_port)], stdin=subprocess.DEVNULL, text=True,
                                  stdout=subprocess.PIPE, check=True, timeout=DEADLINE)
            return tuple(map(float, done.stdout.split()))

        pairs = alternate(arguments.runs, lanward, libtorrent_session)
        report("peer to peer", ("lanward, in a group", "libtorrent over TCP"), pairs, size)
        print(f"  peak of the sharing side: lanward {peak_mib(sharer.pid):.0f} MiB, "
              f"libtorrent {peak_mib(stock.pid):.0f} MiB")
    finally:
        for process in (stock, sharer):
            if process is not None:
                support.stop(process)


def free_port():
    import socket
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def peak_mib(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lanward", required=True)
    parser.add_argument("--only", choices=("get", "peers"))
    parser.add_argument("--size", type=int, default=1024, help="MiB, default 1024")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--directory", help="where the files go; default: the temporary directory")
    arguments = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="lanward-bench-", dir=arguments.directory))
    origin = None
    try:
        origin = support.Origin(directory / "origin", send_buffer=0)
        with open(origin.www / "file.bin", "wb") as file:
            for _ in range(arguments.size):
                file.write(os.urandom(MIB))
        url = f"http://127.0.0.1:{origin.port}/file.bin"
        run([arguments.lanward, "publish", origin.www / "file.bin", "--url", url])
        if arguments.only != "peers":
            bench_get(arguments, origin, url, directory)
        if arguments.only != "get":
            bench_peers(arguments, origin, origin.www / "file.bin.torrent", directory)
    finally:
        if origin is not None:
            support.stop(origin.process)
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
