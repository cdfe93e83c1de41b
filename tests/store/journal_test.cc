// What a restart finds of the jobs.
#include <filesystem>
#include <thread>

#include <sys/stat.h>
#include <unistd.h>

#include "tests/store/journal_fixture.h"

namespace lanward::test {
namespace {

namespace fs = std::filesystem;
using ports::JobRecord;

// Holds the writing thread in a callback, so that what is saved meanwhile is one group.
class Gate {
 public:
  Gate(store::SqliteJournal& journal, Watch& watch) : watch_(watch) {
    journal.remove(JobId{}, [this](const Result<void>&) {
      watch_.change([&] { closed_ = true; });
      EXPECT_TRUE(watch_.wait([&] { return open_; }));
    });
    EXPECT_TRUE(watch_.wait([&] { return closed_; }));
  }
  void open() {
    watch_.change([&] { open_ = true; });
  }

 private:
  Watch& watch_;
  bool closed_ = false;
  bool open_ = false;
};

struct Answers {
  std::vector<std::pair<int, std::optional<ErrorCode>>> list;
  Watch& watch;

  ports::Journal::Saved note(int number) {
    return [this, number](const Result<void>& result) {
      watch.change([&] {
        list.emplace_back(number,
                          result ? std::nullopt : std::optional<ErrorCode>(result.error().code));
      });
    };
  }
  [[nodiscard]] bool wait(std::size_t count) const {
    return watch.wait([&] { return list.size() >= count; });
  }
};

std::uint64_t log_bytes(const std::string& path) { return fs::file_size(path + "-wal"); }

TEST_F(JournalTest, ANewOneIsEmptyAndPrivate) {
  open();
  EXPECT_TRUE(load().empty());
  for (const auto& [path, mode] :
       {std::pair{directory_, 0700U}, std::pair{path_, 0600U}, std::pair{path_ + "-wal", 0600U}}) {
    struct stat s {};
    ASSERT_EQ(::stat(path.c_str(), &s), 0) << path;
    EXPECT_EQ(s.st_mode & 0777, mode) << path;
  }
}

TEST_F(JournalTest, ReturnsRecordsInTheOrderOfCreationAlsoAfterReopening) {
  open();
  for (const std::uint8_t n : {3, 1, 2}) ASSERT_TRUE(save(small_record(n)));
  JobRecord full = full_record(9);
  full.files[1].metainfo = make_document(10'000, 5);
  ASSERT_TRUE(save(full));
  for (int i = 0; i < 2; ++i, open()) {
    const std::vector<JobRecord> records = load();
    ASSERT_EQ(records.size(), 4U);
    for (std::uint8_t n : {1, 2, 3}) {
      EXPECT_EQ(store::encode(records[n - 1U]), store::encode(small_record(n)));
    }
    EXPECT_EQ(store::encode(records[3]), store::encode(full));
    EXPECT_EQ(records[3].files[0].metainfo, nullptr);
    ASSERT_NE(records[3].files[1].metainfo, nullptr);
    EXPECT_EQ(*records[3].files[1].metainfo, *full.files[1].metainfo);
  }
}

TEST_F(JournalTest, AGroupIsOneCommitAndAnswersInOrder) {
  open();
  ASSERT_TRUE(save(small_record(1)));
  Answers answers{{}, watch_};
  Gate gate(*journal_, watch_);
  const std::uint64_t before = log_bytes(path_);
  constexpr int kSaves = 200;
  for (int i = 0; i < kSaves; ++i) {
    JobRecord record = small_record(static_cast<std::uint8_t>(1 + i % 2));
    record.error_count = static_cast<std::uint32_t>(i);
    journal_->save(record, answers.note(i));
  }
  gate.open();
  ASSERT_TRUE(answers.wait(kSaves));
  for (int i = 0; i < kSaves; ++i) {
    EXPECT_EQ(answers.list[static_cast<std::size_t>(i)], std::pair(i, std::optional<ErrorCode>()));
  }
  // Each commit of its own would log at least one page.
  EXPECT_LT(log_bytes(path_) - before, 20U * 4096);
  const std::vector<JobRecord> records = load();
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(records[0].error_count, 198U);
  EXPECT_EQ(records[1].error_count, 199U);
}

TEST_F(JournalTest, SavesAndRemovalsOfAJobTakeEffectInOrder) {
  open();
  Answers answers{{}, watch_};
  Gate gate(*journal_, watch_);
  journal_->save(small_record(1), answers.note(0));
  journal_->remove(small_record(1).id, answers.note(1));
  journal_->remove(small_record(2).id, answers.note(2));
  journal_->save(small_record(2), answers.note(3));
  gate.open();
  ASSERT_TRUE(answers.wait(4));
  const std::vector<JobRecord> records = load();
  ASSERT_EQ(records.size(), 1U);
  EXPECT_EQ(records[0].id, small_record(2).id);
}

TEST_F(JournalTest, ForgetsRemovedJobsWithTheirManifests) {
  open();
  JobRecord record = small_record(1);
  record.files[0].metainfo = make_document(1000, 1);
  ASSERT_TRUE(save(record));
  ASSERT_TRUE(save(small_record(2)));
  ASSERT_TRUE(remove(record.id));
  EXPECT_TRUE(remove(record.id));
  EXPECT_TRUE(remove(small_record(77).id));
  open();
  ASSERT_EQ(load().size(), 1U);
  record.files[0].metainfo = nullptr;
  ASSERT_TRUE(save(record));
  EXPECT_EQ(load()[0].files[0].metainfo, nullptr);
}

TEST_F(JournalTest, WritesAManifestOnce) {
  open();
  JobRecord record = small_record(1);
  record.files[0].metainfo = make_document(4'000'000, 1);
  ASSERT_TRUE(save(record));
  const auto grown_by_saves = [&] {
    const std::uint64_t before = log_bytes(path_);
    for (int i = 0; i < 10; ++i) {
      ++record.error_count;
      EXPECT_TRUE(save(record));
    }
    return log_bytes(path_) - before;
  };
  EXPECT_LT(grown_by_saves(), 2'000'000U);
  open();
  record = load()[0];  // the document is the one that was loaded
  EXPECT_LT(grown_by_saves(), 2'000'000U);
  EXPECT_EQ(*load()[0].files[0].metainfo, std::vector<std::uint8_t>(4'000'000, 1));
}

TEST_F(JournalTest, FollowsTheManifestsOfAJob) {
  open();
  JobRecord record = small_record(1);
  record.files.resize(3, make_file_record(1));
  for (auto& file : record.files) file.metainfo = make_document(3000, 1);
  ASSERT_TRUE(save(record));
  record.files[0].metainfo = make_document(2000, 2);
  record.files[1].metainfo = nullptr;
  for (const bool reopened : {false, true}) {
    if (reopened) open();  // it does not know what is there until it has loaded
    ASSERT_TRUE(save(record));
    const JobRecord loaded = load()[0];
    ASSERT_EQ(loaded.files.size(), 3U);
    EXPECT_EQ(*loaded.files[0].metainfo, std::vector<std::uint8_t>(2000, 2));
    EXPECT_EQ(loaded.files[1].metainfo, nullptr);
    EXPECT_EQ(*loaded.files[2].metainfo, std::vector<std::uint8_t>(3000, 1));
  }
  record.files.pop_back();
  ASSERT_TRUE(save(record));
  open();
  EXPECT_EQ(load()[0].files.size(), 2U);
}

TEST_F(JournalTest, KeepsManifestsUntilTheJobIsPurged) {
  open();
  JobRecord record = small_record(1);
  record.state = JobState::cancelled;
  record.files[0].metainfo = make_document(1000, 1);
  ASSERT_TRUE(save(record));
  EXPECT_NE(load()[0].files[0].metainfo, nullptr);
  record.purged = true;
  ASSERT_TRUE(save(record));
  EXPECT_EQ(load()[0].files[0].metainfo, nullptr);
  EXPECT_TRUE(load()[0].purged);
}

TEST_F(JournalTest, WhatWasSavedSurvivesACrash) {
  open();
  JobRecord record = full_record(1);
  record.files[0].metainfo = make_document(100'000, 3);
  ASSERT_TRUE(save(record));
  ASSERT_TRUE(save(small_record(2)));
  const std::string copy = dir_.path("copy");
  fs::copy(directory_, copy);  // the files of the moment, as a crash would leave them
  ASSERT_TRUE(save(small_record(3)));
  auto opened = store::SqliteJournal::open(copy);
  ASSERT_TRUE(opened) << opened.error().message;
  const auto records = (*opened)->load();
  ASSERT_TRUE(records) << records.error().message;
  ASSERT_EQ(records->size(), 2U);
  EXPECT_EQ(store::encode((*records)[1]), store::encode(record));
  EXPECT_EQ(*(*records)[1].files[0].metainfo, *record.files[0].metainfo);
}

// So that a save waits for the bytes of the log alone, and not for those that a download writes.
TEST_F(JournalTest, TheLogDoesNotGrowWithTheChanges) {
  open();
  ASSERT_TRUE(save(small_record(1)));
  const std::uint64_t size = log_bytes(path_);
  struct stat s {};
  ASSERT_EQ(::stat((path_ + "-wal").c_str(), &s), 0);
  constexpr std::uint64_t kStatBlock = 512;
  EXPECT_GE(static_cast<std::uint64_t>(s.st_blocks) * kStatBlock, size) << "it has holes";
  JobRecord record = small_record(2);
  for (int i = 0; i < 1000; ++i) {
    ++record.error_count;
    ASSERT_TRUE(save(record));
    ASSERT_EQ(log_bytes(path_), size) << "after " << i << " changes";
  }
  const std::string copy = dir_.path("copy");
  fs::copy(directory_, copy);
  auto opened = store::SqliteJournal::open(copy);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ((*opened)->load().value().at(1).error_count, 1000U);
}

TEST_F(JournalTest, WritesWhatWaitsBeforeItEnds) {
  open();
  Answers answers{{}, watch_};
  for (std::uint8_t n = 1; n <= 100; ++n) journal_->save(small_record(n), answers.note(n));
  journal_.reset();
  ASSERT_EQ(answers.list.size(), 100U);
  for (const auto& [number, error] : answers.list) EXPECT_FALSE(error) << number;
  open();
  EXPECT_EQ(load().size(), 100U);
}

TEST_F(JournalTest, RefusesARecordThatItCouldNotReadAgain) {
  open();
  ASSERT_TRUE(save(small_record(1)));
  Answers answers{{}, watch_};
  Gate gate(*journal_, watch_);
  JobRecord newer = small_record(1);
  newer.error_count = 5;
  JobRecord wrong = newer;
  wrong.files[0].request.destination = "nowhere";
  JobRecord long_one = newer;  // each string is short enough, all of them are too long
  long_one.files.resize(9000, make_file_record(1));
  for (auto& file : long_one.files) file.request.source.resize(store::kRecordUrlBytesMax, 'x');
  journal_->save(newer, answers.note(0));
  journal_->save(wrong, answers.note(1));
  journal_->save(long_one, answers.note(2));
  journal_->save(small_record(2), answers.note(3));
  gate.open();
  ASSERT_TRUE(answers.wait(4));
  const std::vector<std::pair<int, std::optional<ErrorCode>>> expected{
      {0, {}}, {1, ErrorCode::invalid_argument}, {2, ErrorCode::invalid_argument}, {3, {}}};
  EXPECT_EQ(answers.list, expected);
  open();
  ASSERT_EQ(load().size(), 2U);
  EXPECT_EQ(load()[0].error_count, 5U);
}

TEST_F(JournalTest, RefusesChangesAtOnceWhenTooManyWait) {
  options_.waiting_max = 3;
  open();
  Answers answers{{}, watch_};
  Gate gate(*journal_, watch_);
  for (std::uint8_t n = 1; n <= 3; ++n) journal_->save(small_record(n), answers.note(n));
  std::optional<Error> refused;
  journal_->save(small_record(4), [&](const Result<void>& r) { refused = r.error(); });
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->code, ErrorCode::disk_io);
  EXPECT_NE(refused->message.find("too many changes wait"), std::string::npos);
  EXPECT_TRUE(answers.list.empty());
  gate.open();
  ASSERT_TRUE(answers.wait(3));
  EXPECT_EQ(load().size(), 3U);
  EXPECT_TRUE(save(small_record(4)));
}

TEST_F(JournalTest, ACallbackMaySaveAgain) {
  open();
  bool done = false;
  journal_->save(small_record(1), [&](const Result<void>& first) {
    EXPECT_TRUE(first);
    journal_->save(small_record(2), [&](const Result<void>& second) {
      EXPECT_TRUE(second);
      watch_.change([&] { done = true; });
    });
  });
  ASSERT_TRUE(watch_.wait([&] { return done; }));
  EXPECT_EQ(load().size(), 2U);
}

TEST_F(JournalTest, TakesSavesOfManyThreads) {
  open();
  Answers answers{{}, watch_};
  std::vector<std::thread> threads;
  for (std::uint8_t t = 1; t <= 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint32_t i = 1; i <= 50; ++i) {
        JobRecord record = small_record(t);
        record.error_count = i;
        journal_->save(record, answers.note(static_cast<int>(i)));
        EXPECT_TRUE(i % 25 != 0 || journal_->load());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(answers.wait(200));
  const std::vector<JobRecord> records = load();
  ASSERT_EQ(records.size(), 4U);
  for (const JobRecord& record : records) EXPECT_EQ(record.error_count, 50U);
}

TEST_F(JournalTest, HasOneOwnerAtATime) {
  open();
  const auto second = try_open();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::in_use);
  EXPECT_NE(second.error().message.find("state directory " + directory_), std::string::npos);
  EXPECT_NE(second.error().message.find("process " + std::to_string(::getpid())), std::string::npos)
      << second.error().message;
  journal_.reset();
  EXPECT_TRUE(try_open());
}

}  // namespace
}  // namespace lanward::test
