#!/usr/bin/env python3
"""The table of simulated sites: how often the file crosses the WAN, and how long machines wait.

    tests/simulator/sweep.py                    everything; a quarter of an hour of one core
    tests/simulator/sweep.py --peers 2,8,32     cold starts of these sizes only
    tests/simulator/sweep.py --cells liars      cells whose name contains this

Each cell is a scenario with overrides, played once for each seed. It passes if no checker finds
anything - so everybody has finished, and nobody waited for longer than L1 allows - and if the worst
egress and the mean p99 of the seeds stay within the limits that the table shows. Exit code 1: some
cell failed.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCENARIOS = ROOT / "simulator" / "scenarios"

WAN_MBIT = 1000  # of every scenario of the table
RATIOS = (0.5, 1, 4, 10)  # LAN / WAN
PEERS = (2, 8, 32, 200, 1000, 5000)
LARGE = 5000  # from this size on copies need more steps through the site
EGRESS_COLD, EGRESS_FAULTS = 1.01, 1.05
EGRESS_SPLIT = 1.35  # two copies of what crosses the WAN in the three seconds of the cut
P99_COLD, P99_LARGE = 1.10, 1.15
FAULTS = (
    "churn-1",
    "churn-10",
    "half-late",
    "hogs-3",
    "hostile-lowest-rank",
    "liars-10pct",
    "liars-all-but-one",
)


@dataclasses.dataclass
class Cell:
    name: str
    scenario: str
    overrides: list
    egress_most: float
    p99_most: float = 0  # 0: no limit
    runs: list = dataclasses.field(default_factory=list)
    violations: list = dataclasses.field(default_factory=list)
    cpu_seconds: float = 0
    machine_kib: int = 0

    def mean(self, figure):
        return sum(run[figure] for run in self.runs) / max(len(self.runs), 1)

    def worst(self, figure):
        return max((run[figure] for run in self.runs), default=0)

    def passed(self):
        p99 = self.p99_most == 0 or self.mean("ratio_p99") <= self.p99_most
        egress = self.worst("egress_ratio") <= self.egress_most
        return bool(self.runs) and not self.violations and egress and p99


def cells(peers):
    table = []
    for count in sorted(peers):
        for ratio in RATIOS:
            lan = f"{WAN_MBIT * ratio:g}Mbit"
            table.append(
                Cell(
                    f"cold N={count} R/W={ratio:g}",
                    "sweep",
                    [f"site.peers={count}", f"site.lan={lan}"],
                    EGRESS_COLD,
                    P99_LARGE if count >= LARGE else P99_COLD,
                )
            )
    faults = [Cell(name, name, [], EGRESS_FAULTS) for name in FAULTS]
    faults.append(Cell("partition", "partition", [], EGRESS_SPLIT))
    # Large sites last: they take most of the time.
    small = [c for c in table if int(re.search(r"N=(\d+)", c.name)[1]) < 1000]
    return small + faults + table[len(small) :]


def run_once(command, limit):
    """(stdout, stderr, usage of the process); no output once the limit has passed."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(command, stdout=out, stderr=err)
        timer = threading.Timer(limit, process.kill)
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        return out.read().decode(), err.read().decode(), usage


def play(binary, cell, seeds, limit):
    """One process for each seed, so that time and memory are those of one run."""
    for seed in seeds:
        command = [binary, "run", str(SCENARIOS / f"{cell.scenario}.toml"), "--json"]
        command += ["--seed", str(seed)]
        for override in cell.overrides:
            command += ["--set", override]
        out, err, usage = run_once(command, limit)
        try:
            run = json.loads(out)["runs"][0]
        except (ValueError, KeyError, IndexError):
            lines = err.strip().splitlines() or [f"no result within {limit} s"]
            cell.violations.append(f"seed {seed}: {lines[-1]}")
            continue
        run.pop("per_peer", None)
        cell.runs.append(run)
        cell.violations += [f"seed {seed}: {text}" for text in run["violations"]]
        cell.cpu_seconds += usage.ru_utime + usage.ru_stime
        cell.machine_kib = max(cell.machine_kib, usage.ru_maxrss // run["peers"])


HEAD = (
    f"{'cell':26} {'A mean':>7} {'worst':>7} {'most':>5} {'p50':>7} {'p99':>7} {'worst':>7} "
    f"{'most':>5} {'stall s':>7} {'CPU s':>7} {'KiB/m.':>7}"
)


def row(cell):
    most = f"{cell.p99_most:5.2f}" if cell.p99_most else "    -"
    return (
        f"{cell.name:26} {cell.mean('egress_ratio'):7.4f} {cell.worst('egress_ratio'):7.4f} "
        f"{cell.egress_most:5.2f} {cell.mean('ratio_p50'):7.4f} {cell.mean('ratio_p99'):7.4f} "
        f"{cell.worst('ratio_p99'):7.4f} {most} {cell.worst('worst_stall_ns') / 1e9:7.3f} "
        f"{cell.cpu_seconds / max(len(cell.runs), 1):7.2f} {cell.machine_kib:7} "
        f"{'pass' if cell.passed() else 'FAIL'}"
    )


def options_of(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = os.environ.get("LANWARD_SIM", str(ROOT / "build/release/simulator/lanward-sim"))
    parser.add_argument("--binary", default=default, help="[%(default)s]")
    parser.add_argument("--seeds", type=int, default=5, help="seeds 1..N [%(default)s]")
    parser.add_argument("--peers", default="", help="cold starts of these sizes, and nothing else")
    parser.add_argument("--cells", default="", help="only those whose name contains this")
    parser.add_argument("--limit", type=int, default=600, help="seconds for a run [%(default)s]")
    return parser.parse_args(arguments)


def main(arguments):
    options = options_of(arguments)
    peers = [int(n) for n in options.peers.split(",") if n] or PEERS
    chosen = [c for c in cells(peers) if options.cells in c.name]
    if options.peers:
        chosen = [c for c in chosen if c.scenario == "sweep"]
    print(HEAD, flush=True)
    for cell in chosen:
        play(options.binary, cell, range(1, options.seeds + 1), options.limit)
        print(row(cell), flush=True)
        for violation in cell.violations:
            print(f"  {violation}", flush=True)
    failed = [c.name for c in chosen if not c.passed()]
    print(f"{len(chosen) - len(failed)} of {len(chosen)} cells pass")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
