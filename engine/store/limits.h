// The numbers that bound the store: buffers, batches, intervals.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "engine/core/units.h"

namespace lanward::store {

// One write to the page cache. Small enough that a chunk stays in a core's second-level cache from
// copy to hash to write, large enough that a system call costs nothing beside it.
inline constexpr std::size_t kChunkBytes = 256 * core::kKiB;
// Chunks of the whole store: 16 MiB, about 15 ms of a source that delivers 1 GiB/s.
inline constexpr std::size_t kChunkCount = 64;
// Waiting sinks are woken when this many chunks are free, so that a wake-up is worth its cost.
inline constexpr std::size_t kChunksFreeToWake = 8;

// Blocks of peers that wait to be written. Above the high mark callers are asked to pause, at the
// low mark they go on; a caller may overshoot by what its sockets already hold.
inline constexpr std::size_t kBlocksHigh = 512;
inline constexpr std::size_t kBlocksLow = 256;
// Blocks one worker hashes at a time, so that several workers share one busy content.
inline constexpr std::size_t kBlocksPerBatch = 32;
// Bytes of one pwritev. File systems with large folios take memory for a longer write in one piece,
// which is never what the caches hold: on ext4 in a virtual machine 64 KiB cost a seventh of what
// 128 KiB cost. System calls are no matter at this length.
inline constexpr std::size_t kBytesPerWrite = 64 * core::kKiB;

// Block hashes kept for pieces that are verified or failed: 512 KiB, the hashes of 256 MiB.
inline constexpr std::size_t kRecentLeavesMax = 16384;

// Dirty bytes after which write-back of a data file is started, so that a later sync has little
// left to do. As much is in the queue of the disk at a time: what the journal of jobs has to write
// waits behind it, 4 ms at 1 GB/s.
inline constexpr std::uint64_t kWritebackBytes = 4 * core::kMiB;
// Of a shorter file a quarter, as soon as it is this much: the sync before its delivery is most of
// what is left to wait for then.
inline constexpr std::uint64_t kWritebackBytesLeast = 256 * core::kKiB;
// Dirty bytes after which a data file is synced even before its interval has passed.
inline constexpr std::uint64_t kSyncBytes = 256 * core::kMiB;
inline constexpr std::chrono::milliseconds kCommitInterval{100};
inline constexpr std::chrono::milliseconds kSyncInterval{1000};

// A file of unknown length: what a manifest can describe, 2^21 pieces of 8 MiB. Only a server that
// never ends sends more.
inline constexpr std::uint64_t kSpoolBytesMax = std::uint64_t{16} << 40U;

// How often the keeper looks at ages and expiries when nothing happens.
inline constexpr std::chrono::seconds kKeeperInterval{60};
// Between two steps of the keeper: a step reads the whole index.
inline constexpr std::chrono::milliseconds kKeeperPause{200};
// Contents evicted in one step, so that a large clean-up leaves the disk to others in between.
inline constexpr std::size_t kEvictionsPerStep = 64;
// What must be writable before a cache that was full counts as usable again: room for the index
// and a few pieces.
inline constexpr std::size_t kProbeBytes = core::kMiB;

// How long whoever has borrowed a content may take to give it back: sessions of peers end within
// milliseconds.
inline constexpr std::chrono::seconds kGiveBackTimeout{2};

// Threads for opening, closing, delivering and purging: one long copy must not hold up the rest.
inline constexpr unsigned kServiceThreads = 3;
inline constexpr unsigned kWorkersMin = 2;
// Writing is serial per file and hashing runs at 1-2 GB/s per core: more threads only contend.
inline constexpr unsigned kWorkersMax = 8;

}  // namespace lanward::store
