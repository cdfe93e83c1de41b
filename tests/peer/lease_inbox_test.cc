#include "peer/lease_inbox.h"

#include <gtest/gtest.h>

#include <vector>

namespace lanward::test {
namespace {

using peer::LeaseInbox;
using namespace std::chrono_literals;

const std::vector<std::uint8_t> kHello = core::encode(core::Hello{core::PeerKey{7}, true});
const LeaseInbox::TimePoint kNow = LeaseInbox::TimePoint{} + 1h;

TEST(LeaseInbox, ReadsMessages) {
  LeaseInbox inbox;
  const auto message = inbox.take(kHello, kNow);
  ASSERT_TRUE(message);
  EXPECT_EQ(*message, core::LeaseMessage(core::Hello{core::PeerKey{7}, true}));
}

TEST(LeaseInbox, LosesHopeAfterAFewMessagesThatNobodyCanRead) {
  LeaseInbox inbox;
  std::vector<std::uint8_t> cut = kHello;
  cut.pop_back();
  const std::vector<std::uint8_t> endless(core::kLeaseMessageBytesMax + 1, 1);
  for (int i = 0; i < LeaseInbox::kNonsenseMax; ++i) {
    EXPECT_FALSE(inbox.is_hopeless());
    EXPECT_FALSE(inbox.take(i % 2 == 0 ? cut : endless, kNow));
  }
  EXPECT_TRUE(inbox.is_hopeless());
}

TEST(LeaseInbox, IgnoresOtherVersionsAndKinds) {
  LeaseInbox inbox;
  std::vector<std::uint8_t> newer = kHello, stranger = kHello;
  newer[0] = core::kLeaseWireVersion + 1;
  stranger[1] = 200;
  for (int i = 0; i < 5 * LeaseInbox::kNonsenseMax; ++i) {
    EXPECT_FALSE(inbox.take(newer, kNow));
    EXPECT_FALSE(inbox.take(stranger, kNow));
  }
  EXPECT_FALSE(inbox.is_hopeless());
}

TEST(LeaseInbox, TakesABurstThenASteadyRate) {
  LeaseInbox inbox;
  int taken = 0;
  for (int i = 0; i < 3 * LeaseInbox::kBurstMax; ++i) taken += inbox.take(kHello, kNow) ? 1 : 0;
  EXPECT_EQ(taken, LeaseInbox::kBurstMax);
  EXPECT_EQ(inbox.dropped(), 2U * LeaseInbox::kBurstMax);
  taken = 0;
  for (int ms = 1; ms <= 2000; ++ms) {
    taken += inbox.take(kHello, kNow + std::chrono::milliseconds(ms)) ? 1 : 0;
  }
  EXPECT_NEAR(taken, 2 * LeaseInbox::kPerSecond, 1);
  EXPECT_FALSE(inbox.is_hopeless());
}

}  // namespace
}  // namespace lanward::test
