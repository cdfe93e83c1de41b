// What the contents of one store have in common.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "engine/store/buffers.h"
#include "engine/store/flusher.h"
#include "engine/store/index.h"
#include "engine/store/limits.h"
#include "engine/store/worker_pool.h"

namespace lanward::store {

// Kept alive by every content, so that late calls find it. Its threads end with the store.
struct Shared {
  explicit Shared(unsigned worker_count) : workers(worker_count) {}

  std::unique_ptr<Index> index;
  std::string boot_id;
  std::chrono::milliseconds sync_interval = kSyncInterval;
  Flusher flusher;
  ChunkPool chunks;
  BlockPool blocks;
  WorkerPool workers;  // hash and write
};

}  // namespace lanward::store
