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

// What version 1 wrote.
constexpr const char* kVersion1 =
    "CREATE TABLE contents(id BLOB PRIMARY KEY NOT NULL, size INTEGER NOT NULL, piece_bytes INTEGER"
    " NOT NULL, verified BLOB NOT NULL, durable BLOB NOT NULL, boot TEXT NOT NULL, inode INTEGER"
    " NOT NULL, mtime_ns INTEGER NOT NULL, clean INTEGER NOT NULL, last_use INTEGER NOT NULL);"
    "CREATE INDEX contents_by_last_use ON contents(last_use);"
    "INSERT INTO contents VALUES(zeroblob(32), 200000, 65536, x'0900000000000000',"
    " x'0100000000000000', 'b', 7, 8, 1, 1600000000);"
    "PRAGMA user_version=1;";

TEST_F(IndexTest, TakesOverWhatVersionOneKnew) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, kVersion1, nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(db);
  for (int times = 0; times < 2; ++times) {
    auto index = open();
    const auto row = index->find({});
    ASSERT_TRUE(row && *row);
    EXPECT_EQ((*row)->verified, std::vector<std::uint64_t>{9});
    EXPECT_EQ((*row)->durable, std::vector<std::uint64_t>{1});
    EXPECT_EQ((*row)->last_use, 1'600'000'000);
    const auto entry = index->entry({});
    ASSERT_TRUE(entry && *entry);
    // One whole piece and the short last one.
    EXPECT_EQ((*entry)->verified_bytes, 65536U + 200000 - 3 * 65536);
    EXPECT_EQ((*entry)->created, 1'600'000'000);
    EXPECT_FALSE((*entry)->pinned || (*entry)->manifest || (*entry)->expires);
    EXPECT_EQ(index->times_emptied(), 0U);
  }
}

// What version 2 wrote.
constexpr const char* kVersion2 =
    "CREATE TABLE contents(id BLOB PRIMARY KEY NOT NULL, size INTEGER NOT NULL, piece_bytes INTEGER"
    " NOT NULL, verified BLOB NOT NULL, durable BLOB NOT NULL, boot TEXT NOT NULL, inode INTEGER"
    " NOT NULL, mtime_ns INTEGER NOT NULL, clean INTEGER NOT NULL, last_use INTEGER NOT NULL,"
    " verified_bytes INTEGER NOT NULL DEFAULT 0, disk_bytes INTEGER, created INTEGER NOT NULL"
    " DEFAULT 0, name TEXT NOT NULL DEFAULT '', origin TEXT NOT NULL DEFAULT '', elsewhere TEXT NOT"
    " NULL DEFAULT '', manifest INTEGER NOT NULL DEFAULT 0, pinned INTEGER NOT NULL DEFAULT 0,"
    " expires INTEGER, checked INTEGER);"
    "CREATE INDEX contents_by_last_use ON contents(last_use);"
    "CREATE TABLE reference(content BLOB NOT NULL, job BLOB NOT NULL, PRIMARY KEY(content, job))"
    " WITHOUT ROWID;"
    "INSERT INTO contents VALUES(zeroblob(32), 200000, 65536, x'0900000000000000',"
    " x'0100000000000000', 'b', 7, 8, 1, 1600000000, 68928, 69632, 1500000000, 'n', 'http://o/',"
    " '', 1, 1, 1700000000, NULL);"
    "INSERT INTO reference VALUES(zeroblob(32), zeroblob(16));"
    "PRAGMA user_version=2;";

TEST_F(IndexTest, TakesOverWhatVersionTwoKnewAndSharesNothingOfIt) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, kVersion2, nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(db);
  const auto beside = Index::open(path_, true);
  ASSERT_FALSE(beside) << "nothing is written beside an owner";
  EXPECT_EQ(beside.error().code, ErrorCode::unsupported);
  for (int times = 0; times < 2; ++times) {
    auto index = open();
    const auto entry = index->entry({});
    ASSERT_TRUE(entry && *entry);
    EXPECT_EQ((*entry)->name, "n");
    EXPECT_EQ((*entry)->verified_bytes, 68928U);
    EXPECT_TRUE((*entry)->pinned && (*entry)->manifest);
    EXPECT_EQ((*entry)->expires, 1'700'000'000);
    EXPECT_EQ((*entry)->shared, times == 1) << "how it came nobody knows";
    EXPECT_EQ(index->references()->size(), 1U);
    EXPECT_EQ(index->times_emptied(), 0U);
    ASSERT_TRUE(index->set_shared({}, true));
  }
}

TEST_F(IndexTest, ANewContentIsPrivateUntilSomebodySaysOtherwise) {
  const IndexRow row = make_row(4);
  {
    auto index = open();
    ASSERT_TRUE(index->save(row, Index::Commit::fast));
    EXPECT_FALSE((*index->entry(row.id))->shared);
    ASSERT_TRUE(index->set_shared(row.id, true));
    ASSERT_TRUE(index->save(row, Index::Commit::fast)) << "what was said stays";
  }
  auto index = open();
  EXPECT_TRUE((*index->entry(row.id))->shared);
  ASSERT_TRUE(index->set_shared(row.id, false));
  EXPECT_FALSE((*index->entry(row.id))->shared);
  ASSERT_TRUE(index->set_shared(row.id, true));
  ASSERT_TRUE(index->erase(row.id));
  ASSERT_TRUE(index->save(row, Index::Commit::fast));
  EXPECT_FALSE((*index->entry(row.id))->shared) << "it is a new one";
}

TEST_F(IndexTest, WhatWasSaidBeforeThereWasADatabaseIsKept) {
  auto index = Index::open_late(path_);
  ASSERT_TRUE(index);
  IndexRow row = make_row(5);
  row.verified_bytes = 0;
  ASSERT_TRUE((*index)->save(row, Index::Commit::held));
  ASSERT_TRUE((*index)->set_shared(row.id, true));
  EXPECT_TRUE((*(*index)->entry(row.id))->shared);
  row.verified_bytes = 65536;
  ASSERT_TRUE((*index)->save(row, Index::Commit::fast));
  EXPECT_TRUE((*(*index)->entry(row.id))->shared);
}

TEST_F(IndexTest, KeepsWhatPeopleSaidWhenARowIsSavedAgain) {
  auto index = open();
  const IndexRow row = make_row(3);
  ASSERT_TRUE(index->save(row, Index::Commit::fast));
  ASSERT_TRUE(index->set_pinned(row.id, true));
  ASSERT_TRUE(index->set_expiry(row.id, 77));
  ASSERT_TRUE(index->set_checked(row.id, 88));
  ASSERT_TRUE(index->describe(row.id, "name", "http://o/", true));
  ASSERT_TRUE(index->describe(row.id, "", "", false));
  IndexRow later = row;
  later.last_use += 5;
  later.disk_bytes = 4096;
  ASSERT_TRUE(index->save(later, Index::Commit::fast));
  const auto entry = *index->entry(row.id);
  ASSERT_TRUE(entry);
  EXPECT_TRUE(entry->pinned && entry->manifest);
  EXPECT_EQ(entry->expires, 77);
  EXPECT_EQ(entry->checked, 88);
  EXPECT_EQ(entry->name, "name");
  EXPECT_EQ(entry->origin, "http://o/");
  EXPECT_EQ(entry->created, row.last_use);
  EXPECT_EQ(entry->last_use, row.last_use + 5);
  EXPECT_EQ(entry->disk_bytes, 4096U);
  ASSERT_TRUE(index->set_expiry(row.id, std::nullopt));
  EXPECT_FALSE((*index->entry(row.id))->expires);
}

TEST_F(IndexTest, KeepsReferencesOfJobs) {
  store::IndexReference first{.content = make_row(1).id, .job = {1}};
  store::IndexReference second{.content = make_row(1).id, .job = {2}};
  {
    auto index = open();
    ASSERT_TRUE(index->refer({first, second}, {}));
    ASSERT_TRUE(index->refer({first}, {second}));
  }
  auto index = open();
  EXPECT_EQ(*index->references(), std::vector{first});
}

TEST_F(IndexTest, IsReadBesideItsOwner) {
  auto owner = open();
  ASSERT_TRUE(owner->save(make_row(1), Index::Commit::fast));
  auto reader = Index::open(path_, true);
  ASSERT_TRUE(reader) << reader.error().message;
  EXPECT_EQ((*reader)->entries()->size(), 1U);
  ASSERT_TRUE(owner->save(make_row(2), Index::Commit::fast));
  EXPECT_EQ((*reader)->entries()->size(), 2U);
  EXPECT_FALSE((*reader)->save(make_row(3), Index::Commit::fast));
  const auto missing = Index::open(dir_.path("none.sqlite"), true);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::not_found);
  EXPECT_FALSE(std::filesystem::exists(dir_.path("none.sqlite")));
}

