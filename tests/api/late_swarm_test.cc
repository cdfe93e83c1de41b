// A swarm that is started by the first content that needs one.
#include "api/host/late_swarm.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <future>
#include <memory>
#include <mutex>
#include <set>
#include <utility>

#include <gtest/gtest.h>

#include "tests/support/fake_swarm.h"

namespace lanward::host {
namespace {

// Far above what any step takes; only a hang runs into it.
constexpr std::chrono::seconds kDeadline{30};
constexpr std::uint32_t kPieceBytes = 1024 * 1024;
constexpr std::uint16_t kPort = 4711;

// Takes tasks from any thread and runs them where the test says; timers fire when it says so.
class HandLoop final : public ports::Loop {
 public:
  [[nodiscard]] core::Instant now() const override { return {}; }
  void post(ports::Task task) override {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    posted_.notify_all();
  }
  [[nodiscard]] std::unique_ptr<ports::Timer> make_timer(ports::Task on_fire) override {
    return std::make_unique<HandTimer>(*this, std::move(on_fire));
  }
  // Waits for a task and runs it. False: none has come.
  bool run_one() {
    std::unique_lock lock(mutex_);
    if (!posted_.wait_for(lock, kDeadline, [&] { return !tasks_.empty(); })) return false;
    ports::Task task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    task();
    return true;
  }
  // False: it is not armed.
  bool fire() {
    if (armed_ == nullptr) return false;
    std::exchange(armed_, nullptr)->on_fire();
    return true;
  }

 private:
  struct HandTimer final : ports::Timer {
    HandTimer(HandLoop& of, ports::Task fire) : loop(of), on_fire(std::move(fire)) {}
    ~HandTimer() override { disarm(); }
    void arm(core::Instant) override { loop.armed_ = this; }
    void disarm() override {
      if (loop.armed_ == this) loop.armed_ = nullptr;
    }
    HandLoop& loop;
    ports::Task on_fire;
  };

  std::mutex mutex_;
  std::condition_variable posted_;
  std::deque<ports::Task> tasks_;
  HandTimer* armed_ = nullptr;
};

// What the test looks at belongs to the swarm below it.
class FrontSwarm final : public ports::Swarm {
 public:
  explicit FrontSwarm(testing::FakeSwarm& below) : below_(below) {}
  [[nodiscard]] std::unique_ptr<ports::SwarmMember> join(const ports::SwarmRequest& request,
                                                         ports::FactSink facts) override {
    peers = request.peers;
    return below_.join(request, std::move(facts));
  }
  std::vector<std::string> peers;

 private:
  testing::FakeSwarm& below_;
};

class LateSwarmTest : public ::testing::Test {
 protected:
  LateSwarmTest() {
    small_.content.layout = core::PieceLayout(core::ByteCount{kPieceBytes}, kPieceBytes);
    large_.content.layout = core::PieceLayout(core::ByteCount{10 * kPieceBytes}, kPieceBytes);
  }

  std::unique_ptr<ports::SwarmMember> join(const core::Manifest& manifest) {
    return late_.join({.manifest = manifest, .store = nullptr, .peers = {}, .trackers = {}},
                      [](core::Event) {});
  }
  // Waits until the swarm is being started.
  bool is_starting() {
    return started_.get_future().wait_for(kDeadline) == std::future_status::ready;
  }
  void let_start(Result<void> how = {}) { allowed_.set_value(std::move(how)); }

