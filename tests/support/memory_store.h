// A content of the piece cache that lives in memory, for tests of whoever uses one.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "engine/core/merkle.h"
#include "engine/ports/content_store.h"
#include "engine/store/sha256.h"

namespace lanward::test {

// Blocks are taken at once; hashes, completions and facts come from one worker thread, as with a
// store on disk. Ranges of origins are not taken: `put` stands for them.
class MemoryStore final : public ports::ContentStore {
 public:
  MemoryStore(core::Content content, ports::FactSink facts)
      : content_(std::move(content)),
        facts_(std::move(facts)),
        bytes_(content_.layout.size().value),
        verified_(content_.layout.piece_count()),
        worker_([this] { work(); }) {}
  ~MemoryStore() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    thaw();
    worker_.join();
  }

  // The next reads answer with a wrong byte, as a broken or lying peer would.
  void lie() { lying_ = true; }
  // Reads that only look into the cache find nothing.
  void forget_cache() { cold_ = true; }
  // Reads of the piece are refused from now on, whatever was said about it before.
  void unverify(core::PieceIndex piece) {
    const std::lock_guard lock(mutex_);
    verified_.erase(piece);
  }
  // The worker does nothing until thaw(): a disk that hangs.
  void freeze() { frozen_ = true; }
  void thaw() {
    {
      const std::lock_guard lock(mutex_);
      frozen_ = false;
    }
    wake_.notify_all();
  }
  // Every write is answered "taken, but pause".
  void lag() { lagging_ = true; }

  // A piece from an origin. `bytes` are the whole file.
  void put(core::PieceIndex piece, std::span<const std::byte> file) {
    const core::ByteSpan span = content_.layout.bytes(piece);
    {
      const std::lock_guard lock(mutex_);
      std::memcpy(bytes_.data() + span.begin, file.data() + span.begin, span.size().value);
      verified_.insert(piece);
    }
    facts_(core::PieceVerified{piece, {core::SourceId{0}}});
  }

  [[nodiscard]] std::vector<std::byte> bytes() const {
    const std::lock_guard lock(mutex_);
    return bytes_;
  }
  [[nodiscard]] std::uint64_t reads_refused() const { return reads_refused_; }

  std::unique_ptr<ports::RangeSink> open_range(core::SourceId, core::ByteSpan,
                                               ports::Task) override {
    return nullptr;
  }

  bool write_block(core::PieceIndex piece, std::uint32_t offset, std::span<const std::byte> bytes,
                   core::SourceId source, ports::MoveFunction<void(Result<void>)> done,
                   ports::Task on_drained) override {
    {
      const std::lock_guard lock(mutex_);
      auto& ledger = ledger_[source];
      ledger.received += core::ByteCount{bytes.size()};
      Piece& p = pieces_[piece.value];
      const std::uint32_t block = offset / core::kBlockBytes;
      if (verified_.contains(piece) || !p.blocks.emplace(block, source).second) {
        ledger.wasted += core::ByteCount{bytes.size()};
      } else {
        std::memcpy(bytes_.data() + content_.layout.bytes(piece).begin + offset, bytes.data(),
                    bytes.size());
      }
    }
    enqueue([this, piece, done = std::move(done), drained = std::move(on_drained)]() mutable {
      check(piece);
      done(Result<void>());
      drained();
    });
    return !lagging_;
  }

  Result<void> read(core::PieceIndex piece, std::uint32_t offset, std::span<std::byte> out,
                    bool cached_only) override {
    const std::lock_guard lock(mutex_);
    if (!verified_.contains(piece)) {
      ++reads_refused_;
      return fail(ErrorCode::invalid_state, "not verified");
    }
    if (cached_only && cold_) return fail(ErrorCode::not_found, "not cached");
    std::memcpy(out.data(), bytes_.data() + content_.layout.bytes(piece).begin + offset,
                out.size());
    if (lying_) out[0] ^= std::byte{1};
    return {};
  }

