#include "engine/store/flusher.h"

#include <utility>

namespace lanward::store {

void Flusher::start(std::chrono::milliseconds interval, std::function<bool()> round,
                    std::function<void()> urgent) {
  interval_ = interval;
  round_ = std::move(round);
  urgent_ = std::move(urgent);
  thread_ = std::thread([this] { run(); });
}

void Flusher::poke() { wake(poked_); }

void Flusher::hurry() { wake(hurried_); }

void Flusher::wake(std::atomic<bool>& why) {
  if (why.exchange(true)) return;
  // The lock makes sure that the thread is not between looking and falling asleep.
  const std::lock_guard lock(mutex_);
  wake_.notify_all();
}

void Flusher::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void Flusher::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || poked_ || hurried_; });
    run_urgent_until(lock, std::chrono::steady_clock::now() + interval_);
    if (stopping_) return;
    if (!poked_.exchange(false)) continue;
    lock.unlock();
    if (round_()) poked_ = true;
    lock.lock();
  }
}

void Flusher::run_urgent_until(std::unique_lock<std::mutex>& lock,
                               std::chrono::steady_clock::time_point end) {
  const auto awaited = [this] { return stopping_ || hurried_; };
  while (wake_.wait_until(lock, end, awaited) && !stopping_) {
    hurried_ = false;
    lock.unlock();
    urgent_();
    lock.lock();
    if (std::chrono::steady_clock::now() >= end) return;
  }
}

}  // namespace lanward::store
