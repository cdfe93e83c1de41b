// What every OriginSource must do. Include it in one test file per implementation and write
//   INSTANTIATE_TEST_SUITE_P(MyOrigins, OriginContract, testing::Values(&make_my_origins));
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "engine/core/token_bucket.h"
#include "engine/ports/origin.h"
#include "tests/support/watch.h"

namespace lanward::test {

// The receiving end of one range. Its sink is made once and given to the client.
class Receiver {
 public:
  virtual ~Receiver() = default;
  [[nodiscard]] virtual std::unique_ptr<ports::RangeSink> make_sink(core::ByteSpan span) = 0;
  [[nodiscard]] virtual std::uint64_t taken() const = 0;
  // Whether it took the bytes of this part of the file, all of them, once and in order.
  [[nodiscard]] virtual bool holds(core::ByteSpan span) const = 0;
  // The sink answers closed from now on.
  virtual void close() = 0;
  // The sink answers full once it has taken so many bytes; until make_room().
  virtual void fill_after(std::uint64_t /*bytes*/) {}
  virtual void make_room() {}
  [[nodiscard]] virtual bool full() const { return false; }
};

// Receives payload.
class PayloadReceiver final : public Receiver {
 public:
  PayloadReceiver(std::shared_ptr<Watch> watch, std::shared_ptr<const std::string> file)
      : state_(std::make_shared<State>()), file_(std::move(file)) {
    state_->watch = std::move(watch);
  }

  [[nodiscard]] std::unique_ptr<ports::RangeSink> make_sink(core::ByteSpan /*span*/) override {
    return std::make_unique<Sink>(state_);
  }
  [[nodiscard]] std::uint64_t taken() const override {
    return state_->watch->look([&] { return state_->bytes.size(); });
  }
  [[nodiscard]] bool holds(core::ByteSpan span) const override {
    return state_->watch->look([&] {
      return state_->finished && state_->bytes == file_->substr(span.begin, span.size().value);
    });
  }
  void close() override {
    state_->watch->change([&] { state_->closed = true; });
  }
  void fill_after(std::uint64_t bytes) override {
    state_->watch->change([&] { state_->room = bytes; });
  }
  void make_room() override { fill_after(std::numeric_limits<std::uint64_t>::max()); }
  [[nodiscard]] bool full() const override {
    return state_->watch->look([&] { return state_->refused; });
  }

 private:
  // Shared, so that a sink that is used too late is seen instead of crashing.
  struct State {
    std::shared_ptr<Watch> watch;
    std::string bytes;
    std::uint64_t room = std::numeric_limits<std::uint64_t>::max();
    bool closed = false;
    bool refused = false;
    bool finished = false;
  };
  class Sink final : public ports::RangeSink {
   public:
    explicit Sink(std::shared_ptr<State> state) : state_(std::move(state)) {}
    [[nodiscard]] Accept accept(std::span<const std::byte> bytes) override {
      Accept answer = Accept::taken;
      state_->watch->change([&] {
        if (state_->closed) {
          answer = Accept::closed;
        } else if (state_->bytes.size() >= state_->room) {
          state_->refused = true;
          answer = Accept::full;
        } else {
          EXPECT_LE(bytes.size(), ports::kRangeAcceptBytesMax);
          EXPECT_FALSE(state_->finished);
          state_->bytes.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        }
      });
      return answer;
    }
    void finish() override {
      state_->watch->change([&] { state_->finished = true; });
    }

   private:
    const std::shared_ptr<State> state_;
  };

  const std::shared_ptr<State> state_;
  const std::shared_ptr<const std::string> file_;
};

// Servers with one file, which honour ranges, and the implementation under test.
class OriginWorld {
 public:
  virtual ~OriginWorld() = default;
  [[nodiscard]] virtual ports::OriginSource& source() = 0;
  [[nodiscard]] virtual std::string file_url() const = 0;
  // No server has anything there.
  [[nodiscard]] virtual std::string missing_url() const = 0;
  [[nodiscard]] virtual std::unique_ptr<Receiver> make_receiver() = 0;
  // The replies that begin from now on stop after so many bytes of body, until flow(). Needless
  // where nothing moves outside wait().
  virtual void stall_after(std::uint64_t /*bytes*/) {}
  virtual void flow() {}
  // Of the clock that rate limits follow.
  [[nodiscard]] virtual core::Instant now() const {
    return core::Instant{std::chrono::steady_clock::now().time_since_epoch()};
  }
  // Lets the implementation work until the condition holds; false when it never will. Overridden
  // where time is virtual.
  [[nodiscard]] virtual bool wait(const std::function<bool()>& condition) {
    return watch->wait(condition);
  }

