#include "engine/core/cache_url.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "engine/core/header_rules.h"
#include "engine/core/text.h"

namespace lanward::core {
namespace {

constexpr std::string_view kParameter = "cacheHostOrigin=";
// The longest name of the DNS.
constexpr std::size_t kHostBytesMax = 253;

struct Place {
  std::string_view host;  // IPv6 in brackets
  std::string_view port;  // empty: none given
};

// "HOST[:PORT]".
Place split_place(std::string_view text) {
  const std::size_t bracket = text.rfind(']');
  const std::size_t colon = text.find(':', bracket == std::string_view::npos ? 0 : bracket);
  if (colon == std::string_view::npos) return {text, {}};
  return {text.substr(0, colon), text.substr(colon + 1)};
}

bool is_port(std::string_view text) {
  std::uint32_t value = 0;
  if (text.empty() || text.size() > 5) return false;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    value = value * 10 + static_cast<std::uint32_t>(c - '0');
  }
  return value >= 1 && value <= 65535;
}

bool is_host(std::string_view host) {
  const auto all_of = [&](std::string_view text, std::string_view more, bool hex) {
    return !text.empty() && std::ranges::all_of(text, [&](char c) {
      const char last = hex ? 'f' : 'z';
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= last) ||
             (c >= 'A' && c <= last - 'a' + 'A') || more.find(c) != std::string_view::npos;
    });
  };
  if (host.size() > kHostBytesMax) return false;
  if (host.starts_with('[') && host.ends_with(']')) {
    return all_of(host.substr(1, host.size() - 2), ":.", true);
  }
  return all_of(host, "-._", false);
}

struct Url {
  std::string_view scheme;
  Place place;
  std::string_view path;   // with its '/', if there is one
  std::string_view query;  // without '?'
  bool has_query = false;
};

std::optional<Url> split_url(std::string_view text) {
  if (url_fault(text) != nullptr || !url_scheme_is_one_of(text, {"http", "https"})) return {};
  Url url{.scheme = url_scheme(text)};
  std::string_view rest = text.substr(url.scheme.size() + 3);
  rest = rest.substr(0, rest.find('#'));
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?"));
  rest.remove_prefix(authority.size());
  const std::size_t at = authority.rfind('@');
  url.place = split_place(at == std::string_view::npos ? authority : authority.substr(at + 1));
  if (!is_host(url.place.host) || (!url.place.port.empty() && !is_port(url.place.port))) return {};
  url.path = rest.substr(0, rest.find('?'));
  rest.remove_prefix(url.path.size());
  url.has_query = !rest.empty();
  if (url.has_query) url.query = rest.substr(1);
  return url;
}

bool has_parameter(std::string_view query) {
  while (!query.empty()) {
    if (query.starts_with(kParameter)) return true;
    const std::size_t next = query.find('&');
    if (next == std::string_view::npos) return false;
    query.remove_prefix(next + 1);
  }
  return false;
}

// What may stand in a value of a query. Brackets of IPv6 addresses may not.
std::string escaped(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  constexpr std::string_view kPlain = "-._~:";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<std::uint8_t>(c);
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (letter || kPlain.find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += {'%', kHex[byte >> 4U], kHex[byte & 15U]};
    }
  }
  return out;
}

Result<void> check_host(const std::string& host) {
  const Place place = split_place(host);
  const bool colon = host.size() > place.host.size();
  if (is_host(place.host) && (!colon || is_port(place.port))) return {};
  return fail(ErrorCode::invalid_argument,
              "cache host '" + host + "': expected HOST or HOST:PORT (IPv6: [ADDRESS]:PORT)");
}

Result<void> check_prefix(const std::string& prefix, const std::string& whole) {
  const auto url = split_url(prefix);
  const char* fault = nullptr;
  if (!url) {
    fault = url_fault(prefix) != nullptr ? url_fault(prefix) : "is not http or https";
  } else if (prefix.find_first_of("?#@") != std::string::npos) {
    fault = "has user info, a query or a fragment";
  }
  if (fault == nullptr) return {};
  return fail(ErrorCode::invalid_argument, "cache map '" + whole + "': '" + prefix + "' " + fault);
}

