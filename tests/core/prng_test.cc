#include "engine/core/prng.h"

#include <array>

#include <gtest/gtest.h>

namespace lanward::core {
namespace {

// The published first outputs of SplitMix64 seeded with 0: the sequence is the same everywhere.
TEST(Mix64, GivesThePublishedSplitMixSequence) {
  constexpr std::uint64_t kGamma = 0x9e3779b97f4a7c15U;
  EXPECT_EQ(mix64(0), 0xe220a8397b1dcdafU);
  EXPECT_EQ(mix64(kGamma), 0x6e789e6aa1b965f4U);
  EXPECT_EQ(mix64(2 * kGamma), 0x06c45d188009454fU);
}

TEST(Prng, RepeatsItselfForTheSameSeedOnly) {
  Prng a{Seed{42}};
  Prng b{Seed{42}};
  Prng c{Seed{43}};
  int equal = 0;
  for (int i = 0; i < 100; ++i) {
    const std::uint64_t x = a.next();
    ASSERT_EQ(x, b.next());
    equal += x == c.next() ? 1 : 0;
  }
  EXPECT_EQ(equal, 0);
}

TEST(Prng, StaysBelowItsBoundAndReachesEveryValue) {
  Prng prng{Seed{1}};
  std::array<int, 10> seen{};
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t x = prng.below(10);
    ASSERT_LT(x, 10U);
    ++seen[x];
  }
  for (const int n : seen) {
    EXPECT_GT(n, 800);
    EXPECT_LT(n, 1200);
  }
  EXPECT_EQ(prng.below(1), 0U);
}

}  // namespace
}  // namespace lanward::core
