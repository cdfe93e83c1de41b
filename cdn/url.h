// URLs as libcurl reads them, so that what is printed or resolved is what is asked for.
#pragma once

#include <optional>
#include <string>

namespace lanward::cdn {

// scheme://host[:port]/path: user info and query may hold secrets and stay out of messages.
[[nodiscard]] std::string printable_url(const std::string& url);

// An absolute URL for a link target found at `base`. A target with a scheme of its own that is not
// http(s), such as a magnet link, is returned as it stands. Empty: cannot be resolved.
[[nodiscard]] std::string resolve_url(const std::string& base, const std::string& target);

struct UrlParts {
  std::string scheme;    // lower case
  std::string user;      // decoded
  std::string password;  // decoded
  std::string host;      // lower case; IPv6 in brackets
  std::string port;      // the one that http and https imply included; else perhaps empty
};
// Any scheme. Nothing when the URL cannot be read.
[[nodiscard]] std::optional<UrlParts> split_url(const std::string& url);

// Where a redirect from `base` to `location` leads, without fragment. User info of `base` is kept
// on the same scheme, host and port only. Empty: cannot be resolved. The scheme may be any.
[[nodiscard]] std::string redirect_url(const std::string& base, const std::string& location);

// Lower case; empty when the URL cannot be read.
[[nodiscard]] std::string url_scheme(const std::string& url);

}  // namespace lanward::cdn
