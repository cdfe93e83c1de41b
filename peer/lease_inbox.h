// What one connection says as lease messages: read, checked and bounded.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>

#include "engine/core/lease_message.h"

namespace lanward::peer {

// Network thread only.
class LeaseInbox {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // An honest peer sends a handful of messages a second (claims of runs that last a second or two,
  // progress, the roster), and some tens at once when it joins or when runs shrink to single pieces
  // at the end. What exceeds this is dropped, so that a flood costs the sender more than it costs
  // us.
  static constexpr int kBurstMax = 512;
  static constexpr int kPerSecond = 256;
  // A peer that sends so many messages nobody can read speaks something else.
  static constexpr int kNonsenseMax = 8;
  // Dropped messages have to be read all the same. So many, 16 seconds' worth, are no mistake.
  static constexpr std::uint64_t kDroppedMax = 16 * kPerSecond;

  // Nothing: of another version or kind, malformed, or too much.
  [[nodiscard]] std::optional<core::LeaseMessage> take(std::span<const std::uint8_t> bytes,
                                                       TimePoint now);
  [[nodiscard]] bool is_hopeless() const {
    return nonsense_ >= kNonsenseMax || dropped_ >= kDroppedMax;
  }
  // Messages that came too fast.
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

 private:
  [[nodiscard]] bool admit(TimePoint now);

  int nonsense_ = 0;
  std::uint64_t dropped_ = 0;
  // A bucket of tokens, in nanoseconds of credit: it is full at first.
  std::optional<TimePoint> empty_at_;  // when it would have been empty, had it always been filling
};

}  // namespace lanward::peer
