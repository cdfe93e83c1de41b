// What a DiskStore does when the world around it fails.
#include <filesystem>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/store/store_fixture.h"

namespace lanward::test {
namespace {

namespace fs = std::filesystem;

class StoreFailure : public DiskStoreTest {};

TEST_F(StoreFailure, RefusesASecondOwnerAndNamesTheFirst) {
  start();
  const auto second = store::DiskStore::open(options());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::in_use);
  EXPECT_NE(second.error().message.find(dir_.path("cache")), std::string::npos);
  EXPECT_NE(second.error().message.find("process " + std::to_string(::getpid())), std::string::npos)
      << second.error().message;
  store_.reset();
  EXPECT_TRUE(store::DiskStore::open(options()));
}

TEST_F(StoreFailure, KeepsItsDirectoryAndFilesPrivate) {
  start();
  const TestFile file = make_file(kTestPiece, kTestPiece);
  const Store content = open(file);
  struct stat s {};
  ASSERT_EQ(::stat(dir_.path("cache").c_str(), &s), 0);
  EXPECT_EQ(s.st_mode & 0777, 0700U);
  ASSERT_EQ(::stat(data_path(file).c_str(), &s), 0);
  EXPECT_EQ(s.st_mode & 0777, 0600U);
}

TEST_F(StoreFailure, RefusesADirectoryThatIsAFile) {
  std::ofstream(dir_.path("cache")) << "x";
  const auto opened = store::DiskStore::open(options());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::disk_io);
}

TEST_F(StoreFailure, RefusesAContentWhoseHashesDoNotFitItsPieces) {
  start();
  TestFile file = make_file(3 * kTestPiece, kTestPiece);
  file.content.piece_hashes.pop_back();
  const auto opened = try_open(file.content);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::invalid_argument);
}

TEST_F(StoreFailure, ADestroyedStoreClosesItsContentsForGood) {
  start();
  const TestFile file = make_file(8 * kTestPiece, kTestPiece);
  const Store content = open(file);
  auto sink = content->open_range(kOrigin, {0, kTestPiece}, {});
  EXPECT_TRUE(send(content, file, 2, 8));
  store_.reset();
  EXPECT_EQ(content->verified().count(), 6U);  // What was under way has been finished.
  EXPECT_EQ(sink->accept(std::span(file.bytes).first(10)), ports::RangeSink::Accept::closed);
  bool ran = false;
  content->run_on_worker([&] { ran = true; });
  EXPECT_TRUE(ran);
  start();
  EXPECT_EQ(open(file)->verified().count(), 6U);
}

