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
// Where most candidates are known by hearsay only, beats of all of them come at any time, and the
// relays of one would be most of what a peer has to do. Several steps still take less than the two
// beats that may be missed.
constexpr Duration kSparseRelayDelay = std::chrono::milliseconds{250};
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

std::uint64_t SiteRoster::rank_of(PeerKey key) const { return mix64(content_ ^ key.value); }

SiteRoster::SiteRoster(const Content& content, PeerKey self, const Policy& policy,
                       Commands& commands, Instant now)
    : policy_(policy),
      content_(mix64(first_bytes(content.id))),
      piece_bytes_(content.layout.piece_bytes()),
      self_(self),
      own_rank_(rank_of(self)),
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
  for (const Link& link : links_) to.push_back(link.id);
  commands_.emplace_back(SendMessage{std::move(to), Hello{self_, willing_}});
}

void SiteRoster::slow_down(Instant now) {
  slow_count_ = std::max(1U, (now < slow_until_ ? slow_count_ : count_) / 2);
  slow_until_ = now + kSlowDown;
  dirty_ = true;
}

// ---- tables ------------------------------------------------------------------------------------

// Tables are told in order of rank, so the next is mostly found where it was guessed.
std::size_t SiteRoster::HeardTable::place(std::uint64_t rank, std::size_t guess) const {
  if (holds(guess, rank)) return guess;
  return static_cast<std::size_t>(std::lower_bound(ranks.begin(), ranks.end(), rank) -
                                  ranks.begin());
}

void SiteRoster::HeardTable::insert(std::size_t place, std::uint64_t rank, PeerKey key) {
  const auto at = static_cast<std::ptrdiff_t>(place);
  ranks.insert(ranks.begin() + at, rank);
  beats.insert(beats.begin() + at, 0);
  rates_kib.insert(rates_kib.begin() + at, 0);
  members.insert(members.begin() + at, Heard{.key = key, .endpoint = {}});
}

void SiteRoster::HeardTable::drop_last() {
  ranks.pop_back();
  beats.pop_back();
  rates_kib.pop_back();
  members.pop_back();
}

const SiteRoster::Link* SiteRoster::find_link(SourceId id) const {
  // Sources are numbered in the order of their joining, so most are where their number says.
  const std::size_t guess = id.value - kFirstPeerSource;
  if (is_peer(id) && guess < links_.size() && links_[guess].id == id) return &links_[guess];
  const auto at = std::lower_bound(links_.begin(), links_.end(), id,
                                   [](const Link& link, SourceId i) { return link.id < i; });
  return at != links_.end() && at->id == id ? &*at : nullptr;
}

SiteRoster::Link* SiteRoster::find_link(SourceId id) {
  return const_cast<Link*>(std::as_const(*this).find_link(id));
}

// ---- what others say ---------------------------------------------------------------------------

void SiteRoster::link_up(SourceId id, const Endpoint& endpoint) {
  const Link fresh{.id = id, .endpoint = endpoint, .key = {}};
  if (Link* link = find_link(id); link != nullptr) {
    *link = fresh;
  } else {
    const auto after = std::find_if(links_.rbegin(), links_.rend(),
                                    [&](const Link& other) { return other.id < id; });
    links_.insert(after.base(), fresh);
  }
  commands_.emplace_back(SendMessage{{id}, Hello{self_, willing_}});
}

void SiteRoster::link_down(SourceId id, Instant now) {
  const Link* link = find_link(id);
  if (link == nullptr) return;
  if (link->key) {
    // Hearsay of before is no sign of life any more; a later beat is.
    const std::size_t at = heard_.place(link->rank);
    if (heard_.holds(at, link->rank)) {
      Heard& heard = heard_.members[at];
      heard.at = std::min(heard.at, now - kFreshness);
    }
  }
  links_.erase(links_.begin() + (link - links_.data()));
  std::erase(greeted_, id);
  dirty_ = true;
}

