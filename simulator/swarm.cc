// Members, connections and faults of a site. What travels between members: swarm_pieces.cc.
#include "simulator/swarm.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include <fmt/format.h>

namespace lanward::simulator {

namespace {

class SimSwarmMember final : public ports::SwarmMember {
 public:
  SimSwarmMember(Site& site, ports::Loop& loop, MemberId id) : site_(site), loop_(loop), id_(id) {}
  ~SimSwarmMember() override { site_.leave(id_); }
  SimSwarmMember(const SimSwarmMember&) = delete;
  SimSwarmMember& operator=(const SimSwarmMember&) = delete;

  void allow(core::PieceSpan pieces) override { site_.allow(id_, pieces); }
  void reserve(core::PieceSpan pieces) override { site_.reserve(id_, pieces); }
  void announce(core::PieceIndex piece) override { site_.announce(id_, piece); }
  void send(std::span<const core::SourceId> to, const core::LeaseMessage& message) override {
    site_.send(id_, to, message);
  }
  void connect(const core::Endpoint& endpoint) override { site_.dial(id_, endpoint); }
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

constexpr std::uint16_t kPort = 6881;
[[maybe_unused]] constexpr unsigned kHostBits = 24;  // assertions only

// Nanoseconds; more than any interval whose phase it is.
constexpr std::uint64_t kPhases = 1'000'000'000;

// Draws of a member of a large site for each neighbour that it looks for: some are taken already.
constexpr std::uint32_t kDrawsPerNeighbour = 4;

std::string address_of(std::uint32_t host) {
  return fmt::format("10.{}.{}.{}:{}", host >> 16U & 0xffU, host >> 8U & 0xffU, host & 0xffU,
                     kPort);
}

std::uint32_t host_of(const core::Endpoint& endpoint) {
  std::uint32_t host = 0;
  for (std::size_t i = 13; i < 16; ++i) host = host << 8U | endpoint.address[i];
  return host;
}

}  // namespace

core::Endpoint endpoint_of(std::uint32_t host) {
  assert(host >> kHostBits == 0);
  core::Endpoint endpoint;
  endpoint.address = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10};
  for (std::size_t i = 0; i < 3; ++i) {
    endpoint.address[13 + i] = static_cast<std::uint8_t>(host >> (16 - 8 * i) & 0xffU);
  }
  endpoint.port = kPort;
  return endpoint;
}

std::unique_ptr<ports::SwarmMember> SimSwarm::join(const ports::SwarmRequest& request,
                                                   ports::FactSink facts) {
  const MemberId id = site_.join(request, std::move(facts), place_);
  return std::make_unique<SimSwarmMember>(site_, loop_, id);
}

// ---- small questions ---------------------------------------------------------------------------

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

bool Site::reachable(const Member& a, const Member& b) const {
  return !group_of_ || group_of_(a.place.host) == group_of_(b.place.host);
}

bool Site::crowded(const Member& m) const { return m.swarm->crowd; }

std::optional<std::uint32_t> Site::index_of(const Member& m, core::SourceId source) {
  if (!core::is_peer(source)) return std::nullopt;
  const std::uint32_t index = source.value - core::kFirstPeerSource;
  if (index >= m.neighbours.size() || !m.neighbours[index].connected) return std::nullopt;
  return index;
}

Site::Neighbour* Site::far_end(const Neighbour& near) const {
  Member* other = find(near.member);
  if (other == nullptr) return nullptr;
  Neighbour& far = other->neighbours[near.back];
  return far.connected && far.session == near.session ? &far : nullptr;
}

std::uint32_t Site::connections(std::uint32_t host) const {
  std::uint32_t count = 0;
  for (const auto& m : members_) {
    if (m != nullptr && m->place.host == host) count += m->connected;
  }
  return count;
}

void Site::wake(core::Instant when, Wakeup what, MemberId id) {
  queue_.at(when, *this, static_cast<std::uint64_t>(what) << kWakeupShift | id.value);
}

void Site::fire(std::uint64_t tag) {
  const auto number = static_cast<std::uint32_t>(tag);
  const auto what = static_cast<Wakeup>(tag >> kWakeupShift);
  if (what == Wakeup::letter) return receive_message(number);
  Member* m = find(MemberId{number});
  if (m == nullptr) return;
  switch (what) {
    case Wakeup::letter:
      return;
    case Wakeup::news:
      return crowded(*m) ? look(*m) : receive_news(*m);
    case Wakeup::tell:
      if (m->tell_at == queue_.now()) tell_engine(*m);
      return;
    case Wakeup::report:
      m->reporting = false;
      switch_slow_sources(*m);
      return report(*m);
    case Wakeup::look:
      return look_around(*m);
  }
}

// Members are far more than a cache holds, and each event is about another one.
void Site::warm(std::uint64_t tag, unsigned step) const {
  const auto number = static_cast<std::uint32_t>(tag);
  if (static_cast<Wakeup>(tag >> kWakeupShift) != Wakeup::letter) {
    return warm_member(MemberId{number}, 0, step);
  }
  const Letter& letter = letters_[number];
  if (step == 0) {
    warm_object(&letter);
  } else {
    warm_member(letter.to, letter.from, step - 1);
    if (step == 1) warm_object(letter.message.get());
  }
}

void Site::warm_passed(std::uint64_t tag, unsigned step) const {
  warm_member(MemberId{static_cast<std::uint32_t>(tag >> 32U)}, static_cast<std::uint32_t>(tag),
              step);
}

void Site::warm_member(MemberId id, std::uint32_t index, unsigned step) const {
  const Member* m = find(id);
  if (m == nullptr) return;
  if (step == 0) {
    warm_object(m);
    warm_object(&inboxes_[id.value]);
  } else if (step == 1) {
    if (index < m->neighbours.size()) warm_object(&m->neighbours[index]);
    warm_object(m->feeds.data(), m->feeds.size() * sizeof(Feed));
    warm_object(m->store.get());
    warm_object(m->wanted.words().data(), m->swarm->words * sizeof(std::uint64_t));
    warm_object(m->offered.words().data(), m->swarm->words * sizeof(std::uint64_t));
  } else if (step == 2 && index < m->neighbours.size()) {
    m->store->warm();
    const Member* source = find(m->neighbours[index].member);
    if (source != nullptr) warm_object(source);
  }
}

// ---- membership --------------------------------------------------------------------------------

MemberId Site::join(const ports::SwarmRequest& request, ports::FactSink facts, const Place& place) {
  const MemberId id{static_cast<std::uint32_t>(members_.size())};
  auto m = std::make_unique<Member>();
  m->id = id;
  m->place = place;
  const auto behaviour = behaviours_.find(place.host);
  if (behaviour != behaviours_.end()) m->behaviour = behaviour->second;
  m->swarm = &swarms_[request.manifest.infohash];
  m->swarm->by_host[place.host] = id;
  // Every store of a simulation is a SimContentStore.
  m->store = std::static_pointer_cast<SimContentStore>(request.store);
  m->store->on_failed([this, id](core::PieceIndex piece) {
    if (Member* self = find(id); self != nullptr) want_again(*self, piece);
  });
  m->facts = std::move(facts);
  m->offered = m->store->verified();
  const std::uint32_t pieces = m->offered.universe();
  if (m->behaviour.advertises_all) {
    for (std::uint32_t p = 0; p < pieces; ++p) m->offered.insert(core::PieceIndex{p});
  }
  m->allowed = core::PieceSet(pieces);
  m->wanted = core::PieceSet(pieces);
  Swarm& swarm = *m->swarm;
  swarm.words = m->offered.words().size();
  if (settings_.machines > settings_.connections_max) swarm.crowd = true;
  m->row = static_cast<std::uint32_t>(swarm.lines.size() / swarm.stride());
  swarm.lines.resize(swarm.lines.size() + swarm.stride());
  std::copy(m->offered.words().begin(), m->offered.words().end(), swarm.row(m->row));
  if (!swarm.crowd) m->copies.assign(pieces, 0);
  told_.emplace_back();
  serving_.push_back({.serves = m->behaviour.serves});
  inboxes_.push_back(
      {.at = core::Instant::max(),
       .phase = core::Duration{static_cast<std::int64_t>(hash(id.value, 0) % kPhases)}});
  members_.push_back(std::move(m));
  if (swarm.crowd) enter_crowd(*members_.back());
  wake(queue_.now() + settings_.discovery, Wakeup::look, id);
  return id;
}

void Site::leave(MemberId id) {
  Member* self = find(id);
  if (self == nullptr) return;
  forget(*self);
  for (std::uint32_t i = 0; i < self->neighbours.size(); ++i) {
    const Neighbour& n = self->neighbours[i];
    if (!n.connected) continue;
    Member* const other = n.cut || far_end(n) == nullptr ? nullptr : find(n.member);
    if (other != nullptr) stop_request(*other, n.back);
    drop_end(*self, i);
    if (other == nullptr) continue;
    drop_end(*other, n.back);
    serve_next(*other);
    pull_from_all(*other);
    look_around_later(*other);
  }
  members_[id.value].reset();
}

// Nobody finds it any more.
void Site::forget(Member& m) {
  Swarm& swarm = *m.swarm;
  const auto named = swarm.by_host.find(m.place.host);
  if (named != swarm.by_host.end() && named->second == m.id) swarm.by_host.erase(named);
  if (!m.known) return;
  m.known = false;
  const MemberId last = swarm.known.back();
  swarm.known[m.place_known] = last;
  find(last)->place_known = m.place_known;
  swarm.known.pop_back();
}

void Site::ban(MemberId id, core::SourceId peer) {
  Member* self = find(id);
  if (self == nullptr) return;
  const auto index = index_of(*self, peer);
  if (!index) return;
  self->banned.push_back(self->neighbours[*index].host);
  disconnect(*self, *index);
}

// ---- connections -------------------------------------------------------------------------------

// A full mesh while the site is small; else as many random ones as are missing.
void Site::look_around(Member& self) {
  Swarm& swarm = *self.swarm;
  if (!self.known) {
    self.known = true;
    self.place_known = static_cast<std::uint32_t>(swarm.known.size());
    swarm.known.push_back(self.id);
    if (!swarm.crowd && swarm.known.size() > settings_.connections_max) become_crowd(swarm);
  }
  if (!crowded(self)) {
    for (const MemberId other : swarm.known) shake_hands(self, other, false);
    return;
  }
  if (self.connected >= settings_.connections_out) return;
  const std::uint32_t missing = settings_.connections_out - self.connected;
  core::Prng prng(core::Seed{hash(self.id.value, ++self.looks)});
  std::vector<MemberId> drawn;
  for (std::uint32_t i = 0; i < missing * kDrawsPerNeighbour && drawn.size() < missing; ++i) {
    // Of two the one with fewer connections: nobody is left with few, on whom all would depend.
    const MemberId one = swarm.known[prng.below(swarm.known.size())];
    const MemberId two = swarm.known[prng.below(swarm.known.size())];
    const MemberId other = find(two)->connected < find(one)->connected ? two : one;
    if (other == self.id || std::find(drawn.begin(), drawn.end(), other) != drawn.end()) continue;
    if (find(other)->connected >= settings_.connections_max) continue;
    drawn.push_back(other);
    shake_hands(self, other, false);
  }
}

void Site::look_around_later(const Member& self) {
  if (!self.known || !crowded(self) || self.connected >= settings_.connections_out) return;
  wake(queue_.now() + settings_.discovery, Wakeup::look, self.id);
}

void Site::shake_hands(const Member& a, MemberId b, bool dialled) {
  const Member* other = find(b);
  if (a.id == b || other == nullptr || !reachable(a, *other)) return;
  const core::Duration handshake = latency(a.id, b) + latency(b, a.id);
  queue_.after(handshake, [this, a = a.id, b, dialled] { connect(a, b, dialled); });
}

// Machines answer as soon as they have joined, known to discovery or not.
void Site::dial(MemberId id, const core::Endpoint& endpoint) {
  const Member* self = find(id);
  if (self == nullptr) return;
  const std::uint32_t host = host_of(endpoint);
  const auto named = self->swarm->by_host.find(host);
  if (named == self->swarm->by_host.end() || endpoint != endpoint_of(host)) return;
  shake_hands(*self, named->second, true);
}

void Site::connect(MemberId a, MemberId b, bool dialled) {
  Member* one = find(a);
  Member* two = find(b);
  if (one == nullptr || two == nullptr || !reachable(*one, *two)) return;
  for (const auto& [m, other] : {std::pair{one, two}, std::pair{two, one}}) {
    const auto& banned = m->banned;
    if (std::find(banned.begin(), banned.end(), other->place.host) != banned.end()) return;
  }
  const std::uint32_t i = place_for(*one, *two);
  const std::uint32_t k = place_for(*two, *one);
  const auto joined = [](const Neighbour& n, MemberId id) {
    return n.connected && !n.cut && n.member == id;
  };
  if (joined(one->neighbours[i], b) && joined(two->neighbours[k], a)) return;
  // What is left of a connection that died is noticed now at the latest.
  if (one->neighbours[i].connected) disconnect(*one, i);
  if (two->neighbours[k].connected) disconnect(*two, k);
  const std::uint32_t most = settings_.connections_max + (dialled ? kDialledExtra : 0);
  if (one->connected >= most || two->connected >= most) return look_around_later(*one);
  // Both ends count alike: a message on its way belongs to one connection of one pair.
  const std::uint32_t session =
      std::max(one->neighbours[i].session, two->neighbours[k].session) + 1;
  open_end(*one, i, *two, k, session);
  open_end(*two, k, *one, i, session);
}

std::uint32_t Site::place_for(Member& m, const Member& other) {
  const auto known = std::find_if(m.neighbours.begin(), m.neighbours.end(),
                                  [&](const auto& n) { return n.host == other.place.host; });
  const auto index = static_cast<std::uint32_t>(known - m.neighbours.begin());
  if (known != m.neighbours.end()) return index;
  m.neighbours.emplace_back().host = other.place.host;
  m.feeds.emplace_back();
  m.have.resize(m.have.size() + m.offered.words().size());
  return index;
}

void Site::open_end(Member& m, std::uint32_t index, const Member& other, std::uint32_t back,
                    std::uint32_t session) {
  Neighbour& n = m.neighbours[index];
  n.member = other.id;
  n.back = back;
  n.session = session;
  n.connected = true;
  n.cut = false;
  n.avoid_until = {};
  m.feeds[index] = {
      .from = other.id,
      .read = crowded(m) ? other.row : static_cast<std::uint32_t>(told_[other.id.value].size()),
      .back = back,
      .open = true,
      .latency_in = latency(other.id, m.id),
      .latency_out = latency(m.id, other.id)};
  ++m.connected;
  tell(m, core::PeerJoined{.peer = source_of(index),
                           .address = address_of(n.host),
                           .endpoint = endpoint_of(n.host),
                           .leases = true});
  queue_.after(m.feeds[index].latency_in,
               [this, at = m.id, index, session, pieces = other.offered] {
                 receive_bitfield(at, index, session, pieces);
               });
}

// This end of the connection is given up.
void Site::drop_end(Member& m, std::uint32_t index) {
  stop_request(m, index);
  tell(m, total_of(m, index));
  Neighbour& n = m.neighbours[index];
  if (std::exchange(n.serving, false)) --serving_[m.id.value].uploads;
  forget_pieces(m, index);
  m.feeds[index].open = false;
  n.connected = false;
  n.cut = false;
  --m.connected;
  stop_waiting(m, index);
  if (Neighbour* far = n.waiting ? far_end(n) : nullptr; far != nullptr) {
    stop_waiting(*find(n.member), n.back);
  }
  n.waiting = false;
  m.feeds[index].engaged = false;
  tell(m, core::PeerLeft{source_of(index)});
}

void Site::disconnect(Member& m, std::uint32_t index) {
  const Neighbour& n = m.neighbours[index];
  const MemberId other = n.member;
  const std::uint32_t back = n.back;
  const bool both = far_end(n) != nullptr;
  drop_end(m, index);
  if (both) drop_end(*find(other), back);
  for (Member* end : {&m, both ? find(other) : nullptr}) {
    if (end == nullptr) continue;
    serve_next(*end);
    pull_from_all(*end);
    look_around_later(*end);
  }
}

// ---- faults ------------------------------------------------------------------------------------

// Nothing passes any more; each end notices for itself.
void Site::cut(Member& m, std::uint32_t index) {
  Neighbour& n = m.neighbours[index];
  if (n.cut) return;
  silence(m, index);
  if (far_end(n) != nullptr) silence(*find(n.member), n.back);
}

void Site::silence(Member& m, std::uint32_t index) {
  Neighbour& n = m.neighbours[index];
  n.cut = true;
  if (crowded(m)) freeze(m, index);
  m.feeds[index].open = false;
  if (n.asked && n.flow != FlowId{}) {
    take(m, index, network_.stop(n.flow).value);
    settle_served(n);
    n.flow = {};
    n.bytes = m.store->missing_bytes(n.piece);
    expect_bytes(m, index);
  }
  queue_.after(settings_.dead_after, [this, id = m.id, index, session = n.session] {
    Member* self = find(id);
    if (self == nullptr) return;
    const Neighbour& end = self->neighbours[index];
    if (end.connected && end.session == session) disconnect(*self, index);
  });
}

void Site::kill(std::uint32_t host) {
  for (auto& m : members_) {
    if (m == nullptr || m->place.host != host) continue;
    m->facts = {};
    for (std::uint32_t i = 0; i < m->neighbours.size(); ++i) {
      if (m->neighbours[i].connected) cut(*m, i);
    }
    forget(*m);
    m.reset();
  }
}

void Site::partition(std::function<std::uint32_t(std::uint32_t host)> group_of) {
  group_of_ = std::move(group_of);
  for (const auto& m : members_) {
    if (m == nullptr) continue;
    for (std::uint32_t i = 0; i < m->neighbours.size(); ++i) {
      const Neighbour& n = m->neighbours[i];
      const Member* other = find(n.member);
      if (n.connected && other != nullptr && !reachable(*m, *other)) cut(*m, i);
    }
  }
}

void Site::heal() {
  group_of_ = nullptr;
  for (const auto& m : members_) {
    if (m != nullptr && m->known) wake(queue_.now() + settings_.discovery, Wakeup::look, m->id);
  }
}

}  // namespace lanward::simulator
