#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/store/store_fixture.h"

namespace lanward::test {
namespace {

namespace fs = std::filesystem;
using ports::Delivery;

class DeliveryTest : public DiskStoreTest, public testing::WithParamInterface<Delivery> {
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

TEST_P(DeliveryTest, PutsTheWholeFileInPlace) {
  const TestFile file = make_file(9 * kTestPiece + 123, kTestPiece);
  const Store content = complete(file);
  const auto delivered = deliver(content, out_ + "/file.bin", GetParam());
  ASSERT_TRUE(delivered) << delivered.error().message;
  expect_file(out_ + "/file.bin", file);
  EXPECT_EQ(files_in(out_), 1U);
  const mode_t mask = ::umask(0);
  ::umask(mask);
  struct stat s {};
  ASSERT_EQ(::stat((out_ + "/file.bin").c_str(), &s), 0);
  EXPECT_EQ(s.st_mode & 07777, 0666U & ~mask);
  const bool kept = GetParam() == Delivery::keep;
  EXPECT_EQ(fs::exists(data_path(file)), kept);
  std::byte b{};
  EXPECT_EQ(content->read(core::PieceIndex{0}, 0, std::span(&b, 1), false).has_value(), kept);
  if (!kept) {
    EXPECT_TRUE(open(file)->verified().empty());
  }
}

TEST_P(DeliveryTest, DeliversAnEmptyFile) {
  const TestFile file = make_file(0, kTestPiece);
  ASSERT_TRUE(deliver(complete(file), out_ + "/empty", GetParam()));
  expect_file(out_ + "/empty", file);
}

TEST_P(DeliveryTest, ReplacesAFileAndALinkButNotWhatTheLinkPointsTo) {
  const TestFile file = make_file(kTestPiece, kTestPiece);
  std::ofstream(out_ + "/target") << "keep me";
  fs::create_symlink(out_ + "/target", out_ + "/file");
  ASSERT_TRUE(deliver(complete(file), out_ + "/file", GetParam()));
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
    const auto delivered = deliver(content, destination, GetParam());
    ASSERT_FALSE(delivered) << destination;
    EXPECT_EQ(delivered.error().code, ErrorCode::destination) << delivered.error().message;
    EXPECT_NE(delivered.error().message.find(words), std::string::npos)
        << delivered.error().message;
  }
  EXPECT_EQ(files_in(out_), 2U);
  EXPECT_TRUE(deliver(content, out_ + "/" + std::string(255, 'n'), GetParam()));
}

TEST_P(DeliveryTest, RefusesADirectoryThatCannotBeWritten) {
  const TestFile file = make_file(kTestPiece, kTestPiece);
  const Store content = complete(file);
  // No permission bits stop root; nobody creates files in /proc.
  const auto delivered =
      deliver(content, ::geteuid() == 0 ? "/proc/self/fdinfo/file" : "/file", GetParam());
  ASSERT_FALSE(delivered);
  EXPECT_EQ(delivered.error().code, ErrorCode::destination) << delivered.error().message;
  EXPECT_TRUE(deliver(content, out_ + "/file", GetParam()));
}

TEST_P(DeliveryTest, RefusesAnIncompleteContent) {
  const TestFile file = make_file(3 * kTestPiece, kTestPiece);
  const Store content = open(file);
  send_and_wait(content, file, 0, 2);
  const auto delivered = deliver(content, out_ + "/file", GetParam());
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
  const auto delivered = deliver(complete(file), pattern + "/file", GetParam());
  EXPECT_TRUE(delivered) << delivered.error().message;
  expect_file(pattern + "/file", file);
  EXPECT_EQ(fs::exists(data_path(file)), GetParam() == Delivery::keep);
  fs::remove_all(pattern);
}

INSTANTIATE_TEST_SUITE_P(Both, DeliveryTest, testing::Values(Delivery::keep, Delivery::consume),
                         [](const auto& how) {
                           return std::string(how.param == Delivery::keep ? "Keep" : "Consume");
                         });

}  // namespace
}  // namespace lanward::test
