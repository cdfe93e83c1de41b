// How much of a request an idle lane of another origin takes.
#include "engine/core/takeover.h"

#include <chrono>

#include <gtest/gtest.h>

namespace lanward::core {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kMB = 1'000'000;

RequestEnd end_of(std::uint64_t bytes, std::uint64_t rate) {
  return {.bytes = bytes,
          .rate = ByteRate{rate},
          .left = rate == 0 ? Duration::max()
                            : Duration{std::chrono::milliseconds{bytes * 1000 / rate}}};
}
Lane lane_of(std::uint64_t rate, Duration latency = 0ms) { return {ByteRate{rate}, latency}; }

TEST(Takeover, EqualsShareTheRestInHalves) {
  EXPECT_NEAR(static_cast<double>(share_for(lane_of(kMB), end_of(10 * kMB, kMB))), 5.0 * kMB, 1e4);
}

TEST(Takeover, BothEndTogetherWhateverTheirRates) {
  const std::uint64_t share = share_for(lane_of(kMB / 2, 1s), end_of(10 * kMB, kMB));
  const double helper = 1 + static_cast<double>(share) / (kMB / 2.0);
  const double other = static_cast<double>(10 * kMB - share) / kMB;
  EXPECT_NEAR(helper, other, 0.05);
}

TEST(Takeover, AMuchFasterLaneTakesAll) {
  EXPECT_EQ(share_for(lane_of(20 * kMB), end_of(10 * kMB, kMB)), 10 * kMB);
}

TEST(Takeover, AStalledRequestIsTakenAsAWhole) {
  EXPECT_EQ(share_for(lane_of(kMB), end_of(10 * kMB, 0)), 10 * kMB);
  EXPECT_EQ(share_for(lane_of(0), end_of(10 * kMB, 0)), 10 * kMB);
}

TEST(Takeover, WhatEndsSoonIsLeftAlone) {
  EXPECT_EQ(share_for(lane_of(20 * kMB), end_of(50'000, kMB)), 0U);
  EXPECT_EQ(share_for(lane_of(20 * kMB, 15s), end_of(10 * kMB, kMB)), 0U);
  EXPECT_EQ(share_for(lane_of(20 * kMB), end_of(0, kMB)), 0U);
}

TEST(Takeover, AnUnknownLaneTakesNothingFromOneThatMoves) {
  EXPECT_EQ(share_for(lane_of(0), end_of(10 * kMB, kMB)), 0U);
}

// ---- how a request goes on ---------------------------------------------------------------------

OriginRequest request_at(Instant begun, std::uint64_t bytes, Instant last_byte) {
  OriginRequest request{SourceId{0}, {0, 10 * kMB}, bytes,           false,
                        begun,       last_byte,     RateMeter(begun)};
  request.rate.add(ByteCount{bytes}, last_byte);
  return request;
}
constexpr Instant kBegun{100s};

TEST(Takeover, ARequestThatBringsNothingIsGivenTimeToBegin) {
  const OriginRequest request = request_at(kBegun, 0, kBegun);
  EXPECT_FALSE(foresee(request, lane_of(0), lane_of(kMB), kBegun + 200ms));
  ASSERT_TRUE(foresee(request, lane_of(0), lane_of(kMB), kBegun + 400ms));
  EXPECT_EQ(foresee(request, lane_of(0), lane_of(kMB), kBegun + 400ms)->left, Duration::max());
  // Far origins get more, and so does everybody on a slow link.
  EXPECT_FALSE(foresee(request, lane_of(0, 1s), lane_of(kMB), kBegun + 2s));
  EXPECT_FALSE(foresee(request, lane_of(0), lane_of(10'000), kBegun + 2s));
}

TEST(Takeover, AYoungRequestIsExpectedToBeAsFastAsItsOrigin) {
  const auto end = foresee(request_at(kBegun, 0, kBegun), lane_of(kMB), lane_of(kMB), kBegun + 1ms);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->rate.value, kMB);
  EXPECT_EQ(end->left, Duration{10s});
}

TEST(Takeover, AnOlderOneIsAsFastAsItIs) {
  const auto end =
      foresee(request_at(kBegun, kMB, kBegun + 900ms), lane_of(9 * kMB), lane_of(kMB), kBegun + 1s);
  ASSERT_TRUE(end);
  EXPECT_LT(end->rate.value, 2 * kMB);
}

}  // namespace
}  // namespace lanward::core
