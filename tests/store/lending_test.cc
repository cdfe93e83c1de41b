// Contents that are read for peers while no transfer wants them.
#include <array>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "engine/core/metainfo.h"
#include "engine/store/digest.h"
#include "engine/store/index.h"
#include "engine/store/sha256.h"
#include "tests/store/store_fixture.h"

namespace lanward::test {
namespace {

constexpr std::int64_t kLongAgo = 1000;

class LendingTest : public DiskStoreTest {
 protected:
  void SetUp() override { begin(store::unlimited()); }
  void TearDown() override {
    lent_ = nullptr;
    store_.reset();
  }
  void begin(CachePolicy policy) {
    store_.reset();
    store::DiskStoreOptions o = options();
    o.policy = policy;
    auto opened = store::DiskStore::open(o);
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
  }
  // In the cache, complete, closed; with its manifest unless told otherwise.
  TestFile cached(std::uint64_t seed, bool manifest = true, bool share = true) {
    TestFile file = make_file(4 * kTestPiece, kTestPiece, seed);
    file.content.id =
        core::pieces_root(file.content.piece_hashes, file.content.layout, &store::sha256);
    ports::OpenHints hints;
    hints.share = share;
    if (manifest) {
      hints.metainfo = std::make_shared<const std::vector<std::uint8_t>>(
          core::write_metainfo({.content = file.content, .name = "f"}));
    }
    auto opened = outcome<Result<Store>>([&](auto done) {
      store_->open_with(file.content, hints, record_.sink(), std::move(done));
    });
    EXPECT_TRUE(opened) << opened.error().message;
    send_and_wait(*opened, file, 0, 4);
    EXPECT_TRUE(close(*opened));
    return file;
  }
  std::set<core::Digest> lendable(std::size_t max = 100, std::set<core::Digest> skip = {}) {
    auto list = outcome<std::vector<core::Manifest>>(
        [&](auto done) { store_->list_lendable(max, std::move(skip), std::move(done)); });
    std::set<core::Digest> ids;
    for (const core::Manifest& manifest : list) ids.insert(manifest.content.id);
    return ids;
  }
  // Is given back when the store asks for it, if `polite`.
  Store lend(const TestFile& file, bool polite = true) {
    auto lent = outcome<Result<Store>>([&](auto done) {
      store_->lend(
          file.content,
          [this, polite](const core::Event& event) {
            if (!polite || !std::holds_alternative<core::StoreFailed>(event)) return;
            store_->close(lent_, [](const Result<void>&) {});
          },
          std::move(done));
    });
    EXPECT_TRUE(lent) << lent.error().message;
    lent_ = lent ? *lent : nullptr;
    return lent_;
  }
  // With the store closed.
  void set_last_use(const TestFile& file, std::int64_t when) {
    store_.reset();
    auto index = store::Index::open(dir_.path("cache/index.sqlite"));
    ASSERT_TRUE(index);
    auto row = (*index)->find(file.content.id);
    ASSERT_TRUE(row && *row);
    (*row)->last_use = when;
    ASSERT_TRUE((*index)->save(**row, store::Index::Commit::durable));
  }
  std::int64_t last_use(const TestFile& file) {
    auto found = store_->admin()->find(file.content.id);
    EXPECT_TRUE(found);
    return found ? found->last_use : 0;
  }

