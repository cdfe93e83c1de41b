#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <thread>
#include <tuple>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/store/store_fixture.h"

namespace lanward::test {
namespace {

namespace fs = std::filesystem;
using ports::Delivery;

class DeliveryFixture : public DiskStoreTest {
 protected:
  void SetUp() override {
    start();
    fs::create_directory(out_);
  }
  Store complete(const TestFile& file) {
    const Store content = open(file);
    if (file.content.layout.piece_count() > 0) {
      send_and_wait(content, file, 0, file.content.layout.piece_count());
    }
    return content;
  }
  static void expect_file(const std::string& path, const TestFile& file) {
    std::ifstream in(path, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    ASSERT_EQ(bytes.size(), file.bytes.size());
    EXPECT_TRUE(std::ranges::equal(std::as_bytes(std::span(bytes)), file.bytes));
  }
  // What lies in the destination's directory besides the files named.
  [[nodiscard]] std::size_t files_in(const std::string& directory) const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(directory), fs::directory_iterator()));
  }
  const std::string out_ = dir_.path("out");
};

// How, and whether the file system is one without unnamed temporary files.
class DeliveryTest : public DeliveryFixture,
                     public testing::WithParamInterface<std::tuple<Delivery, bool>> {
 protected:
  void SetUp() override {
    named_temporaries_ = std::get<1>(GetParam());
    DeliveryFixture::SetUp();
  }
  static Delivery how() { return std::get<0>(GetParam()); }
};

TEST_P(DeliveryTest, PutsTheWholeFileInPlace) {
  const TestFile file = make_file(9 * kTestPiece + 123, kTestPiece);
  const Store content = complete(file);
  const auto delivered = deliver(content, out_ + "/file.bin", how());
  ASSERT_TRUE(delivered) << delivered.error().message;
  expect_file(out_ + "/file.bin", file);
  EXPECT_EQ(files_in(out_), 1U);
  const mode_t mask = ::umask(0);
  ::umask(mask);
  struct stat s {};
  ASSERT_EQ(::stat((out_ + "/file.bin").c_str(), &s), 0);
  EXPECT_EQ(s.st_mode & 07777, 0666U & ~mask);
  const bool kept = how() == Delivery::keep;
  EXPECT_EQ(fs::exists(data_path(file)), kept);
  std::byte b{};
  EXPECT_EQ(content->read(core::PieceIndex{0}, 0, std::span(&b, 1), false).has_value(),
            how() != Delivery::consume);
  ASSERT_TRUE(close(content));
  EXPECT_EQ(open(file)->verified().full(), kept);
  expect_file(out_ + "/file.bin", file);
}

// What root delivers for somebody. Only root can become another user.
class DeliveryForAnotherTest : public DeliveryTest {
 protected:
  static constexpr uid_t kNobody = 65'534;
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    DeliveryTest::SetUp();
    fs::permissions(dir_.path("."), fs::perms::others_exec, fs::perm_options::add);
    ASSERT_EQ(::chown(out_.c_str(), kNobody, kNobody), 0);
    fs::create_directory(of_root_);
    fs::permissions(of_root_, fs::perms::owner_all | fs::perms::others_exec);
  }
  Result<void> deliver_for_nobody(const Store& content, const std::string& to) {
    return outcome<Result<void>>([&](auto done) {
      store_->deliver(content, {.destination = to, .how = how(), .owner = kNobody},
                      std::move(done));
    });
  }
  const std::string of_root_ = dir_.path("root");
};

TEST_P(DeliveryForAnotherTest, TheFileBelongsToTheOwner) {
  const TestFile file = make_file(3 * kTestPiece + 5, kTestPiece);
  const Store content = complete(file);
  const auto delivered = deliver_for_nobody(content, out_ + "/file");
  ASSERT_TRUE(delivered) << delivered.error().message;
  expect_file(out_ + "/file", file);
  EXPECT_EQ(files_in(out_), 1U);
  struct stat s {};
  ASSERT_EQ(::stat((out_ + "/file").c_str(), &s), 0);
  EXPECT_EQ(s.st_uid, kNobody);
  EXPECT_NE(s.st_gid, 0U);
}

