// Virtual time: one queue of events for everything in a simulation.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
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

// Hints to an event before its turn: flow or letter, machine, what that points to, and once more.
inline constexpr unsigned kWarmSteps = 4;

// Something that happens again and again, without an allocation for each time.
class EventHandler {
 public:
  // `tag` is what was given to at().
  virtual void fire(std::uint64_t tag) = 0;
  // A hint that the event is near, given several times with step 0, 1, ... kWarmSteps-1: what it
  // will touch may be brought into the processor's cache, one pointer further with each step.
  // Changes nothing.
  virtual void warm(std::uint64_t /*tag*/, unsigned /*step*/) const {}

 protected:
  ~EventHandler() = default;
};

// Brings an object into the processor's cache; null: nothing.
template <class T>
void warm_object(const T* object, std::size_t bytes = sizeof(T)) {
  if (object == nullptr) return;
  constexpr std::size_t kLine = 64;
  const auto* at = reinterpret_cast<const char*>(object);
  for (std::size_t i = 0; i < bytes; i += kLine) __builtin_prefetch(at + i);
}

// Runs events in order of (time, sequence number); equal times run in the order of scheduling, so a
// run depends on nothing but its inputs. One thread.
//
//  lane_      events of the present instant, in order           most of all events
//  near_      those in the present slice of time, sorted, the next one last
//  slices_    unsorted, one vector for each of the next kSlices slices; sorted when their time
//  comes far_       heap of those beyond
class EventQueue {
 public:
  [[nodiscard]] core::Instant now() const { return now_; }
  [[nodiscard]] std::uint64_t executed() const { return executed_; }
  [[nodiscard]] std::size_t pending() const { return pending_; }

  // REQUIRES: when >= now().
  void at(core::Instant when, ports::Task task) { push(when, Action{std::move(task), nullptr, 0}); }
  void after(core::Duration delay, ports::Task task) { at(now_ + delay, std::move(task)); }
  // REQUIRES: besides, the handler lives until the event has run.
  void at(core::Instant when, EventHandler& handler, std::uint64_t tag) {
    push(when, Action{{}, &handler, tag});
  }

  // Runs the next event; false when there is none.
  bool step() {
    if (!next_time()) return false;
    Action action = take();
    ++executed_;
    if (action.handler != nullptr) {
      action.handler->fire(action.tag);
    } else {
      action.task();
    }
    return true;
  }

  // Runs events until `done` holds, the next event lies beyond `deadline`, `events_max` events have
  // run, or there is no event left; returns done(). The clock stops at the last event run.
  bool run_until(const std::function<bool()>& done, core::Instant deadline,
                 std::uint64_t events_max) {
    for (std::uint64_t i = 0; i < events_max && !done(); ++i) {
      const auto next = next_time();
      if (!next || *next > deadline) break;
      step();
    }
    return done();
  }

 private:
  struct Action {
    ports::Task task;
    EventHandler* handler = nullptr;  // null: the task
    std::uint64_t tag = 0;
  };
  // Small, because it is moved about; a task waits in a slot.
  struct Entry {
    core::Instant when;
    std::uint64_t sequence;
    EventHandler* handler;  // null: the task in slot `tag`
    std::uint64_t tag;
  };
  static bool later(const Entry& a, const Entry& b) {
    return a.when != b.when ? a.when > b.when : a.sequence > b.sequence;
  }
  // 131 us a slice, 134 ms in all: transfers of pieces and messages are nearer than that, so that
  // few events see the heap of the far ones, and a slice holds few; but enough to look ahead.
  static constexpr unsigned kSliceBits = 17;
  static constexpr std::uint64_t kSlices = 1024;
  // How many events ahead of its turn one gets its first hint, and then each next one: about the
  // time that a line takes to come from memory.
  static constexpr std::size_t kWarmAhead = 2;
  static std::uint64_t slice_of(core::Instant when) {
    return static_cast<std::uint64_t>(when.time_since_epoch().count()) >> kSliceBits;
  }

  void push(core::Instant when, Action action) {
    assert(when >= now_);
    ++pending_;
    if (when <= now_) {
      lane_.push_back(std::move(action));
      return;
    }
    const Entry entry{when, sequence_++, action.handler,
                      action.handler != nullptr ? action.tag : store(std::move(action.task))};
    const std::uint64_t slice = slice_of(when);
    if (slice <= slice_) {
      near_.insert(std::upper_bound(near_.begin(), near_.end(), entry, later), entry);
    } else if (slice < slice_ + kSlices) {
      slices_[slice % kSlices].push_back(entry);
      used_[slice % kSlices / 64] |= std::uint64_t{1} << (slice % 64);
    } else {
      add(far_, entry);
    }
  }
  std::uint64_t store(ports::Task task) {
    if (free_.empty()) {
      tasks_.push_back(std::move(task));
      return tasks_.size() - 1;
    }
    const std::uint32_t slot = free_.back();
    free_.pop_back();
    tasks_[slot] = std::move(task);
    return slot;
  }
  static void add(std::vector<Entry>& heap, const Entry& entry) {
    heap.push_back(entry);
    std::push_heap(heap.begin(), heap.end(), later);
  }

