// A loop with a clock that only the test moves.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <utility>

#include "engine/ports/loop.h"

namespace lanward::testing {

class FakeLoop final : public ports::Loop {
 public:
  [[nodiscard]] core::Instant now() const override { return now_; }
  void post(ports::Task task) override { tasks_.push_back(std::move(task)); }
  [[nodiscard]] std::unique_ptr<ports::Timer> make_timer(ports::Task on_fire) override {
    return std::make_unique<FakeTimer>(*this, std::move(on_fire));
  }

  // Runs what is posted, and what that posts, at the present time.
  void run() {
    while (!tasks_.empty()) {
      ports::Task task = std::move(tasks_.front());
      tasks_.pop_front();
      task();
    }
  }
  // Runs, letting timers fire on the way.
  void advance(core::Duration duration) {
    const core::Instant until = now_ + duration;
    run();
    while (!armed_.empty() && armed_.begin()->first.first <= until) {
      const auto [key, timer] = *armed_.begin();
      now_ = std::max(now_, key.first);
      timer->fire();
      run();
    }
    now_ = until;
  }

 private:
  using Key = std::pair<core::Instant, std::uint64_t>;

  class FakeTimer final : public ports::Timer {
   public:
    FakeTimer(FakeLoop& loop, ports::Task on_fire) : loop_(loop), on_fire_(std::move(on_fire)) {}
    ~FakeTimer() override { loop_.armed_.erase(key_); }
    void arm(core::Instant at) override {
      loop_.armed_.erase(key_);
      key_ = {at, ++loop_.sequence_};
      loop_.armed_.emplace(key_, this);
    }
    void disarm() override { loop_.armed_.erase(key_); }
    void fire() {
      loop_.armed_.erase(key_);
      on_fire_();
    }

   private:
    FakeLoop& loop_;
    ports::Task on_fire_;
    Key key_;
  };

  core::Instant now_{std::chrono::seconds{1}};
  std::uint64_t sequence_ = 0;
  std::deque<ports::Task> tasks_;
  std::map<Key, FakeTimer*> armed_;
};

}  // namespace lanward::testing
