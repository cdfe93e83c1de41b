// The network interfaces of this machine, as the kernel tells.
#pragma once

#include <chrono>
#include <mutex>
#include <string>
#include <vector>

#include <lanward/types.h>

#include "engine/core/interface_rules.h"
#include "engine/core/peer_rules.h"

namespace lanward::peer {

// In order of index; empty where the kernel does not answer.
[[nodiscard]] std::vector<core::InterfaceFacts> read_interfaces();

// The networks that this machine is in, lines to one other machine left out.
[[nodiscard]] std::vector<core::Network> read_networks();

// The interfaces on which peers are looked for have addresses of IPv6 alone.
[[nodiscard]] bool has_only_ipv6();

// Tells where peers are. Any thread.
class Whereabouts {
 public:
  // `group`: peers are members of the group.
  explicit Whereabouts(bool group) : group_(group) {}
  [[nodiscard]] PeerClass of(const core::Address& address);

 private:
  const bool group_;
  std::mutex mutex_;
  std::vector<core::Network> networks_;
  std::chrono::steady_clock::time_point read_again_at_;
};

// A socket that becomes readable whenever interfaces or their addresses change; -1: there is none.
[[nodiscard]] int open_interface_events();
// Reads what has come; it says only that something has changed.
void drain_interface_events(int socket);

}  // namespace lanward::peer
