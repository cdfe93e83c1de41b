// Where the bytes go when the cache cannot take them.
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/mount.h>

#include "engine/store/placement.h"
#include "tests/store/store_fixture.h"

namespace lanward::test {
namespace {

namespace fs = std::filesystem;

class PlacementTest : public DiskStoreTest {
 protected:
  void begin(CachePolicy policy) {
    store::DiskStoreOptions o = options();
    o.policy = policy;
    store_.reset();
    auto opened = store::DiskStore::open(o);
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
  }
  static CachePolicy quota(std::uint64_t bytes) {
    CachePolicy policy = store::unlimited();
    policy.max_bytes = bytes;
    return policy;
  }
  Result<Store> open_for(const TestFile& file, bool beside = false) {
    return outcome<Result<Store>>([&](auto done) {
      store_->open_with(file.content, {.destination = out(), .beside = beside}, record_.sink(),
                        std::move(done));
    });
  }
  [[nodiscard]] std::string out() const { return dir_.path("out/file"); }
  [[nodiscard]] std::string partial(const TestFile& file) const {
    return store::partial_path(out(), file.content.id);
  }
  static bool holds(const std::string& path, const TestFile& file) {
    std::ifstream in(path, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), {});
    return std::equal(bytes.begin(), bytes.end(), file.bytes.begin(), file.bytes.end(),
                      [](char a, std::byte b) { return static_cast<std::byte>(a) == b; });
  }
  void SetUp() override { fs::create_directory(dir_.path("out")); }
};

TEST_F(PlacementTest, WhatTheQuotaDoesNotAllowGoesBesideItsDestination) {
  begin(quota(4 * kTestPiece));
  const TestFile file = make_file(6 * kTestPiece, kTestPiece);
  const auto content = open_for(file);
  ASSERT_TRUE(content) << content.error().message;
  EXPECT_NE((*content)->note().find("not cached"), std::string::npos);
  EXPECT_NE((*content)->note().find("quota"), std::string::npos);
  send_and_wait(*content, file, 0, 6);
  EXPECT_FALSE(fs::exists(data_path(file)));
  EXPECT_TRUE(fs::exists(partial(file)));
  // Nothing is kept, so the file is moved, and served from there while it is open.
  ASSERT_TRUE(deliver(*content, out(), ports::Delivery::keep));
  EXPECT_TRUE(holds(out(), file));
  EXPECT_FALSE(fs::exists(partial(file)));
  std::byte b{};
  EXPECT_TRUE((*content)->read(core::PieceIndex{5}, 0, std::span(&b, 1), false));
  ASSERT_TRUE(deliver(*content, out() + "2", ports::Delivery::keep)) << "a second job has one too";
  EXPECT_TRUE(holds(out() + "2", file));
  ASSERT_TRUE(close(*content));
  EXPECT_TRUE(holds(out(), file));
  EXPECT_TRUE(store_->admin()->list()->empty());
}

TEST_F(PlacementTest, ItGoesOnThereAfterARestartAndComesHomeWhenThereIsRoom) {
  begin(quota(4 * kTestPiece));
  const TestFile file = make_file(6 * kTestPiece, kTestPiece);
  auto content = open_for(file);
  send_and_wait(*content, file, 0, 3);
  ASSERT_TRUE(close(*content));
  EXPECT_TRUE(fs::exists(partial(file)));
  begin(quota(4 * kTestPiece));
  content = open_for(file);
  ASSERT_TRUE(content);
  EXPECT_EQ((*content)->verified().count(), 3U);
  ASSERT_TRUE(close(*content));
  begin(store::unlimited());
  content = open_for(file);
  ASSERT_TRUE(content);
  EXPECT_EQ((*content)->verified().count(), 3U);
  EXPECT_EQ((*content)->note(), "");
  EXPECT_TRUE(fs::exists(data_path(file)));
  EXPECT_FALSE(fs::exists(partial(file)));
}

TEST_F(PlacementTest, ACancelRemovesItWhereverItIs) {
  begin(quota(4 * kTestPiece));
  const TestFile file = make_file(6 * kTestPiece, kTestPiece);
  auto content = open_for(file);
  send_and_wait(*content, file, 0, 3);
  ASSERT_TRUE(purge(*content));
  EXPECT_TRUE(fs::is_empty(dir_.path("out")));
  content = open_for(file);
  EXPECT_TRUE((*content)->verified().empty());
  ASSERT_TRUE(close(*content));
  ASSERT_TRUE(forget(file.content.id));
  EXPECT_TRUE(fs::is_empty(dir_.path("out")));
}

TEST_F(PlacementTest, WithoutADestinationTheQuotaIsExceededForOnce) {
  begin(quota(4 * kTestPiece));
  const TestFile file = make_file(6 * kTestPiece, kTestPiece);
  const Store content = open(file);
  ASSERT_NE(content, nullptr);
  send_and_wait(content, file, 0, 6);
  ASSERT_TRUE(close(content));
  const auto trimmed = store_->admin()->trim();
  ASSERT_TRUE(trimmed);
  EXPECT_EQ(trimmed->contents, 1U);
  EXPECT_FALSE(fs::exists(data_path(file)));
}

TEST_F(PlacementTest, APlantedLinkIsNotFollowed) {
  begin(quota(4 * kTestPiece));
  const TestFile file = make_file(6 * kTestPiece, kTestPiece);
  std::ofstream(dir_.path("victim")) << "mine";
  fs::create_symlink(dir_.path("victim"), partial(file));
  EXPECT_FALSE(open_for(file));
  EXPECT_EQ(fs::file_size(dir_.path("victim")), 4U);
}

TEST_F(PlacementTest, ACacheDirectoryThatVanishesIsMadeAgain) {
  begin(store::unlimited());
  const TestFile file = make_file(6 * kTestPiece, kTestPiece);
  auto content = open_for(file);
  send_and_wait(*content, file, 0, 3);
  fs::remove_all(dir_.path("cache"));
  // The open file does not mind.
  send_and_wait(*content, file, 3, 6);
  ASSERT_TRUE(deliver(*content, out(), ports::Delivery::keep));
  EXPECT_TRUE(holds(out(), file));
  (void)close(*content);
  const TestFile next = make_file(6 * kTestPiece, kTestPiece, 2);
  content = open_for(next);
  ASSERT_TRUE(content) << content.error().message;
  EXPECT_EQ((*content)->note(), "");
  send_and_wait(*content, next, 0, 6);
  ASSERT_TRUE(close(*content));
  EXPECT_TRUE(fs::exists(data_path(next)));
  EXPECT_EQ(store_->admin()->list()->size(), 1U);
}

// The cache on a file system of its own, of 4 MiB.
class SmallCache : public OnSmallDisk<PlacementTest> {};

TEST_F(SmallCache, WhatIsNotNeededMakesRoom) {
  begin(store::unlimited());
  const TestFile old = make_file(2 * core::kMiB, kTestPiece, 1);
  const Store before = open(old);
  send_and_wait(before, old, 0, old.content.layout.piece_count());
  ASSERT_TRUE(close(before));
  const TestFile file = make_file(3 * core::kMiB, kTestPiece, 2);
  const auto content = open_for(file);
  ASSERT_TRUE(content);
  send_and_wait(*content, file, 0, file.content.layout.piece_count());
  EXPECT_TRUE(record_.look([&] { return record_.errors.empty(); }));
  ASSERT_TRUE(close(*content));
  EXPECT_FALSE(fs::exists(data_path(old)));
  EXPECT_TRUE(fs::exists(data_path(file)));
}

TEST_F(SmallCache, AFullDiskSendsTheContentToItsDestinationAndRecovers) {
  begin(store::unlimited());
  const TestFile file = make_file(8 * core::kMiB, kTestPiece);
  const std::uint32_t pieces = file.content.layout.piece_count();
  auto content = open_for(file);
  (void)send(*content, file, 0, pieces);
  ASSERT_TRUE(record_.wait([&] { return !record_.errors.empty(); }));
  const std::uint32_t kept = (*content)->verified().count();
  (void)close(*content);
  EXPECT_NE(store_->admin()->status()->trouble, "");
  content = open_for(file, true);
  ASSERT_TRUE(content) << content.error().message;
  EXPECT_NE((*content)->note().find("not cached"), std::string::npos);
  EXPECT_GE((*content)->verified().count(), kept) << "what was verified has come along";
  EXPECT_FALSE(fs::exists(data_path(file))) << "its space is free again";
  EXPECT_TRUE(send(*content, file, 0, pieces));
  ASSERT_TRUE(record_.wait([&] { return (*content)->verified().full(); }));
  ASSERT_TRUE(deliver(*content, out(), ports::Delivery::keep));
  EXPECT_TRUE(holds(out(), file));
  ASSERT_TRUE(close(*content));
  // With space the next one is cached.
  const TestFile next = make_file(core::kMiB, kTestPiece, 2);
  content = open_for(next);
  ASSERT_TRUE(content);
  EXPECT_EQ((*content)->note(), "");
  EXPECT_EQ(store_->admin()->status()->trouble, "");
}

TEST_F(SmallCache, ACacheThatCannotBeWrittenIsLeftAlone) {
  begin(store::unlimited());
  const std::string data = mount_point_ + "/data";
  ASSERT_EQ(::mount("lanward-test", data.c_str(), "tmpfs", MS_RDONLY, nullptr), 0);
  const TestFile file = make_file(6 * kTestPiece, kTestPiece);
  const auto content = open_for(file);
  ASSERT_TRUE(content) << content.error().message;
  EXPECT_NE((*content)->note().find("not cached"), std::string::npos);
  send_and_wait(*content, file, 0, 6);
  ASSERT_TRUE(deliver(*content, out(), ports::Delivery::keep));
  EXPECT_TRUE(holds(out(), file));
}

}  // namespace
}  // namespace lanward::test
