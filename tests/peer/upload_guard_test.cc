// When peers may be given something: rules about the machine, and the count of the month.
#include "peer/upload_guard.h"

#include <sys/stat.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/peer/fixture.h"
#include "tests/support/temporary_directory.h"

namespace lanward::test {
namespace {

using namespace std::chrono_literals;
using peer::UploadGuard;
using peer::UploadGuardOptions;

constexpr std::uint64_t kMiB = core::kMiB;

// A machine made of files.
class FakeMachine {
 public:
  FakeMachine() {
    memory("MemTotal:        4000000 kB\nMemFree:          100000 kB\n");
    supply("AC", {{"type", "Mains"}, {"online", "1"}});
    supply("BAT0", {{"type", "Battery"}, {"status", "Charging"}, {"capacity", "50"}});
  }
  void memory(const std::string& text) { write(directory_.path("proc/meminfo"), text); }
  using Files = std::vector<std::pair<std::string, std::string>>;
  void supply(const std::string& name, const Files& files) {
    for (const auto& [file, value] : files) {
      write(directory_.path("power/" + name + "/" + file), value + "\n");
    }
  }
  void plug(bool in) {
    supply("AC", {{"online", in ? "1" : "0"}});
    supply("BAT0", {{"status", in ? "Charging" : "Discharging"}});
  }
  [[nodiscard]] peer::MachinePlaces places() const {
    return {.proc = directory_.path("proc"),
            .power = directory_.path("power"),
            .disk = directory_.path("proc")};
  }

 private:
  // In one step, as the kernel's files change.
  static void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path + "~") << text;
    std::filesystem::rename(path + "~", path);
  }
  support::TemporaryDirectory directory_;
};

// Waits for what the guard tells.
class Told {
 public:
  UploadGuard::OnChange call() {
    return [this](bool may_give) {
      const std::lock_guard lock(mutex_);
      told_.push_back(may_give);
      changed_.notify_all();
    };
  }
  [[nodiscard]] std::vector<bool> first(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kPatience, [&] { return told_.size() >= count; });
    return told_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<bool> told_;
};

std::unique_ptr<UploadGuard> guard_with(UploadGuardOptions options) {
  auto made = UploadGuard::create(std::move(options));
  if (!made) {
    ADD_FAILURE() << made.error().message;
    std::abort();
  }
  return std::move(*made);
}

// Waits until the guard says so.
testing::AssertionResult becomes(const UploadGuard& guard, UploadBar bar) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (guard.status().bar != bar) {
    if (std::chrono::steady_clock::now() > until) {
      return testing::AssertionFailure() << "it is " << to_string(guard.status().bar);
    }
    std::this_thread::yield();
  }
  return testing::AssertionSuccess();
}

// ---- the machine -------------------------------------------------------------------------------

