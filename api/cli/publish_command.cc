#include <lanward/publish.h>
#include <unistd.h>

#include <chrono>
#include <string>

#include "api/cli/commands.h"

namespace lanward::cli {

ExitCode run_publish(const PublishOptions& options, Reporter& reporter, Waiter& waiter) {
  PublishRequest request;
  request.file = options.file;
  request.output = options.output;
  request.urls = options.urls;
  request.trackers = options.trackers;
  request.share_private = options.share_private;
  auto next_report = std::chrono::steady_clock::now() + reporter.interval();
  request.progress = [&](std::uint64_t done_bytes, std::uint64_t total_bytes) {
    if (waiter.wait(std::chrono::milliseconds{0}) == Waiter::Woken::signal) {
      // publish() has no way to stop half-way, and writes its output only at the end.
      reporter.failed(
          Error{ErrorCode::cancelled,
                std::string("cancelled by ") + waiter.signal_name() + ": nothing was written"},
          ExitCode::cancelled, {});
      _exit(static_cast<int>(ExitCode::cancelled));
    }
    const auto now = std::chrono::steady_clock::now();
    if (now < next_report) return;
    next_report = now + reporter.interval();
    reporter.hashing(done_bytes, total_bytes);
  };
  const auto published = publish(request);
  if (!published) {
    const ExitCode exit_code = exit_code_of(published.error().code);
    reporter.failed(published.error(), exit_code, {});
    return exit_code;
  }
  reporter.published(*published);
  return ExitCode::done;
}

}  // namespace lanward::cli
