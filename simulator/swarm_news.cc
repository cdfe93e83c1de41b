// Who has what: news of pieces on their way, and what members make of them.
#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <utility>

#include "simulator/swarm.h"

namespace lanward::simulator {

namespace {

constexpr std::uint32_t kWordBits = 64;

// Bits of a number of neighbours: connections_max and kDialledExtra, and twice as many.
constexpr std::size_t kCountBits = 8;

// News that have been seen are dropped when there are so many.
constexpr std::size_t kSeenMax = std::size_t{1} << 16U;

}  // namespace

// ---- tables ------------------------------------------------------------------------------------

std::span<const std::uint64_t> Site::row(const Member& m, std::uint32_t index) {
  const std::size_t words = m.offered.words().size();
  return std::span(m.have).subspan(index * words, words);
}

std::span<std::uint64_t> Site::row(Member& m, std::uint32_t index) {
  const std::size_t words = m.offered.words().size();
  return std::span(m.have).subspan(index * words, words);
}

// What the member knows of the neighbour. In a crowd, of one that is cut off: what it knew then.
std::span<const std::uint64_t> Site::visible(const Member& m, std::uint32_t index) {
  const Feed& feed = m.feeds[index];
  const Swarm& swarm = *m.swarm;
  if (!swarm.crowd || !feed.open || !feed.heard) return row(m, index);
  return {swarm.row(feed.read), swarm.words};
}

bool Site::has(const Member& m, std::uint32_t index, core::PieceIndex piece) {
  return (visible(m, index)[piece.value / kWordBits] >> piece.value % kWordBits & 1U) != 0;
}

// True if it is news.
bool Site::add(Member& m, std::uint32_t index, core::PieceIndex piece) {
  std::uint64_t& word = row(m, index)[piece.value / kWordBits];
  const std::uint64_t bit = std::uint64_t{1} << piece.value % kWordBits;
  if ((word & bit) != 0) return false;
  word |= bit;
  if (!m.copies.empty()) ++m.copies[piece.value];
  return true;
}

void Site::forget_pieces(Member& m, std::uint32_t index) {
  const auto bits = row(m, index);
  for (std::uint32_t p = 0; p < m.copies.size(); ++p) {
    if ((bits[p / kWordBits] >> p % kWordBits & 1U) != 0) --m.copies[p];
  }
  std::fill(bits.begin(), bits.end(), 0);
}

// ---- news --------------------------------------------------------------------------------------

core::Instant Site::news_due(const Inbox& inbox, core::Instant at) const {
  const core::Duration interval = settings_.news_interval;
  if (interval == core::Duration{0}) return at;
  return at + interval - (at.time_since_epoch() + inbox.phase) % interval;
}

void Site::announce(MemberId id, core::PieceIndex piece) {
  Member* self = find(id);
  if (self == nullptr) return;
  self->wanted.erase(piece);
  if (!self->offered.insert(piece)) return;
  if (crowded(*self)) return spread(*self, piece, core::Duration{0});
  const core::Instant now = queue_.now();
  told_[id.value].push_back({now, piece});
  for (const Feed& feed : self->feeds) {
    if (!feed.open) continue;
    Inbox& inbox = inboxes_[feed.from.value];
    inbox.feeds |= std::uint64_t{1} << feed.back % kWordBits;
    if (now + feed.latency_out >= inbox.at) continue;
    const core::Instant due = news_due(inbox, now + feed.latency_out);
    if (due >= inbox.at) continue;
    inbox.at = due;
    wake(due, Wakeup::news, feed.from);
  }
}

// What was to be looked at later may help now.
void Site::look_sooner(const Member& self) {
  Inbox& inbox = inboxes_[self.id.value];
  if (inbox.at == core::Instant::max() || inbox.at <= queue_.now()) return;
  const core::Instant due = news_due(inbox, queue_.now());
  if (due >= inbox.at) return;
  inbox.at = due;
  wake(due, Wakeup::news, self.id);
}

void Site::receive_news(Member& self) {
  const core::Instant now = queue_.now();
  Inbox& inbox = inboxes_[self.id.value];
  if (inbox.at != now) return;  // they are looked at earlier by now
  std::vector<core::PeerHasPiece> told;
  std::vector<std::uint32_t> offering;
  core::Instant next = core::Instant::max();
  const std::uint64_t from = std::exchange(inbox.feeds, 0);
  const auto count = static_cast<std::uint32_t>(self.feeds.size());
  std::uint32_t index = self.next_asked;
  for (std::uint32_t i = 0; i < count; ++i, ++index) {
    if (index >= count) index = 0;
    const std::uint64_t bit = std::uint64_t{1} << index % kWordBits;
    if ((from & bit) == 0) continue;
    Feed& feed = self.feeds[index];
    if (!feed.open) continue;
    const std::vector<Told>& log = told_[feed.from.value];
    bool offered = false;
    for (; feed.read < log.size(); ++feed.read) {
      const Told& item = log[feed.read];
      if (item.at + feed.latency_in > now) {
        next = std::min(next, item.at + feed.latency_in);
        inbox.feeds |= bit;
        break;
      }
      if (!add(self, index, item.piece)) continue;
      offered = offered || self.wanted.contains(item.piece);
      told.push_back({source_of(index), item.piece});
    }
    if (offered && !self.neighbours[index].waiting) offering.push_back(index);
  }
  inbox.at = core::Instant::max();
  if (next != core::Instant::max()) {
    inbox.at = news_due(inbox, next);
    wake(inbox.at, Wakeup::news, self.id);
  }
  if (told.size() == 1) tell(self, told.front());
  if (told.size() > 1) tell(self, core::PeersHavePieces{std::move(told)});
  // Whoever is not heard of has been asked before, or had nothing.
  for (const std::uint32_t source : offering) {
    if (self.sources >= settings_.sources_max) break;
    pull(self, source);
  }
}

void Site::receive_bitfield(MemberId at, std::uint32_t from, std::uint32_t session,
                            const core::PieceSet& pieces) {
  if (near_end(at, from, session) == nullptr) return;
  Member& self = *find(at);
  self.feeds[from].heard = true;
  for (auto p = pieces.next(core::PieceIndex{0}); p; p = pieces.next(*p + 1)) add(self, from, *p);
  const auto bits = row(self, from);
  tell(self, core::PeerHasPieces{
                 source_of(from),
                 core::PieceSet::from_words(self.offered.universe(), {bits.begin(), bits.end()})});
  pull_from_all(self);
}

// ---- in a crowd --------------------------------------------------------------------------------

// The site has outgrown the full mesh.
void Site::become_crowd(Swarm& swarm) {
  swarm.crowd = true;
  for (const auto& m : members_) {
    if (m != nullptr && m->swarm == &swarm) enter_crowd(*m);
  }
}

void Site::enter_crowd(Member& m) {
  m.copies = {};
  std::copy(m.offered.words().begin(), m.offered.words().end(), m.swarm->row(m.row));
  for (Feed& feed : m.feeds) {
    if (feed.open) feed.read = find(feed.from)->row;
  }
  Inbox& inbox = inboxes_[m.id.value];
  inbox.at = news_due(inbox, queue_.now());
  wake(inbox.at, Wakeup::news, m.id);
  if (m.offered.full()) return;
  m.store->collect_verdicts([this, id = m.id](core::PieceIndex piece) {
    Member* self = find(id);
    if (self == nullptr) return;
    self->wanted.erase(piece);
    if (self->offered.insert(piece)) spread(*self, piece, self->store->hash_time(piece));
  });
  tell_engine_at(m, queue_.now() + inbox.phase % settings_.crowd_tell_interval);
}

// The others see the piece after `delay` and a message's way.
void Site::spread(Member& self, core::PieceIndex piece, core::Duration delay) {
  const core::Duration latency =
      settings_.latency_min + (settings_.latency_max - settings_.latency_min) / 2;
  const core::Instant at = queue_.now() + delay + latency;
  // Nearly in order: of some the hashing is still to come.
  auto& items = self.swarm->spreading;
  auto place = items.end();
  while (place != items.begin() && std::prev(place)->at > at) --place;
  items.insert(place, {at, self.row, piece});
  for (const Feed& feed : self.feeds) {
    if (!feed.open) continue;
    Inbox& inbox = inboxes_[feed.from.value];
    inbox.latest = std::max(inbox.latest, at);
    if (at >= inbox.at) continue;
    const core::Instant due = news_due(inbox, at);
    if (due >= inbox.at) continue;
    inbox.at = due;
    wake(due, Wakeup::news, feed.from);
  }
}

// Brings the table up to the present instant.
void Site::show_spread(Swarm& swarm) const {
  auto& items = swarm.spreading;
  for (; swarm.seen < items.size() && items[swarm.seen].at <= queue_.now(); ++swarm.seen) {
    const Spreading& item = items[swarm.seen];
    swarm.row(item.row)[item.piece.value / kWordBits] |= std::uint64_t{1}
                                                         << item.piece.value % kWordBits;
  }
  if (swarm.seen < kSeenMax) return;
  items.erase(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(swarm.seen));
  swarm.seen = 0;
}

// Who has no room for a source is not woken by news.
void Site::look_later(const Member& self) {
  Inbox& inbox = inboxes_[self.id.value];
  const core::Instant now = queue_.now();
  if (self.sources >= settings_.sources_max || self.wanted.empty()) {
    inbox.at = core::Instant::min();
    return;
  }
  if (inbox.at <= now) inbox.at = core::Instant::max();
  if (inbox.latest <= now) return;
  const core::Instant due = news_due(inbox, inbox.latest);
  if (due >= inbox.at) return;
  inbox.at = due;
  wake(due, Wakeup::news, self.id);
}

void Site::look(Member& self) {
  if (inboxes_[self.id.value].at == queue_.now()) pull_from_all(self);
}

void Site::tell_engine_at(Member& self, core::Instant when) {
  self.tell_at = when;
  wake(when, Wakeup::tell, self.id);
}

void Site::tell_engine(Member& self) {
  if (self.offered.full()) return;
  switch_slow_sources(self);
  core::PeersReport report{self.store->take_verdicts(), changed_totals(self),
                           news_for_engine(self)};
  if (!report.brought.empty() || !report.totals.empty() || !report.news.empty()) {
    tell(self, std::move(report));
  }
  const bool prompt = self.store->tells_promptly();
  tell_engine_at(self, queue_.now() + (prompt ? settings_.crowd_prompt_interval
                                              : settings_.crowd_tell_interval));
}

// What its neighbours have that it has not.
std::vector<core::PeerHasPiece> Site::news_for_engine(Member& self) const {
  show_spread(*self.swarm);
  std::vector<core::PeerHasPiece> news;
  const auto& own = self.offered.words();
  for (std::uint32_t index = 0; index < self.feeds.size(); ++index) {
    if (!self.feeds[index].open || !self.feeds[index].heard) continue;
    const auto seen = visible(self, index);
    const auto told = row(self, index);
    for (std::uint32_t w = 0; w < seen.size(); ++w) {
      std::uint64_t fresh = seen[w] & ~(told[w] | own[w]);
      told[w] |= fresh;
      for (; fresh != 0; fresh &= fresh - 1) {
        const auto bit = static_cast<std::uint32_t>(std::countr_zero(fresh));
        news.push_back({source_of(index), core::PieceIndex{w * kWordBits + bit}});
      }
    }
  }
  return news;
}

// The connection carries nothing any more; what it has brought stays known.
void Site::freeze(Member& m, std::uint32_t index) {
  const auto seen = visible(m, index);
  const auto known = row(m, index);
  for (std::size_t w = 0; w < seen.size(); ++w) known[w] |= seen[w];
}

// Of these pieces of a word, those that the fewest neighbours have; `copies` is how many. Counts
// all at once, a bit of the numbers in each word.
std::uint64_t Site::rarest(const Rows& rows, std::uint32_t word, std::uint64_t bits,
                           std::uint32_t& copies) {
  std::array<std::uint64_t, kCountBits> counts{};
  for (const std::uint64_t* const row : rows) {
    std::uint64_t carry = row[word] & bits;
    for (std::size_t k = 0; carry != 0 && k < kCountBits; ++k) {
      const std::uint64_t both = counts[k] & carry;
      counts[k] ^= carry;
      carry = both;
    }
  }
  copies = 0;
  for (std::size_t k = kCountBits; k-- > 0;) {
    const std::uint64_t without = bits & ~counts[k];
    if (without != 0) {
      bits = without;
    } else {
      copies |= 1U << k;
    }
  }
  return bits;
}

}  // namespace lanward::simulator
