// How libtorrent is set up here, and why.
#pragma once

#include <libtorrent/settings_pack.hpp>
#include <libtorrent/socket.hpp>

namespace lanward::peer {

[[nodiscard]] lt::settings_pack session_settings(const lt::tcp::endpoint& listen,
                                                 bool local_discovery);

}  // namespace lanward::peer
