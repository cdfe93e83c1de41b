// The names of what is in the data directory of a cache.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "engine/core/content.h"

namespace lanward::store {

enum class DataKind : unsigned char {
  bytes,     // <id>
  manifest,  // <id>.torrent
  leftover,  // of a manifest that was being written: <id>.torrent.new
};

struct DataName {
  core::Digest id{};
  DataKind kind = DataKind::bytes;
  friend bool operator==(const DataName&, const DataName&) = default;
};

// 64 lower-case hexadecimal digits.
[[nodiscard]] std::string to_hex(const core::Digest& id);

// Nothing for a name that no store gives: whoever put such a file there may keep it.
[[nodiscard]] std::optional<DataName> parse_data_name(std::string_view name);

[[nodiscard]] std::string data_path(const std::string& directory, const core::Digest& id);
[[nodiscard]] std::string manifest_path(const std::string& directory, const core::Digest& id);

}  // namespace lanward::store
