#include "engine/store/recovery.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>
#include <string>
#include <system_error>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/store/store_fixture.h"

namespace lanward::test {
namespace {

namespace fs = std::filesystem;

// "##.." : pieces 0 and 1 of four.
core::PieceSet picture(const std::string& marks) {
  core::PieceSet set(static_cast<std::uint32_t>(marks.size()));
  for (std::uint32_t i = 0; i < marks.size(); ++i) {
    if (marks[i] == '#') set.insert(core::PieceIndex{i});
  }
  return set;
}

TEST(Belief, FollowsTheRecordAsFarAsItCanBeTrue) {
  struct Case {
    const char* name;
    const char* verified;
    const char* durable;
    bool clean;
    const char* boot;
    std::uint64_t pieces_in_file;
    bool same_inode;
    bool same_mtime;
    const char* believed;
    const char* unproven;
  };
  const Case cases[] = {
      {"closed, same boot", "##..", "##..", true, "b", 4, true, true, "##..", "...."},
      {"closed, other boot", "##..", "##..", true, "c", 4, true, true, "##..", "...."},
      {"closed unsynced, other boot", "##..", "#...", true, "c", 4, true, true, "#...", ".#.."},
      {"killed, same boot", "##..", "#...", false, "b", 4, true, false, "##..", "..##"},
      {"killed, other boot", "##..", "#...", false, "c", 4, true, false, "#...", ".###"},
      {"unknown boot", "##..", "#...", false, "", 4, true, false, "#...", ".###"},
      {"changed since", "##..", "##..", true, "b", 4, true, false, "....", "####"},
      {"replaced", "##..", "##..", true, "b", 4, false, true, "....", "####"},
      {"truncated after a kill", "####", "##..", false, "b", 3, true, false, "###.", "...."},
      {"missing", "####", "####", true, "b", 0, false, false, "....", "...."},
  };
  const core::PieceLayout layout(core::ByteCount{4 * 65536}, 65536);
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    store::IndexRow row;
    row.size = layout.size().value;
    row.piece_bytes = layout.piece_bytes();
    row.verified = picture(c.verified).words();
    row.durable = picture(c.durable).words();
    row.boot = "b";
    row.inode = 10;
    row.mtime_ns = 20;
    row.clean = c.clean;
    const store::FileFacts facts{c.pieces_in_file * 65536, c.same_inode ? 10U : 11U,
                                 c.same_mtime ? 20 : 21};
    const store::Belief belief = store::believe(row, facts, layout, c.boot);
    EXPECT_EQ(belief.verified, picture(c.believed));
    EXPECT_EQ(belief.unproven, picture(c.unproven));
  }
  const store::FileFacts facts{2 * 65536 + 1, 10, 20};
  EXPECT_EQ(store::believe({}, facts, layout, "b").unproven, picture("##.."));  // no record
}

class Recovery : public DiskStoreTest {
 protected:
  // Runs `work` in a child process with a store of its own; returns how the child ended.
  template <class Work>
  pid_t spawn(const Work& work) {
    const pid_t child = ::fork();
    // Never hand -1 to kill(): it would mean every process there is.
    if (child < 0) throw std::system_error(errno, std::generic_category(), "fork");
    if (child > 0) return child;
    start();
    work();
    ::_exit(0);  // No destructor runs: the store is left as a killed process leaves it.
  }
  static int reap(pid_t child) {
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return status;
  }
  void flip_byte(const TestFile& file, std::uint64_t offset) const {
    std::fstream f(data_path(file), std::ios::in | std::ios::out | std::ios::binary);
    f.seekg(static_cast<std::streamoff>(offset));
    const char c = static_cast<char>(f.get() ^ 1);
    f.seekp(static_cast<std::streamoff>(offset));
    f.put(c);
    ASSERT_TRUE(f.good());
  }
  void expect_verified_bytes_are_right(const Store& content, const TestFile& file) {
    const core::PieceSet verified = content->verified();
    for (auto p = verified.next(core::PieceIndex{0}); p; p = verified.next(*p + 1)) {
      const auto expected = file.piece(p->value);
      std::vector<std::byte> read(expected.size());
      ASSERT_TRUE(content->read(*p, 0, read, false));
      ASSERT_TRUE(std::ranges::equal(read, expected)) << "piece " << p->value;
    }
  }
};

TEST_F(Recovery, BelievesAnotherBootAfterAnOrderlyClose) {
  const TestFile file = make_file(8 * kTestPiece, kTestPiece, 1, false);
  start();
  send_and_wait(open(file), file, 2, 5);
  store_.reset();
  boot_ = "boot-2";
  start();
  EXPECT_EQ(open(file)->verified(), picture("..###..."));
}

TEST_F(Recovery, BelievesOnlyWhatWasSyncedAfterACrashOfTheMachine) {
  sync_interval_ = std::chrono::hours(1);  // nothing is synced before the end
  const TestFile file = make_file(8 * kTestPiece, kTestPiece, 1, false);
  const TestFile proven = make_file(8 * kTestPiece, kTestPiece, 2, true);
  start();
  send_and_wait(open(file), file, 0, 2);
  store_.reset();  // pieces 0 and 1 are durable
  EXPECT_EQ(reap(spawn([&] {
              send_and_wait(open(file), file, 2, 5);
              send_and_wait(open(proven), proven, 2, 5);
            })),
            0);
  boot_ = "boot-2";
  start();
  EXPECT_EQ(open(file)->verified(), picture("##......"));    // no hashes: nothing can prove 2..4
  EXPECT_EQ(open(proven)->verified(), picture("..###..."));  // hashed again
}

TEST_F(Recovery, HashesUnsyncedPiecesAgainAndDropsTheDamaged) {
  sync_interval_ = std::chrono::hours(1);
  const TestFile file = make_file(8 * kTestPiece, kTestPiece);
  EXPECT_EQ(reap(spawn([&] { send_and_wait(open(file), file, 2, 5); })), 0);
  flip_byte(file, 3 * kTestPiece + 77);
  boot_ = "boot-2";
  start();
  const Store content = open(file);
  EXPECT_EQ(content->verified(), picture("..#.#..."));
  send_and_wait(content, file, 3, 4);
  expect_verified_bytes_are_right(content, file);
}

TEST_F(Recovery, NoticesATruncatedDataFile) {
  const TestFile file = make_file(8 * kTestPiece, kTestPiece);
  start();
  send_and_wait(open(file), file, 0, 8);
  store_.reset();
  fs::resize_file(data_path(file), 5 * kTestPiece + 10);
  start();
  EXPECT_EQ(open(file)->verified(), picture("#####..."));
}

TEST_F(Recovery, NoticesAMissingAndAReplacedDataFile) {
  const TestFile file = make_file(4 * kTestPiece, kTestPiece);
  start();
  send_and_wait(open(file), file, 0, 4);
  store_.reset();
  const std::string path = data_path(file);
  fs::copy_file(path, path + ".new");
  fs::rename(path + ".new", path);
  flip_byte(file, 0);
  start();
  EXPECT_EQ(open(file)->verified(), picture(".###"));
  store_.reset();
  fs::remove(path);
  start();
  const Store content = open(file);
  EXPECT_TRUE(content->verified().empty());
  EXPECT_TRUE(send(content, file, 0, 4));
}

TEST_F(Recovery, FindsPiecesAgainWithoutAnIndex) {
  const TestFile file = make_file(4 * kTestPiece + 5, kTestPiece);
  start();
  send_and_wait(open(file), file, 1, 5);
  store_.reset();
  std::ofstream(dir_.path("cache/index.sqlite"), std::ios::trunc) << std::string(9000, 'z');
  for (const char* log : {"-wal", "-shm"}) fs::remove(dir_.path("cache/index.sqlite") + log);
  start();
  EXPECT_EQ(open(file)->verified(), picture(".####"));
  EXPECT_TRUE(fs::exists(dir_.path("cache/index.sqlite.damaged")));
}

TEST_F(Recovery, FindsPiecesOfAnotherPieceLengthAgain) {
  const TestFile file = make_file(4 * kTestPiece, kTestPiece);
  TestFile other = make_file(4 * kTestPiece, 2 * kTestPiece);
  other.content.id = file.content.id;
  start();
  send_and_wait(open(file), file, 1, 4);
  store_.reset();
  start();
  EXPECT_EQ(open(other)->verified(), picture(".#"));
}

TEST_F(Recovery, EveryBelievedPieceIsRightAfterKillsAtRandomPoints) {
  sync_interval_ = std::chrono::milliseconds(20);
  const TestFile file = make_file(24 * core::kMiB + 4321, 256 * 1024);
  const std::uint32_t pieces = file.content.layout.piece_count();
  constexpr unsigned kSeed = 20'240'607;  // The machine's load varies the points further.
  std::cout << "seed " << kSeed << "\n";
  std::mt19937 random(kSeed);
  std::uint32_t most = 0;
  for (int round = 0; round < 10; ++round) {
    SCOPED_TRACE(round);
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = spawn([&] {
      const Store content = open(file);
      (void)!::write(ends[1], "x", 1);
      const std::uint32_t half = pieces / 2;
      (void)send(content, file, half, pieces);
      for (std::uint32_t p = 0; p < half; ++p) (void)send(content, file, p, p + 1);
    });
    char byte = 0;
    ASSERT_EQ(::read(ends[0], &byte, 1), 1);  // The child writes from now on.
    ::usleep(random() % 30'000);              // tidy: allow sleep: this is the random point
    ::kill(child, SIGKILL);
    reap(child);
    ::close(ends[0]);
    ::close(ends[1]);
    if (round % 3 == 2) boot_ = "boot-" + std::to_string(round);
    start();
    const Store content = open(file);
    ASSERT_NE(content, nullptr);
    most = std::max(most, content->verified().count());
    expect_verified_bytes_are_right(content, file);
    if (round % 2 == 0) {
      ASSERT_TRUE(purge(content));
    }
    store_.reset();
  }
  EXPECT_GT(most, 0U);
}

TEST_F(Recovery, ForgetsWhatAnEarlierRunLeftWithoutReadingIt) {
  start();
  const TestFile recorded = make_file(4 * kTestPiece, kTestPiece, 1);
  const TestFile unknown = make_file(4 * kTestPiece, kTestPiece, 2);
  {
    const Store content = open(recorded);
    send_and_wait(content, recorded, 0, 2);
    ASSERT_TRUE(close(content));
  }
  store_.reset();
  std::ofstream(data_path(unknown), std::ios::binary) << "a file that no row tells of";
  start();
  EXPECT_TRUE(forget(unknown.content.id));
  EXPECT_TRUE(forget(recorded.content.id));
  EXPECT_TRUE(fs::is_empty(dir_.path("cache/data")));
  EXPECT_TRUE(open(recorded)->verified().empty());
}

TEST_F(Recovery, TellsThatAForgottenDataFileCannotBeRemoved) {
  start();
  const TestFile file = make_file(kTestPiece, kTestPiece);
  fs::create_directory(data_path(file));
  const auto forgotten = forget(file.content.id);
  ASSERT_FALSE(forgotten);
  EXPECT_EQ(forgotten.error().code, ErrorCode::disk_io) << forgotten.error().message;
  fs::remove(data_path(file));
  EXPECT_NE(open(file), nullptr) << "the name is free again";
}

// Nothing is committed by the clock.
class WorkingDirectory : public Recovery {
 protected:
  void SetUp() override {
    working_directory_ = true;
    commit_interval_ = std::chrono::hours{1};
    start();
  }
  [[nodiscard]] bool has_index() const { return fs::exists(dir_.path("cache/index.sqlite")); }
};

TEST_F(WorkingDirectory, GetsAnIndexWhenThereIsSomethingToKeep) {
  const TestFile file = make_file(4 * kTestPiece, kTestPiece);
  {
    const Store content = open(file);
    EXPECT_FALSE(has_index());
    send_and_wait(content, file, 0, 2);
    ASSERT_TRUE(close(content));
    EXPECT_TRUE(has_index());
  }
  store_.reset();
  start();
  EXPECT_EQ(open(file)->verified().count(), 2U);
}

TEST_F(WorkingDirectory, NeverHasAnIndexOfAFileThatIsDeliveredAtOnce) {
  const TestFile file = make_file(4 * kTestPiece, kTestPiece);
  {
    const Store content = open(file);
    store_->refer(file.content.id, JobId{}, true);
    send_and_wait(content, file, 0, 4);
    ASSERT_TRUE(deliver(content, dir_.path("file"), ports::Delivery::consume));
    store_->refer(file.content.id, JobId{}, false);
  }
  ASSERT_TRUE(forget(file.content.id));
  store_.reset();
  EXPECT_TRUE(fs::exists(dir_.path("file")));
  EXPECT_TRUE(fs::is_empty(dir_.path("cache/data")));
  EXPECT_FALSE(has_index());
}

TEST_F(WorkingDirectory, FindsWhatWasNotRecordedByHashing) {
  const TestFile file = make_file(4 * kTestPiece, kTestPiece);
  {
    const Store content = open(file);
    send_and_wait(content, file, 0, 2);
    ASSERT_TRUE(content->verified().count() == 2U);
    // As a process leaves it that dies before its first commit.
    fs::copy_file(data_path(file), dir_.path("data"));
  }
  store_.reset();
  fs::remove_all(dir_.path("cache"));
  fs::create_directories(dir_.path("cache/data"));
  fs::rename(dir_.path("data"), data_path(file));
  start();
  const Store content = open(file);
  EXPECT_EQ(content->verified().count(), 2U);
}

}  // namespace
}  // namespace lanward::test
