#include "engine/core/credentials.h"

#include <algorithm>
#include <array>

namespace lanward::core {
namespace {

// What says how, and not who.
constexpr std::array<std::string_view, 14> kHarmless{
    "accept",
    "accept-charset",
    "accept-language",
    "cache-control",
    "dnt",
    "from",
    "pragma",
    "priority",
    "referer",
    "user-agent",
    "x-request-id",
    "traceparent",
    "tracestate",
    "te",
};

// Names in the query of signed URLs: of Amazon, Google, Azure and Akamai, of CloudFront and GitHub,
// and what people call theirs. Compared without case.
constexpr std::array<std::string_view, 22> kSecretNames{
    "access_token",
    "apikey",
    "api_key",
    "api-key",
    "auth",
    "auth_token",
    "authorization",
    "hdnea",
    "hdnts",
    "__token__",
    "jwt",
    "key-pair-id",
    "password",
    "private_token",
    "secret",
    "sig",
    "signature",
    "sign",
    "token",
    "x-amz-signature",
    "x-goog-signature",
    "x-amz-security-token",
};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

template <std::size_t n>
bool is_one_of(std::string_view name, const std::array<std::string_view, n>& names) {
  return std::ranges::any_of(names, [&](std::string_view each) { return same(each, name); });
}

}  // namespace

bool url_has_credentials(std::string_view url) {
  url = url.substr(0, url.find('#'));
  const std::size_t mark = url.find('?');
  const std::string_view place = url.substr(0, mark);
  const std::size_t scheme = place.find("://");
  if (scheme != std::string_view::npos) {
    const std::string_view rest = place.substr(scheme + 3);
    if (rest.substr(0, rest.find('/')).find('@') != std::string_view::npos) return true;
  }
  if (mark == std::string_view::npos) return false;
  std::string_view query = url.substr(mark + 1);
  while (!query.empty()) {
    const std::size_t end = query.find_first_of("&;");
    const std::string_view part = query.substr(0, end);
    if (is_one_of(part.substr(0, part.find('=')), kSecretNames)) return true;
    if (end == std::string_view::npos) break;
    query.remove_prefix(end + 1);
  }
  return false;
}

bool header_has_credentials(std::string_view line) {
  const std::string_view name = trimmed(line.substr(0, line.find(':')));
  return !name.empty() && !is_one_of(name, kHarmless);
}

bool have_credentials(const Requests& requests) {
  return requests.client_certificate || std::ranges::any_of(requests.urls, url_has_credentials) ||
         std::ranges::any_of(requests.headers, header_has_credentials);
}

}  // namespace lanward::core
