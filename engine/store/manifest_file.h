// The manifest of a cached content, kept beside its data file: a later engine can check and serve
// the content without asking anybody, and a lost index can be made again.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include <lanward/error.h>

#include "engine/core/content.h"

namespace lanward::store {

// The file is there whole or not at all; an older one is replaced. Not durable by itself: without
// it the bytes are only worth less. Errors: disk_full, disk_io.
[[nodiscard]] Result<void> write_manifest(const std::string& path,
                                          std::span<const std::uint8_t> bytes);

// Reads and validates a manifest. Errors: not_found, manifest_invalid, unsupported, disk_io.
[[nodiscard]] Result<core::Manifest> read_manifest(const std::string& path);
// The same; manifest_invalid too if it describes another content than `id`.
[[nodiscard]] Result<core::Manifest> read_manifest_of(const std::string& path,
                                                      const core::Digest& id);

}  // namespace lanward::store
