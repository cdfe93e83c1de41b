// Carries state changes of jobs from the engine's thread to the command's.
#pragma once

#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include <lanward/job.h>

#include "api/cli/waiter.h"

namespace lanward::cli {

// Enough for every change of a full queue between two looks; only a blocked terminal makes more
// pile up, and then the oldest are the least interesting.
inline constexpr std::size_t kStateChangesMax = 4096;

struct StateChange {
  JobId job;
  JobState state;
  std::optional<JobError> error;
};

class EventMailbox {
 public:
  explicit EventMailbox(Waiter& waiter) : waiter_(waiter) {}

  // Any thread. Nudges the waiter.
  void put(const JobEvent& event) {
    if (!event.state_changed) return;
    {
      const std::lock_guard lock(mutex_);
      if (changes_.size() == kStateChangesMax) changes_.pop_front();
      changes_.push_back({event.job, event.state, event.error});
    }
    waiter_.nudge();
  }

  [[nodiscard]] std::deque<StateChange> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(changes_, {});
  }

 private:
  Waiter& waiter_;
  std::mutex mutex_;
  std::deque<StateChange> changes_;
};

}  // namespace lanward::cli
