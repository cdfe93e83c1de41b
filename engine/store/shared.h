// What the contents of one store have in common.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "engine/store/buffers.h"
#include "engine/store/flusher.h"
#include "engine/store/index.h"
#include "engine/store/limits.h"
#include "engine/store/registry.h"
#include "engine/store/worker_pool.h"

namespace lanward::store {

// Kept alive by every content, so that late calls find it. Its threads end with the store.
struct Shared {
  explicit Shared(unsigned worker_count) : workers(worker_count) {}

  std::string directory;
  std::unique_ptr<Index> index;
  Registry registry;
  // Evicts something because the disk is full; false: nothing may go. Any thread, no lock held.
  std::function<bool()> make_room = [] { return false; };
  // The cache has failed to take or to keep bytes. As make_room.
  std::function<void(const Error&)> report_trouble = [](const Error&) {};
  std::string boot_id;
  std::chrono::milliseconds sync_interval = kSyncInterval;
  std::atomic<std::uint64_t> imports{0};  // begun so far
  Flusher flusher;
  ChunkPool chunks;
  BlockPool blocks;
  WorkerPool workers;  // hash and write
};

}  // namespace lanward::store
