// A set of pieces of one file, as a bitmap.
#pragma once

#include <bit>
#include <cassert>
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/core/units.h"

namespace lanward::core {

class PieceSet {
 public:
  PieceSet() = default;
  explicit PieceSet(std::uint32_t piece_count)
      : piece_count_(piece_count), words_((piece_count + 63) / 64, 0) {}

  [[nodiscard]] std::uint32_t universe() const { return piece_count_; }
  [[nodiscard]] std::uint32_t count() const { return count_; }
  [[nodiscard]] bool full() const { return count_ == piece_count_; }
  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] bool contains(PieceIndex p) const {
    assert(p.value < piece_count_);
    return ((words_[p.value / 64] >> (p.value % 64)) & 1U) != 0;
  }

  // Return whether the set changed.
  bool insert(PieceIndex p) {
    if (contains(p)) return false;
    words_[p.value / 64] |= std::uint64_t{1} << (p.value % 64);
    ++count_;
    return true;
  }
  bool erase(PieceIndex p) {
    if (!contains(p)) return false;
    words_[p.value / 64] &= ~(std::uint64_t{1} << (p.value % 64));
    --count_;
    return true;
  }

  // First piece at or after `from` that is (not) in the set; nothing if there is none.
  [[nodiscard]] std::optional<PieceIndex> next(PieceIndex from) const { return scan(from, 0); }
  [[nodiscard]] std::optional<PieceIndex> next_missing(PieceIndex from) const {
    return scan(from, ~std::uint64_t{0});
  }

  // Bit p%64 of word p/64 is piece p; the layout that the cache index stores.
  [[nodiscard]] const std::vector<std::uint64_t>& words() const { return words_; }
  // Takes bits beyond the universe as absent. Missing words count as empty.
  static PieceSet from_words(std::uint32_t piece_count, const std::vector<std::uint64_t>& words) {
    PieceSet set(piece_count);
    for (std::size_t i = 0; i < set.words_.size() && i < words.size(); ++i) {
      set.words_[i] = words[i];
    }
    if (piece_count % 64 != 0 && !set.words_.empty()) {
      set.words_.back() &= (std::uint64_t{1} << (piece_count % 64)) - 1;
    }
    for (const std::uint64_t w : set.words_) {
      set.count_ += static_cast<std::uint32_t>(std::popcount(w));
    }
    return set;
  }

  friend bool operator==(const PieceSet&, const PieceSet&) = default;

 private:
  [[nodiscard]] std::optional<PieceIndex> scan(PieceIndex from, std::uint64_t flip) const {
    if (from.value >= piece_count_) return std::nullopt;
    std::uint32_t w = from.value / 64;
    std::uint64_t bits = (words_[w] ^ flip) & (~std::uint64_t{0} << (from.value % 64));
    while (bits == 0) {
      if (++w == words_.size()) return std::nullopt;
      bits = words_[w] ^ flip;
    }
    const std::uint32_t p = w * 64 + static_cast<std::uint32_t>(std::countr_zero(bits));
    if (p >= piece_count_) return std::nullopt;
    return PieceIndex{p};
  }

  std::uint32_t piece_count_ = 0;
  std::uint32_t count_ = 0;
  std::vector<std::uint64_t> words_;
};

}  // namespace lanward::core
