"""From the start of a process to the first byte of the file from a peer that only the beacon finds.

Usage: discovery_bench.py --lanward BINARY [--starts N] [--neighbours N] [--group]

Machines are network namespaces on a switch (veth and a bridge); needs root. All but one share a
file, and the last starts N times, without an origin, a tracker or a known peer. The time is taken
in the kernel: until the first packet with bytes of the file reaches the machine.
"""

import argparse
import os
import select
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS / "lab"))
import network  # noqa: E402

MIB = 1024 * 1024
SIZE = 4 * MIB
DEADLINE = 30
ORIGIN_PORT = 8080  # of a server that each machine has for itself


class Switch:
    """Machines on a bridge without anybody else."""

    def __init__(self, machines):
        self.bridge = network.Namespace()
        self.bridge.configure(ip=["link add br0 type bridge mcast_snooping 0", "link set br0 up"])
        self.machines = [self.plug(number) for number in range(machines)]

    def plug(self, number):
        machine = network.Namespace()
        self.bridge.configure(ip=[
            f"link add port{number} type veth peer name eth0 netns {machine.path}",
            f"link set port{number} master br0 up"])
        machine.configure(ip=[f"addr add 10.77.1.{number + 1}/16 dev eth0", "link set eth0 up",
                              "route add default dev eth0"])
        return machine


def wait_sharing(process):
    for line in process.stdout:
        if '"event":"sharing"' in line:
            return
    raise SystemExit("discovery_bench: a peer does not share")


def wait_data(machine):
    with machine.entered():
        watcher = network.socket.socket(network.socket.AF_PACKET, network.socket.SOCK_DGRAM, 0)
        network.attach_filter(watcher, network.LAN_NET, network.LAN_PREFIX)
        watcher.setsockopt(network.socket.SOL_SOCKET, network.TIMESTAMP_NS, 1)
        watcher.bind(("eth0", network.ETH_P_IP))
    return watcher


def one_start(arguments, machine, torrent, directory, extra):
    output = directory / "copy"
    output.unlink(missing_ok=True)
    watcher = wait_data(machine)
    begun = time.time()
    process = network.start([arguments.lanward, "get", torrent, "-o", output, "--no-origin",
                             "--quiet", *extra], machine, stderr=subprocess.DEVNULL)
    if not select.select([watcher], [], [], DEADLINE)[0]:
        raise SystemExit("discovery_bench: no byte came from a peer")
    took = network.arrival(watcher) - begun
    watcher.close()
    if process.wait(DEADLINE) != 0:
        raise SystemExit(f"discovery_bench: exit code {process.returncode}")
    return took


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lanward", required=True)
    parser.add_argument("--starts", type=int, default=50)
    parser.add_argument("--neighbours", type=int, default=3)
    parser.add_argument("--group", action="store_true")
    arguments = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="lanward-bench-"))
    sharers = []
    try:
        file, torrent = directory / "file.bin", directory / "file.bin.torrent"
        file.write_bytes(os.urandom(SIZE))
        url = f"http://127.0.0.1:{ORIGIN_PORT}/file.bin"
        subprocess.run([arguments.lanward, "publish", file, "-o", torrent, "--url", url, "--quiet"],
                       check=True, stdout=subprocess.DEVNULL)
        extra = []
        if arguments.group:
            extra = ["--group", directory / "site.group"]
            subprocess.run([arguments.lanward, "group", "init", "-o", extra[1]], check=True,
                           stdout=subprocess.DEVNULL)
        machines = Switch(arguments.neighbours + 1).machines
        for number, machine in enumerate(machines[1:]):
            home = directory / f"home-{number}"
            home.mkdir()
            sharers.append(network.start(
                [sys.executable, "-m", "http.server", ORIGIN_PORT, "--bind", "127.0.0.1",
                 "--directory", directory], machine, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL))
            network.wait_for_port(machine, "127.0.0.1", ORIGIN_PORT, sharers[-1], "origin",
                                  directory / "origin.log")
            sharers.append(network.start(
                [arguments.lanward, "get", torrent, "-o", home / "copy", "--json", "--share",
                 "forever", *extra], machine, stdout=subprocess.PIPE, text=True,
                stderr=subprocess.DEVNULL))
            wait_sharing(sharers[-1])
        times = [one_start(arguments, machines[0], torrent, directory, extra)
                 for _ in range(arguments.starts + 1)][1:]
        times = sorted(1000 * each for each in times)
        at_99 = times[min(len(times) - 1, int(0.99 * len(times)))]
        print(f"{len(times)} starts, {arguments.neighbours} neighbours: median "
              f"{statistics.median(times):.1f} ms, 99 % {at_99:.1f} ms, worst {times[-1]:.1f} ms")
    finally:
        for process in sharers:
            process.kill()
            process.wait()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
