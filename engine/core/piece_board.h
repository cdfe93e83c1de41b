// Where each piece stands: verified, in this peer's own hands, offered by peers, claimed by others.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/core/commands.h"
#include "engine/core/piece_layout.h"
#include "engine/core/piece_set.h"
#include "engine/core/units.h"

namespace lanward::core {

// Peers may deliver every piece that is open, so that a piece is asked for as soon as somebody
// announces it; what is held or kept for the origin is withdrawn from them.
class PieceBoard {
 public:
  PieceBoard(const PieceLayout& layout, PieceSet verified, bool tell_peers, Commands& commands);

  [[nodiscard]] const PieceSet& verified() const { return verified_; }
  // Neither verified nor held.
  [[nodiscard]] const PieceSet& open() const { return open_; }
  // Open, no trusted peer has it and nobody claims it: somebody must fetch it from the origin.
  [[nodiscard]] const PieceSet& free() const { return free_; }
  // Open, and a trusted peer has it.
  [[nodiscard]] const PieceSet& owed() const { return owed_; }
  [[nodiscard]] bool complete() const { return verified_.full(); }
  // A trusted peer has it, and may give it.
  [[nodiscard]] bool trusted(PieceIndex piece) const {
    return trusted_[piece.value] > 0 && !kept_.contains(piece);
  }
  [[nodiscard]] bool any_offered() const { return offered_open_ > 0; }

  // A peer has the piece or no longer has it (change +1, -1) / the peer is trusted or no longer is.
  void offer(PieceIndex piece, int change);
  void trust(PieceIndex piece, int change);
  // Another peer claims the piece or no longer does.
  void claim(PieceIndex piece, int change);
  // In a claim or a request of this peer's own / no longer.
  void hold(PieceIndex piece);
  void release(PieceIndex piece);
  void verify(PieceIndex piece);

  // The next try of the piece is the origin's alone / as long as there is one.
  void keep_for_origin(PieceIndex piece);
  void release_kept();

 private:
  void classify(PieceIndex piece);
  void tell(PieceIndex piece, bool allow);

  const bool tell_peers_;
  Commands& commands_;
  PieceSet verified_;
  PieceSet open_;
  PieceSet free_;
  PieceSet owed_;
  PieceSet allowed_;  // told to the peer side
  PieceSet kept_;     // for the origin
  std::vector<std::uint16_t> offers_;
  std::vector<std::uint16_t> trusted_;
  std::vector<std::uint8_t> claims_;
  std::uint32_t offered_open_ = 0;
};

}  // namespace lanward::core