TEST_P(DeliveryForAnotherTest, WhereTheOwnerMayNotWriteNothingIsDelivered) {
  const TestFile file = make_file(kTestPiece, kTestPiece);
  const Store content = complete(file);
  fs::create_directory_symlink(of_root_, out_ + "/planted");
  for (const std::string& to : {of_root_ + "/file", out_ + "/planted/file"}) {
    const auto delivered = deliver_for_nobody(content, to);
    ASSERT_FALSE(delivered) << to;
    EXPECT_EQ(delivered.error().code, ErrorCode::destination) << delivered.error().message;
  }
  EXPECT_EQ(files_in(of_root_), 0U);
  // The thread is root's again.
  EXPECT_TRUE(deliver(content, of_root_ + "/file", how()));
}

TEST_P(DeliveryTest, DeliversAnEmptyFile) {
  const TestFile file = make_file(0, kTestPiece);
  ASSERT_TRUE(deliver(complete(file), out_ + "/empty", how()));
  expect_file(out_ + "/empty", file);
}

TEST_P(DeliveryTest, ReplacesAFileAndALinkButNotWhatTheLinkPointsTo) {
  const TestFile file = make_file(kTestPiece, kTestPiece);
  std::ofstream(out_ + "/target") << "keep me";
  fs::create_symlink(out_ + "/target", out_ + "/file");
  ASSERT_TRUE(deliver(complete(file), out_ + "/file", how()));
  EXPECT_FALSE(fs::is_symlink(out_ + "/file"));
  expect_file(out_ + "/file", file);
  EXPECT_EQ(fs::file_size(out_ + "/target"), 7U);
}

TEST_P(DeliveryTest, RefusesPlacesThatCannotTakeAFileAndStaysDeliverable) {
  const TestFile file = make_file(2 * kTestPiece, kTestPiece);
  const Store content = complete(file);
  fs::create_directory(out_ + "/directory");
  std::ofstream(out_ + "/plain") << "x";
  const std::pair<std::string, std::string> cases[] = {
      {out_ + "/directory", "directory of that name exists"},
      {out_ + "/", "not the name of a file"},
      {out_ + "/missing/file", "does not exist"},
      {out_ + "/plain/file", "is not a directory"},
      {out_ + "/" + std::string(300, 'n'), "too long"},
  };
  for (const auto& [destination, words] : cases) {
    const auto delivered = deliver(content, destination, how());
    ASSERT_FALSE(delivered) << destination;
    EXPECT_EQ(delivered.error().code, ErrorCode::destination) << delivered.error().message;
    EXPECT_NE(delivered.error().message.find(words), std::string::npos)
        << delivered.error().message;
  }
  EXPECT_EQ(files_in(out_), 2U);
  EXPECT_TRUE(deliver(content, out_ + "/" + std::string(255, 'n'), how()));
}

TEST_P(DeliveryTest, RefusesADirectoryThatCannotBeWritten) {
  const TestFile file = make_file(kTestPiece, kTestPiece);
  const Store content = complete(file);
  // No permission bits stop root; nobody creates files in /proc.
  const auto delivered =
      deliver(content, ::geteuid() == 0 ? "/proc/self/fdinfo/file" : "/file", how());
  ASSERT_FALSE(delivered);
  EXPECT_EQ(delivered.error().code, ErrorCode::destination) << delivered.error().message;
  EXPECT_TRUE(deliver(content, out_ + "/file", how()));
}

TEST_P(DeliveryTest, RefusesAnIncompleteContent) {
  const TestFile file = make_file(3 * kTestPiece, kTestPiece);
  const Store content = open(file);
  send_and_wait(content, file, 0, 2);
  const auto delivered = deliver(content, out_ + "/file", how());
  ASSERT_FALSE(delivered);
  EXPECT_EQ(delivered.error().code, ErrorCode::invalid_state);
  EXPECT_EQ(files_in(out_), 0U);
}

