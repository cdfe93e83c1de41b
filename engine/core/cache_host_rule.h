// Cache hosts or ordinary origins: whom a transfer asks. docs/http.md tells the rules.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/core/events.h"
#include "engine/core/policy.h"
#include "engine/core/units.h"

namespace lanward::core {

// A transfer begins with its cache hosts, also when it is resumed.
class CacheHostRule {
 public:
  CacheHostRule(const Policy& policy, bool background, Instant start)
      : policy_(policy), background_(background), started_(start) {}

  void set_background(bool background) { background_ = background; }

  // Nobody but the cache hosts may ever be asked.
  [[nodiscard]] bool never_falls_back() const {
    const auto fallback = delay();
    return fallback && *fallback < Duration{0};
  }
  // The cache hosts come first. `failing`: none of them has answered since it failed.
  [[nodiscard]] bool prefers_cache_hosts(bool failing, Instant now) {
    const auto fallback = delay();
    if (fallback && failing && *fallback >= Duration{0} && now >= started_ + *fallback) {
      for_good_ = true;
    }
    return never_falls_back() || (!for_good_ && on_cache_hosts_);
  }
  // When that may change by itself.
  [[nodiscard]] std::optional<Instant> deadline() const {
    const auto fallback = delay();
    if (for_good_ || !fallback || *fallback < Duration{0}) return std::nullopt;
    return started_ + *fallback;
  }
  // A delay asks the transfer to wait for its cache hosts, even if they cannot be reached.
  [[nodiscard]] bool waits() const { return delay().has_value(); }

  // A request failed; those that ran side by side and broke together are one failure. `brought`:
  // some bytes before. A refusal changes nothing here: it bans the host.
  void failed(bool cache_host, const Failure& failure, bool brought) {
    if (delay() || failure.refused || cache_host != on_cache_hosts_) return;
    ++attempts_;
    if (changed_ && (brought || attempts_ < policy_.cache_host_attempts_min)) return;
    on_cache_hosts_ = !on_cache_hosts_;
    attempts_ = 0;
    changed_ = true;
  }

 private:
  [[nodiscard]] std::optional<Duration> delay() const {
    return background_ ? policy_.cache_host_fallback_background
                       : policy_.cache_host_fallback_foreground;
  }

  const Policy& policy_;
  bool background_;
  const Instant started_;
  bool on_cache_hosts_ = true;
  bool changed_ = false;        // sides, at least once
  bool for_good_ = false;       // the ordinary origins
  std::uint32_t attempts_ = 0;  // that failed on this side
};

}  // namespace lanward::core
