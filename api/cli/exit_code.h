// Exit codes of the `lanward` command; docs/cli.md is their documentation.
#pragma once

#include <lanward/error.h>

namespace lanward::cli {

enum class ExitCode : int {
  done = 0,
  internal = 1,   // a defect of Lanward itself
  usage = 2,      // the command line asks for something that cannot be
  network = 3,    // origin or peers unreachable, refused, or without the manifest asked for
  integrity = 4,  // bytes or manifest are not what they claim to be
  disk = 5,       // cache or destination cannot be written
  in_use = 6,     // another process works on the same cache or destination
  cancelled = 7,  // ended by SIGINT or SIGTERM before delivery
};

[[nodiscard]] ExitCode exit_code_of(ErrorCode code) noexcept;

// The table of exit codes as --help prints it.
[[nodiscard]] const char* exit_code_help() noexcept;

}  // namespace lanward::cli
