#include "cdn/header_facts.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "cdn/url.h"

namespace lanward::cdn {
namespace {

using namespace std::chrono_literals;

// Sun, 06 Nov 1994 08:49:37 GMT, the date of the RFCs.
const std::chrono::sys_seconds kRfcDate{784111777s};

ReplyHeaders parse(const std::string& fields) {
  return parse_reply_headers("HTTP/1.1 206 Partial Content\r\n" + fields + "\r\n", kRfcDate);
}

TEST(StatusLine, IsReadInEveryHttpVersion) {
  const auto status = [](const char* line) { return parse_reply_headers(line, kRfcDate).status; };
  EXPECT_EQ(status("HTTP/1.1 206 Partial Content\r\n\r\n"), 206);
  EXPECT_EQ(status("HTTP/2 206 \r\n\r\n"), 206);
  EXPECT_EQ(status("HTTP/1.0 200\r\n\r\n"), 200);
  EXPECT_EQ(status("HTTP/1.1 2066 no\r\n\r\n"), 0);
  EXPECT_EQ(status("HTTP/1.1 20\r\n\r\n"), 0);
  EXPECT_EQ(status("HTTP/1.1 099 no\r\n\r\n"), 0);
  EXPECT_EQ(status("ICY 200 OK\r\n\r\n"), 0);
  EXPECT_EQ(status(""), 0);
}

TEST(ContentRange, IsReadOnlyWhenItIsWhole) {
  const auto range = [](std::uint64_t a, std::uint64_t b, std::optional<std::uint64_t> total) {
    return ContentRange{true, a, b, total};
  };
  EXPECT_EQ(parse_content_range("bytes 0-499/1234"), range(0, 499, 1234));
  EXPECT_EQ(parse_content_range("Bytes 5-5/6"), range(5, 5, 6));
  EXPECT_EQ(parse_content_range("bytes 0-499/*"), range(0, 499, std::nullopt));
  EXPECT_EQ(parse_content_range("bytes */1234"), (ContentRange{false, 0, 0, 1234}));
  EXPECT_EQ(parse_content_range("bytes 0-18446744073709551614/*"),
            range(0, UINT64_MAX - 1, std::nullopt));
  for (const char* bad :
       {"", "bytes", "bytes ", "bytes 0-", "bytes 0-499", "bytes -499/1234", "bytes 5-4/10",
        "bytes 0-10/10", "bytes */*", "items 0-1/2", "bytes 0-1/2x", "bytes a-b/c", "bytes 0--1/2",
        "bytes +0-1/2", "bytes 0-18446744073709551615/*", "bytes 0-18446744073709551616/*",
        "bytes=0-1/2"}) {
    EXPECT_EQ(parse_content_range(bad), std::nullopt) << bad;
  }
}

TEST(ContentRange, IsUnknownWhenSentTwice) {
  const auto headers = parse("Content-Range: bytes 0-1/2\r\nContent-Range: bytes 0-1/2\r\n");
  EXPECT_EQ(headers.content_range, std::nullopt);
}

TEST(HttpDate, IsReadInItsThreeForms) {
  EXPECT_EQ(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), kRfcDate);
  EXPECT_EQ(parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT"), kRfcDate);
  EXPECT_EQ(parse_http_date("Sun Nov  6 08:49:37 1994"), kRfcDate);
  for (const char* bad :
       {"", "yesterday", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 CET",
        "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 ovD 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:49:37 GMT GMT",
        "Sun, 06 Nov 99999999999999999999 08:49:37 GMT"}) {
    EXPECT_EQ(parse_http_date(bad), std::nullopt) << bad;
  }
}

TEST(RetryAfter, IsSecondsOrADateAndAtMostADay) {
  const auto wait = [](const char* value) {
    return parse(std::string("Retry-After: ") + value + "\r\n").retry_after;
  };
  EXPECT_EQ(wait("0"), core::Duration{0s});
  EXPECT_EQ(wait("120"), core::Duration{120s});
  EXPECT_EQ(wait("86401"), core::Duration{24h});
  EXPECT_EQ(wait("999999999999999999999999"), core::Duration{24h});
  EXPECT_EQ(wait("Sun, 06 Nov 1994 08:50:37 GMT"), core::Duration{60s});
  EXPECT_EQ(wait("Sun, 06 Nov 1994 08:49:00 GMT"), core::Duration{0s});
  EXPECT_EQ(wait("Fri, 31 Dec 9999 23:59:59 GMT"), core::Duration{24h});
  EXPECT_EQ(wait("soon"), std::nullopt);
  EXPECT_EQ(wait("-5"), std::nullopt);
}

TEST(EntityTag, IsKnownWithItsStrength) {
  EXPECT_TRUE(parse("ETag: \"abc\"\r\n").etag_is_strong());
  EXPECT_EQ(parse("ETag: W/\"abc\"\r\n").etag, "W/\"abc\"");
  EXPECT_FALSE(parse("ETag: W/\"abc\"\r\n").etag_is_strong());
  EXPECT_EQ(parse("ETag: abc\r\n").etag, "");
  EXPECT_EQ(parse("ETag: \"a\"b\"\r\n").etag, "");
  EXPECT_EQ(parse("ETag: \"\r\n").etag, "");
}

TEST(ContentLength, ContradictionsAndTransferEncodingAreSeen) {
  EXPECT_EQ(parse("content-length: 42\r\n").content_length, 42U);
  EXPECT_EQ(parse("Content-Length: -1\r\n").content_length, std::nullopt);
  EXPECT_FALSE(parse("Content-Length: 5\r\nContent-Length: 5\r\n").lengths_contradict);
  EXPECT_TRUE(parse("Content-Length: 5\r\nContent-Length: 6\r\n").lengths_contradict);
  EXPECT_EQ(parse("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n").content_length,
            std::nullopt);
}

TEST(ContentFields, AreNormalised) {
  const auto headers = parse(
      "Content-Type: Application/X-BitTorrent; a=b\r\n"
      "Content-Encoding: identity\r\nLast-Modified:  yesterday \r\n");
  EXPECT_EQ(headers.content_type, "application/x-bittorrent");
  EXPECT_EQ(headers.content_encoding, "");
  EXPECT_EQ(headers.last_modified, "yesterday");
  EXPECT_EQ(parse("Content-Encoding: GZIP\r\nContent-Encoding: br\r\n").content_encoding,
            "gzip, br");
}

TEST(FoldedLine, ContinuesTheFieldBefore) {
  EXPECT_EQ(parse("Content-Range: bytes\r\n 0-1/2\r\n").content_range,
            (ContentRange{true, 0, 1, 2}));
}

TEST(Link, ParametersRelationsAndQuotesAreRead) {
  const auto links = parse(
                         "Link: <a.torrent>; rel=\"describedby\"; type=\"Application/X-B\", "
                         "<http://m/f>;REL=Duplicate ;pri=1\r\n"
                         "Link: </x,y;z>; title=\"a \\\"q\\\", <no>; rel=x\"; rel=\"one two\"\r\n")
                         .links;
  const std::vector<LinkValue> expected{{"describedby", "a.torrent", "application/x-b"},
                                        {"duplicate", "http://m/f", "", 1},
                                        {"one", "/x,y;z", ""},
                                        {"two", "/x,y;z", ""}};
  EXPECT_EQ(links, expected);
}

TEST(Link, OfAnotherContextOrWithoutRelationIsSkipped) {
  EXPECT_TRUE(parse("Link: <a>; rel=next; anchor=\"#x\", <b>, <c>; rev=y, <d\r\n").links.empty());
}

TEST(Link, OnlyTheFirstRelationCounts) {
  EXPECT_EQ(parse("Link: <a>; rel=x; rel=y\r\n").links, (std::vector<LinkValue>{{"x", "a", ""}}));
}

TEST(Link, CountIsBounded) {
  std::string many = "Link: ";
  for (int i = 0; i < 500; ++i) many += "<a>; rel=\"x y z\", ";
  EXPECT_EQ(parse(many + "\r\n").links.size(), kLinksMax);
}

TEST(HeaderBlock, IsNotReadBeyondItsBound) {
  const std::string padding = "X: " + std::string(kHeaderBlockBytesMax, 'x') + "\r\n";
  EXPECT_EQ(parse(padding + "Content-Length: 5\r\n").content_length, std::nullopt);
}

TEST(Url, IsResolvedAgainstTheAddressOfTheReply) {
  const std::string base = "https://h:8443/dir/file.iso?x=1";
  EXPECT_EQ(resolve_url(base, "file.iso.torrent"), "https://h:8443/dir/file.iso.torrent");
  EXPECT_EQ(resolve_url(base, "/top#part"), "https://h:8443/top");
  EXPECT_EQ(resolve_url(base, "//other/x"), "https://other/x");
  EXPECT_EQ(resolve_url(base, "http://other/x"), "http://other/x");
  EXPECT_EQ(resolve_url(base, "magnet:?xt=urn:btmh:1220"), "magnet:?xt=urn:btmh:1220");
  EXPECT_EQ(resolve_url("nonsense", "x"), "");
}

TEST(Url, IsPrintedWithoutSecrets) {
  EXPECT_EQ(printable_url("http://user:pass@h:81/p/q?token=secret#f"), "http://h:81/p/q");
  EXPECT_EQ(printable_url("nonsense"), "(not a URL)");
}

}  // namespace
}  // namespace lanward::cdn
