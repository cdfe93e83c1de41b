// Who of the site fetches from the origin for all: the peers of the lowest ranks among those that
// are willing and alive, as far as this peer knows. Everybody decides that for itself, from the
// same hash, so there is nothing to elect.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/core/commands.h"
#include "engine/core/content.h"
#include "engine/core/lease_message.h"
#include "engine/core/policy.h"
#include "engine/core/units.h"

namespace lanward::core {

// Low wins.
[[nodiscard]] std::uint64_t rank_of(const Digest& content, PeerKey key);

class SiteRoster {
 public:
  struct Member {
    std::uint64_t rank = 0;
    PeerKey key;
    std::optional<SourceId> link;  // nothing: itself, or known by hearsay only
    Endpoint endpoint;
  };

  SiteRoster(const Content& content, PeerKey self, const Policy& policy, Commands& commands,
             Instant now);

  [[nodiscard]] PeerKey self() const { return self_; }
  void set_willing(bool willing);
  // What this peer tells about itself.
  void set_rate(ByteRate rate) { rate_ = rate; }
  // What the site has still to fetch, as far as this peer knows.
  void set_work(ByteCount work) { work_ = work; }
  // The origin asks for less: half as many pullers for a while.
  void slow_down(Instant now);

  void link_up(SourceId id, const Endpoint& endpoint);
  void link_down(SourceId id, Instant now);
  // True if it tells something new; a message that makes no sense on this link does not.
  bool hear(SourceId from, const Hello& hello, Instant now);
  void hear(SourceId from, const Roster& roster, Instant now);

  // The peer has delivered: what it reports of rates is believed from now on.
  void believe(SourceId id);

  // Brings the ranking up to date, dials pullers that are not connected, tells neighbours.
  void update(Instant now);
  [[nodiscard]] std::optional<Instant> next_due() const;

  // As of the latest update():
  [[nodiscard]] bool pulls() const { return pulls_; }
  // Every other puller is connected, so that claims reach it.
  [[nodiscard]] bool pullers_linked() const;
  // The pullers, lowest rank first; this peer is among them if it pulls.
  [[nodiscard]] std::span<const Member> pullers() const;
  // Connected members that need to know who fetches what: the pullers and their successors.
  [[nodiscard]] const std::vector<SourceId>& watchers() const { return watchers_; }
  // Of a connected peer that said hello.
  [[nodiscard]] std::optional<PeerKey> key_of(SourceId id) const;
  // Every connected peer that said hello.
  [[nodiscard]] const std::vector<SourceId>& links() const { return greeted_; }
  [[nodiscard]] bool any_links() const { return !links_.empty(); }
  // Counts up whenever the set of pullers changes; when that was last.
  [[nodiscard]] std::uint32_t generation() const { return generation_; }
  [[nodiscard]] Instant changed_at() const { return changed_at_; }
  // Somebody else would fetch from the origin; `lower_rank`: somebody of a lower rank.
  [[nodiscard]] bool others_willing(bool lower_rank, Instant now) const;
  // Others report that they fetch from the origin / what the site fetches in all, this peer
  // included. What was heard too long ago does not count.
  [[nodiscard]] bool others_fetch() const { return others_rate_.value > 0; }
  [[nodiscard]] ByteRate site_rate() const { return ByteRate{rate_.value + others_rate_.value}; }

 private:
  struct Link {
    SourceId id;
    Endpoint endpoint;
    std::optional<PeerKey> key;
    std::uint64_t rank = 0;  // of the key
    bool willing = false;
    bool believed = false;
  };
  // What was heard about a member, from itself or by hearsay.
  struct Heard {
    PeerKey key;
    Endpoint endpoint;
    std::uint16_t pullers = 0;
    Instant at;
    std::uint32_t dials = 0;
    Instant next_dial;
    Instant distrusted_until;
  };
  // In order of rank, one row for each member. Most messages tell nothing new, which ranks and
  // beats alone show: they are apart from the rest, for the sake of the cache.
  struct HeardTable {
    std::vector<std::uint64_t> ranks;
    std::vector<std::uint32_t> beats;
    std::vector<std::uint32_t> rates_kib;
    std::vector<Heard> members;

    // Where the rank is, or belongs. `guess`: where it may be.
    [[nodiscard]] std::size_t place(std::uint64_t rank, std::size_t guess = 0) const;
    [[nodiscard]] bool holds(std::size_t place, std::uint64_t rank) const {
      return place < ranks.size() && ranks[place] == rank;
    }
    void insert(std::size_t place, std::uint64_t rank, PeerKey key);
    void drop_last();
  };

  [[nodiscard]] Link* find_link(SourceId id);
  [[nodiscard]] const Link* find_link(SourceId id) const;
  [[nodiscard]] bool fresh(const Heard& heard, Instant now) const;
  [[nodiscard]] bool usable(const Heard& heard, Instant now) const;
  [[nodiscard]] std::uint64_t rank_of(PeerKey key) const;
  // `place`: where the entry before was, and then where this one is.
  bool note(const Roster::Entry& entry, const Link& from, std::size_t& place, Instant now);
  void sum_rates(Instant now);
  void rank_members(Instant now);
  void choose_count(Instant now);
  [[nodiscard]] std::uint32_t own_vote(Instant now);
  [[nodiscard]] bool leads() const;
  void climb(Instant now);
  void set_pullers(Instant now);
  void dial(Instant now);
  void beat(Instant now);
  void relay(Instant now);
  [[nodiscard]] std::size_t told_max() const;
  [[nodiscard]] Roster table(Instant now) const;
  [[nodiscard]] bool candidate() const;

  const Policy& policy_;
  const std::uint64_t content_;  // what ranks take of the content's id
  const std::uint32_t piece_bytes_;
  const PeerKey self_;
  const std::uint64_t own_rank_;
  Commands& commands_;
  const Instant started_;

  bool willing_ = false;
  ByteRate rate_;
  ByteCount work_;
  std::uint32_t beat_ = 0;
  std::vector<Link> links_;  // in order of the source
  HeardTable heard_;
  std::vector<SourceId> greeted_;  // links that said hello, in order
  ByteRate others_rate_;

  std::vector<Member> ranking_;  // the lowest kRosterEntriesMax
  std::vector<PeerKey> chosen_;  // keys of the pullers, as of the last generation
  std::vector<SourceId> watchers_;
  std::uint32_t count_ = 0;  // how many pullers there should be
  bool pulls_ = false;
  bool dirty_ = true;
  bool sparse_ = false;  // most of the ranking is hearsay
  std::uint32_t generation_ = 0;
  Instant changed_at_;
  Instant next_beat_;
  Instant slow_until_;
  std::uint32_t slow_count_ = 0;
  // More pullers on trial, by the peer of the lowest rank.
  std::uint32_t target_;
  std::uint32_t climbed_from_ = 0;  // 0: no trial
  ByteRate climb_base_;
  Instant climb_at_;  // when the trial ends, or the next may begin
  std::optional<Instant> relay_at_;
  std::optional<Instant> dial_at_;
  bool relay_to_all_ = false;
};

}  // namespace lanward::core
