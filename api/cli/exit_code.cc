#include "api/cli/exit_code.h"

namespace lanward::cli {

ExitCode exit_code_of(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::invalid_argument:
    case ErrorCode::not_found:
    case ErrorCode::unsupported:
      return ExitCode::usage;
    case ErrorCode::network:
    case ErrorCode::origin_rejected:
    case ErrorCode::manifest_missing:
      return ExitCode::network;
    case ErrorCode::manifest_invalid:
    case ErrorCode::integrity:
    case ErrorCode::content_changed:
      return ExitCode::integrity;
    case ErrorCode::disk_full:
    case ErrorCode::disk_io:
    case ErrorCode::destination:
      return ExitCode::disk;
    case ErrorCode::in_use:
      return ExitCode::in_use;
    case ErrorCode::cancelled:
      return ExitCode::cancelled;
    case ErrorCode::invalid_state:
    case ErrorCode::internal:
      return ExitCode::internal;
  }
  return ExitCode::internal;
}

const char* exit_code_help() noexcept {
  return "Exit codes:\n"
         "  0  done\n"
         "  1  internal error: please report it\n"
         "  2  usage: wrong arguments, no such local file\n"
         "  3  network: origin or peers unreachable, origin refused, manifest not found\n"
         "  4  integrity: damaged manifest, bytes that do not match it, file changed meanwhile\n"
         "  5  disk: full, unreadable, or the destination cannot be written\n"
         "  6  in use: another process works on the same cache or destination\n"
         "  7  cancelled by SIGINT or SIGTERM\n";
}

}  // namespace lanward::cli
