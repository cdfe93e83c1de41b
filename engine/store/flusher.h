// The thread that makes things durable in the background, in rounds.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace lanward::store {

class Flusher {
 public:
  Flusher() = default;
  Flusher(const Flusher&) = delete;
  Flusher& operator=(const Flusher&) = delete;
  ~Flusher() { stop(); }

  // `round` runs at most once per interval, while it returns that there is more to do or somebody
  // has poked since.
  void start(std::chrono::milliseconds interval, std::function<bool()> round);
  // Any thread; cheap.
  void poke();
  void stop();

 private:
  void run(std::chrono::milliseconds interval, const std::function<bool()>& round);

  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<bool> poked_{false};
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace lanward::store
