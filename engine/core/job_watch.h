// The time limits of one job: when it must stop, and when it may try again.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include <lanward/error.h>
#include <lanward/types.h>

#include "engine/core/units.h"

namespace lanward::core {

// Published for Delivery Optimization (SetNoProgressTimeout): one hour for foreground jobs, a day
// for the others.
inline constexpr std::chrono::seconds kNoProgressTimeoutForeground{3600};
inline constexpr std::chrono::seconds kNoProgressTimeoutBackground{86400};
// Published for BITS (SetMaximumDownloadTime, group policy): 90 days.
inline constexpr std::chrono::seconds kMaximumDownloadTimeDefault = std::chrono::hours{90 * 24};
// Published for BITS (SetMinimumRetryDelay): shorter delays count as this one. Its default of 600 s
// is not ours: without a setting the back-off decides alone.
inline constexpr std::chrono::seconds kMinimumRetryDelayFloor{5};
// Published for Delivery Optimization (Complete): jobs are kept for 30 days.
inline constexpr std::chrono::seconds kJobAgeMaxDefault = std::chrono::hours{30 * 24};
// Longer settings count as this one: a century, so that sums of times stay within 64 bits.
inline constexpr std::chrono::seconds kJobTimeMax = std::chrono::hours{100 * 365 * 24};

// As the caller set them; 0 is the default.
struct WatchSettings {
  Priority priority = Priority::normal;
  std::chrono::seconds no_progress_timeout{0};
  std::chrono::seconds maximum_download_time{0};
  std::chrono::seconds minimum_retry_delay{0};
  std::chrono::seconds job_age_max{0};
};

// Seconds since the epoch by the clock on the wall, at construction.
struct WatchHistory {
  std::int64_t now = 0;
  std::int64_t created = 0;
  std::int64_t first_resumed = 0;  // 0: never
};

// Facts in, answers out; later jumps of the clock on the wall change nothing. A job that is not yet
// final is watched from its creation (or load) to its end.
class JobWatch {
 public:
  JobWatch(const WatchSettings& settings, const WatchHistory& history, Instant now);

  // New settings count at once, and from the same beginnings.
  void change(const WatchSettings& settings);

  // The job runs from now on: it was resumed, or its turn came.
  void resumed(Instant now);
  // It stands still: suspended, in error, transferred, or waiting for its turn. Only its age
  // counts.
  void stopped();
  // A byte of a running job moved.
  void progressed(Instant now);
  // A running job entered transient_error.
  void interrupted(Instant now);

  // Why the job must stop now:
  // - job_too_old: so long after it was created, whatever its state;
  // - download_time_up: it runs, so long after it was first resumed. It stays overdue when it is
  //   resumed again, until the setting is changed;
  // - no_progress: it runs, and since it was resumed or since the last byte so much time has
  // passed.
  [[nodiscard]] std::optional<ErrorCode> overdue(Instant now) const;

  // Whether the least delay since the last interruption has passed.
  [[nodiscard]] bool may_retry(Instant now) const;

  // The first time after `now` at which one of the two answers changes by itself.
  [[nodiscard]] std::optional<Instant> next_wakeup(Instant now) const;

 private:
  [[nodiscard]] Instant too_old_at() const;
  [[nodiscard]] std::optional<Instant> time_up_at() const;      // nothing while it stands still
  [[nodiscard]] std::optional<Instant> no_progress_at() const;  // nothing while it stands still
  [[nodiscard]] std::optional<Instant> retry_at() const;        // nothing without interruption

  WatchSettings limits_;  // in effect: no zeros but of the retry delay, no excess
  Instant created_;
  std::optional<Instant> first_resumed_;
  std::optional<Instant> moving_since_;  // the last byte, or when it was resumed; set while it runs
  std::optional<Instant> interrupted_;
};

}  // namespace lanward::core
