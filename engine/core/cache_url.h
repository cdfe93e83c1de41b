// The URLs under which the caches of a site have the files of origins.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <lanward/error.h>
#include <lanward/types.h>

#include "engine/core/origin_spec.h"

namespace lanward::core {

inline constexpr std::size_t kCacheHostsMax = 16;
inline constexpr std::size_t kCacheMapsMax = 64;

// Errors: invalid_argument; the message tells which entry is wrong and why.
[[nodiscard]] Result<void> check_caches(const CacheHosts& caches);

// The URL at a cache of the Connected Cache kind: scheme, path and query are kept, the host is
// replaced, the port too if `cache_host` names one, and cacheHostOrigin=HOST is added to the query;
// HOST:PORT where the port of the origin is lost otherwise. User info and fragment are left out.
// Empty: no http(s) URL, one of a cache already, or too long.
// REQUIRES: `cache_host` is checked.
[[nodiscard]] std::string cache_host_url(std::string_view url, std::string_view cache_host);

// The URL at a plain reverse cache; empty: the map does not fit, or the result is too long. A
// prefix ends where a part of the path ends.
[[nodiscard]] std::string mapped_url(std::string_view url, const CacheMap& map);

// One origin to ask, and whose file it has.
struct SourceUrl {
  OriginSpec spec;
  std::string original;  // the origin's URL; the same unless it is a cache's
};

// The caches of the origins, then the origins, `max` in all at most; caches are left out first.
// REQUIRES: check_caches(caches).
[[nodiscard]] std::vector<SourceUrl> with_caches(std::vector<OriginSpec> origins,
                                                 const CacheHosts& caches, std::size_t max);

}  // namespace lanward::core
