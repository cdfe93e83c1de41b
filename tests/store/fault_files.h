// A layer below the store, and below SQLite, that fails: it takes the place of the system calls
// that write. One run at a time.
#pragma once

#include <cstdint>
#include <string>

namespace lanward::test {

enum class FaultKind : std::uint8_t {
  none,
  io_error,     // EIO, once
  no_space,     // ENOSPC from then on
  short_write,  // half of it, once
  power_loss,   // nothing reaches the disk from then on
};

// Counts the calls that touch files below `directory`; the `at`-th one, from 1, fails.
void begin_faults(const std::string& directory, FaultKind kind, std::uint64_t at);
// How many calls there were.
std::uint64_t end_faults();
// From now on write-back fails as the kernel tells it: EIO.
void fail_write_back(bool fails);
// What was written and not synced is lost, or part of it: of every write one block or another is
// there and the rest is as it was, as `seed` says. Of files that still have their name.
void lose_unsynced(std::uint64_t seed);

}  // namespace lanward::test
