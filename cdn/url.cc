#include "cdn/url.h"

#include <curl/curl.h>

#include <memory>

#include "cdn/reply_rules.h"

namespace lanward::cdn {
namespace {

using UrlHandle = std::unique_ptr<CURLU, decltype(&curl_url_cleanup)>;

[[nodiscard]] UrlHandle parse(const std::string& url, unsigned flags = 0) {
  UrlHandle handle{curl_url(), curl_url_cleanup};
  if (handle && curl_url_set(handle.get(), CURLUPART_URL, url.c_str(), flags) != CURLUE_OK) {
    handle.reset();
  }
  return handle;
}

[[nodiscard]] std::string part(const UrlHandle& url, CURLUPart what, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url.get(), what, &text, flags) != CURLUE_OK) return {};
  std::string out = text;
  curl_free(text);
  return out;
}

// The scheme in front of an absolute reference (RFC 3986, 3.1); empty for a relative one.
[[nodiscard]] std::string_view scheme_of(std::string_view reference) {
  const auto end = reference.find_first_not_of(
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
  if (end == 0 || end == std::string_view::npos || reference[end] != ':') return {};
  return reference.substr(0, end);
}

[[nodiscard]] std::string lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

void drop_user_info(const UrlHandle& url) {
  curl_url_set(url.get(), CURLUPART_USER, nullptr, 0);
  curl_url_set(url.get(), CURLUPART_PASSWORD, nullptr, 0);
  curl_url_set(url.get(), CURLUPART_OPTIONS, nullptr, 0);
}

[[nodiscard]] std::string place_of(const UrlHandle& url) {
  return part(url, CURLUPART_SCHEME) + "://" + lower(part(url, CURLUPART_HOST)) + ":" +
         part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
}

}  // namespace

std::string printable_url(const std::string& url) {
  const UrlHandle handle = parse(url);
  if (!handle) return "(not a URL)";
  drop_user_info(handle);
  curl_url_set(handle.get(), CURLUPART_QUERY, nullptr, 0);
  curl_url_set(handle.get(), CURLUPART_FRAGMENT, nullptr, 0);
  return printable(part(handle, CURLUPART_URL));
}

std::string resolve_url(const std::string& base, const std::string& target) {
  if (target.find('\0') != std::string::npos) return {};
  const std::string_view scheme = scheme_of(target);
  if (!scheme.empty() && !scheme.starts_with("http") && !scheme.starts_with("HTTP")) return target;
  const UrlHandle handle = parse(base);
  if (!handle) return {};
  if (curl_url_set(handle.get(), CURLUPART_URL, target.c_str(), 0) != CURLUE_OK) return {};
  curl_url_set(handle.get(), CURLUPART_FRAGMENT, nullptr, 0);
  return part(handle, CURLUPART_URL);
}

std::optional<UrlParts> split_url(const std::string& url) {
  if (url.find('\0') != std::string::npos) return std::nullopt;
  const UrlHandle handle = parse(url, CURLU_NON_SUPPORT_SCHEME);
  if (!handle) return std::nullopt;
  return UrlParts{
      lower(part(handle, CURLUPART_SCHEME)), part(handle, CURLUPART_USER, CURLU_URLDECODE),
      part(handle, CURLUPART_PASSWORD, CURLU_URLDECODE), lower(part(handle, CURLUPART_HOST)),
      part(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT)};
}

std::string redirect_url(const std::string& base, const std::string& location) {
  if (location.find('\0') != std::string::npos) return {};
  const UrlHandle handle = parse(base);
  if (!handle) return {};
  const std::string place = place_of(handle);
  const std::string user = part(handle, CURLUPART_USER);
  const std::string password = part(handle, CURLUPART_PASSWORD);
  drop_user_info(handle);  // what it holds afterwards is from the location
  // Servers send spaces and other characters that do not belong there, and mean them.
  constexpr unsigned kLenient = CURLU_URLENCODE | CURLU_ALLOW_SPACE | CURLU_NON_SUPPORT_SCHEME;
  if (curl_url_set(handle.get(), CURLUPART_URL, location.c_str(), kLenient) != CURLUE_OK) return {};
  curl_url_set(handle.get(), CURLUPART_FRAGMENT, nullptr, 0);
  if (part(handle, CURLUPART_USER).empty() && place_of(handle) == place) {
    if (!user.empty()) curl_url_set(handle.get(), CURLUPART_USER, user.c_str(), 0);
    if (!password.empty()) curl_url_set(handle.get(), CURLUPART_PASSWORD, password.c_str(), 0);
  }
  return part(handle, CURLUPART_URL);
}

std::string url_scheme(const std::string& url) {
  const UrlHandle handle = parse(url);
  return handle ? part(handle, CURLUPART_SCHEME) : std::string{};
}

}  // namespace lanward::cdn
