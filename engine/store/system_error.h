// What the operating system said, as an Error.
#pragma once

#include <cerrno>
#include <string>
#include <system_error>

#include <lanward/error.h>

namespace lanward::store {

[[nodiscard]] inline bool is_out_of_space(int error) { return error == ENOSPC || error == EDQUOT; }

// "cannot write /x/y: No space left on device; ..." `what` names the action and the file.
[[nodiscard]] inline Error system_error(int error, const std::string& what) {
  const std::string cause = std::generic_category().message(error);
  if (is_out_of_space(error)) {
    return {ErrorCode::disk_full, what + ": " + cause + "; free some space and try again"};
  }
  return {ErrorCode::disk_io, what + ": " + cause};
}

}  // namespace lanward::store
