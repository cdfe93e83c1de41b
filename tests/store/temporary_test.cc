// The temporary file of a delivery: what a crash leaves of it, and what others may put in its way.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/store/delivery.h"
#include "engine/store/unique_fd.h"
#include "tests/store/store_fixture.h"

namespace lanward::test {
namespace {

namespace fs = std::filesystem;
using store::UniqueFd;

constexpr std::uint64_t kSize = 1024 * 1024;
constexpr const char* kOld = "what was there before";

std::string read_all(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) {
    names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

core::Digest test_id() {
  core::Digest id{};
  for (std::uint8_t i = 0; i < id.size(); ++i) id[i] = static_cast<std::uint8_t>(i * 17);
  return id;
}

// With and without unnamed temporary files.
class TemporaryTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    fs::create_directory(out_);
    const auto bytes = make_bytes(kSize, 7);
    std::ofstream(dir_.path("source"), std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), kSize);
    source_ = UniqueFd(::open(dir_.path("source").c_str(), O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(source_);
    if (!GetParam() && !UniqueFd(::open(out_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600))) {
      GTEST_SKIP() << "no unnamed files on this file system";
    }
  }
  [[nodiscard]] Result<void> deliver() const {
    const core::ByteSpan all{0, kSize};
    return store::deliver_copy(source_.get(), std::span(&all, 1),
                               {destination_, test_id(), GetParam()});
  }
  void expect_delivered_alone() const {
    EXPECT_EQ(names_in(out_), std::vector<std::string>{"file"});
    EXPECT_EQ(read_all(destination_), read_all(dir_.path("source")));
    EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(destination_)));
  }
  // Starts a delivery in another process, which the kernel kills when half of it is copied.
  void be_killed_half_way() const {
    const pid_t child = ::fork();
    if (child == 0) {
      const rlimit none{0, 0};
      const rlimit half{kSize / 2, kSize / 2};
      if (::setrlimit(RLIMIT_CORE, &none) != 0 || ::setrlimit(RLIMIT_FSIZE, &half) != 0) ::_exit(1);
      (void)deliver();
      ::_exit(0);
    }
    ASSERT_GT(child, 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    ASSERT_EQ(WTERMSIG(status), SIGXFSZ);
  }

  support::TemporaryDirectory dir_;
  const std::string out_ = dir_.path("out");
  const std::string destination_ = out_ + "/file";
  const std::string temporary_ = store::temporary_path(destination_, test_id());
  UniqueFd source_;
};

TEST_P(TemporaryTest, AKilledCopyLeavesAtMostOneFileWhichASweepRemoves) {
  for (const bool replaces : {false, true}) {
    SCOPED_TRACE(replaces);
    fs::remove(destination_);
    if (replaces) std::ofstream(destination_) << kOld;
    be_killed_half_way();
    EXPECT_EQ(fs::exists(temporary_), GetParam());
    EXPECT_EQ(names_in(out_).size(), std::size_t{GetParam()} + std::size_t{replaces});
    EXPECT_EQ(read_all(destination_), replaces ? kOld : "");
    EXPECT_TRUE(store::sweep_temporary(destination_, test_id()));
    EXPECT_EQ(names_in(out_).size(), std::size_t{replaces});
    EXPECT_EQ(read_all(destination_), replaces ? kOld : "");
  }
}

TEST_P(TemporaryTest, ADeliveryAfterAKilledOneLeavesTheFileAlone) {
  std::ofstream(destination_) << kOld;
  be_killed_half_way();
  be_killed_half_way();
  ASSERT_TRUE(deliver());
  expect_delivered_alone();
}

// As after a kill between the two steps that replace a file.
TEST_P(TemporaryTest, RemovesAWholeLeftoverAndWritesNothingToIt) {
  std::ofstream(dir_.path("victim")) << "keep me";
  for (const bool replaces : {false, true}) {
    SCOPED_TRACE(replaces);
    fs::remove(destination_);
    if (replaces) std::ofstream(destination_) << kOld;
    fs::create_hard_link(dir_.path("victim"), temporary_);
    ASSERT_TRUE(deliver());
    expect_delivered_alone();
  }
  EXPECT_EQ(read_all(dir_.path("victim")), "keep me");
}

TEST_P(TemporaryTest, AMoveRemovesALeftoverOfACopy) {
  std::ofstream(temporary_) << "half of it";
  const auto moved = store::deliver_move(dir_.path("source"), source_.get(),
                                         {destination_, test_id(), GetParam()});
  ASSERT_TRUE(moved) << moved.error().message;
  EXPECT_TRUE(*moved);
  EXPECT_EQ(names_in(out_), std::vector<std::string>{"file"});
  EXPECT_EQ(fs::file_size(destination_), kSize);
}

TEST_P(TemporaryTest, NeverFollowsALinkPlantedAtItsName) {
  std::ofstream(dir_.path("victim")) << "keep me";
  for (const char* points_to : {"victim", "nothing"}) {
    SCOPED_TRACE(points_to);
    std::ofstream(destination_) << kOld;
    fs::create_symlink(dir_.path(points_to), temporary_);
    ASSERT_TRUE(deliver());
    expect_delivered_alone();
  }
  EXPECT_EQ(read_all(dir_.path("victim")), "keep me");
  EXPECT_FALSE(fs::exists(dir_.path("nothing")));
}

TEST_P(TemporaryTest, RefusesWhenItsNameCannotBeMadeFree) {
  std::ofstream(destination_) << kOld;
  fs::create_directory(temporary_);
  EXPECT_FALSE(deliver());
  EXPECT_EQ(read_all(destination_), kOld);
  EXPECT_EQ(names_in(out_).size(), 2U);
}

TEST_P(TemporaryTest, TakesNothingAwayFromADeliveryAtWork) {
  std::ofstream(destination_) << kOld;
  std::ofstream(temporary_) << "half of it";
  {
    const UniqueFd at_work(::open(temporary_.c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_EQ(::flock(at_work.get(), LOCK_EX | LOCK_NB), 0);
    const auto delivered = deliver();
    ASSERT_FALSE(delivered);
    EXPECT_EQ(delivered.error().code, ErrorCode::in_use) << delivered.error().message;
    const auto swept = store::sweep_temporary(destination_, test_id());
    ASSERT_FALSE(swept);
    EXPECT_EQ(swept.error().code, ErrorCode::in_use);
    EXPECT_EQ(read_all(temporary_), "half of it");
    EXPECT_EQ(read_all(destination_), kOld);
  }
  ASSERT_TRUE(deliver());
  expect_delivered_alone();
}

TEST_P(TemporaryTest, ReplacesAFileOfTheLongestName) {
  // 255 bytes, of which a cut at any odd place would halve a character.
  std::string name = "n";
  while (name.size() < 255) name += "\xc3\xa4";
  const core::ByteSpan all{0, kSize};
  for (int i = 0; i < 2; ++i) {
    const auto delivered = store::deliver_copy(source_.get(), std::span(&all, 1),
                                               {out_ + "/" + name, test_id(), GetParam()});
    ASSERT_TRUE(delivered) << delivered.error().message;
    EXPECT_EQ(names_in(out_), std::vector{name});
  }
}

INSTANTIATE_TEST_SUITE_P(All, TemporaryTest, testing::Bool(), [](const auto& named) -> std::string {
  return named.param ? "Named" : "Unnamed";
});

TEST(TemporaryPath, TellsDestinationAndContentWithinTheLongestName) {
  EXPECT_EQ(store::temporary_path("/a/b/file.bin", test_id()),
            "/a/b/.file.bin.lanward-0011223344556677");
  EXPECT_EQ(store::temporary_path("file", test_id()), "./.file.lanward-0011223344556677");
  for (std::size_t size = 220; size <= 255; ++size) {
    std::string name(size % 2, 'n');
    while (name.size() < size) name += "\xc3\xa4";
    const std::string temporary =
        fs::path(store::temporary_path("/d/" + name, test_id())).filename();
    EXPECT_LE(temporary.size(), 255U);
    EXPECT_GE(temporary.size(), std::min<std::size_t>(size, 253));
    const std::string kept = temporary.substr(1, temporary.size() - 26);  // of ".", mark and id
    EXPECT_EQ(kept, name.substr(0, kept.size()));
    EXPECT_EQ(kept.size() % 2, size % 2) << "half a character at its end";
  }
}

using SweepTest = DiskStoreTest;

TEST_F(SweepTest, RemovesTheLeftoverOfThatContentAndPlaceOnly) {
  start();
  const auto other = make_file(1, kTestPiece).content.id;
  const std::string destination = dir_.path("file");
  const std::string leftover = store::temporary_path(destination, test_id());
  const std::string others[] = {destination, store::temporary_path(destination, other),
                                store::temporary_path(dir_.path("other"), test_id())};
  for (const std::string& name : others) std::ofstream(name) << "x";
  std::ofstream(leftover) << "x";
  EXPECT_TRUE(sweep(destination, test_id()));
  EXPECT_FALSE(fs::exists(leftover));
  for (const std::string& name : others) EXPECT_TRUE(fs::exists(name)) << name;
  EXPECT_TRUE(sweep(destination, test_id()));
}

TEST_F(SweepTest, LeavesWhatIsNoRegularFile) {
  start();
  const std::string destination = dir_.path("file");
  const std::string name = store::temporary_path(destination, test_id());
  std::ofstream(dir_.path("victim")) << "keep me";
  fs::create_symlink(dir_.path("victim"), name);
  EXPECT_TRUE(sweep(destination, test_id()));
  EXPECT_TRUE(fs::is_symlink(name));
  EXPECT_EQ(read_all(dir_.path("victim")), "keep me");
  fs::remove(name);
  ASSERT_EQ(::mkfifo(name.c_str(), 0600), 0);
  EXPECT_TRUE(sweep(destination, test_id()));
  EXPECT_TRUE(fs::is_fifo(name));
  fs::remove(name);
  fs::create_directory(name);
  EXPECT_TRUE(sweep(destination, test_id()));
  EXPECT_TRUE(fs::is_directory(name));
}

}  // namespace
}  // namespace lanward::test
