// Custom headers of requests: which may be set, and who is sent them.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include <lanward/error.h>

#include "engine/core/units.h"

namespace lanward::core {

// A browser sends 10-20 headers; nobody writes so many by hand.
inline constexpr std::size_t kCustomHeadersMax = 64;
// All together. Servers refuse requests with more than 8-64 KiB of headers.
inline constexpr std::size_t kCustomHeaderBytesMax = 16 * kKiB;

// Whether these lines ("Name: value") may be sent with requests. Error: invalid_argument, tells
// which is wrong and why. Values may be secret and are never repeated.
[[nodiscard]] Result<void> check_headers(std::span<const std::string> headers);

// "host:port" of a http or https URL, in lower case, without user info and with the port that the
// scheme implies: the form that names_host() compares. Empty: no such URL.
[[nodiscard]] std::string header_host(std::string_view url);

// Whether `hosts` ("host" or "host:port", in any case) names this place. Without a port an entry
// means the default port of the scheme and no other. IPv6 addresses are in brackets.
[[nodiscard]] bool names_host(std::span<const std::string> hosts, std::string_view scheme,
                              std::string_view host, std::string_view port);

}  // namespace lanward::core
