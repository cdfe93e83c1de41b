#!/usr/bin/env python3
"""Runs a scenario file with real processes in network namespaces and measures it. See docs/lab.md.
"""

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import contenders
import fleet
import network
import report
import scenario as scenarios
import warm_memory

EXIT_FAILED, EXIT_USAGE = 1, 2
TOOLS = ("ip", "tc", "ss", "setpriv")
BUILD = Path(__file__).resolve().parents[2] / "build" / "release"
TMPFS = Path("/dev/shm")
QUIET_LOAD = 0.3  # per processor; above, other work is likely to be seen in the figures
# Of a run: what a site of plain downloads would take, twice, and a minute.
DEADLINE_FACTOR, DEADLINE_EXTRA = 2, 60


def parse_options(arguments):
    parser = argparse.ArgumentParser(prog="./run lab", description=__doc__)
    parser.add_argument("scenario", metavar="SCENARIO.toml")
    parser.add_argument("--repeat", type=int, default=1, metavar="N",
                        help="runs of each (default 1)")
    parser.add_argument("--competitors", default="none",
                        help="all, none, or a list of " + ",".join(contenders.COMPETITORS))
    parser.add_argument("--only-competitors", action="store_true", help="leave lanward out")
    parser.add_argument("--discovery", choices=("static", "tracker", "lsd"), default="static",
                        help="how lanward's peers find each other (default static)")
    parser.add_argument("--congestion", metavar="NAME",
                        help="TCP congestion control (default: the kernel's)")
    parser.add_argument("--json", metavar="FILE", help="write the results there as well")
    parser.add_argument("--peers", action="store_true", help="print every peer of every run")
    parser.add_argument("--keep", action="store_true", help="keep the logs, and say where")
    parser.add_argument("--dir", type=Path, help="for the files; default: in memory if they fit")
    parser.add_argument("--build", type=Path, help="the build to measure (default build/release)",
                        default=os.environ.get("LANWARD_BUILD") or BUILD)
    options = parser.parse_args(arguments)
    if options.repeat < 1:
        parser.error("--repeat is at least 1")
    names = {"all": list(contenders.COMPETITORS), "none": []}.get(
        options.competitors, options.competitors.split(","))
    for name in names:
        if name not in contenders.COMPETITORS:
            parser.error(f"--competitors {name}: all, none, or a list of "
                         + ",".join(contenders.COMPETITORS))
    options.competitors = names
    if options.only_competitors and not names:
        parser.error("--only-competitors leaves nothing without --competitors")
    return options


def find_binary(build, *places):
    for place in places:
        if os.access(build / place, os.X_OK):
            return (build / place).resolve()
    return None


def check_machine():
    """Why a lab cannot be set up here, or nothing."""
    if os.geteuid() != 0:
        return "namespaces and traffic shaping need root: use sudo"
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    os.environ["PATH"] = path
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        return f"not installed: {', '.join(missing)} (packages iproute2, util-linux)"
    try:
        network.Namespace().close()
    except OSError as error:
        return f"this system does not allow network namespaces: {error.strerror}"
    return None


