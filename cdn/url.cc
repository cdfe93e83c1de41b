#include "cdn/url.h"

#include <curl/curl.h>

#include <memory>

#include "cdn/reply_rules.h"

namespace lanward::cdn {
namespace {

using UrlHandle = std::unique_ptr<CURLU, decltype(&curl_url_cleanup)>;

[[nodiscard]] UrlHandle parse(const std::string& url) {
  UrlHandle handle{curl_url(), curl_url_cleanup};
  if (handle && curl_url_set(handle.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) {
    handle.reset();
  }
  return handle;
}

[[nodiscard]] std::string part(const UrlHandle& url, CURLUPart what) {
  char* text = nullptr;
  if (curl_url_get(url.get(), what, &text, 0) != CURLUE_OK) return {};
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

}  // namespace

std::string printable_url(const std::string& url) {
  const UrlHandle handle = parse(url);
  if (!handle) return "(not a URL)";
  curl_url_set(handle.get(), CURLUPART_USER, nullptr, 0);
  curl_url_set(handle.get(), CURLUPART_PASSWORD, nullptr, 0);
  curl_url_set(handle.get(), CURLUPART_OPTIONS, nullptr, 0);
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

std::string url_scheme(const std::string& url) {
  const UrlHandle handle = parse(url);
  return handle ? part(handle, CURLUPART_SCHEME) : std::string{};
}

}  // namespace lanward::cdn
