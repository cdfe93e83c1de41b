"""What is written to the disk on the way from an origin to the destination, and how long it takes.

Usage: disk_bench.py --lanward BINARY [--size MIB] [--runs N] [--directory DIR]

no cache  a one-shot download: its data file is moved to the destination
cache     with a piece cache that stays, beside the destination: copied, or shared where the file
          system can (XFS, btrfs)
on XFS    the same two on XFS, where the copy shares its blocks (a loop device; only as root)
link      `cache export --hard-link` of a content

Bytes written are those that the kernel counts for the process, against the size of the file. Wall
time of downloads is compared with curl -o, pair by pair; what is dirty is written out in between.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from bench import MIB, support  # noqa: E402
from origins_bench import fill  # noqa: E402

# A loop device with XFS needs this much beside the files.
SPARE = 512 * MIB


def run(command):
    """Wall seconds and bytes written of one process, which must succeed."""
    os.sync()
    begun = time.monotonic()
    with subprocess.Popen([*map(str, command)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"bench: exit code {process.returncode}: {' '.join(map(str, command))}")
    return time.monotonic() - begun, usage.ru_oublock * 512


@contextlib.contextmanager
def loop_device(directory, size):
    """An empty XFS, or nothing where it cannot be had."""
    image, mounted = directory / "xfs.img", directory / "xfs"
    mounted.mkdir()
    with open(image, "wb") as file:
        file.truncate(size)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    made = shutil.which("mkfs.xfs") and os.geteuid() == 0 and all(
        subprocess.run(command, check=False, **quiet).returncode == 0
        for command in (["mkfs.xfs", "-q", image], ["mount", "-o", "loop", image, mounted]))
    try:
        yield mounted if made else None
    finally:
        if made:
            subprocess.run(["umount", mounted], check=True)
        image.unlink()


def get(arguments, url, output, *options):
    return run([arguments.lanward, "get", "--quiet", "--no-peers", *options, url, "-o", output])


def downloads(arguments, name, url, directory):
    cache, output, theirs = (directory / x for x in ("cache", "ours", "curl"))
    for how, options in (("no cache", ()),
                         ("cache", ("--cache", cache, "--cache-max-percent", "0"))):
        ratios, written = [], []
        for n in range(arguments.runs + 1):
            shutil.rmtree(cache, ignore_errors=True)
            for path in (output, theirs):
                path.unlink(missing_ok=True)
            ours = get(arguments, url, output, *options)
            curl = run(["curl", "-s", "-S", url, "-o", theirs])
            if n > 0:  # the first does not count
                ratios.append(ours[0] / curl[0])
                written.append(ours[1] / (arguments.size * MIB))
        print(f"{how + name:16} {statistics.median(written):6.3f} of the size written, "
              f"{statistics.median(ratios):5.2f} of the wall time of curl -o", flush=True)
    for path in (output, theirs):
        path.unlink()


def export(arguments, directory):
    at = ("--cache", directory / "cache")
    listed = subprocess.run([arguments.lanward, "cache", "list", "--json", *at], check=True,
                            stdout=subprocess.PIPE, text=True).stdout
    content = json.loads(listed.splitlines()[0])["id"]
    wall, written = run([arguments.lanward, "cache", "export", *at, "--hard-link", content, "-o",
                         directory / "link"])
    print(f"{'link':16} {written / (arguments.size * MIB):6.3f} of the size written, {wall:5.2f} s",
          flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lanward", required=True)
    parser.add_argument("--size", type=int, default=2048, help="MiB, default 2048")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--directory", help="where the files go; default: the temporary directory")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lanward-bench-", dir=arguments.directory) as path:
        directory = Path(path)
        origin = support.Origin(directory / "origin", send_buffer=0)
        try:
            file = origin.www / "file.bin"
            fill(file, arguments.size * MIB)
            url = f"http://127.0.0.1:{origin.port}/file.bin"
            subprocess.run([arguments.lanward, "publish", file, "--url", url], check=True,
                           stdout=subprocess.DEVNULL)
            downloads(arguments, "", url, directory)
            export(arguments, directory)
            shutil.rmtree(directory / "cache")
            with loop_device(directory, 4 * arguments.size * MIB + SPARE) as mounted:
                if mounted is None:
                    print("on XFS: not measured without root and mkfs.xfs")
                else:
                    downloads(arguments, " on XFS", url, mounted)
        finally:
            support.stop(origin.process)


if __name__ == "__main__":
    main()
