// Every call that writes fails once, in every way: whatever the store says afterwards is true.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "engine/store/limits.h"
#include "tests/store/fault_files.h"
#include "tests/store/store_fixture.h"

namespace lanward::test {
namespace {

constexpr std::uint32_t kPieces = 6;
// Every so many calls in a plain run; LANWARD_FAULT_STEP=1 tries every one.
constexpr std::uint64_t kStepDefault = 3;

std::uint64_t step() {
  const char* text = std::getenv("LANWARD_FAULT_STEP");
  return text == nullptr ? kStepDefault
                         : std::max<std::uint64_t>(std::strtoull(text, nullptr, 10), 1);
}

class StoreFault : public DiskStoreTest, public testing::WithParamInterface<FaultKind> {
 protected:
  StoreFault() { sync_interval_ = std::chrono::milliseconds{1}; }

  // A life of a store, with pauses so that its flusher has work in between. Errors are allowed,
  // lies are not.
  void live() {
    auto opened = store::DiskStore::open(options());
    if (!opened) return;
    store_ = std::move(*opened);
    for (const TestFile* file : {&first_, &second_}) {
      auto content = try_open(file->content);
      if (!content) continue;
      for (std::uint32_t p = 0; p < kPieces; ++p) {
        (void)send(*content, *file, p, p + 1);
        (void)settled(*content, p);
      }
      // Nobody reads on a machine that has lost its power.
      if (GetParam() != FaultKind::power_loss) check(*content, *file);
      if (file == &first_) {
        (void)deliver(*content, dir_.path("out"), ports::Delivery::keep);
        (void)close(*content);
      }
    }
    const auto admin = store_->admin();
    (void)admin->pin(first_.content.id, true);
    (void)admin->verify({}, {});
    store_.reset();
  }
  // Whether the piece has been decided, as far as it will be.
  bool settled(const Store& content, std::uint32_t p) {
    std::optional<bool> good;
    content->block_hashes(core::PieceIndex{p}, [&](const auto& hashes) {
      record_.change([&] { good = hashes.has_value(); });
    });
    EXPECT_TRUE(record_.wait([&] { return good.has_value(); }));
    return *good;
  }
  // What is called verified must be right; what cannot be read is said so.
  void check(const Store& content, const TestFile& file) {
    const core::PieceSet verified = content->verified();
    for (auto p = verified.next(core::PieceIndex{0}); p; p = verified.next(*p + 1)) {
      std::vector<std::byte> bytes(file.piece(p->value).size());
      if (!content->read(*p, 0, bytes, false)) continue;
      EXPECT_TRUE(std::ranges::equal(bytes, file.piece(p->value))) << "piece " << p->value;
    }
  }
  void check_delivered() {
    std::ifstream in(dir_.path("out"), std::ios::binary);
    if (!in) return;
    const std::string bytes((std::istreambuf_iterator<char>(in)), {});
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), first_.bytes.begin(), first_.bytes.end(),
                           [](char a, std::byte b) { return static_cast<std::byte>(a) == b; }))
        << "the delivered file is not what it must be";
  }
  // The next engine, on a disk that works: everything can be had, and is right.
  void live_on() {
    auto opened = store::DiskStore::open(options());
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
    for (const TestFile* file : {&first_, &second_}) {
      const Store content = open(*file);
      ASSERT_NE(content, nullptr);
      check(content, *file);
      ASSERT_TRUE(send(content, *file, 0, kPieces));
      ASSERT_TRUE(close(content));
      EXPECT_TRUE(content->verified().full());
    }
    store_.reset();
  }
  void reset() {
    record_.change([&] {
      record_.verified.clear();
      record_.failed.clear();
      record_.errors.clear();
    });
    std::filesystem::remove_all(dir_.path("cache"));
    std::filesystem::remove(dir_.path("out"));
    boot_ = "boot-1";
  }

  const TestFile first_ = make_file(kPieces * kTestPiece, kTestPiece, 1);
  const TestFile second_ = make_file(kPieces * kTestPiece - 100, kTestPiece, 2);
};

TEST_P(StoreFault, WhateverFailsNothingFalseIsSaid) {
  begin_faults(dir_.path(""), FaultKind::none, 0);
  live();
  const std::uint64_t calls = end_faults();
  ASSERT_GT(calls, 20U) << "the calls of the store do not pass through this layer";
  std::uint64_t runs = 0;
  for (std::uint64_t k = 1; k <= calls; k += step()) {
    reset();
    begin_faults(dir_.path(""), GetParam(), k);
    live();
    end_faults();
    if (GetParam() == FaultKind::power_loss) {
      lose_unsynced(k);
      boot_ = "boot-2";
      // The delivered file is whole or not there: it was synced before it got its name. Its name
      // may be lost, which this layer does not play.
    } else {
      check_delivered();
    }
    live_on();
    ++runs;
    ASSERT_FALSE(HasFailure()) << "at call " << k << " of " << calls;
  }
  std::printf("%llu calls, %llu runs\n", static_cast<unsigned long long>(calls),
              static_cast<unsigned long long>(runs));
}

// The kernel tells once that pages were lost: whoever hears it must not go on.
TEST_F(DiskStoreTest, AWriteBackThatFailsFailsTheContent) {
  constexpr std::uint32_t kTwice = 2 * store::kWritebackBytes / kTestPiece;
  sync_interval_ = std::chrono::hours{1};  // no sync finds it out
  const TestFile file = make_file(kTwice * kTestPiece, kTestPiece, 3);
  fail_write_back(true);
  auto opened = store::DiskStore::open(options());
  ASSERT_TRUE(opened);
  store_ = std::move(*opened);
  const Store content = open(file);
  (void)send(content, file, 0, kTwice);
  EXPECT_TRUE(record_.wait([&] { return !record_.errors.empty(); }));
  fail_write_back(false);
  EXPECT_EQ(record_.errors.front().code, ErrorCode::disk_io);
  store_.reset();
}

std::string name_of(const testing::TestParamInfo<FaultKind>& kind) {
  constexpr std::array<const char*, 5> kNames = {"None", "IoError", "NoSpace", "ShortWrite",
                                                 "PowerLoss"};
  return kNames[static_cast<std::size_t>(kind.param)];
}

INSTANTIATE_TEST_SUITE_P(Kinds, StoreFault,
                         testing::Values(FaultKind::io_error, FaultKind::no_space,
                                         FaultKind::short_write, FaultKind::power_loss),
                         name_of);

}  // namespace
}  // namespace lanward::test
