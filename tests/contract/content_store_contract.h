// What every PieceStore must do. Include it in one test file per implementation and write
//   INSTANTIATE_TEST_SUITE_P(MyStore, ContentStoreContract, testing::Values(&make_my_store));
#pragma once

#include <algorithm>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "engine/ports/content_store.h"
#include "tests/support/store_content.h"
#include "tests/support/temporary_directory.h"

namespace lanward::test {

// An implementation under test.
class StoreUnderTest {
 public:
  virtual ~StoreUnderTest() = default;
  [[nodiscard]] virtual ports::PieceStore& store() = 0;
  // Ends the store in order and starts another one on what it left.
  virtual void restart() = 0;
  // Lets the implementation work until the condition holds; false when it never will. Overridden
  // where time is virtual.
  [[nodiscard]] virtual bool wait(StoreRecord& record, const std::function<bool()>& condition) {
    return record.wait(condition);
  }
};

using StoreFactory = std::unique_ptr<StoreUnderTest> (*)();

class ContentStoreContract : public testing::TestWithParam<StoreFactory> {
 protected:
  using Hashes = Result<std::vector<core::Digest>>;
  using Store = std::shared_ptr<ports::ContentStore>;

  void SetUp() override { under_test_ = GetParam()(); }

  [[nodiscard]] bool wait(const std::function<bool()>& condition) {
    return under_test_->wait(record_, condition);
  }

  Result<Store> try_open(const core::Content& content) {
    std::optional<Result<Store>> result;
    under_test_->store().open(content, record_.sink(), [&](Result<Store> opened) {
      record_.change([&] { result = std::move(opened); });
    });
    EXPECT_TRUE(wait([&] { return result.has_value(); }));
    return std::move(*result);
  }
  Store open(const TestFile& file) {
    auto opened = try_open(file.content);
    EXPECT_TRUE(opened) << opened.error().message;
    return opened ? *opened : nullptr;
  }
  template <class Start>
  Result<void> finish(const Start& start) {
    std::optional<Result<void>> result;
    start([&](Result<void> r) { record_.change([&] { result = std::move(r); }); });
    EXPECT_TRUE(wait([&] { return result.has_value(); }));
    return std::move(*result);
  }
  Result<void> close(const Store& content) {
    return finish([&](auto done) { under_test_->store().close(content, std::move(done)); });
  }
  Result<void> purge(const Store& content) {
    return finish([&](auto done) { under_test_->store().purge(content, std::move(done)); });
  }
  Result<void> deliver(const Store& content, const std::string& to, ports::Delivery how,
                       const std::vector<core::ByteSpan>& parts = {}) {
    return finish([&](auto done) {
      under_test_->store().deliver(content, {to, how, parts}, std::move(done));
    });
  }
  Result<void> forget(const core::Digest& id) {
    return finish([&](auto done) { under_test_->store().forget(id, std::move(done)); });
  }
  Hashes hashes(const Store& content, std::uint32_t piece) {
    std::optional<Hashes> result;
    content->block_hashes(core::PieceIndex{piece},
                          [&](Hashes h) { record_.change([&] { result = std::move(h); }); });
    EXPECT_TRUE(wait([&] { return result.has_value(); }));
    return std::move(*result);
  }

  // Feeds the range from an origin, waiting whenever the sink is full.
  ports::RangeSink::Accept send(const Store& content, const std::vector<std::byte>& bytes,
                                core::ByteSpan span, core::SourceId source = kOrigin,
                                std::size_t step = 10'000) {
    bool ready = false;
    auto sink = content->open_range(source, span,
                                    [this, &ready] { record_.change([&] { ready = true; }); });
    for (std::uint64_t at = span.begin; at < span.end;) {
      const std::size_t n = std::min<std::uint64_t>(step, span.end - at);
      const auto accepted = sink->accept(std::span(bytes).subspan(at, n));
      if (accepted == ports::RangeSink::Accept::closed) return accepted;
      if (accepted == ports::RangeSink::Accept::taken) {
        at += n;
        continue;
      }
      EXPECT_TRUE(wait([&] { return ready; }));
      record_.change([&] { ready = false; });
    }
    sink->finish();
    // A late on_ready must not find `ready` gone: the sink has answered every full by now.
    return ports::RangeSink::Accept::taken;
  }
  // Writes a block and waits until it is written or dropped.
  Result<void> put(const Store& content, const TestFile& file, std::uint32_t piece,
                   std::uint32_t block, core::SourceId source, bool spoiled = false) {
    const auto all = file.piece(piece);
    const std::size_t at = std::size_t{block} * core::kBlockBytes;
    const auto part = all.subspan(at, std::min<std::size_t>(core::kBlockBytes, all.size() - at));
    std::vector<std::byte> bytes(part.begin(), part.end());
    if (spoiled) bytes[0] ^= std::byte{1};
    return finish([&](auto done) {
      (void)content->write_block(core::PieceIndex{piece}, static_cast<std::uint32_t>(at), bytes,
                                 source, std::move(done), {});
    });
  }
  [[nodiscard]] bool wait_verified(std::size_t pieces) {
    return wait([&] { return record_.verified.size() >= pieces; });
  }

