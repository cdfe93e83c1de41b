"""Scenario files, as docs/lab.md describes them: what is read, checked and computed from them.

Nothing here touches the machine: a file goes in, values in bytes, bytes per second and seconds
come out, or a ScenarioError that names the line.
"""

import dataclasses
import decimal
import math
import random
import re
import tomllib

KIB, MIB = 1024, 1024 * 1024
PEERS_MAX = 200  # of one lab: a namespace and a few processes each
PIECE_MIN, PIECE_MAX = 16 * KIB, 64 * MIB

SIZES = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
         "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
RATES = {"bit": 1, "kbit": 10**3, "Mbit": 10**6, "Gbit": 10**9,
         **{unit + "/s": 8 * factor for unit, factor in SIZES.items() if unit}}  # in bits
DURATIONS = {"ns": 10**-9, "us": 10**-6, "ms": 10**-3, "s": 1, "min": 60, "h": 3600}


class ScenarioError(Exception):
    """One line for a person: where, what, and what is allowed."""


class Bad(Exception):
    """What is wrong with one value; the reader adds where it stands."""


def quantity(value, units, example):
    wanted = f"a text such as \"{example}\" (units: {', '.join(u for u in units if u)})"
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([A-Za-z/]*)", value) if isinstance(value, str) else None
    if not match or match[2] not in units:
        raise Bad(f"write {wanted}")
    return decimal.Decimal(match[1]) * decimal.Decimal(str(units[match[2]]))


def size(value):
    return int(quantity(value, SIZES, "256MiB"))


def size_above_zero(value):
    if not (result := size(value)):
        raise Bad("more than 0 bytes")
    return result


def piece(value):
    result = size(value)
    if not PIECE_MIN <= result <= PIECE_MAX or result & (result - 1):
        raise Bad("a power of two from 16KiB to 64MiB")
    return result


def rate(value):
    """Bytes per second."""
    result = int(quantity(value, RATES, "100Mbit")) // 8
    if not result:
        raise Bad("more than 0")
    return result


def duration(value):
    """Seconds."""
    return float(quantity(value, DURATIONS, "2s"))


def share(value):
    match = re.fullmatch(r"(\d+(?:\.\d+)?)%", value) if isinstance(value, str) else None
    if not match or not 0 <= float(match[1]) <= 100:
        raise Bad('write a text from "0%" to "100%"')
    return float(match[1]) / 100


def durations(value):
    if isinstance(value, list) and len(value) == 2:
        return [duration(each) for each in value]
    if isinstance(value, str):
        return [duration(value)] * 2
    raise Bad('write one duration or two, such as ["500us", "7ms"]')


def whole(lowest, highest):
    def check(value):
        if type(value) is not int or not lowest <= value <= highest:
            raise Bad(f"a whole number from {lowest} to {highest}")
        return value
    return check


def boolean(value):
    if type(value) is not bool:
        raise Bad("true or false")
    return value


def text(value):
    if not isinstance(value, str):
        raise Bad("a text")
    return value


WAN, LAN = 100 * 10**6 // 8, 10**9 // 8  # bytes per second where the file says nothing

FAULTS = ("kill", "leave", "wan_down", "wan_up", "origin_429")
FAULTS_ELSEWHERE = ("partition", "heal")  # the simulator has these


def fault_kind(value):
    if value in FAULTS_ELSEWHERE:
        raise Bad(f"the lab has no such fault, only lanward-sim does; the lab has {one_of(FAULTS)}")
    if value not in FAULTS:
        raise Bad(one_of(FAULTS))
    return value


def who(value):
    if value in ("any", "pullers"):
        return value
    if isinstance(value, list) and value and all(type(v) is int and v >= 0 for v in value):
        return value
    raise Bad('"any", "pullers", or a list of peers such as [0, 3]')


def one_of(names):
    return "one of " + ", ".join(f'"{name}"' for name in names)


KEYS = {
    "": {"title": text, "seed": whole(0, 2**63 - 1)},
    "file": {"size": size_above_zero, "piece": piece},
    "site": {"peers": whole(1, PEERS_MAX), "wan": rate, "lan": rate, "connections": whole(1, 10**6),
             "latency": durations, "loss": share, "reorder": share},
    "origin": {"rtt": duration, "connection_rate": rate, "machine_rate": rate,
               "slow_start": boolean},
    "join": {"within": duration, "every": duration, "late": share, "late_within": duration},
    "policy": None,  # any key: the simulator's reader knows them
    "fault": {"at": duration, "kind": fault_kind, "peers": whole(1, PEERS_MAX), "who": who,
              "for": duration},
}
LISTS = ("fault",)
SIMULATOR_ONLY = ("churn", "adversary")
# Read, but without a counterpart among real links and processes.
WITHOUT_EFFECT = {"site": ("connections", "latency", "loss", "reorder"),
                  "origin": ("rtt", "slow_start")}


@dataclasses.dataclass
class Fault:
    at: float
    kind: str
    peers: int = 1
    who: object = "any"
    lasts: float = 0.0


@dataclasses.dataclass
class Scenario:
    path: str
    title: str
    seed: int
    size: int
    piece: int | None
    peers: int
    wan: int
    lan: int
    connection_rate: int | None
    machine_rate: int | None
    joins: list        # seconds after the start, by peer
    faults: list
    without_effect: list  # keys of the file that the lab cannot act on

    @property
    def bound(self):
        return bound(self.size, self.wan, self.lan, self.joins)


