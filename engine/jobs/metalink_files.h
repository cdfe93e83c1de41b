// The files of a job that a Metalink stands for.
#pragma once

#include <vector>

#include <lanward/error.h>

#include "engine/core/metalink.h"
#include "engine/jobs/ports.h"

namespace lanward::jobs {

// One for each file of the Metalink, made after `request`, whose source it is. A destination that
// ends with '/' gets the name. Errors: invalid_argument for what can be asked of one file only (a
// name, an id, ranges, a digest) when there are several.
[[nodiscard]] Result<std::vector<FileSpec>> files_of(const core::Metalink& metalink,
                                                     const FileSpec& request);

}  // namespace lanward::jobs
