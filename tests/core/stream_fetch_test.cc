#include "engine/core/stream_fetch.h"

#include <chrono>
#include <string>

#include <gtest/gtest.h>

namespace lanward::core {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class StreamFetchTest : public testing::Test {
 protected:
  RequestId asked() {
    const auto request = fetch_.poll_request(now_);
    EXPECT_TRUE(request);
    return request.value_or(RequestId{});
  }
  void progress(RequestId id, std::uint64_t end) { fetch_.handle(RangeProgressed{id, end}, now_); }
  void broke(RequestId id, FailureClass kind, Duration retry_after = {}) {
    fetch_.handle(RequestFailed{id, {kind, retry_after, "http://cdn/f: broke"}}, now_);
  }

  Policy policy_;
  Instant now_{seconds{1}};
  StreamFetch fetch_{policy_, Seed{1}};
};

TEST_F(StreamFetchTest, AsksOnceAndEndsWithTheBody) {
  const RequestId id = asked();
  EXPECT_FALSE(fetch_.poll_request(now_));
  EXPECT_FALSE(fetch_.next_wakeup());
  progress(id, 1000);
  EXPECT_EQ(fetch_.received().value, 1000U);
  fetch_.handle(RangeFinished{id}, now_);
  ASSERT_TRUE(fetch_.outcome());
  EXPECT_TRUE(*fetch_.outcome());
  EXPECT_FALSE(fetch_.poll_request(now_ + seconds{100}));
}

TEST_F(StreamFetchTest, BeginsAnewAfterAPauseWhenTheBodyBreaks) {
  const RequestId first = asked();
  progress(first, 1000);
  broke(first, FailureClass::transient);
  EXPECT_FALSE(fetch_.outcome());
  EXPECT_EQ(fetch_.received().value, 0U);
  EXPECT_EQ(fetch_.wasted().value, 1000U);
  ASSERT_TRUE(fetch_.waiting_for());
  EXPECT_EQ(fetch_.waiting_for()->code, ErrorCode::network);
  EXPECT_FALSE(fetch_.poll_request(now_));
  ASSERT_TRUE(fetch_.next_wakeup());
  EXPECT_GT(*fetch_.next_wakeup(), now_);
  now_ = *fetch_.next_wakeup();
  const RequestId second = asked();
  EXPECT_NE(second, first);
  progress(first, 5000);  // late news of the one that broke
  EXPECT_EQ(fetch_.received().value, 0U);
  progress(second, 10);
  EXPECT_FALSE(fetch_.waiting_for());
}

TEST_F(StreamFetchTest, WaitsAsLongAsTheServerAsks) {
  broke(asked(), FailureClass::rate_limited, seconds{40});
  ASSERT_TRUE(fetch_.next_wakeup());
  EXPECT_GE(*fetch_.next_wakeup(), now_ + seconds{40});
}

TEST_F(StreamFetchTest, GivesUpAfterABoundedNumberOfTries) {
  std::uint32_t requests = 0;
  while (!fetch_.outcome() && requests < 1000) {
    const RequestId id = asked();
    ++requests;
    progress(id, 1 << 20);  // no reason to go on for ever: all of it is fetched again
    broke(id, FailureClass::transient);
    if (fetch_.next_wakeup()) now_ = *fetch_.next_wakeup();
  }
  EXPECT_EQ(requests, policy_.origin_failures_max);
  ASSERT_TRUE(fetch_.outcome());
  ASSERT_FALSE(*fetch_.outcome());
  EXPECT_EQ(fetch_.outcome()->error().code, ErrorCode::network);
}

TEST_F(StreamFetchTest, ARefusalIsFinal) {
  broke(asked(), FailureClass::permanent);
  ASSERT_TRUE(fetch_.outcome());
  ASSERT_FALSE(*fetch_.outcome());
  EXPECT_EQ(fetch_.outcome()->error().code, ErrorCode::origin_rejected);
  EXPECT_EQ(fetch_.outcome()->error().message, "http://cdn/f: broke");
}

}  // namespace
}  // namespace lanward::core
