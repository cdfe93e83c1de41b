// Putting a finished file where the user wants it: it is not there, and then it is, complete.
//
// What is copied goes to a file without a name where the file system has such (O_TMPFILE): a crash
// leaves nothing. Else, and for the moment in which a file of that name is replaced, it has the
// name of temporary_path(). One name per destination and content, so that the leftover of a process
// that was killed can be found; a lock on the file tells one at work from a leftover.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include <lanward/error.h>

#include "engine/core/content.h"
#include "engine/core/units.h"
#include "engine/ports/delivery_ticket.h"

namespace lanward::store {

struct Target {
  std::string destination;
  core::Digest id{};             // of the content
  bool named_temporary = false;  // as on a file system without O_TMPFILE
  // Null, or used right before the file gets its name; if it cannot be, the delivery is cancelled.
  ports::DeliveryTicket* ticket = nullptr;
  // Another user than the process's: it is done with that user's rights, and the file is that
  // user's (ActAs). So it is copied: a file of the cache is nobody else's to rename.
  std::optional<std::uint32_t> owner = std::nullopt;
};

// DIRECTORY/.NAME.lanward-<first 16 hexadecimal digits of the id><suffix>, NAME shortened if it
// must be.
[[nodiscard]] std::string temporary_path(const std::string& destination, const core::Digest& id,
                                         const std::string& suffix = {});

// Clones or copies the parts of the descriptor's file, one after the other, to a temporary file
// beside the destination, syncs it and gives it its name. An existing file is replaced.
// Errors: in_use (another process delivers the content to this place), destination, disk_full,
// disk_io; nothing is left behind then.
[[nodiscard]] Result<void> deliver_copy(int source, std::span<const core::ByteSpan> parts,
                                        const Target& target);

// Renames the file at `source`, open and synced as `fd`, to the destination, with the permissions
// of a file that the user creates. False: they are on different file systems, or it is another
// user's; nothing was done.
[[nodiscard]] Result<bool> deliver_move(const std::string& source, int fd, const Target& target);

// Gives the open file the destination as a further name. False: the file system cannot, nothing was
// done. Errors: as deliver_copy().
[[nodiscard]] Result<bool> deliver_link(int fd, const Target& target);

// Removes the file at temporary_path(), if it is a regular one. Errors: in_use while a delivery is
// at work there, destination, disk_io.
[[nodiscard]] Result<void> sweep_temporary(const std::string& destination, const core::Digest& id);

}  // namespace lanward::store