bool SiteRoster::hear(SourceId from, const Hello& hello, Instant) {
  Link* link = find_link(from);
  if (link == nullptr || hello.key == self_) return false;
  // A second key on one link would be a second place among the pullers.
  if (link->key && *link->key != hello.key) return false;
  if (link->key && link->willing == hello.willing) return false;
  if (!link->key) {
    greeted_.insert(std::lower_bound(greeted_.begin(), greeted_.end(), from), from);
  }
  link->key = hello.key;
  link->rank = rank_of(hello.key);
  link->willing = hello.willing;
  dirty_ = true;
  return true;
}

void SiteRoster::hear(SourceId from, const Roster& roster, Instant now) {
  const Link* link = find_link(from);
  if (link == nullptr || !link->key) return;
  bool news = false;
  std::size_t place = 0;
  for (const Roster::Entry& entry : roster.entries) {
    if (entry.key == self_) continue;
    news = note(entry, *link, place, now) || news;
    ++place;
  }
  if (news) sum_rates(now);
}

void SiteRoster::believe(SourceId id) {
  if (Link* link = find_link(id); link != nullptr) link->believed = true;
}

bool SiteRoster::note(const Roster::Entry& entry, const Link& from, std::size_t& place,
                      Instant now) {
  const std::uint64_t rank = rank_of(entry.key);
  const std::size_t at = place = heard_.place(rank, place);
  if (!heard_.holds(at, rank)) {
    if (heard_.ranks.size() >= kHeardMax) {
      if (heard_.ranks.back() <= rank) return false;
      heard_.drop_last();
    }
    heard_.insert(at, rank, entry.key);
    dirty_ = true;
  } else if (entry.beat <= heard_.beats[at]) {
    return false;
  } else if (!fresh(heard_.members[at], now)) {
    dirty_ = true;
  }
  Heard& heard = heard_.members[at];
  const Endpoint& endpoint = entry.key == *from.key ? from.endpoint : entry.endpoint;
  if (endpoint.port != 0) heard.endpoint = endpoint;
  heard_.beats[at] = entry.beat;
  // A stranger's figures would decide how long everybody waits.
  heard_.rates_kib[at] = from.believed ? entry.rate_kib : 0;
  heard.pullers = from.believed ? entry.pullers : std::uint16_t{0};
  heard.at = now;
  if (!relay_at_) relay_at_ = now + (sparse_ ? kSparseRelayDelay : kBeatRelayDelay);
  return true;
}

