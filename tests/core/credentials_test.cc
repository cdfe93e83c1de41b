#include "engine/core/credentials.h"

#include <gtest/gtest.h>

namespace lanward::core {
namespace {

TEST(Credentials, OfUrlsAreUsersAndSignatures) {
  for (const char* url : {
           "http://user:secret@cdn.test/file",
           "https://user@cdn.test/file",
           "http://user@cdn.test",
           "http://u%40x:p@cdn.test?x=1",
           "http://cdn.test/f?token=1",
           "http://cdn.test/f?a=1&Signature=x",
           "http://cdn.test/f?X-Amz-Signature=9&b=2",
           "http://cdn.test/f?sv=1&sig=x#top",
           "http://cdn.test/f?a=1;TOKEN=2",
           "http://cdn.test/f?access_token",
       }) {
    EXPECT_TRUE(url_has_credentials(url)) << url;
  }
  for (const char* url : {
           "",
           "http://cdn.test/file",
           "http://cdn.test/a@b/file",
           "http://cdn.test/f?a=b@c",
           "http://cdn.test/f?version=1&P1=2",
           "http://cdn.test/token=1",
           "http://cdn.test/f#?token=1",
           "http://cdn.test/f?my-token-of-thanks=1",
           "/local/path@2.torrent",
           "http://cdn.test/f?",
       }) {
    EXPECT_FALSE(url_has_credentials(url)) << url;
  }
}

TEST(Credentials, OfHeadersAreAllButThoseThatAreKnownToBeNone) {
  for (const char* line :
       {"Authorization: Basic eA==", "authorization:x", "Cookie: a=b", "X-Api-Key: 1",
        "PRIVATE-TOKEN: 1", "X-Whatever: 1", "Cookie", "Proxy-Authorization: x"}) {
    EXPECT_TRUE(header_has_credentials(line)) << line;
  }
  for (const char* line : {"User-Agent: x", "user-agent : x", "Accept: */*", "Accept-Language: de",
                           "Referer: http://a/", "Cache-Control: no-cache", ""}) {
    EXPECT_FALSE(header_has_credentials(line)) << line;
  }
}

TEST(Credentials, OfRequestsAreAnyOfThem) {
  EXPECT_FALSE(have_credentials({}));
  EXPECT_FALSE(have_credentials({.urls = {"http://a/b", ""}, .headers = {"User-Agent: x"}}));
  EXPECT_TRUE(have_credentials({.urls = {"http://a/b", "http://u:p@mirror/b"}}));
  EXPECT_TRUE(
      have_credentials({.urls = {"http://a/b"}, .headers = {"User-Agent: x", "Cookie: y"}}));
  EXPECT_TRUE(have_credentials({.urls = {"http://a/b"}, .client_certificate = true}));
}

}  // namespace
}  // namespace lanward::core
