// Every way we know in which a server can answer a range request, over a real connection.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "cdn/origin_source.h"
#include "tests/support/fake_sink.h"
#include "tests/support/fault_origin.h"

namespace lanward::cdn {
namespace {

using core::FailureClass;
using test::Content;
using test::FaultReply;
using test::FaultRequest;
using Then = test::FaultReply::Then;
using Framing = test::FaultReply::Framing;
using namespace std::chrono_literals;

constexpr std::size_t kTotal = 1024 * 1024;
constexpr core::ByteSpan kSpan{128 * 1024, 512 * 1024};
constexpr const char* kTag = "\"v1\"";

struct Case {
  const char* name;
  // Spoils what an honest server would have answered.
  std::function<void(FaultReply&)> spoil;
  std::optional<FailureClass> failure;  // absent: the range finishes
  std::size_t accepted = 0;             // bytes that reach the sink
  const char* message = "";             // part of the failure's message
  std::string validator = kTag;
  bool whole_file = false;
  std::optional<core::Duration> retry_after{};
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

void shift_by_one(FaultReply& r) {
  r.body_begin += 1;
  r.set_header("Content-Range", "bytes 131073-524288/1048576");
}
void make_plain(FaultReply& r, int status) {
  r = FaultReply{};
  r.status = status;
  r.set_body(std::string("sorry"));
}
void send_whole(FaultReply& r, const char* tag) {
  const Content all = r.body;
  r = FaultReply{};
  r.set_body(all).set_header("ETag", tag);
}
void cut_short(FaultReply& r) {
  r.body_size = 100'000;
  r.set_header("Content-Range", "bytes 131072-231071/1048576");
}

constexpr std::size_t kAll = kSpan.end - kSpan.begin;

const std::vector<Case> kCases{
    {"AnHonestServer", [](FaultReply&) {}, {}, kAll},
    {"AWeakTagOfTheSameVersion", [](FaultReply& r) { r.set_header("ETag", "W/\"v1\""); }, {}, kAll},
    {"NoLengthAndChunks", [](FaultReply& r) { r.framing = Framing::chunked; }, {}, kAll},
    {"NoLengthAndClose", [](FaultReply& r) { r.framing = Framing::until_close; }, {}, kAll},
    {"AnUnknownTotal",
     [](FaultReply& r) { r.set_header("Content-Range", "bytes 131072-524287/*"); },
     {},
     kAll},
    {"TheWholeFile", [](FaultReply& r) { send_whole(r, kTag); }, FailureClass::no_ranges, 0,
     "whole file"},
    {"TheWholeFileOfAnotherVersion", [](FaultReply& r) { send_whole(r, "\"v2\""); },
     FailureClass::changed, 0, "another version"},
    {"AWholeFileOfAnotherSize",
     [](FaultReply& r) {
       send_whole(r, kTag);
       r.body_size = 1000;
     },
     FailureClass::changed, 0, "1000 bytes now"},
    {"AShiftedRange", shift_by_one, FailureClass::protocol, 0, "asked for bytes 131072-524287"},
    {"AnotherRange", [](FaultReply& r) { r.set_header("Content-Range", "bytes 0-393215/1048576"); },
     FailureClass::protocol, 0, "bytes 0-393215"},
    {"AShorterRange", cut_short, FailureClass::transient, 100'000, "short"},
    {"ALongerRange",
     [](FaultReply& r) {
       r.body_size += 10;
       r.set_header("Content-Range", "bytes 131072-524297/1048576");
     },
     FailureClass::protocol},
    {"ABodyLongerThanItsRange",
     [](FaultReply& r) {
       r.framing = Framing::chunked;
       cut_short(r);
       r.body_size = 300'000;
     },
     FailureClass::protocol, 100'000, "longer than the 100000 bytes"},
    {"ALengthThatContradictsTheRange",
     [](FaultReply& r) { r.set_header("Content-Length", "500000"); }, FailureClass::protocol, 0,
     "contradicts"},
    {"AnotherTotal",
     [](FaultReply& r) { r.set_header("Content-Range", "bytes 131072-524287/1048577"); },
     FailureClass::changed, 0, "1048577 bytes now, 1048576 were expected"},
    {"NoContentRange", [](FaultReply& r) { r.drop_header("Content-Range"); },
     FailureClass::protocol},
    {"SeveralParts",
     [](FaultReply& r) { r.set_header("Content-Type", "multipart/byteranges; boundary=x"); },
     FailureClass::protocol, 0, "several parts"},
    {"AContentCoding", [](FaultReply& r) { r.set_header("Content-Encoding", "gzip"); },
     FailureClass::protocol, 0, "gzip"},
    {"AnotherTag", [](FaultReply& r) { r.set_header("ETag", "\"v2\""); }, FailureClass::changed, 0,
     "\"v2\" instead of \"v1\""},
    {"AnotherDate",
     [](FaultReply& r) {
       r.drop_header("ETag").set_header("Last-Modified", "Sun, 06 Nov 1994 08:49:38 GMT");
     },
     FailureClass::changed, 0, "08:49:38", "Sun, 06 Nov 1994 08:49:37 GMT"},
    {"ACloseInTheMiddle",
     [](FaultReply& r) {
       r.stop_after = 50'000;
       r.then = Then::close;
     },
     FailureClass::transient, 50'000},
    {"AHeadAndNoBody",
     [](FaultReply& r) {
       r.stop_after = 0;
       r.then = Then::close;
     },
     FailureClass::transient},
    {"AResetAtOnce",
     [](FaultReply& r) {
       r.raw = "HTTP/1.1 ";
       r.then = Then::reset;
     },
     FailureClass::transient},
    {"Silence",
     [](FaultReply& r) {
       r.stop_after = 0;
       r.then = Then::hold;
     },
     FailureClass::transient},
    {"AStallInTheMiddle",
     [](FaultReply& r) {
       r.stop_after = 16'384;
       r.then = Then::hold;
     },
     FailureClass::transient, 16'384},
    {"TooManyRequests", [](FaultReply& r) { make_plain(r, 429); }, FailureClass::rate_limited, 0,
     "429", kTag, false, 1s},
    {"TooManyRequestsForSeconds",
     [](FaultReply& r) {
       make_plain(r, 429);
       r.set_header("Retry-After", "7");
     },
     FailureClass::rate_limited, 0, "7 s", kTag, false, 7s},
    {"TooManyRequestsUntilADate",
     [](FaultReply& r) {
       make_plain(r, 429);
       r.set_header("Retry-After", "Fri, 31 Dec 9999 23:59:59 GMT");
     },
     FailureClass::rate_limited, 0, "429", kTag, false, 24h},
    {"Unavailable", [](FaultReply& r) { make_plain(r, 503); }, FailureClass::transient, 0, "503"},
    {"UnavailableForSeconds",
     [](FaultReply& r) {
       make_plain(r, 503);
       r.set_header("Retry-After", "3");
     },
     FailureClass::rate_limited, 0, "503", kTag, false, 3s},
    {"ARequestTimeout", [](FaultReply& r) { make_plain(r, 408); }, FailureClass::transient},
    {"TooEarly", [](FaultReply& r) { make_plain(r, 425); }, FailureClass::transient},
    {"ABadGateway", [](FaultReply& r) { make_plain(r, 502); }, FailureClass::transient},
    {"NotFound", [](FaultReply& r) { make_plain(r, 404); }, FailureClass::permanent, 0, "404"},
    {"Forbidden", [](FaultReply& r) { make_plain(r, 403); }, FailureClass::permanent},
    {"NotModified",
     [](FaultReply& r) {
       r = FaultReply{};
       r.raw = "HTTP/1.1 304 Not Modified\r\n\r\n";
     },
     FailureClass::permanent, 0, "304"},
    {"AnUnsatisfiableRange",
     [](FaultReply& r) {
       make_plain(r, 416);
       r.set_header("Content-Range", "bytes */1048576");
     },
     FailureClass::permanent, 0, "416"},
    {"AnUnsatisfiableRangeOfAnotherFile",
     [](FaultReply& r) {
       make_plain(r, 416);
       r.set_header("Content-Range", "bytes */10");
     },
     FailureClass::changed, 0, "10 bytes now"},
    {"ARedirectToFtp",
     [](FaultReply& r) {
       make_plain(r, 302);
       r.set_header("Location", "ftp://127.0.0.1/file");
     },
     FailureClass::permanent},
    {"ARedirectToALocalFile",
     [](FaultReply& r) {
       make_plain(r, 302);
       r.set_header("Location", "file:///etc/passwd");
     },
     FailureClass::permanent},
    {"ARedirectLoop",
     [](FaultReply& r) {
       make_plain(r, 302);
       r.set_header("Location", "/file");
     },
     FailureClass::permanent, 0, "redirects"},
    {"ARedirectWithoutTarget", [](FaultReply& r) { make_plain(r, 302); }, FailureClass::permanent,
     0, "leads nowhere"},
    {"ARedirectWithAnEndlessBody",
     [](FaultReply& r) {
       r = FaultReply{};
       r.status = 302;
       r.framing = Framing::chunked;
       r.set_header("Location", "/file").set_body(test::make_content(8 * kTotal));
     },
     FailureClass::protocol, 0, "body of a redirect"},
    {"InterimRepliesWithoutEnd",
     [](FaultReply& r) {
       for (int i = 0; i < 100'000; ++i) r.raw += "HTTP/1.1 103 Early Hints\r\n\r\n";
     },
     FailureClass::protocol, 0, "262144 bytes of headers"},
    {"AnInterimReplyBeforeTheRealOne",
     [](FaultReply& r) {
       r.raw =
           "HTTP/1.1 103 Early Hints\r\nContent-Range: bytes 0-0/1\r\n\r\n"
           "HTTP/1.1 206 Partial\r\nContent-Range: bytes 131072-524287/1048576\r\n"
           "Content-Length: 393216\r\n\r\n" +
           r.body->substr(r.body_begin, r.body_size);
     },
     {},
     kAll},
    {"SomethingThatIsNotHttp",
     [](FaultReply& r) {
       r.raw = "SSH-2.0-OpenSSH_9.2\r\n";
       r.then = Then::close;
     },
     FailureClass::protocol},
    {"EndlessHeaders", [](FaultReply& r) { r.set_header("X-Flood", std::string(80'000, 'x')); },
     FailureClass::protocol, 0, "65536 bytes of headers"},
    {"TheWholeFileWhenAskedForIt", [](FaultReply&) {}, {}, kTotal, "", kTag, true},
    {"AShorterWholeFile", [](FaultReply& r) { r.body_size = 1000; }, FailureClass::changed, 0,
     "1000 bytes now", kTag, true},
    {"AWholeFileThatGoesOn",
     [](FaultReply& r) {
       r.framing = Framing::chunked;
       r.set_body(test::make_content(kTotal + 50'000));
     },
     FailureClass::protocol, kTotal, "longer than", kTag, true},
    {"AWholeFileThatEndsEarly",
     [](FaultReply& r) {
       r.framing = Framing::chunked;
       r.body_size = 200'000;
     },
     FailureClass::transient, 200'000, "short", kTag, true},
    {"APartOfAWholeFile",
     [](FaultReply& r) {
       r.status = 206;
       r.set_header("Content-Range", "bytes 0-1048575/1048576");
     },
     FailureClass::protocol, 0, "", kTag, true},
};

class RangeReplies : public testing::TestWithParam<Case> {};

TEST_P(RangeReplies, AreClassifiedAndOnlyRightBytesAccepted) {
  const Case& c = GetParam();
  const Content content = test::make_content(kTotal);
  test::FaultOrigin origin;
  origin.route("/file", [&](const FaultRequest& request) {
    FaultReply reply = test::honest_reply(request, content, kTag);
    c.spoil(reply);
    return reply;
  });
  OriginOptions options;
  options.low_speed_time = 1s;
  auto source = CurlOriginSource::create(options);
  ASSERT_TRUE(source);
  test::FactLog facts;
  auto log = std::make_shared<test::SinkLog>();
  auto client = (*source)->connect(facts.sink(), {});

  const core::RequestId id{1};
  const core::ByteSpan span = c.whole_file ? core::ByteSpan{0, kTotal} : kSpan;
  client->fetch_range(
      id,
      {origin.url("/file?token=secret"), span, core::ByteCount{kTotal}, c.validator, c.whole_file},
      std::make_unique<test::FakeSink>(log));
  const core::Event end = facts.wait_for_end(id);

  if (c.failure) {
    const auto* failed = std::get_if<core::RequestFailed>(&end);
    ASSERT_NE(failed, nullptr);
    EXPECT_EQ(failed->failure.kind, *c.failure) << failed->failure.message;
    EXPECT_NE(failed->failure.message.find(c.message), std::string::npos)
        << failed->failure.message;
    EXPECT_TRUE(failed->failure.message.starts_with(origin.url("/file")))
        << failed->failure.message;
    EXPECT_EQ(failed->failure.message.find("secret"), std::string::npos);
    EXPECT_EQ(failed->failure.retry_after, c.retry_after.value_or(core::Duration{0}));
  } else {
    EXPECT_TRUE(std::holds_alternative<core::RangeFinished>(end));
  }
  EXPECT_EQ(log->size(), c.accepted);
  EXPECT_TRUE(content->compare(span.begin, log->size(), log->bytes()) == 0);
  EXPECT_TRUE(log->destroyed()) << "the sink is gone before the last fact";
  EXPECT_EQ(facts.count_ends(id), 1U);
  std::uint64_t progress = span.begin;
  for (const auto& fact : facts.all()) {
    if (const auto* p = std::get_if<core::RangeProgressed>(&fact)) progress = p->end;
  }
  EXPECT_EQ(progress, span.begin + c.accepted) << "all that was accepted has been reported";
}

INSTANTIATE_TEST_SUITE_P(Of, RangeReplies, testing::ValuesIn(kCases),
                         [](const auto& case_info) { return std::string(case_info.param.name); });

}  // namespace
}  // namespace lanward::cdn
