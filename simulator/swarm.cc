#include "simulator/swarm.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <utility>

#include <fmt/format.h>

#include "engine/core/prng.h"

namespace lanward::simulator {

namespace {

// Bytes between two looks at a piece on its way: blocks that have come survive the loss of their
// source, and a large piece shows progress.
constexpr std::uint64_t kStretchBytes = 256 * core::kKiB;

class SimSwarmMember final : public ports::SwarmMember {
 public:
  SimSwarmMember(Site& site, ports::Loop& loop, MemberId id) : site_(site), loop_(loop), id_(id) {}
  ~SimSwarmMember() override { site_.leave(id_); }
  SimSwarmMember(const SimSwarmMember&) = delete;
  SimSwarmMember& operator=(const SimSwarmMember&) = delete;

  void allow(core::PieceSpan pieces) override { site_.allow(id_, pieces); }
  void reserve(core::PieceSpan pieces) override { site_.reserve(id_, pieces); }
  void announce(core::PieceIndex piece) override { site_.announce(id_, piece); }
  void send(std::span<const core::SourceId>, const core::LeaseMessage&) override {}
  void connect(const core::Endpoint&) override {}
  void ban(core::SourceId peer) override { site_.ban(id_, peer); }
  void leave(ports::Task done) override {
    site_.leave(id_);
    loop_.post(std::move(done));
  }

