// Cuts the bytes of one origin range into chunks of whole blocks for a DiskContent.
#pragma once

#include <array>
#include <memory>

#include "engine/core/piece_layout.h"
#include "engine/ports/content_store.h"
#include "engine/store/buffers.h"

namespace lanward::store {

class DiskContent;

class RangeWriter final : public ports::RangeSink {
 public:
  RangeWriter(std::shared_ptr<DiskContent> content, core::SourceId source, core::ByteSpan span,
              ports::Task on_ready);
  RangeWriter(const RangeWriter&) = delete;
  RangeWriter& operator=(const RangeWriter&) = delete;
  ~RangeWriter() override;

  [[nodiscard]] Accept accept(std::span<const std::byte> bytes) override;
  void finish() override;

 private:
  [[nodiscard]] std::uint64_t position() const { return begin_ + used_; }
  void submit_whole_blocks();

  const std::shared_ptr<DiskContent> content_;
  const core::SourceId source_;
  const std::uint64_t end_;
  const std::shared_ptr<ReadySignal> signal_;
  ChunkPool::Lease chunk_;
  // A sink without a chunk keeps its incomplete block here: one that holds a chunk never waits for
  // another, so sinks cannot wait for each other.
  std::array<std::byte, core::kBlockBytes> rest_;
  std::uint64_t begin_;          // of the chunk or the rest, in the file; on a block boundary
  std::size_t used_ = 0;         // bytes in the chunk, or in rest_ while there is no chunk
  std::uint64_t piece_end_ = 0;  // of the piece in which the chunk begins
};

}  // namespace lanward::store
