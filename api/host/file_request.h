// Checks what a caller asks for and reads the local documents it names.
#pragma once

#include <vector>

#include <lanward/error.h>
#include <lanward/job.h>

#include "engine/jobs/ports.h"

namespace lanward::host {

// The files that a request stands for: one, or all that a Metalink on this machine describes.
// Blocks for local files. Errors: invalid_argument and unsupported (name the field), not_found,
// manifest_invalid, destination, disk_io.
[[nodiscard]] Result<std::vector<jobs::FileSpec>> resolve_all(const FileRequest& request,
                                                              bool peers_enabled);
// The first of them.
[[nodiscard]] Result<jobs::FileSpec> resolve(const FileRequest& request, bool peers_enabled);

// Whether a file's URL may become this one. Errors: invalid_argument.
[[nodiscard]] Result<void> check_remote_name(const std::string& url);

}  // namespace lanward::host
