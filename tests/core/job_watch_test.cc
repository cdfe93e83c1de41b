#include "engine/core/job_watch.h"

#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>

#include <gtest/gtest.h>

namespace lanward::core {
namespace {

using namespace std::chrono_literals;
using std::chrono::hours;
using std::chrono::seconds;

constexpr Instant kStart{5s};
constexpr std::int64_t kWall = 1'700'000'000;  // the clock on the wall at kStart
constexpr hours kDay{24};
// Nothing but what a test is about comes due.
constexpr WatchSettings kPatient{.priority = Priority::normal,
                                 .no_progress_timeout = 365 * kDay,
                                 .maximum_download_time = 365 * kDay,
                                 .minimum_retry_delay = 0s,
                                 .job_age_max = 365 * kDay};

JobWatch fresh(const WatchSettings& settings) {
  return {settings, {.now = kWall, .created = kWall, .first_resumed = 0}, kStart};
}

// That nothing is overdue an instant before `at`, and `code` is from then on.
void expect_due(const JobWatch& watch, ErrorCode code, Instant at) {
  EXPECT_EQ(watch.overdue(at - 1ns), std::nullopt) << to_string(code);
  EXPECT_EQ(watch.overdue(at), code);
  EXPECT_EQ(watch.overdue(at + 1h), code);
  EXPECT_EQ(watch.next_wakeup(at - 1ns), at) << to_string(code);
}

TEST(JobWatch, WithoutAByteAJobIsOverdueAfterTheTimeoutOfItsPriority) {
  for (const auto& [priority, timeout] :
       {std::pair{Priority::foreground, 3600s}, std::pair{Priority::high, 86400s},
        std::pair{Priority::normal, 86400s}, std::pair{Priority::low, 86400s}}) {
    JobWatch watch = fresh({.priority = priority});
    watch.resumed(kStart + 7s);
    expect_due(watch, ErrorCode::no_progress, kStart + 7s + timeout);
  }
}

TEST(JobWatch, ATimeoutThatWasSetReplacesTheDefault) {
  JobWatch watch = fresh({.priority = Priority::foreground, .no_progress_timeout = 60s});
  watch.resumed(kStart);
  expect_due(watch, ErrorCode::no_progress, kStart + 60s);
}

TEST(JobWatch, EveryByteBeginsTheNoProgressTimeAnew) {
  JobWatch watch = fresh({.priority = Priority::foreground});
  watch.resumed(kStart);
  watch.progressed(kStart + 3599s);
  EXPECT_EQ(watch.overdue(kStart + 3600s), std::nullopt);
  expect_due(watch, ErrorCode::no_progress, kStart + 3599s + 3600s);
}

TEST(JobWatch, AnInterruptionIsNoProgress) {
  JobWatch watch = fresh({.priority = Priority::foreground});
  watch.resumed(kStart);
  watch.progressed(kStart + 10s);
  watch.interrupted(kStart + 500s);
  watch.interrupted(kStart + 900s);
  expect_due(watch, ErrorCode::no_progress, kStart + 3610s);
}

TEST(JobWatch, AJobThatStandsStillOnlyAges) {
  JobWatch watch = fresh(
      {.priority = Priority::foreground, .maximum_download_time = 1h, .minimum_retry_delay = 1h});
  expect_due(watch, ErrorCode::job_too_old, kStart + 30 * kDay);
  watch.resumed(kStart);
  watch.stopped();
  expect_due(watch, ErrorCode::job_too_old, kStart + 30 * kDay);
  watch.progressed(kStart + 1s);
  watch.interrupted(kStart + 1s);
  EXPECT_TRUE(watch.may_retry(kStart + 1s));
  expect_due(watch, ErrorCode::job_too_old, kStart + 30 * kDay);
}

TEST(JobWatch, ResumeBeginsTheNoProgressTimeAnew) {
  JobWatch watch = fresh({.priority = Priority::foreground});
  watch.resumed(kStart);
  watch.stopped();
  watch.resumed(kStart + 5h);
  expect_due(watch, ErrorCode::no_progress, kStart + 5h + 3600s);
}

TEST(JobWatch, TheDownloadTimeCountsFromTheFirstResume) {
  WatchSettings settings = kPatient;
  settings.maximum_download_time = 0s;
  JobWatch watch = fresh(settings);
  watch.resumed(kStart + 1h);
  watch.progressed(kStart + 2h);
  expect_due(watch, ErrorCode::download_time_up, kStart + 1h + 90 * kDay);

  watch.stopped();
  EXPECT_EQ(watch.overdue(kStart + 100 * kDay), std::nullopt);
  watch.resumed(kStart + 100 * kDay);
  EXPECT_EQ(watch.overdue(kStart + 100 * kDay), ErrorCode::download_time_up);
}

TEST(JobWatch, ARestartForgetsNeitherAgeNorFirstResume) {
  WatchSettings settings = kPatient;
  settings.maximum_download_time = 2h;
  const WatchHistory history{
      .now = kWall, .created = kWall - 5 * 86400, .first_resumed = kWall - 3600};
  JobWatch watch(settings, history, kStart);
  watch.resumed(kStart);
  expect_due(watch, ErrorCode::download_time_up, kStart + 1h);
  watch.stopped();
  expect_due(watch, ErrorCode::job_too_old, kStart + 360 * kDay);
}

TEST(JobWatch, AJobFromTheFutureIsNewAndOneFromAntiquityOld) {
  constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
  const JobWatch young(kPatient, {.now = kWall, .created = kMost}, kStart);
  expect_due(young, ErrorCode::job_too_old, kStart + 365 * kDay);
  const JobWatch old(kPatient, {.now = kMost, .created = -kMost}, kStart);
  EXPECT_EQ(old.overdue(kStart), ErrorCode::job_too_old);
}

TEST(JobWatch, SettingsBeyondReasonNeverComeDueAndNeverOverflow) {
  JobWatch watch = fresh({.priority = Priority::normal,
                          .no_progress_timeout = seconds::max(),
                          .maximum_download_time = seconds::max(),
                          .minimum_retry_delay = seconds::max(),
                          .job_age_max = seconds::max()});
  watch.resumed(kStart);
  watch.interrupted(kStart);
  EXPECT_EQ(watch.overdue(kStart + 99 * 365 * kDay), std::nullopt);
  EXPECT_FALSE(watch.may_retry(kStart + 99 * 365 * kDay));
  EXPECT_EQ(watch.next_wakeup(kStart), kStart + 100 * 365 * kDay);
}

TEST(JobWatch, TheOldestCauseThatEndsAJobIsNamedFirst) {
  JobWatch watch = fresh({.priority = Priority::normal,
                          .no_progress_timeout = 1h,
                          .maximum_download_time = 2h,
                          .minimum_retry_delay = 0s,
                          .job_age_max = 3h});
  watch.resumed(kStart);
  EXPECT_EQ(watch.overdue(kStart + 1h), ErrorCode::no_progress);
  EXPECT_EQ(watch.overdue(kStart + 2h), ErrorCode::download_time_up);
  EXPECT_EQ(watch.overdue(kStart + 3h), ErrorCode::job_too_old);
}

TEST(JobWatch, WithoutALeastDelayItMayRetryAtOnce) {
  JobWatch watch = fresh(kPatient);
  watch.resumed(kStart);
  EXPECT_TRUE(watch.may_retry(kStart));
  watch.interrupted(kStart);
  EXPECT_TRUE(watch.may_retry(kStart));
}

TEST(JobWatch, RetriesWaitForTheLeastDelayAfterEachInterruption) {
  WatchSettings settings = kPatient;
  settings.minimum_retry_delay = 600s;
  JobWatch watch = fresh(settings);
  watch.resumed(kStart);
  EXPECT_TRUE(watch.may_retry(kStart));
  watch.interrupted(kStart + 1s);
  EXPECT_FALSE(watch.may_retry(kStart + 601s - 1ns));
  EXPECT_EQ(watch.next_wakeup(kStart + 1s), kStart + 601s);
  EXPECT_TRUE(watch.may_retry(kStart + 601s));
  EXPECT_EQ(watch.next_wakeup(kStart + 601s), kStart + 365 * kDay);
  watch.interrupted(kStart + 700s);
  EXPECT_FALSE(watch.may_retry(kStart + 701s));
}

TEST(JobWatch, TheLeastDelayIsAtLeastFiveSeconds) {
  WatchSettings settings = kPatient;
  settings.minimum_retry_delay = 1s;
  JobWatch watch = fresh(settings);
  watch.resumed(kStart);
  watch.interrupted(kStart);
  EXPECT_FALSE(watch.may_retry(kStart + 5s - 1ns));
  EXPECT_TRUE(watch.may_retry(kStart + 5s));
}

TEST(JobWatch, AByteOrAResumeEndsTheDelay) {
  WatchSettings settings = kPatient;
  settings.minimum_retry_delay = 600s;
  JobWatch watch = fresh(settings);
  watch.resumed(kStart);
  watch.interrupted(kStart);
  watch.progressed(kStart + 1s);
  EXPECT_TRUE(watch.may_retry(kStart + 1s));
  watch.interrupted(kStart + 2s);
  watch.resumed(kStart + 3s);
  EXPECT_TRUE(watch.may_retry(kStart + 3s));
}

TEST(JobWatch, ChangesCountAtOnceFromTheSameBeginnings) {
  JobWatch watch = fresh(kPatient);
  watch.resumed(kStart);
  watch.progressed(kStart + 100s);
  watch.interrupted(kStart + 200s);
  WatchSettings settings = kPatient;
  settings.no_progress_timeout = 60s;
  settings.minimum_retry_delay = 30s;
  watch.change(settings);
  expect_due(watch, ErrorCode::no_progress, kStart + 160s);
  EXPECT_FALSE(watch.may_retry(kStart + 229s));
  EXPECT_TRUE(watch.may_retry(kStart + 230s));
  settings.no_progress_timeout = 0s;
  settings.priority = Priority::foreground;
  watch.change(settings);
  EXPECT_EQ(watch.overdue(kStart + 3699s), std::nullopt);
  EXPECT_EQ(watch.overdue(kStart + 3700s), ErrorCode::no_progress);
  settings.maximum_download_time = 1000s;
  watch.change(settings);
  EXPECT_EQ(watch.overdue(kStart + 1000s), ErrorCode::download_time_up);
}

TEST(JobWatch, WakesForTheNextChangeOfAnAnswerAndThenNeverAgain) {
  JobWatch watch = fresh({.priority = Priority::normal,
                          .no_progress_timeout = 1h,
                          .maximum_download_time = 2h,
                          .minimum_retry_delay = 10s,
                          .job_age_max = 3h});
  watch.resumed(kStart);
  watch.interrupted(kStart);
  EXPECT_EQ(watch.next_wakeup(kStart), kStart + 10s);
  EXPECT_EQ(watch.next_wakeup(kStart + 10s), kStart + 1h);
  EXPECT_EQ(watch.next_wakeup(kStart + 1h), kStart + 2h);
  EXPECT_EQ(watch.next_wakeup(kStart + 2h), kStart + 3h);
  EXPECT_EQ(watch.next_wakeup(kStart + 3h), std::nullopt);
}

}  // namespace
}  // namespace lanward::core
