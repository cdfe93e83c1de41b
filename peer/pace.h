// When a busy thread does better to wait a moment.
#pragma once

#include <chrono>
#include <cstdint>

namespace lanward::peer {

// On a slow line blocks come and go one at a time, and each wakes the network thread, which costs
// more than the block. While both directions are slow the thread may rest between two rounds, so
// that a round has several blocks. A burst after a silence is never met by a resting thread.
class Pace {
 public:
  using Clock = std::chrono::steady_clock;

  // In this time a single peer is still given its send buffer of 32 KiB: 21 MB/s.
  static constexpr std::chrono::microseconds kRest{1500};
  // Rates are measured over this time.
  static constexpr std::chrono::milliseconds kWindow{100};
  // Slow, per direction and window: 14 MB/s. Less than what a resting thread can move, or a line
  // that has become fast would never be noticed.
  static constexpr std::uint64_t kSlowBytes = 1'400'000;

  void received(std::uint64_t bytes, Clock::time_point now) {
    roll(now);
    in_ += bytes;
  }
  void sent(std::uint64_t bytes, Clock::time_point now) {
    roll(now);
    out_ += bytes;
  }
  [[nodiscard]] bool slow() const { return slow_; }

 private:
  void roll(Clock::time_point now) {
    const auto age = now - begin_;
    if (age < kWindow) return;
    slow_ = age < 2 * kWindow && in_ < kSlowBytes && out_ < kSlowBytes;
    in_ = out_ = 0;
    begin_ = now;
  }

  Clock::time_point begin_{};
  std::uint64_t in_ = 0;
  std::uint64_t out_ = 0;
  bool slow_ = false;
};

}  // namespace lanward::peer
