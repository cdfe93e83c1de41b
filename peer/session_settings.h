// How libtorrent is set up here, and why.
#pragma once

#include <libtorrent/session_handle.hpp>
#include <libtorrent/settings_pack.hpp>
#include <libtorrent/socket.hpp>

namespace lanward::peer {

[[nodiscard]] lt::settings_pack session_settings(const lt::tcp::endpoint& listen,
                                                 bool local_discovery, int connections_max);

// All peers, whatever their addresses, share these; rates in bytes per second, 0: no limit. Without
// `upload` nobody is given anything.
void limit_peers(lt::session_handle& session, int upload_rate, int download_rate, bool upload);

}  // namespace lanward::peer
