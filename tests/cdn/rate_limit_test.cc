// Limits of a client's rate: what they must not be taken for.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "cdn/origin_source.h"
#include "tests/support/fake_sink.h"
#include "tests/support/fault_origin.h"

namespace lanward::cdn {
namespace {

using test::FaultReply;
using test::FaultRequest;
using namespace std::chrono_literals;

constexpr const char* kTag = "\"v1\"";
constexpr std::uint64_t kRangeBytes = 200'000;

class RateLimit : public testing::Test {
 protected:
  RateLimit() {
    origin_.serve("/file", content_, kTag);
    origin_.route("/stalls", [this](const FaultRequest& request) {
      FaultReply reply = test::honest_reply(request, content_, kTag);
      reply.stop_after = 1000;
      reply.then = FaultReply::Then::hold;
      return reply;
    });
    OriginOptions options;
    options.low_speed_time = 1s;
    auto created = CurlOriginSource::create(options);
    EXPECT_TRUE(created);
    source_ = std::move(*created);
    client_ = connect();
  }
  [[nodiscard]] std::unique_ptr<ports::OriginClient> connect() {
    return source_->connect(facts_.sink(),
                            {.proxy = {ProxySettings::Usage::none, {}, {}}, .headers = {}});
  }
  std::shared_ptr<test::SinkLog> fetch(ports::OriginClient& client, std::uint64_t id,
                                       const std::string& path) {
    auto log = std::make_shared<test::SinkLog>();
    client.fetch_range(
        core::RequestId{id},
        {origin_.url(path), {0, kRangeBytes}, core::ByteCount{content_->size()}, kTag, false},
        std::make_unique<test::FakeSink>(log));
    return log;
  }
  [[nodiscard]] bool fails_as_slow(std::uint64_t id) {
    const core::Event end = facts_.wait_for_end(core::RequestId{id});
    const auto* failed = std::get_if<core::RequestFailed>(&end);
    return failed != nullptr && failed->failure.kind == core::FailureClass::transient;
  }

  const test::Content content_ = test::make_content(1'000'000);
  test::FactLog facts_;
  test::FaultOrigin origin_;
  std::unique_ptr<CurlOriginSource> source_;
  std::unique_ptr<ports::OriginClient> client_;
};

// Far below what counts as slow.
constexpr core::ByteRate kCrawl{100};

TEST_F(RateLimit, IsNotTakenForASlowServer) {
  client_->set_rate_limit(kCrawl);
  const auto first = fetch(*client_, 1, "/file");
  ASSERT_TRUE(first->wait_for_bytes(1));
  // What the first took at once uses the limit up for minutes: this one waits for its turn.
  const auto second = fetch(*client_, 2, "/file");
  // Two stalls, one after the other: by then both would have been found slow.
  const auto other = connect();
  for (const std::uint64_t id : {101U, 102U}) {
    static_cast<void>(fetch(*other, id, "/stalls"));
    EXPECT_TRUE(fails_as_slow(id));
  }
  EXPECT_EQ(facts_.count_ends(core::RequestId{1}), 0U);
  EXPECT_EQ(facts_.count_ends(core::RequestId{2}), 0U);
  client_->set_rate_limit({});
  for (const std::uint64_t id : {1U, 2U}) {
    EXPECT_TRUE(
        std::holds_alternative<core::RangeFinished>(facts_.wait_for_end(core::RequestId{id})));
  }
  EXPECT_EQ(first->bytes(), content_->substr(0, kRangeBytes));
  EXPECT_EQ(second->bytes(), content_->substr(0, kRangeBytes));
}

TEST_F(RateLimit, DoesNotHideAStall) {
  client_->set_rate_limit(core::ByteRate{10 * core::kMiB});
  static_cast<void>(fetch(*client_, 1, "/stalls"));
  EXPECT_TRUE(fails_as_slow(1));
}

TEST_F(RateLimit, GivesEveryRangeItsTurn) {
  client_->set_rate_limit(core::ByteRate{core::kMiB});
  std::vector<std::shared_ptr<test::SinkLog>> logs;
  for (std::uint64_t id = 1; id <= 4; ++id) logs.push_back(fetch(*client_, id, "/file"));
  static_cast<void>(facts_.wait_for_end(core::RequestId{1}));
  for (const auto& log : logs) EXPECT_GT(log->size(), kRangeBytes / 8);
  for (std::uint64_t id = 1; id <= 4; ++id) {
    EXPECT_TRUE(
        std::holds_alternative<core::RangeFinished>(facts_.wait_for_end(core::RequestId{id})));
  }
}

TEST_F(RateLimit, DoesNotReachADestroyedOrCancelledRange) {
  client_->set_rate_limit(kCrawl);
  const auto first = fetch(*client_, 1, "/file");
  ASSERT_TRUE(first->wait_for_bytes(1));
  const auto second = fetch(*client_, 2, "/file");
  client_->cancel(core::RequestId{1});
  EXPECT_TRUE(first->destroyed());
  client_->set_rate_limit({});
  EXPECT_TRUE(std::holds_alternative<core::RangeFinished>(facts_.wait_for_end(core::RequestId{2})));
  client_.reset();
  EXPECT_EQ(facts_.count_ends(core::RequestId{1}), 0U);
}

}  // namespace
}  // namespace lanward::cdn
