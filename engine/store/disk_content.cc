#include "engine/store/disk_content.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "engine/store/clock.h"
#include "engine/store/index_schema.h"
#include "engine/store/range_writer.h"

namespace lanward::store {

DiskContent::DiskContent(std::shared_ptr<Shared> shared, core::Content content,
                         ports::FactSink facts, std::shared_ptr<DataFile> file, Belief belief,
                         std::string note)
    : shared_(std::move(shared)),
      content_(std::move(content)),
      facts_(std::move(facts)),
      inode_(belief.inode),
      name_(file->path()),
      note_(std::move(note)),
      file_(std::move(file)),
      table_(content_.layout, belief.verified),
      durable_(std::move(belief.durable)),
      row_dirty_(true) {
  // What was proven by reading may still be in the page cache alone.
  if (durable_ != table_.verified()) unsynced_bytes_ = 1;
}

Error DiskContent::closed_error() const {
  return {ErrorCode::invalid_state, "the content " + name_ + " has been closed"};
}

Error DiskContent::incomplete_error(core::PieceIndex piece) const {
  return {ErrorCode::invalid_state, "piece " + std::to_string(piece.value) + " of " + name_ +
                                        " lacks " + std::to_string(table_.missing_blocks(piece)) +
                                        " blocks"};
}

Result<void> DiskContent::check_writable() const {
  if (state_ != State::open) return tl::unexpected(closed_error());
  if (failed_) return tl::unexpected(*failed_);
  return {};
}

Result<void> DiskContent::check_block(core::PieceIndex piece, std::uint32_t offset,
                                      std::size_t size) const {
  const core::PieceLayout& layout = content_.layout;
  if (piece >= layout.all().end || offset % core::kBlockBytes != 0 ||
      offset >= layout.size_of(piece) ||
      size != std::min(core::kBlockBytes, layout.size_of(piece) - offset)) {
    return fail(ErrorCode::invalid_argument,
                "no block of " + name_ + ": piece " + std::to_string(piece.value) + ", offset " +
                    std::to_string(offset) + ", " + std::to_string(size) + " bytes");
  }
  return {};
}

std::unique_ptr<ports::RangeSink> DiskContent::open_range(core::SourceId source,
                                                          core::ByteSpan span,
                                                          ports::Task on_ready) {
  return std::make_unique<RangeWriter>(shared_from_this(), source, span, std::move(on_ready));
}

bool DiskContent::receive(core::SourceId source, std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (!check_writable()) return false;
  table_.receive(source, bytes);
  return true;
}

void DiskContent::waste(core::SourceId source, std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  table_.waste(source, bytes);
}

void DiskContent::submit(core::SourceId source, std::uint64_t offset, ChunkPool::Lease chunk,
                         std::size_t size) {
  Batch batch;
  {
    const std::lock_guard lock(mutex_);
    if (!check_writable()) {
      table_.waste(source, size);
      return;
    }
    for (std::size_t at = 0; at < size; at += core::kBlockBytes) {
      const core::PieceIndex piece = content_.layout.piece_at(offset + at);
      const std::uint64_t in_piece = offset + at - content_.layout.bytes(piece).begin;
      const auto key =
          table_.claim(piece, static_cast<std::uint32_t>(in_piece / core::kBlockBytes), source);
      if (!key) continue;
      recent_.forget(piece);
      Segment& segment = batch.segments.emplace_back();
      segment.key = *key;
      segment.offset = offset + at;
      segment.bytes = {chunk.data() + at, std::min<std::size_t>(core::kBlockBytes, size - at)};
    }
    pending_ += batch.segments.size();
  }
  if (batch.segments.empty()) return;
  chunk.mark_queued();
  batch.chunk = std::move(chunk);
  shared_->workers.post([self = shared_from_this(), batch = std::move(batch)]() mutable {
    self->process(std::move(batch));
  });
}

bool DiskContent::write_block(core::PieceIndex piece, std::uint32_t offset,
                              std::span<const std::byte> bytes, core::SourceId source,
                              ports::MoveFunction<void(Result<void>)> done,
                              ports::Task on_drained) {
  Segment segment;
  Result<void> outcome = check_block(piece, offset, bytes.size());
  bool claimed = false;
  if (outcome) {
    const std::lock_guard lock(mutex_);
    outcome = check_writable();
    if (outcome) {
      table_.receive(source, bytes.size());
      if (const auto key = table_.claim(piece, offset / core::kBlockBytes, source)) {
        recent_.forget(piece);
        segment.key = *key;
        ++pending_;
        claimed = true;
      }
    }
  }
  if (!claimed) {
    if (done) done(std::move(outcome));
    return true;
  }
  segment.offset = content_.layout.bytes(piece).begin + offset;
  segment.buffer = shared_->blocks.acquire();
  std::memcpy(segment.buffer.data(), bytes.data(), bytes.size());
  segment.bytes = {segment.buffer.data(), bytes.size()};
  segment.done = std::move(done);
  bool post = false;
  {
    const std::lock_guard lock(mutex_);
    blocks_.push_back(std::move(segment));
    post = !std::exchange(drain_posted_, true);
  }
  if (post) shared_->workers.post([self = shared_from_this()] { self->drain_blocks(); });
  return shared_->blocks.has_room(std::move(on_drained));
}

Result<void> DiskContent::read(core::PieceIndex piece, std::uint32_t offset,
                               std::span<std::byte> out, bool cached_only) {
  const core::PieceLayout& layout = content_.layout;
  if (piece >= layout.all().end || offset > layout.size_of(piece) ||
      out.size() > layout.size_of(piece) - offset) {
    return fail(ErrorCode::invalid_argument, "cannot read beyond the end of piece " +
                                                 std::to_string(piece.value) + " of " + name_);
  }
  std::shared_ptr<DataFile> open_file;
  {
    const std::lock_guard lock(mutex_);
    if (file_ == nullptr) return tl::unexpected(closed_error());
    used_ = true;
    if (!table_.verified().contains(piece)) {
      return fail(ErrorCode::invalid_state,
                  "piece " + std::to_string(piece.value) + " of " + name_ + " is not verified");
    }
    open_file = file_;
  }
  const std::uint64_t at = layout.bytes(piece).begin + offset;
  if (cached_only) {
    if (!open_file->read_cached(at, out)) {
      return fail(ErrorCode::not_found, "not in memory: " + name_);
    }
  } else if (auto bytes = open_file->read(at, out); !bytes) {
    // A disk that cannot give them back has lost them; somebody else may have them.
    if (open_file->check_unchanged() && lose(piece)) tell_lost({piece.value});
    return bytes;
  }
  return open_file->check_unchanged();
}

void DiskContent::block_hashes(core::PieceIndex piece, HashesDone done) {
  Result<std::vector<core::Digest>> answer;
  bool post = false;
  {
    const std::lock_guard lock(mutex_);
    if (piece >= content_.layout.all().end) {
      answer =
          fail(ErrorCode::invalid_argument, name_ + " has no piece " + std::to_string(piece.value));
    } else if (state_ != State::open) {
      answer = tl::unexpected(closed_error());
    } else if (const auto* leaves = recent_.find(piece)) {
      answer = *leaves;
    } else if (table_.verified().contains(piece)) {
      ++pending_;
      post = true;
    } else if (failed_) {
      answer = tl::unexpected(*failed_);
    } else if (table_.busy(piece)) {
      waiters_[piece].push_back(std::move(done));
      return;
    } else {
      answer = tl::unexpected(incomplete_error(piece));
    }
  }
  if (!post) {
    done(std::move(answer));
    return;
  }
  shared_->workers.post([self = shared_from_this(), piece, done = std::move(done)]() mutable {
    self->hash_from_disk(piece, std::move(done));
  });
}

core::PieceSet DiskContent::verified() const {
  const std::lock_guard lock(mutex_);
  return table_.verified();
}

std::vector<ports::SourceLedger> DiskContent::ledger() const {
  const std::lock_guard lock(mutex_);
  return table_.ledger();
}

void DiskContent::run_on_worker(ports::Task task) { shared_->workers.post(std::move(task)); }

std::shared_ptr<DataFile> DiskContent::file() const {
  const std::lock_guard lock(mutex_);
  return file_;
}

void DiskContent::stop_writing() {
  std::vector<Answer> answers;
  {
    std::unique_lock lock(mutex_);
    if (state_ == State::open) state_ = State::stopping;
    settled_.wait(lock, [this] { return pending_ == 0; });
    table_.clear_all();
    while (!waiters_.empty()) {
      take_waiters(waiters_.begin()->first, tl::unexpected(closed_error()), answers);
    }
  }
  give(answers);
}

Result<void> DiskContent::close() {
  stop_writing();
  const std::lock_guard flush(flush_mutex_);
  bool dirty = false;
  bool wrote = false;
  {
    const std::lock_guard lock(mutex_);
    if (file_ == nullptr) return {};
    dirty = unsynced_bytes_ > 0;
    wrote = wrote_ || dirty;
  }
  Result<void> outcome;
  if (dirty) outcome = sync_file(true);
  const Result<void> saved = save_row(true, wrote ? Index::Commit::durable : Index::Commit::fast);
  if (outcome) outcome = saved;
  const std::lock_guard lock(mutex_);
  state_ = State::closed;
  file_.reset();
  return outcome;
}

// Does not wait for a sync that is under way: on a busy disk it takes long, for nothing.
void DiskContent::abandon() {
  dropped_ = true;
  stop_writing();
  const std::lock_guard row(row_mutex_);
  const std::lock_guard lock(mutex_);
  state_ = State::closed;
  file_.reset();
}

bool DiskContent::flush_due() {
  const std::lock_guard flush(flush_mutex_);
  bool sync_due = false;
  bool commit = false;
  {
    const std::lock_guard lock(mutex_);
    if (file_ == nullptr || retired_) return false;
    commit = row_dirty_;
    const auto dirty_for = std::chrono::steady_clock::now() - dirty_since_;
    sync_due = unsynced_bytes_ >= kSyncBytes ||
               (unsynced_bytes_ > 0 && dirty_for >= shared_->sync_interval);
  }
  // A commit that fails stays due; what it would have told is found out again by hashing.
  if (commit) (void)save_row(false, Index::Commit::fast);
  if (sync_due) {
    const Result<void> synced = sync_file(false);
    if (!synced && file() != nullptr) fail_store(synced.error());  // else it was just abandoned
    (void)save_row(false, Index::Commit::fast);
  }
  const std::lock_guard lock(mutex_);
  return unsynced_bytes_ > 0 || row_dirty_;
}

std::uint64_t DiskContent::writeback_step() const {
  return std::clamp(content_.layout.size().value / 4, kWritebackBytesLeast, kWritebackBytes);
}

void DiskContent::write_back() {
  const std::lock_guard flush(flush_mutex_);
  std::shared_ptr<DataFile> open_file;
  {
    const std::lock_guard lock(mutex_);
    if (file_ == nullptr || retired_ || dropped_ || unstarted_bytes_ < writeback_step()) return;
    unstarted_bytes_ = 0;
    open_file = file_;
  }
  const Result<void> begun = open_file->go_on_writing_back();
  if (begun) return;
  {
    const std::lock_guard lock(mutex_);
    sync_failed_ = true;  // the kernel has told of it: no later sync will
    row_dirty_ = true;
  }
  if (file() != nullptr) fail_store(begun.error());
}

Result<void> DiskContent::record() {
  const std::lock_guard flush(flush_mutex_);
  return save_row(false, Index::Commit::held);
}

void DiskContent::retire() {
  const std::lock_guard flush(flush_mutex_);
  const std::lock_guard lock(mutex_);
  retired_ = true;
}

bool DiskContent::retired() const {
  const std::lock_guard lock(mutex_);
  return retired_;
}

void DiskContent::lend(std::int64_t last_use) {
  const std::lock_guard lock(mutex_);
  used_ = false;
  last_use_ = last_use;
  row_dirty_ = unsynced_bytes_ > 0;  // pieces had to be proven
}

// A crash before the record is written leaves the content private, which harms nobody.
void DiskContent::share() {
  if (may_share_.exchange(true)) return;
  shared_->workers.post(
      [shared = shared_, id = content_.id] { (void)shared->index->set_shared(id, true); });
}

void DiskContent::call_back() {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(called_back_, true)) return;
  }
  facts_(core::StoreFailed{{ErrorCode::cancelled, name_ + " is wanted back by the cache"}});
}

