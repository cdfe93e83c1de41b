"""What peers that mean harm cost, at full size: tests/integration/hostile_test.py has it small.

Usage: hostile_bench.py --lanward BINARY [--only KIND,...] [--size MIB] [--seconds S] [--json FILE]

Each row is two runs of the same download, without and with the adversaries (calm / attacked).
"""

import argparse
import contextlib
import json
import os
import sys
from pathlib import Path

INTEGRATION = Path(__file__).resolve().parent.parent / "integration"
sys.path.insert(0, str(INTEGRATION))
import hostile_scenarios  # noqa: E402
import support  # noqa: E402

SERVING = ("nothing", "garbage", "half", "full", "lengths", "unknown", "dictionaries", "hashes",
           "leases", "nonsense", "grabber")
FETCHING = ("corrupt", "slow", "stall", "liar", "hog")


class Bench(support.LanwardTest):
    def runTest(self):
        """Not run: the fixture is what is wanted."""


def measure(arguments, kind, group):
    scenario = hostile_scenarios.serving if kind in SERVING else hostile_scenarios.fetching
    bench = Bench()
    bench.setUp()
    try:
        with contextlib.redirect_stderr(open(os.devnull, "w")):
            calm, attacked = hostile_scenarios.compare(
                bench, scenario, kind, size=arguments.size * support.MIB, rate="8MB",
                seconds=arguments.seconds, group=group)
    finally:
        bench.doCleanups()
    return {"kind": kind, "group": group, "calm": calm, "attacked": attacked}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lanward", required=True)
    parser.add_argument("--only", help="kinds, separated by commas")
    parser.add_argument("--size", type=int, default=64, help="MiB, default 64")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--json", help="file for the figures")
    arguments = parser.parse_args()
    support.LANWARD = arguments.lanward
    kinds = arguments.only.split(",") if arguments.only else SERVING + FETCHING
    print(f"{'kind':14}{'':7}{'download s':>16}{'CPU s':>14}{'peak MiB':>14}{'MB sent':>9}"
          f"{'dialled':>9}{'cut':>7}")
    rows = []
    for kind in kinds:
        for group in (False, True):
            row = measure(arguments, kind, group)
            rows.append(row)
            calm, bad = row["calm"], row["attacked"]
            pairs = [f"{calm[key]:.{digits}f} / {bad[key]:.{digits}f}" for key, digits in
                     (("honest_s", 1), ("cpu_s", 2), ("peak_mib", 0))]
            print(f"{kind:14}{'group' if group else 'open':7}{pairs[0]:>16}{pairs[1]:>14}"
                  f"{pairs[2]:>14}{bad['sent'] / 1e6:9.1f}{bad['dialled']:9}{bad['cut']:7}",
                  flush=True)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
