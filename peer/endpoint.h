// "ADDRESS:PORT" and "[ADDRESS]:PORT".
#pragma once

#include <string>
#include <string_view>

#include <lanward/error.h>

#include <libtorrent/fwd.hpp>
#include <libtorrent/socket.hpp>

#include "engine/core/lease_message.h"

namespace lanward::peer {

// Errors: invalid_argument. Port 0 is accepted; host names are not.
[[nodiscard]] Result<lt::tcp::endpoint> parse_endpoint(std::string_view text);
[[nodiscard]] std::string to_string(const lt::tcp::endpoint& endpoint);

[[nodiscard]] core::Endpoint to_core(const lt::tcp::endpoint& endpoint);
// IPv4-mapped addresses become IPv4 again.
[[nodiscard]] lt::tcp::endpoint from_core(const core::Endpoint& endpoint);

}  // namespace lanward::peer
