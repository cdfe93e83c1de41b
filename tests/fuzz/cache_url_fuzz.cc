// Any URL that a document names, any cache host and any map: what comes of them is nothing, or a
// URL at the cache and nowhere else. Input: lines of URL, host, prefix, cache prefix.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "engine/core/cache_url.h"
#include "engine/core/header_rules.h"
#include "engine/core/text.h"

namespace {

using namespace lanward;

void require(bool condition) {
  if (!condition) std::abort();
}

// The host, without the port.
std::string host_of(const std::string& url) {
  const std::string place = core::header_host(url);
  return place.substr(0, place.rfind(':'));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest{reinterpret_cast<const char*>(data), size};
  std::array<std::string, 4> lines;
  for (std::string& line : lines) {
    const std::size_t end = rest.find('\n');
    line = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
  }
  const auto& [url, host, prefix, cache_prefix] = lines;
  const CacheHosts hosts{.hosts = {host}, .maps = {}};
  if (core::check_caches(hosts)) {
    const std::string at_cache = core::cache_host_url(url, host);
    if (!at_cache.empty()) {
      require(core::url_fault(at_cache) == nullptr);
      require(core::url_scheme(at_cache) == core::url_scheme(url));
      require(at_cache.find("cacheHostOrigin=") != std::string::npos);
      require(core::cache_host_url(at_cache, host).empty());
      // Where the URL has a host that can be asked at all.
      if (!core::header_host(url).empty()) {
        require(host_of(at_cache) == host_of("http://" + host + "/"));
      }
    }
  }
  const CacheHosts maps{.hosts = {}, .maps = {{prefix, cache_prefix}}};
  if (core::check_caches(maps)) {
    const std::string at_cache = core::mapped_url(url, maps.maps.front());
    if (!at_cache.empty()) {
      require(at_cache.starts_with(cache_prefix));
      require(core::header_host(at_cache) == core::header_host(cache_prefix));
      require(core::header_host(url) == core::header_host(prefix));
    }
    const auto all = core::with_caches({{.url = url}}, {{}, maps.maps}, 2);
    require(!all.empty() && all.size() <= 2 && all.back().spec.url == url);
  }
  return 0;
}