  static void expect_bytes(const Store& content, const TestFile& file) {
    for (std::uint32_t p = 0; p < file.content.layout.piece_count(); ++p) {
      const auto expected = file.piece(p);
      std::vector<std::byte> read(expected.size());
      const auto outcome = content->read(core::PieceIndex{p}, 0, read, false);
      ASSERT_TRUE(outcome) << outcome.error().message;
      ASSERT_TRUE(std::ranges::equal(read, expected)) << "piece " << p;
    }
  }
  static void expect_file(const std::string& path, std::span<const std::byte> expected) {
    std::ifstream in(path, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    ASSERT_EQ(bytes.size(), expected.size());
    EXPECT_TRUE(std::ranges::equal(std::as_bytes(std::span(bytes)), expected));
  }
  static ports::SourceLedger account(const Store& content, core::SourceId source) {
    for (const ports::SourceLedger& line : content->ledger()) {
      if (line.source == source) return line;
    }
    return {source, {}, {}, {}};
  }

  std::unique_ptr<StoreUnderTest> under_test_;
  StoreRecord record_;
};

inline constexpr std::uint32_t kPiece = 64 * 1024;  // four blocks

TEST_P(ContentStoreContract, VerifiesAndReadsBackARangeOfWholeFile) {
  const TestFile file = make_file(10 * kPiece + 20'001, kPiece);
  const Store content = open(file);
  for (const std::size_t step : {std::size_t{1'000}, ports::kRangeAcceptBytesMax}) {
    send(content, file.bytes, {0, file.bytes.size()}, kOrigin, step);
  }
  ASSERT_TRUE(wait_verified(11));
  EXPECT_TRUE(content->verified().full());
  expect_bytes(content, file);
  EXPECT_EQ(account(content, kOrigin).useful.value, file.bytes.size());
  EXPECT_EQ(account(content, kOrigin).wasted.value, file.bytes.size());  // the second pass
}

TEST_P(ContentStoreContract, TakesRangesInAnyOrderAndOfAnyPieces) {
  const TestFile file = make_file(9 * kPiece + 1, kPiece);
  const Store content = open(file);
  send(content, file.bytes, {6 * kPiece, file.bytes.size()});
  send(content, file.bytes, {0, 2 * kPiece}, kMirror);
  ASSERT_TRUE(wait_verified(6));
  EXPECT_EQ(content->verified().count(), 6U);
  EXPECT_FALSE(content->verified().contains(core::PieceIndex{2}));
  send(content, file.bytes, {2 * kPiece, 6 * kPiece});
  ASSERT_TRUE(wait_verified(10));
  expect_bytes(content, file);
}

TEST_P(ContentStoreContract, VerifiesPiecesFromBlocksInAnyOrder) {
  const TestFile file = make_file(2 * kPiece + 5'000, kPiece);
  const Store content = open(file);
  ASSERT_TRUE(put(content, file, 2, 0, kPeerA));
  for (const std::uint32_t block : {3U, 1U, 0U, 2U}) {
    ASSERT_TRUE(put(content, file, 1, block, kPeerA));
    ASSERT_TRUE(put(content, file, 0, block, kPeerB));
  }
  ASSERT_TRUE(wait_verified(3));
  expect_bytes(content, file);
  EXPECT_EQ(account(content, kPeerA).useful.value, kPiece + 5'000U);
  EXPECT_EQ(account(content, kPeerB).useful.value, kPiece);
}

TEST_P(ContentStoreContract, NamesTheSourcesOfAMixedPieceInOrder) {
  const TestFile file = make_file(kPiece * 2, kPiece);
  const Store content = open(file);
  ASSERT_TRUE(put(content, file, 0, 3, kPeerB));
  ASSERT_TRUE(put(content, file, 0, 2, kPeerA));
  ASSERT_TRUE(put(content, file, 0, 1, kPeerB));
  send(content, file.bytes, {0, kPiece});
  ASSERT_TRUE(wait_verified(1));
  const auto from = record_.look([&] { return record_.verified[0].from; });
  EXPECT_EQ(from, (std::vector{kOrigin, kPeerA, kPeerB}));
  EXPECT_EQ(account(content, kOrigin).useful.value, core::kBlockBytes);
  EXPECT_EQ(account(content, kOrigin).wasted.value, 3 * core::kBlockBytes);
}

TEST_P(ContentStoreContract, DropsABlockThatIsThereAndCountsItAsWasted) {
  const TestFile file = make_file(kPiece * 2, kPiece);
  const Store content = open(file);
  ASSERT_TRUE(put(content, file, 0, 0, kPeerA));
  ASSERT_TRUE(put(content, file, 0, 0, kPeerB, true));  // must not replace the good block
  send(content, file.bytes, {0, kPiece});
  ASSERT_TRUE(wait_verified(1));
  ASSERT_TRUE(put(content, file, 0, 1, kPeerB));
  EXPECT_EQ(account(content, kPeerB).received.value, 2 * core::kBlockBytes);
  EXPECT_EQ(account(content, kPeerB).wasted.value, 2 * core::kBlockBytes);
  EXPECT_EQ(account(content, kPeerA).useful.value, core::kBlockBytes);
}

TEST_P(ContentStoreContract, RefusesABadPieceNamesItsSourcesAndTakesAGoodOne) {
  const TestFile file = make_file(kPiece * 2, kPiece);
  const Store content = open(file);
  for (std::uint32_t block = 0; block < 3; ++block) {
    ASSERT_TRUE(put(content, file, 1, block, kPeerA));
  }
  ASSERT_TRUE(put(content, file, 1, 3, kPeerB, true));
  ASSERT_TRUE(wait([&] { return record_.failed.size() == 1; }));
  const auto bad = record_.look([&] { return record_.failed[0]; });
  EXPECT_EQ(bad.piece, core::PieceIndex{1});
  EXPECT_EQ(bad.from, (std::vector{kPeerA, kPeerB}));
  EXPECT_TRUE(content->verified().empty());
  EXPECT_EQ(account(content, kPeerA).wasted.value, 3 * core::kBlockBytes);
  EXPECT_EQ(account(content, kPeerB).wasted.value, core::kBlockBytes);

  send(content, file.bytes, {0, 2 * kPiece});
  ASSERT_TRUE(wait_verified(2));
  expect_bytes(content, file);
}

TEST_P(ContentStoreContract, RefusesABadPieceOfARange) {
  const TestFile file = make_file(kPiece * 3, kPiece);
  const Store content = open(file);
  std::vector<std::byte> spoiled = file.bytes;
  spoiled[kPiece + 17] ^= std::byte{0x40};
  send(content, spoiled, {0, file.bytes.size()});
  ASSERT_TRUE(wait_verified(2));
  ASSERT_TRUE(wait([&] { return record_.failed.size() == 1; }));
  EXPECT_EQ(record_.look([&] { return record_.failed[0].piece; }), core::PieceIndex{1});
  EXPECT_FALSE(content->verified().contains(core::PieceIndex{1}));
  std::byte b{};
  const auto read = content->read(core::PieceIndex{1}, 0, std::span(&b, 1), false);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::invalid_state);
}

TEST_P(ContentStoreContract, VerifiesAFileOfOnePieceAndOneByte) {
  for (const std::uint64_t size : {1ULL, 16'384ULL, 40'000ULL, 65'536ULL}) {
    const TestFile file = make_file(size, 256 * 1024, size);
    const Store content = open(file);
    const std::size_t before = record_.look([&] { return record_.verified.size(); });
    send(content, file.bytes, {0, size});
    ASSERT_TRUE(wait_verified(before + 1)) << size;
    expect_bytes(content, file);
    ASSERT_TRUE(close(content));
  }
}

TEST_P(ContentStoreContract, CountsPiecesWithoutAManifestWhenTheyAreComplete) {
  const TestFile file = make_file(kPiece * 2 + 10, kPiece, 1, false);
  const Store content = open(file);
  send(content, file.bytes, {0, file.bytes.size()});
  ASSERT_TRUE(wait_verified(3));
  expect_bytes(content, file);
}

TEST_P(ContentStoreContract, ReadsOnlyVerifiedPiecesAndOnlyWithinThem) {
  const TestFile file = make_file(kPiece * 2, kPiece);
  const Store content = open(file);
  ASSERT_TRUE(put(content, file, 0, 0, kPeerA));
  std::vector<std::byte> out(100);
  EXPECT_EQ(content->read(core::PieceIndex{0}, 0, out, false).error().code,
            ErrorCode::invalid_state);
  send(content, file.bytes, {0, kPiece});
  ASSERT_TRUE(wait_verified(1));
  ASSERT_TRUE(content->read(core::PieceIndex{0}, 50, out, false));
  EXPECT_TRUE(std::ranges::equal(out, file.piece(0).subspan(50, 100)));
  EXPECT_FALSE(content->read(core::PieceIndex{0}, kPiece - 99, out, false));
  EXPECT_FALSE(content->read(core::PieceIndex{7}, 0, out, false));
  // Without waiting: the bytes, or the word that they would have to be waited for.
  const auto cached = content->read(core::PieceIndex{0}, 50, out, true);
  EXPECT_TRUE(cached || cached.error().code == ErrorCode::not_found);
}

TEST_P(ContentStoreContract, RefusesBlocksThatAreNone) {
  const TestFile file = make_file(kPiece + 100, kPiece);
  const Store content = open(file);
  const std::vector<std::byte> block(core::kBlockBytes);
  const auto write = [&](std::uint32_t piece, std::uint32_t offset, std::size_t size) {
    return finish([&](auto done) {
      (void)content->write_block(core::PieceIndex{piece}, offset, std::span(block).first(size),
                                 kPeerA, std::move(done), {});
    });
  };
  EXPECT_FALSE(write(2, 0, core::kBlockBytes));       // no such piece
  EXPECT_FALSE(write(0, 1, core::kBlockBytes));       // not on a block
  EXPECT_FALSE(write(0, kPiece, core::kBlockBytes));  // beyond the piece
  EXPECT_FALSE(write(0, 0, 100));                     // too short
  EXPECT_FALSE(write(1, 0, core::kBlockBytes));       // too long for the last block
  EXPECT_EQ(account(content, kPeerA).received.value, 0U);
}

TEST_P(ContentStoreContract, TellsBlockHashesInEveryState) {
  const TestFile file = make_file(kPiece * 3 + 20'000, kPiece);
  const Store content = open(file);
  EXPECT_EQ(hashes(content, 0).error().code, ErrorCode::invalid_state);  // nothing there
  ASSERT_TRUE(put(content, file, 0, 0, kPeerA));
  EXPECT_EQ(hashes(content, 0).error().code, ErrorCode::invalid_state);  // incomplete
  send(content, file.bytes, {0, kPiece});
  EXPECT_EQ(hashes(content, 0), leaves_of(file.piece(0)));  // waits for what is being written
  EXPECT_TRUE(content->verified().contains(core::PieceIndex{0}));

  // A failed piece shows what it was until it is written again.
  for (std::uint32_t b = 0; b < 2; ++b) ASSERT_TRUE(put(content, file, 3, b, kPeerA, b == 1));
  ASSERT_TRUE(wait([&] { return record_.failed.size() == 1; }));
  const Hashes failed = hashes(content, 3);
  ASSERT_TRUE(failed);
  EXPECT_NE(*failed, leaves_of(file.piece(3)));
  ASSERT_TRUE(put(content, file, 3, 0, kPeerA));
  EXPECT_EQ(hashes(content, 3).error().code, ErrorCode::invalid_state);
  EXPECT_FALSE(hashes(content, 4));  // no such piece

  ASSERT_TRUE(close(content));
  EXPECT_FALSE(hashes(content, 0));  // closed
  const Store again = open(file);
  EXPECT_EQ(hashes(again, 0), leaves_of(file.piece(0)));  // read from the file
}

TEST_P(ContentStoreContract, BooksEveryByteOnceAndOnlyOnce) {
  const TestFile file = make_file(kPiece * 6 + 777, kPiece);
  const Store content = open(file);
  std::vector<std::byte> spoiled = file.bytes;
  spoiled[5] ^= std::byte{1};
  send(content, spoiled, {0, 3 * kPiece}, kMirror);
  ASSERT_TRUE(wait([&] { return record_.failed.size() == 1; }));
  ASSERT_TRUE(put(content, file, 4, 1, kPeerA));
  ASSERT_TRUE(put(content, file, 4, 1, kPeerB));
  ASSERT_TRUE(put(content, file, 5, 0, kPeerB));
  send(content, file.bytes, {3 * kPiece, 5 * kPiece + 100});  // ends within a block
  ASSERT_TRUE(wait_verified(4));
  ASSERT_TRUE(close(content));
  std::uint64_t received = 0;
  std::uint64_t useful = 0;
  std::uint64_t wasted = 0;
  for (const ports::SourceLedger& line : content->ledger()) {
    received += line.received.value;
    useful += line.useful.value;
    wasted += line.wasted.value;
  }
  EXPECT_EQ(received, 5 * kPiece + 100 + 3 * core::kBlockBytes);
  EXPECT_EQ(useful, 4 * kPiece);
  EXPECT_EQ(received, useful + wasted);
}

TEST_P(ContentStoreContract, RefusesToOpenWhatIsOpen) {
  const TestFile file = make_file(kPiece * 2, kPiece);
  const Store content = open(file);
  const auto second = try_open(file.content);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::in_use);
  ASSERT_TRUE(close(content));
  EXPECT_TRUE(try_open(file.content));
}

TEST_P(ContentStoreContract, FindsVerifiedPiecesAgainAfterARestart) {
  const TestFile file = make_file(kPiece * 5, kPiece);
  Store content = open(file);
  send(content, file.bytes, {kPiece, 4 * kPiece});
  ASSERT_TRUE(put(content, file, 0, 0, kPeerA));  // incomplete: forgotten
  ASSERT_TRUE(wait_verified(3));
  const core::PieceSet before = content->verified();
  content.reset();
  under_test_->restart();
  content = open(file);
  EXPECT_EQ(content->verified(), before);
  EXPECT_TRUE(content->ledger().empty());
  send(content, file.bytes, {0, kPiece});
  send(content, file.bytes, {4 * kPiece, 5 * kPiece});
  ASSERT_TRUE(wait_verified(5));
  expect_bytes(content, file);
}

TEST_P(ContentStoreContract, AnswersLateCallsAfterClose) {
  const TestFile file = make_file(kPiece * 2, kPiece);
  const Store content = open(file);
  auto sink = content->open_range(kOrigin, {0, kPiece}, {});
  EXPECT_EQ(sink->accept(std::span(file.bytes).first(10)), ports::RangeSink::Accept::taken);
  ASSERT_TRUE(close(content));
  EXPECT_EQ(sink->accept(std::span(file.bytes).first(10)), ports::RangeSink::Accept::closed);
  sink->finish();
  EXPECT_EQ(put(content, file, 0, 0, kPeerA).error().code, ErrorCode::invalid_state);
  std::byte b{};
  EXPECT_EQ(content->read(core::PieceIndex{0}, 0, std::span(&b, 1), false).error().code,
            ErrorCode::invalid_state);
  EXPECT_TRUE(close(content));  // Twice does no harm.
}

// A range may be given up when all that was wanted of it has come.
TEST_P(ContentStoreContract, ARangeThatIsGivenUpLeavesItsWholeBlocks) {
  const TestFile file = make_file(kPiece * 2, kPiece);
  const Store content = open(file);
  {
    const auto sink = content->open_range(kOrigin, {0, file.bytes.size()}, [] {});
    const auto blocks = std::span(file.bytes).first(core::kBlockBytes + 10);
    ASSERT_EQ(sink->accept(blocks), ports::RangeSink::Accept::taken);
  }
  for (std::uint32_t block = 1; block < kPiece / core::kBlockBytes; ++block) {
    ASSERT_TRUE(put(content, file, 0, block, kPeerA));
  }
  EXPECT_TRUE(wait_verified(1));
}

TEST_P(ContentStoreContract, PurgeForgetsEverything) {
  const TestFile file = make_file(kPiece * 3, kPiece);
  const Store content = open(file);
  send(content, file.bytes, {0, file.bytes.size()});
  ASSERT_TRUE(wait_verified(3));
  ASSERT_TRUE(purge(content));
  EXPECT_FALSE(put(content, file, 0, 0, kPeerA));
  const Store again = open(file);
  EXPECT_TRUE(again->verified().empty());
  EXPECT_EQ(hashes(again, 0).error().code, ErrorCode::invalid_state);
}

TEST_P(ContentStoreContract, WhatIsSharedIsReadUntilItIsClosedAndThenForgotten) {
  const support::TemporaryDirectory out;
  for (const bool with_purge : {false, true}) {
    const TestFile file = make_file(kPiece * 3, kPiece, with_purge ? 2 : 1);
    const Store content = open(file);
    const std::size_t before = record_.look([&] { return record_.verified.size(); });
    EXPECT_FALSE(deliver(content, out.path("early"), ports::Delivery::share));
    send(content, file.bytes, {0, file.bytes.size()});
    ASSERT_TRUE(wait_verified(before + 3));
    ASSERT_TRUE(deliver(content, out.path("file"), ports::Delivery::share));
    std::byte b{};
    EXPECT_TRUE(content->read(core::PieceIndex{2}, kPiece - 1, std::span(&b, 1), false));
    EXPECT_TRUE(hashes(content, 1));
    EXPECT_TRUE(content->verified().full());
    EXPECT_EQ(account(content, kOrigin).useful.value, file.bytes.size());
    EXPECT_FALSE(try_open(file.content));  // in use
    EXPECT_FALSE(deliver(content, out.path("again"), ports::Delivery::keep));
    ASSERT_TRUE(with_purge ? purge(content) : close(content));
    EXPECT_EQ(content->read(core::PieceIndex{0}, 0, std::span(&b, 1), false).error().code,
              ErrorCode::invalid_state);
    EXPECT_TRUE(open(file)->verified().empty());
  }
}

TEST_P(ContentStoreContract, DeliversThePartsOneAfterTheOther) {
  const support::TemporaryDirectory out;
  const TestFile file = make_file(7 * kPiece + 99, kPiece);
  const std::vector<std::vector<core::ByteSpan>> choices = {
      {},
      {{0, 1}},
      {{kPiece + 100, kPiece + 200}, {kPiece + 200, 2 * kPiece + 5}, {5 * kPiece - 1, 6 * kPiece}},
      {{0, 1}, {7 * kPiece + 98, 7 * kPiece + 99}},
      {{0, file.bytes.size()}},
  };
  for (const auto how : {ports::Delivery::keep, ports::Delivery::consume, ports::Delivery::share}) {
    for (const auto& parts : choices) {
      const Store content = open(file);
      send(content, file.bytes, {0, file.bytes.size()});
      ASSERT_TRUE(wait([&] { return content->verified().full(); }));
      const auto delivered = deliver(content, out.path("file"), how, parts);
      ASSERT_TRUE(delivered) << delivered.error().message;
      std::vector<std::byte> expected;
      for (const core::ByteSpan& part : parts) {
        const auto bytes = std::span(file.bytes).subspan(part.begin, part.size().value);
        expected.insert(expected.end(), bytes.begin(), bytes.end());
      }
      expect_file(out.path("file"), parts.empty() ? file.bytes : expected);
      if (how == ports::Delivery::share) expect_bytes(content, file);
      ASSERT_TRUE(close(content));
    }
  }
}

TEST_P(ContentStoreContract, PartsNeedOnlyThePiecesThatTheyShareBytesWith) {
  const support::TemporaryDirectory out;
  const std::vector<core::ByteSpan> parts = {{2 * kPiece - 1, 2 * kPiece + 1},
                                             {4 * kPiece, 5 * kPiece}};
  const auto missing = [](const auto& delivered) {
    return !delivered && delivered.error().code == ErrorCode::invalid_state;
  };
  std::uint64_t seed = 0;
  for (const auto how : {ports::Delivery::keep, ports::Delivery::consume, ports::Delivery::share}) {
    const TestFile file = make_file(kPiece * 6, kPiece, ++seed);
    const Store content = open(file);
    const std::size_t before = record_.look([&] { return record_.verified.size(); });
    send(content, file.bytes, {kPiece, 2 * kPiece});
    send(content, file.bytes, {4 * kPiece, 5 * kPiece});
    ASSERT_TRUE(wait_verified(before + 2));
    EXPECT_TRUE(missing(deliver(content, out.path("file"), how, parts)));  // piece 2
    send(content, file.bytes, {2 * kPiece, 3 * kPiece});
    ASSERT_TRUE(wait_verified(before + 3));
    EXPECT_TRUE(missing(deliver(content, out.path("file"), how)));
    EXPECT_TRUE(missing(deliver(content, out.path("file"), how, {{0, file.bytes.size()}})));
    ASSERT_TRUE(deliver(content, out.path("file"), how, parts));

    std::byte b{};
    const bool open_still = how != ports::Delivery::consume;
    EXPECT_EQ(content->read(core::PieceIndex{4}, 0, std::span(&b, 1), false).has_value(),
              open_still);
    EXPECT_EQ(try_open(file.content).has_value(), !open_still);
    if (!open_still) continue;
    // Kept, it may go on: the next part is delivered once it is there.
    EXPECT_EQ(deliver(content, out.path("again"), how, parts).has_value(),
              how == ports::Delivery::keep);
    ASSERT_TRUE(close(content));
    EXPECT_EQ(open(file)->verified().count(), how == ports::Delivery::keep ? 3U : 0U);
  }
}

TEST_P(ContentStoreContract, RefusesPartsThatAreNotInOrderOrNotInTheFile) {
  const support::TemporaryDirectory out;
  const TestFile file = make_file(kPiece * 2, kPiece);
  const Store content = open(file);
  send(content, file.bytes, {0, file.bytes.size()});
  ASSERT_TRUE(wait_verified(2));
  const std::vector<std::vector<core::ByteSpan>> choices = {
      {{5, 5}}, {{6, 5}}, {{0, 10}, {9, 20}}, {{10, 20}, {0, 5}}, {{0, 2 * kPiece + 1}},
  };
  for (const auto& parts : choices) {
    const auto delivered = deliver(content, out.path("file"), ports::Delivery::consume, parts);
    ASSERT_FALSE(delivered);
    EXPECT_EQ(delivered.error().code, ErrorCode::invalid_argument) << delivered.error().message;
  }
  EXPECT_TRUE(deliver(content, out.path("file"), ports::Delivery::consume, {{0, 10}, {10, 20}}));
}

TEST_P(ContentStoreContract, ForgetsAContentThatNobodyHasOpen) {
  const TestFile file = make_file(kPiece * 3, kPiece);
  EXPECT_TRUE(forget(file.content.id)) << "never seen";
  const Store content = open(file);
  send(content, file.bytes, {0, 2 * kPiece});
  ASSERT_TRUE(wait_verified(2));
  const auto refused = forget(file.content.id);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::in_use);
  EXPECT_EQ(content->verified().count(), 2U);
  ASSERT_TRUE(close(content));
  EXPECT_TRUE(forget(file.content.id));
  EXPECT_TRUE(forget(file.content.id)) << "gone already";
  const Store again = open(file);
  EXPECT_TRUE(again->verified().empty());
  send(again, file.bytes, {0, kPiece});
  EXPECT_TRUE(wait_verified(3));
}

TEST_P(ContentStoreContract, SweepingAPlaceWhereNothingIsLeftSucceeds) {
  const support::TemporaryDirectory out;
  for (const char* place : {"file", "missing/file"}) {
    EXPECT_TRUE(finish([&](auto done) {
      under_test_->store().sweep(out.path(place), core::Digest{}, std::move(done));
    })) << place;
  }
}

TEST_P(ContentStoreContract, RunsTasksOnWorkers) {
  const TestFile file = make_file(kPiece, kPiece);
  const Store content = open(file);
  bool ran = false;
  content->run_on_worker([&] { record_.change([&] { ran = true; }); });
  EXPECT_TRUE(wait([&] { return ran; }));
}

}  // namespace lanward::test
