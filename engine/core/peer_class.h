// Where a peer is, by its address.
#pragma once

#include <algorithm>
#include <span>

#include <lanward/types.h>

#include "engine/core/peer_rules.h"

namespace lanward::core {

// `own`: the networks that this machine is in. `group`: all peers are members of its group.
[[nodiscard]] inline PeerClass class_of(const Address& address, std::span<const Network> own,
                                        bool group) {
  const auto holds = [&](const Network& network) { return network.contains(address); };
  if (std::ranges::any_of(private_networks(), holds) || std::ranges::any_of(own, holds)) {
    return PeerClass::lan;
  }
  return group ? PeerClass::group : PeerClass::other;
}

}  // namespace lanward::core
