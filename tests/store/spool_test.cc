// Files of unknown length: fetched into a spool, adopted as contents.
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/core/piece_layout.h"
#include "engine/store/spool.h"
#include "tests/store/store_fixture.h"

namespace lanward::test {
namespace {

using Accept = ports::RangeSink::Accept;

class SpoolTest : public DiskStoreTest {
 protected:
  static TestFile a_file(std::uint64_t size) { return make_file(size, kTestPiece, 7, false); }

  static void feed(ports::RangeSink& sink, const TestFile& file) {
    const std::span<const std::byte> bytes(file.bytes);
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t n = std::min<std::size_t>(5000, bytes.size() - at);
      ASSERT_EQ(sink.accept(bytes.subspan(at, n)), Accept::taken);
      at += n;
    }
    sink.finish();
  }
  std::shared_ptr<ports::Spool> spool() {
    auto made = store_->spool();
    EXPECT_TRUE(made) << made.error().message;
    return made ? *made : nullptr;
  }
  Result<void> adopt(const std::shared_ptr<ports::Spool>& spool, const core::Content& content) {
    return outcome<Result<void>>(
        [&](auto done) { store_->adopt(spool, content, std::move(done)); });
  }
  [[nodiscard]] std::size_t files_in(const std::string& name) const {
    std::error_code none;
    const std::filesystem::directory_iterator all(dir_.path("cache/" + name), none);
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
  }
  static std::string read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
};

TEST_F(SpoolTest, TellsSizeAndHashOfWhatCame) {
  start();
  const TestFile file = a_file(100'001);
  const auto place = spool();
  feed(*place->restart(), file);
  const auto sum = place->sum();
  ASSERT_TRUE(sum) << sum.error().message;
  EXPECT_EQ(sum->size.value, 100'001U);
  EXPECT_EQ(sum->sha256, store::sha256(file.bytes));
}

TEST_F(SpoolTest, ARestartDropsWhatCameBeforeAndClosesItsSink) {
  start();
  const TestFile wrong = make_file(300'000, kTestPiece, 9, false);
  const TestFile right = a_file(70'000);
  const auto place = spool();
  const auto early = place->restart();
  feed(*early, wrong);
  feed(*place->restart(), right);
  EXPECT_EQ(early->accept(wrong.bytes), Accept::closed);
  const auto sum = place->sum();
  ASSERT_TRUE(sum);
  EXPECT_EQ(sum->size.value, 70'000U);
  EXPECT_EQ(sum->sha256, store::sha256(right.bytes));
}

TEST_F(SpoolTest, NothingIsAddedToWhatWasSummed) {
  start();
  const TestFile file = a_file(1000);
  const auto place = spool();
  const auto sink = place->restart();
  feed(*sink, file);
  ASSERT_TRUE(place->sum());
  EXPECT_EQ(sink->accept(file.bytes), Accept::closed);
}

TEST_F(SpoolTest, AnAdoptedFileIsAContentThatCanBeDelivered) {
  start();
  const TestFile file = a_file(3 * kTestPiece + 17);
  const auto place = spool();
  feed(*place->restart(), file);
  ASSERT_TRUE(place->sum());
  const auto adopted = adopt(place, file.content);
  ASSERT_TRUE(adopted) << adopted.error().message;
  EXPECT_EQ(files_in("spool"), 0U);

  const Store content = open(file);
  ASSERT_NE(content, nullptr);
  EXPECT_TRUE(content->verified().full());
  const std::string to = dir_.path("out");
  const auto delivered = deliver(content, to, ports::Delivery::keep);
  ASSERT_TRUE(delivered) << delivered.error().message;
  const std::string found = read(to);
  ASSERT_EQ(found.size(), file.bytes.size());
  EXPECT_EQ(std::memcmp(found.data(), file.bytes.data(), found.size()), 0);
}

TEST_F(SpoolTest, AnAdoptedFileIsThereAfterARestartOfTheMachine) {
  start();
  const TestFile file = a_file(2 * kTestPiece);
  const auto place = spool();
  feed(*place->restart(), file);
  ASSERT_TRUE(place->sum());
  ASSERT_TRUE(adopt(place, file.content));
  store_.reset();
  boot_ = "boot-2";
  start();
  const Store content = open(file);
  ASSERT_NE(content, nullptr);
  EXPECT_TRUE(content->verified().full());
}

TEST_F(SpoolTest, AnEmptyFileCanBeAdopted) {
  start();
  const TestFile file = a_file(0);
  const auto place = spool();
  feed(*place->restart(), file);
  ASSERT_TRUE(place->sum());
  const auto adopted = adopt(place, file.content);
  EXPECT_TRUE(adopted) << adopted.error().message;
}

TEST_F(SpoolTest, ASpoolThatIsNotAdoptedLeavesNothing) {
  start();
  auto place = spool();
  feed(*place->restart(), a_file(100'000));
  EXPECT_EQ(files_in("spool"), 1U);
  place.reset();
  EXPECT_EQ(files_in("spool"), 0U);
}

TEST_F(SpoolTest, WhatAKilledProcessLeftIsSweptAtTheNextOpening) {
  start();
  store_.reset();
  std::filesystem::create_directories(dir_.path("cache/spool"));
  std::ofstream(dir_.path("cache/spool/0")) << "left";
  start();
  EXPECT_EQ(files_in("spool"), 0U);
  EXPECT_TRUE(spool() != nullptr);
}

TEST_F(SpoolTest, ASpoolOfAnotherSizeThanTheContentIsRefused) {
  start();
  const TestFile file = a_file(1000);
  const auto place = spool();
  feed(*place->restart(), a_file(2000));
  ASSERT_TRUE(place->sum());
  const auto adopted = adopt(place, file.content);
  ASSERT_FALSE(adopted);
  EXPECT_EQ(adopted.error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(files_in("data"), 0U) << "what has no record is removed by nobody";
}

TEST_F(SpoolTest, ABodyWithoutEndIsStoppedAtTheBound) {
  const std::vector<std::byte> bytes(600);
  const auto place = store::DiskSpool::create(dir_.path("spool"), 1000);
  ASSERT_TRUE(place) << place.error().message;
  const auto sink = (*place)->restart();
  EXPECT_EQ(sink->accept(bytes), Accept::taken);
  EXPECT_EQ(sink->accept(bytes), Accept::closed);
  const auto sum = (*place)->sum();
  ASSERT_FALSE(sum);
  EXPECT_EQ(sum.error().code, ErrorCode::unsupported);
  EXPECT_NE(sum.error().message.find("1000"), std::string::npos);
}

TEST_F(SpoolTest, AContentThatIsOpenIsNotReplaced) {
  start();
  const TestFile file = a_file(1000);
  const Store content = open(file);
  const auto place = spool();
  feed(*place->restart(), file);
  ASSERT_TRUE(place->sum());
  const auto adopted = adopt(place, file.content);
  ASSERT_FALSE(adopted);
  EXPECT_EQ(adopted.error().code, ErrorCode::in_use);
}

}  // namespace
}  // namespace lanward::test
