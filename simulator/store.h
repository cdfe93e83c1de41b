// The piece cache of one simulated machine: counts and origins of blocks instead of bytes.
//
// Modelled: blocks, their sources and the ledger, exactly; the time that the end of a piece needs
// to be hashed; verification, whose outcome follows from whether the bytes that arrived were
// intact; contents that outlive a transfer. Not modelled: payload (read() answers zeros), writers
// that lag behind, full disks, crashes.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/ports/content_store.h"
#include "simulator/event_queue.h"

namespace lanward::simulator {

// Whether bytes are those of the published file. Travels with them, unseen by the engine.
enum class Payload : std::uint8_t { intact, corrupt };

struct StoreSettings {
  core::ByteRate hash_rate{core::kMiB * 1024};  // SHA-256 of one core with SHA extensions
  // Blocks are hashed as they arrive, at most so many bytes at a time (kBlocksPerBatch of the piece
  // cache): no more is still to do when the last block of a piece has come.
  core::ByteCount hash_behind{core::kKiB * 512};
};

// Bytes over all openings of one content.
struct StoreTotals {
  std::uint64_t origin_received = 0;
  std::uint64_t peer_received = 0;
  std::uint64_t useful = 0;
  std::uint64_t wasted = 0;

  [[nodiscard]] std::uint64_t received() const { return origin_received + peer_received; }
};

class SimContentStore final : public ports::ContentStore,
                              public std::enable_shared_from_this<SimContentStore> {
 public:
  SimContentStore(EventQueue& queue, StoreSettings settings, const core::Content& content,
                  const core::PieceSet& verified, ports::FactSink facts);

  [[nodiscard]] std::unique_ptr<ports::RangeSink> open_range(core::SourceId source,
                                                             core::ByteSpan span,
                                                             ports::Task on_ready) override;
  [[nodiscard]] bool write_block(core::PieceIndex piece, std::uint32_t offset,
                                 std::span<const std::byte> bytes, core::SourceId source,
                                 ports::MoveFunction<void(Result<void>)> done,
                                 ports::Task on_drained) override;
  [[nodiscard]] Result<void> read(core::PieceIndex piece, std::uint32_t offset,
                                  std::span<std::byte> out, bool cached_only) override;
  // Stand-ins for the hashes, functions of content and position.
  void block_hashes(core::PieceIndex piece,
                    ports::MoveFunction<void(Result<std::vector<core::Digest>>)> done) override;
  [[nodiscard]] core::PieceSet verified() const override { return verified_; }
  [[nodiscard]] std::vector<ports::SourceLedger> ledger() const override;
  void run_on_worker(ports::Task task) override;

  // ---- for the other parts of the simulator

  // Bytes of the piece that nobody has delivered yet; 0 once it is complete, verified or not.
  [[nodiscard]] std::uint64_t missing_bytes(core::PieceIndex piece) const;
  // As so many write_block() calls for the first missing blocks; what does not fit is wasted.
  // REQUIRES: bytes are whole blocks, the last block of the file included.
  void put_missing(core::PieceIndex piece, std::uint64_t bytes, core::SourceId source,
                   Payload payload);
  // One whole block.
  void put_block(core::PieceIndex piece, std::uint32_t block, core::SourceId source,
                 Payload payload);
  // Bytes taken that never became a block.
  void put_dropped(std::uint64_t bytes, core::SourceId source);
  // Called when a complete piece was found to be bad, before the fact is told.
  void on_failed(std::function<void(core::PieceIndex)> told) { on_failed_ = std::move(told); }
  // In a crowd most machines only pass pieces on, and need not hear of each piece by itself: from
  // now on the verdicts on intact pieces that one peer brought wait for take_verdicts(), and
  // `verified` is called at once for each of them, though its hashing takes hash_time() from then
  // on. Until tell_promptly(), or a range is opened; never for the last piece.
  void collect_verdicts(std::function<void(core::PieceIndex)> verified);
  [[nodiscard]] std::vector<core::PeerHasPiece> take_verdicts();
  void tell_promptly();
  [[nodiscard]] bool tells_promptly() const { return !on_collected_; }
  // Brings what a piece touches into the processor's cache.
  void warm() const;
  [[nodiscard]] core::Duration hash_time(core::PieceIndex piece) const;
  // Without piece hashes.
  [[nodiscard]] const core::Content& content() const { return content_; }
  [[nodiscard]] bool closed() const { return closed_; }
  void close();
  void add_to(StoreTotals& totals) const;
  // The truth that a checker compares verified() with: verified pieces with corrupt bytes.
  [[nodiscard]] bool all_verified_intact() const { return corrupt_verified_ == 0; }

 private:
  // Blocks that came from one source, one after another.
  struct Stretch {
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
    core::SourceId from;
  };
  // A piece of which blocks are there that are not verified. Few at a time.
  struct Piece {
    core::PieceIndex index;
    std::vector<Stretch> stretches;  // in order, without overlap
    std::uint32_t bytes = 0;
    bool corrupt = false;
    bool hashing = false;
  };

  [[nodiscard]] std::uint64_t bytes_of(core::PieceIndex piece, std::uint32_t begin,
                                       std::uint32_t end) const;
  [[nodiscard]] std::vector<Piece>::iterator place_of(core::PieceIndex piece);
  [[nodiscard]] Piece* find(core::PieceIndex piece);
  [[nodiscard]] const Piece* find(core::PieceIndex piece) const;
  Piece& open(core::PieceIndex piece);
  // REQUIRES: blocks are missing.
  [[nodiscard]] Stretch first_gap(const Piece& piece) const;
  // REQUIRES: none of the blocks is there, and the piece is not complete.
  void put_blocks(Piece& piece, const Stretch& blocks, Payload payload);
  [[nodiscard]] bool collects(core::SourceId source, Payload payload) const;
  void tell_verdicts();
  void add_collected(std::vector<ports::SourceLedger>& ledger) const;
  void finish_piece(core::PieceIndex piece);
  void forget(core::PieceIndex piece);
  void waste_blocks(const Piece& piece);

  EventQueue& queue_;
  const StoreSettings settings_;
  const core::Content content_;  // without the hashes, which would fill the memory of large sites
  const bool verifiable_;
  ports::FactSink facts_;
  std::function<void(core::PieceIndex)> on_failed_;
  core::PieceSet verified_;
  std::function<void(core::PieceIndex)> on_collected_;
  std::vector<core::PeerHasPiece> collected_;  // not in the ledger yet
  std::vector<Piece> pieces_;                  // in order of index
  std::vector<ports::SourceLedger> ledger_;    // in order of source
  std::uint32_t corrupt_verified_ = 0;
  bool closed_ = false;
};

// Every RangeSink of a simulation is one of these, so that the simulated origin need not push
// payload through accept().
class SimRangeSink final : public ports::RangeSink {
 public:
  SimRangeSink(std::shared_ptr<SimContentStore> store, core::SourceId source, core::ByteSpan span)
      : store_(std::move(store)), source_(source), position_(span.begin), end_(span.end) {}
  ~SimRangeSink() override;
  SimRangeSink(const SimRangeSink&) = delete;
  SimRangeSink& operator=(const SimRangeSink&) = delete;

