#include "engine/core/cache_url.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/core/text.h"

namespace lanward::core {
namespace {

TEST(CacheHostUrl, KeepsSchemePathAndQueryAndNamesTheOrigin) {
  EXPECT_EQ(cache_host_url("http://cdn.example/a/b.bin", "cache.site"),
            "http://cache.site/a/b.bin?cacheHostOrigin=cdn.example");
  EXPECT_EQ(cache_host_url("https://cdn.example/a?x=1&y=%20", "10.0.0.7"),
            "https://10.0.0.7/a?x=1&y=%20&cacheHostOrigin=cdn.example");
  EXPECT_EQ(cache_host_url("http://cdn.example/a?", "c"), "http://c/a?cacheHostOrigin=cdn.example");
}

TEST(CacheHostUrl, ThePortIsTheOriginsUnlessTheCacheNamesOne) {
  EXPECT_EQ(cache_host_url("http://cdn.example:8080/a", "c"),
            "http://c:8080/a?cacheHostOrigin=cdn.example");
  EXPECT_EQ(cache_host_url("http://cdn.example/a", "c:81"),
            "http://c:81/a?cacheHostOrigin=cdn.example");
}

TEST(CacheHostUrl, APortThatWouldBeLostIsNamedWithTheOrigin) {
  EXPECT_EQ(cache_host_url("http://cdn.example:8080/a", "c:81"),
            "http://c:81/a?cacheHostOrigin=cdn.example:8080");
}

TEST(CacheHostUrl, AddressesOfIpV6AreUnderstood) {
  EXPECT_EQ(cache_host_url("http://[2001:db8::1]:80/a", "[::1]:3128"),
            "http://[::1]:3128/a?cacheHostOrigin=%5B2001:db8::1%5D:80");
  EXPECT_EQ(cache_host_url("http://[2001:db8::1]/a", "[::1]"),
            "http://[::1]/a?cacheHostOrigin=%5B2001:db8::1%5D");
}

TEST(CacheHostUrl, CredentialsAndFragmentsStayBehind) {
  EXPECT_EQ(cache_host_url("http://user:secret@cdn.example/a#part", "c"),
            "http://c/a?cacheHostOrigin=cdn.example");
}

TEST(CacheHostUrl, AnEmptyPathIsTheRoot) {
  EXPECT_EQ(cache_host_url("http://cdn.example", "c"), "http://c/?cacheHostOrigin=cdn.example");
  EXPECT_EQ(cache_host_url("http://cdn.example?q=1", "c"),
            "http://c/?q=1&cacheHostOrigin=cdn.example");
}

TEST(CacheHostUrl, NothingIsMadeOfWhatNoCacheCanHave) {
  EXPECT_EQ(cache_host_url("ftp://cdn.example/a", "c"), "");
  EXPECT_EQ(cache_host_url("http://", "c"), "");
  EXPECT_EQ(cache_host_url("http://cdn.example:80:81/a", "c"), "");
  EXPECT_EQ(cache_host_url("http://cdn example/a", "c"), "");
  EXPECT_EQ(cache_host_url("http://c/a?cacheHostOrigin=cdn.example", "d"), "");
  EXPECT_EQ(cache_host_url("http://c/a?x=1&cacheHostOrigin=cdn.example", "d"), "");
  EXPECT_NE(cache_host_url("http://c/a?notcacheHostOrigin=1", "d"), "");
  EXPECT_EQ(cache_host_url("http://h/" + std::string(kUrlBytesMax - 9, 'a'), "c"), "");
}

TEST(CacheMap, ReplacesThePrefixAndKeepsTheRest) {
  const CacheMap map{"http://cdn.example/pub/", "http://cache.site:3128/cdn/"};
  EXPECT_EQ(mapped_url("http://cdn.example/pub/a.bin?x=1", map),
            "http://cache.site:3128/cdn/a.bin?x=1");
  EXPECT_EQ(mapped_url("http://cdn.example/other/a.bin", map), "");
  EXPECT_EQ(mapped_url("https://cdn.example/pub/a.bin", map), "");
}

TEST(CacheMap, APrefixEndsWhereAPartOfThePathEnds) {
  const CacheMap map{"https://cdn.example", "http://cache.site"};
  EXPECT_EQ(mapped_url("https://cdn.example/a", map), "http://cache.site/a");
  EXPECT_EQ(mapped_url("https://cdn.example?q", map), "http://cache.site?q");
  EXPECT_EQ(mapped_url("https://cdn.example.evil.test/a", map), "");
  EXPECT_EQ(mapped_url("https://cdn.example:444/a", map), "");
  EXPECT_EQ(mapped_url("https://cdn.example/pubs/a", {"https://cdn.example/pub", "http://c"}), "");
}

TEST(CacheMap, HostsAreComparedWithoutCaseAndPathsWithIt) {
  const CacheMap map{"HTTP://CDN.example/Pub/", "http://c/"};
  EXPECT_EQ(mapped_url("http://cdn.EXAMPLE/Pub/A", map), "http://c/A");
  EXPECT_EQ(mapped_url("http://cdn.example/pub/A", map), "");
}

std::string fault(const CacheHosts& caches) {
  const auto checked = check_caches(caches);
  return checked ? std::string() : checked.error().message;
}

TEST(CacheHosts, ThatCannotBeHostsAreRefusedByName) {
  for (const char* good :
       {"cache", "cache.site", "10.0.0.1:80", "[::1]", "[fe80::1]:8080", "a_b"}) {
    EXPECT_EQ(fault({.hosts = {good}, .maps = {}}), "") << good;
  }
  for (const char* bad : {"", "http://cache", "cache/", "cache:", "cache:0", "cache:65536", "a b",
                          "user@cache", "::1", "[::1", "[]", "cache:80:80", "c\n", "caché"}) {
    EXPECT_NE(fault({.hosts = {"fine", bad}, .maps = {}}).find("'" + std::string(bad) + "'"),
              std::string::npos)
        << bad;
  }
  EXPECT_NE(fault({.hosts = std::vector<std::string>(17, "c"), .maps = {}}), "");
}

TEST(CacheMap, ThatIsNoPairOfUrlsIsRefusedByName) {
  EXPECT_EQ(fault({.hosts = {}, .maps = {{"http://a/", "https://b/c"}}}), "");
  for (const CacheMap& bad : {CacheMap{"", "http://b"}, CacheMap{"http://a", ""},
                              CacheMap{"ftp://a", "http://b"}, CacheMap{"http://a?x", "http://b"},
                              CacheMap{"http://u@a", "http://b"}, CacheMap{"http://a", "b"}}) {
    EXPECT_NE(fault({.hosts = {}, .maps = {bad}}).find(bad.prefix + "=" + bad.cache_prefix),
              std::string::npos);
  }
  EXPECT_NE(fault({.hosts = {}, .maps = std::vector<CacheMap>(65, {"http://a", "http://b"})}), "");
}

std::vector<std::string> urls_of(const std::vector<SourceUrl>& sources) {
  std::vector<std::string> urls;
  for (const SourceUrl& source : sources) urls.push_back(source.spec.url);
  return urls;
}

TEST(WithCaches, CachesComeFirstInTheirOrderAndOriginsStayAsTheyAre) {
  const std::vector<OriginSpec> origins{{.url = "http://a/f", .priority = 3},
                                        {.url = "http://b:90/f", .price = PriceClass::costly}};
  const auto list =
      with_caches(origins, {.hosts = {"c1", "c2:5"}, .maps = {{"http://a", "http://m"}}}, 64);
  EXPECT_EQ(urls_of(list),
            (std::vector<std::string>{
                "http://m/f", "http://c1/f?cacheHostOrigin=a", "http://c1:90/f?cacheHostOrigin=b",
                "http://c2:5/f?cacheHostOrigin=a", "http://c2:5/f?cacheHostOrigin=b:90",
                "http://a/f", "http://b:90/f"}));
  EXPECT_EQ(list[0].spec.price, PriceClass::cache_host);
  EXPECT_LT(list[1].spec.priority, list[3].spec.priority);
  EXPECT_EQ(list[3].original, "http://a/f");
  EXPECT_EQ(list[3].spec.cache_host, "c2:5");
  EXPECT_EQ(list[4].spec.original_host, "b:90");
  EXPECT_EQ(list[5].spec, origins[0]);
  EXPECT_EQ(list[6].spec, origins[1]);
  EXPECT_EQ(list[6].original, "http://b:90/f");
}

TEST(WithCaches, WithoutCachesNothingChanges) {
  const std::vector<OriginSpec> origins{{.url = "http://a/f"}};
  EXPECT_EQ(urls_of(with_caches(origins, {}, 64)), std::vector<std::string>{"http://a/f"});
}

TEST(WithCaches, OriginsAreNotCrowdedOut) {
  std::vector<OriginSpec> origins;
  for (int i = 0; i < 6; ++i) origins.push_back({.url = "http://h" + std::to_string(i) + "/f"});
  const auto list = with_caches(origins, {.hosts = {"c", "d"}, .maps = {}}, 8);
  ASSERT_EQ(list.size(), 8U);
  EXPECT_EQ(list[2].spec, origins[0]);
  EXPECT_EQ(with_caches(origins, {.hosts = {"c"}, .maps = {}}, 4).size(), 4U);
}

TEST(WithCaches, NoUrlIsAskedTwice) {
  const auto list = with_caches({{.url = "http://a/f"}, {.url = "http://m/f"}},
                                {.hosts = {"c", "c"}, .maps = {{"http://a", "http://m"}}}, 64);
  EXPECT_EQ(urls_of(list),
            (std::vector<std::string>{"http://c/f?cacheHostOrigin=a",
                                      "http://c/f?cacheHostOrigin=m", "http://a/f", "http://m/f"}));
}

TEST(CacheMap, PrefixesMeetWithOneSlash) {
  const std::string url = "http://cdn.example/a/f?x";
  EXPECT_EQ(mapped_url(url, {"http://cdn.example/", "https://cache"}), "https://cache/a/f?x");
  EXPECT_EQ(mapped_url(url, {"http://cdn.example", "https://cache/"}), "https://cache/a/f?x");
  EXPECT_EQ(mapped_url(url, {"http://cdn.example/a/", "https://cache/b/"}), "https://cache/b/f?x");
  EXPECT_EQ(mapped_url(url, {"http://cdn.example", "https://cache"}), "https://cache/a/f?x");
}

}  // namespace
}  // namespace lanward::core
