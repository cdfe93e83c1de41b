#include "simulator/adversary.h"

#include <optional>

#include <gtest/gtest.h>

#include "engine/core/site_roster.h"
#include "simulator/network.h"

namespace lanward::simulator {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kPiece = 256 * core::kKiB;
constexpr std::uint32_t kPieces = 16;

// One hostile machine, and one that only listens.
class AdversaryActors : public testing::Test {
 protected:
  AdversaryActors() : network_(queue_), site_(queue_, network_, {}, core::Seed{1}) {
    scenario_.size = core::ByteCount{std::uint64_t{kPieces} * kPiece};
    manifest_.content.layout = core::PieceLayout(scenario_.size, kPiece);
    manifest_.content.id = simulated_digest(1, 0);
    manifest_.infohash = simulated_digest(1, 1);
  }
  Place place(std::uint32_t host) {
    return {host, network_.add_link(scenario_.lan), network_.add_link(scenario_.lan)};
  }
  void start(Adversary adversary) {
    site_.set_behaviour(
        0, {.serves = false, .advertises_all = adversary.kind == AdversaryKind::have_liar});
    actor_.emplace(queue_, site_, place(0), scenario_, manifest_, adversary, core::Seed{3});
    actor_->join();
    listener_.emplace(site_, loop_, place(1));
    const core::PieceSet nothing(kPieces);
    const auto store = std::make_shared<SimContentStore>(queue_, StoreSettings{}, manifest_.content,
                                                         nothing, [](const core::Event&) {});
    member_ = listener_->join({.manifest = manifest_, .store = store},
                              [this](const core::Event& event) { hear(event); });
  }
  void hear(const core::Event& event) {
    if (const auto* pieces = std::get_if<core::PeerHasPieces>(&event)) {
      offered_ = pieces->pieces.count();
    }
    const auto* message = std::get_if<core::PeerMessage>(&event);
    if (message == nullptr) return;
    if (const auto* hello = std::get_if<core::Hello>(&message->message)) hello_ = *hello;
    if (const auto* roster = std::get_if<core::Roster>(&message->message)) {
      beats_ = roster->entries.at(0).beat;
    }
    if (const auto* claim = std::get_if<core::Claim>(&message->message)) claims_.push_back(*claim);
    if (const auto* p = std::get_if<core::ClaimProgress>(&message->message)) {
      progress_.push_back(*p);
    }
  }
  void run(core::Duration time) {
    queue_.run_until([] { return false; }, queue_.now() + time, 1'000'000);
  }

  EventQueue queue_;
  Network network_;
  Site site_;
  SimLoop loop_{queue_};
  Scenario scenario_;
  core::Manifest manifest_;
  std::optional<AdversaryActor> actor_;
  std::optional<SimSwarm> listener_;
  std::unique_ptr<ports::SwarmMember> member_;

  std::optional<core::Hello> hello_;
  std::uint32_t offered_ = 0;
  std::uint32_t beats_ = 0;
  std::vector<core::Claim> claims_;
  std::vector<core::ClaimProgress> progress_;
};

TEST_F(AdversaryActors, AHogClaimsAndPromisesAndClaimsAgain) {
  start({.kind = AdversaryKind::hog});
  run(500ms);
  ASSERT_TRUE(hello_);
  EXPECT_TRUE(hello_->willing);
  EXPECT_EQ(offered_, 0U);
  // One piece, which a stranger may claim, and all others, which nobody may.
  ASSERT_EQ(claims_.size(), 2U);
  EXPECT_EQ(claims_[0].pieces.size(), 1U);
  EXPECT_EQ(claims_[1].pieces.size(), kPieces - 1);
  EXPECT_NE(claims_[0].run, claims_[1].run);
  run(scenario_.policy.lease_promise);
  EXPECT_EQ(claims_.size(), 4U);
  EXPECT_GE(beats_, 3U);
  EXPECT_TRUE(progress_.empty());
}

TEST_F(AdversaryActors, FakeProgressGrowsAndNeverArrives) {
  start({.kind = AdversaryKind::fake_progress});
  run(2900ms);
  ASSERT_GE(progress_.size(), 4U);
  EXPECT_LT(progress_.back().bytes, kPiece);
  EXPECT_GT(progress_.back().bytes, progress_.front().bytes);
}

TEST_F(AdversaryActors, ALiarOffersEverythingAndClaimsNothing) {
  start({.kind = AdversaryKind::have_liar});
  run(5s);
  ASSERT_TRUE(hello_);
  EXPECT_FALSE(hello_->willing);
  EXPECT_EQ(offered_, kPieces);
  EXPECT_TRUE(claims_.empty());
}

TEST_F(AdversaryActors, TheLowestRankIsBelowThatOfThousandsOfOthers) {
  const core::Digest& id = manifest_.content.id;
  const std::uint64_t lowest = core::rank_of(id, adversary_key(id, true, core::Seed{7}));
  for (std::uint64_t seed = 100; seed < 2100; ++seed) {
    EXPECT_LT(lowest, core::rank_of(id, adversary_key(id, false, core::Seed{seed})));
  }
}

}  // namespace
}  // namespace lanward::simulator