// Scheme and host in lower case; their length stays.
std::string with_lower_place(std::string_view url) {
  std::string text(url);
  const std::size_t end = text.find('/', url_scheme(url).size() + 3);
  std::transform(
      text.begin(), text.begin() + static_cast<std::ptrdiff_t>(std::min(end, text.size())),
      text.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

SourceUrl cache_source(const OriginSpec& origin, std::string url, std::uint32_t rank) {
  OriginSpec spec{.url = std::move(url), .price = PriceClass::cache_host, .priority = rank};
  spec.cache_host = header_host(spec.url);
  spec.original_host = header_host(origin.url);
  return {.spec = std::move(spec), .original = origin.url};
}

}  // namespace

Result<void> check_caches(const CacheHosts& caches) {
  if (caches.hosts.size() > kCacheHostsMax) {
    return fail(ErrorCode::invalid_argument,
                "cache hosts: more than " + std::to_string(kCacheHostsMax));
  }
  if (caches.maps.size() > kCacheMapsMax) {
    return fail(ErrorCode::invalid_argument,
                "cache maps: more than " + std::to_string(kCacheMapsMax));
  }
  for (const std::string& host : caches.hosts) {
    if (auto ok = check_host(host); !ok) return ok;
  }
  for (const CacheMap& map : caches.maps) {
    const std::string whole = map.prefix + "=" + map.cache_prefix;
    if (auto ok = check_prefix(map.prefix, whole); !ok) return ok;
    if (auto ok = check_prefix(map.cache_prefix, whole); !ok) return ok;
  }
  return {};
}

std::string cache_host_url(std::string_view text, std::string_view cache_host) {
  const auto url = split_url(text);
  if (!url || has_parameter(url->query)) return {};
  const Place cache = split_place(cache_host);
  std::string out(url->scheme);
  out += "://";
  out += cache.host;
  if (const std::string_view port = cache.port.empty() ? url->place.port : cache.port;
      !port.empty()) {
    out += ":";
    out += port;
  }
  out += url->path.empty() ? "/" : url->path;
  out += "?";
  if (url->has_query && !url->query.empty()) {
    out += url->query;
    out += "&";
  }
  out += kParameter;
  out += escaped(url->place.host);
  if (!cache.port.empty() && !url->place.port.empty()) {
    out += ":";
    out += escaped(url->place.port);
  }
  return out.size() <= kUrlBytesMax ? out : std::string();
}

std::string mapped_url(std::string_view text, const CacheMap& map) {
  if (!split_url(text)) return {};
  const std::string url = with_lower_place(text.substr(0, text.find('#')));
  const std::string prefix = with_lower_place(map.prefix);
  if (prefix.empty() || !url.starts_with(prefix)) return {};
  std::string_view rest = std::string_view(url).substr(prefix.size());
  if (!prefix.ends_with('/') && !rest.empty() && rest.front() != '/' && rest.front() != '?') {
    return {};
  }
  // One slash where the two meet: without it the rest would become part of a host's name.
  std::string out = map.cache_prefix;
  if (prefix.ends_with('/') && !out.ends_with('/')) out += '/';
  if (out.ends_with('/') && rest.starts_with('/')) rest.remove_prefix(1);
  out += rest;
  return out.size() <= kUrlBytesMax ? out : std::string();
}

std::vector<SourceUrl> with_caches(std::vector<OriginSpec> origins, const CacheHosts& caches,
                                   std::size_t max) {
  if (origins.size() > max) origins.resize(max);
  std::size_t room = max - origins.size();
  std::vector<SourceUrl> list;
  const auto add = [&](const OriginSpec& origin, std::string url, std::size_t rank) {
    const auto same = [&](const std::string& other) { return other == url; };
    if (url.empty() || room == 0 ||
        std::any_of(list.begin(), list.end(), [&](const auto& s) { return same(s.spec.url); }) ||
        std::any_of(origins.begin(), origins.end(), [&](const auto& o) { return same(o.url); })) {
      return;
    }
    list.push_back(cache_source(origin, std::move(url), static_cast<std::uint32_t>(rank)));
    --room;
  };
  for (const OriginSpec& origin : origins) {
    const auto map = std::find_if(caches.maps.begin(), caches.maps.end(), [&](const CacheMap& m) {
      return !mapped_url(origin.url, m).empty();
    });
    if (map != caches.maps.end()) add(origin, mapped_url(origin.url, *map), 0);
  }
  for (std::size_t i = 0; i < caches.hosts.size(); ++i) {
    for (const OriginSpec& origin : origins) {
      add(origin, cache_host_url(origin.url, caches.hosts[i]), i + 1);
    }
  }
  for (OriginSpec& origin : origins) {
    std::string original = origin.url;
    list.push_back({.spec = std::move(origin), .original = std::move(original)});
  }
  return list;
}

}  // namespace lanward::core
