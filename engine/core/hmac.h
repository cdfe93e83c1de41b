// HMAC-SHA256 (RFC 2104) over the hash that whoever links the core brings.
#pragma once

#include <cstdint>
#include <span>

#include "engine/core/content.h"
#include "engine/core/merkle.h"

namespace lanward::core {

[[nodiscard]] Digest hmac_sha256(std::span<const std::uint8_t> key,
                                 std::span<const std::uint8_t> message, Sha256Fn sha256);

// Takes as long for a wrong first byte as for a wrong last one: who guesses learns nothing by
// measuring.
[[nodiscard]] bool equal_secrets(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b);

}  // namespace lanward::core
