#include "engine/store/flusher.h"

#include <utility>

namespace lanward::store {

void Flusher::start(std::chrono::milliseconds interval, std::function<bool()> round) {
  thread_ = std::thread([this, interval, round = std::move(round)] { run(interval, round); });
}

void Flusher::poke() {
  if (poked_.exchange(true)) return;
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

void Flusher::run(std::chrono::milliseconds interval, const std::function<bool()>& round) {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || poked_; });
    wake_.wait_for(lock, interval, [this] { return stopping_; });
    if (stopping_) return;
    poked_ = false;
    lock.unlock();
    if (round()) poked_ = true;
    lock.lock();
  }
}

}  // namespace lanward::store