  // Entries of the near ones that are due at the present instant were scheduled before any of the
  // lane.
  Action take() {
    if (lane_head_ < lane_.size() && (near_.empty() || near_.back().when > now_)) {
      --pending_;
      return std::move(lane_[lane_head_++]);
    }
    const Entry entry = near_.back();
    near_.pop_back();
    for (unsigned step = 0; step < kWarmSteps; ++step) warm(kWarmAhead * (kWarmSteps - step), step);
    now_ = entry.when;
    --pending_;
    if (entry.handler != nullptr) return {{}, entry.handler, entry.tag};
    const auto slot = static_cast<std::uint32_t>(entry.tag);
    free_.push_back(slot);
    return {std::move(tasks_[slot]), nullptr, 0};
  }
  void warm(std::size_t ahead, unsigned step) const {
    if (ahead > near_.size()) return;
    const Entry& entry = near_[near_.size() - ahead];
    if (entry.handler != nullptr) return entry.handler->warm(entry.tag, step);
    if (step == 0) __builtin_prefetch(&tasks_[entry.tag]);
  }

  // When the next event is due; afterwards it is the next of lane or near ones.
  std::optional<core::Instant> next_time() {
    if (lane_head_ < lane_.size()) return now_;
    if (!lane_.empty()) {
      lane_.clear();
      lane_head_ = 0;
    }
    if (near_.empty() && !advance()) return std::nullopt;
    return near_.back().when;
  }

  // Moves on to the next slice that holds events; false when there is none.
  bool advance() {
    constexpr std::uint64_t kNone = ~std::uint64_t{0};
    std::uint64_t slice = far_.empty() ? kNone : slice_of(far_.front().when);
    if (const auto distance = next_used()) slice = std::min(slice, slice_ + *distance);
    if (slice == kNone) return false;
    slice_ = slice;
    std::vector<Entry>& due = slices_[slice % kSlices];
    near_.swap(due);
    used_[slice % kSlices / 64] &= ~(std::uint64_t{1} << (slice % 64));
    while (!far_.empty() && slice_of(far_.front().when) == slice) {
      std::pop_heap(far_.begin(), far_.end(), later);
      near_.push_back(far_.back());
      far_.pop_back();
    }
    std::sort(near_.begin(), near_.end(), later);
    return true;
  }

  // Slices from the present one to the next that is in use.
  [[nodiscard]] std::optional<std::uint64_t> next_used() const {
    constexpr std::uint64_t kWords = kSlices / 64;
    const std::uint64_t first = slice_ + 1;
    for (std::uint64_t i = 0; i <= kWords; ++i) {
      const std::uint64_t word = (first / 64 + i) % kWords;
      std::uint64_t bits = used_[word];
      if (i == 0) bits &= ~std::uint64_t{0} << (first % 64);
      if (bits == 0) continue;
      const auto slot = word * 64 + static_cast<std::uint64_t>(std::countr_zero(bits));
      return (slot + kSlices - slice_ % kSlices) % kSlices;
    }
    return std::nullopt;
  }

  core::Instant now_ = kStart;
  std::uint64_t sequence_ = 0;
  std::uint64_t executed_ = 0;
  std::size_t pending_ = 0;
  std::vector<Action> lane_;
  std::size_t lane_head_ = 0;
  std::vector<Entry> near_;
  std::uint64_t slice_ = slice_of(kStart);
  std::vector<std::vector<Entry>> slices_{kSlices};
  std::array<std::uint64_t, kSlices / 64> used_{};
  std::vector<Entry> far_;
  std::vector<ports::Task> tasks_;
  std::vector<std::uint32_t> free_;
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
    // Schedulers re-arm after every fact, mostly for later: the event that waits already will do,
    // and moves on when its time comes.
    void arm(core::Instant at) override {
      State& s = *state_;
      s.armed = std::max(at, queue_.now());
      if (s.queued && *s.queued <= *s.armed) return;
      enqueue(queue_, state_, *s.armed);
    }
    void disarm() override { state_->armed.reset(); }

   private:
    struct State {
      std::optional<core::Instant> armed;
      std::optional<core::Instant> queued;  // the earliest event that counts
      ports::Task on_fire;
    };
    static void enqueue(EventQueue& queue, const std::shared_ptr<State>& state,
                        core::Instant when) {
      state->queued = when;
      queue.at(when, [&queue, weak = std::weak_ptr(state)] {
        const auto s = weak.lock();
        if (s == nullptr || s->queued != queue.now()) return;
        s->queued.reset();
        if (!s->armed) return;
        if (*s->armed > queue.now()) return enqueue(queue, s, *s->armed);
        s->armed.reset();
        s->on_fire();
      });
    }
    EventQueue& queue_;
    std::shared_ptr<State> state_;
  };

  EventQueue& queue_;
};

}  // namespace lanward::simulator
