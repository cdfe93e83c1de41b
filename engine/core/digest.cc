#include "engine/core/digest.h"

#include <algorithm>
#include <array>
#include <utility>

namespace lanward::core {
namespace {

struct Row {
  DigestAlgorithm algorithm;
  const char* name;
  std::string_view key;  // lower case, without hyphens
  std::size_t bytes;
};
constexpr std::array<Row, 4> kRows = {{{DigestAlgorithm::md5, "md5", "md5", 16},
                                       {DigestAlgorithm::sha1, "sha-1", "sha1", 20},
                                       {DigestAlgorithm::sha256, "sha-256", "sha256", 32},
                                       {DigestAlgorithm::sha512, "sha-512", "sha512", 64}}};

const Row& row_of(DigestAlgorithm algorithm) { return kRows[static_cast<std::size_t>(algorithm)]; }

std::optional<std::uint8_t> hex_value(char c) {
  if (c >= '0' && c <= '9') return static_cast<std::uint8_t>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<std::uint8_t>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<std::uint8_t>(c - 'A' + 10);
  return std::nullopt;
}

std::optional<std::uint8_t> base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return static_cast<std::uint8_t>(c - 'A');
  if (c >= 'a' && c <= 'z') return static_cast<std::uint8_t>(c - 'a' + 26);
  if (c >= '0' && c <= '9') return static_cast<std::uint8_t>(c - '0' + 52);
  if (c == '+') return std::uint8_t{62};
  if (c == '/') return std::uint8_t{63};
  return std::nullopt;
}

// Long enough for the longest algorithm name there is, short enough for a message.
constexpr std::size_t kShownMax = 24;

std::string shown(std::string_view text) {
  std::string out(text.substr(0, kShownMax));
  for (char& c : out) {
    if (c < 0x20 || c > 0x7e) c = '?';
  }
  return text.size() > kShownMax ? out + "..." : out;
}

}  // namespace

const char* to_string(DigestAlgorithm algorithm) noexcept { return row_of(algorithm).name; }

std::size_t size_of(DigestAlgorithm algorithm) noexcept { return row_of(algorithm).bytes; }

std::optional<DigestAlgorithm> parse_digest_algorithm(std::string_view name) {
  if (name.size() > kShownMax) return std::nullopt;
  std::string key;
  for (const char c : name) {
    if (c == '-') continue;
    key += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  if (key == "sha") return DigestAlgorithm::sha1;
  for (const Row& row : kRows) {
    if (row.key == key) return row.algorithm;
  }
  return std::nullopt;
}

std::string to_hex(std::span<const std::uint8_t> bytes) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::uint8_t byte : bytes) {
    text += kDigits[byte >> 4U];
    text += kDigits[byte & 15U];
  }
  return text;
}

std::optional<std::vector<std::uint8_t>> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::vector<std::uint8_t> bytes;
  bytes.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const auto high = hex_value(text[i]);
    const auto low = hex_value(text[i + 1]);
    if (!high || !low) return std::nullopt;
    bytes.push_back(static_cast<std::uint8_t>(*high << 4U | *low));
  }
  return bytes;
}

std::optional<std::vector<std::uint8_t>> from_base64(std::string_view text, std::size_t bytes_max) {
  if (text.size() % 4 != 0 || text.size() / 4 > bytes_max / 3 + 1) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && !text.empty() && text.back() == '=') {
    text.remove_suffix(1);
    ++padding;
  }
  std::vector<std::uint8_t> bytes;
  std::uint32_t bits = 0;
  std::uint32_t count = 0;
  for (const char c : text) {
    const auto value = base64_value(c);
    if (!value) return std::nullopt;
    bits = bits << 6U | *value;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes.push_back(static_cast<std::uint8_t>(bits >> count));
    bits &= (1U << count) - 1;
  }
  if (bits != 0 || bytes.size() > bytes_max) return std::nullopt;
  return bytes;
}

std::string to_string(const ExpectedDigest& digest) {
  return std::string(to_string(digest.algorithm)) + "=" + to_hex(digest.bytes);
}

Result<ExpectedDigest> parse_digest(std::string_view text, std::string source) {
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos) {
    return fail(ErrorCode::invalid_argument,
                "digest \"" + shown(text) + "\": expected ALGORITHM=HEX, e.g. sha-256=9f86d0...");
  }
  const auto algorithm = parse_digest_algorithm(text.substr(0, equals));
  if (!algorithm) {
    return fail(ErrorCode::invalid_argument,
                "digest algorithm \"" + shown(text.substr(0, equals)) +
                    "\": not known; sha-512, sha-256, sha-1 and md5 are");
  }
  const std::string_view digits = text.substr(equals + 1);
  auto bytes = from_hex(digits.substr(0, 2 * size_of(*algorithm) + 2));
  if (!bytes || bytes->size() != size_of(*algorithm)) {
    return fail(ErrorCode::invalid_argument, std::string("digest: ") + to_string(*algorithm) +
                                                 " has " + std::to_string(2 * size_of(*algorithm)) +
                                                 " hexadecimal digits, \"" + shown(digits) +
                                                 "\" has not");
  }
  return ExpectedDigest{*algorithm, std::move(*bytes), std::move(source)};
}

std::optional<DigestAlgorithm> contradiction_in(std::span<const ExpectedDigest> digests) {
  for (std::size_t i = 0; i < digests.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (digests[i].algorithm == digests[j].algorithm && digests[i].bytes != digests[j].bytes) {
        return digests[i].algorithm;
      }
    }
  }
  return std::nullopt;
}

DigestChoice choose_digest(std::span<const ExpectedDigest> digests) {
  DigestChoice choice;
  std::vector<ExpectedDigest> left(digests.begin(), digests.end());
  while (const auto algorithm = contradiction_in(left)) {
    const auto one = std::find_if(left.begin(), left.end(),
                                  [&](const auto& d) { return d.algorithm == *algorithm; });
    const auto other = std::find_if(left.begin(), left.end(), [&](const auto& d) {
      return d.algorithm == *algorithm && d.bytes != one->bytes;
    });
    choice.note += (choice.note.empty() ? "" : "; ") + one->source + " and " + other->source +
                   " say different things about " + to_string(*algorithm) + ", which is ignored";
    std::erase_if(left, [&](const auto& d) { return d.algorithm == *algorithm; });
  }
  const auto strongest = std::max_element(
      left.begin(), left.end(),
      [](const ExpectedDigest& a, const ExpectedDigest& b) { return a.algorithm < b.algorithm; });
  if (strongest != left.end()) choice.digest = std::move(*strongest);
  return choice;
}

Error digest_mismatch(const std::string& file, const ExpectedDigest& expected,
                      std::span<const std::uint8_t> found) {
  return {ErrorCode::integrity,
          file + ": the file does not match its digest: " + to_string(expected.algorithm) + " " +
              to_hex(expected.bytes) + " was expected (" + expected.source + "), " + to_hex(found) +
              " was found"};
}

}  // namespace lanward::core
