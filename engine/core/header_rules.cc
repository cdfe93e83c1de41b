#include "engine/core/header_rules.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "engine/core/text.h"

namespace lanward::core {
namespace {

// What a request says of its own about ranges, coding, framing and addressee. Another value would
// bring other bytes than those asked for, or to another request.
constexpr std::array<std::string_view, 7> kReserved{
    "range",      "if-range",       "accept-encoding",   "host",
    "connection", "content-length", "transfer-encoding",
};

[[nodiscard]] std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

// A character of a header's name (RFC 9110, 5.6.2).
[[nodiscard]] bool is_token(char c) {
  static constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
         kMarks.find(c) != std::string_view::npos;
}

// Why a line may not be sent; nothing if it may.
[[nodiscard]] std::optional<std::string> fault_of(std::string_view line) {
  // First, so that what is repeated below can be shown.
  if (line.find_first_of("\r\n") != std::string_view::npos) return "contains a line break";
  if (has_control_characters(line)) return "contains control characters";
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return "has no colon: write it as \"Name: value\"";
  const std::string_view name = line.substr(0, colon);
  if (name.empty()) return "has no name before the colon";
  if (!std::ranges::all_of(name, is_token)) {
    return "has a name with characters other than letters, digits and hyphens";
  }
  if (std::ranges::find(kReserved, lower(name)) == kReserved.end()) return std::nullopt;
  return "cannot be set: " + std::string(name) + " belongs to the download itself";
}

[[nodiscard]] std::string_view default_port(std::string_view scheme) {
  if (scheme == "http") return "80";
  if (scheme == "https") return "443";
  return {};
}

}  // namespace

Result<void> check_headers(std::span<const std::string> headers) {
  if (headers.size() > kCustomHeadersMax) {
    return fail(ErrorCode::invalid_argument, std::to_string(headers.size()) +
                                                 " custom headers are too many: at most " +
                                                 std::to_string(kCustomHeadersMax) + " may be set");
  }
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < headers.size(); ++i) {
    bytes += headers[i].size();
    const auto fault = fault_of(headers[i]);
    if (!fault) continue;
    return fail(ErrorCode::invalid_argument,
                "custom header " + std::to_string(i + 1) + " " + *fault);
  }
  if (bytes <= kCustomHeaderBytesMax) return {};
  return fail(ErrorCode::invalid_argument,
              "the custom headers have " + std::to_string(bytes) + " bytes together, at most " +
                  std::to_string(kCustomHeaderBytesMax) + " may be sent");
}

std::string header_host(std::string_view url) {
  if (url_fault(url) != nullptr) return {};
  const std::string scheme = lower(url_scheme(url));
  if (default_port(scheme).empty()) return {};
  std::string_view place = url.substr(scheme.size() + std::string_view("://").size());
  place = place.substr(0, place.find_first_of("/?#"));
  if (const auto at = place.rfind('@'); at != std::string_view::npos) place.remove_prefix(at + 1);
  const auto colon = place.rfind(':');
  const auto bracket = place.rfind(']');
  const bool has_port =
      colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
  std::string out = lower(has_port ? place.substr(0, colon) : place);
  const std::string_view port = has_port ? place.substr(colon + 1) : std::string_view{};
  return out.append(":").append(port.empty() ? default_port(scheme) : port);
}

bool names_host(std::span<const std::string> hosts, std::string_view scheme, std::string_view host,
                std::string_view port) {
  const std::string bare = lower(host);
  const std::string full = bare + ":" + std::string(port);
  const bool implied = !port.empty() && port == default_port(scheme);
  return !bare.empty() && std::ranges::any_of(hosts, [&](const std::string& entry) {
    const std::string name = lower(entry);
    return name == full || (implied && name == bare);
  });
}

}  // namespace lanward::core
