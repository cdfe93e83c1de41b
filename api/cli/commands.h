// The commands of `lanward`: each runs to its end and says how it went.
#pragma once

#include "api/cli/cache_reporter.h"
#include "api/cli/exit_code.h"
#include "api/cli/jobs_reporter.h"
#include "api/cli/options.h"
#include "api/cli/reporter.h"
#include "api/cli/waiter.h"

namespace lanward::cli {

// Blocks until done, failed or signalled.
[[nodiscard]] ExitCode run_get(const GetOptions& options, Reporter& reporter, Waiter& waiter);

// Blocks until done or failed. A signal ends the process with ExitCode::cancelled: nothing has been
// written by then.
[[nodiscard]] ExitCode run_publish(const PublishOptions& options, Reporter& reporter,
                                   Waiter& waiter);

// Every command of `jobs` but `run`. A signal ends the process at once, which leaves the queue as
// a crash would: whole.
[[nodiscard]] ExitCode run_jobs(const JobsOptions& options, JobsReporter& reporter);

// `jobs run`: blocks until nothing is left to do or a signal arrives. `run` is in `options`.
[[nodiscard]] ExitCode run_queue(const JobsOptions& options, const JobsRun& run,
                                 JobsReporter& reporter, Waiter& waiter);

// It reads files, and is stopped by a signal in between.
[[nodiscard]] bool takes_long(const CacheCommand& options);
// `waiter` may be null for what does not take long.
[[nodiscard]] ExitCode run_cache(const CacheCommand& options, CacheReporter& reporter,
                                 Waiter* waiter);

// These block for as long as a small file takes.
[[nodiscard]] ExitCode run_peers(const PeersCommand& options);
[[nodiscard]] ExitCode run_group(const GroupCommand& options);

}  // namespace lanward::cli