  const std::shared_ptr<Watch> watch = std::make_shared<Watch>();
};

using OriginFactory = std::unique_ptr<OriginWorld> (*)();

inline constexpr std::uint64_t kOriginFileBytes = 4 * core::kMiB;
inline constexpr const char* kOriginFileTag = "\"v1\"";

class OriginContract : public testing::TestWithParam<OriginFactory> {
 protected:
  // A client and what it was told.
  struct Customer {
    std::vector<core::Event> facts;
    std::unique_ptr<ports::OriginClient> client;
  };

  void SetUp() override {
    world_ = GetParam()();
    if (world_ != nullptr) self_ = connect();
  }
  // The sinks of the facts go with the clients, before what they write to.
  void TearDown() override {
    for (const auto& customer : customers_) customer->client.reset();
  }

  Customer* connect() {
    customers_.push_back(std::make_unique<Customer>());
    Customer* const customer = customers_.back().get();
    customer->client = world_->source().connect(
        [this, customer](core::Event fact) {
          world_->watch->change([&] { customer->facts.push_back(std::move(fact)); });
        },
        {});
    return customer;
  }
  [[nodiscard]] bool wait(const std::function<bool()>& condition) {
    return world_->wait(condition);
  }

  [[nodiscard]] ports::RangeRequest request(core::ByteSpan span) const {
    return {.url = world_->file_url(),
            .span = span,
            .total = core::ByteCount{kOriginFileBytes},
            .validator = kOriginFileTag,
            .whole_file = false};
  }
  Receiver& fetch(Customer* customer, std::uint64_t id, const ports::RangeRequest& range) {
    receivers_.push_back(world_->make_receiver());
    customer->client->fetch_range(core::RequestId{id}, range,
                                  receivers_.back()->make_sink(range.span));
    return *receivers_.back();
  }
  Receiver& fetch(std::uint64_t id, core::ByteSpan span) { return fetch(self_, id, request(span)); }

  // The number of a fact's request.
  static std::uint64_t about(const core::Event& fact) {
    return std::visit(
        [](const auto& f) -> std::uint64_t {
          if constexpr (requires { f.request; }) return f.request.value;
          ADD_FAILURE() << "no fact of an origin";
          return 0;
        },
        fact);
  }
  static bool ends(const core::Event& fact) {
    return !std::holds_alternative<core::RangeProgressed>(fact);
  }
  [[nodiscard]] std::vector<core::Event> facts(const Customer* customer, std::uint64_t id) const {
    return world_->watch->look([&] {
      std::vector<core::Event> found;
      for (const core::Event& fact : customer->facts) {
        if (about(fact) == id) found.push_back(fact);
      }
      return found;
    });
  }
  [[nodiscard]] std::size_t count(const Customer* customer) const {
    return world_->watch->look([&] { return customer->facts.size(); });
  }
  [[nodiscard]] bool ended(const Customer* customer, std::uint64_t id) const {
    const auto found = facts(customer, id);
    return std::any_of(found.begin(), found.end(), &ends);
  }
  [[nodiscard]] bool wait_end(const Customer* customer, std::uint64_t id) {
    return wait([&] { return ended(customer, id); });
  }

