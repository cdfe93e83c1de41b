// Addresses that are refused for a while because what came from them was no member of the group, or
// did what no honest peer does.
// Pure: the time comes in.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>

#include "engine/core/units.h"

namespace lanward::core {

// Addresses count, not ports: who connects takes another port each time.
class PeerGuard {
 public:
  using Address = std::array<std::uint8_t, 16>;  // as in Endpoint

  // Machines with several users, and translated addresses, have members and strangers behind one
  // address; a few failures are a mistake, not an attack.
  static constexpr std::uint32_t kFreeFailures = 4;
  // Then the address is refused for this long, twice as long after each further failure. A member
  // behind the same address waits no longer than the longest.
  static constexpr std::chrono::seconds kFirstBan{2};
  static constexpr std::chrono::seconds kLongestBan{64};
  // Failures are forgotten after so long without another one.
  static constexpr std::chrono::hours kMemory{1};
  // Addresses remembered; the one that has been quiet longest makes room.
  static constexpr std::size_t kAddressesMax = 1024;

  void failed(const Address& address, Instant now) {
    forget(address, now);
    Entry& entry = entries_[address];
    ++failures_;
    ++entry.failures;
    entry.last = now;
    if (entry.failures <= kFreeFailures) return;
    const std::uint32_t doublings = std::min(entry.failures - kFreeFailures - 1, 16U);
    const Duration ban = Duration{kFirstBan} * (std::int64_t{1} << doublings);
    entry.refused_until = now + std::min(ban, Duration{kLongestBan});
  }
  // It did harm that no mistake explains: refused at once.
  void harmed(const Address& address, Instant now) {
    forget(address, now);
    Entry& entry = entries_[address];
    entry.failures = std::max(entry.failures, kFreeFailures);
    entry.harmed = true;
    failed(address, now);
  }
  // A member is there: what failed before was a mistake, unless it was harm.
  void succeeded(const Address& address) {
    const auto entry = entries_.find(address);
    if (entry != entries_.end() && !entry->second.harmed) entries_.erase(entry);
  }

  [[nodiscard]] bool refuses(const Address& address, Instant now) const {
    const auto entry = entries_.find(address);
    return entry != entries_.end() && entry->second.refused_until > now;
  }
  // In all, also those that are forgotten.
  [[nodiscard]] std::uint64_t failures() const { return failures_; }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::uint32_t failures = 0;
    bool harmed = false;
    Instant last;
    Instant refused_until;
  };

  // Makes room for the address.
  void forget(const Address& address, Instant now) {
    const auto known = entries_.find(address);
    if (known != entries_.end()) {
      if (now - known->second.last > kMemory) entries_.erase(known);
      return;
    }
    if (entries_.size() < kAddressesMax) return;
    entries_.erase(std::min_element(
        entries_.begin(), entries_.end(),
        [](const auto& a, const auto& b) { return a.second.last < b.second.last; }));
  }

  std::map<Address, Entry> entries_;
  std::uint64_t failures_ = 0;
};

}  // namespace lanward::core
