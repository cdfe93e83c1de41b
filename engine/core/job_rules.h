// The life cycle of jobs and downloads: which call is allowed in which state, and what follows.
#pragma once

#include <cstdint>
#include <optional>

#include <lanward/error.h>
#include <lanward/types.h>

namespace lanward::core {

// Calls of lanward::Job whose effect depends on the state of the job.
enum class JobCall : std::uint8_t {
  add_file,
  resume,
  suspend,
  cancel,
  complete,
  change,
  set_remote_name,
  read,
};

// What the state of a job has to say about a call. Other reasons to refuse it (an empty job, a file
// that is not open) are not of the state.
struct Ruling {
  std::optional<ErrorCode> refused = {};
  // The state that follows; the present one if the call is refused or changes nothing. After
  // complete() whose files cannot all be delivered it is `transferred` instead.
  JobState next = JobState::suspended;
  friend bool operator==(const Ruling&, const Ruling&) = default;
};
[[nodiscard]] Ruling judge(JobState state, JobCall call);

// Acknowledged and cancelled: no call and no event changes such a job.
[[nodiscard]] bool is_final(JobState state);

// Whether a job may go from one state to the other, by a call or by an event. A state may always
// follow itself.
[[nodiscard]] bool may_follow(JobState from, JobState to);

// States of the newer download object; values of the published DODownloadState.
enum class DownloadState : std::uint8_t {
  created = 0,
  transferring = 1,
  transferred = 2,
  finalized = 3,  // final
  aborted = 4,    // final
  paused = 5,     // by a call, or by an error
};
// Stable lower-case name ("transferring").
[[nodiscard]] const char* to_string(DownloadState state) noexcept;

enum class DownloadCall : std::uint8_t { start, pause, finalize, abort };

struct DownloadRuling {
  std::optional<ErrorCode> refused = {};
  DownloadState next = DownloadState::created;  // as Ruling::next
  friend bool operator==(const DownloadRuling&, const DownloadRuling&) = default;
};
// Starting a transferred download changes nothing, unless it is started with other ranges: then
// there is something to fetch, and the ruling is the one for `paused`.
[[nodiscard]] DownloadRuling judge(DownloadState state, DownloadCall call);

[[nodiscard]] bool is_final(DownloadState state);

}  // namespace lanward::core
