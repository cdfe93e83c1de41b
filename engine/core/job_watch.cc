#include "engine/core/job_watch.h"

#include <algorithm>
#include <array>

namespace lanward::core {
namespace {

using std::chrono::seconds;

seconds limit(seconds set, seconds otherwise) {
  return set <= seconds{0} ? otherwise : std::min(set, kJobTimeMax);
}

WatchSettings in_effect(const WatchSettings& set) {
  const bool foreground = set.priority == Priority::foreground;
  WatchSettings limits = set;
  limits.no_progress_timeout =
      limit(set.no_progress_timeout,
            foreground ? kNoProgressTimeoutForeground : kNoProgressTimeoutBackground);
  limits.maximum_download_time = limit(set.maximum_download_time, kMaximumDownloadTimeDefault);
  limits.minimum_retry_delay = limit(set.minimum_retry_delay, seconds{0});
  if (limits.minimum_retry_delay > seconds{0}) {
    limits.minimum_retry_delay = std::max(limits.minimum_retry_delay, kMinimumRetryDelayFloor);
  }
  limits.job_age_max = limit(set.job_age_max, kJobAgeMaxDefault);
  return limits;
}

// When `then` was on the engine's time line. A clock that was set back makes nothing happen in the
// future, and one that was wrong by centuries nothing that cannot be expressed.
Instant instant_of(std::int64_t then, const WatchHistory& history, Instant now) {
  if (then >= history.now) return now;
  const std::uint64_t age =
      static_cast<std::uint64_t>(history.now) - static_cast<std::uint64_t>(then);
  const auto longest = static_cast<std::uint64_t>(kJobTimeMax.count());
  return now - seconds{static_cast<seconds::rep>(std::min(age, longest))};
}

}  // namespace

JobWatch::JobWatch(const WatchSettings& settings, const WatchHistory& history, Instant now)
    : limits_(in_effect(settings)), created_(instant_of(history.created, history, now)) {
  if (history.first_resumed != 0) {
    first_resumed_ = instant_of(history.first_resumed, history, now);
  }
}

void JobWatch::change(const WatchSettings& settings) { limits_ = in_effect(settings); }

void JobWatch::resumed(Instant now) {
  if (!first_resumed_) first_resumed_ = now;
  moving_since_ = now;
  interrupted_.reset();
}

void JobWatch::stopped() {
  moving_since_.reset();
  interrupted_.reset();
}

void JobWatch::progressed(Instant now) {
  if (moving_since_) moving_since_ = now;
  interrupted_.reset();
}

void JobWatch::interrupted(Instant now) {
  if (moving_since_) interrupted_ = now;
}

Instant JobWatch::too_old_at() const { return created_ + limits_.job_age_max; }

std::optional<Instant> JobWatch::time_up_at() const {
  if (!moving_since_) return std::nullopt;
  return *first_resumed_ + limits_.maximum_download_time;
}

std::optional<Instant> JobWatch::no_progress_at() const {
  if (!moving_since_) return std::nullopt;
  return *moving_since_ + limits_.no_progress_timeout;
}

std::optional<Instant> JobWatch::retry_at() const {
  if (!interrupted_) return std::nullopt;
  return *interrupted_ + limits_.minimum_retry_delay;
}

std::optional<ErrorCode> JobWatch::overdue(Instant now) const {
  if (now >= too_old_at()) return ErrorCode::job_too_old;
  if (const auto at = time_up_at(); at && now >= *at) return ErrorCode::download_time_up;
  if (const auto at = no_progress_at(); at && now >= *at) return ErrorCode::no_progress;
  return std::nullopt;
}

bool JobWatch::may_retry(Instant now) const {
  const auto at = retry_at();
  return !at || now >= *at;
}

std::optional<Instant> JobWatch::next_wakeup(Instant now) const {
  std::optional<Instant> first;
  for (const std::optional<Instant>& at :
       std::array{std::optional{too_old_at()}, time_up_at(), no_progress_at(), retry_at()}) {
    if (at && *at > now && (!first || *at < *first)) first = at;
  }
  return first;
}

}  // namespace lanward::core
