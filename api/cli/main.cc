#include <fmt/format.h>
#include <lanward/engine.h>
#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <variant>

#include "api/cli/commands.h"
#include "api/cli/options.h"
#include "api/cli/reporter.h"
#include "api/cli/waiter.h"

namespace {

using namespace lanward::cli;  // the command's own main file

ExitCode run(const ShowText& show) {
  fmt::print("{}", show.text);
  return ExitCode::done;
}

ExitCode run(const UsageError& error) {
  fmt::print(stderr, "lanward: {}; see lanward --help\n", error.message);
  return ExitCode::usage;
}

ExitCode with_waiter(const auto& options, auto& reporter, auto&& command) {
  auto waiter = Waiter::create();
  if (!waiter) {
    fmt::print(stderr, "lanward: {}\n", waiter.error().message);
    return ExitCode::internal;
  }
  return command(options, reporter, **waiter);
}

ExitCode run(const PublishOptions& options) {
  const auto reporter = make_reporter(options.json, options.quiet, Streams{});
  return with_waiter(options, *reporter, run_publish);
}

ExitCode run(const GetOptions& options) {
  const auto reporter = make_reporter(options.json, options.quiet, Streams{});
  return with_waiter(options, *reporter, run_get);
}

ExitCode run(const JobsOptions& options) {
  const auto reporter = make_jobs_reporter(options.json, Streams{});
  const auto* run = std::get_if<JobsRun>(&options.command);
  if (run == nullptr) return run_jobs(options, *reporter);
  return with_waiter(options, *reporter, [&](const auto& all, auto& tell, auto& waiter) {
    return run_queue(all, *run, tell, waiter);
  });
}

ExitCode run(const CacheCommand& options) {
  const auto reporter = make_cache_reporter(options.json, Streams{});
  if (!takes_long(options)) return run_cache(options, *reporter, nullptr);
  return with_waiter(options, *reporter, [](const auto& all, auto& tell, auto& waiter) {
    return run_cache(all, tell, &waiter);
  });
}

ExitCode run(const PeersCommand& options) { return run_peers(options); }

ExitCode run(const GroupCommand& options) { return run_group(options); }

}  // namespace

int main(int argc, char** argv) {
  // A reader that goes away must not kill a download: output is lost, the file is not.
  signal(SIGPIPE, SIG_IGN);
  const Command command = parse_command_line(argc, argv, lanward::version());
  const auto code =
      static_cast<int>(std::visit([](const auto& chosen) { return run(chosen); }, command));
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return code;  // and let them report
#else
  // Everything has been closed. What forty libraries would still tidy up the kernel does faster.
  std::fflush(nullptr);
  std::_Exit(code);
#endif
}
