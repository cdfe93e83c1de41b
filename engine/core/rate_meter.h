// Bytes per second over the last eight slots of time, in integers.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "engine/core/units.h"

namespace lanward::core {

class RateMeter {
 public:
  // Slots of an eighth of a second: fresh enough for a watchdog of two seconds, long enough to span
  // the gaps between pieces.
  static constexpr Duration kDefaultSlot = std::chrono::milliseconds{125};

  explicit RateMeter(Instant start, Duration slot = kDefaultSlot)
      : slot_length_(slot), start_(start), slot_(slot_of(start)) {}

  void add(ByteCount bytes, Instant now) {
    roll(now);
    slots_[static_cast<std::size_t>(slot_) % kSlots] += bytes.value;
  }
  // Mean over the window, or over the time since the start if that is shorter.
  [[nodiscard]] ByteRate rate(Instant now) {
    roll(now);
    std::uint64_t sum = 0;
    for (const std::uint64_t s : slots_) sum += s;
    // The current slot is only partly over; what it lacks must not count as silence.
    const Duration into_slot{now.time_since_epoch().count() % slot_length_.count()};
    Duration window = std::min(slot_length_ * (kSlots - 1) + into_slot, now - start_);
    window = std::max(window, slot_length_);
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(window).count();
    return ByteRate{sum * 1000 / static_cast<std::uint64_t>(ms)};
  }

 private:
  static constexpr std::int64_t kSlots = 8;

  [[nodiscard]] std::int64_t slot_of(Instant t) const {
    return t.time_since_epoch() / slot_length_;
  }
  void roll(Instant now) {
    const std::int64_t current = slot_of(now);
    if (current - slot_ >= kSlots) {
      slots_.fill(0);
    } else {
      for (std::int64_t s = slot_ + 1; s <= current; ++s) {
        slots_[static_cast<std::size_t>(s) % kSlots] = 0;
      }
    }
    slot_ = current;
  }

  std::array<std::uint64_t, kSlots> slots_{};
  Duration slot_length_;
  Instant start_;
  std::int64_t slot_;
};

}  // namespace lanward::core
