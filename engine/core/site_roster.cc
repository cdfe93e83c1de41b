#include "engine/core/site_roster.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cstddef>
#include <tuple>
#include <utility>

#include "engine/core/prng.h"

namespace lanward::core {
namespace {

// How often candidates tell that they live; claims have their own, shorter promises.
constexpr Duration kBeatInterval = std::chrono::seconds{1};
// Hearsay of a member counts this long after its last beat: three beats and the way of one.
constexpr Duration kFreshness = std::chrono::milliseconds{3500};
// News of a new member go on after this long: a few messages' worth are told together.
constexpr Duration kRelayDelay = std::chrono::milliseconds{5};
// Beats go on later and only to some: they reach everybody in a few steps, and where everybody is
// connected to everybody, repeating them costs three messages a second.
constexpr Duration kBeatRelayDelay = std::chrono::milliseconds{50};
constexpr std::size_t kBeatRelays = 3;
// Tries to connect to a member known by hearsay, and how long it is left out after the last one.
// Everybody is among the lowest ranks of the few it knows at first; only when the pullers have been
// the same for this long is it worth a connection.
constexpr Duration kDialQuiet = std::chrono::milliseconds{15};
constexpr std::uint32_t kDialsMax = 3;
constexpr Duration kDialInterval = std::chrono::seconds{1};
constexpr Duration kDistrust = std::chrono::seconds{60};
// Members remembered by hearsay: four tables' worth.
constexpr std::size_t kHeardMax = 4 * kRosterEntriesMax;
// A trial of more pullers: long enough for their first ranges and a beat; the pause after one that
// brought nothing; and what must be left to do for one.
constexpr Duration kClimbTrial = std::chrono::seconds{3};
constexpr Duration kClimbPause = std::chrono::seconds{10};
constexpr std::uint64_t kClimbWorkSeconds = 8;
// How long fewer pullers are left alone after the origin has asked for less.
constexpr Duration kSlowDown = std::chrono::seconds{30};

std::uint64_t first_bytes(const Digest& digest) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof value; ++i) value = value << 8U | digest[i];
  return value;
}

}  // namespace

std::uint64_t rank_of(const Digest& content, PeerKey key) {
  return mix64(mix64(first_bytes(content)) ^ key.value);
}

SiteRoster::SiteRoster(const Content& content, PeerKey self, const Policy& policy,
                       Commands& commands, Instant now)
    : policy_(policy),
      content_id_(content.id),
      piece_bytes_(content.layout.piece_bytes()),
      self_(self),
      commands_(commands),
      started_(now),
      count_(policy.pullers),
      changed_at_(now),
      next_beat_(now + kBeatInterval),
      target_(policy.pullers),
      climb_at_(now + kClimbTrial) {}

void SiteRoster::set_willing(bool willing) {
  if (willing_ == willing) return;
  willing_ = willing;
  dirty_ = true;
  if (links_.empty()) return;
  std::vector<SourceId> to;
  for (const auto& [id, link] : links_) to.push_back(id);
  commands_.emplace_back(SendMessage{std::move(to), Hello{self_, willing_}});
}

void SiteRoster::slow_down(Instant now) {
  slow_count_ = std::max(1U, (now < slow_until_ ? slow_count_ : count_) / 2);
  slow_until_ = now + kSlowDown;
  dirty_ = true;
}

// ---- what others say ---------------------------------------------------------------------------

void SiteRoster::link_up(SourceId id, const Endpoint& endpoint) {
  links_[id] = Link{.endpoint = endpoint, .key = {}};
  commands_.emplace_back(SendMessage{{id}, Hello{self_, willing_}});
}

void SiteRoster::link_down(SourceId id, Instant now) {
  const auto it = links_.find(id);
  if (it == links_.end()) return;
  if (it->second.key) {
    // Hearsay of before is no sign of life any more; a later beat is.
    const auto heard = heard_.find(*it->second.key);
    if (heard != heard_.end()) heard->second.at = std::min(heard->second.at, now - kFreshness);
  }
  links_.erase(it);
  std::erase(greeted_, id);
  dirty_ = true;
}

