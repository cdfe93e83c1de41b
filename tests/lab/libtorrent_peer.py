"""A libtorrent session with default settings that fetches one torrent and seeds it until SIGTERM.

Usage: libtorrent_peer.py TORRENT DIRECTORY ADDRESS:PORT

Prints "complete TIME WASTED" when it has all of it. Discovery other than by tracker is off, and so
is uTP, which is slower than TCP on a LAN.
"""

import sys
import time

import libtorrent as lt

WAIT_MS = 60_000  # for the next alert


def main(torrent, directory, listen):
    session = lt.session({
        "listen_interfaces": listen, "enable_dht": False, "enable_lsd": False,
        "enable_upnp": False, "enable_natpmp": False, "enable_outgoing_utp": False,
        "enable_incoming_utp": False, "alert_mask": lt.alert.category_t.status_notification})
    parameters = lt.add_torrent_params()
    parameters.ti = lt.torrent_info(torrent)
    parameters.save_path = directory
    parameters.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    handle = session.add_torrent(parameters)
    while True:
        session.wait_for_alert(WAIT_MS)
        for alert in session.pop_alerts():
            if isinstance(alert, lt.torrent_finished_alert):
                now, status = time.time(), handle.status()
                print("complete", now, status.total_redundant_bytes + status.total_failed_bytes,
                      flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
