// Digests of whole files: what somebody says a file must hash to, and the choice among several.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <lanward/error.h>

namespace lanward::core {

// Weakest first.
enum class DigestAlgorithm : std::uint8_t { md5, sha1, sha256, sha512 };

// "md5", "sha-1", "sha-256", "sha-512", as RFC 5854 and RFC 9530 write them.
[[nodiscard]] const char* to_string(DigestAlgorithm algorithm) noexcept;
// Any case; with or without the hyphen; "sha" is SHA-1, as in RFC 3230.
[[nodiscard]] std::optional<DigestAlgorithm> parse_digest_algorithm(std::string_view name);
[[nodiscard]] std::size_t size_of(DigestAlgorithm algorithm) noexcept;  // in bytes
// Files that share a digest can be made on purpose: it protects against accidents only.
[[nodiscard]] inline bool is_weak(DigestAlgorithm algorithm) noexcept {
  return algorithm < DigestAlgorithm::sha256;
}

// What a file must hash to, and who says so.
struct ExpectedDigest {
  DigestAlgorithm algorithm = DigestAlgorithm::sha256;
  std::vector<std::uint8_t> bytes;  // size_of(algorithm)
  std::string source;               // for people: "the caller", "Repr-Digest of URL"

  [[nodiscard]] bool is_weak() const noexcept { return core::is_weak(algorithm); }
  friend bool operator==(const ExpectedDigest&, const ExpectedDigest&) = default;
};

[[nodiscard]] std::string to_hex(std::span<const std::uint8_t> bytes);
// Exactly two digits a byte, any case.
[[nodiscard]] std::optional<std::vector<std::uint8_t>> from_hex(std::string_view text);
// Strict RFC 4648: padded, no white space, no stray bits. Nothing for more than `bytes_max` bytes.
[[nodiscard]] std::optional<std::vector<std::uint8_t>> from_base64(std::string_view text,
                                                                   std::size_t bytes_max);

// "sha-256=9f86d0...", the inverse of parse_digest().
[[nodiscard]] std::string to_string(const ExpectedDigest& digest);
// "ALGORITHM=HEX". Errors: invalid_argument (says what is wrong).
[[nodiscard]] Result<ExpectedDigest> parse_digest(std::string_view text, std::string source);

// The strongest of several digests of one file. An algorithm about which they contradict each other
// counts for nothing; `note` tells of it.
struct DigestChoice {
  std::optional<ExpectedDigest> digest;
  std::string note;  // empty: nothing to tell
};
[[nodiscard]] DigestChoice choose_digest(std::span<const ExpectedDigest> digests);
// The algorithm for which the list says different things; a caller's list must not.
[[nodiscard]] std::optional<DigestAlgorithm> contradiction_in(
    std::span<const ExpectedDigest> digests);

// What a mismatch is told as.
[[nodiscard]] Error digest_mismatch(const std::string& file, const ExpectedDigest& expected,
                                    std::span<const std::uint8_t> found);

// A hash under way. The core hashes nothing: whoever links it brings this.
class Hasher {
 public:
  virtual ~Hasher() = default;
  virtual void update(std::span<const std::byte> bytes) = 0;
  // Once, at the end.
  [[nodiscard]] virtual std::vector<std::uint8_t> finish() = 0;
};
// Any thread. Null when the library does not have the algorithm.
using HasherFn = std::unique_ptr<Hasher> (*)(DigestAlgorithm);

}  // namespace lanward::core
