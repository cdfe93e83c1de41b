#include "engine/core/token_bucket.h"

#include <chrono>
#include <cstdint>

#include <gtest/gtest.h>

#include "engine/core/prng.h"

namespace lanward::core {
namespace {

using namespace std::chrono_literals;

constexpr Instant kStart{1h};

TEST(TokenBucket, WithoutARateEverythingPasses) {
  TokenBucket bucket(ByteRate{0}, kStart);
  EXPECT_FALSE(bucket.limited());
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(bucket.take(ByteCount{1U << 30U}, kStart));
  EXPECT_EQ(bucket.next_ready(kStart), kStart);
}

TEST(TokenBucket, NeverLetsMorePassThanRateBurstAndOneTake) {
  for (const std::uint64_t seed : {1U, 2U, 3U, 4U, 5U, 6U, 7U, 8U}) {
    SCOPED_TRACE(seed);
    Prng prng{Seed{seed}};
    const ByteRate rate{1 + prng.next() % (std::uint64_t{1} << (10 + seed * 3))};
    constexpr std::uint64_t kTakeMax = 64 * kKiB;
    TokenBucket bucket(rate, kStart);
    const std::uint64_t slack = bucket.burst().value + kTakeMax;
    std::uint64_t passed = 0;
    Instant now = kStart;
    for (int i = 0; i < 20'000; ++i) {
      now += Duration{static_cast<std::int64_t>(prng.next() % 2'000'000)};
      const ByteCount bytes{1 + prng.next() % kTakeMax};
      if (bucket.take(bytes, now)) passed += bytes.value;
      const auto us = static_cast<std::uint64_t>((now - kStart) / 1us) + 1;
      ASSERT_LE(passed, rate.value / 1000 * us / 1000 + us + slack) << i;
    }
  }
}

TEST(TokenBucket, WhoWaitsUntilItIsReadyGetsTheWholeRate) {
  for (const std::uint64_t rate : {1'000U, 333'333U, 2'000'000U, 1'250'000'000U}) {
    SCOPED_TRACE(rate);
    TokenBucket bucket(ByteRate{rate}, kStart);
    Instant now = kStart;
    std::uint64_t passed = 0;
    while (now < kStart + 60s) {
      now = bucket.next_ready(now);
      ASSERT_TRUE(bucket.take(ByteCount{16 * kKiB}, now));
      passed += 16 * kKiB;
    }
    EXPECT_GE(passed, rate * 60);
    // One take is owed, and the last came after the end.
    EXPECT_LE(passed, rate * 60 + bucket.burst().value + 2 * 16 * kKiB);
  }
}

TEST(TokenBucket, IsReadyNoMomentBeforeItSays) {
  TokenBucket bucket(ByteRate{777'777}, kStart);
  ASSERT_TRUE(bucket.take(ByteCount{bucket.burst().value + 12'345}, kStart));
  const Instant ready = bucket.next_ready(kStart);
  EXPECT_FALSE(bucket.take(ByteCount{1}, ready - 1ns));
  EXPECT_TRUE(bucket.take(ByteCount{1}, ready));
}

TEST(TokenBucket, SavesNoMoreThanItsBurst) {
  TokenBucket bucket(ByteRate{1'000'000}, kStart);
  const Instant later = kStart + 24h;
  EXPECT_TRUE(bucket.take(ByteCount{bucket.burst().value}, later));
  EXPECT_FALSE(bucket.take(ByteCount{1}, later));
}

TEST(TokenBucket, AnotherRateKeepsWhatIsOwed) {
  TokenBucket bucket(ByteRate{1'000'000}, kStart);
  ASSERT_TRUE(bucket.take(ByteCount{bucket.burst().value + 1'000'000}, kStart));
  bucket.set_rate(ByteRate{100'000}, kStart);
  EXPECT_FALSE(bucket.take(ByteCount{1}, kStart + 9s));
  EXPECT_TRUE(bucket.take(ByteCount{1}, kStart + 11s));
}

TEST(TokenBucket, SwitchingTheLimitOffAndOnGivesNoBurst) {
  TokenBucket bucket(ByteRate{1'000'000}, kStart);
  ASSERT_TRUE(bucket.take(ByteCount{bucket.burst().value}, kStart));
  bucket.set_rate(ByteRate{0}, kStart);
  bucket.set_rate(ByteRate{1'000'000}, kStart);
  EXPECT_FALSE(bucket.take(ByteCount{1}, kStart));
}

TEST(TokenBucket, ATimeThatStandsStillOrGoesBackGivesNothing) {
  TokenBucket bucket(ByteRate{1'000'000}, kStart);
  ASSERT_TRUE(bucket.take(ByteCount{bucket.burst().value}, kStart));
  EXPECT_FALSE(bucket.take(ByteCount{1}, kStart - 1s));
  EXPECT_FALSE(bucket.take(ByteCount{1}, kStart));
}

}  // namespace
}  // namespace lanward::core
