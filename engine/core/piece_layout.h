// How a file is cut into pieces, and pieces into the 16 KiB blocks of BEP 52.
#pragma once

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstdint>

#include "engine/core/units.h"

namespace lanward::core {

// Leaf of the BEP 52 Merkle tree and unit of a BitTorrent request.
inline constexpr std::uint32_t kBlockBytes = 16 * 1024;
// Bounds of a piece length that we accept (BEP 52: a power of two of at least 16 KiB). The upper
// one keeps the hashes in flight and the bytes lost with a bad piece small.
inline constexpr std::uint32_t kPieceBytesMin = kBlockBytes;
inline constexpr std::uint32_t kPieceBytesMax = 64 * 1024 * 1024;
// The canonical choice: near size / 1024, so that short files still pipeline over the LAN.
inline constexpr std::uint32_t kCanonicalPieceBytesMin = 256 * 1024;
inline constexpr std::uint32_t kCanonicalPieceBytesMax = 8 * 1024 * 1024;
inline constexpr std::uint64_t kCanonicalPieceCount = 1024;

// Piece length of the canonical manifest: a pure function of the size of the file.
[[nodiscard]] constexpr std::uint32_t canonical_piece_bytes(ByteCount size) {
  const std::uint64_t ideal = std::max<std::uint64_t>(size.value / kCanonicalPieceCount, 1);
  const std::uint64_t rounded = std::bit_ceil(ideal);
  return static_cast<std::uint32_t>(
      std::clamp<std::uint64_t>(rounded, kCanonicalPieceBytesMin, kCanonicalPieceBytesMax));
}

class PieceLayout {
 public:
  constexpr PieceLayout() = default;
  // REQUIRES: piece_bytes is a power of two within [kPieceBytesMin, kPieceBytesMax]; the number of
  // pieces fits 32 bits.
  constexpr PieceLayout(ByteCount size, std::uint32_t piece_bytes)
      : size_(size.value), piece_bytes_(piece_bytes) {
    assert(std::has_single_bit(piece_bytes) && piece_bytes >= kPieceBytesMin);
  }

  [[nodiscard]] constexpr ByteCount size() const { return ByteCount{size_}; }
  [[nodiscard]] constexpr std::uint32_t piece_bytes() const { return piece_bytes_; }
  [[nodiscard]] constexpr std::uint32_t piece_count() const {
    return static_cast<std::uint32_t>((size_ + piece_bytes_ - 1) / piece_bytes_);
  }
  [[nodiscard]] constexpr PieceSpan all() const {
    return {PieceIndex{0}, PieceIndex{piece_count()}};
  }
  [[nodiscard]] constexpr PieceIndex piece_at(std::uint64_t offset) const {
    return PieceIndex{static_cast<std::uint32_t>(offset / piece_bytes_)};
  }
  // Bytes of the pieces; the last piece of the file may be short.
  [[nodiscard]] constexpr ByteSpan bytes(PieceSpan p) const {
    return {std::uint64_t{p.begin.value} * piece_bytes_,
            std::min(std::uint64_t{p.end.value} * piece_bytes_, size_)};
  }
  [[nodiscard]] constexpr ByteSpan bytes(PieceIndex p) const { return bytes(PieceSpan{p, p + 1}); }
  [[nodiscard]] constexpr std::uint32_t size_of(PieceIndex p) const {
    return static_cast<std::uint32_t>(bytes(p).size().value);
  }
  [[nodiscard]] constexpr std::uint32_t blocks_in(PieceIndex p) const {
    return (size_of(p) + kBlockBytes - 1) / kBlockBytes;
  }
  // Leaves of the Merkle subtree that a piece hash covers, padding included: a full piece, or for a
  // file of one piece the next power of two of its blocks (BEP 52).
  [[nodiscard]] constexpr std::uint32_t leaves_per_piece() const {
    return piece_count() > 1 ? piece_bytes_ / kBlockBytes
                             : std::bit_ceil(size_ == 0 ? 1 : blocks_in(PieceIndex{0}));
  }

  friend constexpr bool operator==(const PieceLayout&, const PieceLayout&) = default;

 private:
  std::uint64_t size_ = 0;
  std::uint32_t piece_bytes_ = kCanonicalPieceBytesMin;
};

}  // namespace lanward::core
