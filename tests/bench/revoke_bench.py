"""How soon eight peers that are being served are cut off, and what they get after that.

Usage: revoke_bench.py --lanward BINARY [--rounds N]

A process shares a file, slowly, and eight peers with addresses of their own take it over real
connections. Then `lanward peers ban` or `lanward peers stop` is called. Times are milliseconds
after the rules were replaced (by the clock of the file) until a peer has seen its connection end.
Payload after the end is what anybody got once the last of them was cut, also by dialling again.

cancel_bench does the same for the cancel of a job.
"""

import argparse
import asyncio
import os
import statistics
import struct
import sys
import time
from pathlib import Path

INTEGRATION = Path(__file__).resolve().parent.parent / "integration"
sys.path.insert(0, str(INTEGRATION))
import support  # noqa: E402
from bittorrent import BLOCK, INTERESTED, PIECE, REQUEST, Gone, Peer, Swarm  # noqa: E402

PEERS = 8
AHEAD = 32   # blocks that each asks for at a time
PATIENCE = 30
RATE = "8MB"


class Taker(Peer):
    """Asks for one block after the other and notes when the last came, and the end."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.got, self.ended, self.blocks, self.asked = 0, None, [], 0
        self.served = asyncio.Event()

    async def ask(self, count):
        for _ in range(count):
            piece = self.asked % self.swarm.pieces
            self.asked += 1
            await self.send(REQUEST, struct.pack(">III", piece, 0, BLOCK))

    async def take_all(self):
        try:
            await self.connect()
            await self.greet()
            await self.introduce(9)
            await self.send(INTERESTED)
            await self.ask(AHEAD)
            while True:
                kind, body = await self.next()
                if kind == PIECE:
                    self.got += len(body) - 8
                    self.blocks.append((time.time_ns(), len(body) - 8))
                    self.served.set()
                    await self.ask(1)
        except Gone:
            self.ended = time.time_ns()
        finally:
            self.close()


async def lanward(*arguments):
    process = await asyncio.create_subprocess_exec(
        support.LANWARD, *map(str, arguments), stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL)
    if await process.wait() != 0:
        raise SystemExit(f"revoke_bench: failed: lanward {' '.join(map(str, arguments))}")


async def one_round(swarm, target, rules, change, back):
    takers = [Taker(swarm, target, f"127.0.1.{1 + n}") for n in range(PEERS)]
    tasks = [asyncio.create_task(taker.take_all()) for taker in takers]
    await asyncio.wait_for(asyncio.gather(*(taker.served.wait() for taker in takers)), PATIENCE)
    called = time.time_ns()
    await lanward("peers", *change, "--rules", rules)
    replaced = os.stat(rules).st_mtime_ns
    await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)
    last = max(taker.ended for taker in takers)
    after = sum(size for taker in takers for when, size in taker.blocks if when > last)
    again = Taker(swarm, target, "127.0.1.1")
    await asyncio.wait_for(again.take_all(), PATIENCE)
    await lanward("peers", *back, "--rules", rules)
    ends = [(taker.ended - replaced) / 1e6 for taker in takers]
    return ends, (last - called) / 1e6, after + again.got


def report(title, values):
    print(f"  {title:44}median {statistics.median(values):6.1f}  worst {max(values):6.1f}")


async def measure(arguments, swarm, target, rules):
    for name, change, back in (("ban", ["ban", "127.0.1.0/24"], ["unban", "127.0.1.0/24"]),
                               ("stop", ["stop"], ["start"])):
        rounds = []
        for _ in range(arguments.rounds + 1):
            # Who was cut is let in again when the rules have been read.
            while True:
                probe = Taker(swarm, target, "127.0.1.9")
                task = asyncio.create_task(probe.take_all())
                await asyncio.wait([task, asyncio.create_task(probe.served.wait())],
                                   return_when=asyncio.FIRST_COMPLETED)
                served = probe.served.is_set()
                probe.close()
                task.cancel()
                if served:
                    break
                await asyncio.sleep(0.05)
            rounds.append(await one_round(swarm, target, rules, change, back))
        rounds = rounds[1:]
        print(f"lanward peers {name}: {PEERS} peers, {len(rounds)} rounds, ms")
        report("each peer, after the rules were replaced", [e for r in rounds for e in r[0]])
        report("the slowest of the eight", [max(r[0]) for r in rounds])
        report("the slowest, after the command was called", [r[1] for r in rounds])
        print(f"  payload after the end: {sum(r[2] for r in rounds)} bytes", flush=True)


class Bench(support.LanwardTest):
    def runTest(self):
        """Not run: the fixture is what is wanted."""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lanward", required=True)
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    support.LANWARD = arguments.lanward
    bench = Bench()
    bench.setUp()
    try:
        origin = bench.start_origin()
        published = bench.publish(origin, 64 * support.MIB)
        rules = bench.root / "peers.rules"
        sharer = bench.start_get(published.url, bench.root / "one.img", "--share", "forever",
                                 "--peer-rules", rules, "--peer-upload-rate", RATE)
        sharer.wait_event("sharing")
        asyncio.run(measure(arguments, Swarm(published.torrent), ("127.0.0.1", sharer.port),
                            rules))
        bench.stop_sharing(sharer)
    finally:
        bench.doCleanups()


if __name__ == "__main__":
    main()
