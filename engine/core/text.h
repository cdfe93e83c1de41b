// Checks of text that strangers wrote before it becomes a file name or a URL to connect to.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace lanward::core {

// Longest name of one file: the limit of every file system we write to.
inline constexpr std::size_t kFileNameBytesMax = 255;
// Longest URL. Signed CDN links reach 2000 bytes; browsers and servers stop between 2 and 8 KiB.
inline constexpr std::size_t kUrlBytesMax = 4096;

// Well-formed UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.
[[nodiscard]] constexpr bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = [&](std::size_t k) {
      return i + k < text.size() ? static_cast<std::uint8_t>(text[i + k]) : std::uint8_t{0};
    };
    const std::uint8_t lead = byte(0);
    std::size_t length = 1;
    std::uint8_t low = 0x80;  // bounds of the second byte
    std::uint8_t high = 0xbf;
    if (lead >= 0xc2 && lead <= 0xdf) {
      length = 2;
    } else if (lead >= 0xe0 && lead <= 0xef) {
      length = 3;
      if (lead == 0xe0) low = 0xa0;
      if (lead == 0xed) high = 0x9f;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
      length = 4;
      if (lead == 0xf0) low = 0x90;
      if (lead == 0xf4) high = 0x8f;
    } else if (lead >= 0x80) {
      return false;
    }
    if (length > 1 && (byte(1) < low || byte(1) > high)) return false;
    for (std::size_t k = 2; k < length; ++k) {
      if (byte(k) < 0x80 || byte(k) > 0xbf) return false;
    }
    i += length;
  }
  return true;
}

[[nodiscard]] constexpr bool has_control_characters(std::string_view text) {
  return std::ranges::any_of(
      text, [](char c) { return static_cast<std::uint8_t>(c) < 0x20 || c == 0x7f; });
}

// Why `name` must not be created as a file in a directory of the user's; nullptr if it may.
[[nodiscard]] constexpr const char* file_name_fault(std::string_view name) {
  if (name.empty()) return "is empty";
  if (name.size() > kFileNameBytesMax) return "is longer than 255 bytes";
  if (name == "." || name == "..") return "names a directory";
  if (name.find('/') != std::string_view::npos || name.find('\\') != std::string_view::npos) {
    return "contains a path separator";
  }
  if (has_control_characters(name)) return "contains control characters";
  if (!is_utf8(name)) return "is not valid UTF-8";
  return nullptr;
}

// The scheme of a URL as it stands ("HTTP"); empty if there is none.
[[nodiscard]] constexpr std::string_view url_scheme(std::string_view url) {
  const std::size_t end = url.find("://");
  return end == std::string_view::npos ? std::string_view{} : url.substr(0, end);
}

[[nodiscard]] constexpr bool url_scheme_is_one_of(std::string_view url,
                                                  std::initializer_list<std::string_view> schemes) {
  const std::string_view scheme = url_scheme(url);
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::ranges::any_of(
      schemes, [&](std::string_view s) { return std::ranges::equal(scheme, s, {}, lower); });
}

// Why `url` is not an absolute URL with a host; nullptr if it is one.
[[nodiscard]] constexpr const char* url_fault(std::string_view url) {
  if (url.empty()) return "is empty";
  if (url.size() > kUrlBytesMax) return "is longer than 4096 bytes";
  if (has_control_characters(url) || url.find(' ') != std::string_view::npos) {
    return "contains spaces or control characters";
  }
  if (!is_utf8(url)) return "is not valid UTF-8";
  if (url_scheme(url).empty()) return "has no scheme such as https://";
  const std::string_view rest = url.substr(url_scheme(url).size() + 3);
  std::string_view host = rest.substr(0, rest.find_first_of("/?#"));
  if (const std::size_t at = host.rfind('@'); at != std::string_view::npos) {
    host.remove_prefix(at + 1);
  }
  if (host.empty() || host.front() == ':') return "has no host";
  return nullptr;
}

}  // namespace lanward::core
