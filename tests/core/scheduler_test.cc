// The policy of the scheduler, on files of a few pieces. States are pictures, one character per
// piece: have "x..x", a peer's pieces "11..".
#include "engine/core/scheduler.h"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace lanward::core {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kPiece = 256 * 1024;

PieceSet set_of(std::string_view picture) {
  PieceSet set(static_cast<std::uint32_t>(picture.size()));
  for (std::uint32_t i = 0; i < picture.size(); ++i) {
    if (picture[i] != '.') set.insert(PieceIndex{i});
  }
  return set;
}

constexpr SourceId kOrigin{0};
constexpr SourceId peer(std::uint32_t n) { return SourceId{kFirstPeerSource + n}; }

struct Start {
  std::string have;
  std::vector<OriginSpec> origins = {{.url = "http://cdn/file"}};
  bool peers_possible = true;
  bool peers_expected = false;
  Policy policy = {};
  Seed seed{7};
};

// A scheduler, its clock, and the state of the world that its commands describe.
class Fixture {
 public:
  explicit Fixture(Start start)
      : pieces_(static_cast<std::uint32_t>(start.have.size())),
        layout_(ByteCount{std::uint64_t{pieces_} * kPiece}, kPiece),
        scheduler_(
            Content{.id = {}, .layout = layout_, .piece_hashes = std::vector<Digest>(pieces_)},
            SchedulerOptions{.policy = start.policy,
                             .have = set_of(start.have),
                             .origins = start.origins,
                             .peers_possible = start.peers_possible,
                             .peers_expected = start.peers_expected},
            start.seed, now_),
        allowed_(pieces_) {
    drain();
  }

  void fact(const Event& event) {
    scheduler_.handle(event, now_);
    drain();
  }
  void peer_has(std::uint32_t n, std::string_view picture) {
    fact(PeerJoined{.peer = peer(n), .address = "10.0.0." + std::to_string(n) + ":1"});
    fact(PeerHasPieces{peer(n), set_of(picture)});
  }
  void verified(std::uint32_t piece, SourceId from = kOrigin) {
    fact(PieceVerified{PieceIndex{piece}, {from}});
  }
  // The origin serves a request in full and the store verifies it.
  void serve(RequestId id) {
    const FetchRange range = live_.at(id);
    live_.erase(id);
    fact(RangeProgressed{id, range.span.end});
    fact(RangeFinished{id});
    for (std::uint64_t at = range.span.begin; at < range.span.end; at += kPiece) {
      verified(static_cast<std::uint32_t>(at / kPiece));
    }
  }
  void fail_request(RequestId id, FailureClass kind, Duration retry_after = 0s) {
    live_.erase(id);
    fact(RequestFailed{id, {kind, retry_after, "http://cdn/file: it broke"}});
  }
  void wait(Duration d) {
    const Instant until = now_ + d;
    for (int steps = 0; steps < 100'000; ++steps) {
      const auto at = scheduler_.next_wakeup();
      if (!at || *at > until) break;
      now_ = std::max(now_ + Duration{1}, *at);
      fact(Tick{});
    }
    now_ = until;
  }

  // Pieces asked from origins at the moment, e.g. "oo..".
  [[nodiscard]] std::string asked() const {
    std::string picture(pieces_, '.');
    for (const auto& [id, range] : live_) {
      for (std::uint64_t at = range.span.begin / kPiece; at * kPiece < range.span.end; ++at) {
        picture[at] = picture[at] == '.' ? 'o' : '2';
      }
    }
    return picture;
  }
  [[nodiscard]] std::string allowed() const {
    std::string picture(pieces_, '.');
    for (std::uint32_t i = 0; i < pieces_; ++i) {
      if (allowed_.contains(PieceIndex{i})) picture[i] = 'p';
    }
    return picture;
  }
  [[nodiscard]] RequestId first_request() const { return live_.begin()->first; }

  std::map<RequestId, FetchRange> live_;
  std::vector<BanSource> bans_;
  std::optional<Error> gave_up_;
  int transients_ = 0;
  std::uint64_t asked_bytes_ = 0;
  Instant now_{1s};

 private:
  std::uint32_t pieces_;
  PieceLayout layout_;

 public:
  Scheduler scheduler_;

