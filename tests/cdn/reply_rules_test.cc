#include "cdn/reply_rules.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace lanward::cdn {
namespace {

using core::FailureClass;
using namespace std::chrono_literals;

constexpr const char* kDate = "Sun, 06 Nov 1994 08:49:37 GMT";
constexpr const char* kSameDate = "Sunday, 06-Nov-94 08:49:37 GMT";
constexpr const char* kLaterDate = "Sun, 06 Nov 1994 08:49:38 GMT";

ReplyHeaders reply_of(const std::string& status_and_fields) {
  return parse_reply_headers("HTTP/1.1 " + status_and_fields + "\r\n\r\n", {});
}

ports::RangeRequest request_of(std::string validator) {
  return {"http://h/f", {100, 200}, core::ByteCount{1000}, std::move(validator), false};
}

std::optional<FailureClass> judged(const ports::RangeRequest& request, const std::string& reply) {
  const auto verdict = judge_range_reply(request, reply_of(reply));
  return verdict ? std::nullopt : std::optional(verdict.error().kind);
}

TEST(RangeReply, ValidatorsOfTheSameKindAreCompared) {
  struct Case {
    std::string ours;
    std::string theirs;
    std::optional<FailureClass> expected;
  };
  const std::string etag = "\r\nETag: ";
  const std::string date = "\r\nLast-Modified: ";
  for (const Case& c :
       {Case{"", etag + "\"x\"", {}}, Case{"\"a\"", "", {}}, Case{"\"a\"", etag + "\"a\"", {}},
        Case{"\"a\"", etag + "W/\"a\"", {}}, Case{"\"a\"", etag + "\"b\"", FailureClass::changed},
        Case{"\"a\"", etag + "W/\"b\"", FailureClass::changed}, Case{"\"a\"", date + kDate, {}},
        Case{kDate, etag + "\"b\"", {}}, Case{kDate, date + kDate, {}},
        Case{kDate, date + kSameDate, {}}, Case{kDate, date + kLaterDate, FailureClass::changed},
        Case{kDate, date + "yesterday", FailureClass::changed}}) {
    const std::string reply = "206 x\r\nContent-Range: bytes 100-199/1000" + c.theirs;
    EXPECT_EQ(judged(request_of(c.ours), reply), c.expected) << c.ours << " / " << c.theirs;
  }
}

TEST(RangeReply, OfUnknownTotalIsUsable) {
  const auto verdict =
      judge_range_reply(request_of(""), reply_of("206 x\r\nContent-Range: bytes 100-149/*"));
  ASSERT_TRUE(verdict);
  EXPECT_EQ(*verdict, (core::ByteSpan{100, 150}));
}

TEST(RangeReply, OtherSuccessesAreOfNoUse) {
  EXPECT_EQ(judged(request_of(""), "204 x"), FailureClass::protocol);
  EXPECT_EQ(judged(request_of(""), "304 x"), FailureClass::permanent);
}

TEST(RefusedReply, WaitsAtLeastTheMinimum) {
  const auto verdict = judge_range_reply(request_of(""), reply_of("429 x\r\nRetry-After: 0"));
  ASSERT_FALSE(verdict);
  EXPECT_EQ(verdict.error().kind, FailureClass::rate_limited);
  EXPECT_EQ(verdict.error().retry_after, core::Duration{kRateLimitMin});
}

TEST(ProbeReply, TellsAboutEmptyFilesAndUnknownSizes) {
  const auto empty = judge_probe_reply(reply_of("416 x\r\nContent-Range: bytes */0"));
  ASSERT_TRUE(empty);
  EXPECT_TRUE(empty->size_known);
  EXPECT_EQ(empty->size, core::ByteCount{0});
  EXPECT_FALSE(empty->ranges);
  const auto unknown = judge_probe_reply(reply_of("206 x\r\nContent-Range: bytes 0-0/*"));
  ASSERT_TRUE(unknown);
  EXPECT_TRUE(unknown->ranges);
  EXPECT_FALSE(unknown->size_known);
  EXPECT_FALSE(judge_probe_reply(reply_of("206 x\r\nContent-Range: bytes 0-9/10")));
  EXPECT_FALSE(judge_probe_reply(reply_of("200 x\r\nContent-Encoding: br")));
}

TEST(Printable, KeepsControlCharactersAndFloodsOutOfMessages) {
  EXPECT_EQ(printable("a\x1b[31m\n"), "a?[31m?");
  EXPECT_LT(printable(std::string(5000, 'x')).size(), 200U);
}

}  // namespace
}  // namespace lanward::cdn
