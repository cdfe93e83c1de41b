// A piece cache that lives in memory, for tests of whoever uses one.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/core/merkle.h"
#include "engine/ports/content_store.h"
#include "engine/store/sha256.h"

namespace lanward::test {

// What a content leaves in the cache.
struct Remains {
  std::vector<std::byte> bytes;
  core::PieceSet verified;
};

// Blocks are taken at once; hashes, completions and facts come from one worker thread, as with a
// store on disk.
class MemoryStore final : public ports::ContentStore,
                          public std::enable_shared_from_this<MemoryStore> {
 public:
  MemoryStore(core::Content content, ports::FactSink facts)
      : content_(std::move(content)),
        facts_(std::move(facts)),
        bytes_(content_.layout.size().value),
        verified_(content_.layout.piece_count()),
        worker_([this] { work(); }) {}
  // Found in the cache.
  MemoryStore(core::Content content, ports::FactSink facts, Remains remains)
      : MemoryStore(std::move(content), std::move(facts)) {
    const std::lock_guard lock(mutex_);
    if (remains.bytes.size() != bytes_.size()) return;
    bytes_ = std::move(remains.bytes);
    verified_ = std::move(remains.verified);
  }
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

  // Takes no more bytes, waits for what is under way, forgets incomplete pieces and tells what is
  // left. Not from the worker.
  Remains close() {
    std::unique_lock lock(mutex_);
    closed_ = true;
    idle_.wait(lock, [this] { return tasks_.empty() && !working_; });
    for (auto& [index, piece] : pieces_) {
      if (!verified_.contains(core::PieceIndex{index})) waste_blocks(core::PieceIndex{index});
      piece = {};
    }
    return {bytes_, verified_};
  }
  [[nodiscard]] bool closed() const {
    const std::lock_guard lock(mutex_);
    return closed_;
  }
  [[nodiscard]] const core::Content& content() const { return content_; }

  std::unique_ptr<ports::RangeSink> open_range(core::SourceId source, core::ByteSpan span,
                                               ports::Task) override {
    return std::make_unique<Sink>(shared_from_this(), source, span.begin);
  }

  bool write_block(core::PieceIndex piece, std::uint32_t offset, std::span<const std::byte> bytes,
                   core::SourceId source, ports::MoveFunction<void(Result<void>)> done,
                   ports::Task on_drained) override {
    Result<void> outcome = check_block(piece, offset, bytes.size());
    if (outcome) {
      const std::lock_guard lock(mutex_);
      if (closed_) {
        outcome = fail(ErrorCode::invalid_state, "closed");
      } else {
        account(source).received += core::ByteCount{bytes.size()};
        take(piece, offset, bytes, source);
      }
    }
    const bool pause = lagging_;
    enqueue([this, piece, pause, outcome = std::move(outcome), done = std::move(done),
             drained = std::move(on_drained)]() mutable {
      if (outcome) check(piece);
      if (done) done(std::move(outcome));
      if (pause && drained) drained();
    });
    return !pause;
  }

  Result<void> read(core::PieceIndex piece, std::uint32_t offset, std::span<std::byte> out,
                    bool cached_only) override {
    const std::lock_guard lock(mutex_);
    if (closed_) return fail(ErrorCode::invalid_state, "closed");
    if (piece >= content_.layout.all().end || offset > content_.layout.size_of(piece) ||
        out.size() > content_.layout.size_of(piece) - offset) {
      return fail(ErrorCode::invalid_argument, "not within a piece");
    }
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
        if (closed_) return done(fail(ErrorCode::invalid_state, "closed"));
        if (piece >= content_.layout.all().end) {
          return done(fail(ErrorCode::invalid_argument, "no such piece"));
        }
        if (!verified_.contains(piece) && !pieces_[piece.value].all_there) {
          return done(fail(ErrorCode::invalid_state, "blocks are missing"));
        }
      }
      done(leaves(piece));
    });
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
    bool all_there = false;  // stays when the piece has failed, until it is written again
  };
  // Hands over whole blocks; what is left at its end is wasted.
  class Sink final : public ports::RangeSink {
   public:
    Sink(std::shared_ptr<MemoryStore> store, core::SourceId source, std::uint64_t at)
        : store_(std::move(store)), source_(source), at_(at) {}
    Sink(const Sink&) = delete;
    Sink& operator=(const Sink&) = delete;
    ~Sink() override { store_->waste(source_, rest_.size()); }

    Accept accept(std::span<const std::byte> bytes) override {
      if (!store_->receive(source_, bytes.size())) return Accept::closed;
      rest_.insert(rest_.end(), bytes.begin(), bytes.end());
      while (!rest_.empty()) {
        const std::size_t size = store_->block_bytes(at_);
        if (rest_.size() < size) break;
        store_->take_received(at_, std::span(rest_).first(size), source_);
        rest_.erase(rest_.begin(), rest_.begin() + static_cast<std::ptrdiff_t>(size));
        at_ += size;
      }
      return Accept::taken;
    }
    void finish() override { store_->waste(source_, std::exchange(rest_, {}).size()); }

   private:
    const std::shared_ptr<MemoryStore> store_;
    const core::SourceId source_;
    std::uint64_t at_;
    std::vector<std::byte> rest_;
  };

  // REQUIRES: mutex_ is held.
  ports::SourceLedger& account(core::SourceId source) { return ledger_[source]; }
  [[nodiscard]] bool receive(core::SourceId source, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    if (!closed_) account(source).received += core::ByteCount{bytes};
    return !closed_;
  }
  void waste(core::SourceId source, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    if (bytes > 0) account(source).wasted += core::ByteCount{bytes};
  }
  // Size of the block at the offset in the file.
  [[nodiscard]] std::size_t block_bytes(std::uint64_t at) const {
    return std::min<std::uint64_t>(core::kBlockBytes, content_.layout.size().value - at);
  }
  [[nodiscard]] Result<void> check_block(core::PieceIndex piece, std::uint32_t offset,
                                         std::size_t size) const {
    if (piece < content_.layout.all().end && offset % core::kBlockBytes == 0 &&
        offset < content_.layout.size_of(piece) &&
        size == block_bytes(content_.layout.bytes(piece).begin + offset)) {
      return {};
    }
    return fail(ErrorCode::invalid_argument, "no such block");
  }
  // A block of a range, booked as received.
  void take_received(std::uint64_t at, std::span<const std::byte> bytes, core::SourceId source) {
    const core::PieceIndex piece = content_.layout.piece_at(at);
    {
      const std::lock_guard lock(mutex_);
      take(piece, static_cast<std::uint32_t>(at - content_.layout.bytes(piece).begin), bytes,
           source);
    }
    enqueue([this, piece] { check(piece); });
  }
  // REQUIRES: mutex_ is held, the bytes are a block and booked as received.
  void take(core::PieceIndex piece, std::uint32_t offset, std::span<const std::byte> bytes,
            core::SourceId source) {
    Piece& p = pieces_[piece.value];
    if (verified_.contains(piece) || !p.blocks.emplace(offset / core::kBlockBytes, source).second) {
      account(source).wasted += core::ByteCount{bytes.size()};
      return;
    }
    p.all_there = p.blocks.size() == content_.layout.blocks_in(piece);
    std::memcpy(bytes_.data() + content_.layout.bytes(piece).begin + offset, bytes.data(),
                bytes.size());
  }

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
    const bool good = !content_.verifiable() || root == content_.piece_hashes[piece.value];
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

  // REQUIRES: mutex_ is held.
  void settle(core::PieceIndex piece, bool good) {
    if (!good) return waste_blocks(piece);
    for (const auto& [block, source] : pieces_[piece.value].blocks) {
      account(source).useful += block_size(piece, block);
    }
    verified_.insert(piece);
  }
  // REQUIRES: mutex_ is held.
  void waste_blocks(core::PieceIndex piece) {
    auto& blocks = pieces_[piece.value].blocks;
    for (const auto& [block, source] : blocks) account(source).wasted += block_size(piece, block);
    blocks.clear();
  }
  [[nodiscard]] core::ByteCount block_size(core::PieceIndex piece, std::uint32_t block) const {
    const std::uint32_t left = content_.layout.size_of(piece) - block * core::kBlockBytes;
    return core::ByteCount{std::min(left, core::kBlockBytes)};
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
      working_ = true;
      lock.unlock();
      task();
      task = {};
      lock.lock();
      working_ = false;
      idle_.notify_all();
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
  std::condition_variable idle_;
  std::vector<std::byte> bytes_;
  core::PieceSet verified_;
  std::map<std::uint32_t, Piece> pieces_;
  std::map<core::SourceId, ports::SourceLedger> ledger_;
  std::deque<ports::Task> tasks_;
  bool closed_ = false;
  bool working_ = false;
  bool stopping_ = false;
  std::thread worker_;  // last: it uses all of the above
};