 private:
  void drain() {
    while (auto command = scheduler_.poll_command(now_)) {
      if (auto* c = std::get_if<FetchRange>(&*command)) {
        asked_bytes_ += c->span.size().value;
        live_[c->request] = *c;
      } else if (auto* cancel = std::get_if<CancelRequest>(&*command)) {
        live_.erase(cancel->request);
      } else if (auto* allow = std::get_if<AllowFromPeers>(&*command)) {
        for (auto p = allow->pieces.begin; p < allow->pieces.end; ++p) allowed_.insert(p);
      } else if (auto* reserve = std::get_if<ReserveForOrigin>(&*command)) {
        for (auto p = reserve->pieces.begin; p < reserve->pieces.end; ++p) allowed_.erase(p);
      } else if (auto* ban = std::get_if<BanSource>(&*command)) {
        bans_.push_back(*ban);
      } else if (auto* up = std::get_if<GiveUp>(&*command)) {
        gave_up_ = up->error;
      } else if (std::holds_alternative<ReportTransient>(*command)) {
        ++transients_;
      }
    }
  }
  PieceSet allowed_;
};

TEST(Scheduler, AloneAsksForTheFirstGapsInParallel) {
  Fixture s({.have = "x..x....", .peers_possible = false});
  EXPECT_EQ(s.asked(), ".oo.oo..");
  EXPECT_EQ(s.live_.size(), 4U);
}

TEST(Scheduler, RangesGrowWhileTheySucceedAndShrinkTowardsTheEnd) {
  Fixture s({.have = std::string(1024, '.'), .peers_possible = false});
  std::uint64_t longest = 0;
  std::uint64_t last = 0;
  while (!s.live_.empty()) {
    last = s.live_.at(s.first_request()).span.size().value;
    longest = std::max(longest, last);
    s.wait(10ms);
    s.serve(s.first_request());
  }
  EXPECT_TRUE(s.scheduler_.complete());
  EXPECT_EQ(longest, Policy{}.range_bytes_max.value);
  EXPECT_EQ(last, kPiece);
  EXPECT_EQ(s.asked_bytes_, 1024ULL * kPiece) << "every byte once";
}

TEST(Scheduler, PiecesThatAPeerHasAreLeftToPeers) {
  Fixture s({.have = "........", .peers_expected = true});
  EXPECT_EQ(s.asked(), "........") << "it waits a moment for peers that are known";
  EXPECT_EQ(s.allowed(), "pppppppp") << "whoever has a piece may give it";
  s.peer_has(1, "1111....");
  EXPECT_EQ(s.asked(), "....oooo");
  EXPECT_EQ(s.allowed(), "pppp....") << "what the origin is asked for is not taken from peers";
}

TEST(Scheduler, PeersThatStartTogetherPullDifferentParts) {
  Fixture a({.have = std::string(1024, '.'), .peers_expected = true, .seed = Seed{1}});
  Fixture b({.have = std::string(1024, '.'), .peers_expected = true, .seed = Seed{2}});
  for (Fixture* s : {&a, &b}) s->wait(4 * Policy{}.peer_hold);
  EXPECT_NE(a.asked(), b.asked());
}

TEST(Scheduler, TheHoldForExpectedPeersEnds) {
  Fixture s({.have = "....", .peers_expected = true});
  s.wait(Policy{}.peer_hold - 1ms);
  EXPECT_EQ(s.asked(), "....");
  s.wait(3 * Policy{}.peer_hold + 1ms);
  EXPECT_EQ(s.asked(), "oooo");
}

TEST(Scheduler, PeersMayGiveEveryPieceThatTheOriginIsNotAskedFor) {
  Fixture s({.have = "........", .peers_expected = false, .policy = {.origin_requests_max = 1}});
  ASSERT_EQ(s.live_.size(), 1U);
  std::string expected = s.asked();
  for (char& c : expected) c = c == 'o' ? '.' : 'p';
  EXPECT_EQ(s.allowed(), expected);
}

TEST(Scheduler, WhatALeavingPeerAloneHadGoesBackToTheOrigin) {
  Fixture s({.have = "xxxxxx..", .peers_expected = true});
  s.peer_has(1, "11111111");
  EXPECT_EQ(s.asked(), "........");
  s.fact(PeerLeft{peer(1)});
  EXPECT_EQ(s.asked(), "......oo");
}

TEST(Scheduler, OffersOfAPeerThatDeliversNothingCountForAMomentOnly) {
  Fixture s({.have = "....", .peers_expected = true});
  s.peer_has(1, "1111");
  s.wait(Policy{}.peer_credit - 1ms);
  EXPECT_EQ(s.asked(), "....");
  s.wait(2ms);
  EXPECT_EQ(s.asked(), "oooo");
  EXPECT_EQ(s.allowed(), "....") << "nobody else fetches them now";
}

