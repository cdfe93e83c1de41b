// URLs as libcurl reads them, so that what is printed or resolved is what is asked for.
#pragma once

#include <string>

namespace lanward::cdn {

// scheme://host[:port]/path: user info and query may hold secrets and stay out of messages.
[[nodiscard]] std::string printable_url(const std::string& url);

// An absolute URL for a link target found at `base`. A target with a scheme of its own that is not
// http(s), such as a magnet link, is returned as it stands. Empty: cannot be resolved.
[[nodiscard]] std::string resolve_url(const std::string& base, const std::string& target);

// Lower case; empty when the URL cannot be read.
[[nodiscard]] std::string url_scheme(const std::string& url);

}  // namespace lanward::cdn
