#include "cdn/client_context.h"

#include <algorithm>
#include <optional>

#include "cdn/url.h"
#include "engine/core/header_rules.h"
#include "engine/core/text.h"

namespace lanward::cdn {
namespace {

// Servers of one client that want Digest: a file has a handful of mirrors.
constexpr std::size_t kDigestPlacesMax = 64;

[[nodiscard]] std::string place_of(const std::string& url) {
  const auto parts = split_url(url);
  return parts ? parts->scheme + "://" + parts->host + ":" + parts->port : std::string();
}

[[nodiscard]] std::optional<ProxyAddress> read_proxy(std::string url) {
  if (core::url_scheme(url).empty()) url.insert(0, "http://");  // as libcurl reads it
  if (!core::url_scheme_is_one_of(url, {"http", "https", "socks5h"})) return std::nullopt;
  auto parts = split_url(url);
  if (!parts) return std::nullopt;
  ProxyAddress out{parts->scheme + "://" + parts->host, std::move(parts->user),
                   std::move(parts->password)};
  if (!parts->port.empty()) out.url += ":" + parts->port;
  return out;
}

// libcurl takes "Name:" for a header to leave out and "Name;" for one without a value.
[[nodiscard]] std::string line_for_libcurl(const std::string& line) {
  const std::size_t colon = line.find(':');
  if (line.find_first_not_of(' ', colon + 1) != std::string::npos) return line;
  return line.substr(0, colon) + ";";
}

}  // namespace

ClientContext::ClientContext(ports::FactSink facts, ports::OriginSettings settings)
    : facts_(std::move(facts)), settings_(std::move(settings)) {
  const auto checked = core::check_headers(settings_.headers);
  if (!checked) fault_ = checked.error().message;
  if (settings_.proxy.usage != ProxySettings::Usage::use) return;
  if (auto proxy = read_proxy(settings_.proxy.proxy)) {
    proxy_ = std::move(*proxy);
  } else {
    fault_ = "the proxy is not a http, https or socks5h URL";
  }
}

bool ClientContext::names(const std::string& url) const {
  const auto parts = split_url(url);
  return parts && core::names_host(settings_.header_hosts, parts->scheme, parts->host, parts->port);
}

std::vector<std::string> ClientContext::headers_for(const std::string& url) const {
  std::vector<std::string> lines;
  if (settings_.headers.empty() || !names(url)) return lines;
  std::ranges::transform(settings_.headers, std::back_inserter(lines), line_for_libcurl);
  return lines;
}

void ClientContext::note_reply(std::string_view block) {
  // Whole lines, without the empty one that ends the block.
  if (block.size() > ports::kReplyHeadersBytesMax) {
    block = block.substr(0, ports::kReplyHeadersBytesMax);
    block = block.substr(0, block.rfind('\n') + 1);
  }
  if (block.ends_with("\n\r\n")) block.remove_suffix(2);
  if (block.ends_with("\n\n")) block.remove_suffix(1);
  const std::lock_guard lock(mutex_);
  reply_headers_ = block;
}

std::string ClientContext::reply_headers() const {
  const std::lock_guard lock(mutex_);
  return reply_headers_;
}

void ClientContext::note_digest(const std::string& url) {
  const std::lock_guard lock(mutex_);
  if (digest_places_.size() < kDigestPlacesMax) digest_places_.insert(place_of(url));
}

bool ClientContext::wants_digest(const std::string& url) const {
  const std::lock_guard lock(mutex_);
  return !digest_places_.empty() && digest_places_.contains(place_of(url));
}

void ClientContext::set_rate_limit(core::ByteRate rate, core::Instant now) {
  const std::lock_guard lock(mutex_);
  bucket_.set_rate(rate, now);
  limited_ = bucket_.limited();
}

bool ClientContext::take_tokens(core::ByteCount bytes, core::Instant now) {
  const std::lock_guard lock(mutex_);
  return bucket_.take(bytes, now);
}

core::Instant ClientContext::tokens_ready(core::Instant now) {
  const std::lock_guard lock(mutex_);
  return bucket_.next_ready(now);
}

}  // namespace lanward::cdn
