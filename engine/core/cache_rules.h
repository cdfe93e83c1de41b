// What the piece cache may keep: the quota, what fits it, what goes first. Facts in, answers out.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <lanward/error.h>
#include <lanward/types.h>

#include "engine/core/content.h"

namespace lanward::core {

// What the cache holds of one content.
struct CacheEntry {
  Digest id{};
  std::uint64_t bytes = 0;  // on the disk
  std::uint64_t size = 0;   // of the whole file
  std::int64_t last_use = 0;
  std::optional<std::int64_t> expires = {};
  bool pinned = false;
  bool active = false;  // open, or a job that is not final refers to it: must stay
};

// The file system that the cache is on.
struct DiskFacts {
  std::uint64_t total = 0;
  std::uint64_t free = 0;
};

// Names the field that is out of its range.
[[nodiscard]] Result<void> check_policy(const CachePolicy& policy);

// How many bytes contents that are not pinned may take; nothing: no limit. `used`: what they take.
[[nodiscard]] std::optional<std::uint64_t> quota(const CachePolicy& policy, const DiskFacts& disk,
                                                 std::uint64_t used);

// Which contents must go, in this order: those whose time is over (expiry, age), those too small to
// stay, and then, if the quota is used to the high mark, the least recently used until it is used
// to the low mark. Never a pinned or an active one. `now`: seconds since 1970; a last use in the
// future counts as now.
[[nodiscard]] std::vector<Digest> to_evict(std::span<const CacheEntry> entries,
                                           const CachePolicy& policy, const DiskFacts& disk,
                                           std::int64_t now);

// What may go, the least recently used first, whatever the quota says: for a disk that is full.
[[nodiscard]] std::vector<Digest> evictable(std::span<const CacheEntry> entries, std::int64_t now);

// Whether a content of `size` can be fetched into the cache within the quota, if everything that
// may go goes: beside what is pinned and what other active contents take when they are complete.
[[nodiscard]] bool fits(std::span<const CacheEntry> entries, const CachePolicy& policy,
                        const DiskFacts& disk, const Digest& id, std::uint64_t size);

// A URL as it may be kept and shown: without user, query and fragment.
[[nodiscard]] std::string without_secrets(std::string_view url);

}  // namespace lanward::core
