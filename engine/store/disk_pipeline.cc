// The way of the bytes of a DiskContent from buffer to disk to verdict; runs on the workers.
#include <algorithm>
#include <utility>

#include "engine/store/disk_content.h"
#include "engine/store/sha256.h"

namespace lanward::store {

void DiskContent::drain_blocks() {
  Batch batch;
  bool more = false;
  {
    const std::lock_guard lock(mutex_);
    const auto count = static_cast<std::ptrdiff_t>(std::min(blocks_.size(), kBlocksPerBatch));
    batch.segments.assign(std::make_move_iterator(blocks_.begin()),
                          std::make_move_iterator(blocks_.begin() + count));
    blocks_.erase(blocks_.begin(), blocks_.begin() + count);
    more = drain_posted_ = !blocks_.empty();
  }
  // Another worker goes on with the rest while this one hashes.
  if (more) shared_->workers.post([self = shared_from_this()] { self->drain_blocks(); });
  process(std::move(batch));
}

void DiskContent::process(Batch batch) {
  for (Segment& segment : batch.segments) {
    if (!dropped_) segment.leaf = sha256(segment.bytes);
  }
  std::unique_lock lock(mutex_);
  ready_.push_back(std::move(batch));
  if (writing_) return;
  writing_ = true;
  while (!ready_.empty()) {
    std::vector<Batch> taken = std::exchange(ready_, {});
    for (Batch& b : taken) {
      for (Segment& segment : b.segments)
        segment.live = !failed_ && !dropped_ && table_.live(segment.key);
    }
    // The file is there as long as blocks are pending.
    std::shared_ptr<DataFile> open_file = file_;
    lock.unlock();
    Result<void> written = write_batches(*open_file, taken);
    // What is least needed makes room; writing again what is there already does no harm.
    while (!written && written.error().code == ErrorCode::disk_full && !is_elsewhere() &&
           shared_->make_room()) {
      written = write_batches(*open_file, taken);
    }
    // Nobody waits for these blocks from here on, so this might be the last to let go of a file
    // without a name; that takes as long as freeing its space, and must not happen under the lock.
    open_file.reset();
    finish_batches(std::move(taken), written);
    lock.lock();
  }
  writing_ = false;
}

Result<void> DiskContent::write_batches(DataFile& file, std::vector<Batch>& batches) {
  std::vector<Segment*> segments;
  for (Batch& batch : batches) {
    for (Segment& segment : batch.segments) {
      if (segment.live) segments.push_back(&segment);
    }
  }
  std::sort(segments.begin(), segments.end(),
            [](const Segment* a, const Segment* b) { return a->offset < b->offset; });
  std::vector<iovec> vectors;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  for (const Segment* segment : segments) {
    const bool full = end - begin + segment->bytes.size() > kBytesPerWrite;
    if (!vectors.empty() && (segment->offset != end || full)) {
      if (auto written = file.write(vectors, begin); !written) return written;
      vectors.clear();
    }
    if (vectors.empty()) begin = end = segment->offset;
    auto* data = const_cast<std::byte*>(segment->bytes.data());  // iovec knows no const.
    if (!vectors.empty() &&
        static_cast<std::byte*>(vectors.back().iov_base) + vectors.back().iov_len == data) {
      vectors.back().iov_len += segment->bytes.size();
    } else {
      vectors.push_back({data, segment->bytes.size()});
    }
    end += segment->bytes.size();
  }
  return vectors.empty() ? Result<void>{} : file.write(vectors, begin);
}

void DiskContent::finish_batches(std::vector<Batch> batches, const Result<void>& written) {
  if (!written) fail_store(written.error());
  std::vector<CompletePiece> complete;
  std::vector<ports::MoveFunction<void(Result<void>)>> dones;
  std::vector<Answer> answers;
  std::size_t count = 0;
  bool write_back = false;
  Result<void> outcome;
  {
    const std::lock_guard lock(mutex_);
    if (failed_) outcome = tl::unexpected(*failed_);
    for (Batch& batch : batches) {
      count += batch.segments.size();
      for (Segment& segment : batch.segments) {
        if (segment.done) dones.push_back(std::move(segment.done));
        if (failed_ || !segment.live) continue;
        wrote_ = true;
        if (unsynced_bytes_ == 0) dirty_since_ = std::chrono::steady_clock::now();
        unsynced_bytes_ += segment.bytes.size();
        unstarted_bytes_ += segment.bytes.size();
        if (auto piece = table_.written(segment.key, segment.leaf)) {
          complete.push_back(std::move(*piece));
        } else {
          take_hopeless_waiters(segment.key.piece, answers);
        }
      }
    }
    write_back = unstarted_bytes_ >= writeback_step();
  }
  batches.clear();  // The buffers go back before anything else: somebody may wait for them.
  for (auto& done : dones) done(outcome);
  give(answers);
  for (CompletePiece& piece : complete) decide(std::move(piece));
  shared_->flusher.poke();
  if (write_back) shared_->flusher.hurry();
  release_pending(count);
}

void DiskContent::decide(CompletePiece complete) {
  const core::PieceIndex piece = complete.piece;
  const bool good = is_genuine(content_, piece, complete.leaves);
  std::vector<Answer> answers;
  std::optional<std::vector<core::SourceId>> sources;
  {
    const std::lock_guard lock(mutex_);
    sources = table_.settle(piece, complete.attempt, good);
    if (!sources) return;  // It was cleared, and who waited has been told.
    row_dirty_ = row_dirty_ || good;
    take_waiters(piece, complete.leaves, answers);
    recent_.remember(piece, std::move(complete.leaves));
  }
  if (good) {
    facts_(core::PieceVerified{piece, std::move(*sources)});
  } else {
    facts_(core::PieceFailed{piece, std::move(*sources)});
  }
  give(answers);
}

void DiskContent::fail_store(const Error& error) {
  std::vector<Answer> answers;
  {
    const std::lock_guard lock(mutex_);
    if (failed_) return;
    failed_ = error;
    while (!waiters_.empty()) {
      take_waiters(waiters_.begin()->first, tl::unexpected(error), answers);
    }
  }
  if (!is_elsewhere()) shared_->report_trouble(error);
  facts_(core::StoreFailed{error});
  give(answers);
}

bool DiskContent::lose(core::PieceIndex piece) {
  {
    const std::lock_guard lock(mutex_);
    // What was given away may be somebody else's writing.
    if (file_ == nullptr || retired_ || !table_.lose(piece)) return false;
    durable_.erase(piece);
    recent_.forget(piece);
    row_dirty_ = true;
  }
  shared_->flusher.poke();
  return true;
}

void DiskContent::tell_lost(const std::vector<std::uint32_t>& pieces) {
  for (const std::uint32_t piece : pieces) facts_(core::PieceLost{core::PieceIndex{piece}});
}

bool DiskContent::check(core::PieceIndex piece) {
  std::shared_ptr<DataFile> open_file;
  {
    const std::lock_guard lock(mutex_);
    if (file_ == nullptr || retired_ || !table_.verified().contains(piece)) return true;
    open_file = file_;
  }
  const core::ByteSpan span = content_.layout.bytes(piece);
  open_file->forget_cached(span.begin, span.size().value);
  const auto leaves = hash_blocks(*open_file, span);
  if (leaves && is_genuine(content_, piece, *leaves)) return true;
  return !lose(piece);
}

void DiskContent::hash_from_disk(core::PieceIndex piece, HashesDone done) {
  const std::shared_ptr<DataFile> open_file = file();
  auto hashes = hash_blocks(*open_file, content_.layout.bytes(piece));
  if (hashes) {
    if (auto unchanged = open_file->check_unchanged(); !unchanged) {
      hashes = tl::unexpected(std::move(unchanged.error()));
    }
  }
  done(std::move(hashes));
  release_pending(1);
}

void DiskContent::take_waiters(core::PieceIndex piece,
                               const Result<std::vector<core::Digest>>& value,
                               std::vector<Answer>& answers) {
  const auto it = waiters_.find(piece);
  if (it == waiters_.end()) return;
  for (HashesDone& done : it->second) answers.push_back({std::move(done), value});
  waiters_.erase(it);
}

void DiskContent::take_hopeless_waiters(core::PieceIndex piece, std::vector<Answer>& answers) {
  if (waiters_.contains(piece) && !table_.busy(piece)) {
    take_waiters(piece, tl::unexpected(incomplete_error(piece)), answers);
  }
}

void DiskContent::give(std::vector<Answer>& answers) {
  for (Answer& answer : answers) answer.done(std::move(answer.value));
}

void DiskContent::release_pending(std::size_t count) {
  const std::lock_guard lock(mutex_);
  pending_ -= count;
  if (pending_ == 0) settled_.notify_all();
}

}  // namespace lanward::store
