// How libtorrent is set up here, and why.
#pragma once

#include <optional>

#include <libtorrent/session_handle.hpp>
#include <libtorrent/settings_pack.hpp>
#include <libtorrent/socket.hpp>

namespace lanward::peer {

[[nodiscard]] lt::settings_pack session_settings(const lt::tcp::endpoint& listen,
                                                 bool local_discovery, int connections_max);

// All peers, whatever their addresses, share these; rates in bytes per second, 0: no limit.
// `slots`: as set_upload_slots(), which may be called later then. Nothing: all are given what they
// ask for, and that cannot be changed.
void limit_peers(lt::session_handle& session, int upload_rate, int download_rate,
                 std::optional<int> slots);
// So many peers are given something at a time; kAllSlots: all; 0: none, once those are choked that
// have a slot.
inline constexpr int kAllSlots = -1;
void set_upload_slots(lt::session_handle& session, int slots);

}  // namespace lanward::peer