  // Progress that never goes back, up to the end, and then one RangeFinished.
  void expect_whole(const Customer* customer, std::uint64_t id, core::ByteSpan span) const {
    const auto found = facts(customer, id);
    ASSERT_GE(found.size(), 2U);
    std::uint64_t position = span.begin;
    for (std::size_t i = 0; i + 1 < found.size(); ++i) {
      const auto* progress = std::get_if<core::RangeProgressed>(&found[i]);
      ASSERT_NE(progress, nullptr) << "only progress comes before the end";
      EXPECT_GE(progress->end, position);
      position = progress->end;
    }
    EXPECT_EQ(position, span.end);
    EXPECT_TRUE(std::holds_alternative<core::RangeFinished>(found.back()));
  }
  void expect_failure(const Customer* customer, std::uint64_t id, core::FailureClass kind) {
    ASSERT_TRUE(wait_end(customer, id));
    settle();
    const auto found = facts(customer, id);
    const auto* failed = std::get_if<core::RequestFailed>(&found.back());
    ASSERT_NE(failed, nullptr);
    EXPECT_EQ(failed->failure.kind, kind) << failed->failure.message;
    EXPECT_FALSE(failed->failure.message.empty());
    EXPECT_EQ(std::count_if(found.begin(), found.end(), &ends), 1);
  }
  // Lets everything happen that could: a new client fetches the file after all that was asked for.
  void settle() {
    world_->flow();
    Customer* const other = connect();
    fetch(other, 1, request({0, kOriginFileBytes}));
    ASSERT_TRUE(wait_end(other, 1));
    expect_whole(other, 1, {0, kOriginFileBytes});
  }

