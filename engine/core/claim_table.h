// What other peers have claimed to fetch from the origin, and how long that is believed.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "engine/core/lease_message.h"
#include "engine/core/piece_board.h"
#include "engine/core/piece_layout.h"
#include "engine/core/policy.h"
#include "engine/core/units.h"

namespace lanward::core {

// A claim binds nobody beyond its promise: each new piece of the claimer renews it, a few reports
// of progress extend it, and then its pieces are anybody's. A peer holds little until it has kept a
// claim, and nothing for a while after it broke several.
class ClaimTable {
 public:
  ClaimTable(const Policy& policy, const PieceLayout& layout, PieceBoard& board)
      : policy_(policy), layout_(layout), board_(board) {}

  struct Held {
    SourceId who;
    ClaimMode mode = ClaimMode::lease;
  };
  // A piece whose claimer is late.
  struct Late {
    SourceId who;
    std::uint32_t run = 0;
    PieceIndex piece;
  };
  // A run that somebody may give a part of.
  struct Holder {
    SourceId who;
    std::uint32_t run = 0;
    std::uint32_t pieces = 0;
  };

  // What a piece usually takes a puller; zero: unknown. Promises are measured by it.
  void set_piece_time(Duration time) { piece_time_ = time; }

  // Pieces over the claimer's quota count as soon as the quota allows; those that need no fetching
  // any more are left out. `proven`: it has delivered before.
  void add(SourceId who, const Claim& claim, bool proven, Instant now);
  // The peer has delivered: its quota grows.
  void proved(SourceId who);
  void remove(SourceId who, const Unclaim& unclaim);
  void progress(SourceId who, const ClaimProgress& report, Instant now);
  // The peer announced the piece. True if it had claimed it.
  bool kept(SourceId who, PieceIndex piece, Instant now);
  // The claims on the piece.
  [[nodiscard]] std::vector<Held> claims_on(PieceIndex piece) const;
  // The peers that claimed the piece and announced it, of late.
  [[nodiscard]] std::vector<SourceId> fetchers(PieceIndex piece) const;
  // Nobody needs to fetch the piece any more.
  void settle(PieceIndex piece);
  void drop(SourceId who);

  // Breaks the promises that are over. `frozen`: the origin answers nobody, so nobody is to blame.
  void expire(Instant now, bool frozen);
  [[nodiscard]] std::optional<Instant> next_due() const { return next_due_; }

  [[nodiscard]] bool empty() const { return claimers_.empty(); }
  [[nodiscard]] bool any_live() const;
  // The longest wait among pieces that have waited longer than `age` for their claimer.
  [[nodiscard]] std::optional<Late> latest(Instant now, Duration age) const;
  [[nodiscard]] std::optional<Holder> largest_run() const;

 private:
  struct Run {
    std::uint32_t number = 0;
    std::vector<PieceIndex> pieces;  // still to come, in order
    std::size_t counted = 0;         // the first so many are within the quota
    ClaimMode mode = ClaimMode::lease;
    Instant renewed;
    Instant promise;
    std::uint64_t reported = 0;  // bytes, by progress
    std::uint32_t slips = 0;
  };
  struct Claimer {
    std::vector<Run> runs;
    std::uint32_t strikes = 0;
    Instant muted_until;
    bool kept = false;
    std::optional<Instant> credit_until = {};
    std::deque<PieceIndex> fetched;  // the latest pieces that it claimed and announced
  };

  [[nodiscard]] Duration promise_time() const;
  void count_within_quota(Claimer& claimer);
  void end_credit(Claimer& claimer);
  void wake_by(Instant at);
  bool take_out(Run& run, PieceIndex piece);
  void uncount(Run& run);
  void renew(const Claimer& claimer, Run& run, Instant now);
  void clean_up();

  const Policy& policy_;
  const PieceLayout layout_;
  PieceBoard& board_;
  Duration piece_time_{0};
  std::map<SourceId, Claimer> claimers_;
  std::optional<Instant> next_due_;
};

}  // namespace lanward::core
