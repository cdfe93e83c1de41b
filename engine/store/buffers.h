// The memory that bytes pass through on their way to disk: bounded pools of chunks (for origins)
// and blocks (for peers).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/ports/task.h"
#include "engine/store/limits.h"

namespace lanward::store {

struct FreeDeleter {
  void operator()(std::byte* p) const { std::free(p); }
};
using Memory = std::unique_ptr<std::byte, FreeDeleter>;

// Tells one waiting range sink that there is room again.
class ReadySignal {
 public:
  explicit ReadySignal(ports::Task on_ready) : on_ready_(std::move(on_ready)) {}
  // Returns whether the signal was not waiting already.
  [[nodiscard]] bool start_waiting() { return !waiting_.exchange(true); }
  void fire();
  // A call that has begun may still be running when this returns.
  void cancel() { cancelled_ = true; }

 private:
  std::mutex firing_;  // two wake-ups in quick succession do not overlap
  ports::Task on_ready_;
  std::atomic<bool> waiting_{false};
  std::atomic<bool> cancelled_{false};
};

// kChunkCount chunks of kChunkBytes. Any thread. Signals fire without a lock held.
class ChunkPool {
 public:
  // A chunk on loan; returns itself.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept;
    Lease& operator=(Lease&& other) noexcept;
    ~Lease() { reset(); }
    [[nodiscard]] explicit operator bool() const { return memory_ != nullptr; }
    [[nodiscard]] std::byte* data() const { return memory_.get(); }
    // The chunk is on its way to disk and will come back without anybody's help.
    void mark_queued();
    void reset();

   private:
    friend class ChunkPool;
    Lease(ChunkPool* pool, Memory memory) : pool_(pool), memory_(std::move(memory)) {}
    ChunkPool* pool_ = nullptr;
    Memory memory_;
    bool queued_ = false;
  };

  // An empty lease means: wait for the signal. Nobody waits while no chunk is queued: all would
  // then be held by sinks that may be stalled, so the pool lends one beyond its size.
  [[nodiscard]] Lease acquire(const std::shared_ptr<ReadySignal>& signal);
  // Whether nothing waits to be written.
  [[nodiscard]] bool idle() const;

 private:
  void give_back(Memory memory, bool queued);

  mutable std::mutex mutex_;
  std::vector<Memory> free_;  // last in, first out: the chunk on top is the warmest
  std::size_t lent_ = 0;
  std::size_t queued_ = 0;
  std::vector<std::shared_ptr<ReadySignal>> waiting_;
};

// Blocks of 16 KiB; lends as many as asked for, and says when the caller should pause. Any thread.
class BlockPool {
 public:
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept;
    Lease& operator=(Lease&& other) noexcept;
    ~Lease() { reset(); }
    [[nodiscard]] std::byte* data() const { return memory_.get(); }
    void reset();

   private:
    friend class BlockPool;
    Lease(BlockPool* pool, Memory memory) : pool_(pool), memory_(std::move(memory)) {}
    BlockPool* pool_ = nullptr;
    Memory memory_;
  };

  [[nodiscard]] Lease acquire();
  // False when more than kBlocksHigh blocks are lent; `on_drained` is then called at kBlocksLow.
  [[nodiscard]] bool has_room(ports::Task on_drained);

 private:
  void give_back(Memory memory);

  std::mutex mutex_;
  std::vector<Memory> free_;
  std::size_t lent_ = 0;
  std::vector<ports::Task> waiting_;
};

}  // namespace lanward::store
