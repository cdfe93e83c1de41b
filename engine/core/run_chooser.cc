#include "engine/core/run_chooser.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "engine/core/prng.h"

namespace lanward::core {
namespace {

// A puller's share of the file, so that it asks for neighbouring pieces: what CDNs cache as one
// slice, but small enough that every puller of a short file gets some.
constexpr std::uint64_t kChunkBytesMax = 16 * kMiB;
constexpr std::uint64_t kChunksMin = 64;

std::uint32_t chunk_pieces(const PieceLayout& layout) {
  const std::uint64_t bytes = std::min(kChunkBytesMax, layout.size().value / kChunksMin);
  return static_cast<std::uint32_t>(std::max<std::uint64_t>(1, bytes / layout.piece_bytes()));
}

}  // namespace

RunChooser::RunChooser(const Content& content, const PieceBoard& board, const SiteRoster& roster,
                       const RequestLedger& requests, bool peers_possible)
    : layout_(content.layout),
      board_(board),
      roster_(roster),
      requests_(requests),
      peers_possible_(peers_possible),
      salt_(rank_of(content.id, PeerKey{})),
      chunk_pieces_(chunk_pieces(content.layout)) {}

std::uint64_t RunChooser::weight(PeerKey key, std::uint32_t number) const {
  return mix64(mix64(key.value ^ salt_) + number);
}

// Each chunk belongs to the puller of the greatest weight, so that pullers agree without a word.
void RunChooser::refresh() {
  if (generation_ == roster_.generation()) return;
  generation_ = roster_.generation();
  const std::uint32_t chunks = (layout_.piece_count() + chunk_pieces_ - 1) / chunk_pieces_;
  owned_ = PieceSet(chunks);
  for (std::uint32_t c = 0; c < chunks; ++c) {
    const std::uint64_t mine = weight(roster_.self(), c);
    const auto pullers = roster_.pullers();
    const bool beaten = std::any_of(pullers.begin(), pullers.end(), [&](const auto& m) {
      return m.key != roster_.self() && weight(m.key, c) > mine;
    });
    if (!beaten) owned_.insert(PieceIndex{c});
  }
  own_chunks_ = owned_.count();
  chunk_order_.resize(chunks);
  std::iota(chunk_order_.begin(), chunk_order_.end(), 0U);
  if (!peers_possible_) return;  // nobody to keep out of the way of: from front to back
  std::sort(chunk_order_.begin(), chunk_order_.end(), [&](std::uint32_t a, std::uint32_t b) {
    const bool own_a = owned_.contains(PieceIndex{a});
    const bool own_b = owned_.contains(PieceIndex{b});
    if (own_a != own_b) return own_a;
    return std::pair(weight(roster_.self(), a), a) > std::pair(weight(roster_.self(), b), b);
  });
}

PieceSpan RunChooser::from_front(PieceIndex begin, std::uint32_t length,
                                 const PieceSet& candidates) const {
  PieceIndex end = begin + 1;
  // A begun piece is continued where it broke off, so it starts a request of its own.
  while (end < layout_.all().end && end - begin < length && candidates.contains(end) &&
         !requests_.begun(end) && owned_.contains(PieceIndex{end.value / chunk_pieces_})) {
    ++end;
  }
  return {begin, end};
}

// Own chunks from the front, in long runs; in those of others from the back, out of their way.
PieceSpan RunChooser::choose(std::uint32_t length) const {
  const PieceSet& free = board_.free();
  if (free.full() && length >= layout_.piece_count()) return from_front({}, length, free);
  for (std::size_t i = 0; i < chunk_order_.size(); ++i) {
    const PieceIndex first{chunk_order_[i] * chunk_pieces_};
    const auto begin = free.next(first);
    if (!begin || *begin - first >= chunk_pieces_) continue;
    if (i < own_chunks_) return from_front(*begin, length, free);
    PieceIndex end = std::min(first + chunk_pieces_, layout_.all().end);
    while (!free.contains(PieceIndex{end.value - 1})) end = PieceIndex{end.value - 1};
    PieceSpan run{PieceIndex{end.value - 1}, end};
    while (run.begin > *begin && run.size() < length && !requests_.begun(run.begin) &&
           free.contains(PieceIndex{run.begin.value - 1})) {
      run.begin = PieceIndex{run.begin.value - 1};
    }
    return run;
  }
  return {};
}

PieceSpan RunChooser::choose_any(std::uint32_t length) const {
  for (const PieceSet* set : {&board_.free(), &board_.open()}) {
    for (const std::uint32_t chunk : chunk_order_) {
      const PieceIndex first{chunk * chunk_pieces_};
      const auto begin = set->next(first);
      if (!begin || *begin - first >= chunk_pieces_) continue;
      PieceIndex end = *begin + 1;
      while (end < layout_.all().end && end - *begin < length && set->contains(end) &&
             !requests_.begun(end)) {
        ++end;
      }
      return {*begin, end};
    }
  }
  return {};
}

bool RunChooser::entitled(SourceId other, PieceIndex piece) const {
  const auto key = roster_.key_of(other);
  if (!key) return false;
  const std::uint32_t chunk = piece.value / chunk_pieces_;
  return weight(*key, chunk) > weight(roster_.self(), chunk);
}

}  // namespace lanward::core
