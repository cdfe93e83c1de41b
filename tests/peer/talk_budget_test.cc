#include "peer/talk_budget.h"

#include <gtest/gtest.h>

namespace lanward::test {
namespace {

using peer::TalkBudget;
using namespace std::chrono_literals;

const TalkBudget::TimePoint kBegin = TalkBudget::TimePoint{} + 1h;

TEST(TalkBudget, ABurstIsAllowedOnce) {
  TalkBudget budget(kBegin);
  EXPECT_TRUE(budget.allows(TalkBudget::kBurst, 0, kBegin));
  EXPECT_FALSE(budget.allows(TalkBudget::kBurst + 1, 0, kBegin));
}

TEST(TalkBudget, TimeEarnsMoreUpToABurst) {
  TalkBudget budget(kBegin);
  std::uint64_t said = TalkBudget::kBurst;
  EXPECT_TRUE(budget.allows(said, 0, kBegin));
  said += TalkBudget::kPerSecond;
  EXPECT_TRUE(budget.allows(said, 0, kBegin + 1s));
  EXPECT_FALSE(budget.allows(said + TalkBudget::kBurst + 1, 0, kBegin + 1h));
}

TEST(TalkBudget, WhoMovesBytesMayAskForThem) {
  TalkBudget budget(kBegin);
  // Ten gigabytes within a second, asked for in blocks: each has a request.
  std::uint64_t said = 0;
  std::uint64_t moved = 0;
  for (int i = 0; i < 1000; ++i) {
    said += 17 * 611;
    moved += 16'384 * 611;
    ASSERT_TRUE(budget.allows(said, moved, kBegin + std::chrono::milliseconds(i)));
  }
  EXPECT_FALSE(budget.allows(2 * said + TalkBudget::kBurst, moved, kBegin + 1s));
}

}  // namespace
}  // namespace lanward::test
