// Which pieces this peer fetches next: the file is cut into chunks, and each belongs to one puller.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/core/content.h"
#include "engine/core/piece_board.h"
#include "engine/core/piece_layout.h"
#include "engine/core/piece_set.h"
#include "engine/core/request_ledger.h"
#include "engine/core/site_roster.h"
#include "engine/core/units.h"

namespace lanward::core {

class RunChooser {
 public:
  RunChooser(const Content& content, const PieceBoard& board, const SiteRoster& roster,
             const RequestLedger& requests, bool peers_possible);

  // Deals the chunks anew if the pullers are others now.
  void refresh();
  // At most `length` neighbouring pieces that nobody else sees to; empty: there are none.
  [[nodiscard]] PieceSpan choose(std::uint32_t length) const;
  // For a peer that trusts nobody: what is free, then whatever is missing.
  [[nodiscard]] PieceSpan choose_any(std::uint32_t length) const;
  // Another peer's claim on a piece that is only claimed here.
  [[nodiscard]] bool entitled(SourceId other, PieceIndex piece) const;
  // The greatest of several peers is the one to see to number `number`.
  [[nodiscard]] std::uint64_t weight(PeerKey key, std::uint32_t number) const;

 private:
  [[nodiscard]] PieceSpan from_front(PieceIndex begin, std::uint32_t length,
                                     const PieceSet& candidates) const;

  const PieceLayout layout_;
  const PieceBoard& board_;
  const SiteRoster& roster_;
  const RequestLedger& requests_;
  const bool peers_possible_;
  const std::uint64_t salt_;
  const std::uint32_t chunk_pieces_;

  std::uint32_t generation_ = ~0U;          // of the roster, when the chunks were dealt
  std::vector<std::uint32_t> chunk_order_;  // own chunks first, each part by own weight
  std::size_t own_chunks_ = 0;
  PieceSet owned_;
};

}  // namespace lanward::core
