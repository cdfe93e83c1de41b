// What travels between the members of a site: lease messages, news of pieces, pieces.
#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <utility>

#include "simulator/swarm.h"

namespace lanward::simulator {

namespace {

constexpr std::uint64_t kMillion = 1'000'000;

// A flow's tag: the member that downloads above, the place of the source in its list below.
constexpr unsigned kMemberShift = 32;

}  // namespace

// ---- lease messages ----------------------------------------------------------------------------

void Site::send(MemberId id, std::span<const core::SourceId> to,
                const core::LeaseMessage& message) {
  Member* self = find(id);
  if (self == nullptr) return;
  if (std::holds_alternative<core::Claim>(message) && crowded(*self) &&
      !self->store->tells_promptly()) {
    // Before the claim settles it must know what there is.
    self->store->tell_promptly();
    tell_engine_at(*self, queue_.now());
  }
  const auto shared = std::make_shared<const core::LeaseMessage>(message);
  for (const core::SourceId peer : to) {
    const auto index = index_of(*self, peer);
    if (!index) continue;
    Neighbour& n = self->neighbours[*index];
    const auto when = arrival(self->feeds[*index].latency_out, n.message_at);
    if (n.cut || !when) continue;
    std::uint32_t slot = static_cast<std::uint32_t>(letters_.size());
    if (free_letters_.empty()) {
      letters_.emplace_back();
    } else {
      slot = free_letters_.back();
      free_letters_.pop_back();
    }
    letters_[slot] = {n.member, n.back, n.session, shared};
    queue_.at(*when, *this, static_cast<std::uint64_t>(Wakeup::letter) << kWakeupShift | slot);
  }
}

// When a message sent now arrives; nothing if it is lost. `latest`: of its connection.
std::optional<core::Instant> Site::arrival(core::Duration latency, core::Instant& latest) {
  const auto up_to = [this](core::Duration most) {
    return core::Duration{static_cast<core::Duration::rep>(
        chance_.below(static_cast<std::uint64_t>(most.count()) + 1))};
  };
  if (settings_.message_loss_ppm > 0 && chance_.below(kMillion) < settings_.message_loss_ppm) {
    return std::nullopt;
  }
  core::Instant at = queue_.now() + latency;
  if (settings_.message_jitter > core::Duration{0}) at += up_to(settings_.message_jitter);
  if (settings_.message_reorder_ppm > 0 &&
      chance_.below(kMillion) < settings_.message_reorder_ppm) {
    return at + up_to(latency);
  }
  return latest = std::max(latest, at);
}

// The end at which something arrives, unless its connection is gone.
Site::Neighbour* Site::near_end(MemberId at, std::uint32_t index, std::uint32_t session) const {
  Member* self = find(at);
  if (self == nullptr) return nullptr;
  Neighbour& n = self->neighbours[index];
  return n.connected && !n.cut && n.session == session ? &n : nullptr;
}

void Site::receive_message(std::uint32_t slot) {
  const Letter letter = std::exchange(letters_[slot], {});
  free_letters_.push_back(slot);
  if (near_end(letter.to, letter.from, letter.session) == nullptr) return;
  tell(*find(letter.to), core::PeerMessage{source_of(letter.from), *letter.message});
}

// ---- what may come from others ------------------------------------------------------------------

void Site::allow(MemberId id, core::PieceSpan pieces) {
  Member* self = find(id);
  if (self == nullptr) return;
  for (core::PieceIndex p = pieces.begin; p < pieces.end; ++p) {
    if (self->allowed.insert(p)) want_again(*self, p);
  }
  pull_from_all(*self);
}

// A piece on its way is cut off: the blocks that have come stay, the origin brings the rest.
void Site::reserve(MemberId id, core::PieceSpan pieces) {
  Member* self = find(id);
  if (self == nullptr) return;
  for (core::PieceIndex p = pieces.begin; p < pieces.end; ++p) {
    self->allowed.erase(p);
    self->wanted.erase(p);
  }
  std::vector<MemberId> freed;
  for (std::uint32_t i = 0; self->sources > 0 && i < self->neighbours.size(); ++i) {
    const Neighbour& n = self->neighbours[i];
    if (!n.asked || !pieces.contains(n.piece)) continue;
    stop_request(*self, i);
    freed.push_back(n.member);
  }
  if (freed.empty()) return;
  pull_from_all(*self);
  for (const MemberId other : freed) {
    if (Member* source = find(other); source != nullptr) serve_next(*source);
  }
}

void Site::want_again(Member& self, core::PieceIndex piece) {
  if (!self.allowed.contains(piece) || self.store->missing_bytes(piece) == 0) return;
  const auto coming = [piece](const Neighbour& n) { return n.asked && n.piece == piece; };
  if (self.sources > 0 && std::any_of(self.neighbours.begin(), self.neighbours.end(), coming)) {
    return;
  }
  self.wanted.insert(piece);
  Inbox& inbox = inboxes_[self.id.value];
  if (!crowded(self) || inbox.at != core::Instant::min()) return;
  inbox.at = news_due(inbox, queue_.now());
  wake(inbox.at, Wakeup::news, self.id);
}

// ---- requests ----------------------------------------------------------------------------------

// Asks the neighbours in turn, beginning after the one that was asked last.
void Site::pull_from_all(Member& self) {
  const auto count = static_cast<std::uint32_t>(self.neighbours.size());
  std::uint32_t index = self.next_asked;
  if (crowded(self)) show_spread(*self.swarm);
  bool enough = false;
  for (std::uint32_t i = 0; i < count; ++i, ++index) {
    enough = self.sources >= settings_.sources_max || self.wanted.empty();
    if (enough) break;
    if (index >= count) index = 0;
    if (pull(self, index)) self.next_asked = index + 1;
  }
  if (crowded(self)) return look_later(self);
  if (!enough) look_sooner(self);
}

bool Site::serves_now(const Neighbour& from) const {
  return !from.cut && serving_[from.member.value].serves;
}

// Starts a piece from the neighbour, or waits for one of its slots; false if neither.
bool Site::pull(Member& self, std::uint32_t index) {
  // First what most fail by, and what is in the cache: in a large site their states are not.
  if (self.feeds[index].engaged || !offers(self, index)) return false;
  Neighbour& n = self.neighbours[index];
  if (!n.connected || n.asked || n.waiting || n.avoid_until > queue_.now()) return false;
  Serving& source = serving_[n.member.value];
  if (serves_now(n) && source.uploads >= settings_.upload_slots) {
    n.waiting = true;
    self.feeds[index].engaged = true;
    ++source.waiting;
    find(n.member)->waiting.push_back(n.back);
    return false;
  }
  const auto piece = pick(self, index);
  if (!piece) return false;
  start_request(self, index, *piece);
  return true;
}

bool Site::offers(const Member& self, std::uint32_t index) {
  const auto has = visible(self, index);
  const auto& wanted = self.wanted.words();
  for (std::size_t w = 0; w < has.size(); ++w) {
    if ((has[w] & wanted[w]) != 0) return true;
  }
  return false;
}

// The rarest piece that the neighbour has and this member wants.
std::optional<core::PieceIndex> Site::pick(Member& self, std::uint32_t index) {
  const bool crowd = crowded(self);
  const auto has = visible(self, index);
  rows_.clear();
  for (std::uint32_t i = 0; crowd && i < self.feeds.size(); ++i) {
    rows_.push_back(visible(self, i).data());
  }
  while (true) {
    std::optional<core::PieceIndex> best;
    std::uint32_t best_copies = 0;
    std::uint64_t best_order = 0;
    for (std::uint32_t w = 0; w < has.size(); ++w) {
      std::uint64_t bits = has[w] & self.wanted.words()[w];
      if (bits == 0) continue;
      std::uint32_t copies = 0;
      if (crowd) bits = rarest(rows_, w, bits, copies);
      for (; bits != 0; bits &= bits - 1) {
        const core::PieceIndex piece{w * 64 + static_cast<std::uint32_t>(std::countr_zero(bits))};
        if (!crowd) copies = self.copies[piece.value];
        if (best && copies > best_copies) continue;
        const std::uint64_t order =
            core::mix64(seed_.value + (std::uint64_t{self.id.value} << 32U | piece.value));
        if (best && copies == best_copies && order >= best_order) continue;
        best = piece;
        best_copies = copies;
        best_order = order;
      }
    }
    // The origin may have completed it in the mean time.
    if (!best || self.store->missing_bytes(*best) > 0) return best;
    self.wanted.erase(*best);
  }
}

void Site::note_request(Member& self, Neighbour& n, core::PieceIndex piece) {
  n.asked = true;
  n.piece = piece;
  n.bytes = self.store->missing_bytes(piece);
  n.asked_at = queue_.now();
  ++n.request;
  self.wanted.erase(piece);
}

void Site::start_request(Member& self, std::uint32_t index, core::PieceIndex piece) {
  Neighbour& n = self.neighbours[index];
  note_request(self, n, piece);
  self.feeds[index].engaged = true;
  n.on_slot = 0;
  ++self.sources;
  if (!serves_now(n)) return expect_bytes(self, index);
  Member& source = *find(n.member);
  source.neighbours[n.back].serving = true;
  ++serving_[n.member.value].uploads;
  n.flow =
      network_.start(std::array{source.place.uplink, self.place.downlink}, core::ByteCount{n.bytes},
                     *this, std::uint64_t{self.id.value} << kMemberShift | index);
  report_later(self);
}

// The last byte of a piece. The next one follows at once while the slot may be kept.
std::uint64_t Site::passed(std::uint64_t tag) {
  Member& self = *find(MemberId{static_cast<std::uint32_t>(tag >> kMemberShift)});
  const auto index = static_cast<std::uint32_t>(tag);
  Neighbour& n = self.neighbours[index];
  const MemberId source = n.member;
  take(self, index, n.bytes);
  const std::uint32_t in_turn = crowded(self) ? settings_.crowd_slot_pieces : settings_.slot_pieces;
  if (crowded(self)) show_spread(*self.swarm);
  if (serving_[source.value].waiting == 0 || ++n.on_slot < in_turn) {
    if (const auto next = pick(self, index)) {
      note_request(self, n, *next);
      return n.bytes;
    }
  }
  end_request(self, index);
  serve_next(*find(source));
  pull_from_all(self);
  return 0;
}

// Hands over bytes of the piece on its way: whole blocks to the store, a cut-off rest to nobody.
void Site::take(Member& self, std::uint32_t index, std::uint64_t bytes) {
  Neighbour& n = self.neighbours[index];
  const std::uint64_t whole = bytes == n.bytes ? bytes : bytes - bytes % core::kBlockBytes;
  n.received += bytes;
  n.wasted += bytes - whole;
  n.unreported = true;
  traffic_.received += bytes;
  traffic_.wasted += bytes - whole;
  n.unsettled += bytes;
  self.store->put_missing(n.piece, whole, source_of(index), Payload::intact);
  // In a large site the other end counts it when all is served, and tells it in the end.
  if (crowded(self)) return;
  report_later(self);
  Neighbour* far = far_end(n);
  settle_served(n);
  if (far == nullptr) return;
  far->unreported = true;
  report_later(*find(n.member));
}

void Site::settle_served(Neighbour& n) {
  const std::uint64_t bytes = std::exchange(n.unsettled, 0);
  if (bytes == 0) return;
  if (Neighbour* far = far_end(n); far != nullptr) far->served += bytes;
}

void Site::end_request(Member& self, std::uint32_t index) {
  Neighbour& n = self.neighbours[index];
  settle_served(n);
  n.asked = false;
  self.feeds[index].engaged = n.waiting;
  n.flow = {};
  --self.sources;
  Neighbour* far = n.cut ? nullptr : far_end(n);
  if (far != nullptr && std::exchange(far->serving, false)) --serving_[n.member.value].uploads;
}

// What has come is kept; the rest may be asked from somebody else.
void Site::stop_request(Member& self, std::uint32_t index) {
  const Neighbour& n = self.neighbours[index];
  if (!n.asked) return;
  if (n.flow != FlowId{}) take(self, index, network_.stop(n.flow).value);
  end_request(self, index);
  want_again(self, n.piece);
}

// A slot is free: the members that wait for one get it in the order in which they asked.
void Site::serve_next(Member& self) {
  while (serving_[self.id.value].uploads < settings_.upload_slots && !self.waiting.empty()) {
    const Neighbour& n = self.neighbours[self.waiting.front()];
    self.waiting.erase(self.waiting.begin());
    --serving_[self.id.value].waiting;
    if (far_end(n) == nullptr) continue;
    Member& next = *find(n.member);
    next.neighbours[n.back].waiting = false;
    next.feeds[n.back].engaged = next.neighbours[n.back].asked;
    if (next.sources < settings_.sources_max) pull(next, n.back);
  }
}

void Site::stop_waiting(Member& self, std::uint32_t index) {
  std::erase(self.waiting, index);
  serving_[self.id.value].waiting = static_cast<std::uint16_t>(self.waiting.size());
}

// ---- sources that do not deliver ---------------------------------------------------------------

void Site::expect_bytes(const Member& self, std::uint32_t index) {
  const std::uint32_t request = self.neighbours[index].request;
  queue_.after(settings_.piece_timeout, [this, id = self.id, index, request] {
    Member* m = find(id);
    if (m == nullptr) return;
    const Neighbour& n = m->neighbours[index];
    if (n.asked && n.request == request && n.flow == FlowId{}) time_out(*m, index);
  });
}

void Site::time_out(Member& self, std::uint32_t index) {
  stop_request(self, index);
  const LinkId link = self.place.downlink;
  const bool full = network_.load(link).value * 100 >
                    network_.capacity(link).value * settings_.downlink_full_percent;
  pause(self, index, full ? settings_.piece_timeout : settings_.avoid_time);
  pull_from_all(self);
}

void Site::pause(Member& self, std::uint32_t index, core::Duration time) {
  self.neighbours[index].avoid_until = queue_.now() + time;
  queue_.after(time, [this, id = self.id] {
    if (Member* m = find(id); m != nullptr) pull_from_all(*m);
  });
}

void Site::switch_slow_sources(Member& self) {
  const std::uint64_t part = std::uint64_t{settings_.slow_part} * settings_.sources_max;
  const std::uint64_t slow = network_.capacity(self.place.downlink).value / part;
  const core::Instant now = queue_.now();
  for (std::uint32_t i = 0; self.sources > 0 && i < self.neighbours.size(); ++i) {
    const Neighbour& n = self.neighbours[i];
    if (!n.asked || n.flow == FlowId{} || now - n.asked_at < settings_.slow_after) continue;
    if (network_.rate(n.flow).value >= slow) continue;
    const auto better = [&](const Neighbour& other) {
      const auto k = static_cast<std::uint32_t>(&other - self.neighbours.data());
      return other.connected && !other.asked && !other.cut && other.avoid_until <= now &&
             has(self, k, n.piece) && serves_now(other) &&
             serving_[other.member.value].uploads < settings_.upload_slots;
    };
    const auto found = std::find_if(self.neighbours.begin(), self.neighbours.end(), better);
    if (found == self.neighbours.end()) continue;
    const core::PieceIndex piece = n.piece;
    Member& former = *find(n.member);
    stop_request(self, i);
    pause(self, i, settings_.slow_pause);
    if (self.wanted.contains(piece)) {
      start_request(self, static_cast<std::uint32_t>(found - self.neighbours.begin()), piece);
    }
    serve_next(former);
  }
}

// ---- totals ------------------------------------------------------------------------------------

// In a large site they are told with everything else.
void Site::report_later(Member& self) {
  if (self.reporting || crowded(self)) return;
  self.reporting = true;
  wake(queue_.now() + settings_.report_interval, Wakeup::report, self.id);
}

void Site::report(Member& self) {
  bool moving = false;
  for (std::uint32_t i = 0; i < self.neighbours.size(); ++i) {
    const Neighbour& n = self.neighbours[i];
    moving = moving || (n.asked && n.flow != FlowId{});
  }
  for (const core::PeerProgressed& total : changed_totals(self)) tell(self, total);
  if (moving) report_later(self);
}

std::vector<core::PeerProgressed> Site::changed_totals(Member& self) {
  std::vector<core::PeerProgressed> totals;
  for (std::uint32_t i = 0; i < self.neighbours.size(); ++i) {
    Neighbour& n = self.neighbours[i];
    const bool coming = n.asked && n.flow != FlowId{};
    if (!n.unreported && !coming) continue;
    n.unreported = false;
    totals.push_back(total_of(self, i));
  }
  return totals;
}

core::PeerProgressed Site::total_of(const Member& self, std::uint32_t index) const {
  const Neighbour& n = self.neighbours[index];
  const bool coming = n.asked && n.flow != FlowId{};
  const std::uint64_t received = n.received + (coming ? network_.passed(n.flow).value : 0);
  return {source_of(index), core::ByteCount{received}, core::ByteCount{n.wasted},
          core::ByteCount{n.served}};
}

}  // namespace lanward::simulator
