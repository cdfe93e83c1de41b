// Cache hosts that are left alone for a while, over all transfers. Pure: the time comes in.
#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "engine/core/units.h"

namespace lanward::core {

// A cache host that cannot be reached is banned for all; one that refuses a file, as a cache for
// that file's server only. Names are compared as given.
class HostBans {
 public:
  // More cannot be alive in a sane site; the ban that ends first makes room.
  static constexpr std::size_t kBansMax = 4096;

  // An empty `original` bans the host for all. A longer ban of the same is kept.
  void ban(const std::string& host, const std::string& original, Instant until, Instant now) {
    std::erase_if(bans_, [&](const auto& entry) { return entry.second <= now; });
    const auto key = std::pair(host, original);
    if (bans_.size() >= kBansMax && !bans_.contains(key)) {
      bans_.erase(std::min_element(bans_.begin(), bans_.end(), [](const auto& a, const auto& b) {
        return a.second < b.second;
      }));
    }
    Instant& end = bans_.try_emplace(key, until).first->second;
    end = std::max(end, until);
  }

  // Until when the host is banned for files of that server; nothing: it is not.
  [[nodiscard]] std::optional<Instant> banned_until(const std::string& host,
                                                    const std::string& original,
                                                    Instant now) const {
    std::optional<Instant> until;
    for (const std::string& whom : {std::string(), original}) {
      const auto found = bans_.find(std::pair(host, whom));
      if (found != bans_.end() && found->second > now) {
        until = std::max(until.value_or(now), found->second);
      }
    }
    return until;
  }

 private:
  std::map<std::pair<std::string, std::string>, Instant> bans_;  // host, original: until when
};

}  // namespace lanward::core
