"""Peers that mean harm, against one process that listens. Prints what they did as JSON.

Usage: adversary.py --target ADDRESS:PORT --torrent FILE [--group FILE] --seconds S
                    [--sources N] [--rate R] [--every N] KIND

Each peer has an address of its own, 127.0.1.1 and following. Prints "ready" once everybody who
stays is connected, or half a second of a flood has passed.

floods, RATE connections a second:
  nothing      connect, say nothing, stay
  garbage      connect, 1 KiB of noise
  half         30 bytes of a handshake, stay
  full         the handshake with the right infohash, and nothing more; stay
garbage after a good handshake (in a group: by a member), new connections as they are cut:
  lengths      messages that are said to be as long as they can be
  unknown      64 KiB of types that nobody knows
  dictionaries malformed dictionaries of the extension handshake
  hashes       hash requests that make no sense
  leases       lease messages, as many as the line takes: hellos, claims, rosters
  nonsense     lease messages nobody can read
peers that give nothing, or not what they say they give:
  corrupt      all pieces, and one block of EVERY is wrong
  slow         all pieces, and a block in ten seconds
  stall        all pieces, unchokes, and never sends
  liar         says again and again that it has what it will not give
  hog          claims the whole file at the origin, again and again, and fetches nothing
  grabber      asks for blocks as fast as it can and reads nothing
"""

import argparse
import asyncio
import json
import os
import random
import resource
import struct
import sys
import time

from bittorrent import (BITFIELD, BLOCK, CHOKE, EXTENDED, HASH_REQUEST, HAVE, INTERESTED, PIECE,
                        PROTOCOL, REQUEST, RESERVED, UNCHOKE, Gone, Peer, Swarm)

# Time that a good connection has got, whatever comes over it.
SLOW_PAUSE = 10
READY = 0.5
NOISE = random.Random(1).randbytes(64 * 1024)


class Attack:
    def __init__(self, options):
        self.swarm = Swarm(options.torrent, options.group)
        host, port = options.target.rsplit(":", 1)
        self.target = (host, int(port))
        self.options = options
        self.end = time.monotonic() + options.seconds
        self.count = dict.fromkeys(("dialled", "connected", "cut", "sent", "got", "blocks"), 0)
        self.next_source = 0
        self.told = False

    def right(self, at, length):
        """What an honest peer would send, if we were given the file."""
        if self.options.file is None:
            return bytes(length)
        with open(self.options.file, "rb") as file:
            file.seek(at)
            return file.read(length)

    def over(self):
        return time.monotonic() > self.end

    def source(self):
        self.next_source += 1
        return f"127.0.1.{1 + self.next_source % self.options.sources}"

    def ready(self):
        if not self.told:
            print("ready", flush=True)
        self.told = True

    def new_peer(self, source=None):
        self.count["dialled"] += 1
        return Peer(self.swarm, self.target, source or self.source())

    async def watch(self, peer):
        """Reads until the other end hangs up."""
        while data := await peer.reader.read(65536):
            self.count["got"] += len(data)
        raise Gone


# ---- floods --------------------------------------------------------------------------------------

async def flood_once(attack):
    peer = attack.new_peer()
    try:
        await peer.connect()
        attack.count["connected"] += 1
        hello = PROTOCOL + RESERVED + attack.swarm.infohash[:20] + peer.id
        said = {"nothing": b"", "garbage": NOISE[:1024], "half": hello[:30],
                "full": hello}[attack.options.kind]
        await peer.put(said)
        attack.count["sent"] += len(said)
        await attack.watch(peer)
    except (Gone, OSError):
        attack.count["cut"] += 1
    finally:
        peer.close()


async def flood(attack):
    begun, started, tasks = time.monotonic(), 0, set()
    while not attack.over():
        due = int((time.monotonic() - begun) * attack.options.rate)
        while started < due:
            started += 1
            tasks.add(task := asyncio.create_task(flood_once(attack)))
            task.add_done_callback(tasks.discard)
        if time.monotonic() - begun > READY:
            attack.ready()
        await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()


# ---- garbage -------------------------------------------------------------------------------------

def frame(kind, body):
    return struct.pack(">IB", 1 + len(body), kind) + body


def lease_frame(number, payload):
    return frame(EXTENDED, bytes([number]) + payload)


def claim(run, first, count, mode=0):
    return struct.pack("<BBIIIBI", 1, 2, run, first, count, mode, 60_000)


def roster(seed):
    noise = random.Random(seed)
    entries = b"".join(noise.randbytes(8) + bytes(10) + b"\xff\xff\x7f\x00\x00"
                       + bytes([noise.randrange(256)]) + noise.randbytes(2)
                       + struct.pack("<IIH", noise.randrange(1 << 32), 1 << 30, 60_000)
                       for _ in range(32))
    return b"\x01\x06\x20" + entries


def flood_of_leases(peer):
    pieces = peer.swarm.pieces
    noise = random.Random(2)
    said = [lease_frame(peer.their_lease, b"\x01\x01" + os.urandom(8) + b"\x01")]
    for run in range(500):
        first = noise.randrange(pieces)
        said.append(lease_frame(peer.their_lease,
                                claim(run, first, 1 + noise.randrange(pieces - first), run % 4)))
        said.append(lease_frame(peer.their_lease, roster(run)))
        said.append(lease_frame(peer.their_lease, struct.pack("<BBI", 1, 5, run)))
    return b"".join(said)


