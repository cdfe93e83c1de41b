#include "engine/jobs/origin_control.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <utility>
#include <vector>

namespace lanward::jobs {
namespace {

core::LocalTime local_time(std::chrono::system_clock::time_point now) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm local{};
  if (::localtime_r(&seconds, &local) == nullptr) return {};
  const auto number = [](int value) { return static_cast<std::uint32_t>(value); };
  return {.weekday = number((local.tm_wday + 6) % 7),  // tm counts from Sunday
          .second = number(local.tm_hour * 3600 + local.tm_min * 60 + std::min(local.tm_sec, 59))};
}

}  // namespace

OriginControl::OriginControl(const Ports& ports, const EngineSettings& settings)
    : ports_(ports),
      settings_(settings),
      limited_(core::any_limit(settings.bandwidth)),
      governor_(settings.bandwidth) {
  if (limited_) timer_ = ports_.loop.make_timer([this] { decide(); });
}

void OriginControl::join(User& user) {
  if (!limited_) return;
  users_[core::BandwidthUser{++last_user_}].user = &user;
  decide();
}

void OriginControl::leave(User& user) {
  const auto is_it = [&](const auto& entry) { return entry.second.user == &user; };
  // What it leaves to the others they have with the next step.
  if (std::erase_if(users_, is_it) > 0 && users_.empty()) timer_->disarm();
}

void OriginControl::decide() {
  std::vector<core::BandwidthFacts> facts;
  for (const auto& [id, entry] : users_) {
    facts.push_back({.user = id,
                     .foreground = entry.user->is_foreground(),
                     .asking = entry.user->is_asking(),
                     .received = entry.user->origin_bytes()});
  }
  const core::Instant now = ports_.loop.now();
  for (const core::BandwidthShare& share :
       governor_.decide(facts, now, local_time(settings_.wall_clock()))) {
    Entry& entry = users_.at(share.user);
    if (std::exchange(entry.rate, share.rate) != share.rate) entry.user->limit_origins(share.rate);
  }
  if (const auto at = governor_.next_wakeup()) timer_->arm(*at);
}

void OriginControl::ban(const core::BanCacheHost& command) {
  const core::Instant now = ports_.loop.now();
  bans_.ban(command.host, command.original, now + command.duration, now);
}

std::optional<core::Instant> OriginControl::banned_until(const core::OriginSpec& origin) const {
  if (origin.cache_host.empty()) return std::nullopt;
  return bans_.banned_until(origin.cache_host, origin.original_host, ports_.loop.now());
}

}  // namespace lanward::jobs
