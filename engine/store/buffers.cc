#include "engine/store/buffers.h"

#include <new>
#include <utility>

#include "engine/core/piece_layout.h"

namespace lanward::store {
namespace {

constexpr std::size_t kPageBytes = 4096;

Memory allocate(std::size_t bytes) {
  auto* p = static_cast<std::byte*>(std::aligned_alloc(kPageBytes, bytes));
  if (p == nullptr) std::abort();  // As everywhere in the standard library's noexcept paths.
  return Memory(p);
}

}  // namespace

void ReadySignal::fire() {
  const std::lock_guard lock(firing_);
  waiting_ = false;
  if (!cancelled_ && on_ready_) on_ready_();
}

ChunkPool::Lease::Lease(Lease&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)),
      memory_(std::move(other.memory_)),
      queued_(std::exchange(other.queued_, false)) {}

ChunkPool::Lease& ChunkPool::Lease::operator=(Lease&& other) noexcept {
  if (this != &other) {
    reset();
    pool_ = std::exchange(other.pool_, nullptr);
    memory_ = std::move(other.memory_);
    queued_ = std::exchange(other.queued_, false);
  }
  return *this;
}

void ChunkPool::Lease::mark_queued() {
  if (pool_ == nullptr || queued_) return;
  const std::lock_guard lock(pool_->mutex_);
  queued_ = true;
  ++pool_->queued_;
}

void ChunkPool::Lease::reset() {
  if (pool_ == nullptr) return;
  std::exchange(pool_, nullptr)->give_back(std::move(memory_), std::exchange(queued_, false));
}

ChunkPool::Lease ChunkPool::acquire(const std::shared_ptr<ReadySignal>& signal) {
  Memory memory;
  {
    const std::lock_guard lock(mutex_);
    if (lent_ >= kChunkCount && queued_ > 0) {
      if (signal->start_waiting()) waiting_.push_back(signal);
      return {};
    }
    ++lent_;
    if (!free_.empty()) {
      memory = std::move(free_.back());
      free_.pop_back();
    }
  }
  if (!memory) memory = allocate(kChunkBytes);
  return {this, std::move(memory)};
}

bool ChunkPool::idle() const {
  const std::lock_guard lock(mutex_);
  return queued_ == 0;
}

void ChunkPool::give_back(Memory memory, bool queued) {
  std::vector<std::shared_ptr<ReadySignal>> woken;
  {
    const std::lock_guard lock(mutex_);
    --lent_;
    if (queued) --queued_;
    if (lent_ + free_.size() < kChunkCount) free_.push_back(std::move(memory));
    if (queued_ == 0 || lent_ + kChunksFreeToWake <= kChunkCount) woken.swap(waiting_);
  }
  // All are woken: one of them may belong to a transfer that has just been cancelled.
  for (const auto& signal : woken) signal->fire();
}

BlockPool::Lease::Lease(Lease&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)), memory_(std::move(other.memory_)) {}

BlockPool::Lease& BlockPool::Lease::operator=(Lease&& other) noexcept {
  if (this != &other) {
    reset();
    pool_ = std::exchange(other.pool_, nullptr);
    memory_ = std::move(other.memory_);
  }
  return *this;
}

void BlockPool::Lease::reset() {
  if (pool_ == nullptr) return;
  std::exchange(pool_, nullptr)->give_back(std::move(memory_));
}

BlockPool::Lease BlockPool::acquire() {
  Memory memory;
  {
    const std::lock_guard lock(mutex_);
    ++lent_;
    if (!free_.empty()) {
      memory = std::move(free_.back());
      free_.pop_back();
    }
  }
  if (!memory) memory = allocate(core::kBlockBytes);
  return {this, std::move(memory)};
}

bool BlockPool::has_room(ports::Task on_drained) {
  const std::lock_guard lock(mutex_);
  if (lent_ <= kBlocksHigh) return true;
  if (on_drained) waiting_.push_back(std::move(on_drained));
  return false;
}

void BlockPool::give_back(Memory memory) {
  std::vector<ports::Task> woken;
  {
    const std::lock_guard lock(mutex_);
    --lent_;
    if (free_.size() < kBlocksHigh) free_.push_back(std::move(memory));
    if (lent_ <= kBlocksLow) woken.swap(waiting_);
  }
  for (ports::Task& task : woken) task();
}

}  // namespace lanward::store
