// The file of a group on the disk: who may read it, and how it is replaced.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include <lanward/error.h>

#include "engine/core/group.h"

namespace lanward::peer {

// Errors: not_found, access_denied (somebody else may read or owns it), disk_io, and those of
// core::parse_group(), with the path.
[[nodiscard]] Result<core::Group> read_group(const std::string& path);

// Of mode 0600; never over a file that is there. Errors: destination (it exists, or cannot be
// written).
[[nodiscard]] Result<void> create_group_file(const std::string& path, const core::Group& group);
// In one step: a reader finds the old file or the new one. Errors: destination.
[[nodiscard]] Result<void> replace_group_file(const std::string& path, const core::Group& group);

// From the kernel, fit for secrets. Aborts where there are none.
void fill_random(std::span<std::uint8_t> bytes);

}  // namespace lanward::peer
