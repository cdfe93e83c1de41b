#include "engine/core/rate_meter.h"

#include <chrono>

#include <gtest/gtest.h>

namespace lanward::core {
namespace {

using namespace std::chrono_literals;

TEST(RateMeter, ShowsASteadyRateWithinAQuarter) {
  const Instant start{1s};
  RateMeter meter(start);
  for (int i = 1; i <= 40; ++i) {
    meter.add(ByteCount{25'000}, start + i * 25ms);
    if (i < 8) continue;
    EXPECT_GT(meter.rate(start + i * 25ms).value, 750'000U) << i;
    EXPECT_LT(meter.rate(start + i * 25ms).value, 1'250'000U) << i;
  }
}

TEST(RateMeter, DoesNotOverstateASingleBurst) {
  const Instant start{1s};
  RateMeter meter(start, 500ms);
  meter.add(ByteCount{1'000'000}, start + 1ms);
  EXPECT_LE(meter.rate(start + 1ms).value, 2'000'000U);
}

TEST(RateMeter, ForgetsWhatIsOlderThanItsWindow) {
  const Instant start{1s};
  RateMeter meter(start);
  meter.add(ByteCount{1'000'000}, start + 10ms);
  EXPECT_GT(meter.rate(start + 500ms).value, 0U);
  EXPECT_EQ(meter.rate(start + 1200ms).value, 0U);
  EXPECT_EQ(meter.rate(start + 1h).value, 0U);
}

}  // namespace
}  // namespace lanward::core
