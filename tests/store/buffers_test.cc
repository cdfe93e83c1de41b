#include "engine/store/buffers.h"

#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "tests/store/store_fixture.h"

namespace lanward::test {
namespace {

using store::BlockPool;
using store::ChunkPool;
using store::kBlocksHigh;
using store::kBlocksLow;
using store::kChunkCount;
using store::ReadySignal;

TEST(ChunkPool, AnswersFullWhenAllChunksAreLentAndWakesEveryWaiter) {
  ChunkPool pool;
  int woken = 0;
  const auto first = std::make_shared<ReadySignal>([&] { ++woken; });
  const auto second = std::make_shared<ReadySignal>([&] { ++woken; });
  std::vector<ChunkPool::Lease> leases;
  for (std::size_t i = 0; i < kChunkCount; ++i) {
    leases.push_back(pool.acquire(first));
    ASSERT_TRUE(leases.back());
    leases.back().mark_queued();
  }
  EXPECT_FALSE(pool.acquire(first));
  EXPECT_FALSE(pool.acquire(first));  // Asking twice does not wake twice.
  EXPECT_FALSE(pool.acquire(second));
  leases.pop_back();
  EXPECT_EQ(woken, 0);  // one chunk is not worth a wake-up
  while (leases.size() > kChunkCount - store::kChunksFreeToWake) leases.pop_back();
  EXPECT_EQ(woken, 2);
  EXPECT_TRUE(pool.acquire(first));
}

TEST(ChunkPool, LendsBeyondItsSizeWhenNothingWillComeBackByItself) {
  ChunkPool pool;
  const auto signal = std::make_shared<ReadySignal>([] {});
  std::vector<ChunkPool::Lease> held;  // by sinks whose lines are stalled
  for (std::size_t i = 0; i < kChunkCount; ++i) held.push_back(pool.acquire(signal));
  ChunkPool::Lease extra = pool.acquire(signal);
  ASSERT_TRUE(extra);
  extra.mark_queued();
  EXPECT_FALSE(pool.acquire(signal));
}

TEST(ChunkPool, DoesNotCallACancelledSignal) {
  ChunkPool pool;
  int woken = 0;
  const auto signal = std::make_shared<ReadySignal>([&] { ++woken; });
  std::vector<ChunkPool::Lease> leases;
  for (std::size_t i = 0; i < kChunkCount; ++i) {
    leases.push_back(pool.acquire(signal));
    leases.back().mark_queued();
  }
  EXPECT_FALSE(pool.acquire(signal));
  signal->cancel();
  leases.clear();
  EXPECT_EQ(woken, 0);
}

TEST(BlockPool, AsksForAPauseAboveTheHighMarkAndEndsItAtTheLowMark) {
  BlockPool pool;
  int drained = 0;
  std::vector<BlockPool::Lease> leases;
  for (std::size_t i = 0; i < kBlocksHigh; ++i) leases.push_back(pool.acquire());
  EXPECT_TRUE(pool.has_room([&] { ++drained; }));
  leases.push_back(pool.acquire());
  EXPECT_FALSE(pool.has_room([&] { ++drained; }));
  while (leases.size() > kBlocksLow + 1) leases.pop_back();
  EXPECT_EQ(drained, 0);
  leases.pop_back();
  EXPECT_EQ(drained, 1);
  leases.clear();
  EXPECT_EQ(drained, 1);
}

// Occupies every worker until it is let go.
class WorkerGate {
 public:
  WorkerGate(ports::ContentStore& content, StoreRecord& record, int workers) : record_(record) {
    for (int i = 0; i < workers; ++i) {
      content.run_on_worker([this] {
        record_.change([&] { ++inside_; });
        EXPECT_TRUE(record_.wait([&] { return open_; }));
        record_.change([&] { --inside_; });
      });
    }
    EXPECT_TRUE(record_.wait([&] { return inside_ == workers; }));
  }
  WorkerGate(const WorkerGate&) = delete;
  WorkerGate& operator=(const WorkerGate&) = delete;
  ~WorkerGate() {
    record_.change([&] { open_ = true; });
    EXPECT_TRUE(record_.wait([&] { return inside_ == 0; }));
  }