TEST(Scheduler, ProvenPeersThatStallLoseTheirPiecesToTheOrigin) {
  Fixture s({.have = "........", .peers_expected = true});
  s.peer_has(1, "11111111");
  s.verified(0, peer(1));
  s.wait(Policy{}.lease_patience - 1ms);
  EXPECT_EQ(s.asked(), "........");
  s.wait(Policy{}.lease_patience + 300ms);  // each peer waits a time of its own
  EXPECT_NE(s.asked(), "........");
}

TEST(Scheduler, BusyPeersKeepTheOriginIdle) {
  Fixture s({.have = std::string(64, '.'), .peers_expected = true});
  s.peer_has(1, std::string(64, '1'));
  for (std::uint64_t i = 1; i <= 60; ++i) {
    s.wait(100ms);
    s.fact(PeerProgressed{peer(1), ByteCount{i * kPiece}, {}, {}});
    s.verified(static_cast<std::uint32_t>(i), peer(1));
  }
  EXPECT_EQ(s.asked_bytes_, 0U);
}

TEST(Scheduler, PeersFarSlowerThanTheOriginShareTheWorkWithIt) {
  Fixture s({.have = std::string(256, '.')});
  // The origin delivers the first pieces at 16 ms each: its rate is known.
  for (int i = 0; i < 32; ++i) {
    s.wait(16ms);
    s.serve(s.first_request());
  }
  s.peer_has(1, std::string(256, '1'));
  while (!s.live_.empty()) s.serve(s.first_request());
  const std::uint64_t before = s.asked_bytes_;
  for (std::uint64_t i = 1; i <= 50; ++i) {  // a trickle, but no stall
    s.wait(100ms);
    s.fact(PeerProgressed{peer(1), ByteCount{i * 1024}, {}, {}});
  }
  EXPECT_GT(s.asked_bytes_, before);
}

