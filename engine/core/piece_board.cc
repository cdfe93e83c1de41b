#include "engine/core/piece_board.h"

#include <cassert>
#include <limits>
#include <utility>
#include <variant>

namespace lanward::core {
namespace {

// Counters stop at their limits, far above any number of connections.
template <class Counter>
bool step(Counter& counter, int change) {
  if (change > 0 && counter == std::numeric_limits<Counter>::max()) return false;
  if (change < 0 && counter == 0) return false;
  counter = static_cast<Counter>(counter + change);
  return true;
}

}  // namespace

PieceBoard::PieceBoard(const PieceLayout& layout, PieceSet verified, bool tell_peers,
                       Commands& commands)
    : tell_peers_(tell_peers),
      commands_(commands),
      verified_(std::move(verified)),
      open_(layout.piece_count()),
      free_(layout.piece_count()),
      owed_(layout.piece_count()),
      allowed_(layout.piece_count()),
      kept_(layout.piece_count()),
      offers_(layout.piece_count(), 0),
      trusted_(layout.piece_count(), 0),
      claims_(layout.piece_count(), 0) {
  if (verified_.universe() != layout.piece_count()) verified_ = PieceSet(layout.piece_count());
  for (PieceIndex p{0}; p < layout.all().end; ++p) {
    if (!verified_.contains(p)) release(p);
  }
}

void PieceBoard::offer(PieceIndex piece, int change) {
  std::uint16_t& count = offers_[piece.value];
  const bool before = count > 0;
  step(count, change);
  if (!open_.contains(piece) || before == (count > 0)) return;
  offered_open_ += static_cast<std::uint32_t>(change);
}

void PieceBoard::trust(PieceIndex piece, int change) {
  std::uint16_t& count = trusted_[piece.value];
  const bool before = count > 0;
  step(count, change);
  if (before != (count > 0)) classify(piece);
}

void PieceBoard::claim(PieceIndex piece, int change) {
  step(claims_[piece.value], change);
  classify(piece);
}

void PieceBoard::hold(PieceIndex piece) {
  if (!open_.erase(piece)) return;
  if (offers_[piece.value] > 0) --offered_open_;
  classify(piece);
  tell(piece, false);
}

void PieceBoard::release(PieceIndex piece) {
  if (verified_.contains(piece) || !open_.insert(piece)) return;
  if (offers_[piece.value] > 0) ++offered_open_;
  classify(piece);
  tell(piece, !kept_.contains(piece));
}

void PieceBoard::verify(PieceIndex piece) {
  if (!verified_.insert(piece)) return;
  if (open_.erase(piece) && offers_[piece.value] > 0) --offered_open_;
  allowed_.erase(piece);
  kept_.erase(piece);
  classify(piece);
}

void PieceBoard::keep_for_origin(PieceIndex piece) {
  if (verified_.contains(piece) || !kept_.insert(piece)) return;
  classify(piece);
  tell(piece, false);
}

void PieceBoard::release_kept() {
  while (const auto piece = kept_.next(PieceIndex{0})) {
    kept_.erase(*piece);
    classify(*piece);
    tell(*piece, open_.contains(*piece));
  }
}

void PieceBoard::classify(PieceIndex piece) {
  const bool open = open_.contains(piece);
  const bool owed = open && trusted(piece);
  const bool free = open && !owed && claims_[piece.value] == 0;
  owed ? owed_.insert(piece) : owed_.erase(piece);
  free ? free_.insert(piece) : free_.erase(piece);
}

void PieceBoard::tell(PieceIndex piece, bool allow) {
  if (!tell_peers_ || !(allow ? allowed_.insert(piece) : allowed_.erase(piece))) return;
  // Neighbouring pieces share one command.
  const auto extend = [&](PieceSpan& last) {
    if (last.end != piece) return false;
    ++last.end;
    return true;
  };
  const PieceSpan one{piece, piece + 1};
  Command* last = commands_.empty() ? nullptr : &commands_.back();
  if (allow) {
    auto* same = last == nullptr ? nullptr : std::get_if<AllowFromPeers>(last);
    if (same == nullptr || !extend(same->pieces)) commands_.emplace_back(AllowFromPeers{one});
  } else {
    auto* same = last == nullptr ? nullptr : std::get_if<ReserveForOrigin>(last);
    if (same == nullptr || !extend(same->pieces)) commands_.emplace_back(ReserveForOrigin{one});
  }
}

}  // namespace lanward::core