 private:
  StoreRecord& record_;
  int inside_ = 0;
  bool open_ = false;
};

using BackPressure = DiskStoreTest;

TEST_F(BackPressure, ASinkIsFullWhileTheDiskLagsAndIsCalledBack) {
  start();
  const TestFile file = make_file(32 * core::kMiB, 1024 * 1024);
  const Store content = open(file);
  bool ready = false;
  auto sink = content->open_range(kOrigin, {0, file.bytes.size()},
                                  [&] { record_.change([&] { ready = true; }); });
  std::uint64_t at = 0;
  const auto feed = [&] {
    auto answer = ports::RangeSink::Accept::taken;
    while (at < file.bytes.size()) {
      answer = sink->accept(std::span(file.bytes).subspan(at, ports::kRangeAcceptBytesMax));
      if (answer != ports::RangeSink::Accept::taken) break;
      at += ports::kRangeAcceptBytesMax;
    }
    return answer;
  };
  {
    const WorkerGate gate(*content, record_, 2);
    EXPECT_EQ(feed(), ports::RangeSink::Accept::full);
    EXPECT_EQ(at, kChunkCount * store::kChunkBytes);  // the bound of the store's memory
  }
  while (feed() == ports::RangeSink::Accept::full) {
    ASSERT_TRUE(record_.wait([&] { return std::exchange(ready, false); }));
  }
  ASSERT_TRUE(record_.wait([&] { return record_.verified.size() == 32; }));
  EXPECT_EQ(content->ledger()[0].useful.value, file.bytes.size());
}

TEST_F(BackPressure, PeersAreAskedToPauseAndToGoOn) {
  start();
  const TestFile file = make_file(16 * core::kMiB, 1024 * 1024);
  const Store content = open(file);
  int paused = 0;
  int drained = 0;
  int done = 0;
  const auto put = [&](std::uint32_t block) {
    const std::size_t offset = std::size_t{block} * core::kBlockBytes;
    return content->write_block(
        file.content.layout.piece_at(offset),
        static_cast<std::uint32_t>(offset % file.content.layout.piece_bytes()),
        std::span(file.bytes).subspan(offset, core::kBlockBytes), kPeerA,
        [&](const Result<void>& r) {
          EXPECT_TRUE(r);
          record_.change([&] { ++done; });
        },
        [&] { record_.change([&] { ++drained; }); });
  };
  {
    const WorkerGate gate(*content, record_, 2);
    for (std::uint32_t block = 0; block < 1024; ++block) paused += put(block) ? 0 : 1;
    EXPECT_EQ(paused, 1024 - static_cast<int>(kBlocksHigh));
  }
  EXPECT_TRUE(record_.wait([&] { return drained == paused && done == 1024; }));
  EXPECT_TRUE(record_.wait([&] { return record_.verified.size() == 16; }));
}

TEST_F(BackPressure, HashesAskedForABlockUnderWayAreToldWhenItIsWritten) {
  start();
  const TestFile file = make_file(2 * kTestPiece, kTestPiece);
  const Store content = open(file);
  std::vector<Result<std::vector<core::Digest>>> told;
  const auto ask = [&](std::uint32_t piece) {
    content->block_hashes(core::PieceIndex{piece},
                          [&](auto r) { record_.change([&] { told.push_back(std::move(r)); }); });
  };
  {
    const WorkerGate gate(*content, record_, 2);
    (void)content->write_block(core::PieceIndex{0}, 0,
                               std::span(file.bytes).first(core::kBlockBytes), kPeerA, {}, {});
    ask(0);  // incomplete, but a block is under way
    ASSERT_TRUE(send(content, file, 1, 2));
    ask(1);
    EXPECT_TRUE(record_.look([&] { return told.empty(); }));
  }
  ASSERT_TRUE(record_.wait([&] { return told.size() == 2; }));
  // Two workers: the answers come in either order.
  if (told[0]) std::swap(told[0], told[1]);
  ASSERT_FALSE(told[0]);
  EXPECT_EQ(told[0].error().code, ErrorCode::invalid_state);
  EXPECT_EQ(told[1], leaves_of(file.piece(1)));
}

TEST_F(BackPressure, HashesOfAFailedPieceAreNotToldOnceItIsWrittenAgain) {
  start();
  const TestFile file = make_file(2 * kTestPiece, kTestPiece);
  const Store content = open(file);
  const std::vector<std::byte> wrong(core::kBlockBytes, std::byte{0xee});
  for (std::uint32_t b = 0; b < 4; ++b) {
    (void)content->write_block(core::PieceIndex{0}, b * core::kBlockBytes, wrong, kPeerA, {}, {});
  }
  ASSERT_TRUE(record_.wait([&] { return record_.failed.size() == 1; }));
  std::optional<Result<std::vector<core::Digest>>> told;
  {
    const WorkerGate gate(*content, record_, 2);
    ASSERT_TRUE(send(content, file, 0, 1));
    content->block_hashes(core::PieceIndex{0},
                          [&](auto r) { record_.change([&] { told = std::move(r); }); });
  }
  ASSERT_TRUE(record_.wait([&] { return told.has_value(); }));
  EXPECT_EQ(*told, leaves_of(file.piece(0)));
}

}  // namespace
}  // namespace lanward::test
