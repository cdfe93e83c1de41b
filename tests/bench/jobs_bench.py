"""The job queue and what a cancel means, measured.

Usage: jobs_bench.py --programs DIRECTORY --lanward BINARY [--only queue|cancel] [OPTION]...

queue   1,000 jobs: created, listed and cancelled (jobs_bench.cc)
cancel  a half-done job with peers connected, again and again: when cancel() returned, when the last
        peer saw the session end, when everything was purged (cancel_bench.cc)
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "integration"))
import support  # noqa: E402
from bench import MIB, run  # noqa: E402
from origins_bench import fill  # noqa: E402


def bench_queue(arguments, _):
    subprocess.run([arguments.programs / "jobs_bench", str(arguments.jobs)], check=True)


def bench_cancel(arguments, directory):
    origin = support.Origin(directory / "origin", send_buffer=0)
    try:
        path = origin.www / "file.bin"
        fill(path, arguments.size * MIB)
        url = f"http://127.0.0.1:{origin.port}/{path.name}"
        run([arguments.lanward, "publish", path, "--url", url])
        subprocess.run([arguments.programs / "cancel_bench", url, f"{path}.torrent",
                        directory / "run", str(arguments.rounds), str(arguments.peers)], check=True)
    finally:
        support.stop(origin.process)


BENCHES = {"queue": bench_queue, "cancel": bench_cancel}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--programs", required=True, type=Path)
    parser.add_argument("--lanward", required=True)
    parser.add_argument("--only", choices=BENCHES)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--peers", type=int, default=4)
    parser.add_argument("--size", type=int, default=2048, help="MiB, default 2048")
    parser.add_argument("--directory", help="where the files go; default: the temporary directory")
    arguments = parser.parse_args()
    for name, bench in BENCHES.items():
        if arguments.only in (None, name):
            with tempfile.TemporaryDirectory(prefix="lanward-bench-",
                                             dir=arguments.directory) as directory:
                bench(arguments, Path(directory))


if __name__ == "__main__":
    main()
