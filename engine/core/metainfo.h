// BEP 52 metainfo: reading what strangers publish, writing the canonical form.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <lanward/error.h>

#include "engine/core/content.h"
#include "engine/core/merkle.h"

namespace lanward::core {

// Largest metainfo that is read: the piece layer of a 16 TiB file with 8 MiB pieces is 64 MiB.
inline constexpr std::size_t kMetainfoBytesMax = 80 * kMiB;
// Most pieces of one file: the same 16 TiB with 8 MiB pieces.
inline constexpr std::uint64_t kPieceCountMax = std::uint64_t{1} << 21U;
// Web seeds, and trackers, of one manifest: more than anybody mirrors a file to, few enough that
// trying each of them stays bounded.
inline constexpr std::size_t kManifestUrlsMax = 64;

// Parses and validates a v2 (or hybrid) metainfo that describes exactly one file. Every length,
// layer, name and URL list is checked; the piece layer must hash to the pieces root.
// Errors: manifest_invalid (names the field and what is wrong with it), unsupported (v1 only, or
// several files).
[[nodiscard]] Result<Manifest> parse_metainfo(std::span<const std::uint8_t> bytes, Sha256Fn sha256);

struct MetainfoParts {
  Content content;
  std::string name;  // suggestion for the file name; kept outside the info dictionary
  std::vector<std::string> web_seeds;
  std::vector<std::string> trackers;
  bool share_private = false;  // as in Manifest; outside the info dictionary, too
};

// Writes the canonical metainfo: v2-only, one file, the info dictionary a pure function of the
// content (its name entry is the hexadecimal pieces root).
[[nodiscard]] std::vector<std::uint8_t> write_metainfo(const MetainfoParts& parts);

}  // namespace lanward::core
