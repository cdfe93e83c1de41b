// Which addresses may be peers at all, and the switch that stops everything (docs/security.md).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <lanward/error.h>

namespace lanward::core {

using Address = std::array<std::uint8_t, 16>;  // IPv4 as ::ffff:a.b.c.d

// A network or a single address.
struct Network {
  Address address{};        // bits beyond the prefix are zero
  std::uint8_t prefix = 0;  // bits, 0 to 128; of IPv4: 96 more than is written

  [[nodiscard]] bool contains(const Address& other) const;  // of the same kind of address
  [[nodiscard]] bool is_v4() const;
  [[nodiscard]] Address first() const { return address; }
  [[nodiscard]] Address last() const;
  friend bool operator==(const Network&, const Network&) = default;
};

// "192.0.2.1", "192.0.2.0/24", "2001:db8::/32". Errors: invalid_argument (what is wrong).
[[nodiscard]] Result<Network> parse_network(std::string_view text);
[[nodiscard]] std::string to_string(const Network& network);

struct PeerRules {
  bool serving = true;         // false: there are no peers at all
  bool private_only = true;    // unless `allow` says otherwise
  std::vector<Network> allow;  // not empty: no others
  std::vector<Network> deny;   // whatever `allow` says
  std::vector<Network> ban;    // likewise, by name

  friend bool operator==(const PeerRules&, const PeerRules&) = default;
};
// Of each list; a file of a megabyte is something else.
inline constexpr std::size_t kPeerRulesMax = 4096;
inline constexpr std::size_t kPeerRulesBytesMax = 1024 * 1024;

// For local use: RFC 1918, 6598, 3927, 4193, 4291 and loopback.
[[nodiscard]] const std::vector<Network>& private_networks();

// Why the address is no peer; null: it may be one.
[[nodiscard]] const char* peer_fault(const PeerRules& rules, const Address& address);

// The file as text, and back. Errors: invalid_argument (line, and what is wrong), unsupported.
[[nodiscard]] std::string format_peer_rules(const PeerRules& rules);
[[nodiscard]] Result<PeerRules> parse_peer_rules(std::string_view text);

}  // namespace lanward::core
