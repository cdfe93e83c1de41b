#include "engine/core/job_rules.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace lanward::core {
namespace {

const std::vector<JobState> kStates = {
    JobState::queued,      JobState::connecting,   JobState::transferring,
    JobState::suspended,   JobState::error,        JobState::transient_error,
    JobState::transferred, JobState::acknowledged, JobState::cancelled};
const std::vector<JobCall> kCalls = {JobCall::add_file,        JobCall::resume,   JobCall::suspend,
                                     JobCall::cancel,          JobCall::complete, JobCall::change,
                                     JobCall::set_remote_name, JobCall::read};

// The published rules in words, one after the other; the first that speaks decides.
Ruling expected(JobState state, JobCall call) {
  const auto allowed = [](JobState next) { return Ruling{.refused = {}, .next = next}; };
  // No call changes a job that ended.
  if (state == JobState::acknowledged || state == JobState::cancelled) {
    return {.refused = ErrorCode::invalid_state, .next = state};
  }
  // Cancel and Complete end any other job.
  if (call == JobCall::cancel) return allowed(JobState::cancelled);
  if (call == JobCall::complete) return allowed(JobState::acknowledged);
  // A complete job has nothing to resume or to suspend; another file suspends it.
  if (state == JobState::transferred) {
    return allowed(call == JobCall::add_file ? JobState::suspended : state);
  }
  // Resume starts what stands still, and does not disturb what runs.
  const bool runs =
      state == JobState::queued || state == JobState::connecting || state == JobState::transferring;
  if (call == JobCall::resume) return allowed(runs ? state : JobState::queued);
  // An error suspends by itself.
  if (call == JobCall::suspend) {
    return allowed(state == JobState::error ? state : JobState::suspended);
  }
  // Reading, adding and changing leave a job where it is.
  return allowed(state);
}

TEST(JobRules, EveryCallInEveryStateIsAsPublished) {
  for (const JobState state : kStates) {
    for (const JobCall call : kCalls) {
      const Ruling ruling = judge(state, call);
      const Ruling want = expected(state, call);
      EXPECT_EQ(ruling.refused, want.refused)
          << to_string(state) << " call " << static_cast<int>(call);
      EXPECT_EQ(ruling.next, want.next) << to_string(state) << " call " << static_cast<int>(call);
    }
  }
}

TEST(JobRules, OnlyAcknowledgedAndCancelledAreFinal) {
  for (const JobState state : kStates) {
    EXPECT_EQ(is_final(state), state == JobState::acknowledged || state == JobState::cancelled);
  }
}

TEST(JobRules, ACallLeadsOnlyWhereAJobMayGo) {
  for (const JobState state : kStates) {
    for (const JobCall call : kCalls) {
      EXPECT_TRUE(may_follow(state, judge(state, call).next))
          << to_string(state) << " call " << static_cast<int>(call);
    }
  }
}

TEST(JobRules, EveryTransitionIsAsPublished) {
  using enum JobState;
  // A job that runs goes on, waits, or stops for whatever cause.
  const std::set<JobState> running = {queued, connecting, transferring, transient_error};
  // What stands still goes on by resume(), which queues it; complete() that cannot deliver makes it
  // transferred.
  const std::map<JobState, std::set<JobState>> still = {
      {suspended, {queued, transferred, acknowledged, cancelled}},
      {error, {queued, transferred, acknowledged, cancelled}},
      {transferred, {suspended, acknowledged, cancelled}},
      {acknowledged, {}},
      {JobState::cancelled, {}},
  };
  for (const JobState from : kStates) {
    for (const JobState to : kStates) {
      const bool want = from == to || running.contains(from) || still.at(from).contains(to);
      EXPECT_EQ(may_follow(from, to), want) << to_string(from) << " to " << to_string(to);
    }
  }
}

TEST(DownloadRules, EveryCallInEveryStateIsAsPublished) {
  using enum DownloadState;
  using Call = DownloadCall;
  const std::map<std::pair<DownloadState, Call>, DownloadState> allowed = {
      {{created, Call::start}, transferring},     {{created, Call::pause}, created},
      {{created, Call::abort}, aborted},          {{transferring, Call::start}, transferring},
      {{transferring, Call::pause}, paused},      {{transferring, Call::abort}, aborted},
      {{transferred, Call::start}, transferred},  {{transferred, Call::pause}, transferred},
      {{transferred, Call::finalize}, finalized}, {{transferred, Call::abort}, aborted},
      {{paused, Call::start}, transferring},      {{paused, Call::pause}, paused},
      {{paused, Call::abort}, aborted},           {{finalized, Call::finalize}, finalized},
      {{aborted, Call::abort}, aborted},
  };
  for (const DownloadState state :
       {created, transferring, transferred, finalized, aborted, paused}) {
    for (const Call call : {Call::start, Call::pause, Call::finalize, Call::abort}) {
      const DownloadRuling ruling = judge(state, call);
      const auto found = allowed.find({state, call});
      const bool want = found != allowed.end();
      EXPECT_EQ(ruling.refused, want ? std::nullopt : std::optional{ErrorCode::invalid_state})
          << to_string(state) << " call " << static_cast<int>(call);
      EXPECT_EQ(ruling.next, want ? found->second : state)
          << to_string(state) << " call " << static_cast<int>(call);
    }
  }
}

TEST(DownloadRules, ValuesAndNamesOfTheStatesAreThePublishedOnes) {
  EXPECT_EQ(static_cast<int>(DownloadState::created), 0);
  EXPECT_EQ(static_cast<int>(DownloadState::transferring), 1);
  EXPECT_EQ(static_cast<int>(DownloadState::transferred), 2);
  EXPECT_EQ(static_cast<int>(DownloadState::finalized), 3);
  EXPECT_EQ(static_cast<int>(DownloadState::aborted), 4);
  EXPECT_EQ(static_cast<int>(DownloadState::paused), 5);
  EXPECT_STREQ(to_string(DownloadState::created), "created");
  EXPECT_STREQ(to_string(DownloadState::transferring), "transferring");
  EXPECT_STREQ(to_string(DownloadState::transferred), "transferred");
  EXPECT_STREQ(to_string(DownloadState::finalized), "finalized");
  EXPECT_STREQ(to_string(DownloadState::aborted), "aborted");
  EXPECT_STREQ(to_string(DownloadState::paused), "paused");
}

TEST(DownloadRules, FinalizedAndAbortedAreFinal) {
  using enum DownloadState;
  for (const DownloadState state :
       {created, transferring, transferred, finalized, aborted, paused}) {
    EXPECT_EQ(is_final(state), state == finalized || state == aborted) << to_string(state);
  }
}

}  // namespace
}  // namespace lanward::core