TEST_F(IndexTest, NoticesThatItsFileIsGone) {
  auto index = open();
  EXPECT_TRUE(index->is_in_place());
  std::filesystem::remove(path_);
  EXPECT_FALSE(index->is_in_place());
  ASSERT_TRUE(index->reopen());
  EXPECT_TRUE(index->is_in_place());
  ASSERT_TRUE(index->save(make_row(1), Index::Commit::fast));
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
  index = nullptr;
  {
    sqlite3* db = nullptr;  // the log goes into the database
    ASSERT_EQ(sqlite3_open(path_.c_str(), &db), SQLITE_OK);
    sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", nullptr, nullptr, nullptr);
    sqlite3_close(db);
  }
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

class LateIndexTest : public IndexTest {
 protected:
  [[nodiscard]] std::unique_ptr<Index> open_late() {
    auto index = Index::open_late(path_);
    EXPECT_TRUE(index) << index.error().message;
    return index ? std::move(*index) : nullptr;
  }
  [[nodiscard]] bool exists() const { return std::filesystem::exists(path_); }
};

TEST_F(LateIndexTest, HoldsARowWithoutADatabase) {
  const auto index = open_late();
  EXPECT_FALSE(index->find(make_row(1).id)->has_value());
  EXPECT_TRUE(index->references()->empty());
  ASSERT_TRUE(index->save(make_row(1), Index::Commit::held));
  ASSERT_TRUE(index->describe(make_row(1).id, "name", "", true));
  ASSERT_TRUE(index->describe(make_row(1).id, "", "http://a/b", false));
  EXPECT_EQ(*index->find(make_row(1).id), make_row(1));
  const auto entry = index->entry(make_row(1).id);
  ASSERT_TRUE(entry && *entry);
  EXPECT_EQ((*entry)->name, "name");
  EXPECT_EQ((*entry)->origin, "http://a/b");
  EXPECT_TRUE((*entry)->manifest);
  EXPECT_EQ((*entry)->size, make_row(1).size);
  ASSERT_TRUE(index->refer({}, {{.content = make_row(1).id, .job = {}}}));
  ASSERT_TRUE(index->erase(make_row(1).id));
  EXPECT_FALSE(index->find(make_row(1).id)->has_value());
  EXPECT_FALSE(exists());
}

TEST_F(LateIndexTest, WritesWhatItHoldsWithTheFirstThatMustBeWritten) {
  auto index = open_late();
  ASSERT_TRUE(index->save(make_row(1), Index::Commit::held));
  ASSERT_TRUE(index->describe(make_row(1).id, "name", "http://a/b", false));
  ASSERT_TRUE(index->save(make_row(2), Index::Commit::held));
  ASSERT_TRUE(index->erase(make_row(2).id));
  ASSERT_FALSE(exists());
  ASSERT_TRUE(index->save(make_row(3), Index::Commit::fast));
  EXPECT_TRUE(exists());
  index = open();
  EXPECT_EQ(*index->find(make_row(1).id), make_row(1));
  EXPECT_EQ((*index->entry(make_row(1).id))->name, "name");
  EXPECT_FALSE(index->find(make_row(2).id)->has_value());
  EXPECT_EQ(*index->find(make_row(3).id), make_row(3));
}

TEST_F(LateIndexTest, DoesNotHoldWhatACrashWouldLose) {
  IndexRow verified = make_row(1);
  verified.verified_bytes = 1;
  IndexRow elsewhere = make_row(1);
  elsewhere.elsewhere = "/somewhere/else";
  for (const IndexRow& row : {verified, elsewhere}) {
    std::filesystem::remove(path_);
    const auto index = open_late();
    ASSERT_TRUE(index->save(row, Index::Commit::held));
    EXPECT_TRUE(exists());
  }
}

TEST_F(LateIndexTest, IsAnOrdinaryOneWhereThereIsADatabase) {
  ASSERT_TRUE(open()->save(make_row(1), Index::Commit::fast));
  ASSERT_TRUE(open_late()->save(make_row(2), Index::Commit::held));
  const auto index = open();
  EXPECT_EQ(*index->find(make_row(1).id), make_row(1));
  EXPECT_EQ(*index->find(make_row(2).id), make_row(2));
}

}  // namespace
}  // namespace lanward::test