  Store lent_;
};

TEST_F(LendingTest, ListsWhatCanBeOfferedToPeers) {
  const TestFile a = cached(1);
  const TestFile b = cached(2);
  const TestFile in_use = cached(3);
  const TestFile of_a_job = cached(4);
  cached(5, false);  // nobody could ask for it
  const Store open_now = open(in_use);
  store_->refer(of_a_job.content.id, JobId{}, true);
  EXPECT_EQ(lendable(), (std::set{a.content.id, b.content.id}));
  EXPECT_EQ(lendable(100, {a.content.id}), std::set{b.content.id});
  EXPECT_EQ(lendable(1).size(), 1U);
  EXPECT_TRUE(close(open_now));
}

TEST_F(LendingTest, LendsNothingThatIsPrivate) {
  const TestFile secret = cached(1, true, false);
  EXPECT_TRUE(lendable().empty());
  begin(store::unlimited());
  EXPECT_TRUE(lendable().empty()) << "nor later";
  Store content = open(secret);
  EXPECT_FALSE(content->may_share());
  EXPECT_TRUE(close(content));
  // Somebody else has been given it without credentials.
  content = open(secret);
  content->share();
  EXPECT_TRUE(content->may_share());
  EXPECT_TRUE(close(content));
  content = nullptr;
  begin(store::unlimited());
  EXPECT_EQ(lendable(), std::set{secret.content.id});
  content = open(secret);
  EXPECT_TRUE(content->may_share());
  EXPECT_TRUE(close(content));
}

TEST_F(LendingTest, TheAdministratorSaysWhatIsShared) {
  const TestFile file = cached(1);
  const auto admin = store_->admin();
  EXPECT_TRUE(admin->find(file.content.id)->shared);
  lend(file);  // and gives it back when asked
  ASSERT_TRUE(admin->share(file.content.id, false));
  lent_ = nullptr;
  EXPECT_FALSE(store_->admin()->find(file.content.id)->shared);
  EXPECT_TRUE(lendable().empty());
  ASSERT_TRUE(admin->share(file.content.id, true));
  EXPECT_EQ(lendable(), std::set{file.content.id});
  EXPECT_EQ(admin->share({}, true).error().code, ErrorCode::not_found);
}

TEST_F(LendingTest, ReadsAndIsNoUseUntilItDoes) {
  const TestFile file = cached(1);
  set_last_use(file, kLongAgo);
  begin(store::unlimited());
  EXPECT_TRUE(close(lend(file)));
  EXPECT_EQ(last_use(file), kLongAgo);
  const Store content = lend(file);
  std::array<std::byte, 100> out{};
  ASSERT_TRUE(content->read(core::PieceIndex{1}, 7, out, false));
  EXPECT_TRUE(std::equal(out.begin(), out.end(), file.bytes.begin() + kTestPiece + 7));
  EXPECT_TRUE(close(content));
  EXPECT_GT(last_use(file), kLongAgo);
}

TEST_F(LendingTest, IsForOneAtATime) {
  const TestFile file = cached(1);
  const Store content = lend(file);
  const auto second = try_open(file.content);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::in_use);
  EXPECT_TRUE(close(content));
  const auto unknown = outcome<Result<Store>>([&](auto done) {
    store_->lend(make_file(kTestPiece, kTestPiece, 9).content, record_.sink(), std::move(done));
  });
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::not_found);
}

TEST_F(LendingTest, DoesNotKeepAContentFromBeingEvicted) {
  const TestFile old = cached(1);
  set_last_use(old, kLongAgo);
  CachePolicy small = store::unlimited();
  small.max_bytes = 6 * kTestPiece;
  begin(small);
  lend(old);
  const TestFile fresh = cached(2);
  const auto trimmed = store_->admin()->trim();
  ASSERT_TRUE(trimmed) << trimmed.error().message;
  EXPECT_EQ(trimmed->contents, 1U);
  EXPECT_FALSE(store_->admin()->find(old.content.id));
  EXPECT_TRUE(store_->admin()->find(fresh.content.id));
}

TEST_F(LendingTest, DoesNotKeepAContentFromBeingDeleted) {
  const TestFile file = cached(1);
  lend(file);
  EXPECT_TRUE(store_->admin()->remove(file.content.id, false));
  EXPECT_FALSE(store_->admin()->find(file.content.id));
}

TEST_F(LendingTest, OfWhatIsNotGivenBackNothingIsTaken) {
  const TestFile file = cached(1);
  const Store content = lend(file, false);
  const auto removed = store_->admin()->remove(file.content.id, false);
  ASSERT_FALSE(removed);
  EXPECT_EQ(removed.error().code, ErrorCode::in_use);
  std::array<std::byte, 10> out{};
  EXPECT_TRUE(content->read(core::PieceIndex{0}, 0, out, false));
  EXPECT_TRUE(close(content));
}

}  // namespace
}  // namespace lanward::test