bool SiteRoster::hear(SourceId from, const Hello& hello, Instant) {
  const auto it = links_.find(from);
  if (it == links_.end() || hello.key == self_) return false;
  // A second key on one link would be a second place among the pullers.
  if (it->second.key && *it->second.key != hello.key) return false;
  if (it->second.key && it->second.willing == hello.willing) return false;
  if (!it->second.key) {
    greeted_.insert(std::lower_bound(greeted_.begin(), greeted_.end(), from), from);
  }
  it->second.key = hello.key;
  it->second.willing = hello.willing;
  dirty_ = true;
  return true;
}

void SiteRoster::hear(SourceId from, const Roster& roster, Instant now) {
  const auto link = links_.find(from);
  if (link == links_.end() || !link->second.key) return;
  bool news = false;
  for (const Roster::Entry& entry : roster.entries) {
    if (entry.key == self_) continue;
    news = note(entry, link->second, now) || news;
  }
  if (news) sum_rates(now);
}

void SiteRoster::believe(SourceId id) {
  if (const auto it = links_.find(id); it != links_.end()) it->second.believed = true;
}

bool SiteRoster::note(const Roster::Entry& entry, const Link& from, Instant now) {
  auto it = heard_.find(entry.key);
  if (it == heard_.end()) {
    if (heard_.size() >= kHeardMax) {
      const auto worst =
          std::max_element(heard_.begin(), heard_.end(), [&](const auto& a, const auto& b) {
            return rank_of(content_id_, a.first) < rank_of(content_id_, b.first);
          });
      if (rank_of(content_id_, worst->first) <= rank_of(content_id_, entry.key)) return false;
      heard_.erase(worst);
    }
    it = heard_.emplace(entry.key, Heard{}).first;
    dirty_ = true;
  } else if (entry.beat <= it->second.beat) {
    return false;
  } else if (!fresh(it->second, now)) {
    dirty_ = true;
  }
  Heard& heard = it->second;
  const Endpoint& endpoint = entry.key == *from.key ? from.endpoint : entry.endpoint;
  if (endpoint.port != 0) heard.endpoint = endpoint;
  heard.beat = entry.beat;
  // A stranger's figures would decide how long everybody waits.
  heard.rate_kib = from.believed ? entry.rate_kib : 0;
  heard.pullers = from.believed ? entry.pullers : std::uint16_t{0};
  heard.at = now;
  if (!relay_at_) relay_at_ = now + kBeatRelayDelay;
  return true;
}

void SiteRoster::sum_rates(Instant now) {
  std::uint64_t sum = 0;
  for (const auto& [key, heard] : heard_) {
    if (fresh(heard, now)) sum += std::uint64_t{heard.rate_kib} * kKiB;
  }
  others_rate_ = ByteRate{sum};
}

bool SiteRoster::fresh(const Heard& heard, Instant now) const {
  return now - heard.at < kFreshness;
}

// ---- who pulls ---------------------------------------------------------------------------------

void SiteRoster::update(Instant now) {
  const bool tick = now >= next_beat_;
  const bool dial_due = dial_at_ && now >= *dial_at_;
  if (!dirty_ && !tick && !dial_due && (!relay_at_ || now < *relay_at_)) return;
  if (dirty_ || tick || dial_due) {
    sum_rates(now);
    rank_members(now);
    if (tick) choose_count(now);
    set_pullers(now);
    dial(now);
  }
  dirty_ = false;
  if (tick) beat(now);
  if (relay_at_ && now >= *relay_at_) relay(now);
}

std::optional<Instant> SiteRoster::next_due() const {
  if (dirty_) return started_;  // at once
  if (links_.empty()) return std::nullopt;
  Instant due = next_beat_;
  for (const auto& at : {relay_at_, dial_at_}) {
    if (at) due = std::min(due, *at);
  }
  return due;
}

bool SiteRoster::usable(const Heard& heard, Instant now) const {
  return fresh(heard, now) && heard.endpoint.port != 0 && now >= heard.distrusted_until;
}

