#include "engine/store/data_names.h"

namespace lanward::store {
namespace {

constexpr std::size_t kDigits = 64;

int value_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

std::string to_hex(const core::Digest& id) {
  std::string text;
  text.reserve(kDigits);
  for (const std::uint8_t byte : id) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

std::optional<DataName> parse_data_name(std::string_view name) {
  if (name.size() < kDigits) return std::nullopt;
  DataName parsed;
  for (std::size_t i = 0; i < parsed.id.size(); ++i) {
    const int high = value_of(name[2 * i]);
    const int low = value_of(name[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    parsed.id[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  const std::string_view rest = name.substr(kDigits);
  if (rest.empty()) return parsed;
  if (rest == ".torrent") {
    parsed.kind = DataKind::manifest;
  } else if (rest == ".torrent.new") {
    parsed.kind = DataKind::leftover;
  } else {
    return std::nullopt;
  }
  return parsed;
}

std::string data_path(const std::string& directory, const core::Digest& id) {
  return directory + "/data/" + to_hex(id);
}

std::string manifest_path(const std::string& directory, const core::Digest& id) {
  return data_path(directory, id) + ".torrent";
}

}  // namespace lanward::store
