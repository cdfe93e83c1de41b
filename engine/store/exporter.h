// Gives a cached content out as a file.
#pragma once

#include <string>

#include <lanward/error.h>

#include "engine/ports/cache_admin.h"
#include "engine/store/index.h"

namespace lanward::store {

struct Shared;

// Errors: see Cache::export_file().
[[nodiscard]] Result<void> export_content(Shared& shared, const IndexEntry& entry,
                                          const std::string& destination,
                                          const ExportOptions& options);

}  // namespace lanward::store
