#include "simulator/origin.h"

#include <gtest/gtest.h>

#include "tests/simulator/recorded_facts.h"

namespace lanward::simulator {
namespace {

constexpr std::uint32_t kPiece = core::kCanonicalPieceBytesMin;
constexpr core::SourceId kOrigin{0};
constexpr core::Duration kRtt = std::chrono::milliseconds{20};
constexpr std::uint64_t kWan = 10'000'000;

//  origin --[ WAN 10 MB/s, 20 ms ]--[ downlink 100 MB/s ]-- machine
class OriginTest : public ::testing::Test {
 protected:
  void publish(OriginFile file) {
    file.size = manifest_.content.layout.size();
    origin_.publish("http://o/f", std::move(file));
  }
  ports::RangeRequest range(std::uint64_t begin, std::uint64_t end) {
    return {.url = "http://o/f",
            .span = {begin, end},
            .total = manifest_.content.layout.size(),
            .validator = {},
            .whole_file = false};
  }
  void fetch(std::uint64_t id, const ports::RangeRequest& request) {
    client_->fetch_range(core::RequestId{id}, request,
                         content_->open_range(kOrigin, request.span, {}));
  }
  core::Duration run() {
    const core::Instant begin = queue_.now();
    while (queue_.step()) {
    }
    return queue_.now() - begin;
  }
  core::FailureClass only_failure() {
    const auto failures = facts_.all<core::RequestFailed>();
    EXPECT_EQ(failures.size(), 1U);
    EXPECT_NE(failures.at(0).failure.message.find("http://o/"), std::string::npos);
    return failures.at(0).failure.kind;
  }