  core::Manifest small_;
  core::Manifest large_;
  testing::FakeSwarm below_;
  int starts_ = 0;
  std::promise<void> started_;
  std::promise<Result<void>> allowed_;
  std::uint16_t told_ = 0;
  HandLoop loop_;
  LateSwarm late_{[this]() -> Result<RunningSwarm> {
                    ++starts_;
                    started_.set_value();
                    if (auto how = allowed_.get_future().get(); !how) {
                      return tl::unexpected(how.error());
                    }
                    return RunningSwarm{std::make_unique<FrontSwarm>(below_), kPort};
                  },
                  [this](std::uint16_t port) { told_ = port; }, loop_};
};

TEST_F(LateSwarmTest, WhatALargeContentAsksForMeanwhileIsDoneOnceTheSwarmRuns) {
  const auto member = join(large_);
  ASSERT_TRUE(is_starting());
  EXPECT_EQ(late_.listen_port(), std::nullopt);
  member->allow({core::PieceIndex{0}, core::PieceIndex{10}});
  member->reserve({core::PieceIndex{2}, core::PieceIndex{4}});
  member->reserve({core::PieceIndex{9}, core::PieceIndex{10}});
  member->connect(core::Endpoint{.port = 99});
  EXPECT_EQ(below_.joins, 0);
  let_start();
  ASSERT_TRUE(loop_.run_one());
  EXPECT_EQ(below_.joins, 1);
  EXPECT_EQ(below_.allowed, (std::set<std::uint32_t>{0, 1, 4, 5, 6, 7, 8}));
  EXPECT_EQ(below_.dialled.size(), 1U);
  EXPECT_EQ(late_.listen_port(), kPort);
  EXPECT_EQ(told_, kPort);
  EXPECT_EQ(late_.trouble(), "");
  member->allow({core::PieceIndex{2}, core::PieceIndex{3}});
  EXPECT_TRUE(below_.allowed.contains(2));
}

TEST_F(LateSwarmTest, ASmallContentThatIsSoonThereStartsNothing) {
  const auto member = join(small_);
  bool left = false;
  member->leave([&] { left = true; });
  ASSERT_TRUE(loop_.run_one());
  EXPECT_TRUE(left);
  EXPECT_TRUE(loop_.fire());
  EXPECT_EQ(starts_, 0);
}

TEST_F(LateSwarmTest, ASmallContentThatTakesItsTimeGetsPeers) {
  const auto member = join(small_);
  ASSERT_TRUE(loop_.fire());
  ASSERT_TRUE(is_starting());
  const auto another = join(small_);
  EXPECT_FALSE(loop_.fire());
  let_start();
  ASSERT_TRUE(loop_.run_one());
  EXPECT_EQ(below_.joins, 2);
  EXPECT_EQ(starts_, 1);
}

TEST_F(LateSwarmTest, WhoLeavesWhileItStartsIsNotInIt) {
  auto member = join(large_);
  auto dropped = join(large_);
  ASSERT_TRUE(is_starting());
  bool left = false;
  member->leave([&] { left = true; });
  ASSERT_TRUE(loop_.run_one());
  EXPECT_TRUE(left);
  dropped.reset();
  let_start();
  ASSERT_TRUE(loop_.run_one());
  EXPECT_EQ(below_.joins, 0);
  const auto later = join(small_);
  EXPECT_EQ(below_.joins, 1);
}

TEST_F(LateSwarmTest, WhatKeepsItFromStartingIsTold) {
  const auto member = join(large_);
  ASSERT_TRUE(is_starting());
  let_start(fail(ErrorCode::network, "no socket"));
  ASSERT_TRUE(loop_.run_one());
  EXPECT_NE(late_.trouble().find("no socket"), std::string::npos);
  EXPECT_EQ(late_.listen_port(), std::nullopt);
  EXPECT_EQ(told_, 0);
  bool left = false;
  member->leave([&] { left = true; });
  ASSERT_TRUE(loop_.run_one());
  EXPECT_TRUE(left);
}

TEST_F(LateSwarmTest, AnEndWaitsForAStartThatIsUnderWay) {
  {
    LateSwarm ending(
        [this]() -> Result<RunningSwarm> {
          started_.set_value();
          return RunningSwarm{std::make_unique<FrontSwarm>(below_), kPort};
        },
        {}, loop_);
    auto member = ending.join({.manifest = large_, .store = nullptr, .peers = {}, .trackers = {}},
                              [](core::Event) {});
    ASSERT_TRUE(is_starting());
    member.reset();
  }
  EXPECT_EQ(below_.members, 0);
}

}  // namespace
}  // namespace lanward::host
