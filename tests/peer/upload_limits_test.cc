// How many peers are given something at a time, and when none is.
#include <gtest/gtest.h>

#include <deque>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "peer/upload_guard.h"
#include "tests/peer/fixture.h"
#include "tests/peer/raw_peer.h"
#include "tests/support/temporary_directory.h"

namespace lanward::test {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kPiece = 64 * 1024;

// One that gives.
class Giver : public TestPeer {
 public:
  Giver(const TestFile& file, peer::SwarmLimits limits, peer::SwarmOptions options = {})
      : TestPeer(file, "127.0.0.1:0", false, {}, false, {}, limits, std::move(options)) {
    put_all();
    join();
  }
};

// Expects that `taker`, which knows `giver`, gets all from somebody else.
void expect_nothing_from_first(const TestFile& file, TestPeer& taker) {
  ASSERT_TRUE(taker.facts.wait_for<core::PeerHasPieces>(1));
  TestPeer late(file);
  late.put_all();
  late.join({taker.address()});
  ASSERT_TRUE(taker.complete());
  const core::SourceId first = taker.facts.all<core::PeerJoined>()[0].peer;
  for (const auto& verified : taker.facts.all<core::PieceVerified>()) {
    ASSERT_EQ(verified.from.size(), 1U);
    EXPECT_NE(verified.from[0], first);
  }
}

// ---- slots -------------------------------------------------------------------------------------

// A neighbour that asks for the manifest in between, so that it knows what was answered before.
class Neighbour {
 public:
  Neighbour(const TestFile& file, const TestPeer& giver, char name)
      : raw_(file, *giver.swarm->listen_port(), "d1:md11:ut_metadatai3eee", name) {
    raw_.send(kInterested, "");
  }
  // Whether it may ask for blocks, after all it has said so far was heard.
  [[nodiscard]] bool is_let() {
    raw_.send(kExtended, kAskForManifest);
    while (const auto frame = raw_.next()) {
      if (frame->type == kUnchoke) let_ = true;
      if (frame->type == kChoke) let_ = false;
      if (frame->type == kExtended && frame->body.front() == '\3') return let_;
    }
    ADD_FAILURE() << "it was cut off";
    return false;
  }
  [[nodiscard]] bool waits_until_let() {
    while (const auto frame = raw_.next()) {
      if (frame->type == kUnchoke) return true;
    }
    return false;
  }

