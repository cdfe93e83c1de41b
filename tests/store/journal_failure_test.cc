// What the journal does with a database that it must not touch, and with a disk that is full.
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>

#include <sqlite3.h>
#include <sys/mount.h>

#include "tests/store/journal_fixture.h"

namespace lanward::test {
namespace {

namespace fs = std::filesystem;
using ports::JobRecord;

// Name and bytes of every file but the lock.
std::map<std::string, std::string> contents(const std::string& directory) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.path().filename() == "lock") continue;
    std::ifstream in(entry.path(), std::ios::binary);
    files[entry.path().filename()] = {std::istreambuf_iterator<char>(in), {}};
  }
  return files;
}

void overwrite(const std::string& path, std::streamoff at, std::size_t bytes) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(at);
  file << std::string(bytes, '\xa5');
}

// Changes the database with SQLite; `log`: the change stays in the write-ahead log.
void edit(const std::string& path, const std::string& sql, bool log) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, log ? 1 : 0, nullptr);
  EXPECT_EQ(sqlite3_exec(db, "PRAGMA locking_mode=EXCLUSIVE", nullptr, nullptr, nullptr),
            SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
      << sqlite3_errmsg(db);
  sqlite3_close(db);
  ASSERT_EQ(fs::exists(path + "-wal"), log);
}

struct Damage {
  const char* fault;  // a part of the message
  std::function<void(const std::string& path)> make;
};

std::function<void(const std::string&)> sql(const char* text) {
  return [text](const std::string& path) { edit(path, text, true); };
}

const Damage kDamages[] = {
    {"not a database",
     [](const std::string& path) { std::ofstream(path) << std::string(5000, 'x'); }},
    {"not a database", [](const std::string& path) { std::ofstream(path) << "xy"; }},
    {"malformed", [](const std::string& path) { fs::resize_file(path, fs::file_size(path) / 2); }},
    {"", [](const std::string& path) { overwrite(path, 4096, 4096); }},
    {"it is empty or gone",
     [](const std::string& path) {
       edit(path, "UPDATE job SET sequence=sequence+1", true);
       fs::resize_file(path, 0);
     }},
    {"it is empty or gone",
     [](const std::string& path) {
       edit(path, "UPDATE job SET sequence=sequence+1", true);
       fs::remove(path);
     }},
    {"version 2, this program knows version 1",
     [](const std::string& path) { edit(path, "PRAGMA user_version=2", false); }},
    {"version 2, this program knows version 1", sql("PRAGMA user_version=2")},
    {"another program", sql("PRAGMA user_version=0")},
    {"another program", sql("PRAGMA user_version=-1")},
    {"no such table", sql("DROP TABLE job")},
    {"no such column", sql("ALTER TABLE manifest RENAME COLUMN file TO number")},
    {"the record cannot be parsed", sql("UPDATE job SET record=x'ffff' WHERE sequence=2")},
    {"job 02020202-0202-0202-0202-020202020202: ",
     sql("UPDATE job SET record=x'' WHERE sequence=2")},
    {"the record is another job's", sql("UPDATE job SET id=zeroblob(16) WHERE sequence=2")},
    {"not 16 bytes long", sql("UPDATE job SET id=x'01' WHERE sequence=2")},
    {"another place in the order", sql("UPDATE job SET sequence=7 WHERE sequence=2")},
    {"a manifest of no job", sql("UPDATE manifest SET job=zeroblob(16)")},
    {"a manifest of no job", sql("UPDATE manifest SET job=x'02'")},
    {"file 1: there is a manifest and no such file", sql("UPDATE manifest SET file=1")},
    {"file 0: the manifest is 0 bytes long", sql("UPDATE manifest SET document=x''")},
};

TEST_F(JournalTest, RefusesADamagedDatabaseAndLeavesItAsItIs) {
  for (const Damage& damage : kDamages) {
    fs::remove_all(directory_);
    open();
    ASSERT_TRUE(save(small_record(1)));
    JobRecord record = small_record(2);
    record.files[0].metainfo = make_document(20'000, 2);
    ASSERT_TRUE(save(record));
    journal_.reset();
    damage.make(path_);
    const auto before = contents(directory_);
    for (int i = 0; i < 2; ++i) {
      const auto opened = try_open();
      ASSERT_FALSE(opened) << damage.fault;
      EXPECT_EQ(opened.error().code, ErrorCode::state_damaged) << opened.error().message;
      EXPECT_NE(opened.error().message.find(path_), std::string::npos) << opened.error().message;
      EXPECT_NE(opened.error().message.find(damage.fault), std::string::npos)
          << damage.fault << ": " << opened.error().message;
      EXPECT_TRUE(contents(directory_) == before) << damage.fault;
    }
  }
}

TEST_F(JournalTest, RefusesPlacesThatAreNotItsOwn) {
  std::ofstream(dir_.path("file")) << "x";
  directory_ = dir_.path("file");
  auto opened = try_open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::disk_io);

  directory_ = dir_.path("state");
  fs::create_directory(directory_);
  fs::create_symlink(dir_.path("file"), path_);
  opened = try_open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::disk_io);
  EXPECT_NE(opened.error().message.find(path_), std::string::npos) << opened.error().message;
}

