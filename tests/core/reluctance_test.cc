#include "engine/core/reluctance.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include "engine/core/prng.h"

namespace lanward::core {
namespace {

using namespace std::chrono_literals;

constexpr Instant kStart{1h};
const Policy kPolicy{};
constexpr std::uint32_t kFirst = 0;
constexpr std::uint32_t kLast = ~std::uint32_t{0};

TEST(Reluctance, LeavesTheOriginAsLongAsSomebodyElseIsWilling) {
  Reluctance reluctance(kPolicy, kFirst, kStart);
  for (Duration t = 0s; t < 1h; t += 1s) {
    EXPECT_TRUE(reluctance.leaves(true, t % 2s == 0s, kStart + t));
    EXPECT_FALSE(reluctance.next_due());
  }
}

TEST(Reluctance, BeginsWhenNobodyWasWillingForSoLong) {
  Reluctance reluctance(kPolicy, kFirst, kStart);
  EXPECT_TRUE(reluctance.leaves(false, false, kStart));
  EXPECT_EQ(reluctance.next_due(), kStart + kPolicy.puller_absence);
  EXPECT_TRUE(reluctance.leaves(false, false, kStart + kPolicy.puller_absence - 1ns));
  EXPECT_FALSE(reluctance.leaves(false, false, kStart + kPolicy.puller_absence));
  EXPECT_FALSE(reluctance.next_due());
}

TEST(Reluctance, TheTimeCountsFromTheLastOneThatWasWilling) {
  Reluctance reluctance(kPolicy, kFirst, kStart);
  const Instant left = kStart + 1min;
  EXPECT_TRUE(reluctance.leaves(true, true, left));
  EXPECT_TRUE(reluctance.leaves(false, false, left + kPolicy.puller_absence - 1ns));
  EXPECT_FALSE(reluctance.leaves(false, false, left + kPolicy.puller_absence));
}

TEST(Reluctance, DoesNotCountBeforeOriginsMayBeAsked) {
  Reluctance reluctance(kPolicy, kFirst, kStart + 10s);
  EXPECT_TRUE(reluctance.leaves(true, true, kStart));
  EXPECT_TRUE(reluctance.leaves(false, false, kStart + 10s));
  EXPECT_EQ(reluctance.next_due(), kStart + 10s + kPolicy.puller_absence);
}

TEST(Reluctance, HighRanksWaitLonger) {
  Reluctance reluctance(kPolicy, kLast, kStart);
  EXPECT_TRUE(reluctance.leaves(false, false, kStart + kPolicy.puller_absence));
  ASSERT_TRUE(reluctance.next_due());
  EXPECT_GT(*reluctance.next_due(), kStart + kPolicy.puller_absence);
  EXPECT_LE(*reluctance.next_due(), kStart + 2 * kPolicy.puller_absence);
  EXPECT_FALSE(reluctance.leaves(false, false, kStart + 2 * kPolicy.puller_absence));
}

TEST(Reluctance, GivesWayToALowerRankAtOnceAndToOthersAfterAWhile) {
  const Instant begun = kStart + kPolicy.puller_absence;
  Reluctance to_lower(kPolicy, kFirst, kStart);
  EXPECT_FALSE(to_lower.leaves(false, false, begun));
  EXPECT_TRUE(to_lower.leaves(true, true, begun + 1s));
  Reluctance to_higher(kPolicy, kFirst, kStart);
  EXPECT_FALSE(to_higher.leaves(false, false, begun));
  EXPECT_FALSE(to_higher.leaves(true, false, begun + 1s));
  ASSERT_TRUE(to_higher.next_due());
  EXPECT_FALSE(to_higher.leaves(true, false, *to_higher.next_due() - 1ns));
  EXPECT_TRUE(to_higher.leaves(true, false, begun + 1s + 2 * kPolicy.puller_absence));
}

TEST(Reluctance, WhoeverGoesAgainBringsNoRelief) {
  const Instant begun = kStart + kPolicy.puller_absence;
  Reluctance reluctance(kPolicy, kFirst, kStart);
  EXPECT_FALSE(reluctance.leaves(false, false, begun));
  Instant now = begun;
  for (int i = 0; i < 100; ++i) {
    now += kPolicy.puller_absence;
    EXPECT_FALSE(reluctance.leaves(true, false, now));
    now += kPolicy.puller_absence;
    EXPECT_FALSE(reluctance.leaves(false, false, now));
  }
}

// A site of nothing but reluctant peers, which hear of each other late: in the end one of them, and
// only one, asks the origin, and it stays so.
TEST(Reluctance, AmongReluctantPeersOneTakesItOn) {
  constexpr std::size_t kPeers = 8;
  constexpr Duration kStep = 10ms;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE(seed);
    Prng prng{Seed{seed}};
    std::vector<std::uint32_t> places;
    std::vector<Reluctance> peers;
    for (std::size_t i = 0; i < kPeers; ++i) {
      // Half of them stand so close together that they begin at the same time.
      places.push_back(static_cast<std::uint32_t>(prng.next() >> (i % 2 == 0 ? 32U : 44U)));
      peers.emplace_back(kPolicy, places.back(), kStart);
    }
    std::array<bool, kPeers> willing{};
    int changes_late = 0;
    for (int step = 0; step < 6000; ++step) {
      const std::array<bool, kPeers> heard = willing;  // a step late
      for (std::size_t i = 0; i < kPeers; ++i) {
        bool others = false;
        bool lower = false;
        for (std::size_t j = 0; j < kPeers; ++j) {
          if (j == i || !heard[j]) continue;
          others = true;
          lower = lower || places[j] < places[i] || (places[j] == places[i] && j < i);
        }
        const bool now_willing = !peers[i].leaves(others, lower, kStart + step * kStep);
        if (now_willing != willing[i] && step > 3000) ++changes_late;
        willing[i] = now_willing;
      }
    }
    EXPECT_EQ(std::count(willing.begin(), willing.end(), true), 1);
    EXPECT_EQ(changes_late, 0);
  }
}

}  // namespace
}  // namespace lanward::core
