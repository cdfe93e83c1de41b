#include "engine/store/flusher.h"

#include <atomic>
#include <chrono>
#include <future>

#include <gtest/gtest.h>

namespace lanward::store {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 60s;

TEST(FlusherTest, WhatIsUrgentDoesNotWaitForTheRound) {
  std::promise<void> done;
  std::atomic<int> rounds{0};
  Flusher flusher;
  flusher.start(
      1h, [&] { return ++rounds, false; }, [&] { done.set_value(); });
  flusher.poke();
  flusher.hurry();
  EXPECT_EQ(done.get_future().wait_for(kPatience), std::future_status::ready);
  flusher.stop();
  EXPECT_EQ(rounds, 0);
}

TEST(FlusherTest, WhatIsUrgentAllTheTimeDoesNotKeepRoundsOff) {
  std::promise<void> done;
  std::atomic<int> rounds{0};
  Flusher flusher;
  flusher.start(
      1ms,
      [&] {
        if (++rounds == 1) done.set_value();
        return false;
      },
      [&] { flusher.hurry(); });
  flusher.hurry();
  flusher.poke();
  EXPECT_EQ(done.get_future().wait_for(kPatience), std::future_status::ready);
  flusher.stop();
}

TEST(FlusherTest, NobodyRunsARoundThatWasNotAskedFor) {
  std::promise<void> done;
  std::atomic<int> rounds{0};
  std::atomic<int> urgent{0};
  Flusher flusher;
  flusher.start(
      1ms, [&] { return ++rounds, false; },
      [&] {
        if (++urgent == 20) return done.set_value();
        if (urgent < 20) flusher.hurry();
      });
  flusher.hurry();
  EXPECT_EQ(done.get_future().wait_for(kPatience), std::future_status::ready);
  flusher.stop();
  EXPECT_EQ(rounds, 0);
}

}  // namespace
}  // namespace lanward::store