TEST_F(JournalTest, ADatabaseThatOutgrowsItsBoundKeepsTheFormerRecords) {
  options_.bytes_max = 200'000;
  open();
  ASSERT_TRUE(save(small_record(1)));
  JobRecord large = small_record(1);
  large.error_count = 7;
  large.files[0].metainfo = make_document(400'000, 1);
  const auto refused = save(large);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::disk_full) << refused.error().message;
  EXPECT_NE(refused.error().message.find(path_), std::string::npos) << refused.error().message;
  for (int i = 0; i < 2; ++i, open()) {
    ASSERT_EQ(load().size(), 1U);
    EXPECT_EQ(load()[0].error_count, 0U);
    EXPECT_EQ(load()[0].files[0].metainfo, nullptr);
  }
  large.files[0].metainfo = make_document(100'000, 1);
  EXPECT_TRUE(save(large));
  EXPECT_EQ(load()[0].files[0].metainfo->size(), 100'000U);
}

TEST_F(JournalTest, WhatDoesNotFitDoesNotKeepTheOthersOut) {
  options_.bytes_max = 200'000;
  open();
  std::map<int, bool> saved;
  const auto note = [&](int n) {
    return [this, &saved, n](const Result<void>& result) {
      watch_.change([&] { saved[n] = result.has_value(); });
    };
  };
  bool go = false;  // all three are one group
  journal_->remove(JobId{},
                   [&](const Result<void>&) { EXPECT_TRUE(watch_.wait([&] { return go; })); });
  JobRecord large = small_record(2);
  large.files[0].metainfo = make_document(400'000, 1);
  journal_->save(small_record(1), note(1));
  journal_->save(large, note(2));
  journal_->save(small_record(3), note(3));
  watch_.change([&] { go = true; });
  ASSERT_TRUE(watch_.wait([&] { return saved.size() == 3; }));
  EXPECT_EQ(saved, (std::map<int, bool>{{1, true}, {2, false}, {3, true}}));
  EXPECT_EQ(load().size(), 2U);
}

// A file system of 1 MiB mounted over the state directory.
class JournalOnASmallDisk : public JournalTest {
 protected:
  void SetUp() override {
    fs::create_directory(directory_);
    if (::mount("lanward-test", directory_.c_str(), "tmpfs", 0, "size=1m") != 0) {
      GTEST_SKIP() << "cannot mount a small tmpfs here: " << std::generic_category().message(errno);
    }
    mounted_ = true;
  }
  void TearDown() override {
    journal_.reset();
    if (mounted_) {
      EXPECT_EQ(::umount2(directory_.c_str(), MNT_DETACH), 0);
    }
  }
  bool mounted_ = false;
};

TEST_F(JournalOnASmallDisk, AFullDiskKeepsTheFormerRecordAndGivesBackWhatTheLogTook) {
  open();
  ASSERT_TRUE(save(small_record(1)));
  JobRecord large = small_record(1);
  large.error_count = 7;
  large.files[0].metainfo = make_document(3'000'000, 1);
  const auto refused = save(large);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::disk_full) << refused.error().message;
  EXPECT_EQ(load()[0].error_count, 0U);
  // The same disk still takes small changes.
  ASSERT_TRUE(save(small_record(2)));
  open();
  ASSERT_EQ(load().size(), 2U);
  EXPECT_EQ(load()[0].files[0].metainfo, nullptr);
  ASSERT_EQ(::mount("lanward-test", directory_.c_str(), "tmpfs", MS_REMOUNT, "size=16m"), 0);
  EXPECT_TRUE(save(large));
  open();
  EXPECT_EQ(load()[0].files[0].metainfo->size(), 3'000'000U);
}

TEST_F(JournalOnASmallDisk, ANewOneOnAFullDiskSaysSo) {
  {
    std::ofstream filler(directory_ + "/filler");
    filler << std::string(2'000'000, 'x');
  }
  const auto opened = try_open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::disk_full) << opened.error().message;
  fs::remove(directory_ + "/filler");
  open();
  EXPECT_TRUE(save(small_record(1)));
}

}  // namespace
}  // namespace lanward::test