  [[nodiscard]] Accept accept(std::span<const std::byte> bytes) override;
  void finish() override;
  // The next `bytes` of the range, without the bytes.
  [[nodiscard]] Accept advance(std::uint64_t bytes, Payload payload);

 private:
  const std::shared_ptr<SimContentStore> store_;
  const core::SourceId source_;
  std::uint64_t position_;
  const std::uint64_t end_;
  std::uint64_t partial_ = 0;  // bytes of an unfinished block before position_
  Payload partial_payload_ = Payload::intact;
};

class SimPieceStore final : public ports::PieceStore {
 public:
  SimPieceStore(EventQueue& queue, StoreSettings settings) : queue_(queue), settings_(settings) {}

  void open(const core::Content& content, ports::FactSink facts, Opened done) override;
  void deliver(const std::shared_ptr<ports::ContentStore>& content, ports::DeliveryOrder order,
               Done done) override;
  // Nothing is ever left behind.
  void sweep(std::string destination, const core::Digest& id, Done done) override;
  void close(const std::shared_ptr<ports::ContentStore>& content, Done done) override;
  void purge(const std::shared_ptr<ports::ContentStore>& content, Done done) override;
  void forget(const core::Digest& id, Done done) override;

  // ---- for the checkers

  struct Delivered {
    std::string destination;
    core::ByteCount size;
    bool intact = false;
  };
  [[nodiscard]] const std::vector<Delivered>& delivered() const { return delivered_; }
  [[nodiscard]] StoreTotals totals(const core::Digest& content) const;

 private:
  struct Stored {
    core::PieceSet verified;
    std::shared_ptr<SimContentStore> open;  // null while nobody uses it
    bool given_away = false;                // delivered with `share`: forgotten when it is closed
    // Transfers that have ended may still drop a last buffer into the ledger of theirs.
    std::vector<std::shared_ptr<SimContentStore>> closed;
  };
  void release(SimContentStore& content);

  EventQueue& queue_;
  const StoreSettings settings_;
  std::map<core::Digest, Stored> contents_;
  std::vector<Delivered> delivered_;
};

// Fake, but different for every input: what simulated contents have for hashes.
[[nodiscard]] core::Digest simulated_digest(std::uint64_t a, std::uint64_t b);

}  // namespace lanward::simulator
