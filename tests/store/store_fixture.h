// A DiskStore in a temporary directory, driven step by step.
#pragma once

#include <sys/mount.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "engine/store/disk_store.h"
#include "tests/support/store_content.h"
#include "tests/support/temporary_directory.h"

namespace lanward::test {

class DiskStoreTest : public testing::Test {
 protected:
  using Store = std::shared_ptr<ports::ContentStore>;

  store::DiskStoreOptions options() const {
    store::DiskStoreOptions o;
    o.directory = dir_.path("cache");
    o.workers = 2;
    o.boot_id = boot_;
    o.sync_interval = sync_interval_;
    o.named_temporaries = named_temporaries_;
    o.working_directory = working_directory_;
    o.commit_interval = commit_interval_;
    return o;
  }
  void start() {
    auto opened = store::DiskStore::open(options());
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
  }
  template <class T, class Start>
  T outcome(const Start& begin) {
    std::optional<T> result;
    begin([&](T r) { record_.change([&] { result = std::move(r); }); });
    EXPECT_TRUE(record_.wait([&] { return result.has_value(); }));
    return std::move(*result);
  }
  Result<Store> try_open(const core::Content& content) {
    return outcome<Result<Store>>(
        [&](auto done) { store_->open(content, record_.sink(), std::move(done)); });
  }
  Store open(const TestFile& file) {
    auto opened = try_open(file.content);
    EXPECT_TRUE(opened) << opened.error().message;
    return opened ? *opened : nullptr;
  }
  Result<void> close(const Store& content) {
    return outcome<Result<void>>([&](auto done) { store_->close(content, std::move(done)); });
  }
  Result<void> purge(const Store& content) {
    return outcome<Result<void>>([&](auto done) { store_->purge(content, std::move(done)); });
  }
  Result<void> deliver(const Store& content, const std::string& to, ports::Delivery how,
                       const std::vector<core::ByteSpan>& parts = {}) {
    return outcome<Result<void>>([&](auto done) {
      store_->deliver(content, {to, how, parts}, std::move(done));
    });
  }
  Result<void> sweep(const std::string& destination, const core::Digest& id) {
    return outcome<Result<void>>(
        [&](auto done) { store_->sweep(destination, id, std::move(done)); });
  }
  bool find_delivered(const std::string& destination, const core::Digest& id) {
    return outcome<bool>(
        [&](auto done) { store_->find_delivered(destination, id, std::move(done)); });
  }
  Result<void> forget(const core::Digest& id) {
    return outcome<Result<void>>([&](auto done) { store_->forget(id, std::move(done)); });
  }

  // Feeds pieces [begin, end) and returns whether the content took them.
  bool send(const Store& content, const TestFile& file, std::uint32_t begin, std::uint32_t end) {
    const core::ByteSpan span =
        file.content.layout.bytes({core::PieceIndex{begin}, core::PieceIndex{end}});
    bool ready = false;
    auto sink = content->open_range(kOrigin, span, [&] { record_.change([&] { ready = true; }); });
    for (std::uint64_t at = span.begin; at < span.end;) {
      const std::size_t n = std::min<std::uint64_t>(ports::kRangeAcceptBytesMax, span.end - at);
      switch (sink->accept(std::span(file.bytes).subspan(at, n))) {
        case ports::RangeSink::Accept::taken:
          at += n;
          break;
        case ports::RangeSink::Accept::full:
          EXPECT_TRUE(record_.wait([&] { return std::exchange(ready, false); }));
          break;
        case ports::RangeSink::Accept::closed:
          return false;
      }
    }
    sink->finish();
    return true;
  }
  void send_and_wait(const Store& content, const TestFile& file, std::uint32_t begin,
                     std::uint32_t end) {
    const std::size_t before = record_.look([&] { return record_.verified.size(); });
    ASSERT_TRUE(send(content, file, begin, end));
    ASSERT_TRUE(record_.wait([&] { return record_.verified.size() == before + end - begin; }));
  }

  [[nodiscard]] std::string data_path(const TestFile& file) const {
    std::string name;
    for (const std::uint8_t byte : file.content.id) {
      name += "0123456789abcdef"[byte >> 4];
      name += "0123456789abcdef"[byte & 15];
    }
    return dir_.path("cache/data/" + name);
  }

  support::TemporaryDirectory dir_;
  std::string boot_ = "boot-1";
  std::chrono::milliseconds sync_interval_{1000};
  bool named_temporaries_ = false;
  bool working_directory_ = false;
  std::chrono::milliseconds commit_interval_ = store::kCommitInterval;
  StoreRecord record_;
  std::unique_ptr<store::DiskStore> store_;
};

// The same with the cache on a file system of its own, of 4 MiB. Skips without the right to mount.
template <class Base>
class OnSmallDisk : public Base {
 protected:
  void SetUp() override {
    Base::SetUp();
    std::filesystem::create_directory(mount_point_);
    if (::mount("lanward-test", mount_point_.c_str(), "tmpfs", 0, "size=4m") != 0) {
      GTEST_SKIP() << "cannot mount a small tmpfs here: " << std::generic_category().message(errno);
    }
    mounted_ = true;
  }
  void TearDown() override {
    this->store_.reset();
    if (mounted_) {
      EXPECT_EQ(::umount2(mount_point_.c_str(), MNT_DETACH), 0);
    }
  }
  const std::string mount_point_ = this->dir_.path("cache");
  bool mounted_ = false;
};

inline constexpr std::uint32_t kTestPiece = 64 * 1024;

}  // namespace lanward::test
