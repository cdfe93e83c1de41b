#include "engine/core/dns_sd.h"

#include <algorithm>
#include <array>
#include <cassert>

#include "engine/core/beacon.h"

namespace lanward::core {
namespace {

constexpr std::size_t kPartsMax = (kBeaconBytesMax + kDnsSdPart - 1) / kDnsSdPart;
static_assert(kPartsMax <= 10);  // a digit numbers them
constexpr std::size_t kKey = 3;  // "b0="

}  // namespace

std::vector<std::string> to_dns_sd(std::span<const std::uint8_t> datagram) {
  assert(!datagram.empty() && datagram.size() <= kBeaconBytesMax);
  std::vector<std::string> strings;
  while (!datagram.empty()) {
    const auto part = datagram.first(std::min(datagram.size(), kDnsSdPart));
    std::string text = "b" + std::to_string(strings.size()) + "=";
    text.append(part.begin(), part.end());
    strings.push_back(std::move(text));
    datagram = datagram.subspan(part.size());
  }
  return strings;
}

std::optional<std::vector<std::uint8_t>> from_dns_sd(std::span<const std::string> strings) {
  std::array<const std::string*, kPartsMax> parts{};
  std::size_t count = 0;
  for (const std::string& text : strings) {
    if (text.size() <= kKey || text[0] != 'b' || text[2] != '=') continue;
    if (text[1] < '0' || text[1] > '9') continue;
    const auto number = static_cast<std::size_t>(text[1] - '0');
    if (number >= kPartsMax || parts[number] != nullptr) return std::nullopt;
    parts[number] = &text;
    ++count;
  }
  std::vector<std::uint8_t> datagram;
  for (std::size_t i = 0; i < count; ++i) {
    if (parts[i] == nullptr) return std::nullopt;
    datagram.insert(datagram.end(), parts[i]->begin() + kKey, parts[i]->end());
  }
  if (datagram.empty() || datagram.size() > kBeaconBytesMax) return std::nullopt;
  return datagram;
}

}  // namespace lanward::core
