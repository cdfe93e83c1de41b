// Ownership of a directory by one process at a time.
#pragma once

#include <string>

#include <lanward/error.h>

#include "engine/store/unique_fd.h"

namespace lanward::store {

// Held until destroyed; the kernel lets it go when the process dies.
class DirectoryLock {
 public:
  // Creates `directory`/lock. `kind` is what messages call the directory. Errors: in_use, naming
  // the directory and the holder; disk_io.
  [[nodiscard]] static Result<DirectoryLock> acquire(const std::string& directory,
                                                     const std::string& kind = "cache directory");

 private:
  explicit DirectoryLock(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

// Creates the directory and its parents, for the owner only.
[[nodiscard]] Result<void> make_directories(const std::string& path);

}  // namespace lanward::store