def garbage(peer, kind):
    if kind == "lengths":
        return struct.pack(">IB", 0xffffffff, 20) + NOISE
    if kind == "unknown":
        return b"".join(frame(200 + n % 50, NOISE[:1000]) for n in range(64))
    if kind == "dictionaries":
        nested = b"d" + b"1:ml" * 500
        return b"".join(frame(EXTENDED, b"\x00" + text) for text in
                        (nested, b"d1:mi9999999999999999999999e", b"i-0e", NOISE[:4000],
                         b"d1:m99999999999:", b"d1:md8:lw_leasei-1eee"))
    if kind == "hashes":
        root, big = peer.swarm.root, 0xffffffff
        return b"".join(frame(HASH_REQUEST, each + struct.pack(">IIII", *numbers))
                        for each in (root, NOISE[:32])
                        for numbers in ((0, 0, big, big), (big, big, 2, 0), (99, 0, 512, 99),
                                        (0, 1, 3, 7)) for _ in range(100))
    if kind == "leases":
        return flood_of_leases(peer)
    return b"".join(lease_frame(peer.their_lease, NOISE[n:n + 90]) for n in range(1000))


async def babble(attack):
    """One peer that comes back whenever it is cut."""
    source = attack.source()
    while not attack.over():
        peer = attack.new_peer(source)
        try:
            await peer.connect()
            await peer.greet()
            await peer.introduce()
            attack.count["connected"] += 1
            attack.ready()
            said = garbage(peer, attack.options.kind)
            watcher = asyncio.create_task(attack.watch(peer))
            watcher.add_done_callback(lambda done: done.cancelled() or done.exception())
            try:
                while not attack.over() and attack.count["sent"] < attack.options.bytes:
                    await peer.put(said)
                    attack.count["sent"] += len(said)
                    await asyncio.sleep(0)
                    if watcher.done():
                        raise Gone
                return
            finally:
                watcher.cancel()
        except (Gone, OSError, KeyError, ValueError):
            attack.count["cut"] += 1
            await asyncio.sleep(0.05)
        finally:
            peer.close()


# ---- peers that give nothing good ----------------------------------------------------------------

async def answer(attack, peer, request):
    index, start, length = struct.unpack(">III", request)
    attack.count["blocks"] += 1
    if attack.options.kind == "slow":
        await asyncio.sleep(SLOW_PAUSE)
    block = attack.right(index * peer.swarm.piece + start, length)
    if attack.options.kind == "corrupt" and attack.count["blocks"] % attack.options.every == 0:
        block = bytes(length)
    await peer.send(PIECE, request[:8] + block)


async def offer(attack, peer):
    """Says it has everything and does with requests as its kind does."""
    await peer.send(BITFIELD, peer.swarm.everything())
    await peer.send(CHOKE if attack.options.kind == "liar" else UNCHOKE)
    while True:
        kind, body = await peer.next()
        if kind == REQUEST and attack.options.kind in ("corrupt", "slow"):
            await answer(attack, peer, body)


async def lie(attack, peer):
    number = 0
    while True:
        number += 1
        await peer.send(HAVE, struct.pack(">I", number % peer.swarm.pieces))
        if number % 100 == 0:
            await peer.send(BITFIELD, peer.swarm.everything())
            await asyncio.sleep(0.02)


async def hog(attack, peer):
    await peer.lease(b"\x01\x01" + peer.member + b"\x01")
    run = 0
    while True:
        run += 1
        for mode in (0, 3):
            await peer.lease(claim(run, 0, peer.swarm.pieces, mode))
        await peer.lease(struct.pack("<BBIQI", 1, 4, run, 1, 1))
        await asyncio.sleep(0.05)


async def grab(attack, peer):
    await peer.send(INTERESTED)
    while True:
        asked = b"".join(frame(REQUEST, struct.pack(">III", n % peer.swarm.pieces, 0, BLOCK))
                         for n in range(1000))
        await peer.put(asked)
        attack.count["sent"] += len(asked)
        await asyncio.sleep(0)


async def stay(attack, number):
    """One peer that keeps its connection, and dials again a second after it was cut."""
    source = f"127.0.1.{1 + number % attack.options.sources}"
    while not attack.over():
        peer = attack.new_peer(source)
        extra = {"liar": lie, "hog": hog, "grabber": grab}.get(attack.options.kind)
        tasks = []
        try:
            await peer.connect()
            await peer.greet()
            await peer.introduce(9 + number)
            attack.count["connected"] += 1
            if attack.count["connected"] >= attack.options.sources:
                attack.ready()
            if attack.options.kind != "grabber":
                tasks.append(asyncio.create_task(offer(attack, peer)))
            if extra:
                tasks.append(asyncio.create_task(extra(attack, peer)))
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        except (Gone, OSError, KeyError, ValueError):
            attack.count["cut"] += 1
            await asyncio.sleep(1)
        finally:
            for task in tasks:
                task.cancel()
            peer.close()


FLOODS = ("nothing", "garbage", "half", "full")
GARBAGE = ("lengths", "unknown", "dictionaries", "hashes", "leases", "nonsense")
GIVERS = ("corrupt", "slow", "stall", "liar", "hog", "grabber")


async def run(attack):
    kind, sources = attack.options.kind, range(attack.options.sources)
    if kind in FLOODS:
        work = [flood(attack)]
    elif kind in GARBAGE:
        work = [babble(attack) for _ in sources]
    else:
        work = [stay(attack, number) for number in sources]
    try:
        await asyncio.wait_for(asyncio.gather(*work), attack.options.seconds)
    except (asyncio.TimeoutError, TimeoutError):
        pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=FLOODS + GARBAGE + GIVERS)
    parser.add_argument("--target", required=True)
    parser.add_argument("--torrent", required=True)
    parser.add_argument("--group")
    parser.add_argument("--file", help="what is right, for those who give some of it")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--sources", type=int, default=5)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--bytes", type=float, default=float("inf"))
    attack = Attack(parser.parse_args())
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(run(attack))
    attack.ready()
    print(json.dumps(attack.count), flush=True)


if __name__ == "__main__":
    sys.exit(main())
