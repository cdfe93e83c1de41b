#include "engine/core/header_rules.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace lanward::core {
namespace {

using Lines = std::vector<std::string>;

std::string fault(const Lines& lines) {
  const auto checked = check_headers(lines);
  if (checked) return {};
  EXPECT_EQ(checked.error().code, ErrorCode::invalid_argument);
  return checked.error().message;
}

TEST(CustomHeaders, OfTheUsualKindsMayBeSet) {
  EXPECT_EQ(fault({}), "");
  EXPECT_EQ(fault({"Authorization: Bearer abc:def", "Cookie: a=b; c=\"d\"", "X-Empty:", "x-tight:1",
                   "User-Agent: mine/1.0", "Accept: */*", "X-Name: \xc3\xa4"}),
            "");
}

TEST(CustomHeaders, ThatAreWrongAreNamedByPositionAndCause) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"no-colon", "no colon"},
      {"", "no colon"},
      {": value", "no name"},
      {"Two Words: x", "name with characters"},
      {" Folded: x", "name with characters"},
      {"Trailing : x", "name with characters"},
      {"N\xc3\xa4me: x", "name with characters"},
      {"X: a\r\nHost: evil", "line break"},
      {"X: a\nY: b", "line break"},
      {"X: a\rb", "line break"},
      {std::string("X: a\0b", 6), "control characters"},
      {"X: a\tb", "control characters"},
      {"X: a\x7f", "control characters"},
  };
  for (const auto& [line, cause] : cases) {
    const std::string message = fault({"X-Good: 1", line});
    EXPECT_NE(message.find("custom header 2 "), std::string::npos) << message;
    EXPECT_NE(message.find(cause), std::string::npos) << message;
  }
}

TEST(CustomHeaders, OfTheDownloadItselfAreReservedInAnyCase) {
  for (const char* name : {"Range", "If-Range", "Accept-Encoding", "Host", "Connection",
                           "Content-Length", "Transfer-Encoding", "RANGE", "host"}) {
    EXPECT_NE(fault({std::string(name) + ": x"}).find(name), std::string::npos) << name;
  }
  EXPECT_EQ(fault({"Range-Unit: x", "X-Host: y"}), "");
}

TEST(CustomHeaders, NeverAppearWithTheirValuesInAMessage) {
  for (const char* line : {"secret", "Host: secret", "Bad Name secret: secret", "X: secret\n"}) {
    const std::string message = fault({line});
    EXPECT_NE(message, "") << line;
    EXPECT_EQ(message.find("secret"), std::string::npos) << message;
  }
}

TEST(CustomHeaders, AreBoundedInNumberAndBytes) {
  EXPECT_EQ(fault(Lines(kCustomHeadersMax, "X: 1")), "");
  EXPECT_NE(fault(Lines(kCustomHeadersMax + 1, "X: 1")), "");
  const std::string half(kCustomHeaderBytesMax / 2 - 3, 'v');
  EXPECT_EQ(fault({"X: " + half, "Y: " + half}), "");
  EXPECT_NE(fault({"X: " + half, "Y: " + half + "v"}).find("16385"), std::string::npos);
}

TEST(HeaderHost, OfAUrlHasNoUserInfoAndAlwaysAPort) {
  EXPECT_EQ(header_host("http://Example.COM/a?b#c"), "example.com:80");
  EXPECT_EQ(header_host("HTTPS://example.com"), "example.com:443");
  EXPECT_EQ(header_host("https://u:p@h:8443/x@y"), "h:8443");
  EXPECT_EQ(header_host("http://h:/x"), "h:80");
  EXPECT_EQ(header_host("http://[FE80::1]/x"), "[fe80::1]:80");
  EXPECT_EQ(header_host("http://[::1]:81?x"), "[::1]:81");
  for (const char* url : {"", "h/x", "ftp://h/x", "http:///x", "http://:80/"}) {
    EXPECT_EQ(header_host(url), "") << url;
  }
}

TEST(HeaderHost, IsComparedWithoutCaseAndWithItsPort) {
  const Lines hosts{"CDN.example", "other.example:8080", "[::1]:81"};
  EXPECT_TRUE(names_host(hosts, "http", "cdn.EXAMPLE", "80"));
  EXPECT_TRUE(names_host(hosts, "https", "cdn.example", "443"));
  EXPECT_FALSE(names_host(hosts, "https", "cdn.example", "80"));
  EXPECT_FALSE(names_host(hosts, "http", "cdn.example", "8080"));
  EXPECT_TRUE(names_host(hosts, "http", "other.example", "8080"));
  EXPECT_FALSE(names_host(hosts, "http", "other.example", "80"));
  EXPECT_TRUE(names_host(hosts, "http", "[::1]", "81"));
  EXPECT_FALSE(names_host(hosts, "http", "x.cdn.example", "80"));
  EXPECT_FALSE(names_host(hosts, "http", "example", "80"));
  EXPECT_FALSE(names_host(Lines{""}, "http", "", "80"));
  EXPECT_FALSE(names_host({}, "http", "cdn.example", "80"));
}

TEST(HeaderHost, OfAUrlNamesThatUrlAndNotItsOtherScheme) {
  const Lines hosts{header_host("https://cdn.example/file")};
  EXPECT_TRUE(names_host(hosts, "https", "cdn.example", "443"));
  EXPECT_FALSE(names_host(hosts, "http", "cdn.example", "80"));
}

}  // namespace
}  // namespace lanward::core
