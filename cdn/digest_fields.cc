#include "cdn/digest_fields.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

namespace lanward::cdn {
namespace {

[[nodiscard]] bool is_space(char c) { return c == ' ' || c == '\t'; }
[[nodiscard]] bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
[[nodiscard]] bool is_key(char c) {
  return is_lower(c) || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.' || c == '*';
}

void skip_spaces(std::string_view& s) {
  while (!s.empty() && is_space(s.front())) s.remove_prefix(1);
}

[[nodiscard]] bool take(std::string_view& s, char c) {
  if (s.empty() || s.front() != c) return false;
  s.remove_prefix(1);
  return true;
}

// A key of RFC 8941; empty: there is none.
[[nodiscard]] std::string_view take_key(std::string_view& s) {
  if (s.empty() || (!is_lower(s.front()) && s.front() != '*')) return {};
  const auto end = std::find_if_not(s.begin(), s.end(), is_key);
  const auto key = s.substr(0, static_cast<std::size_t>(end - s.begin()));
  s.remove_prefix(key.size());
  return key;
}

// A byte sequence without its colons.
[[nodiscard]] std::optional<std::string_view> take_byte_sequence(std::string_view& s) {
  if (!take(s, ':')) return std::nullopt;
  const auto end = s.find(':');
  if (end == std::string_view::npos) return std::nullopt;
  const auto text = s.substr(0, end);
  s.remove_prefix(end + 1);
  return text;
}

// A string of RFC 8941 with its quotes.
[[nodiscard]] bool skip_string(std::string_view& s) {
  if (!take(s, '"')) return false;
  while (!s.empty() && s.front() != '"') s.remove_prefix(s.front() == '\\' && s.size() > 1 ? 2 : 1);
  return take(s, '"');
}

// ";key=value" any number of times; no parameter means anything to us.
[[nodiscard]] bool skip_parameters(std::string_view& s) {
  while (take(s, ';')) {
    skip_spaces(s);
    if (take_key(s).empty()) return false;
    if (!take(s, '=')) continue;
    if (!s.empty() && s.front() == '"') {
      if (!skip_string(s)) return false;
      continue;
    }
    const auto end = std::min(s.find_first_of(",; \t"), s.size());
    if (end == 0) return false;
    s.remove_prefix(end);
  }
  return true;
}

void add(std::string_view algorithm_name, std::string_view base64, std::string_view field,
         std::vector<core::ExpectedDigest>& out) {
  const auto algorithm = core::parse_digest_algorithm(algorithm_name);
  if (!algorithm || out.size() >= kDigestsMax) return;
  auto bytes = core::from_base64(base64, core::size_of(*algorithm));
  if (!bytes || bytes->size() != core::size_of(*algorithm)) return;
  core::ExpectedDigest digest{*algorithm, std::move(*bytes), std::string(field)};
  if (std::find(out.begin(), out.end(), digest) == out.end()) out.push_back(std::move(digest));
}

[[nodiscard]] std::string_view trim(std::string_view s) {
  skip_spaces(s);
  while (!s.empty() && is_space(s.back())) s.remove_suffix(1);
  return s;
}

}  // namespace

void parse_digest_dictionary(std::string_view field, std::string_view value,
                             std::vector<core::ExpectedDigest>& out) {
  std::vector<core::ExpectedDigest> read = out;
  std::string_view rest = trim(value);
  while (true) {
    const auto key = take_key(rest);
    if (key.empty() || !take(rest, '=')) return;
    const auto text = take_byte_sequence(rest);
    if (!text || !skip_parameters(rest)) return;
    add(key, *text, field, read);
    skip_spaces(rest);
    if (rest.empty()) break;
    if (!take(rest, ',')) return;
    skip_spaces(rest);  // a comma at the end is a fault, which take_key() finds
  }
  out = std::move(read);
}

void parse_instance_digests(std::string_view value, std::vector<core::ExpectedDigest>& out) {
  while (!value.empty()) {
    const auto end = std::min(value.find(','), value.size());
    const auto part = trim(value.substr(0, end));
    value.remove_prefix(std::min(end + 1, value.size()));
    const auto equals = part.find('=');
    if (equals == std::string_view::npos) continue;
    add(trim(part.substr(0, equals)), trim(part.substr(equals + 1)), "Digest", out);
  }
}

void parse_content_md5(std::string_view value, std::vector<core::ExpectedDigest>& out) {
  add("md5", trim(value), "Content-MD5", out);
}

}  // namespace lanward::cdn
