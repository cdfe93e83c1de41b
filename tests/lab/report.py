"""What a run amounts to: numbers from its peers and the origin's log, medians, tables."""

import json
import statistics
import subprocess

MIB = 1024 * 1024
SIMULATION_SECONDS = 600  # at most

# Of one run. The order is that of the table.
MEASURES = ("makespan_s", "ratio", "egress", "egress_wire", "wasted", "cpu_s_per_peer",
            "rss_peak_mib", "first_wan_s", "first_lan_s")
HEADS = ("makespan s", "/ bound", "egress", "on wire", "duplicates", "CPU s/peer", "peak MiB",
         "first WAN s", "first LAN s")


def read_log(text, uri):
    """(requests, body bytes, bytes with reply headers) of a file in the origin's log."""
    requests = body = sent = 0
    for line in text.splitlines():
        words = line.split(" ", 7)
        if len(words) == 8 and words[6] == uri:
            requests += 1
            sent += int(words[4])
            body += int(words[5])
    return requests, body, sent


def since_join(peer, name):
    when = getattr(peer, name)
    return None if when is None or peer.joined is None else when - peer.joined


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def measure(scenario, peers, log, wire_payload, size, uri):
    """The figures of a run that went well."""
    requests, body, _ = read_log(log, uri)
    finishers = [peer for peer in peers if peer.finished is not None]
    makespan = max(p.finished for p in finishers) - min(p.joined for p in finishers)
    wasted = [peer.facts["wasted"] for peer in finishers if "wasted" in peer.facts]
    peaks = [peer.rss for peer in peers if peer.rss]
    return {
        "makespan_s": makespan, "ratio": makespan / scenario.bound, "egress": body / size,
        "egress_wire": wire_payload / size, "wasted": sum(wasted) / size if wasted else None,
        "cpu_s_per_peer": statistics.mean(peer.cpu for peer in peers if peer.cpu is not None),
        "rss_peak_mib": max(peaks) / MIB if peaks else None,
        "first_wan_s": median(since_join(peer, "first_wan") for peer in peers),
        "first_lan_s": median(since_join(peer, "first_lan") for peer in peers),
        "requests": requests,
        "peers": [peer_facts(peer) for peer in peers],
    }


def peer_facts(peer):
    return {"peer": peer.index, "joined_s": peer.joined, "finished_s": peer.finished,
            "took_s": since_join(peer, "finished"), "gone": peer.gone,
            "first_wan_s": since_join(peer, "first_wan"),
            "first_lan_s": since_join(peer, "first_lan"), "cpu_s": peer.cpu,
            "rss_peak_bytes": peer.rss, **peer.facts}


def medians(runs):
    good = [run for run in runs if run.get("error") is None]
    return {name: median(run[name] for run in good) for name in MEASURES} if good else None


# Text

def cell(name, value):
    if value is None:
        return "-"
    digits = {"makespan_s": 2, "rss_peak_mib": 0, "cpu_s_per_peer": 2}.get(name, 3)
    return f"{value:.{digits}f}"


def head_line():
    return " " * 18 + "".join(f"{head:>12}" for head in HEADS)


def run_line(title, run):
    if run.get("error"):
        return f"  {title:16}{run['error']}"
    return f"  {title:16}" + "".join(f"{cell(name, run[name]):>12}" for name in MEASURES)


def rate_text(rate):
    return f"{rate * 8 / 1e6:g} Mbit/s"


def size_text(size):
    return f"{size / MIB:g} MiB"


def title_line(scenario):
    joins = max(scenario.joins)
    return (f"{scenario.title or scenario.path}: {size_text(scenario.size)}, "
            f"{scenario.peers} peers joining within {joins:.2f} s, WAN {rate_text(scenario.wan)}, "
            f"LAN {rate_text(scenario.lan)}; bound {scenario.bound:.3f} s")


def peer_table(run):
    """The peers of one run."""
    columns = (("joined", "joined_s", 1), ("took s", "took_s", 1), ("first WAN", "first_wan_s", 1),
               ("first LAN", "first_lan_s", 1), ("WAN MiB", "from_origin", MIB),
               ("LAN MiB", "from_peers", MIB), ("dupl. MiB", "wasted", MIB), ("CPU s", "cpu_s", 1),
               ("peak MiB", "rss_peak_bytes", MIB))
    lines = ["    peer" + "".join(f"{head:>11}" for head, _, _ in columns)]
    for peer in run["peers"]:
        cells = ((peer.get(key), unit) for _, key, unit in columns)
        lines.append(f"    {peer['peer']:>4}" + "".join(
            f"{'-' if value is None else format(value / unit, '.2f'):>11}"
            for value, unit in cells) + (f"  {peer['gone']}" if peer["gone"] else ""))
    return "\n".join(lines)


# The simulator

def simulate(binary, scenario):
    """What lanward-sim foretells for the scenario, or why it does not: (prediction, reason)."""
    if binary is None:
        return None, "lanward-sim is not built"
    try:
        done = subprocess.run([binary, "run", scenario.path, "--json"], text=True,
                              capture_output=True, timeout=SIMULATION_SECONDS, check=False)
        return prediction(json.loads(done.stdout), scenario.bound), None
    except json.JSONDecodeError:
        return None, "lanward-sim: " + (done.stderr.strip().splitlines() or ["no result"])[-1]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError) as error:
        return None, f"lanward-sim tells nothing that can be read: {error!r}"


def prediction(raw, bound):
    """From the output of one run. Its time counts from the first join, as the lab's does."""
    run = raw["runs"][0] if "runs" in raw else raw
    took = [(peer["joined_ns"], peer["joined_ns"] + peer["took_ns"]) for peer in run["per_peer"]
            if peer["took_ns"] is not None]
    makespan = (max(end for _, end in took) - min(begin for begin, _ in took)) / 1e9
    return dict.fromkeys(MEASURES) | {
        "makespan_s": makespan, "ratio": makespan / bound,
        "egress": run["egress_bytes"] / run["size_bytes"],
        "wasted": run["wasted_bytes"] / run["size_bytes"],
        "notes": list(run.get("violations", []))}
