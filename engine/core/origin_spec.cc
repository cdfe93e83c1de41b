#include "engine/core/origin_spec.h"

#include <charconv>
#include <system_error>

namespace lanward::core {
namespace {

constexpr std::string_view kPriority = ";pri=";
constexpr std::uint32_t kPriorityMax = 999'999;  // of RFC 6249 and RFC 5854

}  // namespace

OriginSpec parse_origin(std::string_view text) {
  const std::size_t at = text.rfind(kPriority);
  if (at == std::string_view::npos) return {.url = std::string(text)};
  const std::string_view digits = text.substr(at + kPriority.size());
  const char* const end = digits.data() + digits.size();
  std::uint32_t priority = 0;
  const auto [stop, error] = std::from_chars(digits.data(), end, priority);
  if (error != std::errc{} || stop != end || priority > kPriorityMax) {
    return {.url = std::string(text)};
  }
  return {.url = std::string(text.substr(0, at)), .priority = priority};
}

std::string origin_text(const OriginSpec& origin) {
  // A URL may end like this itself.
  if (origin.priority == 0 && parse_origin(origin.url).url == origin.url) return origin.url;
  return origin.url + std::string(kPriority) + std::to_string(origin.priority);
}

}  // namespace lanward::core