  EventQueue queue_;
  Network network_{queue_};
  LinkId wan_ = network_.add_link(core::ByteRate{kWan});
  Origin origin_{queue_, network_, wan_, {.rtt = kRtt, .slow_start = false}};
  SimOriginSource source_{origin_, network_.add_link(core::ByteRate{100'000'000})};
  SimPieceStore store_{queue_, {}};
  RecordedFacts facts_;
  core::Manifest manifest_ = test_manifest(40);
  std::shared_ptr<SimContentStore> content_ =
      open_content(queue_, store_, manifest_.content, facts_);
  std::unique_ptr<ports::OriginClient> client_ = source_.connect(facts_.sink(), {});
};

TEST_F(OriginTest, ARangeTakesSetUpRequestAndItsBytesOverTheLink) {
  publish({});
  fetch(1, range(0, 40 * kPiece));
  const double expected = std::chrono::duration<double>(2 * kRtt).count() +
                          static_cast<double>(40 * kPiece) / static_cast<double>(kWan);
  EXPECT_NEAR(std::chrono::duration<double>(run()).count(), expected, expected / 100);
  EXPECT_EQ(facts_.count<core::RangeFinished>(), 1U);
  EXPECT_EQ(facts_.count<core::PieceVerified>(), 40U);
  EXPECT_EQ(facts_.all<core::RangeProgressed>().back().end, 40U * kPiece);
  EXPECT_EQ(origin_.egress().total, 40U * kPiece);
  EXPECT_EQ(network_.carried(wan_).value, 40U * kPiece);
}

TEST_F(OriginTest, AKeptConnectionSavesTheSetUp) {
  publish({});
  fetch(1, range(0, kPiece));
  const core::Duration first = run();
  fetch(2, range(kPiece, 2 * kPiece));
  const core::Duration second = run();
  EXPECT_EQ(first - second, kRtt);
}

TEST_F(OriginTest, AConnectionCapHoldsEachRequestAndNotTheirSum) {
  Origin capped(queue_, network_, wan_,
                {.rtt = kRtt, .connection_rate = core::ByteRate{kWan / 4}, .slow_start = false});
  OriginFile file;
  file.size = manifest_.content.layout.size();
  capped.publish("http://o/f", file);
  SimOriginSource source(capped, network_.add_link(core::ByteRate{100'000'000}));
  client_ = source.connect(facts_.sink(), {});
  for (std::uint64_t i = 0; i < 2; ++i) fetch(i, range(i * 20 * kPiece, (i + 1) * 20 * kPiece));
  const double expected = std::chrono::duration<double>(2 * kRtt).count() +
                          20.0 * kPiece / (static_cast<double>(kWan) / 4);
  EXPECT_NEAR(std::chrono::duration<double>(run()).count(), expected, expected / 100);
  client_.reset();
}

TEST_F(OriginTest, AProbeTellsTheFactsOfTheFile) {
  publish({});
  client_->probe(core::RequestId{7}, "http://o/f");
  run();
  const auto probed = facts_.all<core::OriginProbed>();
  ASSERT_EQ(probed.size(), 1U);
  EXPECT_EQ(probed[0].request, core::RequestId{7});
  EXPECT_TRUE(probed[0].facts.size_known);
  EXPECT_EQ(probed[0].facts.size, manifest_.content.layout.size());
  EXPECT_TRUE(probed[0].facts.ranges);
  EXPECT_EQ(origin_.egress().total, origin_.egress().probes);
}

TEST_F(OriginTest, ClassifiesWhatItRefuses) {
  client_->fetch_document(core::RequestId{1}, "http://o/f.torrent", core::ByteCount{1000});
  run();
  EXPECT_EQ(only_failure(), core::FailureClass::permanent);
  facts_.events.clear();
  fetch(2, range(0, kPiece));
  run();
  EXPECT_EQ(only_failure(), core::FailureClass::permanent);
  facts_.events.clear();
  publish({});
  auto stale = range(0, kPiece);
  stale.validator = "\"other\"";
  fetch(3, stale);
  run();
  EXPECT_EQ(only_failure(), core::FailureClass::changed);
  facts_.events.clear();
  OriginFile plain;
  plain.ranges = false;
  publish(plain);
  fetch(4, range(0, kPiece));
  run();
  EXPECT_EQ(only_failure(), core::FailureClass::no_ranges);
  EXPECT_EQ(origin_.egress().total, 0U);
}

TEST_F(OriginTest, ACancelledRangeIsSilentAndItsBytesArePaidFor) {
  publish({});
  fetch(1, range(0, 40 * kPiece));
  run_for(queue_, 2 * kRtt + std::chrono::milliseconds{500});
  client_->cancel(core::RequestId{1});
  client_->cancel(core::RequestId{1});
  const std::uint64_t received = content_->ledger().at(0).received.value;
  EXPECT_NEAR(static_cast<double>(received), 0.5 * kWan, 0.01 * 0.5 * kWan);
  run();
  EXPECT_EQ(content_->ledger().at(0).received.value, received);
  EXPECT_EQ(facts_.count<core::RangeFinished>() + facts_.count<core::RequestFailed>(), 0U);
  // What was under way for one round trip.
  const double in_flight = std::chrono::duration<double>(kRtt).count() * kWan;
  EXPECT_NEAR(static_cast<double>(origin_.egress().abandoned), in_flight, 1.0);
  EXPECT_EQ(origin_.egress().total, received + origin_.egress().abandoned);
}

TEST_F(OriginTest, DestroyingTheClientCancelsEverything) {
  publish({});
  fetch(1, range(0, 40 * kPiece));
  client_->probe(core::RequestId{2}, "http://o/f");
  run_for(queue_, std::chrono::milliseconds{10});
  client_.reset();
  run();
  EXPECT_TRUE(facts_.events.empty());
  EXPECT_EQ(origin_.egress().total, 0U);
}

TEST_F(OriginTest, ACorruptByteSpoilsItsPieceAndNoOther) {
  OriginFile file;
  file.corrupt = {{5 * kPiece + 17, 5 * kPiece + 18}};
  publish(file);
  fetch(1, range(0, 40 * kPiece));
  run();
  EXPECT_EQ(facts_.count<core::PieceVerified>(), 39U);
  const auto failed = facts_.all<core::PieceFailed>();
  ASSERT_EQ(failed.size(), 1U);
  EXPECT_EQ(failed[0].piece, core::PieceIndex{5});
  EXPECT_EQ(failed[0].from, std::vector{kOrigin});
}

TEST_F(OriginTest, AClosedStoreEndsTheRangeAsALocalFailure) {
  publish({});
  fetch(1, range(0, 40 * kPiece));
  run_for(queue_, std::chrono::milliseconds{100});
  store_.close(content_, [](Result<void>) {});
  run();
  EXPECT_EQ(only_failure(), core::FailureClass::local);
}

// ---- slow start --------------------------------------------------------------------------------

//  round trip   1        2        3                10 MB/s * 20 ms = 200 kB: 4 doublings of 14 kB
//  window       14 kB    29 kB    58 kB ...
TEST_F(OriginTest, AConnectionDoublesItsWindowUntilItHasItsShareAndKeepsIt) {
  Origin slow(queue_, network_, wan_, {.rtt = kRtt});
  slow.publish("http://o/f", {.size = manifest_.content.layout.size()});
  SimOriginSource source(slow, network_.add_link(core::ByteRate{100'000'000}));
  client_ = source.connect(facts_.sink(), {});
  // Until so many ranges are there; the queue may hold events that no longer count.
  const auto finish = [&](std::size_t ranges) {
    const core::Instant begin = queue_.now();
    const auto done = [&] { return facts_.count<core::RangeFinished>() == ranges; };
    EXPECT_TRUE(queue_.run_until(done, core::Instant::max(), 100'000));
    return std::chrono::duration<double>(queue_.now() - begin).count();
  };
  fetch(1, range(0, 8 * kPiece));
  const double first = finish(1);
  const double bytes = 8.0 * kPiece / kWan;
  EXPECT_GT(first, bytes + 0.04 + 0.04);
  EXPECT_LT(first, bytes + 0.04 + 0.10);
  fetch(2, range(8 * kPiece, 16 * kPiece));
  EXPECT_NEAR(finish(2), bytes + 0.02, 0.012);
  client_.reset();
}

TEST_F(OriginTest, AMachineCapHoldsTheSumOfItsConnections) {
  publish({});
  SimOriginSource source(origin_, network_.add_link(core::ByteRate{100'000'000}),
                         core::ByteRate{kWan / 4});
  client_ = source.connect(facts_.sink(), {});
  fetch(1, range(0, 4 * kPiece));
  fetch(2, range(4 * kPiece, 8 * kPiece));
  EXPECT_NEAR(std::chrono::duration<double>(run()).count(), 0.04 + 8.0 * kPiece / (kWan / 4.0),
              1e-3);
}

// ---- faults ------------------------------------------------------------------------------------

TEST_F(OriginTest, DuringAnOutageNewConnectionsFailSoonAndRunningRequestsStallFirst) {
  publish({});
  fetch(1, range(0, 8 * kPiece));
  run_for(queue_, std::chrono::milliseconds{100});  // 60 ms of bytes
  const core::Instant begin = queue_.now();
  origin_.set_down(true);
  fetch(2, range(8 * kPiece, 16 * kPiece));
  run_for(queue_, std::chrono::milliseconds{999});
  EXPECT_EQ(facts_.count<core::RequestFailed>(), 0U);
  run_for(queue_, std::chrono::milliseconds{2});
  ASSERT_EQ(facts_.count<core::RequestFailed>(), 1U);
  EXPECT_EQ(facts_.all<core::RequestFailed>()[0].request, core::RequestId{2});
  run();
  EXPECT_EQ(queue_.now() - begin, std::chrono::seconds{5});
  const auto failed = facts_.all<core::RequestFailed>();
  ASSERT_EQ(failed.size(), 2U);
  for (const auto& fact : failed) {
    EXPECT_EQ(fact.failure.kind, core::FailureClass::transient);
  }
  // Nothing came after the beginning of the outage, and what came before is counted.
  EXPECT_NEAR(static_cast<double>(origin_.egress().total), 0.06 * kWan, 10'000);
  origin_.set_down(false);
  fetch(3, range(8 * kPiece, 16 * kPiece));
  run();
  EXPECT_EQ(facts_.count<core::RangeFinished>(), 1U);
}

TEST_F(OriginTest, RequestsSurviveAShortOutage) {
  publish({});
  fetch(1, range(0, 8 * kPiece));
  run_for(queue_, std::chrono::milliseconds{100});
  origin_.set_down(true);
  run_for(queue_, std::chrono::milliseconds{500});
  fetch(2, range(8 * kPiece, 16 * kPiece));
  run_for(queue_, std::chrono::milliseconds{500});
  EXPECT_EQ(facts_.count<core::RangeFinished>(), 0U);
  origin_.set_down(false);
  run();
  EXPECT_EQ(facts_.count<core::RangeFinished>(), 2U);
  EXPECT_EQ(origin_.egress().total, 16U * kPiece);
}

TEST_F(OriginTest, WhileItIsRateLimitedItRefusesAndSaysForHowLong) {
  publish({});
  origin_.set_rate_limited(std::chrono::seconds{7});
  fetch(1, range(0, kPiece));
  run();
  EXPECT_EQ(only_failure(), core::FailureClass::rate_limited);
  EXPECT_EQ(facts_.all<core::RequestFailed>()[0].failure.retry_after, std::chrono::seconds{7});
  origin_.set_rate_limited(std::nullopt);
  fetch(2, range(0, kPiece));
  run();
  EXPECT_EQ(facts_.count<core::RangeFinished>(), 1U);
}

}  // namespace
}  // namespace lanward::simulator
