#include "simulator/adversary.h"

#include <algorithm>
#include <array>
#include <utility>
#include <variant>

#include "engine/core/overloaded.h"
#include "engine/core/prng.h"
#include "engine/core/site_roster.h"

namespace lanward::simulator {

namespace {

// Of so many keys the best ranks below those of thousands of honest machines, almost surely.
constexpr int kKeysTried = 1 << 16;
constexpr core::Duration kBeat = std::chrono::seconds{1};
constexpr core::Duration kPretence = std::chrono::milliseconds{500};
// Between two looks whether there is anybody to disturb.
constexpr core::Duration kAlone = std::chrono::milliseconds{10};
// What a hog promises: soon, so that its claims look better than honest ones.
constexpr std::uint32_t kPromiseMs = 500;
// Told as its rate from the origin: that of a good puller.
constexpr std::uint32_t kRateKib = 100 * 1024;

}  // namespace

core::PeerKey adversary_key(const core::Digest& content, bool lowest_rank, core::Seed seed) {
  core::Prng prng(seed);
  core::PeerKey best{prng.next()};
  if (!lowest_rank) return best;
  for (int i = 0; i < kKeysTried; ++i) {
    const core::PeerKey key{prng.next()};
    if (core::rank_of(content, key) < core::rank_of(content, best)) best = key;
  }
  return best;
}

AdversaryActor::AdversaryActor(EventQueue& queue, Site& site, const Place& place,
                               const Scenario& scenario, const core::Manifest& manifest,
                               const Adversary& kind, core::Seed seed)
    : queue_(queue),
      loop_(queue),
      swarm_(site, loop_, place),
      scenario_(scenario),
      manifest_(manifest),
      place_(place),
      kind_(kind),
      key_(adversary_key(manifest.content.id, kind.lowest_rank, seed)),
      seen_(manifest.content.layout.piece_count()) {}

void AdversaryActor::join() {
  core::PieceSet offered(seen_.universe());
  if (kind_.kind == AdversaryKind::have_liar) {
    for (core::PieceIndex p{0}; p.value < offered.universe(); p = p + 1) offered.insert(p);
  }
  const auto store = std::make_shared<SimContentStore>(queue_, scenario_.store, manifest_.content,
                                                       offered, [](const core::Event&) {});
  member_ = swarm_.join({.manifest = manifest_, .store = store},
                        [this](const core::Event& event) { on_fact(event); });
  if (!hogs()) return;
  queue_.after(kBeat, [this] { beat(); });
  queue_.after(scenario_.swarm.discovery, [this] { claim(); });
  if (kind_.kind == AdversaryKind::fake_progress) queue_.after(kPretence, [this] { pretend(); });
}

// What it answers it says later, as anybody whose facts go through a loop.
void AdversaryActor::on_fact(const core::Event& event) {
  std::visit(core::Overloaded{
                 [this](const core::PeerJoined& f) {
                   if (!f.leases) return;
                   peers_.push_back(f.peer);
                   loop_.post([this, peer = f.peer] { greet(peer); });
                 },
                 [this](const core::PeerLeft& f) { std::erase(peers_, f.peer); },
                 [this](const core::PeerHasPieces& f) { learn(f.pieces); },
                 [this](const core::PeerHasPiece& f) { seen_.insert(f.piece); },
                 [this](const core::PeersHavePieces& f) {
                   for (const core::PeerHasPiece& each : f.news) seen_.insert(each.piece);
                 },
                 [this](const core::PeersReport& f) {
                   for (const core::PeerHasPiece& each : f.news) seen_.insert(each.piece);
                 },
                 [](const auto&) {},
             },
             event);
}

void AdversaryActor::greet(core::SourceId peer) {
  const std::array to{peer};
  member_->send(to, core::Hello{.key = key_, .willing = hogs()});
  if (hogs()) member_->send(to, roster());
}

void AdversaryActor::learn(const core::PieceSet& pieces) {
  for (auto p = pieces.next(core::PieceIndex{0}); p; p = pieces.next(*p + 1)) seen_.insert(*p);
}

void AdversaryActor::say(const core::LeaseMessage& message) {
  if (!peers_.empty()) member_->send(peers_, message);
}

core::Roster AdversaryActor::roster() const {
  core::Roster::Entry self;
  self.key = key_;
  self.endpoint = endpoint_of(place_.host);
  self.beat = beats_;
  self.rate_kib = kRateKib;
  self.pullers = static_cast<std::uint16_t>(scenario_.policy.pullers);
  return {{self}};
}

void AdversaryActor::beat() {
  ++beats_;
  say(roster());
  queue_.after(kBeat, [this] { beat(); });
}

// One piece is what a stranger may claim; as soon as that promise is broken, the next one. The
// second claim is over any quota and must be ignored.
void AdversaryActor::claim() {
  const auto wanted = seen_.next_missing(core::PieceIndex{0});
  if (!wanted) return;
  if (peers_.empty()) {
    queue_.after(kAlone, [this] { claim(); });
    return;
  }
  pretended_ = 0;
  const core::PieceIndex end{seen_.universe()};
  say(core::Claim{.run = ++run_, .pieces = {*wanted, *wanted + 1}, .eta_ms = kPromiseMs});
  if (*wanted + 1 < end) {
    say(core::Claim{.run = ++run_, .pieces = {*wanted + 1, end}, .eta_ms = kPromiseMs});
  }
  queue_.after(scenario_.policy.lease_promise, [this] { claim(); });
}

void AdversaryActor::pretend() {
  const std::uint64_t piece = manifest_.content.layout.piece_bytes();
  // Half of what is left each time: it never arrives.
  pretended_ += (piece - pretended_) / 2;
  if (run_ > 0) {
    say(core::ClaimProgress{.run = run_, .bytes = pretended_, .eta_ms = kPromiseMs});
    if (run_ > 1) {
      say(core::ClaimProgress{.run = run_ - 1, .bytes = pretended_, .eta_ms = kPromiseMs});
    }
  }
  queue_.after(kPretence, [this] { pretend(); });
}

}  // namespace lanward::simulator
