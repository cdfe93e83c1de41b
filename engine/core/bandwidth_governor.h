// How fast each transfer may fetch from origins: absolute limits and limits in per cent of the
// line, by priority and by the time of day. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include <lanward/error.h>
#include <lanward/types.h>

#include "engine/core/capacity_meter.h"
#include "engine/core/span_meter.h"
#include "engine/core/units.h"

namespace lanward::core {

// What the clock on the wall shows.
struct LocalTime {
  std::uint32_t weekday = 0;  // 0..6, from Monday
  std::uint32_t second = 0;   // of the day, 0..86399
};

// Never reused within one governor.
using BandwidthUser = Id<struct BandwidthUserTag, std::uint64_t>;

struct BandwidthFacts {
  BandwidthUser user;
  bool foreground = false;
  bool asking = false;  // it has requests under way
  ByteCount received;   // from origins, since it began
};
struct BandwidthShare {
  BandwidthUser user;
  ByteRate rate;  // zero: no limit
};

inline constexpr std::size_t kBandwidthHoursMax = 32;
// Errors: invalid_argument (names the field).
[[nodiscard]] Result<void> check_limits(const BandwidthLimits& limits);
// Whether anything is ever limited.
[[nodiscard]] bool any_limit(const BandwidthLimits& limits);
// What holds at this time.
[[nodiscard]] const BandwidthRule& rule_at(const BandwidthLimits& limits, LocalTime local);

class BandwidthGovernor {
 public:
  // Rates are worked out anew so often: what one transfer does not use, another has soon.
  static constexpr Duration kStep = std::chrono::milliseconds{250};
  // What background transfers get of a total limit at least, so that nothing stands still.
  static constexpr std::uint64_t kBackgroundShare = 20;  // one part in so many

  // REQUIRES: check_limits(limits).
  explicit BandwidthGovernor(BandwidthLimits limits);

  // Facts of every transfer there is; the shares are in the same order. At least every kStep, and
  // whenever a transfer begins or ends. The shares of a kind add up to no more than its limit, all
  // of them to no more than the total one. Foreground transfers have no share below what the
  // foreground limit and the total one say.
  [[nodiscard]] std::vector<BandwidthShare> decide(std::span<const BandwidthFacts> transfers,
                                                   Instant now, LocalTime local);
  // When to ask again, although nothing has changed; nothing if there is no need.
  [[nodiscard]] std::optional<Instant> next_wakeup() const { return wakeup_; }

 private:
  struct User {
    SpanMeter meter;
    std::uint64_t received = 0;
    std::uint64_t measured = 0;  // bytes per second
    std::uint64_t share = 0;     // as decided last; 0: no limit
    bool by_percent = false;     // what bounds it is a limit in per cent
    bool asking = false;
    std::uint64_t step = 0;  // in which it was last seen
  };
  // One transfer that shares a limit.
  struct Claim {
    std::size_t index = 0;
    std::uint64_t demand = 0;
    std::uint64_t share = 0;
  };
  struct Caps {
    std::uint64_t foreground = 0;
    std::uint64_t background = 0;
    std::uint64_t total = 0;
    bool foreground_by_percent = false;
    bool background_by_percent = false;
  };

  void measure(std::span<const BandwidthFacts> transfers, Instant now);
  [[nodiscard]] Caps caps_of(const BandwidthRule& rule, std::uint64_t foreground_rate,
                             Instant now) const;
  void set_wakeup(const BandwidthRule& rule, bool anybody, Instant now, LocalTime local);
  [[nodiscard]] static bool is_held(const User& user);
  [[nodiscard]] static std::uint64_t demand_of(const User& user);
  static void fill(std::vector<Claim>& claims, std::uint64_t limit);

  const BandwidthLimits limits_;
  std::map<BandwidthUser, User> users_;
  CapacityMeter capacity_;
  bool foreground_probe_ = false;  // a probe lifts the limit of the foreground only
  std::uint64_t step_ = 0;
  std::optional<Instant> wakeup_;
};

}  // namespace lanward::core
