#include "peer/dialler.h"

#include <algorithm>

#include "peer/endpoint.h"

namespace lanward::peer {

Dialler::Entry* Dialler::entry(const lt::tcp::endpoint& address) {
  const auto it = entries_.find(address);
  if (it != entries_.end()) return &it->second;
  if (entries_.size() >= kAddressesMax) {
    // One that nobody waits for makes room.
    const auto idle = std::find_if(entries_.begin(), entries_.end(), [](const auto& known) {
      return known.second.tries == Tries::once && !known.second.due;
    });
    if (idle == entries_.end()) return nullptr;
    entries_.erase(idle);
  }
  return &entries_[address];
}

void Dialler::add(const lt::tcp::endpoint& address, Tries tries, TimePoint now) {
  const bool known = entries_.contains(address);
  Entry* const entry = this->entry(address);
  if (entry == nullptr || entry->self) return;
  if (!known || tries == Tries::unlimited) entry->tries = tries;
  entry->due = now;
}

void Dialler::failed(const lt::tcp::endpoint& address, bool answered, TimePoint now) {
  Entry* const entry = this->entry(address);
  if (entry == nullptr || entry->self) return;
  if (entry->tries == Tries::once) return;
  ++entry->failures;
  if (answered) entry->failures = std::max(entry->failures, kQuickTries + 1);
  const int slow = entry->failures - kQuickTries;
  const auto delay = slow <= 0
                         ? std::chrono::nanoseconds{kQuickDelay}
                         : std::chrono::nanoseconds{std::min(slow * kSlowStep, kSlowDelayMax)};
  entry->due = now + delay;
}

void Dialler::connected(const lt::tcp::endpoint& address) {
  const auto it = entries_.find(address);
  if (it == entries_.end()) return;
  it->second.failures = 0;
  it->second.due.reset();
}

void Dialler::is_self(const lt::tcp::endpoint& address) {
  Entry* const entry = this->entry(address);
  if (entry == nullptr) return;
  entry->self = true;
  entry->due.reset();
}

void Dialler::retry_all(TimePoint now) {
  for (auto& [address, entry] : entries_) {
    if (entry.self) continue;
    entry.failures = 0;
    entry.due = now;
  }
}

std::optional<lt::tcp::endpoint> Dialler::known_as(const lt::tcp::endpoint& address) const {
  std::optional<lt::tcp::endpoint> known;
  for (const auto& [endpoint, entry] : entries_) {
    if (endpoint.port() != address.port() || without_link(endpoint) != without_link(address)) {
      continue;
    }
    if (known) return std::nullopt;
    known = endpoint;
  }
  return known;
}

std::vector<lt::tcp::endpoint> Dialler::take_due(TimePoint now) {
  std::vector<lt::tcp::endpoint> due;
  for (auto& [address, entry] : entries_) {
    if (!entry.due || *entry.due > now) continue;
    entry.due.reset();
    due.push_back(address);
  }
  return due;
}

std::optional<Dialler::TimePoint> Dialler::next() const {
  std::optional<TimePoint> first;
  for (const auto& [address, entry] : entries_) {
    if (entry.due && (!first || *entry.due < *first)) first = entry.due;
  }
  return first;
}

}  // namespace lanward::peer
