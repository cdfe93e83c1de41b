#include "cdn/origin_source.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/support/fake_sink.h"
#include "tests/support/fault_origin.h"

namespace lanward::cdn {
namespace {

using core::FailureClass;
using test::Content;
using test::FaultReply;
using test::FaultRequest;
using Accept = ports::RangeSink::Accept;
using Counts = test::FaultOrigin::Counts;
using namespace std::chrono_literals;

constexpr const char* kTag = "\"v1\"";

// libcurl honours http_proxy; the tests of this program talk to this machine only.
class NoProxy final : public testing::Environment {
  void SetUp() override { ::setenv("no_proxy", "*", 1); }
};
[[maybe_unused]] const auto* const kNoProxy = testing::AddGlobalTestEnvironment(new NoProxy);

core::RequestId id(std::uint64_t n) { return core::RequestId{n}; }

class OriginSourceTest : public testing::Test {
 protected:
  OriginSourceTest() { restart({}); }

  void restart(OriginOptions options) {
    client_.reset();
    auto created = CurlOriginSource::create(std::move(options));
    EXPECT_TRUE(created);
    source_ = std::move(*created);
    client_ = source_->connect(facts_.sink(), {});
  }

  [[nodiscard]] ports::RangeRequest range(core::ByteSpan span) const {
    return {origin_.url("/file"), span, core::ByteCount{content_->size()}, kTag, false};
  }
  std::shared_ptr<test::SinkLog> fetch(std::uint64_t request, core::ByteSpan span) {
    auto log = std::make_shared<test::SinkLog>();
    client_->fetch_range(id(request), range(span), std::make_unique<test::FakeSink>(log));
    return log;
  }
  // The file whose bodies stop after `bytes` until the origin is released.
  void hold_after(std::size_t bytes) {
    origin_.route("/file", [this, bytes](const FaultRequest& request) {
      FaultReply reply = test::honest_reply(request, content_, kTag);
      reply.stop_after = bytes;
      reply.then = FaultReply::Then::hold;
      return reply;
    });
  }
  [[nodiscard]] core::Failure failure(std::uint64_t request) const {
    const core::Event end = facts_.wait_for_end(id(request));
    const auto* failed = std::get_if<core::RequestFailed>(&end);
    EXPECT_NE(failed, nullptr);
    return failed != nullptr ? failed->failure : core::Failure{};
  }
  [[nodiscard]] core::OriginFacts probe(std::uint64_t request, const std::string& path) {
    client_->probe(id(request), origin_.url(path));
    const core::Event end = facts_.wait_for_end(id(request));
    const auto* probed = std::get_if<core::OriginProbed>(&end);
    EXPECT_NE(probed, nullptr);
    return probed != nullptr ? probed->facts : core::OriginFacts{};
  }