TEST_P(DeliveryTest, DeliversToAnotherFileSystem) {
  if (!fs::exists("/dev/shm")) GTEST_SKIP() << "no /dev/shm";
  struct stat here {};
  struct stat there {};
  ASSERT_EQ(::stat(out_.c_str(), &here), 0);
  ASSERT_EQ(::stat("/dev/shm", &there), 0);
  if (here.st_dev == there.st_dev) GTEST_SKIP() << "/dev/shm is the same file system";
  std::string pattern = "/dev/shm/lanward-XXXXXX";
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  const TestFile file = make_file(5 * kTestPiece + 1, kTestPiece);
  const Store content = complete(file);
  const auto delivered = deliver(content, pattern + "/file", how());
  EXPECT_TRUE(delivered) << delivered.error().message;
  expect_file(pattern + "/file", file);
  // Where a rename is not possible the cache serves its own copy, and keeps it until it is told
  // that the delivery is recorded: a process that was killed before has to deliver again.
  EXPECT_TRUE(fs::exists(data_path(file)));
  EXPECT_FALSE(find_delivered(pattern + "/file", file.content.id));
  fs::remove_all(pattern);
  std::byte b{};
  EXPECT_EQ(content->read(core::PieceIndex{5}, 0, std::span(&b, 1), false).has_value(),
            how() != Delivery::consume);
  ASSERT_TRUE(close(content));
  EXPECT_EQ(fs::exists(data_path(file)), how() != Delivery::share);
  ASSERT_TRUE(forget(file.content.id));
  EXPECT_FALSE(fs::exists(data_path(file)));
}

TEST_P(DeliveryTest, AFileThatWasMovedIsKnownUntilItIsForgotten) {
  const TestFile file = make_file(3 * kTestPiece, kTestPiece);
  const std::string destination = out_ + "/file";
  const Store content = complete(file);
  EXPECT_FALSE(find_delivered(destination, file.content.id)) << "there is none";
  ASSERT_TRUE(deliver(content, destination, how()));
  EXPECT_EQ(find_delivered(destination, file.content.id), how() != Delivery::keep);
  fs::rename(destination, out_ + "/moved");
  EXPECT_FALSE(find_delivered(destination, file.content.id));
  EXPECT_EQ(find_delivered(out_ + "/moved", file.content.id), how() != Delivery::keep);
  std::ofstream(destination) << std::string(file.bytes.size(), 'x');
  EXPECT_FALSE(find_delivered(destination, file.content.id)) << "another file of that size";
  fs::rename(out_ + "/moved", destination);
  ASSERT_TRUE(close(content));
  if (how() != Delivery::keep) {
    ASSERT_TRUE(forget(file.content.id));
  }
  EXPECT_FALSE(find_delivered(destination, file.content.id));
  expect_file(destination, file);
}

TEST_P(DeliveryTest, CopiesPartsAndNeverGivesTheDataFileAway) {
  const TestFile file = make_file(5 * kTestPiece, kTestPiece);
  const Store content = open(file);
  send_and_wait(content, file, 1, 3);
  std::ofstream(out_ + "/file") << "older";
  const std::uint64_t begin = kTestPiece + 3;
  const std::uint64_t end = 3 * kTestPiece - 3;
  const auto delivered = deliver(content, out_ + "/file", how(), {{begin, end}});
  ASSERT_TRUE(delivered) << delivered.error().message;
  EXPECT_EQ(fs::file_size(out_ + "/file"), end - begin);
  EXPECT_EQ(files_in(out_), 1U);
  EXPECT_EQ(fs::exists(data_path(file)), how() != Delivery::consume);
  // The delivered file is the user's alone: what he writes there changes nothing here.
  std::ofstream(out_ + "/file") << "changed";
  std::vector<std::byte> read(kTestPiece);
  const auto outcome = content->read(core::PieceIndex{1}, 0, read, false);
  EXPECT_EQ(outcome.has_value(), how() != Delivery::consume);
  if (outcome) {
    EXPECT_TRUE(std::ranges::equal(read, file.piece(1)));
  }
  ASSERT_TRUE(close(content));
  EXPECT_EQ(fs::exists(data_path(file)), how() == Delivery::keep);
}

std::string way_name(const testing::TestParamInfo<std::tuple<Delivery, bool>>& chosen) {
  const Delivery how = std::get<0>(chosen.param);
  const std::string name = how == Delivery::keep      ? "Keep"
                           : how == Delivery::consume ? "Consume"
                                                      : "Share";
  return name + (std::get<1>(chosen.param) ? "Named" : "");
}
const auto kAllWays = testing::Combine(
    testing::Values(Delivery::keep, Delivery::consume, Delivery::share), testing::Bool());