def work_directory(options, scenario):
    """In memory if everything fits there twice, so that no disk is measured."""
    # The published file, per peer one copy and what is in flight, and the box's cache.
    needed = scenario.size * (2 * scenario.peers + 2)
    parent = options.dir
    if parent is None and TMPFS.is_dir() and needed < min(shutil.disk_usage(TMPFS).free,
                                                           available_memory() // 2):
        parent = TMPFS
    directory = Path(tempfile.mkdtemp(prefix="lanward-lab-", dir=parent))
    if shutil.disk_usage(directory).free < needed:
        directory.rmdir()
        raise network.SiteError(f"{directory.parent} has less than {needed >> 20} MiB: use --dir")
    return directory


def available_memory():
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


class Lab:
    def __init__(self, options, scenario, lanward, directory):
        self.options, self.scenario, self.directory = options, scenario, directory
        www = directory / "www"
        www.mkdir()
        self.content = contenders.Content(scenario, www, lanward)
        self.contenders = []
        if not options.only_competitors:
            self.contenders.append(contenders.Lanward(self.content, lanward, options.discovery))
        if set(options.competitors) & set(contenders.NEED_TORRENT):
            self.content.make_torrent()
        self.contenders += [contenders.COMPETITORS[name](self.content)
                            for name in options.competitors]

    def deadline(self):
        one_by_one = self.scenario.peers * self.scenario.size / self.scenario.wan
        waits = max(self.scenario.joins) + sum(fault.lasts for fault in self.scenario.faults)
        return DEADLINE_FACTOR * (one_by_one + waits) + DEADLINE_EXTRA

    def run(self, contender, number):
        """One run; a failure is a result as well."""
        directory = self.directory / f"{contender.name}-{number}"
        directory.mkdir()
        try:
            return self.measure(contender, directory)
        except (fleet.RunError, network.SiteError) as error:
            return {"error": str(error)}
        finally:
            if not self.options.keep:
                shutil.rmtree(directory, ignore_errors=True)

    def memory_for_files(self):
        if not self.directory.is_relative_to(TMPFS):
            return contextlib.nullcontext()
        size = self.scenario.peers * self.scenario.size
        return contextlib.closing(warm_memory.WarmMemory(size))

    def measure(self, contender, directory):
        site = network.Site(self.scenario, directory, self.options.congestion, contender.multicast)
        try:
            site.serve_origin(self.content.directory)
            contender.prepare(site)
            run = fleet.Fleet(site, contender, directory, self.deadline())
            with self.memory_for_files():
                run.run()
            payload, _ = site.wan_payload()
            log = site.nginx.finish()
        finally:
            site.close()
        result = report.measure(self.scenario, run.peers, log, payload, self.content.size,
                                "/" + contenders.FILE_NAME)
        result["notes"] = run.notes
        result["lab_cpu_s"] = run.own_cpu
        result["error"] = self.check_outputs(contender, run.peers, directory)
        return result

    def check_outputs(self, contender, peers, directory):
        """Every finished peer has the published bytes; else which has not. Removes the files."""
        wrong = []
        for peer in peers:
            path = contender.output(directory / f"peer-{peer.index}")
            if peer.finished is not None:
                with open(path, "rb") as file:
                    if hashlib.file_digest(file, "sha256").hexdigest() != self.content.sha256:
                        wrong.append(str(peer.index))
            path.unlink(missing_ok=True)
        return f"WRONG BYTES at peers {', '.join(wrong)}" if wrong else None

    def run_all(self):
        """Contenders take turns, so that what else the machine does meets all of them."""
        results = {contender.name: [] for contender in self.contenders}
        print(report.head_line(), flush=True)
        for number in range(1, self.options.repeat + 1):
            for contender in self.contenders:
                result = self.run(contender, number)
                results[contender.name].append(result)
                print(report.run_line(f"{contender.name} {number}", result), flush=True)
                print_notes(result)
                if self.options.peers and result.get("error") is None:
                    print(report.peer_table(result), flush=True)
        return results


def print_notes(result):
    for note in result.get("notes", []):
        print(f"      {note}")


def print_summary(results, options, scenario, simulator):
    medians = {name: report.medians(runs) for name, runs in results.items()}
    if options.repeat > 1:
        print("\n  medians")
        for name, values in medians.items():
            if values:
                print(report.run_line(name, values))
    foretold, reason = report.simulate(simulator, scenario)
    if not options.only_competitors:
        print(report.run_line("lanward-sim", foretold) if foretold else f"  ({reason})")
        print_notes(foretold or {})
        good = [run for run in results["lanward"] if run.get("error") is None]
        if good and not options.peers:
            print(f"\n  lanward {len(good)}, by peer\n" + report.peer_table(good[-1]))
    return medians, foretold


def to_json(scenario, options, results, medians, foretold):
    return {"scenario": {"path": scenario.path, "title": scenario.title, "seed": scenario.seed,
                         "size_bytes": scenario.size, "peers": scenario.peers,
                         "wan_bytes_per_s": scenario.wan, "lan_bytes_per_s": scenario.lan,
                         "joins_s": scenario.joins, "without_effect": scenario.without_effect},
            "bound_s": scenario.bound, "discovery": options.discovery,
            "congestion": options.congestion or kernel_congestion(),
            "runs": results, "medians": medians, "simulator": foretold}


def kernel_congestion():
    return Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text(encoding="ascii").strip()


def run_lab(options, scenario):
    lanward = find_binary(options.build, "api/lanward", "api/cli/lanward")
    if lanward is None:
        raise network.SiteError(f"there is no lanward in {options.build}: ./run build, or --build")
    directory = work_directory(options, scenario)
    try:
        print(f"== {report.title_line(scenario)}")
        print(f"   {options.congestion or kernel_congestion()} congestion control, discovery "
              f"{options.discovery}, files in {directory.parent}")
        if (load := os.getloadavg()[0]) > QUIET_LOAD * os.cpu_count():
            print(f"   this computer is busy (load {load:.1f}, {os.cpu_count()} processors): times "
                  "will be too long")
        lab = Lab(options, scenario, lanward, directory)
        if scenario.without_effect:
            print("   without effect here: " + ", ".join(scenario.without_effect))
        results = lab.run_all()
        simulator = find_binary(options.build, "simulator/lanward-sim")
        medians, foretold = print_summary(results, options, scenario, simulator)
        if options.json:
            with open(options.json, "w", encoding="utf-8") as file:
                json.dump(to_json(scenario, options, results, medians, foretold), file, indent=1)
                file.write("\n")
        return any(run.get("error") for runs in results.values() for run in runs)
    finally:
        if options.keep:
            print(f"   logs are in {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)


def main(arguments):
    options = parse_options(arguments)
    # A terminated lab still stops its processes and removes its files.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        scenario = scenarios.read(options.scenario)
        if problem := check_machine():
            raise network.SiteError(problem)
        return EXIT_FAILED if run_lab(options, scenario) else 0
    except (scenarios.ScenarioError, network.SiteError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
