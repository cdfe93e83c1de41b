// Kills the process in the middle of what it does to the disk.
#pragma once

namespace lanward::testing {

// From now on the process is killed (SIGKILL) right before it changes a file or a directory for the
// `step`-th time, counted from 1 over all threads. Zero: never. Every such system call of the
// engine and of SQLite counts, syncs too; but a sync does nothing in a program with this file, as
// what the kernel has taken survives the process.
void kill_at_step(int step);

}  // namespace lanward::testing
