#include "engine/core/hmac.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

namespace lanward::core {
namespace {

constexpr std::size_t kBlock = 64;  // of SHA-256
constexpr std::uint8_t kInner = 0x36;
constexpr std::uint8_t kOuter = 0x5c;

Digest padded_hash(const std::array<std::uint8_t, kBlock>& key, std::uint8_t pad,
                   std::span<const std::uint8_t> message, Sha256Fn sha256) {
  std::vector<std::byte> bytes;
  bytes.reserve(kBlock + message.size());
  for (const std::uint8_t k : key) bytes.push_back(static_cast<std::byte>(k ^ pad));
  for (const std::uint8_t m : message) bytes.push_back(static_cast<std::byte>(m));
  return sha256(bytes);
}

}  // namespace

Digest hmac_sha256(std::span<const std::uint8_t> key, std::span<const std::uint8_t> message,
                   Sha256Fn sha256) {
  std::array<std::uint8_t, kBlock> block{};
  if (key.size() > kBlock) {
    const Digest hashed = sha256(std::as_bytes(key));
    std::copy(hashed.begin(), hashed.end(), block.begin());
  } else {
    std::copy(key.begin(), key.end(), block.begin());
  }
  const Digest inner = padded_hash(block, kInner, message, sha256);
  return padded_hash(block, kOuter, inner, sha256);
}

bool equal_secrets(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b) {
  if (a.size() != b.size()) return false;
  // Nothing may be concluded from a part of it.
  volatile std::uint8_t differences = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    differences = static_cast<std::uint8_t>(differences | (a[i] ^ b[i]));
  }
  return differences == 0;
}

}  // namespace lanward::core