Result<void> DiskContent::close_lent() {
  bool news = false;
  {
    const std::lock_guard lock(mutex_);
    news = used_ || row_dirty_;
  }
  if (news) return close();
  abandon();
  return {};
}

Result<void> DiskContent::sync() {
  const std::lock_guard flush(flush_mutex_);
  return sync_file(false);
}

Result<void> DiskContent::sync_file(bool with_times) {
  std::shared_ptr<DataFile> open_file;
  core::PieceSet covered;
  std::uint64_t bytes = 0;
  {
    const std::lock_guard lock(mutex_);
    if (file_ == nullptr) return tl::unexpected(closed_error());
    open_file = file_;
    covered = table_.verified();
    bytes = unsynced_bytes_;
  }
  Result<void> synced = with_times ? open_file->sync_all() : open_file->sync_data();
  const std::lock_guard lock(mutex_);
  unsynced_bytes_ -= bytes;
  dirty_since_ = std::chrono::steady_clock::now();
  row_dirty_ = true;
  // The kernel reports a lost page once: a later sync that succeeds proves nothing.
  if (!synced) sync_failed_ = true;
  if (!sync_failed_) durable_ = both(covered, table_.verified());  // some may be lost meanwhile
  return synced;
}

Result<void> DiskContent::save_row(bool clean, Index::Commit commit) {
  const std::lock_guard saving(row_mutex_);
  IndexRow row;
  std::shared_ptr<DataFile> open_file;
  {
    const std::lock_guard lock(mutex_);
    open_file = file_;
    if (open_file == nullptr) return {};  // it was abandoned: nothing is recorded any more
    row.id = content_.id;
    row.size = content_.layout.size().value;
    row.piece_bytes = content_.layout.piece_bytes();
    row.verified = sync_failed_ ? durable_.words() : table_.verified().words();
    row.durable = durable_.words();
    row.boot = shared_->boot_id;
    row.verified_bytes = bytes_of(row.verified, row.size, row.piece_bytes);
    row.inode = inode_;
    row.elsewhere = is_elsewhere() ? name_ : std::string();
    row.clean = clean && !failed_ && !sync_failed_;
    row.last_use = used_ ? seconds_now() : last_use_;
    row_dirty_ = false;
  }
  if (const auto facts = open_file->facts()) {
    row.disk_bytes = facts->disk_bytes;
    if (row.clean) row.mtime_ns = facts->mtime_ns;
  } else {
    row.clean = false;
  }
  Result<void> saved = shared_->index->save(row, commit);
  if (!saved) {
    const std::lock_guard lock(mutex_);
    row_dirty_ = true;
  }
  return saved;
}

}  // namespace lanward::store
