"""BitTorrent v2 as this project speaks it, from the wire up, for peers that mean harm.

Standard library only, and written from docs/protocol.md: nothing here shares code with what it
attacks.
"""

import asyncio
import hashlib
import hmac
import ipaddress
import os
import struct
from pathlib import Path

BLOCK = 16 * 1024
# Our numbers for messages of extensions, told in the extension handshake.
LEASE, AUTH = 13, 14
# Types of messages.
CHOKE, UNCHOKE, INTERESTED, HAVE, BITFIELD, REQUEST, PIECE = 0, 1, 2, 4, 5, 6, 7
HASH_REQUEST, EXTENDED = 21, 20
RESERVED = bytes([0, 0, 0, 0, 0, 0x10, 0, 0x10])  # BEP 10, BEP 52
PROTOCOL = b"\x13BitTorrent protocol"
# What a peer waits for an answer: far longer than any takes.
PATIENCE = 30
# Messages of an honest peer are shorter: a block and its head.
FRAME_MAX = 1024 * 1024


def bencode(value):
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, list):
        return b"l" + b"".join(map(bencode, value)) + b"e"
    keys = {key.encode() if isinstance(key, str) else key: each for key, each in value.items()}
    return b"d" + b"".join(bencode(key) + bencode(keys[key]) for key in sorted(keys)) + b"e"


def bdecode(data, at=0):
    """A value and where it ends."""
    kind = data[at:at + 1]
    if kind == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1:end]), end + 1
    if kind in (b"l", b"d"):
        items, at = [], at + 1
        while data[at:at + 1] != b"e":
            item, at = bdecode(data, at)
            items.append(item)
        pairs = dict(zip(items[::2], items[1::2])) if kind == b"d" else items
        return pairs, at + 1
    colon = data.index(b":", at)
    end = colon + 1 + int(data[at:colon])
    return data[colon + 1:end], end


class Swarm:
    """What every peer of a content knows, and with a group's file every member."""

    def __init__(self, torrent, group=None):
        info = bdecode(Path(torrent).read_bytes())[0][b"info"]
        self.infohash = hashlib.sha256(bencode(info)).digest()
        self.key = None
        if group:
            words = [line.split() for line in Path(group).read_text().splitlines()]
            lines = {line[0]: line[1:] for line in words if line}
            veil = bytes.fromhex(lines["veil"][0])
            self.key = tuple(map(bytes.fromhex, lines["key"][:2]))  # its id and its secret
            info[b"lanward group"] = hmac.digest(veil, b"lanward swarm 1" + self.infohash,
                                                 "sha256")
            self.infohash = hashlib.sha256(bencode(info)).digest()
        [file] = info[b"file tree"].values()
        self.size = file[b""][b"length"]
        self.root = file[b""][b"pieces root"]
        self.piece = info[b"piece length"]
        self.pieces = -(-self.size // self.piece)

    def everything(self):
        """The bit field of a peer that has all pieces."""
        bits = ((1 << self.pieces) - 1) << (-self.pieces % 8)
        return bits.to_bytes(-(-self.pieces // 8), "big")


class Gone(Exception):
    """The other end has ended the connection."""


class Peer:
    """A connection that was dialled from an address of our own choice."""

    def __init__(self, swarm, target, source):
        self.swarm, self.target, self.source = swarm, target, source
        self.id = b"-AD0001-" + os.urandom(12)
        self.member = os.urandom(8)
        self.nonce = os.urandom(16)
        self.their_id = self.their_lease = None

    async def connect(self):
        try:
            self.reader, self.writer = await asyncio.open_connection(
                *self.target, local_addr=(self.source, 0), limit=FRAME_MAX)
        except OSError as error:
            raise Gone from error

    def close(self):
        if hasattr(self, "writer"):
            self.writer.transport.abort()

    async def put(self, data):
        try:
            self.writer.write(data)
            await self.writer.drain()
        except OSError as error:
            raise Gone from error

    async def send(self, kind, body=b""):
        await self.put(struct.pack(">IB", 1 + len(body), kind) + body)

    async def take(self, count):
        try:
            return await asyncio.wait_for(self.reader.readexactly(count), PATIENCE)
        except (OSError, EOFError, TimeoutError, asyncio.TimeoutError) as error:
            raise Gone from error

    async def next(self):
        """Type and body of the next message that is no keep-alive."""
        while True:
            length = int.from_bytes(await self.take(4), "big")
            if length > FRAME_MAX:
                raise Gone
            if length:
                body = await self.take(length)
                return body[0], body[1:]

    async def greet(self):
        """The handshakes of BitTorrent."""
        await self.put(PROTOCOL + RESERVED + self.swarm.infohash[:20] + self.id)
        self.their_id = (await self.take(68))[48:]

    async def introduce(self, port=9):
        """The handshakes of the extensions and, in a group, both proofs. REQUIRES: greet()."""
        hello = {"m": {"lw_lease": LEASE}, "lw_id": self.member, "p": port}
        if self.swarm.key:
            hello["m"]["lw_auth"] = AUTH
            hello["lw_auth"] = (b"\x01" + self.nonce + b"\x01" + self.swarm.key[0]
                                + self.proof(1, self.member, self.nonce))
        await self.send(EXTENDED, b"\x00" + bencode(hello))
        kind, body = await self.next()
        while kind != EXTENDED or body[0] != 0:
            kind, body = await self.next()
        theirs = bdecode(body, 1)[0]
        self.their_lease = theirs[b"m"].get(b"lw_lease")
        if self.swarm.key:
            nonce = theirs[b"lw_auth"][1:17]
            answer = (b"\x01" + self.swarm.key[0]
                      + self.proof(2, self.member + theirs[b"lw_id"], self.nonce + nonce))
            await self.send(EXTENDED, bytes([theirs[b"m"][b"lw_auth"]]) + answer)

    def proof(self, step, members, nonces):
        address, port = self.target
        mapped = b"\0" * 10 + b"\xff\xff" + ipaddress.ip_address(address).packed
        statement = (b"lanward auth 1" + bytes([step, 1]) + self.id + self.their_id + members
                     + nonces + self.swarm.infohash + mapped + port.to_bytes(2, "big"))
        return hmac.digest(self.swarm.key[1], statement, "sha256")

    async def lease(self, payload):
        await self.send(EXTENDED, bytes([self.their_lease]) + payload)
