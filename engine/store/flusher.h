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
  // has poked since. `urgent` runs at once after hurry(), however many rounds have been.
  void start(std::chrono::milliseconds interval, std::function<bool()> round,
             std::function<void()> urgent);
  // Any thread; cheap.
  void poke();
  void hurry();
  void stop();

 private:
  void wake(std::atomic<bool>& why);
  void run();
  void run_urgent_until(std::unique_lock<std::mutex>& lock,
                        std::chrono::steady_clock::time_point end);

  std::chrono::milliseconds interval_{};  // as round_ and urgent_, set before the thread starts
  std::function<bool()> round_;
  std::function<void()> urgent_;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<bool> poked_{false};
  std::atomic<bool> hurried_{false};
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace lanward::store
