// A range sink that remembers, and a log of facts to wait on.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/core/events.h"
#include "engine/ports/content_store.h"

namespace lanward::test {

inline constexpr std::chrono::seconds kFakeDeadline{30};

// What a FakeSink did; outlives it.
class SinkLog {
 public:
  // Answers full (or closed) as soon as this many bytes have been taken.
  void refuse_after(std::uint64_t bytes, ports::RangeSink::Accept answer) {
    const std::lock_guard lock(mutex_);
    refuse_after_ = bytes;
    answer_ = answer;
  }
  void take_everything() { refuse_after(UINT64_MAX, ports::RangeSink::Accept::taken); }
  // Called within each accept() that answers full.
  void on_full(std::function<void()> call) {
    const std::lock_guard lock(mutex_);
    on_full_ = std::move(call);
  }

  [[nodiscard]] std::string bytes() const { return read(bytes_); }
  [[nodiscard]] std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return bytes_.size();
  }
  [[nodiscard]] int refused() const { return read(refused_); }
  [[nodiscard]] bool finished() const { return read(finished_); }
  [[nodiscard]] bool destroyed() const { return read(destroyed_); }
  // False: not within the deadline.
  [[nodiscard]] bool wait_for_bytes(std::size_t n) const {
    return wait_until([&] { return bytes_.size() >= n; });
  }
  [[nodiscard]] bool wait_for_refusal() const {
    return wait_until([&] { return refused_ > 0; });
  }

 private:
  friend class FakeSink;
  [[nodiscard]] bool wait_until(const std::function<bool()>& condition) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kFakeDeadline, condition);
  }
  template <class T>
  [[nodiscard]] T read(const T& field) const {
    const std::lock_guard lock(mutex_);
    return field;
  }

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::uint64_t refuse_after_ = UINT64_MAX;
  ports::RangeSink::Accept answer_ = ports::RangeSink::Accept::taken;
  std::function<void()> on_full_;
  std::string bytes_;
  int refused_ = 0;
  bool finished_ = false;
  bool destroyed_ = false;
};

class FakeSink final : public ports::RangeSink {
 public:
  explicit FakeSink(std::shared_ptr<SinkLog> log) : log_(std::move(log)) {}
  ~FakeSink() override {
    const std::lock_guard lock(log_->mutex_);
    log_->destroyed_ = true;
    log_->changed_.notify_all();
  }

  Accept accept(std::span<const std::byte> bytes) override {
    std::function<void()> call;
    Accept answer = Accept::taken;
    {
      const std::lock_guard lock(log_->mutex_);
      if (log_->bytes_.size() < log_->refuse_after_) {
        log_->bytes_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      } else {
        ++log_->refused_;
        answer = log_->answer_;
        call = log_->on_full_;
      }
      log_->changed_.notify_all();
    }
    if (answer == Accept::full && call) call();
    return answer;
  }

  void finish() override {
    const std::lock_guard lock(log_->mutex_);
    log_->finished_ = true;
    log_->changed_.notify_all();
  }

 private:
  std::shared_ptr<SinkLog> log_;
};

// Collects facts from any thread. Outlives the sink function that it hands out.
class FactLog {
 public:
  [[nodiscard]] ports::FactSink sink() {
    return [this](core::Event fact) {
      const std::lock_guard lock(mutex_);
      facts_.push_back(std::move(fact));
      changed_.notify_all();
    };
  }

  [[nodiscard]] std::vector<core::Event> all() const {
    const std::lock_guard lock(mutex_);
    return facts_;
  }

  [[nodiscard]] bool wait_for_any() const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kFakeDeadline, [&] { return !facts_.empty(); });
  }

  // The last fact of the request; Tick when it did not come within the deadline.
  [[nodiscard]] core::Event wait_for_end(core::RequestId request) const {
    std::unique_lock lock(mutex_);
    const core::Event* found = nullptr;
    changed_.wait_for(lock, kFakeDeadline, [&] {
      for (const auto& fact : facts_) {
        if (ends(fact, request)) found = &fact;
      }
      return found != nullptr;
    });
    return found != nullptr ? *found : core::Event{core::Tick{}};
  }

  // Facts that end the request; more than one is a defect.
  [[nodiscard]] std::size_t count_ends(core::RequestId request) const {
    const std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(
        std::count_if(facts_.begin(), facts_.end(),
                      [&](const core::Event& fact) { return ends(fact, request); }));
  }

 private:
  [[nodiscard]] static bool ends(const core::Event& fact, core::RequestId request) {
    return is<core::OriginProbed>(fact, request) || is<core::DocumentFetched>(fact, request) ||
           is<core::RangeFinished>(fact, request) || is<core::RequestFailed>(fact, request);
  }
  template <class Fact>
  [[nodiscard]] static bool is(const core::Event& fact, core::RequestId request) {
    const auto* const f = std::get_if<Fact>(&fact);
    return f != nullptr && f->request == request;
  }

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<core::Event> facts_;
};

}  // namespace lanward::test