TEST_F(StoreFailure, CarriesManySourcesAtOnce) {
  start();
  const TestFile file = make_file(12 * core::kMiB, 256 * 1024);
  const std::uint32_t pieces = file.content.layout.piece_count();
  const Store content = open(file);
  std::vector<std::thread> threads;
  for (std::uint32_t t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {  // origins, overlapping in the middle
      (void)send(content, file, t * pieces / 3, pieces * (t + 2) / 3);
    });
    threads.emplace_back([&, t] {  // peers, one of them lying now and then
      for (std::uint32_t p = 0; p < pieces; ++p) {
        for (std::uint32_t b = 0; b < 16; ++b) {
          const auto part = file.piece(p).subspan(b * core::kBlockBytes, core::kBlockBytes);
          std::vector<std::byte> bytes(part.begin(), part.end());
          if (t == 1 && p % 7 == 3 && b == 5) bytes[9] ^= std::byte{2};
          (void)content->write_block(core::PieceIndex{p}, b * core::kBlockBytes, bytes,
                                     t == 0 ? kPeerA : kPeerB, {}, {});
        }
        content->block_hashes(core::PieceIndex{p}, [](const auto&) {});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(send(content, file, 0, pieces));
  ASSERT_TRUE(close(content));
  std::uint64_t received = 0;
  std::uint64_t useful = 0;
  std::uint64_t wasted = 0;
  for (const ports::SourceLedger& line : content->ledger()) {
    received += line.received.value;
    useful += line.useful.value;
    wasted += line.wasted.value;
  }
  EXPECT_EQ(received, useful + wasted);
  EXPECT_EQ(useful, std::uint64_t{content->verified().count()} * 256 * 1024);
  const Store again = open(file);
  EXPECT_TRUE(send(again, file, 0, pieces));
  ASSERT_TRUE(close(again));
  EXPECT_TRUE(again->verified().full());
  const Store last = open(file);
  for (std::uint32_t p = 0; p < pieces; ++p) {
    std::vector<std::byte> read(file.piece(p).size());
    ASSERT_TRUE(last->read(core::PieceIndex{p}, 0, read, false));
    ASSERT_TRUE(std::ranges::equal(read, file.piece(p))) << "piece " << p;
  }
}

// A file system of 4 MiB mounted over the cache directory.
class FullDisk : public OnSmallDisk<DiskStoreTest> {};

TEST_F(FullDisk, StopsTheContentOnceAndKeepsVerifiedPieces) {
  start();
  const TestFile file = make_file(8 * core::kMiB, kTestPiece);
  const Store content = open(file);
  constexpr std::uint32_t kFirst = 20;  // a third of what fits
  send_and_wait(content, file, 0, kFirst);
  (void)send(content, file, kFirst, file.content.layout.piece_count());
  ASSERT_TRUE(record_.wait([&] { return !record_.errors.empty(); }));
  const Error error = record_.look([&] { return record_.errors[0]; });
  EXPECT_EQ(error.code, ErrorCode::disk_full) << error.message;
  EXPECT_NE(error.message.find(data_path(file)), std::string::npos) << error.message;
  EXPECT_FALSE(send(content, file, 0, 1));
  const auto blocked = outcome<Result<void>>([&](auto done) {
    (void)content->write_block(core::PieceIndex{127}, 0,
                               std::span(file.bytes).first(core::kBlockBytes), kPeerA,
                               std::move(done), {});
  });
  EXPECT_EQ(blocked.error().code, ErrorCode::disk_full);

  const core::PieceSet kept = content->verified();
  EXPECT_GE(kept.count(), kFirst);
  std::vector<std::byte> read(kTestPiece);
  ASSERT_TRUE(content->read(*kept.next(core::PieceIndex{0}), 0, read, false));
  EXPECT_TRUE(std::ranges::equal(read, file.piece(kept.next(core::PieceIndex{0})->value)));
  (void)close(content);  // The index may be out of space too.
  EXPECT_EQ(record_.look([&] { return record_.errors.size(); }), 1U);

  ASSERT_EQ(::mount("lanward-test", mount_point_.c_str(), "tmpfs", MS_REMOUNT, "size=16m"), 0);
  const Store again = open(file);
  EXPECT_GE(again->verified().count(), kept.count());
  EXPECT_TRUE(send(again, file, 0, file.content.layout.piece_count()));
  ASSERT_TRUE(close(again));
  EXPECT_TRUE(again->verified().full());
}

TEST_F(FullDisk, ADeliveryThatDoesNotFitLeavesNothingBehind) {
  // The cache lives elsewhere; the small disk is the destination.
  store::DiskStoreOptions elsewhere = options();
  elsewhere.directory = dir_.path("roomy");
  store_ = store::DiskStore::open(elsewhere).value();
  const TestFile file = make_file(8 * core::kMiB, 256 * 1024);
  const Store content = open(file);
  send_and_wait(content, file, 0, file.content.layout.piece_count());
  for (const auto how : {ports::Delivery::keep, ports::Delivery::consume, ports::Delivery::share}) {
    const auto delivered = deliver(content, mount_point_ + "/file", how);
    ASSERT_FALSE(delivered);
    EXPECT_EQ(delivered.error().code, ErrorCode::disk_full) << delivered.error().message;
    EXPECT_TRUE(fs::is_empty(mount_point_));
  }
  EXPECT_TRUE(deliver(content, dir_.path("file"), ports::Delivery::consume));
  EXPECT_EQ(fs::file_size(dir_.path("file")), file.bytes.size());
}

}  // namespace
}  // namespace lanward::test
