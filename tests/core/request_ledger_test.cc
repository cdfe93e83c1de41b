// How far pieces got when requests broke.
#include "engine/core/request_ledger.h"

#include <gtest/gtest.h>

namespace lanward::core {
namespace {

constexpr std::uint32_t kPiece = 4 * kBlockBytes;
constexpr SourceId kOrigin{0};

class RequestLedgerTest : public ::testing::Test {
 protected:
  // A request that begins at block `begin` of the file and hands over blocks up to `end`.
  RequestId begin(std::uint32_t begin, std::uint32_t end) {
    const ByteSpan span{std::uint64_t{begin} * kBlockBytes, 4 * kPiece};
    const RequestId id = ledger_.open(kOrigin, span, false, Instant{});
    ledger_.find(id)->progressed = std::uint64_t{end} * kBlockBytes + 5;
    return id;
  }
  [[nodiscard]] std::uint64_t blocks_before_resuming(std::uint32_t piece) const {
    return ledger_.resume_at(PieceIndex{piece}) / kBlockBytes;
  }

  RequestLedger ledger_{PieceLayout(ByteCount{4 * kPiece}, kPiece)};
};

TEST_F(RequestLedgerTest, ABrokenRequestIsContinuedAfterItsLastWholeBlock) {
  ledger_.close(begin(0, 6));
  EXPECT_EQ(blocks_before_resuming(1), 6U);
  EXPECT_TRUE(ledger_.begun(PieceIndex{1}));
}

TEST_F(RequestLedgerTest, ARequestThatBringsNothingLeavesThePrefixItSetOutFrom) {
  ledger_.close(begin(0, 6));
  ledger_.forget_prefix(PieceIndex{1});  // as the next one begins
  ledger_.close(begin(6, 6));
  EXPECT_EQ(blocks_before_resuming(1), 6U);
}

TEST_F(RequestLedgerTest, APieceThatTheStoreDropsMeanwhileIsFetchedFromItsStart) {
  const RequestId under_way = begin(0, 6);
  ledger_.dropped(PieceIndex{1});
  ledger_.close(under_way);
  EXPECT_FALSE(ledger_.begun(PieceIndex{1}));
  EXPECT_EQ(blocks_before_resuming(1), 4U);
}

TEST_F(RequestLedgerTest, SoIsOneWhosePrefixTheStoreDropsBeforeItIsContinued) {
  ledger_.close(begin(0, 6));
  const RequestId next = begin(6, 6);
  ledger_.dropped(PieceIndex{1});
  ledger_.close(next);
  EXPECT_EQ(blocks_before_resuming(1), 4U);
}

TEST_F(RequestLedgerTest, APieceDroppedBeforeARequestBeganIsNoMatterToIt) {
  ledger_.dropped(PieceIndex{1});
  ledger_.close(begin(0, 6));
  EXPECT_EQ(blocks_before_resuming(1), 6U);
}

}  // namespace
}  // namespace lanward::core
