// "ADDRESS:PORT" and "[ADDRESS]:PORT".
#pragma once

#include <cstdint>
#include <optional>
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

// An address of the link (fe80::/10) that does not say of which interface's.
[[nodiscard]] bool lacks_link(const lt::tcp::endpoint& endpoint);
[[nodiscard]] lt::tcp::endpoint with_link(const lt::tcp::endpoint& endpoint,
                                          std::uint32_t interface);
[[nodiscard]] lt::tcp::endpoint without_link(const lt::tcp::endpoint& endpoint);

// Addresses that nobody has (RFC 6666), for where a real one will not do: 100::/64, by number.
[[nodiscard]] lt::tcp::endpoint stand_in(std::uint32_t number, std::uint16_t port);
// Nothing: it is no stand-in.
[[nodiscard]] std::optional<std::uint32_t> stand_in_number(const lt::tcp::endpoint& endpoint);

[[nodiscard]] core::Endpoint to_core(const lt::tcp::endpoint& endpoint);
// IPv4-mapped addresses become IPv4 again.
[[nodiscard]] lt::tcp::endpoint from_core(const core::Endpoint& endpoint);

}  // namespace lanward::peer
