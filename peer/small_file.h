// Files of a few lines that people and processes share.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <string>

#include <lanward/error.h>

namespace lanward::peer {

struct SmallFile {
  std::string text;  // at most one byte more than was asked for
  struct stat info {};
};
// Errors: not_found, access_denied (not readable, or no regular file), disk_io.
[[nodiscard]] Result<SmallFile> read_small_file(const std::string& path, std::size_t bytes_max);

// Never over a file that is there. Errors: destination.
[[nodiscard]] Result<void> create_small_file(const std::string& path, const std::string& text,
                                             mode_t mode);
// In one step: a reader finds the old file or the new one. Errors: destination.
[[nodiscard]] Result<void> replace_small_file(const std::string& path, const std::string& text,
                                              mode_t mode);

}  // namespace lanward::peer
