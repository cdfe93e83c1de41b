#include "engine/core/piece_layout.h"

#include <gtest/gtest.h>

namespace lanward::core {
namespace {

TEST(PieceLayout, AnEmptyFileHasNoPieces) {
  const PieceLayout layout(ByteCount{0}, 16384);
  EXPECT_EQ(layout.piece_count(), 0U);
  EXPECT_TRUE(layout.all().empty());
}

TEST(PieceLayout, CutsAFileWithAShortLastPiece) {
  const PieceLayout layout(ByteCount{3 * 65536 + 20000}, 65536);
  EXPECT_EQ(layout.piece_count(), 4U);
  EXPECT_EQ(layout.size_of(PieceIndex{0}), 65536U);
  EXPECT_EQ(layout.size_of(PieceIndex{3}), 20000U);
  EXPECT_EQ(layout.blocks_in(PieceIndex{0}), 4U);
  EXPECT_EQ(layout.blocks_in(PieceIndex{3}), 2U);
  EXPECT_EQ(layout.leaves_per_piece(), 4U);
  EXPECT_EQ(layout.bytes(layout.all()), (ByteSpan{0, 3 * 65536 + 20000}));
}

TEST(PieceLayout, FindsThePieceOfEveryByteAtItsBorders) {
  const PieceLayout layout(ByteCount{2 * 16384 + 1}, 16384);
  EXPECT_EQ(layout.piece_at(0), PieceIndex{0});
  EXPECT_EQ(layout.piece_at(16383), PieceIndex{0});
  EXPECT_EQ(layout.piece_at(16384), PieceIndex{1});
  EXPECT_EQ(layout.piece_at(32768), PieceIndex{2});
}

TEST(PieceLayout, PiecesCoverTheFileWithoutGapOrOverlap) {
  for (const std::uint64_t size : {1ULL, 16384ULL, 16385ULL, 999999ULL}) {
    const PieceLayout layout(ByteCount{size}, 32768);
    std::uint64_t at = 0;
    for (PieceIndex p = layout.all().begin; p < layout.all().end; ++p) {
      ASSERT_EQ(layout.bytes(p).begin, at);
      ASSERT_GT(layout.size_of(p), 0U);
      at = layout.bytes(p).end;
    }
    EXPECT_EQ(at, size);
  }
}

TEST(PieceLayout, AFileOfOnePieceHasALeafTreeOfItsOwnWidth) {
  EXPECT_EQ(PieceLayout(ByteCount{1}, 262144).leaves_per_piece(), 1U);
  EXPECT_EQ(PieceLayout(ByteCount{16385}, 262144).leaves_per_piece(), 2U);
  EXPECT_EQ(PieceLayout(ByteCount{5 * 16384}, 262144).leaves_per_piece(), 8U);
  EXPECT_EQ(PieceLayout(ByteCount{262145}, 262144).leaves_per_piece(), 16U);
}

TEST(PieceLayout, HandlesFilesBeyondThirtyTwoBits) {
  const std::uint64_t size = (std::uint64_t{1} << 40U) + 1;
  const PieceLayout layout(ByteCount{size}, kCanonicalPieceBytesMax);
  EXPECT_EQ(layout.piece_count(), (1U << 17U) + 1);
  EXPECT_EQ(layout.size_of(PieceIndex{1U << 17U}), 1U);
}

TEST(CanonicalPieceBytes, IsNearOneThousandthWithinItsBounds) {
  const struct {
    std::uint64_t size;
    std::uint32_t piece_bytes;
  } cases[] = {
      {0, 256 * 1024},
      {1, 256 * 1024},
      {256 * kMiB, 256 * 1024},
      {256 * kMiB + 1023, 256 * 1024},
      {256 * kMiB + 1024, 512 * 1024},
      {1024 * kMiB, 1024 * 1024},
      {8 * 1024 * kMiB, 8 * 1024 * 1024},
      {16 * 1024 * 1024 * kMiB, 8 * 1024 * 1024},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(canonical_piece_bytes(ByteCount{c.size}), c.piece_bytes) << c.size;
  }
}

}  // namespace
}  // namespace lanward::core
