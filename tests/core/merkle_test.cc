#include "engine/core/merkle.h"

#include <bit>
#include <string>

#include <gtest/gtest.h>

#include "engine/store/sha256.h"
#include "tests/core/metainfo_samples.h"

namespace lanward::core {
namespace {

using samples::hex_of;

Digest digest_of(std::uint8_t fill) {
  Digest digest{};
  digest.fill(fill);
  return digest;
}

Digest parent(const Digest& left, const Digest& right) {
  std::vector<std::byte> both;
  for (const std::uint8_t b : left) both.push_back(std::byte{b});
  for (const std::uint8_t b : right) both.push_back(std::byte{b});
  return store::sha256(both);
}

// The definition, word for word: every leaf is there, padding included.
Digest plain_root(std::vector<Digest> leaves, std::uint32_t width, const Digest& pad) {
  leaves.resize(width, pad);
  while (leaves.size() > 1) {
    std::vector<Digest> above;
    for (std::size_t i = 0; i < leaves.size(); i += 2) {
      above.push_back(parent(leaves[i], leaves[i + 1]));
    }
    leaves = above;
  }
  return leaves.front();
}

TEST(Merkle, ATreeOfOneLeafIsTheLeaf) {
  const std::vector<Digest> leaf{digest_of(7)};
  EXPECT_EQ(merkle_root(leaf, 1, Digest{}, store::sha256), leaf.front());
}

TEST(Merkle, AgreesWithTheDefinitionForEveryCountAndWidth) {
  for (const Digest& pad : {Digest{}, digest_of(9)}) {
    std::vector<Digest> leaves;
    for (std::uint8_t n = 1; n <= 33; ++n) {
      leaves.push_back(digest_of(n));
      for (std::uint32_t width = std::bit_ceil(std::uint32_t{n}); width <= 64; width *= 2) {
        ASSERT_EQ(merkle_root(leaves, width, pad, store::sha256), plain_root(leaves, width, pad))
            << int{n} << " leaves of " << width;
      }
    }
  }
}

TEST(Merkle, ThePaddingIsTheRootOfZeroLeaves) {
  EXPECT_EQ(merkle_pad(1, store::sha256), Digest{});
  // SHA-256 of 64 zero bytes.
  EXPECT_EQ(hex_of(merkle_pad(2, store::sha256)),
            "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b");
  EXPECT_EQ(merkle_pad(64, store::sha256), plain_root({Digest{}}, 64, Digest{}));
}

TEST(Merkle, AFileOfOnePieceHasItsPieceHashAsRoot) {
  const std::vector<Digest> hash{digest_of(3)};
  EXPECT_EQ(pieces_root(hash, PieceLayout(ByteCount{100}, 16384), store::sha256), hash.front());
}

TEST(Merkle, ThePiecesRootIsTheRootOverAllBlocksOfTheFile) {
  const std::uint32_t piece_bytes = 4 * kBlockBytes;
  for (const std::size_t size : {4 * 16384 + 1, 8 * 16384, 9 * 16384, 20 * 16384 - 5}) {
    const auto bytes = samples::random_bytes(size);
    std::vector<Digest> blocks;
    for (std::size_t at = 0; at < size; at += kBlockBytes) {
      blocks.push_back(store::sha256(
          std::span(bytes).subspan(at, std::min<std::size_t>(kBlockBytes, size - at))));
    }
    // A piece layer that is padded with pieces of nothing but padding.
    const std::uint32_t pieces =
        std::bit_ceil(static_cast<std::uint32_t>((size + piece_bytes - 1) / piece_bytes));
    EXPECT_EQ(samples::content_of(bytes, piece_bytes).id, plain_root(blocks, pieces * 4, Digest{}))
        << size << " bytes";
  }
}

}  // namespace
}  // namespace lanward::core
