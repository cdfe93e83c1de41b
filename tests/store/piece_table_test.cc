#include "engine/store/piece_table.h"

#include <gtest/gtest.h>

#include "engine/store/limits.h"
#include "tests/support/store_content.h"

namespace lanward::test {
namespace {

using core::PieceIndex;
using store::PieceTable;
using store::RecentLeaves;

constexpr std::uint32_t kBlock = core::kBlockBytes;

// Two pieces of two blocks and a last one of 100 bytes.
PieceTable make_table() {
  const core::PieceLayout layout(core::ByteCount{4 * kBlock + 100}, 2 * kBlock);
  return {layout, core::PieceSet(layout.piece_count())};
}

TEST(PieceTable, GivesABlockToTheFirstWhoBringsIt) {
  PieceTable table = make_table();
  table.receive(kPeerA, kBlock);
  const auto mine = table.claim(PieceIndex{0}, 1, kPeerA);
  ASSERT_TRUE(mine);
  table.receive(kPeerB, kBlock);
  EXPECT_FALSE(table.claim(PieceIndex{0}, 1, kPeerB));  // under way
  EXPECT_FALSE(table.written(*mine, {}));
  table.receive(kPeerB, kBlock);
  EXPECT_FALSE(table.claim(PieceIndex{0}, 1, kPeerB));  // written
  EXPECT_EQ(table.ledger()[1].wasted.value, 2 * kBlock);
  EXPECT_EQ(table.pending(), kBlock);
}

TEST(PieceTable, CompletesAPieceWithItsLastBlock) {
  PieceTable table = make_table();
  const auto last = table.claim(PieceIndex{0}, 1, kPeerA);
  const auto first = table.claim(PieceIndex{0}, 0, kPeerB);
  core::Digest one{};
  one[0] = 1;
  EXPECT_FALSE(table.written(*last, one));
  const auto complete = table.written(*first, {});
  ASSERT_TRUE(complete);
  EXPECT_EQ(complete->leaves, (std::vector{core::Digest{}, one}));
  EXPECT_TRUE(table.busy(PieceIndex{0}));
  const auto sources = table.settle(PieceIndex{0}, complete->attempt, true);
  EXPECT_EQ(sources, (std::vector{kPeerA, kPeerB}));
  EXPECT_TRUE(table.verified().contains(PieceIndex{0}));
  EXPECT_FALSE(table.claim(PieceIndex{0}, 0, kPeerA));
}

TEST(PieceTable, AShortLastPieceIsOneShortBlock) {
  PieceTable table = make_table();
  EXPECT_EQ(table.missing_blocks(PieceIndex{2}), 1U);
  table.receive(kOrigin, 100);
  const auto key = table.claim(PieceIndex{2}, 0, kOrigin);
  const auto complete = table.written(*key, {});
  ASSERT_TRUE(complete);
  (void)table.settle(PieceIndex{2}, complete->attempt, true);
  EXPECT_EQ(table.ledger()[0].useful.value, 100U);
  EXPECT_EQ(table.pending(), 0U);
}

TEST(PieceTable, IgnoresWhatBelongsToAnAttemptThatIsOver) {
  PieceTable table = make_table();
  const auto old = table.claim(PieceIndex{0}, 0, kPeerA);
  table.clear(PieceIndex{0});
  EXPECT_FALSE(table.live(*old));
  const auto fresh = table.claim(PieceIndex{0}, 0, kPeerB);
  ASSERT_TRUE(fresh);
  EXPECT_FALSE(table.written(*old, {}));
  const auto other = table.claim(PieceIndex{0}, 1, kPeerB);
  EXPECT_FALSE(table.written(*other, {}));  // block 0 is still under way
  const auto complete = table.written(*fresh, {});
  ASSERT_TRUE(complete);
  table.clear(PieceIndex{0});
  EXPECT_FALSE(table.settle(PieceIndex{0}, complete->attempt, true));
  EXPECT_TRUE(table.verified().empty());
}

TEST(PieceTable, ABadPieceIsWastedAndStartsOver) {
  PieceTable table = make_table();
  for (std::uint32_t b = 0; b < 2; ++b) {
    table.receive(kPeerA, kBlock);
    const auto complete = table.written(*table.claim(PieceIndex{1}, b, kPeerA), {});
    if (complete) {
      EXPECT_EQ(table.settle(PieceIndex{1}, complete->attempt, false), std::vector{kPeerA});
    }
  }
  EXPECT_EQ(table.ledger()[0].wasted.value, 2 * kBlock);
  EXPECT_EQ(table.missing_blocks(PieceIndex{1}), 2U);
  EXPECT_FALSE(table.busy(PieceIndex{1}));
}

TEST(RecentLeaves, KeepsTheNewestWithinItsBound) {
  RecentLeaves recent;
  constexpr std::size_t kEach = 1024;
  constexpr std::uint32_t kFit = store::kRecentLeavesMax / kEach;
  for (std::uint32_t p = 0; p < kFit + 3; ++p) {
    recent.remember(PieceIndex{p}, std::vector<core::Digest>(kEach));
  }
  EXPECT_EQ(recent.find(PieceIndex{2}), nullptr);
  EXPECT_NE(recent.find(PieceIndex{3}), nullptr);
  recent.forget(PieceIndex{3});
  EXPECT_EQ(recent.find(PieceIndex{3}), nullptr);
  recent.remember(PieceIndex{4}, std::vector<core::Digest>(7));
  EXPECT_EQ(recent.find(PieceIndex{4})->size(), 7U);
}

}  // namespace
}  // namespace lanward::test
