// What can go wrong, as values: nothing in Lanward throws across this header.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include <tl/expected.hpp>

namespace lanward {

// A closed set of causes. What the user can do differs per code; the wording is in Error::message.
enum class ErrorCode {
  invalid_argument,  // the call itself is wrong: fix the arguments
  invalid_state,     // the job's state does not allow this call
  not_found,         // no such file or document
  manifest_invalid,  // the .torrent is damaged, hostile or does not describe this file
  manifest_missing,  // a manifest was demanded and none was found
  network,           // origin or peers unreachable, or gave up after all retries
  origin_rejected,   // the origin answered with a permanent refusal (4xx)
  integrity,         // bytes did not match the manifest and no honest source is left
  content_changed,   // the file at the origin changed during the download
  disk_full,         // no space for the piece cache or the destination
  disk_io,           // any other failure of the local file system
  destination,       // the destination cannot be created or written
  in_use,            // the directory or the content belongs to somebody else right now
  cancelled,         // the job was cancelled
  unsupported,       // a form of input that is well-formed but not handled
  internal,          // a broken invariant of ours: please report it

  // of the job queue
  access_denied,         // the job, or the place of the file, belongs to somebody else
  job_not_found,         // no job of this identifier
  job_empty,             // the job has no file
  job_too_old,           // it was kept for its maximum age and ended
  too_many_jobs,         // a limit of the queue
  too_many_files,        // a limit of the job
  too_many_ranges,       // a limit of the file
  no_progress,           // no byte within the no-progress timeout
  download_time_up,      // not complete within the maximum download time
  no_error_information,  // the job is in no error
  state_damaged,         // the database of the jobs is damaged or of a later version

  // of files
  duplicate_file,      // the job has a file of this id or destination already
  invalid_range,       // a range that is empty, starts at the end, or is out of order
  overlapping_ranges,  // two ranges share bytes
  ranges_unsupported,  // the origin cannot serve ranges and the file needs them
  size_unknown,        // the size of the file cannot be found out
  file_unavailable,    // the error, or the call, concerns no file

  // of the download object
  unknown_property,
  read_only_property,
  write_only_property,
  property_not_set,
  no_url,            // neither a URL nor a content id
  no_sink,           // neither a path nor a stream
  sink_already_set,  // a path and a stream exclude each other
};

// For tables and tests: the last of the codes.
inline constexpr ErrorCode kLastErrorCode = ErrorCode::sink_already_set;

// Stable lower-case name of a code ("disk_full"), for logs and JSON.
[[nodiscard]] const char* to_string(ErrorCode code) noexcept;

// A sentence for a person about the kind of failure, without the circumstances: "No space is left
// for the file." Never empty.
[[nodiscard]] const char* describe(ErrorCode code) noexcept;

// The published HRESULT of a code (DO_E_*, BG_E_* or a general one), and the other way round: the
// code a published HRESULT stands for; nothing for one that we never answer.
// error_code_of(hresult_of(code)) == code for every code.
[[nodiscard]] std::uint32_t hresult_of(ErrorCode code) noexcept;
[[nodiscard]] std::optional<ErrorCode> error_code_of(std::uint32_t hresult) noexcept;
// Its published name ("DO_E_INVALID_STATE").
[[nodiscard]] const char* hresult_name(ErrorCode code) noexcept;

// Where a failure happened: values of the published BG_ERROR_CONTEXT.
enum class ErrorContext : std::uint8_t {
  none = 0,
  unknown = 1,
  queue_manager = 2,
  notification = 3,
  local_file = 4,
  remote_file = 5,
  transport = 6,
  remote_application = 7,
};
[[nodiscard]] ErrorContext context_of(ErrorCode code) noexcept;
// "while the remote file was processed"
[[nodiscard]] const char* describe(ErrorContext context) noexcept;

struct Error {
  ErrorCode code = ErrorCode::internal;
  // One sentence for a person: what failed, where (file, URL, piece, peer), what to do.
  std::string message;

  friend bool operator==(const Error&, const Error&) = default;
};

template <class T>
using Result = tl::expected<T, Error>;

[[nodiscard]] inline tl::unexpected<Error> fail(ErrorCode code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}

}  // namespace lanward