  // Facts and origin outlive the client.
  const Content content_ = test::make_content(4 * 1024 * 1024);
  test::FactLog facts_;
  test::FaultOrigin origin_;
  std::unique_ptr<CurlOriginSource> source_;
  std::unique_ptr<ports::OriginClient> client_;
};

using RangeTransfer = OriginSourceTest;
using Probe = OriginSourceTest;
using Document = OriginSourceTest;
using Cancel = OriginSourceTest;
using BackPressure = OriginSourceTest;
using Failing = OriginSourceTest;

TEST_F(RangeTransfer, AsksForExactlyWhatIsWanted) {
  origin_.serve("/file", content_, kTag);
  const auto log = fetch(1, {65536, 196608});
  EXPECT_TRUE(std::holds_alternative<core::RangeFinished>(facts_.wait_for_end(id(1))));
  EXPECT_TRUE(log->finished());
  const auto requests = origin_.requests();
  ASSERT_EQ(requests.size(), 1U);
  EXPECT_EQ(requests[0].method, "GET");
  EXPECT_EQ(requests[0].header("range"), "bytes=65536-196607");
  EXPECT_EQ(requests[0].header("if-range"), kTag);
  EXPECT_EQ(requests[0].header("accept-encoding"), "identity");
  EXPECT_EQ(requests[0].header("user-agent"), "lanward");
  EXPECT_TRUE(origin_.wait_until([](const auto& counts) { return counts.body_bytes == 131072U; }));
}

TEST_F(RangeTransfer, SendsNoConditionButAStrongTag) {
  origin_.serve("/file", content_, "");
  for (const auto& [n, validator] :
       {std::pair{1, "W/\"v1\""}, std::pair{2, "rubbish\r\nX: y"}, std::pair{3, ""},
        std::pair{4, "Sat, 21 Nov 2026 10:00:00 GMT"}}) {
    auto request = range({0, 16384});
    request.validator = validator;
    client_->fetch_range(id(static_cast<std::uint64_t>(n)), request,
                         std::make_unique<test::FakeSink>(std::make_shared<test::SinkLog>()));
    static_cast<void>(facts_.wait_for_end(id(static_cast<std::uint64_t>(n))));
  }
  for (const auto& request : origin_.requests()) EXPECT_EQ(request.header("if-range"), "");
}

TEST_F(RangeTransfer, ReusesConnections) {
  origin_.serve("/file", content_, kTag);
  constexpr std::uint64_t kInFlight = 4;
  constexpr std::uint64_t kRounds = 8;
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    for (std::uint64_t i = 0; i < kInFlight; ++i) {
      static_cast<void>(fetch(round * kInFlight + i, {i * 65536, (i + 1) * 65536}));
    }
    for (std::uint64_t i = 0; i < kInFlight; ++i) {
      const auto end = facts_.wait_for_end(id(round * kInFlight + i));
      EXPECT_TRUE(std::holds_alternative<core::RangeFinished>(end));
    }
  }
  EXPECT_EQ(origin_.counts().requests, kInFlight * kRounds);
  EXPECT_LE(origin_.counts().connections, kInFlight);
}

TEST_F(RangeTransfer, KeepsTheConnectionAfterASmallRefusal) {
  origin_.route("/file", [](const FaultRequest&) {
    FaultReply reply;
    reply.status = 503;
    return reply.set_body(std::string(1000, 'x'));
  });
  for (std::uint64_t n = 1; n <= 5; ++n) {
    static_cast<void>(fetch(n, {0, 16384}));
    EXPECT_EQ(failure(n).kind, FailureClass::transient);
  }
  EXPECT_EQ(origin_.counts().connections, 1U);
}

TEST_F(RangeTransfer, OpensNoMoreConnectionsToAHostThanAllowed) {
  OriginOptions options;
  options.connections_per_host_max = 2;
  restart(options);
  hold_after(1000);
  std::vector<std::shared_ptr<test::SinkLog>> logs;
  for (std::uint64_t n = 0; n < 6; ++n) logs.push_back(fetch(n, {0, 65536}));
  ASSERT_TRUE(origin_.wait_until([](const Counts& c) { return c.requests == 2; }));
  origin_.release();
  for (std::uint64_t n = 0; n < 6; ++n) {
    EXPECT_TRUE(std::holds_alternative<core::RangeFinished>(facts_.wait_for_end(id(n))));
  }
  EXPECT_LE(origin_.counts().connections, 2U);
}

TEST_F(RangeTransfer, FollowsARedirectAndNamesItInAFailure) {
  origin_.route("/old", [](const FaultRequest&) {
    FaultReply reply;
    reply.status = 302;
    return reply.set_header("Location", "/new?token=secret");
  });
  client_->fetch_range(
      id(1), {origin_.url("/old"), {0, 16384}, core::ByteCount{content_->size()}, kTag, false},
      std::make_unique<test::FakeSink>(std::make_shared<test::SinkLog>()));
  const auto message = failure(1).message;
  EXPECT_NE(message.find("(redirected to " + origin_.url("/new") + ")"), std::string::npos)
      << message;
}

TEST_F(RangeTransfer, KeepsCredentialsFromAnotherOrigin) {
  test::FaultOrigin other;
  other.serve("/file", content_, kTag);
  origin_.route("/file", [&](const FaultRequest&) {
    FaultReply reply;
    reply.status = 302;
    return reply.set_header("Location", other.url("/file"));
  });
  auto request = range({0, 16384});
  request.url = "http://user:secret@" + request.url.substr(7);
  client_->fetch_range(id(1), request,
                       std::make_unique<test::FakeSink>(std::make_shared<test::SinkLog>()));
  EXPECT_TRUE(std::holds_alternative<core::RangeFinished>(facts_.wait_for_end(id(1))));
  EXPECT_NE(origin_.requests().at(0).header("authorization"), "");
  EXPECT_EQ(other.requests().at(0).header("authorization"), "");
  client_.reset();
}

TEST_F(RangeTransfer, ReportsProgressWhileItRuns) {
  hold_after(100'000);
  static_cast<void>(fetch(1, {0, 1024 * 1024}));
  ASSERT_TRUE(facts_.wait_for_any());
  const auto facts = facts_.all();
  const auto* progress = std::get_if<core::RangeProgressed>(&facts.front());
  ASSERT_NE(progress, nullptr);
  EXPECT_GT(progress->end, 0U);
  EXPECT_LE(progress->end, 100'000U);
}

TEST_F(RangeTransfer, OfSeveralClientsDoNotMix) {
  origin_.serve("/file", content_, kTag);
  constexpr std::size_t kClients = 6;
  std::vector<std::unique_ptr<test::FactLog>> facts;
  std::vector<std::unique_ptr<ports::OriginClient>> clients;
  std::vector<std::shared_ptr<test::SinkLog>> logs;
  for (std::size_t i = 0; i < kClients; ++i) {
    facts.push_back(std::make_unique<test::FactLog>());
    clients.push_back(source_->connect(facts[i]->sink(), {}));
    logs.push_back(std::make_shared<test::SinkLog>());
    const std::uint64_t begin = i * 524288;
    clients[i]->fetch_range(id(1), range({begin, begin + 524288}),
                            std::make_unique<test::FakeSink>(logs[i]));
  }
  for (std::size_t i = 0; i < kClients; ++i) {
    EXPECT_TRUE(std::holds_alternative<core::RangeFinished>(facts[i]->wait_for_end(id(1))));
    EXPECT_TRUE(content_->compare(i * 524288, 524288, logs[i]->bytes()) == 0);
  }
  clients.clear();
}

TEST_F(RangeTransfer, OfAClientThatOutlivesTheSourceGoesOn) {
  origin_.serve("/file", content_, kTag);
  source_.reset();
  static_cast<void>(fetch(1, {0, 65536}));
  EXPECT_TRUE(std::holds_alternative<core::RangeFinished>(facts_.wait_for_end(id(1))));
}

TEST_F(BackPressure, PausesTheServerAndLosesNoByte) {
  origin_.serve("/file", content_, kTag);
  auto log = std::make_shared<test::SinkLog>();
  log->refuse_after(200'000, Accept::full);
  client_->fetch_range(id(1), range({0, content_->size()}), std::make_unique<test::FakeSink>(log));
  ASSERT_TRUE(log->wait_for_refusal());
  client_->continue_range(id(1));  // still full: the same bytes are refused again
  client_->continue_range(id(99));
  log->take_everything();
  client_->continue_range(id(1));
  EXPECT_TRUE(std::holds_alternative<core::RangeFinished>(facts_.wait_for_end(id(1))));
  EXPECT_TRUE(log->bytes() == *content_);
}

TEST_F(BackPressure, OnTheLastBytesOfAClosedConnectionLosesNone) {
  origin_.route("/file", [this](const FaultRequest& request) {
    FaultReply reply = test::honest_reply(request, content_, kTag);
    reply.then = FaultReply::Then::close;
    return reply;
  });
  auto log = std::make_shared<test::SinkLog>();
  log->refuse_after(1, Accept::full);
  client_->fetch_range(id(1), range({0, 20'000}), std::make_unique<test::FakeSink>(log));
  ASSERT_TRUE(log->wait_for_refusal());
  ASSERT_TRUE(origin_.wait_until([](const Counts& c) { return c.open_connections == 0; }));
  log->take_everything();
  client_->continue_range(id(1));
  EXPECT_TRUE(std::holds_alternative<core::RangeFinished>(facts_.wait_for_end(id(1))));
  EXPECT_TRUE(log->bytes() == content_->substr(0, 20'000));
}

TEST_F(BackPressure, MayLastLongerThanAStall) {
  OriginOptions options;
  options.low_speed_time = 1s;
  restart(options);
  origin_.serve("/file", content_, kTag);
  auto log = std::make_shared<test::SinkLog>();
  log->refuse_after(0, Accept::full);
  client_->fetch_range(id(1), range({0, content_->size()}), std::make_unique<test::FakeSink>(log));
  ASSERT_TRUE(log->wait_for_refusal());
  // A server that is as silent as this sink is given up; so that time has passed.
  hold_after(0);
  static_cast<void>(fetch(2, {0, 16384}));
  EXPECT_EQ(failure(2).kind, FailureClass::transient);
  log->take_everything();
  client_->continue_range(id(1));
  EXPECT_TRUE(std::holds_alternative<core::RangeFinished>(facts_.wait_for_end(id(1))));
  EXPECT_TRUE(log->bytes() == *content_);
}

TEST_F(BackPressure, MayBeRelievedFromWithinTheSink) {
  origin_.serve("/file", content_, kTag);
  auto log = std::make_shared<test::SinkLog>();
  log->refuse_after(100'000, Accept::full);
  log->on_full([&, raw = log.get()] {
    raw->take_everything();
    client_->continue_range(id(1));
  });
  client_->fetch_range(id(1), range({0, 1024 * 1024}), std::make_unique<test::FakeSink>(log));
  EXPECT_TRUE(std::holds_alternative<core::RangeFinished>(facts_.wait_for_end(id(1))));
  EXPECT_EQ(log->refused(), 1);
  log->on_full({});
}

TEST_F(BackPressure, OfAClosedSinkEndsTheTransfer) {
  origin_.serve("/file", content_, kTag);
  auto log = std::make_shared<test::SinkLog>();
  log->refuse_after(100'000, Accept::closed);
  client_->fetch_range(id(1), range({0, content_->size()}), std::make_unique<test::FakeSink>(log));
  EXPECT_EQ(failure(1).kind, FailureClass::local);
  EXPECT_EQ(log->refused(), 1);
}

TEST_F(BackPressure, OfASinkThatClosesWhilePausedEndsTheTransfer) {
  origin_.serve("/file", content_, kTag);
  auto log = std::make_shared<test::SinkLog>();
  log->refuse_after(100'000, Accept::full);
  client_->fetch_range(id(1), range({0, content_->size()}), std::make_unique<test::FakeSink>(log));
  ASSERT_TRUE(log->wait_for_refusal());
  log->refuse_after(0, Accept::closed);
  client_->continue_range(id(1));
  EXPECT_EQ(failure(1).kind, FailureClass::local);
  EXPECT_TRUE(log->destroyed());
}

TEST_F(Cancel, InTheMiddleOfABodyStopsBytesFactsAndTheConnection) {
  hold_after(300'000);
  const auto log = fetch(1, {0, 1024 * 1024});
  ASSERT_TRUE(log->wait_for_bytes(1));
  client_->cancel(id(1));
  EXPECT_TRUE(log->destroyed());
  EXPECT_FALSE(log->finished());
  const auto bytes = log->size();
  const auto facts = facts_.all().size();
  client_->cancel(id(1));
  client_->continue_range(id(1));
  ASSERT_TRUE(origin_.wait_until([](const Counts& c) { return c.requests == 1; }));
  origin_.release();
  ASSERT_TRUE(origin_.wait_until([](const Counts& c) { return c.open_connections == 0; }));
  EXPECT_EQ(log->size(), bytes);
  EXPECT_EQ(facts_.all().size(), facts);
}

TEST_F(Cancel, OfAPausedRangeIsTheSame) {
  origin_.serve("/file", content_, kTag);
  auto log = std::make_shared<test::SinkLog>();
  log->refuse_after(0, Accept::full);
  client_->fetch_range(id(1), range({0, content_->size()}), std::make_unique<test::FakeSink>(log));
  ASSERT_TRUE(log->wait_for_refusal());
  client_->cancel(id(1));
  EXPECT_TRUE(log->destroyed());
  ASSERT_TRUE(origin_.wait_until([](const Counts& c) { return c.open_connections == 0; }));
  EXPECT_EQ(log->size(), 0U);
  EXPECT_TRUE(facts_.all().empty());
}

TEST_F(Cancel, ByDestroyingTheClientEndsEveryRequest) {
  hold_after(100'000);
  std::vector<std::shared_ptr<test::SinkLog>> logs;
  for (std::uint64_t n = 0; n < 4; ++n) logs.push_back(fetch(n, {0, 1024 * 1024}));
  client_->probe(id(4), origin_.url("/file"));
  for (const auto& log : logs) ASSERT_TRUE(log->wait_for_bytes(1));
  client_.reset();
  std::size_t bytes = 0;
  for (const auto& log : logs) {
    EXPECT_TRUE(log->destroyed());
    bytes += log->size();
  }
  const auto facts = facts_.all().size();
  origin_.release();
  ASSERT_TRUE(origin_.wait_until([](const Counts& c) { return c.open_connections <= 1; }));
  for (const auto& log : logs) bytes -= log->size();
  EXPECT_EQ(bytes, 0U);
  EXPECT_EQ(facts_.all().size(), facts);
}

// A flood of starts and cancels at arbitrary moments; what it proves it proves under sanitizers.
TEST_F(Cancel, AtAnyMomentIsSafe) {
  origin_.serve("/file", content_, kTag);
  std::vector<std::pair<std::shared_ptr<test::SinkLog>, std::size_t>> cancelled;
  for (std::uint64_t n = 0; n < 200; ++n) {
    auto log = fetch(n, {0, 262144});
    if (n % 4 != 0) {
      if (n % 4 == 2) static_cast<void>(log->wait_for_bytes(1));
      if (n % 4 == 3) static_cast<void>(log->wait_for_bytes(200'000));
      client_->cancel(id(n));
      EXPECT_TRUE(log->destroyed());
      const auto size = log->size();
      cancelled.emplace_back(std::move(log), size);
    }
  }
  for (std::uint64_t n = 0; n < 200; n += 4) {
    EXPECT_TRUE(std::holds_alternative<core::RangeFinished>(facts_.wait_for_end(id(n))));
  }
  client_.reset();
  for (const auto& [log, size] : cancelled) EXPECT_EQ(log->size(), size);
}

TEST_F(Probe, TellsTheFactsOfAFile) {
  origin_.route("/old", [](const FaultRequest&) {
    FaultReply reply;
    reply.status = 301;
    return reply.set_header("Location", "/dir/file.iso?v=2");
  });
  origin_.route("/dir/file.iso", [this](const FaultRequest& request) {
    FaultReply reply = test::honest_reply(request, content_, kTag);
    reply.set_header("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT");
    reply.set_header("Content-Type", "Application/Octet-Stream; x=y");
    reply.set_header("Link",
                     "<file.iso.torrent>; rel=describedby; type=\"application/x-bittorrent\", "
                     "<http://mirror/f>; rel=duplicate");
    return reply;
  });
  const auto facts = probe(1, "/old");
  EXPECT_EQ(facts.url, origin_.url("/dir/file.iso?v=2"));
  EXPECT_TRUE(facts.size_known);
  EXPECT_EQ(facts.size.value, content_->size());
  EXPECT_TRUE(facts.ranges);
  EXPECT_EQ(facts.strong_etag, kTag);
  EXPECT_EQ(facts.last_modified, "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(facts.content_type, "application/octet-stream");
  ASSERT_EQ(facts.links.size(), 2U);
  EXPECT_EQ(facts.links[0].rel, "describedby");
  EXPECT_EQ(facts.links[0].target, origin_.url("/dir/file.iso.torrent"));
  EXPECT_EQ(facts.links[0].type, "application/x-bittorrent");
  EXPECT_EQ(facts.links[1].target, "http://mirror/f");
  EXPECT_TRUE(origin_.wait_until([](const auto& counts) { return counts.body_bytes == 1U; }));
  EXPECT_EQ(origin_.counts().connections, 1U);
}

TEST_F(Probe, OfAServerWithoutRangesDoesNotDownloadTheFile) {
  const Content big = test::make_content(64 * 1024 * 1024);
  origin_.route("/file", [&](const FaultRequest& request) {
    FaultRequest plain = request;
    plain.headers.erase("range");
    return test::honest_reply(plain, big, "W/\"weak\"");
  });
  const auto facts = probe(1, "/file");
  EXPECT_FALSE(facts.ranges);
  EXPECT_TRUE(facts.size_known);
  EXPECT_EQ(facts.size.value, big->size());
  EXPECT_EQ(facts.strong_etag, "");
  ASSERT_TRUE(origin_.wait_until([](const Counts& c) { return c.open_connections == 0; }));
  // What the kernel's buffers took before the client hung up.
  EXPECT_LT(origin_.counts().body_bytes, 16U * 1024 * 1024);
}

TEST_F(Probe, OfAnEmptyFileKnowsItsSize) {
  origin_.serve("/with-ranges", test::make_content(0), kTag);
  origin_.route("/without",
                [](const FaultRequest&) { return FaultReply{}.set_body(std::string{}); });
  for (const char* path : {"/with-ranges", "/without"}) {
    const auto facts = probe(path[5], path);
    EXPECT_TRUE(facts.size_known) << path;
    EXPECT_EQ(facts.size.value, 0U) << path;
  }
}

TEST_F(Probe, OfAnUnknownLengthSaysSo) {
  origin_.route("/file", [this](const FaultRequest&) {
    FaultReply reply;
    reply.framing = FaultReply::Framing::chunked;
    return reply.set_body(content_);
  });
  const auto facts = probe(1, "/file");
  EXPECT_FALSE(facts.size_known);
  EXPECT_FALSE(facts.ranges);
}

TEST_F(Probe, OfAMissingFileFails) {
  client_->probe(id(1), origin_.url("/missing"));
  EXPECT_EQ(failure(1).kind, FailureClass::permanent);
}

TEST_F(Document, IsFetchedWithItsAddress) {
  origin_.route("/a", [](const FaultRequest&) {
    FaultReply reply;
    reply.status = 307;
    return reply.set_header("Location", "/b");
  });
  origin_.route("/b", [this](const FaultRequest&) { return FaultReply{}.set_body(content_); });
  client_->fetch_document(id(1), origin_.url("/a"), core::ByteCount{content_->size()});
  const core::Event end = facts_.wait_for_end(id(1));
  const auto* fetched = std::get_if<core::DocumentFetched>(&end);
  ASSERT_NE(fetched, nullptr);
  EXPECT_EQ(fetched->url, origin_.url("/b"));
  EXPECT_TRUE(std::string(fetched->bytes.begin(), fetched->bytes.end()) == *content_);
  EXPECT_EQ(origin_.requests()[0].header("range"), "");
}

TEST_F(Document, ThatIsTooLargeIsRefusedAtOnceOrOnTheWay) {
  for (const auto framing : {FaultReply::Framing::length, FaultReply::Framing::chunked}) {
    origin_.route("/doc", [this, framing](const FaultRequest&) {
      FaultReply reply;
      reply.framing = framing;
      return reply.set_body(content_);
    });
    const auto n = static_cast<std::uint64_t>(framing);
    client_->fetch_document(id(n), origin_.url("/doc"), core::ByteCount{100'000});
    const auto failed = failure(n);
    EXPECT_EQ(failed.kind, FailureClass::permanent);
    EXPECT_NE(failed.message.find("100000"), std::string::npos) << failed.message;
  }
}

TEST_F(Document, ThatBreaksOffIsNotDelivered) {
  origin_.route("/doc", [this](const FaultRequest&) {
    FaultReply reply;
    reply.stop_after = 1000;
    reply.then = FaultReply::Then::close;
    return reply.set_body(content_);
  });
  client_->fetch_document(id(1), origin_.url("/doc"), core::ByteCount{1U << 30});
  EXPECT_EQ(failure(1).kind, FailureClass::transient);
}

TEST_F(Failing, AddressesAreClassified) {
  OriginOptions options;
  options.connect_timeout = 500ms;  // ends the wait for a TLS greeting that does not come
  restart(options);
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);  // bound but not listening: refuses
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const std::string refused = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/";
  const std::vector<std::pair<std::string, FailureClass>> cases{
      {refused, FailureClass::transient},
      {"https" + origin_.url("/").substr(4), FailureClass::transient},
      {"ftp://127.0.0.1/f", FailureClass::permanent},
      {"file:///etc/passwd", FailureClass::permanent},
      {"not a url", FailureClass::permanent},
      {"127.0.0.1/f", FailureClass::permanent},
      {"", FailureClass::permanent},
      {"http://", FailureClass::permanent},
      {std::string("http://127.0.0.1/\0x", 19), FailureClass::permanent},
  };
  for (std::size_t i = 0; i < cases.size(); ++i) {
    client_->probe(id(i), cases[i].first);
    const auto failed = failure(i);
    EXPECT_EQ(failed.kind, cases[i].second) << cases[i].first << ": " << failed.message;
  }
  ::close(fd);
}

TEST_F(Failing, RangesOutsideTheFileAreRefusedWithoutARequest) {
  for (const core::ByteSpan span : {core::ByteSpan{5, 5}, core::ByteSpan{0, 99'999'999}}) {
    static_cast<void>(fetch(span.end, span));
    EXPECT_EQ(failure(span.end).kind, FailureClass::permanent);
  }
  EXPECT_EQ(origin_.counts().requests, 0U);
}

}  // namespace
}  // namespace lanward::cdn