 private:
  Site& site_;
  ports::Loop& loop_;
  const MemberId id_;
};

std::string address_of(std::uint32_t host) {
  return fmt::format("10.{}.{}.{}:6881", host >> 16U & 0xffU, host >> 8U & 0xffU, host & 0xffU);
}

}  // namespace

std::unique_ptr<ports::SwarmMember> SimSwarm::join(const ports::SwarmRequest& request,
                                                   ports::FactSink facts) {
  const MemberId id = site_.join(request, std::move(facts), place_);
  return std::make_unique<SimSwarmMember>(site_, loop_, id);
}

// ---- membership --------------------------------------------------------------------------------

MemberId Site::join(const ports::SwarmRequest& request, ports::FactSink facts, const Place& place) {
  const MemberId id{static_cast<std::uint32_t>(members_.size())};
  auto m = std::make_unique<Member>();
  m->place = place;
  m->infohash = request.manifest.infohash;
  // Every store of a simulation is a SimContentStore.
  m->store = std::static_pointer_cast<SimContentStore>(request.store);
  m->facts = std::move(facts);
  m->have = m->store->verified();
  m->allowed = core::PieceSet(m->have.universe());
  m->coming = core::PieceSet(m->have.universe());
  m->copies.assign(m->have.universe(), 0);
  members_.push_back(std::move(m));
  queue_.after(settings_.discovery, [this, id] { discover(id); });
  return id;
}

std::uint64_t Site::hash(std::uint64_t a, std::uint64_t b) const {
  return core::mix64(core::mix64(seed_.value ^ a) + b);
}

core::Duration Site::latency(MemberId a, MemberId b) const {
  const auto span =
      static_cast<std::uint64_t>((settings_.latency_max - settings_.latency_min).count());
  const std::uint64_t pair = std::uint64_t{a.value} << 32U | b.value;
  return settings_.latency_min +
         core::Duration{static_cast<core::Duration::rep>(hash(pair, 0) % (span + 1))};
}

Site::Neighbour* Site::neighbour(MemberId of, MemberId id) {
  auto& neighbours = member(of).neighbours;
  const auto found = neighbours.find(id);
  return found == neighbours.end() ? nullptr : &found->second;
}

// Each pair is found once: by the one that becomes known later.
void Site::discover(MemberId id) {
  Member& self = member(id);
  if (self.left) return;
  self.known = true;
  auto& swarm = swarms_[self.infohash];
  std::vector<std::pair<std::uint64_t, MemberId>> others;
  for (const MemberId other : swarm) {
    others.emplace_back(hash(id.value, other.value), other);
  }
  swarm.push_back(id);
  const bool mesh = others.size() < settings_.connections_max;
  if (!mesh) std::sort(others.begin(), others.end());
  std::size_t wanted = mesh ? others.size() : settings_.connections_out;
  for (const auto& [order, other] : others) {
    if (wanted == 0) break;
    if (member(other).neighbours.size() >= settings_.connections_max) continue;
    --wanted;
    const core::Duration handshake = latency(id, other) + latency(other, id);
    queue_.after(handshake, [this, id, peer = other] { connect(id, peer); });
  }
}

void Site::connect(MemberId a, MemberId b) {
  const Member& one = member(a);
  const Member& two = member(b);
  if (one.left || two.left || neighbour(a, b) != nullptr) return;
  if (one.banned.contains(two.place.host) || two.banned.contains(one.place.host)) return;
  add_neighbour(a, b);
  add_neighbour(b, a);
}

void Site::add_neighbour(MemberId to, MemberId id) {
  Member& self = member(to);
  Neighbour& n = self.neighbours[id];
  n.source = core::SourceId{self.next_source++};
  n.has = core::PieceSet(self.have.universe());
  self.facts(core::PeerJoined{.peer = n.source, .address = address_of(member(id).place.host)});
  queue_.after(latency(id, to), [this, to, id, source = n.source, pieces = member(id).have] {
    receive_bitfield(to, id, source, pieces);
  });
}

void Site::disconnect(MemberId a, MemberId b) {
  stop_piece(a, b);
  stop_piece(b, a);
  drop_neighbour(a, b);
  drop_neighbour(b, a);
}

void Site::drop_neighbour(MemberId from, MemberId id) {
  Member& self = member(from);
  report(from);
  const Neighbour& n = self.neighbours.at(id);
  for (auto p = n.has.next(core::PieceIndex{0}); p; p = n.has.next(*p + 1)) {
    --self.copies[p->value];
  }
  self.facts(core::PeerLeft{n.source});
  self.neighbours.erase(id);
  std::erase(self.waiting, id);
}

void Site::leave(MemberId id) {
  Member& self = member(id);
  if (self.left) return;
  self.left = true;
  std::erase(swarms_[self.infohash], id);
  while (!self.neighbours.empty()) {
    const MemberId other = self.neighbours.begin()->first;
    disconnect(id, other);
    pull_from_all(other);
    serve_next(other);
  }
  self.store.reset();
  self.facts = {};
}

void Site::ban(MemberId id, core::SourceId peer) {
  Member& self = member(id);
  for (const auto& [other, n] : self.neighbours) {
    if (n.source != peer) continue;
    const MemberId banned = other;
    self.banned.insert(member(banned).place.host);
    disconnect(id, banned);
    for (const MemberId end : {id, banned}) {
      pull_from_all(end);
      serve_next(end);
    }
    return;
  }
}

// ---- who has what ------------------------------------------------------------------------------

void Site::announce(MemberId id, core::PieceIndex piece) {
  Member& self = member(id);
  if (self.left || !self.have.insert(piece)) return;
  for (const auto& [other, n] : self.neighbours) {
    // What the other end calls this member: it marks the connection a message belongs to.
    const core::SourceId source = neighbour(other, id)->source;
    queue_.after(latency(id, other),
                 [this, at = other, id, source, piece] { receive_have(at, id, source, piece); });
  }
}

void Site::receive_bitfield(MemberId at, MemberId from, core::SourceId source,
                            const core::PieceSet& pieces) {
  Neighbour* n = neighbour(at, from);
  if (n == nullptr || n->source != source) return;
  n->has = pieces;
  Member& self = member(at);
  for (auto p = pieces.next(core::PieceIndex{0}); p; p = pieces.next(*p + 1)) {
    ++self.copies[p->value];
  }
  self.facts(core::PeerHasPieces{source, pieces});
  pull_from_all(at);
}

void Site::receive_have(MemberId at, MemberId from, core::SourceId source, core::PieceIndex piece) {
  Neighbour* n = neighbour(at, from);
  if (n == nullptr || n->source != source || !n->has.insert(piece)) return;
  Member& self = member(at);
  ++self.copies[piece.value];
  self.facts(core::PeerHasPiece{source, piece});
  if (self.sources < settings_.sources_max && !n->piece) pull(at, from);
}

void Site::allow(MemberId id, core::PieceSpan pieces) {
  Member& self = member(id);
  if (self.left) return;
  for (core::PieceIndex p = pieces.begin; p < pieces.end; ++p) self.allowed.insert(p);
  pull_from_all(id);
}

// A piece on its way is cut off: the blocks that have come stay, the origin brings the rest.
void Site::reserve(MemberId id, core::PieceSpan pieces) {
  Member& self = member(id);
  if (self.left) return;
  for (core::PieceIndex p = pieces.begin; p < pieces.end; ++p) self.allowed.erase(p);
  std::vector<MemberId> freed;
  for (const auto& [other, n] : self.neighbours) {
    if (n.piece && pieces.contains(*n.piece)) freed.push_back(other);
  }
  for (const MemberId other : freed) stop_piece(id, other);
  pull_from_all(id);
  for (const MemberId other : freed) serve_next(other);
}

// ---- pieces ------------------------------------------------------------------------------------

// Asks the neighbours in turn, beginning after the one that was asked last.
void Site::pull_from_all(MemberId id) {
  Member& self = member(id);
  auto next = self.neighbours.upper_bound(self.last_asked);
  for (std::size_t i = 0; i < self.neighbours.size(); ++i, ++next) {
    if (self.left || self.sources >= settings_.sources_max) return;
    if (next == self.neighbours.end()) next = self.neighbours.begin();
    if (!next->second.piece && pull(id, next->first)) self.last_asked = next->first;
  }
}

// Starts a piece from the neighbour, or waits for one of its slots; false if neither.
bool Site::pull(MemberId id, MemberId from) {
  Neighbour& n = *neighbour(id, from);
  const auto piece = pick(id, n);
  if (!piece) return false;
  Member& source = member(from);
  if (source.uploads < settings_.upload_slots) {
    start_piece(id, from, *piece);
    return true;
  }
  if (!n.waiting) {
    n.waiting = true;
    source.waiting.push_back(id);
  }
  return false;
}

// The rarest piece that the neighbour has and this member wants.
std::optional<core::PieceIndex> Site::pick(MemberId id, const Neighbour& from) const {
  const Member& self = *members_[id.value];
  std::optional<core::PieceIndex> best;
  std::pair<std::uint32_t, std::uint64_t> best_rank;
  for (std::uint32_t w = 0; w < from.has.words().size(); ++w) {
    std::uint64_t bits = from.has.words()[w] & self.allowed.words()[w] & ~self.have.words()[w] &
                         ~self.coming.words()[w];
    for (; bits != 0; bits &= bits - 1) {
      const core::PieceIndex piece{w * 64 + static_cast<std::uint32_t>(std::countr_zero(bits))};
      const std::pair rank{self.copies[piece.value], hash(id.value, piece.value)};
      if (best && rank >= best_rank) continue;
      // Complete, but not announced yet.
      if (self.store->missing_bytes(piece) == 0) continue;
      best = piece;
      best_rank = rank;
    }
  }
  return best;
}

void Site::start_piece(MemberId id, MemberId from, core::PieceIndex piece) {
  Member& self = member(id);
  Member& source = member(from);
  Neighbour& n = *neighbour(id, from);
  const std::uint64_t bytes = self.store->missing_bytes(piece);
  n.piece = piece;
  n.stretch = std::min(bytes, kStretchBytes);
  n.left = bytes - n.stretch;
  self.coming.insert(piece);
  ++self.sources;
  ++source.uploads;
  n.flow = network_.start(std::array{source.place.uplink, self.place.downlink},
                          core::ByteCount{n.stretch},
                          [this, id, from] { return stretch_passed(id, from); });
}

// Hands over bytes of the piece on its way: whole blocks to the store, a cut-off rest to nobody.
void Site::take(MemberId id, MemberId from, std::uint64_t bytes) {
  Member& self = member(id);
  Neighbour& n = *neighbour(id, from);
  const bool last = bytes == n.stretch && n.left == 0;
  const std::uint64_t whole = last ? bytes : bytes - bytes % core::kBlockBytes;
  n.received += bytes;
  n.wasted += bytes - whole;
  neighbour(from, id)->served += bytes;
  traffic_.received += bytes;
  traffic_.wasted += bytes - whole;
  self.store->put_missing(*n.piece, whole, n.source, Payload::intact);
  report_later(id, from);
  report_later(from, id);
}

std::uint64_t Site::stretch_passed(MemberId id, MemberId from) {
  Neighbour& n = *neighbour(id, from);
  take(id, from, n.stretch);
  if (n.left > 0) {
    n.stretch = std::min(n.left, kStretchBytes);
    n.left -= n.stretch;
    return n.stretch;
  }
  end_piece(id, from);
  serve_next(from);
  pull_from_all(id);
  return 0;
}

void Site::end_piece(MemberId id, MemberId from) {
  Member& self = member(id);
  Neighbour& n = *neighbour(id, from);
  self.coming.erase(*n.piece);
  n.piece.reset();
  --self.sources;
  --member(from).uploads;
}

void Site::stop_piece(MemberId id, MemberId from) {
  const Neighbour& n = *neighbour(id, from);
  if (!n.piece) return;
  take(id, from, network_.stop(n.flow).value);
  end_piece(id, from);
}

// A slot is free: the members that wait for one get it in the order in which they asked.
void Site::serve_next(MemberId id) {
  Member& self = member(id);
  while (!self.left && self.uploads < settings_.upload_slots && !self.waiting.empty()) {
    const MemberId next = self.waiting.front();
    self.waiting.pop_front();
    Neighbour& n = *neighbour(next, id);
    n.waiting = false;
    if (member(next).sources < settings_.sources_max && !n.piece) pull(next, id);
  }
}

void Site::report_later(MemberId id, MemberId about) {
  Member& self = member(id);
  neighbour(id, about)->unreported = true;
  if (self.reporting) return;
  self.reporting = true;
  queue_.after(settings_.report_interval, [this, id] {
    member(id).reporting = false;
    report(id);
  });
}

void Site::report(MemberId id) {
  for (auto& [other, n] : member(id).neighbours) {
    if (!n.unreported) continue;
    n.unreported = false;
    member(id).facts(core::PeerProgressed{n.source, core::ByteCount{n.received},
                                          core::ByteCount{n.wasted}, core::ByteCount{n.served}});
  }
}

}  // namespace lanward::simulator
