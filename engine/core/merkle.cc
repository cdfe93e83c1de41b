#include "engine/core/merkle.h"

#include <bit>
#include <cassert>
#include <cstring>

namespace lanward::core {
namespace {

Digest hash_pair(const Digest& left, const Digest& right, Sha256Fn sha256) {
  std::array<std::byte, 2 * sizeof(Digest)> both{};
  std::memcpy(both.data(), left.data(), left.size());
  std::memcpy(both.data() + left.size(), right.data(), right.size());
  return sha256(both);
}

}  // namespace

Digest merkle_root(std::span<const Digest> leaves, std::uint32_t width, const Digest& pad,
                   Sha256Fn sha256) {
  assert(std::has_single_bit(width) && !leaves.empty() && leaves.size() <= width);
  std::vector<Digest> level(leaves.begin(), leaves.end());
  Digest filler = pad;
  // Only the subtrees that hold a real leaf are computed; one filler per level stands for the rest.
  for (; width > 1; width /= 2) {
    const std::size_t pairs = level.size() / 2;
    for (std::size_t i = 0; i < pairs; ++i) {
      level[i] = hash_pair(level[2 * i], level[2 * i + 1], sha256);
    }
    if (level.size() % 2 != 0) {
      level[pairs] = hash_pair(level.back(), filler, sha256);
      level.resize(pairs + 1);
    } else {
      level.resize(pairs);
    }
    filler = hash_pair(filler, filler, sha256);
  }
  return level.front();
}

Digest merkle_pad(std::uint32_t width, Sha256Fn sha256) {
  assert(std::has_single_bit(width));
  Digest root{};
  for (; width > 1; width /= 2) {
    root = hash_pair(root, root, sha256);
  }
  return root;
}

Digest pieces_root(std::span<const Digest> piece_hashes, const PieceLayout& layout,
                   Sha256Fn sha256) {
  assert(!piece_hashes.empty() && piece_hashes.size() == layout.piece_count());
  // A file of one piece has no piece layer: its hash covers its blocks alone and is the root.
  if (piece_hashes.size() == 1) return piece_hashes.front();
  const auto width = std::bit_ceil(static_cast<std::uint32_t>(piece_hashes.size()));
  return merkle_root(piece_hashes, width, merkle_pad(layout.piece_bytes() / kBlockBytes, sha256),
                     sha256);
}

}  // namespace lanward::core