 private:
  static constexpr std::uint8_t kChoke = 0;
  static constexpr std::uint8_t kUnchoke = 1;
  static constexpr std::uint8_t kInterested = 2;
  static constexpr std::uint8_t kExtended = 20;
  // libtorrent's number for it is 2.
  static constexpr const char* kAskForManifest = "\2d8:msg_typei0e5:piecei0ee";
  RawPeer raw_;
  bool let_ = false;
};

TEST(UploadSlots, WithoutALimitEverybodyIsGivenSomething) {
  const TestFile file = TestFile::make(20 * kPiece, kPiece, 109);
  Giver giver(file, {});
  for (const char name : {'a', 'b', 'c'}) EXPECT_TRUE(Neighbour(file, giver, name).is_let());
}

TEST(UploadSlots, ANeighbourWaitsUntilASlotIsFree) {
  const TestFile file = TestFile::make(20 * kPiece, kPiece, 110);
  Giver giver(file, {.upload_slots = 2});
  {
    Neighbour first(file, giver, 'a'), second(file, giver, 'b');
    EXPECT_TRUE(first.is_let());
    EXPECT_TRUE(second.is_let());
    Neighbour third(file, giver, 'c');
    EXPECT_FALSE(third.is_let());
    // Its turn comes, even if the others stay.
    EXPECT_TRUE(third.waits_until_let());
  }
  ASSERT_TRUE(giver.facts.wait_for<core::PeerLeft>(3));
  EXPECT_TRUE(Neighbour(file, giver, 'd').is_let());
}

TEST(UploadSlots, InTheEndEverybodyGetsEverything) {
  const TestFile file = TestFile::make(20 * kPiece, kPiece, 111);
  Giver giver(file, {.upload_slots = 1});
  std::deque<TestPeer> takers;
  for (int i = 0; i < 3; ++i) {
    // They give each other nothing.
    takers.emplace_back(file, "127.0.0.1:0", false, "", false, "",
                        peer::SwarmLimits{.upload = false});
    takers.back().join({giver.address()});
    takers.back().allow_all();
  }
  for (TestPeer& taker : takers) EXPECT_TRUE(taker.complete());
}

// ---- the month ---------------------------------------------------------------------------------

TEST(UploadMonth, AtItsLimitNothingMoreIsGivenAndTakingGoesOn) {
  const TestFile file = TestFile::make(64 * kPiece, kPiece, 112);
  const support::TemporaryDirectory directory;
  const peer::SwarmOptions counted{.count_file = directory.path("peers.given")};
  constexpr std::uint64_t kLimit = 4 * kPiece;
  // Four seconds for all of it: time enough to notice.
  const peer::SwarmLimits limits{.upload_bytes_per_s = 1'000'000, .upload_bytes_per_month = kLimit};
  std::uint64_t given = 0;
  {
    Giver giver(file, limits, counted);
    TestPeer taker(file);
    taker.join({giver.address()});
    taker.allow_all();
    ASSERT_TRUE(giver.facts.wait_until<core::PeerProgressed>(
        [](const core::PeerProgressed& f) { return f.served.value >= kLimit; }));
    while (giver.swarm->upload_status().bar != UploadBar::month) std::this_thread::yield();
    TestPeer other(file);
    other.join({giver.address()});
    other.allow_all();
    expect_nothing_from_first(file, other);
    given = giver.swarm->upload_status().given_this_month;
    EXPECT_GE(given, kLimit);
    EXPECT_LT(given, 64U * kPiece);
    ASSERT_TRUE(giver.leave());
  }
  // The next process goes on counting, and takes what it lacks.
  TestPeer seed(file), giver(file, "127.0.0.1:0", false, {}, false, {}, limits, counted),
      taker(file);
  EXPECT_EQ(giver.swarm->upload_status().bar, UploadBar::month);
  EXPECT_EQ(giver.swarm->upload_status().given_this_month, given);
  seed.put_all();
  seed.join();
  giver.join({seed.address()});
  giver.allow_all();
  ASSERT_TRUE(giver.complete());
  taker.join({giver.address()});
  taker.allow_all();
  expect_nothing_from_first(file, taker);
}

// ---- rules -------------------------------------------------------------------------------------

TEST(UploadRules, AreFollowedWhileItRuns) {
  const TestFile file = TestFile::make(20 * kPiece, kPiece, 113);
  const support::TemporaryDirectory machine;
  const auto memory = [&](const std::string& kib) {
    std::filesystem::create_directories(machine.path("proc"));
    std::ofstream(machine.path("proc/next")) << "MemTotal: " << kib << " kB\n";
    std::filesystem::rename(machine.path("proc/next"), machine.path("proc/meminfo"));
  };
  memory("1000");
  Giver giver(file, {.sharing = {.min_memory_bytes = 4'000'000}},
              {.places = {.proc = machine.path("proc"), .power = machine.path("power")},
               .look_interval = 5ms});
  EXPECT_EQ(giver.swarm->upload_status().bar, UploadBar::memory);
  TestPeer taker(file), waiting(file);
  taker.join({giver.address()});
  taker.allow_all();
  expect_nothing_from_first(file, taker);
  waiting.join({giver.address()});
  waiting.allow_all();
  ASSERT_TRUE(waiting.facts.wait_for<core::PeerHasPieces>(1));
  memory("8000");
  EXPECT_TRUE(waiting.complete());
  EXPECT_EQ(giver.swarm->upload_status(), UploadStatus{});
}

}  // namespace
}  // namespace lanward::test
