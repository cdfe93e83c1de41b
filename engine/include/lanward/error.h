// What can go wrong, as values: nothing in Lanward throws across this header.
#pragma once

#include <string>
#include <utility>

#include <tl/expected.hpp>

namespace lanward {

// A closed set of causes. What the user can do differs per code; the wording is in Error::message.
enum class ErrorCode {
  invalid_argument,  // the call itself is wrong: fix the arguments
  invalid_state,     // the job's state does not allow this call
  not_found,         // no such job, file or document
  manifest_invalid,  // the .torrent is damaged, hostile or does not describe this file
  manifest_missing,  // a manifest was demanded and none was found
  network,           // origin or peers unreachable, or gave up after all retries
  origin_rejected,   // the origin answered with a permanent refusal (4xx)
  integrity,         // bytes did not match the manifest and no honest source is left
  content_changed,   // the file at the origin changed during the download
  disk_full,         // no space for the piece cache or the destination
  disk_io,           // any other failure of the local file system
  destination,       // the destination cannot be created or written
  in_use,            // the cache directory or the content belongs to somebody else right now
  cancelled,         // the job was cancelled
  unsupported,       // a form of input that is well-formed but not handled
  internal,          // a broken invariant of ours: please report it
};

// Stable lower-case name of a code ("disk_full"), for logs and JSON.
[[nodiscard]] const char* to_string(ErrorCode code) noexcept;

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
