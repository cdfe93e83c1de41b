#include "engine/store/index.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sqlite3.h>

#include "tests/support/temporary_directory.h"

namespace lanward::test {
namespace {

using store::Index;
using store::IndexRow;

IndexRow make_row(std::uint8_t n) {
  IndexRow row;
  row.id[31] = n;
  row.size = 5'000'000'000'000 + n;
  row.piece_bytes = 65536;
  row.verified = {0x8000000000000001, 0x12};
  row.durable = {1, 0};
  row.boot = "boot";
  row.inode = ~std::uint64_t{0} - n;
  row.mtime_ns = -5;
  row.clean = true;
  row.last_use = 1'700'000'000;
  return row;
}

class IndexTest : public testing::Test {
 protected:
  [[nodiscard]] std::unique_ptr<Index> open() {
    auto index = Index::open(path_);
    EXPECT_TRUE(index) << index.error().message;
    return index ? std::move(*index) : nullptr;
  }
  support::TemporaryDirectory dir_;
  const std::string path_ = dir_.path("index.sqlite");
};

TEST_F(IndexTest, ReturnsWhatWasSavedAlsoAfterReopening) {
  auto index = open();
  EXPECT_FALSE(index->find(make_row(1).id)->has_value());
  for (const auto commit : {Index::Commit::fast, Index::Commit::durable}) {
    ASSERT_TRUE(index->save(make_row(1), commit));
  }
  IndexRow empty = make_row(2);
  empty.verified = empty.durable = {};
  ASSERT_TRUE(index->save(empty, Index::Commit::fast));
  index = nullptr;
  index = open();
  EXPECT_EQ(*index->find(make_row(1).id), make_row(1));
  EXPECT_EQ(*index->find(empty.id), empty);
  ASSERT_TRUE(index->erase(empty.id));
  EXPECT_FALSE(index->find(empty.id)->has_value());
}

TEST_F(IndexTest, RefusesALaterVersionAndLeavesItAlone) {
  open().reset();
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, "PRAGMA user_version=7", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(db);
  const auto index = Index::open(path_);
  ASSERT_FALSE(index);
  EXPECT_EQ(index.error().code, ErrorCode::unsupported);
  EXPECT_NE(index.error().message.find("version 7"), std::string::npos) << index.error().message;
  EXPECT_FALSE(std::filesystem::exists(path_ + ".damaged"));
}

TEST_F(IndexTest, MovesAFileThatIsNoDatabaseAside) {
  std::ofstream(path_) << std::string(100'000, 'x');
  auto index = open();
  EXPECT_FALSE(index->find(make_row(1).id)->has_value());
  ASSERT_TRUE(index->save(make_row(1), Index::Commit::fast));
  EXPECT_EQ(std::filesystem::file_size(path_ + ".damaged"), 100'000U);
}

TEST_F(IndexTest, RebuildsADatabaseWithDamagedPages) {
  auto index = open();
  for (int n = 0; n < 200; ++n) {
    ASSERT_TRUE(index->save(make_row(static_cast<std::uint8_t>(n)), Index::Commit::fast));
  }
  index = nullptr;  // the log goes into the database
  {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4096);
    file << std::string(static_cast<std::size_t>(std::filesystem::file_size(path_)) - 4096, '\xa5');
  }
  index = open();
  EXPECT_FALSE(index->find(make_row(1).id)->has_value());
  ASSERT_TRUE(index->save(make_row(1), Index::Commit::fast));
  EXPECT_EQ(*index->find(make_row(1).id), make_row(1));
}

TEST_F(IndexTest, NamesTheFileItCannotOpen) {
  const auto index = Index::open(dir_.path("missing/index.sqlite"));
  ASSERT_FALSE(index);
  EXPECT_EQ(index.error().code, ErrorCode::disk_io);
  EXPECT_NE(index.error().message.find("missing/index.sqlite"), std::string::npos);
}

TEST_F(IndexTest, FindsAmongTensOfThousands) {
  auto index = open();
  IndexRow row = make_row(1);
  for (std::uint32_t n = 0; n < 20'000; ++n) {
    row.id[0] = static_cast<std::uint8_t>(n);
    row.id[1] = static_cast<std::uint8_t>(n >> 8);
    ASSERT_TRUE(index->save(row, Index::Commit::fast));
  }
  index = nullptr;
  index = open();
  EXPECT_EQ(*index->find(row.id), row);
}

}  // namespace
}  // namespace lanward::test
