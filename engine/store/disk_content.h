// One open content: takes bytes from origins and peers, hashes and writes them on the workers,
// decides pieces, reads back.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/ports/content_store.h"
#include "engine/store/data_file.h"
#include "engine/store/piece_table.h"
#include "engine/store/recovery.h"
#include "engine/store/shared.h"

namespace lanward::store {

// How bytes travel: a range sink fills a chunk, or write_block() a block; a worker hashes the
// blocks outside every lock and appends them to ready_. Whoever finds no writer at work becomes the
// writer and writes until ready_ is empty, so that one thread at a time writes a file (two spin on
// the inode's lock) while the others hash. Blocks whose attempt is over are left out when the
// writer takes them; as there is one writer, old bytes can never land on top of new ones.
class DiskContent final : public ports::ContentStore,
                          public std::enable_shared_from_this<DiskContent> {
 public:
  // `note`: why the bytes are beside a destination and not in the cache; empty: they are in it.
  DiskContent(std::shared_ptr<Shared> shared, core::Content content, ports::FactSink facts,
              std::shared_ptr<DataFile> file, Belief belief, std::string note = {});

  // ports::ContentStore
  [[nodiscard]] std::unique_ptr<ports::RangeSink> open_range(core::SourceId source,
                                                             core::ByteSpan span,
                                                             ports::Task on_ready) override;
  [[nodiscard]] bool write_block(core::PieceIndex piece, std::uint32_t offset,
                                 std::span<const std::byte> bytes, core::SourceId source,
                                 ports::MoveFunction<void(Result<void>)> done,
                                 ports::Task on_drained) override;
  [[nodiscard]] Result<void> read(core::PieceIndex piece, std::uint32_t offset,
                                  std::span<std::byte> out, bool cached_only) override;
  void block_hashes(core::PieceIndex piece,
                    ports::MoveFunction<void(Result<std::vector<core::Digest>>)> done) override;
  [[nodiscard]] core::PieceSet verified() const override;
  [[nodiscard]] std::vector<ports::SourceLedger> ledger() const override;
  void run_on_worker(ports::Task task) override;
  [[nodiscard]] std::string note() const override { return note_; }
  [[nodiscard]] bool may_share() const override { return may_share_; }
  void share() override;

  // For range sinks.
  // Books bytes that are about to be taken; false when the content takes no more.
  [[nodiscard]] bool receive(core::SourceId source, std::uint64_t bytes);
  void waste(core::SourceId source, std::uint64_t bytes);
  // Writes `size` bytes at `offset`: whole blocks, the last of the file perhaps short.
  void submit(core::SourceId source, std::uint64_t offset, ChunkPool::Lease chunk,
              std::size_t size);
  [[nodiscard]] ChunkPool& chunks() { return shared_->chunks; }

  // For the store.
  [[nodiscard]] const core::Content& content() const { return content_; }
  // Null once closed.
  [[nodiscard]] std::shared_ptr<DataFile> file() const;
  // Takes no more bytes, waits for those under way, forgets incomplete pieces.
  void stop_writing();
  // stop_writing(), makes what is verified durable, closes the file. Blocks.
  [[nodiscard]] Result<void> close();
  // stop_writing(), closes the file; nothing more is recorded. Blocks.
  void abandon();
  // Does what is due: sync, commit. Returns whether something is left to do later.
  bool flush_due();
  // Starts to write back what is due. May wait for what was started before.
  void write_back();
  // Saves the row now: what is written from here on is found after a crash. A working directory
  // without an index waits for the first commit; what is not recorded is found by hashing.
  [[nodiscard]] Result<void> record();
  // From now on nothing is recorded: the content is only read, and to be abandoned at its close.
  // Blocks.
  void retire();
  [[nodiscard]] bool retired() const;
  // Makes the bytes of the verified pieces durable now.
  [[nodiscard]] Result<void> sync();
  // Whether the bytes are beside a destination.
  [[nodiscard]] bool is_elsewhere() const { return !note_.empty(); }
  // Hashes the piece if it is verified; drops it at once if it is not what it must be or cannot be
  // read. True: it is good, or nothing can be said. Blocks.
  [[nodiscard]] bool check(core::PieceIndex piece);
  // Tells the transfer which pieces check() has dropped: all at once, as it begins anew then.
  void tell_lost(const std::vector<std::uint32_t>& pieces);
  // From now on only read, by somebody who gives it back when asked. `last_use`: as the record
  // says; it stays as long as nothing is read.
  void lend(std::int64_t last_use);
  // Asks for a lent content, once.
  void call_back();
  // close(), but nothing is recorded if there is nothing new. Blocks.
  [[nodiscard]] Result<void> close_lent();
  // What the record says of it; before anybody else has it.
  void set_may_share(bool may) { may_share_ = may; }
  // Lifecycle operations of one content exclude each other.
  [[nodiscard]] std::mutex& operation_mutex() { return operation_mutex_; }

 private:
  enum class State : std::uint8_t { open, stopping, closed };
  using HashesDone = ports::MoveFunction<void(Result<std::vector<core::Digest>>)>;

  struct Segment {
    BlockKey key;
    std::uint64_t offset = 0;
    std::span<const std::byte> bytes;
    core::Digest leaf{};
    BlockPool::Lease buffer;  // empty when the bytes are part of a chunk
    ports::MoveFunction<void(Result<void>)> done;
    bool live = true;
  };
  struct Batch {
    ChunkPool::Lease chunk;
    std::vector<Segment> segments;
  };
  struct Answer {
    HashesDone done;
    Result<std::vector<core::Digest>> value;
  };

  [[nodiscard]] Result<void> check_writable() const;
  [[nodiscard]] Result<void> check_block(core::PieceIndex piece, std::uint32_t offset,
                                         std::size_t size) const;
  [[nodiscard]] Error closed_error() const;
  [[nodiscard]] Error incomplete_error(core::PieceIndex piece) const;

  void drain_blocks();
  void process(Batch batch);
  [[nodiscard]] static Result<void> write_batches(DataFile& file, std::vector<Batch>& batches);
  void finish_batches(std::vector<Batch> batches, const Result<void>& written);
  void decide(CompletePiece complete);
  void fail_store(const Error& error);
  bool lose(core::PieceIndex piece);
  void hash_from_disk(core::PieceIndex piece, HashesDone done);

  // Moves who waits for the hashes of the piece to `answers`; give() calls them, outside the lock.
  void take_waiters(core::PieceIndex piece, const Result<std::vector<core::Digest>>& value,
                    std::vector<Answer>& answers);
  void take_hopeless_waiters(core::PieceIndex piece, std::vector<Answer>& answers);
  static void give(std::vector<Answer>& answers);

  void release_pending(std::size_t count);
  // REQUIRES: flush_mutex_ is held, mutex_ is not.
  [[nodiscard]] Result<void> sync_file(bool with_times);
  [[nodiscard]] Result<void> save_row(bool clean, Index::Commit commit);
  // Dirty bytes after which write-back is due.
  [[nodiscard]] std::uint64_t writeback_step() const;

  const std::shared_ptr<Shared> shared_;
  const core::Content content_;
  const ports::FactSink facts_;
  const std::uint64_t inode_;
  const std::string name_;  // the path of the data file
  const std::string note_;

  std::mutex operation_mutex_;
  std::mutex flush_mutex_;  // taken before mutex_: rows are saved in the order of their making
  // Taken after flush_mutex_, before mutex_: while a row is saved the content is not abandoned.
  std::mutex row_mutex_;
  std::atomic<bool> may_share_{false};
  std::atomic<bool> dropped_{false};  // what is on its way to the file need not get there

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable settled_;
  State state_ = State::open;
  std::shared_ptr<DataFile> file_;
  std::optional<Error> failed_;
  PieceTable table_;
  RecentLeaves recent_;
  std::map<core::PieceIndex, std::vector<HashesDone>> waiters_;
  std::vector<Segment> blocks_;  // of peers, not hashed yet
  bool drain_posted_ = false;
  std::vector<Batch> ready_;  // hashed, not written yet
  bool writing_ = false;
  std::size_t pending_ = 0;  // blocks claimed, and tasks, that are not finished
  core::PieceSet durable_;
  bool row_dirty_ = false;
  std::uint64_t unsynced_bytes_ = 0;
  std::uint64_t unstarted_bytes_ = 0;  // of these, write-back has not been started
  std::chrono::steady_clock::time_point dirty_since_;
  bool wrote_ = false;    // since the opening
  bool retired_ = false;  // given away: nothing is recorded any more
  bool used_ = true;      // false: lent, and nobody has read anything
  bool called_back_ = false;
  std::int64_t last_use_ = 0;  // of the record; unless used_
  bool sync_failed_ = false;   // the kernel may have dropped dirty pages: only durable_ is recorded
};

}  // namespace lanward::store
