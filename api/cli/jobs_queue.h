// What the commands of `jobs` share.
#pragma once

#include <lanward/engine.h>
#include <lanward/error.h>

#include "api/cli/options.h"

namespace lanward::cli {

// Opens the queue that `options` name; the rest of `engine` as given.
[[nodiscard]] Result<Engine> open_queue(const JobsOptions& options, EngineOptions engine);

}  // namespace lanward::cli