void SiteRoster::sum_rates(Instant now) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < heard_.ranks.size(); ++i) {
    const std::uint32_t rate = heard_.rates_kib[i];
    if (rate > 0 && fresh(heard_.members[i], now)) sum += std::uint64_t{rate} * kKiB;
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
  // Rank and place in links_; this peer itself stands behind the last place.
  std::vector<std::pair<std::uint64_t, std::size_t>> linked;
  for (std::size_t i = 0; i < links_.size(); ++i) {
    if (links_[i].key) linked.emplace_back(links_[i].rank, i);
  }
  if (willing_) linked.emplace_back(own_rank_, links_.size());
  std::sort(linked.begin(), linked.end());
  auto next = linked.cbegin();
  const auto add_linked = [&] {
    const auto [rank, place] = *next++;
    if (place == links_.size()) return ranking_.push_back({rank, self_, {}, {}});
    const Link& link = links_[place];
    if (link.willing) ranking_.push_back({rank, *link.key, link.id, link.endpoint});
  };
  for (std::size_t i = 0; i < heard_.ranks.size() && ranking_.size() < kRosterEntriesMax; ++i) {
    const std::uint64_t rank = heard_.ranks[i];
    while (next != linked.cend() && next->first < rank) add_linked();
    const Heard& heard = heard_.members[i];
    if (!usable(heard, now) || (next != linked.cend() && next->first == rank)) continue;
    ranking_.push_back({rank, heard.key, {}, heard.endpoint});
  }
  while (next != linked.cend() && ranking_.size() < kRosterEntriesMax) add_linked();
  if (ranking_.size() > kRosterEntriesMax) ranking_.resize(kRosterEntriesMax);
  const auto hearsay = std::count_if(ranking_.begin(), ranking_.end(),
                                     [&](const Member& m) { return !m.link && m.key != self_; });
  sparse_ = 2 * static_cast<std::size_t>(hearsay) > ranking_.size();
  // Only of those that are told to others.
  const auto told_before = std::span(before).first(std::min(before.size(), told_max()));
  for (const Member& member : std::span(ranking_).first(std::min(ranking_.size(), told_max()))) {
    const bool known = std::any_of(told_before.begin(), told_before.end(),
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
  for (const Heard& heard : heard_.members) {
    if (heard.pullers == 0 || !fresh(heard, now)) continue;
    const auto vote = std::min<std::uint32_t>(heard.pullers, policy_.pullers_max);
    votes.push_back(std::min(vote, policy_.pullers));
    if (!ranking_.empty() && heard.key == ranking_.front().key) lowest = vote;
  }
  std::sort(votes.begin(), votes.end());
  count_ = std::max({1U, votes[votes.size() / 2], lowest});
}

std::uint32_t SiteRoster::own_vote(Instant now) {
  std::uint32_t own = std::min(policy_.pullers, count_);
  std::size_t reports = rate_.value > 0 ? 1 : 0;
  for (std::size_t i = 0; i < heard_.ranks.size(); ++i) {
    reports += heard_.rates_kib[i] > 0 && fresh(heard_.members[i], now) ? 1 : 0;
  }
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

bool SiteRoster::others_willing(bool lower_rank, Instant now) const {
  const auto counts = [&](std::uint64_t rank) { return !lower_rank || rank < own_rank_; };
  const bool linked = std::any_of(links_.begin(), links_.end(), [&](const Link& link) {
    return link.key && link.willing && counts(link.rank);
  });
  if (linked) return true;
  for (std::size_t i = 0; i < heard_.ranks.size(); ++i) {
    const std::uint64_t rank = heard_.ranks[i];
    if (!counts(rank) || !usable(heard_.members[i], now)) continue;
    // What it says itself goes before hearsay.
    const bool says_no = std::any_of(links_.begin(), links_.end(), [&](const Link& link) {
      return link.key && link.rank == rank;
    });
    if (!says_no) return true;
  }
  return false;
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
  const std::size_t n = std::min(told_max(), ranking_.size());
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
    Heard& heard = heard_.members[heard_.place(member.rank)];
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

// The pullers and their successors.
std::size_t SiteRoster::told_max() const {
  return 2 * std::size_t{std::max(count_, policy_.pullers)};
}

Roster SiteRoster::table(Instant now) const {
  Roster roster;
  for (const Member& member : ranking_) {
    Roster::Entry entry{.key = member.key, .endpoint = member.endpoint};
    if (member.key == self_) {
      entry.beat = beat_;
      entry.rate_kib = static_cast<std::uint32_t>(std::min<std::uint64_t>(rate_.value / kKiB, ~0U));
      entry.pullers = static_cast<std::uint16_t>(count_);
    } else if (const std::size_t at = heard_.place(member.rank);
               heard_.holds(at, member.rank) && fresh(heard_.members[at], now)) {
      entry.beat = heard_.beats[at];
      entry.rate_kib = heard_.rates_kib[at];
      entry.pullers = heard_.members[at].pullers;
    }
    roster.entries.push_back(entry);
    if (roster.entries.size() >= told_max()) break;
  }
  return roster;
}

std::optional<PeerKey> SiteRoster::key_of(SourceId id) const {
  const Link* link = find_link(id);
  return link == nullptr ? std::nullopt : link->key;
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
  std::vector<SourceId> to;
  if (std::exchange(relay_to_all_, false) || greeted_.size() <= kBeatRelays) {
    to = greeted_;
  } else {
    const std::uint64_t salt =
        mix64(self_.value) ^ static_cast<std::uint64_t>(now.time_since_epoch().count());
    std::vector<std::pair<std::uint64_t, SourceId>> drawn;
    for (const SourceId id : greeted_) drawn.emplace_back(mix64(salt + id.value), id);
    std::partial_sort(drawn.begin(), drawn.begin() + kBeatRelays, drawn.end());
    for (std::size_t i = 0; i < kBeatRelays; ++i) to.push_back(drawn[i].second);
  }
  if (!to.empty()) commands_.emplace_back(SendMessage{std::move(to), table(now)});
}

}  // namespace lanward::core
