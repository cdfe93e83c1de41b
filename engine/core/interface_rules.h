// On which network interfaces peers are looked for: by what the kernel says they are, never by
// their names.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lanward::core {

struct InterfaceFacts {
  std::uint32_t index = 0;
  bool up = false;
  bool multicast = false;
  bool loopback = false;
  bool point_to_point = false;
  std::string kind;  // of a virtual one ("wireguard"); empty: hardware

  friend bool operator==(const InterfaceFacts&, const InterfaceFacts&) = default;
};

// Tunnels: who is at the other end is far away, or the line is paid for by the byte.
inline constexpr std::array<std::string_view, 13> kTunnelKinds{
    "tun", "wireguard", "ppp", "ipip", "gre",  "gretap", "ip6gre",
    "sit", "ip6tnl",    "vti", "vti6", "xfrm", "wwan"};

// Why peers are not looked for there; null: they are. Loopback is for machines without a network.
[[nodiscard]] inline const char* interface_fault(const InterfaceFacts& facts) {
  if (!facts.up) return "is down";
  if (facts.loopback) return "is the machine itself";
  if (facts.point_to_point) return "is a line to one other machine";
  if (std::ranges::find(kTunnelKinds, facts.kind) != kTunnelKinds.end()) return "is a tunnel";
  if (!facts.multicast) return "has no multicast";
  return nullptr;
}

// Indices of those to be used, in the order given. Loopback only if there is no other.
[[nodiscard]] inline std::vector<std::uint32_t> choose_interfaces(
    const std::vector<InterfaceFacts>& all) {
  std::vector<std::uint32_t> chosen;
  for (const InterfaceFacts& facts : all) {
    if (interface_fault(facts) == nullptr) chosen.push_back(facts.index);
  }
  if (!chosen.empty()) return chosen;
  for (const InterfaceFacts& facts : all) {
    if (facts.up && facts.loopback) chosen.push_back(facts.index);
  }
  return chosen;
}

}  // namespace lanward::core
