// Bytes per second over the last second or so, in integers.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "engine/core/units.h"

namespace lanward::core {

class RateMeter {
 public:
  explicit RateMeter(Instant start) : start_(start), slot_(slot_of(start)) {}

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
    const Duration into_slot{now.time_since_epoch().count() % kSlot.count()};
    const Duration window = std::min(kSlot * (kSlots - 1) + into_slot, now - start_);
    if (window < kSlot) return ByteRate{sum * (std::chrono::seconds{1} / kSlot)};
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(window).count();
    return ByteRate{sum * 1000 / static_cast<std::uint64_t>(ms)};
  }

 private:
  // Eight slots of an eighth of a second: fresh enough for a watchdog of two seconds, long enough
  // to span the gaps between pieces.
  static constexpr std::int64_t kSlots = 8;
  static constexpr Duration kSlot = std::chrono::milliseconds{125};

  static std::int64_t slot_of(Instant t) { return t.time_since_epoch() / kSlot; }
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
  Instant start_;
  std::int64_t slot_;
};

}  // namespace lanward::core