INSTANTIATE_TEST_SUITE_P(All, DeliveryTest, kAllWays, way_name);
INSTANTIATE_TEST_SUITE_P(All, DeliveryForAnotherTest, kAllWays, way_name);

class SharedDelivery : public DeliveryFixture {
 protected:
  Store share(const TestFile& file) {
    Store content = complete(file);
    const auto delivered = deliver(content, destination_, Delivery::share);
    EXPECT_TRUE(delivered) << delivered.error().message;
    return content;
  }
  static Result<std::vector<std::byte>> read(const Store& content, const TestFile& file,
                                             std::uint32_t piece, bool cached_only = false) {
    std::vector<std::byte> bytes(file.piece(piece).size());
    const auto outcome = content->read(core::PieceIndex{piece}, 0, bytes, cached_only);
    if (!outcome) return tl::unexpected(outcome.error());
    return bytes;
  }
  static void expect_served(const Store& content, const TestFile& file) {
    for (std::uint32_t p = 0; p < file.content.layout.piece_count(); ++p) {
      const auto bytes = read(content, file, p);
      ASSERT_TRUE(bytes) << bytes.error().message;
      EXPECT_TRUE(std::ranges::equal(*bytes, file.piece(p)));
    }
  }
  void overwrite(std::uint64_t at, std::size_t size) const {
    std::fstream out(destination_, std::ios::in | std::ios::out | std::ios::binary);
    out.seekp(static_cast<std::streamoff>(at));
    out << std::string(size, 'x');
  }
  const std::string destination_ = out_ + "/file";
};

TEST_F(SharedDelivery, IsServedWhereverTheUserPutsTheFile) {
  const TestFile file = make_file(4 * kTestPiece + 5, kTestPiece);
  const Store content = share(file);
  ASSERT_EQ(::chmod(destination_.c_str(), 0444), 0);
  fs::rename(destination_, out_ + "/moved");
  expect_served(content, file);
  fs::remove(out_ + "/moved");
  expect_served(content, file);
  EXPECT_TRUE(close(content));
  EXPECT_EQ(files_in(out_), 0U);
}

