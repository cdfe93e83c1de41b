#include "engine/core/upload_quota.h"

#include <limits>
#include <string>

#include <gtest/gtest.h>

namespace lanward::core {
namespace {

using namespace std::chrono_literals;
using std::chrono::sys_days;
using std::chrono::sys_seconds;

constexpr Month kNovember = 2026y / 11;
constexpr Instant kStart{1h};

constexpr sys_seconds day(std::chrono::year_month_day date) { return sys_days(date); }
constexpr sys_seconds kToday = day(2026y / 11 / 22);

// ---- months ------------------------------------------------------------------------------------

TEST(Month, IsThatOfUtc) {
  EXPECT_EQ(month_of(day(2026y / 11 / 1)), kNovember);
  EXPECT_EQ(month_of(day(2026y / 12 / 1) - 1s), kNovember);
  EXPECT_EQ(month_of(day(2026y / 12 / 1)), 2026y / 12);
  EXPECT_EQ(month_of(sys_seconds{}), 1970y / 1);
  EXPECT_EQ(month_of(sys_seconds{-1s}), 1969y / 12);
}

TEST(UploadCount, BeginsAnewWithEachMonth) {
  UploadCount count;
  EXPECT_EQ(count.given(kNovember), 0U);
  count.add(kNovember, 5);
  count.add(kNovember, 2);
  EXPECT_EQ(count.given(kNovember), 7U);
  EXPECT_EQ(count.given(2026y / 12), 0U);
  count.add(2026y / 12, 1);
  EXPECT_EQ(count.given(2026y / 12), 1U);
}

TEST(UploadCount, AClockThatJumpsAheadAndBackLosesNothing) {
  UploadCount count;
  count.add(kNovember, 7);
  count.add(2031y / 5, 1);
  EXPECT_EQ(count.given(kNovember), 7U);
  count.add(kNovember, 1);
  EXPECT_EQ(count.given(kNovember), 8U);
  // And the wrong month does not stand in the way of the next right one.
  EXPECT_EQ(count.given(2026y / 12), 0U);
}

TEST(UploadCount, AClockThatBeginsInThePastGivesNothingAway) {
  UploadCount count;
  count.add(kNovember, 7);
  count.add(1970y / 1, 1);
  EXPECT_EQ(count.given(1970y / 1), 8U);
  EXPECT_EQ(count.given(kNovember), 7U);
}

TEST(UploadCount, AWrongFirstMonthBarsNoLongerThanOneMonth) {
  UploadCount count;
  count.add(2031y / 5, 1000);
  EXPECT_EQ(count.given(kNovember), 1000U);
  count.add(kNovember, 0);
  EXPECT_EQ(count.given(2026y / 12), 0U);
}

TEST(UploadCount, KeepsTheMonthsThatWereUsedLast) {
  UploadCount count;
  count.add(kNovember, 7);
  for (unsigned month = 1; month < UploadCount::kMonthsMax; ++month) {
    count.add(2020y / static_cast<int>(month), 1);
    count.add(kNovember, 0);
  }
  count.add(2021y / 1, 1);
  EXPECT_EQ(count.given(kNovember), 7U);
}

TEST(UploadCount, DoesNotOverflow) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  UploadCount count;
  count.add(kNovember, kMost - 1);
  count.add(kNovember, 5);
  EXPECT_EQ(count.given(kNovember), kMost);
}

// ---- its file ----------------------------------------------------------------------------------

TEST(UploadCount, IsReadAsItWasWritten) {
  UploadCount count;
  EXPECT_EQ(UploadCount::parse(count.format()), count);
  count.add(2026y / 2, std::numeric_limits<std::uint64_t>::max());
  count.add(kNovember, 123);
  EXPECT_EQ(count.format(), "lanward-given 1\n2026-02 18446744073709551615\n2026-11 123\n");
  EXPECT_EQ(UploadCount::parse(count.format()), count);
}

TEST(UploadCount, AFileThatMakesNoSenseIsRefused) {
  const std::string head = "lanward-given 1\n";
  std::string months = head;
  for (std::size_t i = 0; i <= UploadCount::kMonthsMax; ++i) {
    months += "2026-0" + std::to_string(i + 1) + " 1\n";
  }
  for (const std::string& text :
       {std::string(), std::string("lanward-given 1"), std::string("something\n"), head + "\n",
        head + "2026-11\n", head + "2026-13 5\n", head + "2026-0 5\n", head + "2026 5\n",
        head + "2026-11 -5\n", head + "2026-11 5 \n", head + "2026-11 5", head + "x-11 5\n",
        head + "2026-11 18446744073709551616\n", head + "2026-11 1\n2026-11 2\n", months,
        head + std::string(kUploadCountBytesMax, '\n')}) {
    const auto count = UploadCount::parse(text);
    ASSERT_FALSE(count) << text;
    EXPECT_EQ(count.error().code, ErrorCode::state_damaged) << text;
  }
  EXPECT_EQ(UploadCount::parse("lanward-given 2\n").error().code, ErrorCode::unsupported);
}

// ---- the limit ---------------------------------------------------------------------------------

TEST(UploadQuota, IsSpentAtItsLimitAndFreshInTheNextMonth) {
  UploadQuota quota(100, {});
  quota.give(99, kToday, kStart);
  EXPECT_FALSE(quota.is_spent(kToday));
  EXPECT_EQ(quota.until_due(kToday), 1U);
  quota.give(1, kToday, kStart);
  EXPECT_TRUE(quota.is_spent(kToday));
  EXPECT_TRUE(quota.is_spent(day(2026y / 12 / 1) - 1s));
  EXPECT_FALSE(quota.is_spent(day(2026y / 12 / 1)));
  EXPECT_EQ(quota.given(day(2026y / 12 / 1)), 0U);
}

TEST(UploadQuota, GoesOnWithWhatWasCountedBefore) {
  UploadQuota first(100, {});
  first.give(60, kToday, kStart);
  const auto read = UploadCount::parse(first.count().format());
  ASSERT_TRUE(read);
  UploadQuota second(100, *read);
  EXPECT_EQ(second.given(kToday), 60U);
  second.give(40, kToday, kStart);
  EXPECT_TRUE(second.is_spent(kToday));
}

TEST(UploadQuota, WithoutALimitItIsNeverSpent) {
  UploadQuota quota(0, {});
  quota.give(std::numeric_limits<std::uint64_t>::max(), kToday, kStart);
  EXPECT_FALSE(quota.is_spent(kToday));
}

TEST(UploadQuota, IsToBeSavedBeforeMuchCanBeLost) {
  UploadQuota quota(0, {});
  EXPECT_FALSE(quota.save_at());
  quota.give(0, kToday, kStart);
  EXPECT_FALSE(quota.save_at());
  quota.give(1, kToday, kStart);
  EXPECT_EQ(quota.save_at(), kStart + UploadQuota::kSaveInterval);
  // What comes later does not put it off.
  quota.give(1, kToday, kStart + 9s);
  EXPECT_EQ(quota.save_at(), kStart + UploadQuota::kSaveInterval);
  EXPECT_EQ(quota.until_due(kToday), UploadQuota::kSaveBytes - 2);
  quota.give(quota.until_due(kToday), kToday, kStart + 9s);
  EXPECT_LE(*quota.save_at(), kStart + 9s);
  quota.saved();
  EXPECT_FALSE(quota.save_at());
  EXPECT_EQ(quota.until_due(kToday), UploadQuota::kSaveBytes);
}

}  // namespace
}  // namespace lanward::core
