// The commands of `lanward`: each runs to its end and says how it went.
#pragma once

#include "api/cli/exit_code.h"
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

}  // namespace lanward::cli
