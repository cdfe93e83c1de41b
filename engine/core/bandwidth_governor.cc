#include "engine/core/bandwidth_governor.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <string>
#include <utility>

namespace lanward::core {
namespace {

constexpr std::uint64_t kNone = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint32_t kMinutesPerDay = 24 * 60;
constexpr std::uint32_t kDays = 7;

// A transfer that gets this much of its share is held back by it, and may want anything.
constexpr std::uint64_t kHeldPercent = 85;
// Room to grow for one that is not: a quarter, and a little to begin with.
constexpr std::uint64_t kGrowthPercent = 125;
constexpr std::uint64_t kGrowthMin = 64 * kKiB;
constexpr std::uint64_t kGrowthShare = 16;  // of its share no more than one part in so many
// Of the line beside a foreground without a limit in per cent.
constexpr std::uint32_t kFilledPercent = 90;
// Rates beyond are none: a terabyte per second, which keeps sums and products in range.
constexpr std::uint64_t kRateMax = 1'000'000'000'000;

std::uint64_t limit_of(std::uint64_t bytes_per_s) {
  return bytes_per_s == 0 ? kNone : std::min(bytes_per_s, kRateMax);
}

std::uint64_t minus(std::uint64_t a, std::uint64_t b) {
  return a == kNone ? a : a - std::min(a, b);
}

bool limits_anything(const BandwidthRule& rule) {
  return rule.total_bytes_per_s != 0 || rule.foreground != BandwidthLimit{} ||
         rule.background != BandwidthLimit{};
}

bool contains(const BandwidthHours& hours, LocalTime local) {
  const std::uint32_t minute = local.second / 60;
  const auto on = [&](std::uint32_t day) { return (hours.weekdays >> (day % kDays) & 1U) != 0; };
  if (hours.begin_minute < hours.end_minute) {
    return on(local.weekday) && hours.begin_minute <= minute && minute < hours.end_minute;
  }
  return (on(local.weekday) && minute >= hours.begin_minute) ||
         (on(local.weekday + kDays - 1) && minute < hours.end_minute);
}

Result<void> check_rule(const BandwidthRule& rule, const std::string& field) {
  const std::pair<const BandwidthLimit&, const char*> kinds[] = {{rule.foreground, ".foreground"},
                                                                 {rule.background, ".background"}};
  for (const auto& [limit, name] : kinds) {
    if (limit.percent > 100) {
      return fail(ErrorCode::invalid_argument, field + name +
                                                   ".percent: " + std::to_string(limit.percent) +
                                                   " is not from 1 to 100, or 0 for no limit");
    }
  }
  return {};
}

}  // namespace

Result<void> check_limits(const BandwidthLimits& limits) {
  if (auto ok = check_rule(limits.always, "bandwidth.always"); !ok) return ok;
  if (limits.hours.size() > kBandwidthHoursMax) {
    return fail(ErrorCode::invalid_argument,
                "bandwidth.hours: more than " + std::to_string(kBandwidthHoursMax));
  }
  for (std::size_t i = 0; i < limits.hours.size(); ++i) {
    const BandwidthHours& hours = limits.hours[i];
    const std::string field = "bandwidth.hours[" + std::to_string(i) + "]";
    if (auto ok = check_rule(hours.rule, field); !ok) return ok;
    if (hours.begin_minute >= kMinutesPerDay || hours.end_minute > kMinutesPerDay) {
      return fail(ErrorCode::invalid_argument, field + ": a day has 1440 minutes");
    }
    if (hours.weekdays == 0 || hours.weekdays > BandwidthHours::kEveryDay) {
      return fail(ErrorCode::invalid_argument, field + ".weekdays: names no day of the week");
    }
  }
  return {};
}

bool any_limit(const BandwidthLimits& limits) {
  return limits_anything(limits.always) ||
         std::any_of(limits.hours.begin(), limits.hours.end(),
                     [](const BandwidthHours& h) { return limits_anything(h.rule); });
}

const BandwidthRule& rule_at(const BandwidthLimits& limits, LocalTime local) {
  for (const BandwidthHours& hours : limits.hours) {
    if (contains(hours, local)) return hours.rule;
  }
  return limits.always;
}

BandwidthGovernor::BandwidthGovernor(BandwidthLimits limits) : limits_(std::move(limits)) {
  assert(check_limits(limits_));
}

std::vector<BandwidthShare> BandwidthGovernor::decide(std::span<const BandwidthFacts> transfers,
                                                      Instant now, LocalTime local) {
  measure(transfers, now);
  const BandwidthRule& rule = rule_at(limits_, local);
  set_wakeup(rule, !transfers.empty(), now, local);

  std::vector<Claim> foreground;
  std::vector<Claim> background;
  std::uint64_t foreground_rate = 0;
  bool foreground_asks = false;
  bool background_asks = false;
  for (std::size_t i = 0; i < transfers.size(); ++i) {
    const bool first = transfers[i].foreground;
    const User& user = users_.at(transfers[i].user);
    (first ? foreground : background).push_back({.index = i, .demand = demand_of(user)});
    if (first) foreground_rate += user.measured;
    (first ? foreground_asks : background_asks) |= user.asking;
  }
  const Caps caps = caps_of(rule, foreground_rate, now);
  const auto wanted = [](const std::vector<Claim>& claims, std::uint64_t cap) {
    std::uint64_t sum = 0;
    for (const Claim& claim : claims) sum = std::min(sum + claim.demand, kRateMax);
    return std::min(sum, cap);
  };
  // What is left over goes to the foreground again, so that it can grow at once.
  const std::uint64_t kept =
      background_asks && caps.total != kNone ? caps.total / kBackgroundShare : 0;
  const std::uint64_t first = std::min(caps.foreground, minus(caps.total, kept));
  // Without any limit it takes what it takes.
  const std::uint64_t foreground_wants =
      first == kNone ? foreground_rate : wanted(foreground, first);
  const std::uint64_t background_cap =
      std::min(caps.background, std::max(minus(caps.total, foreground_wants), kept));
  const std::uint64_t background_wants = wanted(background, background_cap);
  const std::uint64_t given =
      caps.total == kNone || !foreground_asks ? background_cap : background_wants;
  fill(background, given);
  fill(foreground, std::min(caps.foreground, minus(caps.total, background.empty() ? 0 : given)));

  std::vector<BandwidthShare> shares(transfers.size());
  const auto hand_out = [&](const std::vector<Claim>& claims, bool by_percent) {
    for (const Claim& claim : claims) {
      const BandwidthUser id = transfers[claim.index].user;
      User& user = users_.at(id);
      user.share = claim.share == kNone ? 0 : std::max<std::uint64_t>(claim.share, 1);
      user.by_percent = by_percent && user.share != 0;
      shares[claim.index] = {.user = id, .rate = ByteRate{user.share}};
    }
  };
  hand_out(foreground, caps.foreground_by_percent);
  hand_out(background, caps.background_by_percent);
  return shares;
}

// What has come since the last step, and whether the limits in per cent were in its way.
void BandwidthGovernor::measure(std::span<const BandwidthFacts> transfers, Instant now) {
  ++step_;
  std::uint64_t more = 0;
  bool asking = false;
  bool held = false;
  bool foreground_held = false;
  bool open = false;
  for (const BandwidthFacts& facts : transfers) {
    const std::uint64_t received = facts.received.value;
    const auto [entry, fresh] = users_.try_emplace(
        facts.user, User{.meter = SpanMeter(received, now), .received = received});
    User& user = entry->second;
    const std::uint64_t bytes = received - std::min(received, user.received);
    user.received += bytes;
    user.meter.look(user.received, now);
    user.measured = std::min(user.meter.bytes_per_s(), kRateMax);
    user.step = step_;
    user.asking = facts.asking || fresh;  // whoever joins is about to ask
    more += bytes;
    if (fresh) capacity_.newcomer(now);
    if (!facts.asking || fresh) continue;
    asking = true;
    open = open || user.share == 0;
    const bool by_percent = user.by_percent && is_held(user);
    held = held || by_percent;
    foreground_held = foreground_held || (by_percent && facts.foreground);
  }
  std::erase_if(users_, [this](const auto& entry) { return entry.second.step != step_; });
  const auto hold = !asking         ? CapacityMeter::Hold::idle
                    : held && !open ? CapacityMeter::Hold::held
                                    : CapacityMeter::Hold::free;
  const bool probing = capacity_.probing();
  capacity_.observe(ByteCount{more}, hold, now);
  if (!probing) foreground_probe_ = foreground_held;
}

// It has what it was given, and may want anything.
bool BandwidthGovernor::is_held(const User& user) {
  return user.share == 0 || user.measured * 100 >= user.share * kHeldPercent;
}

std::uint64_t BandwidthGovernor::demand_of(const User& user) {
  if (!user.asking) return user.measured;
  if (is_held(user)) return kRateMax;
  return user.measured * kGrowthPercent / 100 + std::min(kGrowthMin, user.share / kGrowthShare);
}

// Limits in per cent do not count while the line is not known, or is just being measured.
BandwidthGovernor::Caps BandwidthGovernor::caps_of(const BandwidthRule& rule,
                                                   std::uint64_t foreground_rate,
                                                   Instant now) const {
  Caps caps{.foreground = limit_of(rule.foreground.bytes_per_s),
            .background = limit_of(rule.background.bytes_per_s),
            .total = limit_of(rule.total_bytes_per_s)};
  const auto known = capacity_.capacity(now);
  if (!known) return caps;
  const std::uint64_t capacity = std::min(known->value, kRateMax);
  const bool probing = capacity_.probing();
  const auto part = [&](std::uint32_t percent) {
    return std::max<std::uint64_t>(capacity * percent / 100, 1);
  };
  if (const std::uint32_t percent = rule.foreground.percent; percent != 0 && !probing) {
    caps.foreground_by_percent = part(percent) < std::min(caps.foreground, caps.total);
    caps.foreground = std::min(caps.foreground, part(percent));
  }
  if (const std::uint32_t percent = rule.background.percent;
      percent != 0 && (!probing || foreground_probe_)) {
    // Where both are limited, they stay below the higher limit together. Beside a foreground that
    // is not, some of the line stays empty: it is what the foreground grows into.
    const std::uint64_t both = rule.foreground.percent != 0
                                   ? part(std::max(rule.foreground.percent, percent))
                               : foreground_rate > 0 ? part(kFilledPercent)
                                                     : capacity;
    const std::uint64_t left = std::min(part(percent), minus(both, foreground_rate));
    const std::uint64_t cap = std::max(left, part(percent) / kBackgroundShare);
    caps.background_by_percent = cap < std::min(caps.background, caps.total);
    caps.background = std::min(caps.background, cap);
  }
  return caps;
}

void BandwidthGovernor::set_wakeup(const BandwidthRule& rule, bool anybody, Instant now,
                                   LocalTime local) {
  wakeup_.reset();
  if (!anybody) return;
  if (limits_anything(rule)) {
    wakeup_ = now + kStep;
  } else if (any_limit(limits_)) {
    wakeup_ = now + std::chrono::seconds{60 - local.second % 60};  // hours begin with a minute
  }
}

// Max-min fair: nobody gets more than it wants while another has less than it wants. What nobody
// wants is spread, so that whoever grows has it at once.
void BandwidthGovernor::fill(std::vector<Claim>& claims, std::uint64_t limit) {
  if (limit == kNone) {
    for (Claim& claim : claims) claim.share = kNone;
    return;
  }
  std::sort(claims.begin(), claims.end(), [](const Claim& a, const Claim& b) {
    return std::pair{a.demand, a.index} < std::pair{b.demand, b.index};
  });
  std::uint64_t left = limit;
  for (std::size_t i = 0; i < claims.size(); ++i) {
    claims[i].share = std::min(claims[i].demand, left / (claims.size() - i));
    left -= claims[i].share;
  }
  for (std::size_t i = 0; i < claims.size(); ++i) {
    const std::uint64_t extra = left / (claims.size() - i);
    claims[i].share += extra;
    left -= extra;
  }
}

}  // namespace lanward::core
