// The BEP 52 Merkle tree of SHA-256 hashes over 16 KiB blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/core/content.h"

namespace lanward::core {

// SHA-256 of a byte string. The core computes trees, whoever links it brings the hash.
using Sha256Fn = Digest (*)(std::span<const std::byte>);

// Root of the tree whose first leaves are `leaves` and whose others, up to `width`, are `pad`.
// REQUIRES: width is a power of two, 0 < leaves.size() <= width.
[[nodiscard]] Digest merkle_root(std::span<const Digest> leaves, std::uint32_t width,
                                 const Digest& pad, Sha256Fn sha256);

// Root of a tree of `width` zero leaves: the padding above the block layer.
[[nodiscard]] Digest merkle_pad(std::uint32_t width, Sha256Fn sha256);

// The pieces root of a file from its piece layer. REQUIRES: hashes not empty.
[[nodiscard]] Digest pieces_root(std::span<const Digest> piece_hashes, const PieceLayout& layout,
                                 Sha256Fn sha256);

}  // namespace lanward::core
