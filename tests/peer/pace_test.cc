#include "peer/pace.h"

#include <gtest/gtest.h>

namespace lanward::peer {
namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t kBlock = 16 * 1024;

class PaceTest : public testing::Test {
 protected:
  // Blocks of both directions, evenly over the time.
  void run(milliseconds time, std::uint64_t received, std::uint64_t sent) {
    for (milliseconds t{0}; t < time; t += milliseconds{1}) {
      now_ += milliseconds{1};
      if (received > 0) pace_.received(received, now_);
      if (sent > 0) pace_.sent(sent, now_);
    }
  }

  Pace pace_;
  Pace::Clock::time_point now_{std::chrono::hours{1}};
};

TEST_F(PaceTest, IsNotSlowBeforeItHasMeasured) {
  run(milliseconds{50}, kBlock / 2, 0);
  EXPECT_FALSE(pace_.slow());
}

TEST_F(PaceTest, IsSlowWhileBothDirectionsAre) {
  run(milliseconds{250}, 12'000, 12'000);
  EXPECT_TRUE(pace_.slow());
}

TEST_F(PaceTest, IsNotSlowWhenOneDirectionIsFast) {
  run(milliseconds{250}, 0, 2 * kBlock);
  EXPECT_FALSE(pace_.slow());
  run(milliseconds{250}, 2 * kBlock, 100);
  EXPECT_FALSE(pace_.slow());
}

TEST_F(PaceTest, NoticesThatTheLineHasBecomeFast) {
  run(milliseconds{250}, 12'000, 0);
  ASSERT_TRUE(pace_.slow());
  // A sender that rests between two send buffers' worth.
  const auto per_ms = static_cast<std::uint64_t>(32 * 1024 / 1.6);
  run(milliseconds{250}, 0, per_ms);
  EXPECT_FALSE(pace_.slow());
}

TEST_F(PaceTest, ForgetsWhatWasBeforeASilence) {
  run(milliseconds{250}, 12'000, 0);
  ASSERT_TRUE(pace_.slow());
  now_ += milliseconds{300};
  run(milliseconds{1}, kBlock, 0);
  EXPECT_FALSE(pace_.slow());
}

}  // namespace
}  // namespace lanward::peer