TEST(Scheduler, ABrokenRangeIsContinuedWhereItsBytesEnded) {
  Fixture s({.have = "x.xx", .peers_possible = false});
  const RequestId id = s.first_request();
  s.fact(RangeProgressed{id, kPiece + 100'000});
  s.fail_request(id, FailureClass::transient);
  EXPECT_TRUE(s.live_.empty()) << "back-off first";
  s.wait(1s);
  ASSERT_EQ(s.live_.size(), 1U);
  EXPECT_EQ(s.live_.at(s.first_request()).span, (ByteSpan{kPiece + 6 * kBlockBytes, 2 * kPiece}));
  // Broken again without a byte: the earlier ones are still there.
  s.fail_request(s.first_request(), FailureClass::transient);
  s.wait(2s);
  EXPECT_EQ(s.live_.at(s.first_request()).span.begin, kPiece + 6 * kBlockBytes);
}

TEST(Scheduler, PiecesHandedOverAwaitTheStoresVerdict) {
  Fixture s({.have = "xxx.", .peers_possible = false});
  const RequestId id = s.first_request();
  s.live_.erase(id);
  s.fact(RangeProgressed{id, 4 * kPiece});
  s.fact(RangeFinished{id});
  s.wait(1s);
  EXPECT_EQ(s.asked(), "....") << "it is not asked for again";
  s.verified(3);
  EXPECT_TRUE(s.scheduler_.complete());
}

TEST(Scheduler, APieceThatTheStoreHasLostIsFetchedOnceMore) {
  Fixture s({.have = "xx..", .peers_possible = false, .policy = {.origin_requests_max = 1}});
  const auto hand_over = [&] {
    const RequestId id = s.first_request();
    const std::uint64_t end = s.live_.at(id).span.end;
    s.live_.erase(id);
    s.fact(RangeProgressed{id, end});
    s.fact(RangeFinished{id});
  };
  for (int n = 0; n < 10 && !s.live_.empty(); ++n) hand_over();
  s.wait(1s);
  s.verified(2);
  s.wait(118s);
  EXPECT_EQ(s.asked(), "....");
  s.wait(2s);
  ASSERT_EQ(s.asked(), "...o");
  EXPECT_FALSE(s.gave_up_);
  hand_over();
  s.wait(119s);
  EXPECT_FALSE(s.gave_up_);
  s.wait(2s);
  ASSERT_TRUE(s.gave_up_);
  EXPECT_EQ(s.gave_up_->code, ErrorCode::disk_io);
  EXPECT_NE(s.gave_up_->message.find("piece 3"), std::string::npos) << s.gave_up_->message;
}

TEST(Scheduler, AStoreThatJudgesNothingEndsTheTransfer) {
  Fixture s({.have = "xxx.", .peers_possible = false});
  const RequestId id = s.first_request();
  s.live_.erase(id);
  s.fact(RangeProgressed{id, 4 * kPiece});
  s.fact(RangeFinished{id});
  s.wait(119s);
  EXPECT_FALSE(s.gave_up_);
  s.wait(2s);
  ASSERT_TRUE(s.gave_up_);
  EXPECT_EQ(s.gave_up_->code, ErrorCode::disk_io);
  EXPECT_TRUE(s.live_.empty());
}

// Its end may lie in the buffer of the range that goes on.
TEST(Scheduler, APieceOfARangeUnderWayIsNotYetOverdue) {
  Fixture s({.have = std::string(32, '.'),
             .peers_possible = false,
             .policy = {.origin_requests_max = 1}});
  for (int n = 0; n < 3; ++n) s.serve(s.first_request());
  const RequestId id = s.first_request();
  const ByteSpan span = s.live_.at(id).span;
  ASSERT_GT(span.size().value, kPiece);
  for (std::uint64_t more = 0; more < 30; ++more) {
    s.fact(RangeProgressed{id, span.begin + kPiece + more});
    s.wait(10s);
  }
  EXPECT_FALSE(s.gave_up_);
  EXPECT_EQ(s.live_.size(), 1U);
}

// The verdict of a thread may be heard before the bytes of another.
TEST(Scheduler, AVerdictThatComesBeforeTheBytesIsNotWaitedForAgain) {
  Fixture s({.have = "xxx.", .peers_possible = false});
  const RequestId id = s.first_request();
  s.fact(PieceFailed{PieceIndex{3}, {kOrigin}});
  s.live_.erase(id);
  s.fact(RangeProgressed{id, 4 * kPiece});
  s.fact(RangeFinished{id});
  s.wait(200s);
  EXPECT_FALSE(s.gave_up_);
  ASSERT_EQ(s.asked(), "...o");
}

TEST(Scheduler, RetryAfterIsHonoured) {
  Fixture s({.have = "....", .peers_possible = false, .policy = {.origin_requests_max = 1}});
  s.fail_request(s.first_request(), FailureClass::rate_limited, 20s);
  EXPECT_EQ(s.transients_, 1);
  s.wait(20s - 1ms);
  EXPECT_TRUE(s.live_.empty());
  s.wait(1ms);
  EXPECT_EQ(s.live_.size(), 1U);
}

TEST(Scheduler, AFailingOriginIsGivenUpAfterItsLastRetry) {
  Fixture s({.have = "....", .peers_possible = false, .policy = {.origin_requests_max = 1}});
  int requests = 0;
  while (!s.gave_up_ && requests < 100) {
    ++requests;
    s.fail_request(s.first_request(), FailureClass::transient);
    if (!s.gave_up_) s.wait(Policy{}.retry_delay_max);
  }
  EXPECT_EQ(requests, static_cast<int>(Policy{}.origin_failures_max));
  EXPECT_EQ(s.gave_up_->code, ErrorCode::network);
}

TEST(Scheduler, ARefusingOriginHandsOverToTheNextMirror) {
  Fixture s({.have = "....",
             .origins = {{.url = "http://a/f"}, {.url = "http://b/f"}},
             .peers_possible = false,
             .policy = {.origin_requests_max = 1}});
  s.fail_request(s.first_request(), FailureClass::permanent);
  ASSERT_EQ(s.live_.size(), 1U);
  EXPECT_EQ(s.live_.at(s.first_request()).origin, SourceId{1});
  s.fail_request(s.first_request(), FailureClass::permanent);
  ASSERT_TRUE(s.gave_up_);
  EXPECT_EQ(s.gave_up_->code, ErrorCode::origin_rejected);
}

TEST(Scheduler, AnOriginThatIsKnownToHaveNoRangesIsAskedForTheWholeAtOnce) {
  Fixture s({.have = "x...",
             .origins = {{.url = "http://a/f", .no_ranges = true}},
             .peers_possible = false});
  ASSERT_EQ(s.live_.size(), 1U);
  EXPECT_TRUE(s.live_.begin()->second.whole_file);
}

TEST(Scheduler, AnOriginWithoutRangesIsReadOnceFromTheStart) {
  Fixture s({.have = "x...", .peers_possible = false});
  while (!s.live_.empty() && !s.live_.begin()->second.whole_file) {
    s.fail_request(s.first_request(), FailureClass::no_ranges);
  }
  ASSERT_EQ(s.live_.size(), 1U);
  EXPECT_EQ(s.live_.at(s.first_request()).span, (ByteSpan{0, 4ULL * kPiece}));
  s.serve(s.first_request());
  EXPECT_TRUE(s.scheduler_.complete());
}

TEST(Scheduler, ALyingOriginIsBannedAndNamedWithThePiece) {
  Fixture s({.have = "xx.x", .peers_possible = false});
  for (std::uint32_t i = 0; i < Policy{}.bad_pieces_max; ++i) {
    ASSERT_FALSE(s.gave_up_);
    const RequestId id = s.first_request();
    s.live_.erase(id);
    s.fact(RangeProgressed{id, 3 * kPiece});
    s.fact(RangeFinished{id});
    s.fact(PieceFailed{PieceIndex{2}, {kOrigin}});
  }
  ASSERT_EQ(s.bans_.size(), 1U);
  ASSERT_TRUE(s.gave_up_);
  EXPECT_EQ(s.gave_up_->code, ErrorCode::integrity);
  EXPECT_NE(s.gave_up_->message.find("piece 2 (bytes 524288-786431)"), std::string::npos)
      << s.gave_up_->message;
  EXPECT_NE(s.gave_up_->message.find("http://cdn/file"), std::string::npos);
}

TEST(Scheduler, ALyingPeerIsBannedAndItsPiecesComeFromElsewhere) {
  Fixture s({.have = "xxx.", .peers_expected = true});
  s.peer_has(1, "1111");
  s.fact(PieceFailed{PieceIndex{3}, {peer(1)}});
  EXPECT_EQ(s.allowed(), "...p") << "one bad piece is forgiven";
  s.fact(PieceFailed{PieceIndex{3}, {peer(1)}});
  ASSERT_EQ(s.bans_.size(), 1U);
  EXPECT_EQ(s.bans_[0].source, peer(1));
  EXPECT_EQ(s.asked(), "...o");
}

TEST(Scheduler, AMixedBadPieceIsFetchedFromTheOriginAlone) {
  Fixture s({.have = "xxx.", .peers_expected = true});
  s.peer_has(1, "1111");
  s.peer_has(2, "1111");
  s.fact(PieceFailed{PieceIndex{3}, {peer(1), peer(2)}});
  EXPECT_EQ(s.allowed(), "....");
  EXPECT_EQ(s.asked(), "...o");
  EXPECT_TRUE(s.bans_.empty());
}

TEST(Scheduler, WithoutAnOriginItWaitsForPeersUntilNothingHasMovedForLong) {
  Fixture s({.have = "....", .origins = {}});
  s.wait(Policy{}.no_progress_timeout - 1ms);
  EXPECT_FALSE(s.gave_up_);
  s.wait(1ms);
  ASSERT_TRUE(s.gave_up_);
  EXPECT_EQ(s.gave_up_->code, ErrorCode::network);
}

TEST(Scheduler, WithADeadOriginPeersGetAMomentToTurnUp) {
  Fixture s({.have = "....", .policy = {.origin_requests_max = 1}});
  s.fail_request(s.first_request(), FailureClass::permanent);
  EXPECT_FALSE(s.gave_up_);
  s.wait(1s);
  s.peer_has(1, "1111");
  s.wait(Policy{}.peer_grace * 2);
  EXPECT_FALSE(s.gave_up_) << "a peer offers everything";
  EXPECT_EQ(s.allowed(), "pppp");
}

TEST(Scheduler, AFullDiskEndsTheTransferWithItsOwnError) {
  Fixture s({.have = "...."});
  s.fact(StoreFailed{{ErrorCode::disk_full, "no space"}});
  ASSERT_TRUE(s.gave_up_);
  EXPECT_EQ(s.gave_up_->code, ErrorCode::disk_full);
  EXPECT_TRUE(s.live_.empty());
}

TEST(Scheduler, LateFactsOfUnknownRequestsAndPeersAreDropped) {
  Fixture s({.have = "...."});
  const std::string before = s.asked();
  s.fact(RangeProgressed{RequestId{999}, 5});
  s.fact(RangeFinished{RequestId{999}});
  s.fact(RequestFailed{RequestId{999}, {}});
  s.fact(PeerHasPiece{peer(9), PieceIndex{1}});
  s.fact(PeerLeft{peer(9)});
  s.fact(PeerJoined{.peer = peer(1), .address = "a"});
  s.fact(PeerHasPiece{peer(1), PieceIndex{4'000'000}});
  s.fact(PeerHasPieces{peer(1), PieceSet(3)});
  EXPECT_EQ(s.asked(), before);
}

TEST(Scheduler, CompletingCancelsWhatIsStillAsked) {
  Fixture s({.have = "xxx."});
  EXPECT_EQ(s.live_.size(), 1U);
  s.fact(PeerJoined{.peer = peer(1), .address = "a"});
  s.verified(3, peer(1));
  EXPECT_TRUE(s.scheduler_.complete());
  EXPECT_TRUE(s.live_.empty());
  EXPECT_FALSE(s.scheduler_.next_wakeup());
}

TEST(Scheduler, AlwaysNamesAWakeUpWhilePiecesAreMissing) {
  for (const bool origin : {true, false}) {
    Start setup{.have = "x..x"};
    if (!origin) setup.origins.clear();
    Fixture s(setup);
    EXPECT_TRUE(s.scheduler_.next_wakeup());
  }
}

// ---- a peer that leaves the origin to others ---------------------------------------------------

Start reluctant(const char* have) {
  Policy policy;
  policy.never_puller = true;
  return {.have = have, .policy = policy};
}

// A peer that says whether it would fetch from the origin.
void join(Fixture& s, std::uint32_t n, bool willing) {
  s.fact(PeerJoined{.peer = peer(n), .address = "a", .endpoint = {.port = 1}, .leases = true});
  s.fact(PeerMessage{peer(n), Hello{PeerKey{n}, willing}});
}

constexpr const char* kNothingAsked = "................";

TEST(NeverPuller, FetchesForItselfWhenItFindsNobody) {
  Fixture s(reluctant(kNothingAsked));
  s.wait(1900ms);
  EXPECT_EQ(s.asked(), kNothingAsked);
  s.wait(2200ms);
  EXPECT_NE(s.asked(), kNothingAsked);
}

TEST(NeverPuller, FetchesAtOnceWhereThereCanBeNoPeers) {
  Start start = reluctant(kNothingAsked);
  start.peers_possible = false;
  EXPECT_NE(Fixture(start).asked(), kNothingAsked);
}

TEST(NeverPuller, TakesFromAWillingPeerWithoutAskingTheOrigin) {
  Fixture s(reluctant(kNothingAsked));
  join(s, 1, true);
  for (std::uint32_t i = 0; i < 16; ++i) {
    s.wait(900ms);
    EXPECT_EQ(s.asked_bytes_, 0U) << i;
    s.fact(PeerHasPiece{peer(1), PieceIndex{i}});
    EXPECT_EQ(s.allowed()[i], 'p');
    s.fact(PeerProgressed{peer(1), ByteCount{std::uint64_t{i + 1} * kPiece}, {}, {}});
    s.verified(i, peer(1));
  }
  EXPECT_TRUE(s.scheduler_.complete());
}

TEST(NeverPuller, DoesNotStarveBesideAWillingPeerThatGivesNothing) {
  Fixture s(reluctant(kNothingAsked));
  join(s, 1, true);
  s.wait(30s);
  EXPECT_NE(s.asked(), kNothingAsked);
}

TEST(NeverPuller, BeginsWhenTheWillingOneHasGone) {
  for (const bool says_so : {true, false}) {
    Fixture s(reluctant(kNothingAsked));
    join(s, 1, true);
    s.wait(1500ms);
    EXPECT_EQ(s.asked(), kNothingAsked);
    if (says_so) {
      s.fact(PeerMessage{peer(1), Hello{PeerKey{1}, false}});
    } else {
      s.fact(PeerLeft{peer(1)});
    }
    s.wait(4500ms);
    EXPECT_NE(s.asked(), kNothingAsked);
  }
}

TEST(NeverPuller, APeerThatIsNotWillingEitherChangesNothing) {
  Fixture s(reluctant(kNothingAsked));
  join(s, 1, false);
  s.wait(4500ms);
  EXPECT_NE(s.asked(), kNothingAsked);
}

}  // namespace
}  // namespace lanward::core
