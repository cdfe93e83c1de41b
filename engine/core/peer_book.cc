#include "engine/core/peer_book.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace lanward::core {
namespace {

// Sources that are told apart; the adapters know far fewer peers at a time.
constexpr std::uint32_t kPeersMax = 1U << 16;
// Credits of one peer that never proves itself: a few seconds of dribbling, not a download's time.
constexpr std::uint32_t kCreditsMax = 25;
// What it fetched everybody wants at once, and its uplink may be busy.
constexpr int kKeptClaimCredits = 10;

}  // namespace

PeerBook::Peer* PeerBook::find(SourceId id) {
  const std::uint32_t n = id.value - kFirstPeerSource;
  return is_peer(id) && n < peers_.size() ? &peers_[n] : nullptr;
}

const PeerBook::Peer* PeerBook::find(SourceId id) const {
  const std::uint32_t n = id.value - kFirstPeerSource;
  return is_peer(id) && n < peers_.size() ? &peers_[n] : nullptr;
}

void PeerBook::joined(const PeerJoined& fact) {
  const std::uint32_t n = fact.peer.value - kFirstPeerSource;
  if (!is_peer(fact.peer) || n >= kPeersMax) return;
  if (n >= peers_.size()) peers_.resize(std::size_t{n} + 1);
  Peer& peer = peers_[n];
  if (peer.joined || peer.banned) return;
  peer.joined = true;
  peer.leases = fact.leases;
  peer.has = PieceSet(layout_.piece_count());
  peer.trusted = peer.proven;
  ++connected_;
}

void PeerBook::left(SourceId id) {
  Peer* peer = find(id);
  if (peer == nullptr || !peer->joined) return;
  forget_offers(*peer);
  peer->joined = false;
  --connected_;
}

void PeerBook::has(SourceId id, const PieceSet& pieces, Instant now) {
  Peer* peer = find(id);
  if (peer == nullptr || !peer->joined || pieces.universe() != layout_.piece_count()) return;
  bool news = false;
  for (PieceIndex p{0}; p < layout_.all().end; ++p) {
    if (pieces.contains(p)) {
      news = news || board_.open().contains(p);
      add(*peer, p);
    } else if (peer->has.erase(p)) {
      board_.offer(p, -1);
      if (peer->trusted) board_.trust(p, -1);
    }
  }
  if (news && peer->credits == 0) give_credit(*peer, now + policy_.peer_credit);
}

void PeerBook::has(SourceId id, PieceIndex piece, Instant now) {
  Peer* peer = find(id);
  if (peer == nullptr || !peer->joined || piece >= layout_.all().end) return;
  add(*peer, piece);
  if (peer->credits == 0 && board_.open().contains(piece))
    give_credit(*peer, now + policy_.peer_credit);
}

void PeerBook::add(Peer& peer, PieceIndex piece) {
  if (!peer.has.insert(piece)) return;
  board_.offer(piece, 1);
  if (peer.trusted) board_.trust(piece, 1);
}

ByteCount PeerBook::received(SourceId id, ByteCount total, Instant now) {
  Peer* peer = find(id);
  if (peer == nullptr || total <= peer->received) return {};
  const ByteCount fresh = total - std::exchange(peer->received, total);
  if (peer->joined && !peer->proven) give_credit(*peer, now + policy_.peer_credit);
  return fresh;
}

void PeerBook::proved(SourceId id) {
  Peer* peer = find(id);
  if (peer == nullptr || peer->banned || peer->proven) return;
  peer->proven = true;
  set_trusted(*peer, true);
}

void PeerBook::cleared(SourceId id) {
  if (Peer* peer = find(id); peer != nullptr) peer->bad_shares = 0;
}

void PeerBook::kept_claim(SourceId id, Instant now) {
  if (Peer* peer = find(id); peer != nullptr && peer->joined) {
    give_credit(*peer, now + kKeptClaimCredits * policy_.peer_credit);
  }
}

void PeerBook::give_credit(Peer& peer, Instant until) {
  if (peer.proven || peer.credits >= kCreditsMax) return;
  ++peer.credits;
  peer.credit_until = std::max(peer.credit_until, until);
  set_trusted(peer, true);
  if (!next_due_ || peer.credit_until < *next_due_) next_due_ = peer.credit_until;
}

void PeerBook::set_trusted(Peer& peer, bool trusted) {
  if (peer.trusted == trusted || !peer.joined) return;
  peer.trusted = trusted;
  for (auto p = peer.has.next(PieceIndex{0}); p; p = peer.has.next(*p + 1)) {
    board_.trust(*p, trusted ? 1 : -1);
  }
}

void PeerBook::expire(Instant now) {
  if (!next_due_ || now < *next_due_) return;
  next_due_.reset();
  for (Peer& peer : peers_) {
    if (!peer.joined || peer.proven || !peer.trusted) continue;
    if (peer.credit_until <= now) {
      set_trusted(peer, false);
    } else if (!next_due_ || peer.credit_until < *next_due_) {
      next_due_ = peer.credit_until;
    }
  }
}

bool PeerBook::blame(SourceId id, bool alone) {
  Peer* peer = find(id);
  if (peer == nullptr || peer->banned) return false;
  (alone ? peer->bad_pieces : peer->bad_shares) += 1;
  if (peer->bad_pieces < policy_.bad_pieces_max && peer->bad_shares < policy_.bad_shares_max) {
    return false;
  }
  left(id);
  peer->banned = true;
  peer->proven = false;
  return true;
}

void PeerBook::forget_offers(Peer& peer) {
  set_trusted(peer, false);
  const PieceSet had = std::exchange(peer.has, PieceSet(layout_.piece_count()));
  for (auto p = had.next(PieceIndex{0}); p; p = had.next(*p + 1)) board_.offer(*p, -1);
}

bool PeerBook::connected(SourceId id) const {
  const Peer* peer = find(id);
  return peer != nullptr && peer->joined;
}

bool PeerBook::speaks_leases(SourceId id) const {
  const Peer* peer = find(id);
  return peer != nullptr && peer->joined && peer->leases;
}

bool PeerBook::proven(SourceId id) const {
  const Peer* peer = find(id);
  return peer != nullptr && peer->proven;
}

bool PeerBook::banned(SourceId id) const {
  const Peer* peer = find(id);
  return peer != nullptr && peer->banned;
}

}  // namespace lanward::core