void SiteRoster::rank_members(Instant now) {
  const std::vector<Member> before = std::exchange(ranking_, {});
  if (willing_) ranking_.push_back({rank_of(content_id_, self_), self_, {}, {}});
  std::vector<PeerKey> linked;
  for (const auto& [id, link] : links_) {
    if (!link.key) continue;
    linked.push_back(*link.key);
    if (link.willing) {
      ranking_.push_back({rank_of(content_id_, *link.key), *link.key, id, link.endpoint});
    }
  }
  std::sort(linked.begin(), linked.end());
  for (const auto& [key, heard] : heard_) {
    if (!usable(heard, now) || std::binary_search(linked.begin(), linked.end(), key)) continue;
    ranking_.push_back({rank_of(content_id_, key), key, {}, heard.endpoint});
  }
  std::sort(ranking_.begin(), ranking_.end(), [](const Member& a, const Member& b) {
    return std::tuple(a.rank, a.key, a.link) < std::tuple(b.rank, b.key, b.link);
  });
  if (ranking_.size() > kRosterEntriesMax) ranking_.resize(kRosterEntriesMax);
  for (const Member& member : ranking_) {
    const bool known = std::any_of(before.begin(), before.end(),
                                   [&](const Member& b) { return b.key == member.key; });
    if (known || member.key == self_) continue;
    relay_to_all_ = true;
    relay_at_ = now + kRelayDelay;
    break;
  }
}

// The median of what the candidates think, each from what it heard of the rates; more if the one of
// the lowest rank tries that.
void SiteRoster::choose_count(Instant now) {
  climb(now);
  std::vector<std::uint32_t> votes{own_vote(now)};
  std::uint32_t lowest =
      leads() ? std::min(target_,
                         votes.front() == policy_.pullers ? policy_.pullers_max : votes.front())
              : 0;
  for (const auto& [key, heard] : heard_) {
    if (!fresh(heard, now) || heard.pullers == 0) continue;
    const auto vote = std::min<std::uint32_t>(heard.pullers, policy_.pullers_max);
    votes.push_back(std::min(vote, policy_.pullers));
    if (!ranking_.empty() && key == ranking_.front().key) lowest = vote;
  }
  std::sort(votes.begin(), votes.end());
  count_ = std::max({1U, votes[votes.size() / 2], lowest});
}

std::uint32_t SiteRoster::own_vote(Instant now) {
  std::uint32_t own = std::min(policy_.pullers, count_);
  std::size_t reports = rate_.value > 0 ? 1 : 0;
  for (const auto& [key, heard] : heard_)
    reports += fresh(heard, now) && heard.rate_kib > 0 ? 1 : 0;
  if (reports * 2 > pullers().size()) {
    const auto ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(policy_.pullers_in_flight).count();
    const std::uint64_t in_flight =
        site_rate().value * static_cast<std::uint64_t>(ms) / 1000 / piece_bytes_;
    own = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(in_flight, 1, policy_.pullers));
  }
  return now < slow_until_ ? std::min(own, slow_count_) : own;
}

bool SiteRoster::leads() const {
  return !ranking_.empty() && ranking_.front().key == self_ && !ranking_.front().link;
}

// On a shared WAN more pullers bring nothing; where each connection or machine has a limit of its
// own they do. Nobody can tell but by trying, and only a long download has the time.
void SiteRoster::climb(Instant now) {
  if (!leads() || now < climb_at_) return;
  const std::uint64_t rate = site_rate().value;
  if (climbed_from_ != 0) {
    const bool pays = rate * 4 >= climb_base_.value * 5;
    if (!pays) target_ = climbed_from_;
    climbed_from_ = 0;
    climb_at_ = pays ? now : now + kClimbPause;
    return;
  }
  const bool room = ranking_.size() > count_ && 2 * target_ <= policy_.pullers_max;
  const bool steady = count_ == target_ && now >= slow_until_;
  if (!room || !steady || rate == 0 || work_.value / rate < kClimbWorkSeconds) return;
  climbed_from_ = target_;
  climb_base_ = ByteRate{rate};
  target_ *= 2;
  climb_at_ = now + kClimbTrial;
}

std::span<const SiteRoster::Member> SiteRoster::pullers() const {
  return std::span(ranking_).first(std::min<std::size_t>(count_, ranking_.size()));
}

bool SiteRoster::pullers_linked() const {
  const auto all = pullers();
  return std::all_of(all.begin(), all.end(),
                     [&](const Member& m) { return m.link || m.key == self_; });
}

