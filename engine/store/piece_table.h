// The unverified pieces of one content and who sent their blocks. Pure bookkeeping: no I/O, no
// locks.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "engine/core/content.h"
#include "engine/core/piece_layout.h"
#include "engine/core/piece_set.h"
#include "engine/ports/content_store.h"

namespace lanward::store {

// A block on its way to disk. A piece that is cleared or fails starts over with another attempt;
// what still comes in for the old one no longer counts.
struct BlockKey {
  core::PieceIndex piece;
  std::uint32_t block = 0;
  std::uint64_t attempt = 0;
};

// A piece all of whose blocks are written.
struct CompletePiece {
  core::PieceIndex piece;
  std::uint64_t attempt = 0;
  std::vector<core::Digest> leaves;
};

// Invariant, at any time: the sum of `received` over all sources is the bytes of the pieces
// verified here (the sum of `useful`), plus the sum of `wasted`, plus pending(): bytes that are
// buffered or belong to pieces not yet verified.
class PieceTable {
 public:
  PieceTable(const core::PieceLayout& layout, core::PieceSet verified)
      : layout_(layout), verified_(std::move(verified)) {}

  void receive(core::SourceId source, std::uint64_t bytes);
  void waste(core::SourceId source, std::uint64_t bytes);

  // Reserves a block for received bytes. Nothing if the block is there or under way: the bytes are
  // then wasted. First come, first served.
  [[nodiscard]] std::optional<BlockKey> claim(core::PieceIndex piece, std::uint32_t block,
                                              core::SourceId source);
  // Whether the block still counts.
  [[nodiscard]] bool live(const BlockKey& key) const;
  // The block is on disk. Returns the piece if that was its last block.
  [[nodiscard]] std::optional<CompletePiece> written(const BlockKey& key, const core::Digest& leaf);
  // The verdict on a complete piece. Returns the sources of its blocks in order of id, or nothing
  // if the piece has been cleared in the meantime.
  [[nodiscard]] std::optional<std::vector<core::SourceId>> settle(core::PieceIndex piece,
                                                                  std::uint64_t attempt, bool good);
  void clear(core::PieceIndex piece);
  void clear_all();
  // A verified piece is not there any more. Returns whether it was.
  bool lose(core::PieceIndex piece) { return verified_.erase(piece); }

  // Whether something is under way that will decide the piece or end in missing blocks.
  [[nodiscard]] bool busy(core::PieceIndex piece) const;
  [[nodiscard]] std::uint32_t missing_blocks(core::PieceIndex piece) const;

  [[nodiscard]] const core::PieceSet& verified() const { return verified_; }
  [[nodiscard]] std::vector<ports::SourceLedger> ledger() const;
  [[nodiscard]] std::uint64_t pending() const;

 private:
  enum class Block : std::uint8_t { missing, claimed, written };
  struct Active {
    std::uint64_t attempt = 0;
    std::uint32_t claimed = 0;  // under way
    std::uint32_t written = 0;
    std::vector<Block> state;
    std::vector<core::SourceId> source;
    std::vector<core::Digest> leaves;
  };
  struct Account {
    std::uint64_t received = 0;
    std::uint64_t useful = 0;
    std::uint64_t wasted = 0;
  };

  [[nodiscard]] std::uint32_t block_bytes(core::PieceIndex piece, std::uint32_t block) const;
  std::vector<core::SourceId> account(core::PieceIndex piece, const Active& active,
                                      std::uint64_t Account::*column);

  core::PieceLayout layout_;
  core::PieceSet verified_;
  std::unordered_map<std::uint32_t, Active> active_;
  std::map<core::SourceId, Account> accounts_;
  std::uint64_t attempts_ = 0;
};

// Block hashes of the pieces decided last.
class RecentLeaves {
 public:
  void remember(core::PieceIndex piece, std::vector<core::Digest> leaves);
  void forget(core::PieceIndex piece);
  // Null if not at hand.
  [[nodiscard]] const std::vector<core::Digest>* find(core::PieceIndex piece) const;

 private:
  std::unordered_map<std::uint32_t, std::vector<core::Digest>> leaves_;
  std::deque<std::uint32_t> order_;  // oldest first
  std::size_t count_ = 0;
};

}  // namespace lanward::store
