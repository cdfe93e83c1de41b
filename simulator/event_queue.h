// Virtual time: one queue of events for everything in a simulation.
#pragma once

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "engine/core/units.h"
#include "engine/ports/loop.h"
#include "engine/ports/task.h"

namespace lanward::simulator {

// Time starts late enough that an Instant of zero can mean "never" to whoever wants that.
inline constexpr core::Instant kStart{std::chrono::microseconds{1}};

// Runs events in order of (time, sequence number); equal times run in the order of scheduling, so a
// run depends on nothing but its inputs. One thread.
class EventQueue {
 public:
  [[nodiscard]] core::Instant now() const { return now_; }
  [[nodiscard]] std::uint64_t executed() const { return executed_; }
  [[nodiscard]] std::size_t pending() const { return heap_.size(); }

  // REQUIRES: when >= now().
  void at(core::Instant when, ports::Task task) {
    assert(when >= now_);
    heap_.push_back({std::max(when, now_), sequence_++, std::move(task)});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  void after(core::Duration delay, ports::Task task) { at(now_ + delay, std::move(task)); }

  // Runs the next event; false when there is none.
  bool step() {
    if (heap_.empty()) return false;
    std::pop_heap(heap_.begin(), heap_.end(), later);
    Entry entry = std::move(heap_.back());
    heap_.pop_back();
    now_ = entry.when;
    ++executed_;
    entry.task();
    return true;
  }

  // Runs events until `done` holds, the next event lies beyond `deadline`, `events_max` events have
  // run, or there is no event left; returns done(). The clock stops at the last event run.
  bool run_until(const std::function<bool()>& done, core::Instant deadline,
                 std::uint64_t events_max) {
    for (std::uint64_t i = 0; i < events_max && !done(); ++i) {
      if (heap_.empty() || heap_.front().when > deadline) break;
      step();
    }
    return done();
  }

 private:
  struct Entry {
    core::Instant when;
    std::uint64_t sequence;
    ports::Task task;
  };
  static bool later(const Entry& a, const Entry& b) {
    return a.when != b.when ? a.when > b.when : a.sequence > b.sequence;
  }

  core::Instant now_ = kStart;
  std::uint64_t sequence_ = 0;
  std::uint64_t executed_ = 0;
  std::vector<Entry> heap_;
};

// The loop of one simulated machine. Destroying it drops nothing: its tasks live in the queue.
class SimLoop final : public ports::Loop {
 public:
  explicit SimLoop(EventQueue& queue) : queue_(queue) {}

  [[nodiscard]] core::Instant now() const override { return queue_.now(); }
  void post(ports::Task task) override { queue_.at(queue_.now(), std::move(task)); }
  [[nodiscard]] std::unique_ptr<ports::Timer> make_timer(ports::Task on_fire) override {
    return std::make_unique<SimTimer>(queue_, std::move(on_fire));
  }

 private:
  class SimTimer final : public ports::Timer {
   public:
    SimTimer(EventQueue& queue, ports::Task on_fire)
        : queue_(queue), state_(std::make_shared<State>()) {
      state_->on_fire = std::move(on_fire);
    }
    ~SimTimer() override { disarm(); }
    void arm(core::Instant at) override {
      const core::Instant when = std::max(at, queue_.now());
      // Schedulers re-arm after every fact, mostly for the time that is armed already.
      if (state_->armed == when) return;
      disarm();
      state_->armed = when;
      queue_.at(when, [state = std::weak_ptr(state_), generation = state_->generation] {
        const auto s = state.lock();
        if (s == nullptr || s->generation != generation) return;
        s->armed.reset();
        ++s->generation;
        s->on_fire();
      });
    }
    void disarm() override {
      state_->armed.reset();
      ++state_->generation;
    }

   private:
    struct State {
      std::uint64_t generation = 0;
      std::optional<core::Instant> armed;
      ports::Task on_fire;
    };
    EventQueue& queue_;
    std::shared_ptr<State> state_;
  };

  EventQueue& queue_;
};

}  // namespace lanward::simulator