// Completions are called before the call returns.
class MemoryPieceStore final : public ports::PieceStore {
 public:
  // Closes every content, as the end of a process in order does.
  void restart() {
    for (const auto& [id, content] : std::exchange(open_, {})) end(*content);
  }

  void open(const core::Content& content, ports::FactSink facts, Opened done) override {
    if (open_.contains(content.id)) return done(fail(ErrorCode::in_use, "open already"));
    const auto opened =
        std::make_shared<MemoryStore>(content, std::move(facts), std::move(kept_[content.id]));
    kept_.erase(content.id);
    open_[content.id] = opened;
    done(std::shared_ptr<ports::ContentStore>(opened));
  }
  void deliver(const std::shared_ptr<ports::ContentStore>& content, ports::DeliveryOrder order,
               Done done) override {
    const auto& [destination, how, parts, ticket, owner] = order;
    MemoryStore& mine = memory(content);
    const core::PieceLayout& layout = mine.content().layout;
    if (!ports::are_valid(parts, layout.size())) {
      return done(fail(ErrorCode::invalid_argument, "no such parts"));
    }
    if (mine.closed() || shared_.contains(mine.content().id) ||
        ports::missing_pieces(mine.verified(), layout, parts) > 0) {
      return done(fail(ErrorCode::invalid_state, "not complete, or given away"));
    }
    if (ticket != nullptr && !ticket->use()) {
      return done(fail(ErrorCode::cancelled, "not wanted any more"));
    }
    if (!write(mine.bytes(), parts, destination)) {
      return done(fail(ErrorCode::destination, "cannot write " + destination));
    }
    if (how == ports::Delivery::share) shared_.insert(mine.content().id);
    if (how == ports::Delivery::consume) return purge(content, std::move(done));
    done({});
  }
  void sweep(std::string, const core::Digest&, Done done) override { done({}); }
  void close(const std::shared_ptr<ports::ContentStore>& content, Done done) override {
    MemoryStore& mine = memory(content);
    if (!mine.closed()) {
      end(mine);
      open_.erase(mine.content().id);
    }
    done({});
  }
  void purge(const std::shared_ptr<ports::ContentStore>& content, Done done) override {
    close(content, [](const Result<void>&) {});
    forget(memory(content).content().id, std::move(done));
  }
  void forget(const core::Digest& id, Done done) override {
    if (open_.contains(id)) return done(fail(ErrorCode::in_use, "open"));
    kept_.erase(id);
    done({});
  }

 private:
  static MemoryStore& memory(const std::shared_ptr<ports::ContentStore>& content) {
    return static_cast<MemoryStore&>(*content);
  }
  static bool write(const std::vector<std::byte>& bytes, std::vector<core::ByteSpan> parts,
                    const std::string& destination) {
    if (parts.empty()) parts.push_back({0, bytes.size()});
    std::ofstream out(destination, std::ios::binary | std::ios::trunc);
    for (const core::ByteSpan& part : parts) {
      out.write(reinterpret_cast<const char*>(bytes.data()) + part.begin,
                static_cast<std::streamsize>(part.size().value));
    }
    return out.flush().good();
  }
  void end(MemoryStore& content) {
    const core::Digest& id = content.content().id;
    Remains remains = content.close();
    if (shared_.erase(id) == 0) kept_[id] = std::move(remains);
  }

  std::map<core::Digest, std::shared_ptr<MemoryStore>> open_;
  std::map<core::Digest, Remains> kept_;  // of what nobody has open
  std::set<core::Digest> shared_;         // forgotten when they are closed
};

}  // namespace lanward::test
