// Finds the job that somebody means by the first digits of its id.
#pragma once

#include <string>
#include <vector>

#include <lanward/error.h>
#include <lanward/types.h>

namespace lanward::cli {

// Fewer digits would be ambiguous soon after.
inline constexpr std::size_t kIdDigitsMin = 4;

// Case, dashes and surrounding braces do not matter. Errors: invalid_argument (no digits of an id,
// too few, or ambiguous), job_not_found.
[[nodiscard]] Result<JobId> find_job(const std::vector<JobId>& jobs, const std::string& text);

}  // namespace lanward::cli