def bound(size_, wan, lan, joins):
    """Seconds from the first join that no scheme can beat, headers not counted.

    The file crosses the WAN once and every machine's link once, everybody's bytes need all uplinks
    together, and who joins late cannot be done before it has come through its own link.
    """
    first = min(joins)
    terms = [size_ / wan, size_ / lan, len(joins) * size_ / (wan + len(joins) * lan)]
    return max(terms + [join - first + size_ / lan for join in joins])


class Reader:
    """Finds the line of each key, which tomllib does not tell, for the messages."""

    HEADER = re.compile(r"\s*(\[\[?)\s*([\w.-]+)\s*\]\]?")
    KEY = re.compile(r"\s*([\w-]+)\s*=")

    def __init__(self, path, content):
        self.path = path
        self.lines = {}
        table, counts = ("", 0), {}
        for number, line in enumerate(content.splitlines(), 1):
            if header := self.HEADER.match(line):
                name = header[2]
                counts[name] = counts.get(name, -1) + 1
                table = (name, counts[name] if header[1] == "[[" else 0)
                self.lines.setdefault((*table, ""), number)
            elif key := self.KEY.match(line):
                self.lines.setdefault((*table, key[1]), number)

    def error(self, table, index, key, problem):
        line = self.lines.get((table, index, key)) or self.lines.get((table, index, "")) or 1
        name = ".".join(part for part in (table, key) if part)
        return ScenarioError(f"{self.path}:{line}: {name}: {problem}")

    def table(self, name, values, index=0):
        """The checked values of one table."""
        keys = KEYS[name]
        if keys is None:
            return dict(values)
        result = {}
        for key, value in values.items():
            if key not in keys:
                raise self.error(name, index, key, f"unknown key; known: {', '.join(keys)}")
            try:
                result[key] = keys[key](value)
            except Bad as bad:
                raise self.error(name, index, key, f"{value!r}: {bad}") from None
        return result


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            content = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    return parse(path, content)


def parse(path, content):
    try:
        raw = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        raise ScenarioError(f"{path}:{line[1] if line else 1}: {error}") from None
    reader = Reader(path, content)
    tables = {"": reader.table("", {k: v for k, v in raw.items() if k in KEYS[""]})}
    for name, value in raw.items():
        if name in KEYS[""]:
            continue
        if name in SIMULATOR_ONLY:
            raise reader.error(name, 0, "", "only lanward-sim has this; the lab runs honest peers")
        if name not in KEYS:
            raise reader.error("", 0, name, "unknown; known: " + ", ".join(filter(None, KEYS)))
        if name in LISTS:
            if not isinstance(value, list):
                raise reader.error(name, 0, "", f"write [[{name}]]")
            tables[name] = [reader.table(name, each, i) for i, each in enumerate(value)]
        elif not isinstance(value, dict):
            raise reader.error("", 0, name, f"write a table: [{name}]")
        else:
            tables[name] = reader.table(name, value)
    return build(reader, tables)


def build(reader, tables):
    top, file, site = (tables.get(name, {}) for name in ("", "file", "site"))
    if "size" not in file:
        raise reader.error("file", 0, "size", "it is missing; write a text such as \"256MiB\"")
    origin, join = tables.get("origin", {}), tables.get("join", {})
    if "every" in join and len(join) > 1:
        raise reader.error("join", 0, "every", "use it alone, without the other keys of [join]")
    seed, peers = top.get("seed", 1), site.get("peers", 8)
    faults = [fault(reader, i, values, peers) for i, values in enumerate(tables.get("fault", []))]
    without_effect = [f"{name}.{key}" for name, keys in WITHOUT_EFFECT.items()
                      for key in keys if key in tables.get(name, {})]
    without_effect += [f"policy.{key}" for key in tables.get("policy", {})]
    return Scenario(reader.path, top.get("title", ""), seed, file["size"], file.get("piece"), peers,
                    site.get("wan", WAN), site.get("lan", LAN), origin.get("connection_rate"),
                    origin.get("machine_rate"), join_times(join, peers, seed), faults,
                    without_effect)


def fault(reader, index, values, peers):
    for key in ("at", "kind"):
        if key not in values:
            raise reader.error("fault", index, key, "it is missing")
    chosen = values.get("who", "any")
    if isinstance(chosen, list) and max(chosen) >= peers:
        raise reader.error("fault", index, "who", f"{chosen}: peers are 0 to {peers - 1}")
    count = values.get("peers", len(chosen) if isinstance(chosen, list) else 1)
    if count >= peers and values["kind"] in ("kill", "leave"):
        raise reader.error("fault", index, "peers", f"{count}: at least one of {peers} must stay")
    return Fault(values["at"], values["kind"], count, chosen, values.get("for", 0.0))


def join_times(join, peers, seed):
    """When each peer starts, in seconds; the first at 0."""
    if "every" in join:
        return [k * join["every"] for k in range(peers)]
    chance = random.Random(seed)
    times = [chance.uniform(0, join.get("within", 0.1)) for _ in range(peers)]
    for late in chance.sample(range(peers), math.floor(join.get("late", 0) * peers + 0.5)):
        times[late] = chance.uniform(0, join.get("late_within", 5.0))
    first = min(times)
    return [time - first for time in times]
