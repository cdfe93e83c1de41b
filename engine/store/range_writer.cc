#include "engine/store/range_writer.h"

#include <cstring>
#include <utility>

#include "engine/store/disk_content.h"

namespace lanward::store {

RangeWriter::RangeWriter(std::shared_ptr<DiskContent> content, core::SourceId source,
                         core::ByteSpan span, ports::Task on_ready)
    : content_(std::move(content)),
      source_(source),
      end_(std::min(span.end, content_->content().layout.size().value)),
      signal_(std::make_shared<ReadySignal>(std::move(on_ready))),
      begin_(span.begin) {}

RangeWriter::~RangeWriter() {
  signal_->cancel();
  finish();
  if (used_ > 0) content_->waste(source_, used_);
}

RangeWriter::Accept RangeWriter::accept(std::span<const std::byte> bytes) {
  if (bytes.size() > ports::kRangeAcceptBytesMax || position() + bytes.size() > end_) {
    return Accept::closed;
  }
  if (bytes.empty()) return Accept::taken;
  if (!chunk_) {
    chunk_ = content_->chunks().acquire(signal_);
    if (!chunk_) return Accept::full;
    std::memcpy(chunk_.data(), rest_.data(), used_);
    const core::PieceLayout& layout = content_->content().layout;
    piece_end_ = layout.bytes(layout.piece_at(begin_)).end;
  }
  if (!content_->receive(source_, bytes.size())) {
    chunk_.reset();
    content_->waste(source_, std::exchange(used_, 0));
    return Accept::closed;
  }
  std::memcpy(chunk_.data() + used_, bytes.data(), bytes.size());
  used_ += bytes.size();
  // A chunk goes out while the next bytes are sure to fit. When the workers are idle the end of a
  // piece does not wait for more bytes: on a slow line that would keep a whole piece from peers.
  if (kChunkBytes - used_ < ports::kRangeAcceptBytesMax || position() == end_ ||
      (position() >= piece_end_ && content_->chunks().idle())) {
    submit_whole_blocks();
  }
  return Accept::taken;
}

void RangeWriter::finish() {
  if (chunk_) submit_whole_blocks();
}

void RangeWriter::submit_whole_blocks() {
  const bool at_end_of_file = position() == content_->content().layout.size().value;
  const std::size_t rest = at_end_of_file ? 0 : used_ % core::kBlockBytes;
  const std::size_t whole = used_ - rest;
  std::memcpy(rest_.data(), chunk_.data() + whole, rest);
  ChunkPool::Lease chunk = std::exchange(chunk_, {});
  const std::uint64_t offset = begin_;
  begin_ += whole;
  used_ = rest;
  if (whole > 0) content_->submit(source_, offset, std::move(chunk), whole);
}

}  // namespace lanward::store
