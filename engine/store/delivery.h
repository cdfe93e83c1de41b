// Putting a finished file where the user wants it: it is not there, and then it is, complete.
#pragma once

#include <cstdint>
#include <string>

#include <lanward/error.h>

namespace lanward::store {

// Clones or copies the first `size` bytes of the descriptor to a temporary file beside
// `destination`, syncs it and renames it. An existing file is replaced.
// Errors: destination, disk_full, disk_io; nothing is left behind then.
[[nodiscard]] Result<void> deliver_copy(int source, std::uint64_t size,
                                        const std::string& destination);

// Renames the file at `source`, open and synced as `fd`, to `destination`, with the permissions of
// a file that the user creates. False: they are on different file systems, nothing was done.
[[nodiscard]] Result<bool> deliver_move(const std::string& source, int fd,
                                        const std::string& destination);

}  // namespace lanward::store
