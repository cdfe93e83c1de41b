"""What it costs to offer many contents to peers when nobody wants them.

Usage: idle_bench.py --lanward BINARY [--contents N] [--seconds S] [--directory DIR]

N small files are taken into a cache and offered by `lanward jobs run --keep-going`. Processor time
is measured over S seconds, a while after the last content was announced; memory is compared with
that of the same command with an empty cache.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "integration"))
import support  # noqa: E402

SIZE = 64 * 1024
PATIENCE = 300
# Announcements of a content are repeated until 1.6 s after the first.
CALM = 5


def usage(pid):
    """CPU seconds and resident KiB."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return cpu, int(line.split()[1])
    raise SystemExit("bench: the process has gone")


def offered(log):
    found = 0
    for line in log.read_text().splitlines():
        event = json.loads(line)
        if event.get("event") == "sharing":
            found = event["contents"]
    return found


def offer(arguments, directory, contents):
    """CPU seconds over the measured time, and resident KiB at its end."""
    state, log = directory / f"state-{contents}", directory / f"log-{contents}"
    file = directory / "file"
    for number in range(contents):
        file.write_bytes(os.urandom(SIZE))
        subprocess.run([arguments.lanward, "cache", "import", "--state", state, "--name",
                        f"file {number}", file], check=True, stdout=subprocess.DEVNULL)
    with open(log, "w") as out:
        process = support.start([arguments.lanward, "jobs", "run", "--state", state, "--keep-going",
                                 "--json", "--listen", "127.0.0.1:0"], stdout=out)
    try:
        end = time.monotonic() + PATIENCE
        while offered(log) < contents:
            if time.monotonic() > end or process.poll() is not None:
                raise SystemExit(f"bench: {offered(log)} of {contents} contents offered")
            time.sleep(0.2)
        time.sleep(CALM)
        before, _ = usage(process.pid)
        time.sleep(arguments.seconds)
        after, resident = usage(process.pid)
        return after - before, resident
    finally:
        support.stop(process)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lanward", required=True)
    parser.add_argument("--contents", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--directory", help="where the files go; default: the temporary directory")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lanward-bench-", dir=arguments.directory) as path:
        none = offer(arguments, Path(path), 0)
        some = offer(arguments, Path(path), arguments.contents)
    busy, calm = (100 * cpu / arguments.seconds for cpu, _ in (some, none))
    each = (some[1] - none[1]) / arguments.contents
    print(f"{arguments.contents} contents, idle: {busy:.2f} % of a core ({calm:.2f} % with none), "
          f"{some[1] / 1024:.1f} MiB resident, {each:.1f} KiB each")


if __name__ == "__main__":
    main()
