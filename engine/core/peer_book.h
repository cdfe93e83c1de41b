// The peers of a transfer: what each offers, and whether its offers are believed.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/core/events.h"
#include "engine/core/piece_board.h"
#include "engine/core/piece_set.h"
#include "engine/core/policy.h"
#include "engine/core/units.h"

namespace lanward::core {

// An offer keeps a piece from the origin only while its peer is trusted: it has delivered a
// verified piece, or it is new and has a moment's credit. So a peer that advertises what it does
// not have delays nobody for long.
class PeerBook {
 public:
  PeerBook(const Policy& policy, const PieceLayout& layout, PieceBoard& board)
      : policy_(policy), layout_(layout), board_(board) {}

  void joined(const PeerJoined& fact);
  void left(SourceId id);
  void has(SourceId id, const PieceSet& pieces, Instant now);
  void has(SourceId id, PieceIndex piece, Instant now);
  // The number of bytes that are new.
  ByteCount received(SourceId id, ByteCount total, Instant now);
  // It delivered a verified piece, or somebody proven has a piece that only it can have fetched.
  void proved(SourceId id);
  // It delivered a verified piece all by itself: what it had a share in was spoilt by others.
  void cleared(SourceId id);
  // It fetched what it had claimed: its offers count for several times the usual credit from now.
  void kept_claim(SourceId id, Instant now);
  // Counts a bad piece; true when that was one too many: the peer is banned now.
  bool blame(SourceId id, bool alone);

  void expire(Instant now);
  [[nodiscard]] std::optional<Instant> next_due() const { return next_due_; }

  [[nodiscard]] bool connected(SourceId id) const;
  [[nodiscard]] bool speaks_leases(SourceId id) const;
  [[nodiscard]] bool proven(SourceId id) const;
  [[nodiscard]] bool banned(SourceId id) const;
  [[nodiscard]] std::uint32_t connected() const { return connected_; }

 private:
  struct Peer {
    PieceSet has;
    ByteCount received;
    Instant credit_until;
    std::uint32_t credits = 0;  // given so far
    std::uint32_t bad_pieces = 0;
    std::uint32_t bad_shares = 0;
    bool leases = false;
    bool joined = false;
    bool banned = false;
    bool proven = false;
    bool trusted = false;  // its offers are counted as such
  };

  [[nodiscard]] Peer* find(SourceId id);
  [[nodiscard]] const Peer* find(SourceId id) const;
  void add(Peer& peer, PieceIndex piece);
  void set_trusted(Peer& peer, bool trusted);
  void forget_offers(Peer& peer);
  void give_credit(Peer& peer, Instant until);

  const Policy& policy_;
  const PieceLayout layout_;
  PieceBoard& board_;
  std::vector<Peer> peers_;  // by number of the source
  std::uint32_t connected_ = 0;
  std::optional<Instant> next_due_;
};

}  // namespace lanward::core
