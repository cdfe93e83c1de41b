// A beacon's datagram in the text of a DNS-SD service (RFC 6763, docs/protocol.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace lanward::core {

inline constexpr const char* kDnsSdType = "_lanward._tcp";

// Bytes of the datagram in one string; with its key it stays below the 255 that one can have.
inline constexpr std::size_t kDnsSdPart = 240;

// "b0=...", "b1=..." and so on; the values are bytes. REQUIRES: not empty, at most kBeaconBytesMax.
[[nodiscard]] std::vector<std::string> to_dns_sd(std::span<const std::uint8_t> datagram);
// Strings with other keys are ignored. Nothing: one is missing, there twice or too many.
[[nodiscard]] std::optional<std::vector<std::uint8_t>> from_dns_sd(
    std::span<const std::string> strings);

}  // namespace lanward::core
