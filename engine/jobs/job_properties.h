// Checks what callers want to set.
#pragma once

#include <lanward/error.h>
#include <lanward/job.h>

namespace lanward::jobs {

// The properties after the change. Errors: invalid_argument, naming the property.
[[nodiscard]] Result<JobProperties> changed_properties(JobProperties properties,
                                                       const JobChange& change);

// As published for CreateJob.
inline constexpr std::size_t kDisplayNameMax = 256;
// As published for SetDescription of BITS.
inline constexpr std::size_t kDescriptionMax = 1024;

[[nodiscard]] Result<void> check_display_name(const std::string& name);

}  // namespace lanward::jobs