  // In this order: sinks of requests on their way write to the receivers.
  std::vector<std::unique_ptr<Receiver>> receivers_;
  std::unique_ptr<OriginWorld> world_;
  std::vector<std::unique_ptr<Customer>> customers_;
  Customer* self_ = nullptr;
};

inline constexpr core::ByteSpan kHead{0, core::kMiB};
inline constexpr core::ByteSpan kMiddle{core::kMiB + core::kBlockBytes, 3 * core::kMiB};
// What a stalled reply gives before it stops: more than one buffer, much less than a range.
inline constexpr std::uint64_t kStallBytes = 256 * core::kKiB;

TEST_P(OriginContract, ARangeBringsItsBytesInOrderAndEndsOnce) {
  const Receiver& receiver = fetch(7, kMiddle);
  ASSERT_TRUE(wait_end(self_, 7));
  EXPECT_TRUE(receiver.holds(kMiddle));
  settle();
  expect_whole(self_, 7, kMiddle);
  EXPECT_EQ(receiver.taken(), kMiddle.size().value);
}

TEST_P(OriginContract, TheShortEndOfAFileIsARange) {
  const core::ByteSpan tail{kOriginFileBytes - core::kBlockBytes, kOriginFileBytes};
  const Receiver& receiver = fetch(1, tail);
  ASSERT_TRUE(wait_end(self_, 1));
  EXPECT_TRUE(receiver.holds(tail));
  expect_whole(self_, 1, tail);
}

TEST_P(OriginContract, TwoRangesAtOnceBothFinish) {
  const Receiver& first = fetch(1, kHead);
  const Receiver& second = fetch(2, kMiddle);
  ASSERT_TRUE(wait_end(self_, 1));
  ASSERT_TRUE(wait_end(self_, 2));
  expect_whole(self_, 1, kHead);
  expect_whole(self_, 2, kMiddle);
  EXPECT_TRUE(first.holds(kHead));
  EXPECT_TRUE(second.holds(kMiddle));
}

TEST_P(OriginContract, ARangeCancelledOnItsWayGivesNoFactAndNoByteAfterwards) {
  world_->stall_after(kStallBytes);
  const Receiver& receiver = fetch(1, kMiddle);
  ASSERT_TRUE(wait([&] { return receiver.taken() > 0; }));
  self_->client->cancel(core::RequestId{1});
  const std::size_t told = count(self_);
  const std::uint64_t taken = receiver.taken();
  EXPECT_LT(taken, kMiddle.size().value);
  self_->client->cancel(core::RequestId{1});
  settle();
  EXPECT_EQ(count(self_), told);
  EXPECT_EQ(receiver.taken(), taken);
  EXPECT_FALSE(ended(self_, 1));
}

TEST_P(OriginContract, RequestsCancelledAtOnceGiveNoFactAtAll) {
  world_->stall_after(kStallBytes);
  const Receiver& receiver = fetch(1, kMiddle);
  self_->client->cancel(core::RequestId{1});
  self_->client->probe(core::RequestId{2}, world_->file_url());
  self_->client->cancel(core::RequestId{2});
  self_->client->fetch_document(core::RequestId{3}, world_->missing_url(), core::ByteCount{1000});
  self_->client->cancel(core::RequestId{3});
  // A fact may have been faster than its cancel; none may come after it.
  const std::size_t told = count(self_);
  const std::uint64_t taken = receiver.taken();
  settle();
  EXPECT_EQ(count(self_), told);
  EXPECT_EQ(receiver.taken(), taken);
}

TEST_P(OriginContract, CancellingOneRequestLeavesTheOthersAlone) {
  fetch(1, kMiddle);
  const Receiver& kept = fetch(2, kHead);
  self_->client->cancel(core::RequestId{1});
  ASSERT_TRUE(wait_end(self_, 2));
  EXPECT_TRUE(kept.holds(kHead));
  expect_whole(self_, 2, kHead);
}

TEST_P(OriginContract, UnknownAndEndedRequestsAreIgnored) {
  self_->client->cancel(core::RequestId{99});
  self_->client->continue_range(core::RequestId{99});
  fetch(1, kHead);
  ASSERT_TRUE(wait_end(self_, 1));
  self_->client->cancel(core::RequestId{1});
  self_->client->continue_range(core::RequestId{1});
  settle();
  expect_whole(self_, 1, kHead);
  EXPECT_TRUE(facts(self_, 99).empty());
}

TEST_P(OriginContract, ContinuingARangeThatDoesNotPauseChangesNothing) {
  const Receiver& receiver = fetch(1, kHead);
  self_->client->continue_range(core::RequestId{1});
  ASSERT_TRUE(wait_end(self_, 1));
  expect_whole(self_, 1, kHead);
  EXPECT_TRUE(receiver.holds(kHead));
}

TEST_P(OriginContract, DestroyingTheClientSilencesEverything) {
  world_->stall_after(kStallBytes);
  const Receiver& receiver = fetch(1, kMiddle);
  self_->client->probe(core::RequestId{2}, world_->file_url());
  self_->client->fetch_document(core::RequestId{3}, world_->missing_url(), core::ByteCount{1000});
  self_->client.reset();
  const std::size_t told = count(self_);
  const std::uint64_t taken = receiver.taken();
  settle();
  EXPECT_EQ(count(self_), told);
  EXPECT_EQ(receiver.taken(), taken);
}

TEST_P(OriginContract, DestroyingTheClientStopsARangeOnItsWay) {
  world_->stall_after(kStallBytes);
  const Receiver& receiver = fetch(1, kMiddle);
  ASSERT_TRUE(wait([&] { return receiver.taken() > 0; }));
  self_->client.reset();
  const std::size_t told = count(self_);
  const std::uint64_t taken = receiver.taken();
  EXPECT_LT(taken, kMiddle.size().value);
  settle();
  EXPECT_EQ(count(self_), told);
  EXPECT_EQ(receiver.taken(), taken);
}

TEST_P(OriginContract, AFullSinkPausesTheRangeUntilItIsContinued) {
  receivers_.push_back(world_->make_receiver());
  Receiver& slow = *receivers_.back();
  slow.fill_after(kStallBytes);
  self_->client->fetch_range(core::RequestId{1}, request(kMiddle), slow.make_sink(kMiddle));
  ASSERT_TRUE(wait([&] { return slow.full(); }));
  const std::uint64_t taken = slow.taken();
  EXPECT_GE(taken, kStallBytes);
  settle();  // others are not held up
  EXPECT_EQ(slow.taken(), taken);
  EXPECT_FALSE(ended(self_, 1));
  // Continued too early: it stays where it is.
  self_->client->continue_range(core::RequestId{1});
  settle();
  EXPECT_EQ(slow.taken(), taken);
  slow.make_room();
  self_->client->continue_range(core::RequestId{1});
  ASSERT_TRUE(wait_end(self_, 1));
  expect_whole(self_, 1, kMiddle);
  EXPECT_TRUE(slow.holds(kMiddle));
}

TEST_P(OriginContract, AClosedSinkFailsTheRequestOnOurSide) {
  receivers_.push_back(world_->make_receiver());
  Receiver& receiver = *receivers_.back();
  receiver.close();
  self_->client->fetch_range(core::RequestId{1}, request(kMiddle), receiver.make_sink(kMiddle));
  expect_failure(self_, 1, core::FailureClass::local);
  EXPECT_EQ(receiver.taken(), 0U);
}

TEST_P(OriginContract, ASinkThatClosesOnTheWayFailsTheRequestOnOurSide) {
  world_->stall_after(kStallBytes);
  Receiver& receiver = fetch(1, kMiddle);
  ASSERT_TRUE(wait([&] { return receiver.taken() > 0; }));
  receiver.close();
  const std::uint64_t taken = receiver.taken();
  world_->flow();
  expect_failure(self_, 1, core::FailureClass::local);
  EXPECT_EQ(receiver.taken(), taken);
}

TEST_P(OriginContract, AProbeTellsSizeRangesAndValidator) {
  self_->client->probe(core::RequestId{5}, world_->file_url());
  ASSERT_TRUE(wait_end(self_, 5));
  settle();
  const auto found = facts(self_, 5);
  ASSERT_EQ(found.size(), 1U);
  const auto* probed = std::get_if<core::OriginProbed>(&found[0]);
  ASSERT_NE(probed, nullptr);
  EXPECT_TRUE(probed->facts.size_known);
  EXPECT_EQ(probed->facts.size.value, kOriginFileBytes);
  EXPECT_TRUE(probed->facts.ranges);
  EXPECT_EQ(probed->facts.strong_etag, kOriginFileTag);
  EXPECT_EQ(probed->facts.url, world_->file_url());
}

TEST_P(OriginContract, WhatIsMissingFailsForGood) {
  self_->client->fetch_document(core::RequestId{1}, world_->missing_url(), core::ByteCount{1000});
  expect_failure(self_, 1, core::FailureClass::permanent);
  self_->client->probe(core::RequestId{2}, world_->missing_url());
  expect_failure(self_, 2, core::FailureClass::permanent);
  ports::RangeRequest missing = request(kHead);
  missing.url = world_->missing_url();
  const Receiver& receiver = fetch(self_, 3, missing);
  expect_failure(self_, 3, core::FailureClass::permanent);
  EXPECT_EQ(receiver.taken(), 0U);
}

TEST_P(OriginContract, AnotherFileThanExpectedHasChanged) {
  ports::RangeRequest larger = request(kHead);
  larger.total = core::ByteCount{kOriginFileBytes + 1};
  const Receiver& first = fetch(self_, 1, larger);
  expect_failure(self_, 1, core::FailureClass::changed);
  ports::RangeRequest newer = request(kHead);
  newer.validator = "\"v0\"";
  const Receiver& second = fetch(self_, 2, newer);
  expect_failure(self_, 2, core::FailureClass::changed);
  EXPECT_EQ(first.taken() + second.taken(), 0U);
}

TEST_P(OriginContract, ReplyHeadersAreEmptyBeforeAReplyAndBoundedAfterwards) {
  EXPECT_EQ(self_->client->reply_headers(), "");
  fetch(1, kHead);
  ASSERT_TRUE(wait_end(self_, 1));
  EXPECT_LE(self_->client->reply_headers().size(), ports::kReplyHeadersBytesMax);
  EXPECT_EQ(connect()->client->reply_headers(), "") << "of another client";
}

TEST_P(OriginContract, FactsGoToTheClientThatAsked) {
  Customer* const other = connect();
  const Receiver& mine = fetch(self_, 1, request(kHead));
  const Receiver& theirs = fetch(other, 1, request(kMiddle));  // ids are each client's own
  other->client->probe(core::RequestId{2}, world_->file_url());
  ASSERT_TRUE(wait_end(self_, 1));
  ASSERT_TRUE(wait_end(other, 1));
  ASSERT_TRUE(wait_end(other, 2));
  expect_whole(self_, 1, kHead);
  expect_whole(other, 1, kMiddle);
  EXPECT_TRUE(mine.holds(kHead));
  EXPECT_TRUE(theirs.holds(kMiddle));
  EXPECT_TRUE(facts(self_, 2).empty());
}

TEST_P(OriginContract, ClientsAreCancelledAndDestroyedEachForItself) {
  world_->stall_after(kStallBytes);
  Customer* const second = connect();
  Customer* const third = connect();
  const Receiver& mine = fetch(self_, 1, request(kHead));
  fetch(second, 1, request(kMiddle));
  fetch(third, 1, request(kMiddle));
  second->client->cancel(core::RequestId{1});
  third->client.reset();
  world_->flow();
  ASSERT_TRUE(wait_end(self_, 1));
  expect_whole(self_, 1, kHead);
  EXPECT_TRUE(mine.holds(kHead));
  EXPECT_FALSE(ended(second, 1));
  EXPECT_FALSE(ended(third, 1));
}

// What may pass in the time since `start` at the rate: a burst, and per request what was under way
// when the rate was reached.
[[nodiscard]] inline std::uint64_t allowance(core::ByteRate rate, core::Duration time,
                                             std::uint64_t requests) {
  const core::TokenBucket bucket(rate, core::Instant{});
  const auto ms = static_cast<std::uint64_t>(time / std::chrono::milliseconds{1}) + 1;
  return rate.value * ms / 1000 + bucket.burst().value + requests * ports::kRangeAcceptBytesMax;
}

TEST_P(OriginContract, ALimitHoldsForAllRangesOfAClientTogether) {
  constexpr core::ByteRate kRate{4 * core::kMiB};
  self_->client->set_rate_limit(kRate);
  const core::Instant start = world_->now();
  const Receiver& first = fetch(1, kHead);
  const Receiver& second = fetch(2, kMiddle);
  std::uint64_t most = 0;  // bytes beyond what the time allowed
  const auto look = [&] {
    const std::uint64_t taken = first.taken() + second.taken();
    const std::uint64_t allowed = allowance(kRate, world_->now() - start, 2);
    most = std::max(most, taken - std::min(taken, allowed));
    return ended(self_, 1) && ended(self_, 2);
  };
  ASSERT_TRUE(wait(look));
  EXPECT_EQ(most, 0U);
  expect_whole(self_, 1, kHead);
  expect_whole(self_, 2, kMiddle);
  EXPECT_TRUE(first.holds(kHead));
  EXPECT_TRUE(second.holds(kMiddle));
}

// So slow that no test waits for the end of a range.
inline constexpr core::ByteRate kCrawl{16 * core::kKiB};

TEST_P(OriginContract, ALimitThatIsLiftedFreesARangeOnItsWay) {
  self_->client->set_rate_limit(kCrawl);
  const Receiver& receiver = fetch(1, kMiddle);
  ASSERT_TRUE(wait([&] { return receiver.taken() > 0; }));
  settle();  // others are not held up
  EXPECT_FALSE(ended(self_, 1));
  self_->client->set_rate_limit({});
  ASSERT_TRUE(wait_end(self_, 1));
  expect_whole(self_, 1, kMiddle);
  EXPECT_TRUE(receiver.holds(kMiddle));
}

TEST_P(OriginContract, ALowerLimitReachesARangeOnItsWay) {
  world_->stall_after(kStallBytes);
  const Receiver& receiver = fetch(1, kMiddle);
  ASSERT_TRUE(wait([&] { return receiver.taken() > 0; }));
  self_->client->set_rate_limit(kCrawl);
  settle();
  EXPECT_FALSE(ended(self_, 1));
  EXPECT_LT(receiver.taken(), kMiddle.size().value);
  const std::size_t told = count(self_);
  const std::uint64_t taken = receiver.taken();
  self_->client->cancel(core::RequestId{1});
  settle();
  EXPECT_FALSE(ended(self_, 1)) << "a range that waits for its rate is cancelled like any other";
  EXPECT_LE(count(self_), told + 1);
  EXPECT_LE(receiver.taken(), taken + 2 * ports::kRangeAcceptBytesMax);
}

}  // namespace lanward::test
