#!/usr/bin/python3
"""A BitTorrent client as a stranger would write it: python3-libtorrent with default settings.

usage: stock_client.py TORRENT DIRECTORY [PEER_ADDRESS PEER_PORT]

Checks what is in DIRECTORY, prints "listening PORT", then either downloads from the peer or serves.
Prints "complete" once everything is there, and ends when its standard input does.
"""

import os
import select
import sys

import libtorrent as lt

torrent, directory = sys.argv[1:3]
session = lt.session({
    "listen_interfaces": "127.0.0.1:0",
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
})
handle = session.add_torrent({"ti": lt.torrent_info(torrent), "save_path": directory})
said = set()


def say(text):
    if text not in said:
        said.add(text)
        print(text, flush=True)


while not select.select([sys.stdin], [], [], 0.05)[0]:
    status = handle.status()
    if status.state in (lt.torrent_status.checking_files, lt.torrent_status.checking_resume_data):
        continue
    if session.listen_port() != 0:
        if not said and len(sys.argv) > 3:
            handle.connect_peer((sys.argv[3], int(sys.argv[4])))
        say("listening %d" % session.listen_port())
    if status.is_seeding:
        say("complete")

os._exit(0)  # a tidy end of the session would take seconds that prove nothing
