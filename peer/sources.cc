#include "peer/sources.h"

#include <algorithm>
#include <utility>

namespace lanward::peer {
namespace {

// Totals of a busy peer are reported this often: four times a second feeds a rate meter and a
// progress line, and costs the loop nothing.
constexpr std::chrono::milliseconds kProgressInterval{250};
}  // namespace

Peer* Sources::connected(const Identity& who) {
  const std::lock_guard lock(mutex_);
  auto it = peers_.find(who.key);
  if (it == peers_.end()) {
    it = peers_.size() < kPeersMax ? remember(who.key) : replace_idle(who.key);
    if (it == peers_.end()) return nullptr;
    it->second->address = who.address;
  }
  Peer& peer = *it->second;
  if (peer.banned) return nullptr;
  if (peer.connections++ == 0) {
    send(core::PeerJoined{
        .peer = peer.id,
        .address = peer.address,
        .endpoint = who.endpoint,
        .leases = who.leases,
        .where = where_ == nullptr ? PeerClass::lan : where_->of(who.endpoint.address)});
  }
  return &peer;
}

Sources::Peers::iterator Sources::remember(const std::string& key) {
  const auto number = static_cast<std::uint32_t>(peers_.size());
  const auto it = peers_.emplace(key, std::make_unique<Peer>()).first;
  it->second->id = core::SourceId{core::kFirstPeerSource + number};
  return it;
}

// Somebody who came, gave and took nothing and went need not be remembered: else he who invents an
// identity per connection would keep everybody else out for good.
Sources::Peers::iterator Sources::replace_idle(const std::string& key) {
  const auto idle = std::ranges::find_if(peers_, [](const auto& entry) {
    const Peer& peer = *entry.second;
    return peer.connections == 0 && !peer.banned && peer.received + peer.served == 0;
  });
  if (idle == peers_.end()) return idle;
  auto node = peers_.extract(idle);
  node.key() = key;
  return peers_.insert(std::move(node)).position;
}

void Sources::disconnected(Peer& peer) {
  const std::lock_guard lock(mutex_);
  if (--peer.connections > 0) return;
  tell_totals(peer);
  send(core::PeerLeft{peer.id});
}

void Sources::has(const Peer& peer, const core::PieceSet& pieces) {
  const std::lock_guard lock(mutex_);
  send(core::PeerHasPieces{peer.id, pieces});
}

void Sources::has(const Peer& peer, core::PieceIndex piece) {
  const std::lock_guard lock(mutex_);
  send(core::PeerHasPiece{peer.id, piece});
}

void Sources::says(const Peer& peer, core::LeaseMessage message) {
  const std::lock_guard lock(mutex_);
  if (!peer.banned) send(core::PeerMessage{peer.id, std::move(message)});
}

bool Sources::received(Peer& peer, std::uint32_t bytes, bool stored) {
  const std::lock_guard lock(mutex_);
  if (!facts_) return false;
  peer.received += bytes;
  if (!stored) peer.wasted += bytes;
  tell_if_due(peer);
  return true;
}

void Sources::served(Peer& peer, std::uint32_t bytes) {
  const std::lock_guard lock(mutex_);
  peer.served += bytes;
  tell_if_due(peer);
}

void Sources::tell_progress(Peer& peer) {
  const std::lock_guard lock(mutex_);
  tell_if_due(peer);
}

void Sources::tell_if_due(Peer& peer) {
  if (std::chrono::steady_clock::now() - peer.told_at >= kProgressInterval) tell_totals(peer);
}

void Sources::tell_totals(Peer& peer) {
  if (peer.told == peer.received + peer.served) return;
  peer.told = peer.received + peer.served;
  peer.told_at = std::chrono::steady_clock::now();
  send(core::PeerProgressed{peer.id, core::ByteCount{peer.received}, core::ByteCount{peer.wasted},
                            core::ByteCount{peer.served}});
}

void Sources::ban(core::SourceId id) {
  const std::lock_guard lock(mutex_);
  for (auto& [key, peer] : peers_) {
    if (peer->id == id) peer->banned = true;
  }
}

bool Sources::is_banned(const Peer& peer) const {
  const std::lock_guard lock(mutex_);
  return peer.banned;
}

bool Sources::is_banned(const std::string& key) const {
  const std::lock_guard lock(mutex_);
  const auto it = peers_.find(key);
  return it != peers_.end() && it->second->banned;
}

void Sources::close() {
  const std::lock_guard lock(mutex_);
  for (auto& [key, peer] : peers_) tell_totals(*peer);
  facts_ = nullptr;
}

}  // namespace lanward::peer
