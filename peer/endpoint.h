// "ADDRESS:PORT" and "[ADDRESS]:PORT".
#pragma once

#include <string>
#include <string_view>

#include <lanward/error.h>

#include <libtorrent/fwd.hpp>
#include <libtorrent/socket.hpp>

namespace lanward::peer {

// Errors: invalid_argument. Port 0 is accepted; host names are not.
[[nodiscard]] Result<lt::tcp::endpoint> parse_endpoint(std::string_view text);
[[nodiscard]] std::string to_string(const lt::tcp::endpoint& endpoint);

}  // namespace lanward::peer
