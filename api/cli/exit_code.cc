#include "api/cli/exit_code.h"

namespace lanward::cli {

ExitCode exit_code_of(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::invalid_argument:
    case ErrorCode::invalid_state:
    case ErrorCode::not_found:
    case ErrorCode::unsupported:
    case ErrorCode::access_denied:
    case ErrorCode::job_not_found:
    case ErrorCode::job_empty:
    case ErrorCode::too_many_jobs:
    case ErrorCode::too_many_files:
    case ErrorCode::too_many_ranges:
    case ErrorCode::no_error_information:
    case ErrorCode::duplicate_file:
    case ErrorCode::invalid_range:
    case ErrorCode::overlapping_ranges:
    case ErrorCode::file_unavailable:
    case ErrorCode::unknown_property:
    case ErrorCode::read_only_property:
    case ErrorCode::write_only_property:
    case ErrorCode::property_not_set:
    case ErrorCode::no_url:
    case ErrorCode::no_sink:
    case ErrorCode::sink_already_set:
      return ExitCode::usage;
    case ErrorCode::network:
    case ErrorCode::origin_rejected:
    case ErrorCode::manifest_missing:
    case ErrorCode::no_progress:
    case ErrorCode::download_time_up:
    case ErrorCode::ranges_unsupported:
    case ErrorCode::size_unknown:
      return ExitCode::network;
    case ErrorCode::manifest_invalid:
    case ErrorCode::integrity:
    case ErrorCode::content_changed:
      return ExitCode::integrity;
    case ErrorCode::disk_full:
    case ErrorCode::disk_io:
    case ErrorCode::destination:
    case ErrorCode::state_damaged:
      return ExitCode::disk;
    case ErrorCode::in_use:
      return ExitCode::in_use;
    case ErrorCode::cancelled:
    case ErrorCode::job_too_old:
      return ExitCode::cancelled;
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
