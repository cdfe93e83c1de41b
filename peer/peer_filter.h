// The rules of peers as libtorrent takes them.
#pragma once

#include <libtorrent/ip_filter.hpp>

#include "engine/core/peer_rules.h"

namespace lanward::peer {

// Blocks the addresses for which core::peer_fault() says why.
[[nodiscard]] lt::ip_filter to_filter(const core::PeerRules& rules);

}  // namespace lanward::peer
