#include "simulator/store.h"

#include <gtest/gtest.h>

#include <array>

#include "tests/simulator/recorded_facts.h"

namespace lanward::simulator {
namespace {

constexpr std::uint32_t kPiece = core::kCanonicalPieceBytesMin;
constexpr std::uint32_t kBlock = core::kBlockBytes;
constexpr core::SourceId kOrigin{0};
constexpr core::SourceId kPeer{core::kFirstPeerSource};

class StoreTest : public ::testing::Test {
 protected:
  void run() {
    while (queue_.step()) {
    }
  }
  ports::SourceLedger ledger_of(core::SourceId source) {
    for (const auto& entry : content_->ledger()) {
      if (entry.source == source) return entry;
    }
    return {};
  }
  bool deliver(ports::Delivery how) {
    bool delivered = false;
    store_.deliver(content_, {"/out", how}, [&](Result<void> r) { delivered = r.has_value(); });
    run();
    return delivered;
  }

  EventQueue queue_;
  SimPieceStore store_{queue_, {}};
  RecordedFacts facts_;
  core::Manifest manifest_ = test_manifest(3, 1000);
  std::shared_ptr<SimContentStore> content_ =
      open_content(queue_, store_, manifest_.content, facts_);
};

TEST_F(StoreTest, VerifiesAPieceWhenItsLastBlockHasComeAndItIsHashed) {
  content_->put_missing(core::PieceIndex{0}, kPiece - kBlock, kOrigin, Payload::intact);
  run();
  EXPECT_EQ(facts_.count<core::PieceVerified>(), 0U);
  EXPECT_EQ(content_->missing_bytes(core::PieceIndex{0}), kBlock);
  content_->put_missing(core::PieceIndex{0}, kBlock, kPeer, Payload::intact);
  EXPECT_TRUE(content_->verified().empty());
  run();
  const auto verified = facts_.all<core::PieceVerified>();
  ASSERT_EQ(verified.size(), 1U);
  EXPECT_EQ(verified[0].from, (std::vector{kOrigin, kPeer}));
  EXPECT_TRUE(content_->verified().contains(core::PieceIndex{0}));
  EXPECT_EQ(ledger_of(kOrigin).useful.value, kPiece - kBlock);
  EXPECT_EQ(ledger_of(kPeer).useful.value, kBlock);
}

// Blocks are hashed as they arrive.
TEST(StoreOfLongPieces, HashesOnlyTheEndOfAPieceAfterItsLastBlock) {
  EventQueue queue;
  constexpr StoreSettings kSettings;
  SimPieceStore store(queue, kSettings);
  RecordedFacts facts;
  core::Manifest manifest = test_manifest(1);
  constexpr std::uint32_t kLong = 4 * core::kMiB;
  manifest.content.layout = {core::ByteCount{kLong}, kLong};
  const auto content = open_content(queue, store, manifest.content, facts);
  content->put_missing(core::PieceIndex{0}, kLong, kOrigin, Payload::intact);
  constexpr std::uint64_t kEnd = core::kMiB / 2;
  EXPECT_EQ(content->hash_time(core::PieceIndex{0}),
            core::Duration{kEnd * 1'000'000'000 / kSettings.hash_rate.value});
  run_for(queue, content->hash_time(core::PieceIndex{0}) - core::Duration{1});
  EXPECT_EQ(facts.count<core::PieceVerified>(), 0U);
  run_for(queue, core::Duration{1});
  EXPECT_EQ(facts.count<core::PieceVerified>(), 1U);
}

TEST_F(StoreTest, CountsEveryByteOfADuplicateAsWasted) {
  content_->put_block(core::PieceIndex{0}, 2, kOrigin, Payload::intact);
  content_->put_block(core::PieceIndex{0}, 2, kPeer, Payload::intact);
  EXPECT_EQ(ledger_of(kPeer).received.value, kBlock);
  EXPECT_EQ(ledger_of(kPeer).wasted.value, kBlock);
  content_->put_missing(core::PieceIndex{0}, kPiece, kPeer, Payload::intact);
  run();
  EXPECT_EQ(ledger_of(kPeer).received.value, kPiece + kBlock);
  EXPECT_EQ(ledger_of(kPeer).wasted.value, 2 * kBlock);
  EXPECT_EQ(ledger_of(kPeer).useful.value, kPiece - kBlock);
}

TEST_F(StoreTest, RefusesAPieceWithOneCorruptBlockAndTakesItAgain) {
  content_->put_block(core::PieceIndex{1}, 0, kPeer, Payload::corrupt);
  content_->put_missing(core::PieceIndex{1}, kPiece - kBlock, kOrigin, Payload::intact);
  run();
  const auto failed = facts_.all<core::PieceFailed>();
  ASSERT_EQ(failed.size(), 1U);
  EXPECT_EQ(failed[0].from, (std::vector{kOrigin, kPeer}));
  EXPECT_EQ(ledger_of(kOrigin).wasted.value, kPiece - kBlock);
  EXPECT_EQ(content_->missing_bytes(core::PieceIndex{1}), kPiece);
  content_->put_missing(core::PieceIndex{1}, kPiece, kOrigin, Payload::intact);
  run();
  EXPECT_EQ(facts_.count<core::PieceVerified>(), 1U);
}

TEST_F(StoreTest, CollectedVerdictsWaitUntilTheyAreAskedForAndTheLastPieceBringsThemAll) {
  std::vector<core::PieceIndex> seen;
  content_->collect_verdicts([&](core::PieceIndex piece) { seen.push_back(piece); });
  content_->put_missing(core::PieceIndex{0}, kPiece, kPeer, Payload::intact);
  content_->put_missing(core::PieceIndex{1}, kPiece, kPeer, Payload::intact);
  run();
  EXPECT_EQ(seen, (std::vector{core::PieceIndex{0}, core::PieceIndex{1}}));
  EXPECT_EQ(content_->verified().count(), 2U);
  EXPECT_EQ(facts_.count<core::PieceVerified>(), 0U);
  const std::uint64_t rest = content_->missing_bytes(core::PieceIndex{2});
  content_->put_missing(core::PieceIndex{2}, rest, kPeer, Payload::intact);
  run();
  const auto told = facts_.all<core::PeersReport>();
  ASSERT_EQ(told.size(), 1U);
  ASSERT_EQ(told[0].brought.size(), 2U);
  for (std::uint32_t i = 0; i < 2; ++i) {
    EXPECT_EQ(told[0].brought[i].piece.value, i);
    EXPECT_EQ(told[0].brought[i].peer, kPeer);
  }
  EXPECT_EQ(facts_.count<core::PieceVerified>(), 1U);
  EXPECT_EQ(ledger_of(kPeer).useful.value, content_->content().layout.size().value);
  EXPECT_EQ(seen.size(), 2U);
}

TEST_F(StoreTest, CollectsNoVerdictOnBadPiecesNorOfTheOriginNorOnceARangeIsOpen) {
  content_->collect_verdicts([](core::PieceIndex) {});
  content_->put_missing(core::PieceIndex{0}, kPiece, kPeer, Payload::corrupt);
  content_->put_missing(core::PieceIndex{1}, kPiece, kOrigin, Payload::intact);
  run();
  EXPECT_EQ(facts_.count<core::PieceFailed>(), 1U);
  EXPECT_EQ(facts_.count<core::PieceVerified>(), 1U);
  const auto sink = content_->open_range(kOrigin, {0, kPiece}, {});
  content_->put_missing(core::PieceIndex{0}, kPiece, kPeer, Payload::intact);
  run();
  EXPECT_EQ(facts_.count<core::PieceVerified>(), 2U);
}

TEST_F(StoreTest, ARangeSinkCutsItsBytesIntoBlocks) {
  {
    auto sink = content_->open_range(kOrigin, {kPiece, 3 * kPiece - 1000}, {});
    std::array<std::byte, 10'000> bytes{};
    for (std::uint64_t left = 2 * kPiece - 1000; left > 0;) {
      const std::uint64_t n = std::min<std::uint64_t>(left, bytes.size());
      ASSERT_EQ(sink->accept(std::span(bytes).first(n)), ports::RangeSink::Accept::taken);
      left -= n;
    }
    sink->finish();
  }
  run();
  EXPECT_EQ(facts_.count<core::PieceVerified>(), 2U);
  EXPECT_EQ(ledger_of(kOrigin).received.value, 2 * kPiece - 1000);
  EXPECT_EQ(ledger_of(kOrigin).wasted.value, 0U);
}

TEST_F(StoreTest, ASinkThatIsDroppedWastesOnlyItsUnfinishedBlock) {
  auto sink = content_->open_range(kOrigin, {0, kPiece}, {});
  std::array<std::byte, kBlock + 100> bytes{};
  ASSERT_EQ(sink->accept(bytes), ports::RangeSink::Accept::taken);
  sink.reset();
  EXPECT_EQ(ledger_of(kOrigin).received.value, kBlock + 100);
  EXPECT_EQ(ledger_of(kOrigin).wasted.value, 100U);
  EXPECT_EQ(content_->missing_bytes(core::PieceIndex{0}), kPiece - kBlock);
}

TEST_F(StoreTest, OpensAContentOnlyOnceAndRemembersItAfterClosing) {
  content_->put_missing(core::PieceIndex{0}, kPiece, kOrigin, Payload::intact);
  content_->put_block(core::PieceIndex{1}, 0, kOrigin, Payload::intact);
  run();
  EXPECT_EQ(open_content(queue_, store_, manifest_.content, facts_), nullptr);
  auto sink = content_->open_range(kOrigin, {kPiece, 2 * kPiece}, {});
  store_.close(content_, [](Result<void>) {});
  std::array<std::byte, 16> bytes{};
  EXPECT_EQ(sink->accept(bytes), ports::RangeSink::Accept::closed);
  const auto again = open_content(queue_, store_, manifest_.content, facts_);
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(again->verified().count(), 1U);
  const StoreTotals totals = store_.totals(manifest_.content.id);
  EXPECT_EQ(totals.received(), totals.useful + totals.wasted);
}

TEST_F(StoreTest, PurgingForgetsThePieces) {
  content_->put_missing(core::PieceIndex{0}, kPiece, kOrigin, Payload::intact);
  run();
  store_.purge(content_, [](Result<void>) {});
  const auto again = open_content(queue_, store_, manifest_.content, facts_);
  ASSERT_NE(again, nullptr);
  EXPECT_TRUE(again->verified().empty());
}

TEST_F(StoreTest, DeliversOnlyCompleteContents) {
  EXPECT_FALSE(deliver(ports::Delivery::keep));
  for (std::uint32_t i = 0; i < 3; ++i) {
    const core::PieceIndex piece{i};
    content_->put_missing(piece, content_->missing_bytes(piece), kOrigin, Payload::intact);
  }
  run();
  EXPECT_TRUE(deliver(ports::Delivery::consume));
  ASSERT_EQ(store_.delivered().size(), 1U);
  EXPECT_TRUE(store_.delivered()[0].intact);
  EXPECT_EQ(store_.delivered()[0].size, manifest_.content.layout.size());
  EXPECT_TRUE(content_->closed());
}

TEST_F(StoreTest, ReadsAndHashesOnlyWhatIsThere) {
  std::array<std::byte, 16> out{};
  EXPECT_EQ(content_->read(core::PieceIndex{0}, 0, out, false).error().code,
            ErrorCode::invalid_state);
  content_->put_missing(core::PieceIndex{0}, kPiece, kOrigin, Payload::intact);
  run();
  EXPECT_TRUE(content_->read(core::PieceIndex{0}, 0, out, false));
  std::size_t hashes = 0;
  bool refused = false;
  content_->block_hashes(core::PieceIndex{0}, [&](const auto& r) { hashes = r->size(); });
  content_->block_hashes(core::PieceIndex{1}, [&](const auto& r) { refused = !r; });
  run();
  EXPECT_EQ(hashes, kPiece / kBlock);
  EXPECT_TRUE(refused);
}

TEST_F(StoreTest, TellsTheSizeOfThePartsThatItDelivers) {
  content_->put_missing(core::PieceIndex{1}, kPiece, kOrigin, Payload::intact);
  run();
  store_.deliver(
      content_,
      {"/out", ports::Delivery::keep, {{kPiece, kPiece + 10}, {kPiece + 20, kPiece + 25}}},
      [](Result<void>) {});
  run();
  ASSERT_EQ(store_.delivered().size(), 1U);
  EXPECT_EQ(store_.delivered()[0].size.value, 15U);
}

// The checker's view must not depend on verification.
TEST(StoreWithoutManifest, DeliversCorruptBytesButSaysSo) {
  EventQueue queue;
  SimPieceStore store(queue, {});
  RecordedFacts facts;
  core::Content content = test_manifest(1).content;
  content.piece_hashes.clear();
  const auto opened = open_content(queue, store, content, facts);
  opened->put_missing(core::PieceIndex{0}, kPiece, kOrigin, Payload::corrupt);
  while (queue.step()) {
  }
  EXPECT_EQ(facts.count<core::PieceVerified>(), 1U);
  EXPECT_FALSE(opened->all_verified_intact());
}

}  // namespace
}  // namespace lanward::simulator
