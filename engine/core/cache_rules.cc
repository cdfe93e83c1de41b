#include "engine/core/cache_rules.h"

#include <algorithm>
#include <string>

namespace lanward::core {
namespace {

// Above it a sum of sizes and times could leave 64 bits.
constexpr std::chrono::seconds kAgeMax = std::chrono::hours{100 * 365 * 24};

// part * percent / 100 without leaving 64 bits.
std::uint64_t share(std::uint64_t whole, std::uint32_t percent) {
  return whole / 100 * percent + whole % 100 * percent / 100;
}

std::uint64_t add(std::uint64_t a, std::uint64_t b) {
  return a > ~std::uint64_t{0} - b ? ~std::uint64_t{0} : a + b;
}

std::uint64_t subtract(std::uint64_t a, std::uint64_t b) { return a > b ? a - b : 0; }

bool may_go(const CacheEntry& entry) { return !entry.pinned && !entry.active; }

bool is_due(const CacheEntry& entry, const CachePolicy& policy, std::int64_t now) {
  if (entry.expires && *entry.expires <= now) return true;
  if (entry.size < policy.min_file_bytes) return true;
  const std::int64_t age = now - std::min(entry.last_use, now);
  return policy.max_age.count() > 0 && age >= policy.max_age.count();
}

// Those that may go, the least recently used first. Ties are broken by id: the answer depends on
// the facts alone.
std::vector<const CacheEntry*> by_use(std::span<const CacheEntry> entries, std::int64_t now) {
  std::vector<const CacheEntry*> list;
  for (const CacheEntry& entry : entries) {
    if (may_go(entry)) list.push_back(&entry);
  }
  std::sort(list.begin(), list.end(), [now](const CacheEntry* a, const CacheEntry* b) {
    const std::int64_t ua = std::min(a->last_use, now);
    const std::int64_t ub = std::min(b->last_use, now);
    return ua != ub ? ua < ub : a->id < b->id;
  });
  return list;
}

}  // namespace

Result<void> check_policy(const CachePolicy& policy) {
  const auto bad = [](const char* field, const char* range) {
    return fail(ErrorCode::invalid_argument,
                std::string("cache_policy.") + field + ": expected " + range);
  };
  if (policy.max_percent > 100) return bad("max_percent", "0 to 100");
  if (policy.max_age < std::chrono::seconds{0} || policy.max_age > kAgeMax) {
    return bad("max_age", "0 to 100 years");
  }
  if (policy.high_percent < 1 || policy.high_percent > 100) return bad("high_percent", "1 to 100");
  if (policy.low_percent < 1 || policy.low_percent > policy.high_percent) {
    return bad("low_percent", "1 to high_percent");
  }
  if (policy.check_interval < std::chrono::seconds{0} || policy.check_interval > kAgeMax) {
    return bad("check_interval", "0 to 100 years");
  }
  return {};
}

std::optional<std::uint64_t> quota(const CachePolicy& policy, const DiskFacts& disk,
                                   std::uint64_t used) {
  std::optional<std::uint64_t> least;
  const auto limit = [&](std::uint64_t bytes) { least = std::min(least.value_or(bytes), bytes); };
  if (policy.max_bytes > 0) limit(policy.max_bytes);
  // A disk of which nothing is known limits nothing.
  if (disk.total > 0) {
    if (policy.max_percent > 0) limit(share(disk.total, policy.max_percent));
    if (policy.min_free_bytes > 0) limit(subtract(add(used, disk.free), policy.min_free_bytes));
  }
  return least;
}

std::vector<Digest> to_evict(std::span<const CacheEntry> entries, const CachePolicy& policy,
                             const DiskFacts& disk, std::int64_t now) {
  std::uint64_t used = 0;
  for (const CacheEntry& entry : entries) {
    if (!entry.pinned) used = add(used, entry.bytes);
  }
  const auto allowed = quota(policy, disk, used);
  std::vector<const CacheEntry*> rest;
  std::vector<Digest> out;
  for (const CacheEntry* entry : by_use(entries, now)) {
    if (is_due(*entry, policy, now)) {
      out.push_back(entry->id);
      used = subtract(used, entry->bytes);
    } else {
      rest.push_back(entry);
    }
  }
  if (!allowed || used <= share(*allowed, policy.high_percent)) return out;
  const std::uint64_t low = share(*allowed, policy.low_percent);
  for (const CacheEntry* entry : rest) {
    if (used <= low) break;
    out.push_back(entry->id);
    used = subtract(used, entry->bytes);
  }
  return out;
}

std::vector<Digest> evictable(std::span<const CacheEntry> entries, std::int64_t now) {
  std::vector<Digest> out;
  for (const CacheEntry* entry : by_use(entries, now)) out.push_back(entry->id);
  return out;
}

bool fits(std::span<const CacheEntry> entries, const CachePolicy& policy, const DiskFacts& disk,
          const Digest& id, std::uint64_t size) {
  std::uint64_t used = 0;
  std::uint64_t kept = size;
  for (const CacheEntry& entry : entries) {
    if (entry.pinned) {
      if (entry.id == id) return true;
      continue;
    }
    used = add(used, entry.bytes);
    if (entry.id != id && entry.active) kept = add(kept, std::max(entry.bytes, entry.size));
  }
  const auto allowed = quota(policy, disk, used);
  return !allowed || kept <= *allowed;
}

std::string without_secrets(std::string_view url) {
  url = url.substr(0, url.find_first_of("?#"));
  const std::size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return std::string(url);
  const std::size_t host = scheme + 3;
  const std::size_t at = url.substr(host, url.find('/', host) - host).rfind('@');
  if (at == std::string_view::npos) return std::string(url);
  return std::string(url.substr(0, host)) + std::string(url.substr(host + at + 1));
}

}  // namespace lanward::core
