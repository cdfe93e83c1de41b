// Bytes per second between looks at a count that grows. Exact where RateMeter is not: bytes belong
// to the time since the look before, not to the moment of the look.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "engine/core/units.h"

namespace lanward::core {

class SpanMeter {
 public:
  // Looks that come faster are told but not kept.
  static constexpr Duration kSpacing = std::chrono::milliseconds{200};

  SpanMeter(std::uint64_t count, Instant now) { points_[0] = {now, count}; }

  // REQUIRES: neither goes back.
  void look(std::uint64_t count, Instant now) {
    now_ = {now, count};
    if (now - points_[newest_].at < kSpacing) return;
    newest_ = (newest_ + 1) % kPoints;
    points_[newest_] = now_;
    if (kept_ < kPoints) ++kept_;
  }
  // Over the last four spacings at least, once there are so many; 0 before the second look.
  [[nodiscard]] std::uint64_t bytes_per_s() const {
    const Point& oldest = points_[(newest_ + kPoints + 1 - kept_) % kPoints];
    if (now_.at <= oldest.at) return 0;
    const auto us =
        static_cast<std::uint64_t>((now_.at - oldest.at) / std::chrono::microseconds{1});
    return us == 0 ? 0 : (now_.count - oldest.count) * 1'000 / us * 1'000;
  }

 private:
  struct Point {
    Instant at;
    std::uint64_t count = 0;
  };
  static constexpr std::size_t kPoints = 5;

  std::array<Point, kPoints> points_{};
  std::size_t newest_ = 0;
  std::size_t kept_ = 1;
  Point now_{};
};

}  // namespace lanward::core