  void block_hashes(core::PieceIndex piece,
                    ports::MoveFunction<void(Result<std::vector<core::Digest>>)> done) override {
    enqueue([this, piece, done = std::move(done)]() mutable {
      {
        const std::lock_guard lock(mutex_);
        const bool whole = pieces_[piece.value].blocks.size() == content_.layout.blocks_in(piece);
        if (!whole && !verified_.contains(piece)) {
          return done(fail(ErrorCode::invalid_state, "blocks are missing"));
        }
      }
      done(leaves(piece));
    });
  }

  void clear_piece(core::PieceIndex piece) override {
    const std::lock_guard lock(mutex_);
    if (!verified_.contains(piece)) pieces_[piece.value].blocks.clear();
  }

  core::PieceSet verified() const override {
    const std::lock_guard lock(mutex_);
    return verified_;
  }
  std::vector<ports::SourceLedger> ledger() const override {
    const std::lock_guard lock(mutex_);
    std::vector<ports::SourceLedger> all;
    for (const auto& [source, ledger] : ledger_) {
      all.push_back(ledger);
      all.back().source = source;
    }
    return all;
  }
  void run_on_worker(ports::Task task) override { enqueue(std::move(task)); }

 private:
  struct Piece {
    std::map<std::uint32_t, core::SourceId> blocks;
  };

  [[nodiscard]] std::vector<core::Digest> leaves(core::PieceIndex piece) const {
    const core::ByteSpan span = content_.layout.bytes(piece);
    std::vector<core::Digest> hashes;
    for (std::uint64_t at = span.begin; at < span.end; at += core::kBlockBytes) {
      const auto length = std::min<std::uint64_t>(core::kBlockBytes, span.end - at);
      hashes.push_back(store::sha256({bytes_.data() + at, length}));
    }
    return hashes;
  }

  // Judges the piece once all its blocks are there.
  void check(core::PieceIndex piece) {
    std::vector<core::SourceId> from;
    {
      const std::lock_guard lock(mutex_);
      const Piece& p = pieces_[piece.value];
      if (verified_.contains(piece) || p.blocks.size() < content_.layout.blocks_in(piece)) return;
      std::set<core::SourceId> sources;
      for (const auto& [block, source] : p.blocks) sources.insert(source);
      from.assign(sources.begin(), sources.end());
    }
    const core::Digest root = core::merkle_root(leaves(piece), content_.layout.leaves_per_piece(),
                                                core::Digest{}, &store::sha256);
    const bool good = root == content_.piece_hashes[piece.value];
    {
      const std::lock_guard lock(mutex_);
      settle(piece, good);
    }
    if (good) {
      facts_(core::PieceVerified{piece, std::move(from)});
    } else {
      facts_(core::PieceFailed{piece, std::move(from)});
    }
  }

  void settle(core::PieceIndex piece, bool good) {
    for (const auto& [block, source] : pieces_[piece.value].blocks) {
      const std::uint32_t left = content_.layout.size_of(piece) - block * core::kBlockBytes;
      const core::ByteCount length{std::min(left, core::kBlockBytes)};
      (good ? ledger_[source].useful : ledger_[source].wasted) += length;
    }
    if (good) {
      verified_.insert(piece);
    } else {
      pieces_[piece.value].blocks.clear();
    }
  }

  void enqueue(ports::Task task) {
    {
      const std::lock_guard lock(mutex_);
      tasks_.push_back(std::move(task));
    }
    wake_.notify_one();
  }

  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return !frozen_ && (stopping_ || !tasks_.empty()); });
      if (tasks_.empty()) return;
      ports::Task task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
      task = {};
      lock.lock();
    }
  }

  const core::Content content_;
  const ports::FactSink facts_;
  std::atomic<bool> lying_ = false;
  std::atomic<bool> cold_ = false;
  std::atomic<bool> lagging_ = false;
  std::atomic<bool> frozen_ = false;
  std::atomic<std::uint64_t> reads_refused_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::byte> bytes_;
  core::PieceSet verified_;
  std::map<std::uint32_t, Piece> pieces_;
  std::map<core::SourceId, ports::SourceLedger> ledger_;
  std::deque<ports::Task> tasks_;
  bool stopping_ = false;
  std::thread worker_;  // last: it uses all of the above
};

}  // namespace lanward::test
