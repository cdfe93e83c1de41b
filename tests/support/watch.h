// One lock and one wake-up for everything that a test records.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>

namespace lanward::test {

// The mutex is recursive so that a condition may read what change() guards by helpers that lock.
class Watch {
 public:
  template <class Change>
  void change(const Change& make) {
    const std::lock_guard lock(mutex_);
    make();
    changed_.notify_all();
  }
  template <class Look>
  [[nodiscard]] auto look(const Look& read) const {
    const std::lock_guard lock(mutex_);
    return read();
  }
  // False: not within the deadline. Conditions depend on what change() changes.
  [[nodiscard]] bool wait(const std::function<bool()>& condition) const {
    // A sanitizer on a busy machine makes seconds of what takes milliseconds.
    constexpr std::chrono::seconds kDeadline{60};
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kDeadline, condition);
  }

 private:
  mutable std::recursive_mutex mutex_;
  mutable std::condition_variable_any changed_;
};

}  // namespace lanward::test