TEST(MachineFacts, AreReadFromTheKernelsFiles) {
  FakeMachine machine;
  const core::MachineFacts facts = peer::read_machine_facts(machine.places());
  EXPECT_EQ(facts.memory_bytes, 4'096'000'000U);
  EXPECT_EQ(facts.power, (core::PowerFacts{false, 50}));
  ASSERT_TRUE(facts.disk_bytes && facts.disk_free_bytes);
  EXPECT_GT(*facts.disk_bytes, 0U);
  EXPECT_LE(*facts.disk_free_bytes, *facts.disk_bytes);
  machine.plug(false);
  EXPECT_EQ(peer::read_machine_facts(machine.places()).power, (core::PowerFacts{true, 50}));
}

TEST(MachineFacts, WhatIsNotThereIsNotTold) {
  FakeMachine machine;
  const support::TemporaryDirectory empty;
  const core::MachineFacts nothing = peer::read_machine_facts(
      {.proc = empty.path("a"), .power = empty.path("b"), .disk = empty.path("c")});
  EXPECT_FALSE(nothing.memory_bytes || nothing.disk_bytes || nothing.disk_free_bytes);
  EXPECT_EQ(nothing.power, core::PowerFacts{});
  for (const char* text : {"", "MemFree: 5 kB\n", "MemTotal: much\n", "XMemTotal: 5 kB\n",
                           "MemTotal: 99999999999999999999 kB\n"}) {
    machine.memory(text);
    EXPECT_FALSE(peer::read_machine_facts(machine.places()).memory_bytes) << text;
  }
}

TEST(MachineFacts, ThisMachineHasMemory) {
  const core::MachineFacts facts = peer::read_machine_facts({});
  ASSERT_TRUE(facts.memory_bytes);
  EXPECT_GT(*facts.memory_bytes, 16 * kMiB);
}

// ---- rules -------------------------------------------------------------------------------------

TEST(UploadGuard, WithoutLimitsAndRulesNothingChanges) {
  const auto guard = guard_with({});
  EXPECT_FALSE(guard->may_change());
  EXPECT_EQ(guard->status(), UploadStatus{});
}

TEST(UploadGuard, WhatIsSwitchedOffStaysOff) {
  const auto guard = guard_with({.upload = false, .rules = {.min_memory_bytes = 1}});
  EXPECT_FALSE(guard->may_change());
  EXPECT_EQ(guard->status().bar, UploadBar::switched);
}

TEST(UploadGuard, RulesHoldFromTheStart) {
  const FakeMachine machine;
  const auto guard =
      guard_with({.rules = {.min_memory_bytes = 5'000'000'000}, .places = machine.places()});
  EXPECT_EQ(guard->status().bar, UploadBar::memory);
  EXPECT_NE(guard->status().reason.find("4096000000"), std::string::npos);
}

TEST(UploadGuard, FollowsThePowerSupply) {
  FakeMachine machine;
  Told told;
  const auto guard =
      guard_with({.rules = {.on_battery = false}, .places = machine.places(), .interval = 5ms});
  EXPECT_TRUE(guard->may_give());
  guard->start(told.call());
  machine.plug(false);
  EXPECT_EQ(told.first(1), std::vector<bool>{false});
  EXPECT_TRUE(becomes(*guard, UploadBar::on_battery));
  machine.plug(true);
  EXPECT_EQ(told.first(2), (std::vector<bool>{false, true}));
  EXPECT_TRUE(becomes(*guard, UploadBar::none));
  EXPECT_EQ(guard->status(), UploadStatus{});
}

// ---- the count ---------------------------------------------------------------------------------

class UploadCounting : public testing::Test {
 protected:
  UploadGuardOptions limited(std::uint64_t bytes) {
    return {.bytes_per_month = bytes, .count_file = file_, .interval = 5ms, .wall_clock = [this] {
              return std::chrono::sys_seconds{std::chrono::seconds{seconds_.load()}};
            }};
  }
  [[nodiscard]] std::uint64_t written() const {
    const auto count = peer::read_upload_count(file_);
    if (!count) ADD_FAILURE() << count.error().message;
    return count->given(core::month_of(std::chrono::sys_seconds{std::chrono::seconds{seconds_}}));
  }

  static constexpr std::int64_t kNovember = 1'795'000'000;  // 2026-11-18
  static constexpr std::int64_t kMonth = 30 * 86'400;
  support::TemporaryDirectory directory_;
  const std::string file_ = directory_.path("peers.given");
  std::atomic<std::int64_t> seconds_{kNovember};
};

TEST_F(UploadCounting, IsOverWhenTheLimitIsReached) {
  Told told;
  const auto guard = guard_with(limited(100));
  guard->start(told.call());
  guard->gave(99);
  EXPECT_EQ(guard->status().given_this_month, 99U);
  EXPECT_TRUE(guard->may_give());
  guard->gave(1);
  EXPECT_EQ(told.first(1), std::vector<bool>{false});
  EXPECT_TRUE(becomes(*guard, UploadBar::month));
  const UploadStatus status = guard->status();
  EXPECT_EQ(status.given_this_month, 100U);
  EXPECT_EQ(status.allowed_per_month, 100U);
  EXPECT_NE(status.reason.find("2026-12-01"), std::string::npos) << status.reason;
}

TEST_F(UploadCounting, BeginsAnewByTheCalendar) {
  Told told;
  const auto guard = guard_with(limited(100));
  guard->start(told.call());
  guard->gave(150);
  EXPECT_EQ(told.first(1), std::vector<bool>{false});
  seconds_ += kMonth;
  EXPECT_EQ(told.first(2), (std::vector<bool>{false, true}));
  EXPECT_EQ(guard->status().given_this_month, 0U);
  // A clock that is set back finds the old count.
  seconds_ -= kMonth;
  EXPECT_EQ(told.first(3), (std::vector<bool>{false, true, false}));
  EXPECT_EQ(guard->status().given_this_month, 150U);
}

TEST_F(UploadCounting, ARestartCountsOn) {
  {
    Told told;
    const auto guard = guard_with(limited(100));
    guard->start(told.call());
    guard->gave(70);
  }
  EXPECT_EQ(written(), 70U);
  Told told;
  const auto guard = guard_with(limited(100));
  EXPECT_EQ(guard->status().given_this_month, 70U);
  guard->start(told.call());
  guard->gave(30);
  EXPECT_EQ(told.first(1), std::vector<bool>{false});
  // And one that finds it used up gives nothing from the start.
  EXPECT_FALSE(guard_with(limited(70))->may_give());
}

// What a crash may lose.
TEST_F(UploadCounting, IsWrittenWhileBytesGo) {
  Told told;
  const auto guard = guard_with(limited(kMiB * kMiB));
  guard->start(told.call());
  for (std::uint64_t given = kMiB; given <= 64 * kMiB; given += kMiB) {
    guard->gave(kMiB);
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (written() + core::UploadQuota::kSaveBytes < given) {
      ASSERT_LT(std::chrono::steady_clock::now(), until);
      std::this_thread::yield();
    }
  }
}

TEST_F(UploadCounting, NothingIsGivenThatCannotBeCounted) {
  Told told;
  auto options = limited(kMiB * kMiB);
  options.count_file = directory_.path("gone/peers.given");
  const auto guard = guard_with(std::move(options));
  guard->start(told.call());
  guard->gave(core::UploadQuota::kSaveBytes);
  EXPECT_EQ(told.first(1), std::vector<bool>{false});
  EXPECT_TRUE(becomes(*guard, UploadBar::count));
  EXPECT_NE(guard->status().reason.find("gone/peers.given"), std::string::npos);
}

TEST_F(UploadCounting, AFileThatMakesNoSenseIsRefused) {
  std::ofstream(file_) << "lanward-given 1\nmuch\n";
  const auto refused = UploadGuard::create(limited(100));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::state_damaged);
  EXPECT_NE(refused.error().message.find(file_), std::string::npos);
  // Nobody looks at it where there is no limit.
  EXPECT_TRUE(UploadGuard::create(limited(0)));
}

}  // namespace
}  // namespace lanward::test
