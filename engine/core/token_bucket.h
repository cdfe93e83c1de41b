// Bytes that may pass at a rate, in integers: what is not used is kept up to a bounded burst.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>

#include "engine/core/units.h"

namespace lanward::core {

// Over any time t no more than rate * t + burst() + one take passes.
class TokenBucket {
 public:
  // A burst of so much time: long enough for the timers of an idle machine, short enough that
  // nobody else on the line feels it.
  static constexpr Duration kBurstTime = std::chrono::milliseconds{50};
  // At least two blocks, or slow rates would wake up for every packet.
  static constexpr std::uint64_t kBurstBytesMin = 32 * kKiB;
  // Faster than any line this is for; keeps the products below within 64 bits.
  static constexpr std::uint64_t kRateMax = 10'000'000'000;

  // Full. Rate zero: no limit.
  TokenBucket(ByteRate rate, Instant now) : refilled_(now) {
    set_rate(rate, now);
    balance_ = static_cast<std::int64_t>(burst().value);
  }

  // Keeps what has been saved and what is owed. A limit after none begins with nothing saved, or
  // switching it would be a way around it.
  void set_rate(ByteRate rate, Instant now) {
    refill(now);
    if (rate_ == 0) balance_ = 0;
    rate_ = std::min(rate.value, kRateMax);
    balance_ = std::min(balance_, static_cast<std::int64_t>(burst().value));
  }
  [[nodiscard]] ByteRate rate() const { return ByteRate{rate_}; }
  [[nodiscard]] bool limited() const { return rate_ != 0; }
  [[nodiscard]] ByteCount burst() const {
    const std::uint64_t bytes =
        rate_ / (std::chrono::nanoseconds{std::chrono::seconds{1}} / kBurstTime);
    return ByteCount{std::max(bytes, kBurstBytesMin)};
  }

  // Takes all of the bytes or none. All, while anything is saved: what it lacks then is owed and
  // waited for before the next take, so that no number of bytes is too large.
  [[nodiscard]] bool take(ByteCount bytes, Instant now) {
    if (rate_ == 0) return true;
    refill(now);
    if (balance_ <= 0) return false;
    const auto wanted = static_cast<std::int64_t>(
        std::min<std::uint64_t>(bytes.value, std::numeric_limits<std::int64_t>::max() / 2));
    balance_ -= wanted;
    return true;
  }

  // From when on take() succeeds; `now` if it does already.
  [[nodiscard]] Instant next_ready(Instant now) {
    refill(now);
    if (rate_ == 0 || balance_ > 0) return now;
    // The first moment at which a whole byte is saved.
    const std::uint64_t lacking = static_cast<std::uint64_t>(-balance_) + 1;
    const std::uint64_t seconds = lacking / rate_;
    if (seconds >= kSecondsMax) return now + std::chrono::seconds{kSecondsMax};
    const std::uint64_t rest = lacking % rate_ * kNanos;
    const std::uint64_t missing = rest > fraction_ ? rest - fraction_ : 0;
    const std::uint64_t nanos = (missing + rate_ - 1) / rate_;
    return now + std::chrono::seconds{seconds} +
           std::chrono::nanoseconds{static_cast<std::int64_t>(nanos)};
  }

 private:
  static constexpr std::uint64_t kNanos = 1'000'000'000;
  // Longer is forever: thirty years.
  static constexpr std::uint64_t kSecondsMax = kNanos;

  void refill(Instant now) {
    if (now <= refilled_) return;
    const auto passed = static_cast<std::uint64_t>((now - refilled_).count());
    refilled_ = now;
    if (rate_ == 0) return;
    const std::uint64_t seconds = std::min(passed / kNanos, kSecondsMax - 1);
    // kRateMax * 1e9 and a fraction below 1e9 still fit.
    const std::uint64_t part = passed % kNanos * rate_ + fraction_;
    fraction_ = part % kNanos;
    const std::uint64_t gained = seconds * rate_ + part / kNanos;
    const auto full = static_cast<std::int64_t>(burst().value);
    const auto room = static_cast<std::uint64_t>(full - balance_);
    balance_ = gained >= room ? full : balance_ + static_cast<std::int64_t>(gained);
  }

  std::uint64_t rate_ = 0;
  std::int64_t balance_ = 0;    // bytes saved, or owed if negative
  std::uint64_t fraction_ = 0;  // of a byte, in billionths
  Instant refilled_;
};

}  // namespace lanward::core