TEST_F(SharedDelivery, KeepsNoDescriptorThatCouldWriteTheFile) {
  const TestFile file = make_file(kTestPiece, kTestPiece);
  const Store content = share(file);
  struct stat wanted {};
  ASSERT_EQ(::stat(destination_.c_str(), &wanted), 0);
  int seen = 0;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    const int fd = std::stoi(entry.path().filename());
    struct stat s {};
    if (::fstat(fd, &s) != 0 || s.st_dev != wanted.st_dev || s.st_ino != wanted.st_ino) continue;
    ++seen;
    EXPECT_EQ(::fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    EXPECT_EQ(::fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  }
  EXPECT_EQ(seen, 1);
  EXPECT_TRUE(close(content));
}

TEST_F(SharedDelivery, ServesNothingOfAFileThatWasChanged) {
  const std::pair<const char*, std::function<void()>> changes[] = {
      {"one byte", [&] { overwrite(kTestPiece + 7, 1); }},
      {"rewritten", [&] { overwrite(0, 3 * kTestPiece); }},
      {"cut", [&] { fs::resize_file(destination_, kTestPiece + 1); }},
      {"emptied and filled again",
       [&] {
         fs::resize_file(destination_, 0);
         fs::resize_file(destination_, 3 * kTestPiece);
       }},
      {"longer", [&] { overwrite(3 * kTestPiece, 1); }},
      {"through memory",
       [&] {
         const int fd = ::open(destination_.c_str(), O_RDWR | O_CLOEXEC);
         void* const map = ::mmap(nullptr, kTestPiece, PROT_WRITE, MAP_SHARED, fd, 0);
         ASSERT_NE(map, MAP_FAILED);
         static_cast<char*>(map)[9] = 'x';
         ::munmap(map, kTestPiece);
         ::close(fd);
       }},
  };
  std::uint64_t seed = 0;
  for (const auto& [how, change] : changes) {
    SCOPED_TRACE(how);
    const TestFile file = make_file(3 * kTestPiece, kTestPiece, ++seed);
    const Store content = share(file);
    expect_served(content, file);
    change();
    for (std::uint32_t p = 0; p < 3; ++p) {
      EXPECT_EQ(read(content, file, p).error().code, ErrorCode::disk_io) << p;
      EXPECT_FALSE(read(content, file, p, true)) << p;
    }
    const auto size = fs::file_size(destination_);
    EXPECT_TRUE(close(content));
    EXPECT_EQ(fs::file_size(destination_), size) << "the file is the user's";
    EXPECT_TRUE(open(file)->verified().empty());
  }
}

TEST_F(SharedDelivery, NoHashesAreTakenOfAFileThatWasChanged) {
  const TestFile file = make_file(2 * kTestPiece, kTestPiece);
  ASSERT_TRUE(close(complete(file)));
  const Store content = open(file);  // The hashes are not at hand any more.
  ASSERT_TRUE(deliver(content, destination_, Delivery::share));
  overwrite(0, 1);
  const auto hashes = outcome<Result<std::vector<core::Digest>>>(
      [&](auto done) { content->block_hashes(core::PieceIndex{0}, std::move(done)); });
  ASSERT_FALSE(hashes);
  EXPECT_EQ(hashes.error().code, ErrorCode::disk_io);
}

TEST_F(SharedDelivery, NoReaderEverGetsAByteOfAChange) {
  const TestFile file = make_file(32 * kTestPiece, kTestPiece);
  const Store content = complete(file);
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::vector<std::jthread> readers;
  for (const bool cached_only : {false, true}) {
    readers.emplace_back([&, cached_only] {
      for (std::uint32_t p = 0; !stop; p = (p + 1) % 32) {
        const auto bytes = read(content, file, p, cached_only);
        if (bytes && !std::ranges::equal(*bytes, file.piece(p))) ++wrong;
      }
    });
  }
  ASSERT_TRUE(deliver(content, destination_, Delivery::share));
  overwrite(0, 32 * kTestPiece);
  for (int i = 0; i < 100; ++i) (void)read(content, file, 31);
  stop = true;
  readers.clear();
  EXPECT_EQ(wrong, 0);
  EXPECT_FALSE(read(content, file, 0));
}

TEST_F(SharedDelivery, ALaterDeliveryToTheSamePlaceReplacesTheNameAlone) {
  const TestFile old_file = make_file(2 * kTestPiece, kTestPiece, 1);
  const TestFile new_file = make_file(2 * kTestPiece + 1, kTestPiece, 2);
  const Store content = share(old_file);
  ASSERT_TRUE(deliver(complete(new_file), destination_, Delivery::consume));
  expect_served(content, old_file);
  ASSERT_TRUE(purge(content));
  expect_file(destination_, new_file);
}

TEST_F(SharedDelivery, AStoreThatEndsLeavesTheUserHisFileAndNothingElse) {
  const TestFile file = make_file(2 * kTestPiece, kTestPiece);
  const Store content = share(file);
  store_.reset();
  expect_file(destination_, file);
  EXPECT_EQ(files_in(dir_.path("cache/data")), 0U);
  start();
  EXPECT_TRUE(open(file)->verified().empty());
  expect_file(destination_, file);
}

TEST_F(SharedDelivery, AfterACrashTheContentIsFoundToBeEmpty) {
  const TestFile file = make_file(2 * kTestPiece, kTestPiece);
  const Store content = share(file);
  // What a process that is killed now leaves behind.
  fs::copy(dir_.path("cache"), dir_.path("left"), fs::copy_options::recursive);
  store_.reset();
  fs::remove_all(dir_.path("cache"));
  fs::rename(dir_.path("left"), dir_.path("cache"));
  start();
  const Store again = open(file);
  EXPECT_TRUE(again->verified().empty());
  send_and_wait(again, file, 0, 2);
  ASSERT_TRUE(deliver(again, destination_, Delivery::share));
  expect_served(again, file);
}

}  // namespace
}  // namespace lanward::test
