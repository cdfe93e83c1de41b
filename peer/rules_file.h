// The rules of peers on the disk.
#pragma once

#include <string>

#include <lanward/error.h>

#include "engine/core/peer_rules.h"

namespace lanward::peer {

// A file that is not there says nothing: the defaults. Errors: access_denied, disk_io, and those of
// core::parse_peer_rules(), with the path.
[[nodiscard]] Result<core::PeerRules> read_peer_rules(const std::string& path);
// Errors: destination.
[[nodiscard]] Result<void> write_peer_rules(const std::string& path, const core::PeerRules& rules);

}  // namespace lanward::peer