bool SiteRoster::candidate() const {
  const std::size_t n = std::min<std::size_t>(2 * std::size_t{count_}, ranking_.size());
  return std::any_of(ranking_.begin(), ranking_.begin() + static_cast<std::ptrdiff_t>(n),
                     [&](const Member& m) { return m.key == self_ && !m.link; });
}

void SiteRoster::set_pullers(Instant now) {
  std::vector<PeerKey> keys;
  pulls_ = false;
  for (const Member& member : pullers()) {
    keys.push_back(member.key);
    pulls_ = pulls_ || (member.key == self_ && !member.link);
  }
  watchers_.clear();
  const std::size_t circle = 2 * std::size_t{std::max(count_, policy_.pullers)};
  const std::size_t n = std::min(circle, ranking_.size());
  for (std::size_t i = 0; i < n; ++i) {
    if (ranking_[i].link) watchers_.push_back(*ranking_[i].link);
  }
  if (keys == chosen_) return;
  chosen_ = std::move(keys);
  ++generation_;
  changed_at_ = now;
}

// ---- telling others ----------------------------------------------------------------------------

// Pullers need links of their own: claims do not travel over third parties.
void SiteRoster::dial(Instant now) {
  dial_at_.reset();
  if (!candidate()) return;
  const std::size_t n = std::min<std::size_t>(2 * std::size_t{count_}, ranking_.size());
  for (std::size_t i = 0; i < n; ++i) {
    const Member& member = ranking_[i];
    if (member.link || member.key == self_) continue;
    if (now < changed_at_ + kDialQuiet) {
      dial_at_ = changed_at_ + kDialQuiet;
      return;
    }
    Heard& heard = heard_.at(member.key);
    if (now < heard.next_dial) continue;
    if (heard.dials >= kDialsMax) {
      heard.dials = 0;
      heard.distrusted_until = now + kDistrust;
      dirty_ = true;
      continue;
    }
    ++heard.dials;
    heard.next_dial = now + kDialInterval;
    commands_.emplace_back(ConnectPeer{member.endpoint});
  }
}

Roster SiteRoster::table(Instant now) const {
  Roster roster;
  for (const Member& member : ranking_) {
    Roster::Entry entry{.key = member.key, .endpoint = member.endpoint};
    if (member.key == self_) {
      entry.beat = beat_;
      entry.rate_kib = static_cast<std::uint32_t>(std::min<std::uint64_t>(rate_.value / kKiB, ~0U));
      entry.pullers = static_cast<std::uint16_t>(count_);
    } else if (const auto it = heard_.find(member.key);
               it != heard_.end() && fresh(it->second, now)) {
      entry.beat = it->second.beat;
      entry.rate_kib = it->second.rate_kib;
      entry.pullers = it->second.pullers;
    }
    roster.entries.push_back(entry);
    if (roster.entries.size() >= 2 * std::size_t{std::max(count_, policy_.pullers)}) break;
  }
  return roster;
}

std::optional<PeerKey> SiteRoster::key_of(SourceId id) const {
  const auto it = links_.find(id);
  return it == links_.end() ? std::nullopt : it->second.key;
}

void SiteRoster::beat(Instant now) {
  next_beat_ = now + kBeatInterval;
  if (!candidate()) return;
  ++beat_;
  std::vector<SourceId> to = greeted_;
  if (!to.empty()) commands_.emplace_back(SendMessage{std::move(to), table(now)});
}

void SiteRoster::relay(Instant now) {
  relay_at_.reset();
  std::vector<SourceId> to = greeted_;
  if (!std::exchange(relay_to_all_, false) && to.size() > kBeatRelays) {
    const std::uint64_t salt =
        mix64(self_.value) ^ static_cast<std::uint64_t>(now.time_since_epoch().count());
    std::sort(to.begin(), to.end(), [&](SourceId a, SourceId b) {
      return std::pair(mix64(salt + a.value), a) < std::pair(mix64(salt + b.value), b);
    });
    to.resize(kBeatRelays);
  }
  if (!to.empty()) commands_.emplace_back(SendMessage{std::move(to), table(now)});
}

}  // namespace lanward::core
