#include "engine/core/text.h"

#include <string>

#include <gtest/gtest.h>

namespace lanward::core {
namespace {

TEST(Utf8, AcceptsTheLimitsOfEveryLength) {
  for (const char* text : {"", "a", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
                           "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf",
                           "Gr\xc3\xb6\xc3\x9f"
                           "e.iso"}) {
    EXPECT_TRUE(is_utf8(text)) << text;
  }
}

TEST(Utf8, RefusesOverlongSurrogateTruncatedAndForeignBytes) {
  for (const char* text : {"\x80", "\xbf", "\xc0\xaf", "\xc1\xbf", "\xc2", "\xc2g", "\xe0\x9f\xbf",
                           "\xe2\x82", "\xe2\x82g", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
                           "\xf0\x9f\x98", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff"}) {
    EXPECT_FALSE(is_utf8(text)) << text;
  }
}

TEST(FileName, AcceptsWhatPeopleCallTheirFiles) {
  for (const char* name : {"a", "...", ".hidden", "a..b", "two words.iso", "\xc3\xbc", "C:"}) {
    EXPECT_EQ(file_name_fault(name), nullptr) << name;
  }
  EXPECT_EQ(file_name_fault(std::string(255, 'x')), nullptr);
}

TEST(FileName, RefusesWhatLeavesItsDirectoryOrHidesItself) {
  const std::string nul("a\0b", 3);
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."), std::string("/etc/passwd"),
        std::string("a/b"), std::string("../x"), std::string("a\\b"), std::string("a\nb"),
        std::string("\x1b[2J"), std::string("\x7f"), std::string("\xff"), nul,
        std::string(256, 'x')}) {
    EXPECT_NE(file_name_fault(name), nullptr) << name;
  }
}

TEST(Url, AcceptsAbsoluteUrlsWithAHost) {
  for (const char* url : {"http://a", "https://a:8443/x?y#z", "udp://tracker:6969/announce",
                          "HTTP://[::1]:80/", "http://user:word@host/", "https://h/\xc3\xbc"}) {
    EXPECT_EQ(url_fault(url), nullptr) << url;
  }
  EXPECT_EQ(url_fault("http://a/" + std::string(kUrlBytesMax - 9, 'x')), nullptr);
}

TEST(Url, RefusesUrlsWithoutSchemeOrHostOrWithControlBytes) {
  for (const char* url : {"", "a", "/x", "http:/a", "://a", "http://", "http:///x", "http://:80/",
                          "http://user@/", "http://user@:1/", "http://a b/", "http://a/\r\nX: y",
                          "http://a/\xff", "http://?x", "http://#"}) {
    EXPECT_NE(url_fault(url), nullptr) << url;
  }
  EXPECT_NE(url_fault("http://a/" + std::string(kUrlBytesMax, 'x')), nullptr);
}

TEST(Url, ComparesSchemesWithoutCase) {
  EXPECT_TRUE(url_scheme_is_one_of("HtTpS://a", {"http", "https"}));
  EXPECT_FALSE(url_scheme_is_one_of("httpss://a", {"http", "https"}));
  EXPECT_FALSE(url_scheme_is_one_of("file:///etc/passwd", {"http", "https"}));
  EXPECT_FALSE(url_scheme_is_one_of("http", {"http", "https"}));
}

}  // namespace
}  // namespace lanward::core
