// Checks what a caller asks for and reads the local documents it names.
#pragma once

#include <lanward/error.h>
#include <lanward/job.h>

#include "engine/jobs/ports.h"

namespace lanward::host {

// Blocks for local files. Errors: invalid_argument and unsupported (name the field), not_found,
// manifest_invalid, destination, disk_io.
[[nodiscard]] Result<jobs::FileSpec> resolve(const FileRequest& request, bool peers_enabled);

// Whether a file's URL may become this one. Errors: invalid_argument.
[[nodiscard]] Result<void> check_remote_name(const std::string& url);

}  // namespace lanward::host
