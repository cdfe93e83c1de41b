#include "simulator/event_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "engine/core/prng.h"

namespace lanward::simulator {
namespace {

using std::chrono::milliseconds;

TEST(EventQueue, RunsInOrderOfTimeAndTiesInOrderOfScheduling) {
  EventQueue queue;
  std::string order;
  queue.after(milliseconds{2}, [&] { order += 'c'; });
  queue.after(milliseconds{1}, [&] { order += 'a'; });
  queue.after(milliseconds{1}, [&] { order += 'b'; });
  while (queue.step()) {
  }
  EXPECT_EQ(order, "abc");
  EXPECT_EQ(queue.now(), kStart + milliseconds{2});
  EXPECT_EQ(queue.executed(), 3U);
}

TEST(EventQueue, RunsAnEventOfThePresentInstantAfterThoseAlreadyWaiting) {
  EventQueue queue;
  std::string order;
  queue.after(milliseconds{1}, [&] {
    order += 'a';
    queue.at(queue.now(), [&] { order += 'c'; });
  });
  queue.after(milliseconds{1}, [&] { order += 'b'; });
  while (queue.step()) {
  }
  EXPECT_EQ(order, "abc");
}

TEST(EventQueue, StopsAtTheDeadlineWithoutRunningLaterEvents) {
  EventQueue queue;
  bool ran = false;
  queue.after(milliseconds{10}, [&] { ran = true; });
  const auto never = [] { return false; };
  EXPECT_FALSE(queue.run_until(never, kStart + milliseconds{9}, 1000));
  EXPECT_FALSE(ran);
  EXPECT_FALSE(queue.run_until(never, kStart + milliseconds{10}, 1000));
  EXPECT_TRUE(ran);
}

// Near and far times, and times of the present instant, against a sorted list.
TEST(EventQueue, KeepsTheOrderOverAllDistances) {
  constexpr std::uint64_t kSeed = 5;
  SCOPED_TRACE("seed 5");
  core::Prng prng(core::Seed{kSeed});
  EventQueue queue;
  std::vector<std::pair<core::Instant, int>> ran;
  std::vector<std::pair<core::Instant, int>> expected;
  int next = 0;
  const std::function<void()> plan = [&] {
    const unsigned magnitude = static_cast<unsigned>(prng.below(40));
    const core::Instant when =
        queue.now() + core::Duration{static_cast<std::int64_t>(prng.next() >> (63 - magnitude))} *
                          static_cast<int>(prng.below(4) != 0);
    expected.emplace_back(when, next);
    queue.at(when, [&, when, id = next] {
      EXPECT_EQ(queue.now(), when);
      ran.emplace_back(when, id);
      if (next < 2000) plan();
    });
    ++next;
  };
  for (int i = 0; i < 500; ++i) plan();
  while (queue.step()) {
  }
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(ran, expected);
  EXPECT_EQ(queue.pending(), 0U);
}

TEST(EventQueue, TakesNewEventsBeforeOneItHasLookedAt) {
  EventQueue queue;
  std::string order;
  queue.after(std::chrono::seconds{10}, [&] { order += 'b'; });
  EXPECT_FALSE(queue.run_until([] { return false; }, kStart + std::chrono::seconds{1}, 100));
  queue.after(milliseconds{1}, [&] { order += 'a'; });
  while (queue.step()) {
  }
  EXPECT_EQ(order, "ab");
}

TEST(EventQueue, TellsAHandlerItsTag) {
  struct Handler final : EventHandler {
    void fire(std::uint64_t tag) override { tags.push_back(tag); }
    std::vector<std::uint64_t> tags;
  } handler;
  EventQueue queue;
  queue.at(kStart + milliseconds{2}, handler, 7);
  queue.at(kStart + milliseconds{1}, handler, 9);
  while (queue.step()) {
  }
  EXPECT_EQ(handler.tags, (std::vector<std::uint64_t>{9, 7}));
}

TEST(EventQueue, EndsARunThatGoesRoundInCircles) {
  EventQueue queue;
  std::function<void()> again = [&] { queue.at(queue.now(), again); };
  again();
  EXPECT_FALSE(queue.run_until([] { return false; }, core::Instant::max(), 500));
  EXPECT_EQ(queue.executed(), 500U);
}

TEST(SimLoop, RunsPostedTasksInOrderAndNeverInsidePost) {
  EventQueue queue;
  SimLoop loop(queue);
  std::string order;
  loop.post([&] { order += 'a'; });
  loop.post([&] { order += 'b'; });
  EXPECT_EQ(order, "");
  while (queue.step()) {
  }
  EXPECT_EQ(order, "ab");
  EXPECT_EQ(loop.now(), kStart);
}

TEST(SimTimer, FiresOncePerArmingAtTheLatestInstantArmed) {
  EventQueue queue;
  SimLoop loop(queue);
  std::vector<core::Instant> fired;
  const auto timer = loop.make_timer([&] { fired.push_back(loop.now()); });
  timer->arm(kStart + milliseconds{5});
  timer->arm(kStart + milliseconds{7});
  timer->arm(kStart + milliseconds{3});
  while (queue.step()) {
  }
  EXPECT_EQ(fired, std::vector{kStart + milliseconds{3}});
}

TEST(SimTimer, FiresLaterWhenItIsArmedAgainForLater) {
  EventQueue queue;
  SimLoop loop(queue);
  std::vector<core::Instant> fired;
  const auto timer = loop.make_timer([&] { fired.push_back(loop.now()); });
  timer->arm(kStart + milliseconds{3});
  timer->disarm();
  timer->arm(kStart + milliseconds{5});
  while (queue.step()) {
  }
  EXPECT_EQ(fired, std::vector{kStart + milliseconds{5}});
}

TEST(SimTimer, CanBeArmedAgainFromItsOwnTask) {
  EventQueue queue;
  SimLoop loop(queue);
  int fired = 0;
  std::unique_ptr<ports::Timer> timer;
  timer = loop.make_timer([&] {
    if (++fired < 3) timer->arm(loop.now() + milliseconds{1});
  });
  timer->arm(kStart);
  while (queue.step()) {
  }
  EXPECT_EQ(fired, 3);
}

TEST(SimTimer, DropsWhatWasArmedWhenDisarmedOrDestroyed) {
  EventQueue queue;
  SimLoop loop(queue);
  int fired = 0;
  auto disarmed = loop.make_timer([&] { ++fired; });
  auto destroyed = loop.make_timer([&] { ++fired; });
  disarmed->arm(kStart + milliseconds{1});
  destroyed->arm(kStart + milliseconds{1});
  disarmed->disarm();
  destroyed.reset();
  while (queue.step()) {
  }
  EXPECT_EQ(fired, 0);
}

}  // namespace
}  // namespace lanward::simulator
