// Where the data file of a content lies: in the cache, or, when the cache cannot take it, beside
// the destination of the download that needs it.
#pragma once

#include <string>

#include <lanward/error.h>

#include "engine/core/content.h"

namespace lanward::store {

// DIRECTORY/.NAME.lanward-<first 16 hexadecimal digits of the id>.part
[[nodiscard]] std::string partial_path(const std::string& destination, const core::Digest& id);

// Moves a data file: renames it where it stays on its file system, so that what is known of it
// holds; else copies what is not a hole, and removes the first. What cannot be read is left out: it
// is fetched again. Nothing to move is success. Errors: those of the new place; the file is then
// where it was.
[[nodiscard]] Result<void> relocate(const std::string& from, const std::string& to);

}  // namespace lanward::store
