// This peer's own fetching from the origin: claims a run of pieces, waits until every claim made at
// the same time must have arrived, drops what others are entitled to, and then asks for the range.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/core/claim_table.h"
#include "engine/core/commands.h"
#include "engine/core/origin_book.h"
#include "engine/core/piece_board.h"
#include "engine/core/policy.h"
#include "engine/core/request_ledger.h"
#include "engine/core/run_chooser.h"
#include "engine/core/site_roster.h"
#include "engine/core/units.h"

namespace lanward::core {

// The earliest of several moments.
struct WakeUp {
  std::optional<Instant> at;
  void by(Instant other) {
    if (!at || other < *at) at = other;
  }
};

class Puller {
 public:
  enum class Mode : std::uint8_t {
    rest,   // others fetch
    alone,  // nobody to agree with: plain HTTP, several ranges at once
    lease,  // as one of the site's pullers
    solo,   // others have kept this peer waiting for too long
  };

  Puller(const Policy& policy, const Content& content, PieceBoard& board, SiteRoster& roster,
         ClaimTable& claims, OriginBook& origins, RequestLedger& requests, Commands& commands,
         bool peers_possible);

  // Claims, fetches, splits or hedges as the mode allows, from the origins that serve.
  void plan(Mode mode, Instant now, WakeUp& wake);

  // The request has ended or is to end: what it did not bring is open again. `again`: a piece that
  // it has begun stays claimed, to be continued when the origin can be asked again.
  void end(RequestId request, bool again);
  // The request has brought all that is still wanted of it, and more would come.
  [[nodiscard]] bool cut_reached(RequestId request) const;

  // A peer's claim, already in the claim table, may collide with what is fetched here.
  void meet(SourceId from, const Claim& claim);
  // Somebody idle asks for a part of a run.
  void split(std::uint32_t run);
  // The peer is gone; nothing more is told to it.
  void forget(SourceId peer);
  // A new watcher: tell it what is under way.
  void introduce(SourceId to, Instant now);
  // From now on fewer requests are begun at once, or as many as usual again.
  void set_background(bool background) { background_ = background; }

  [[nodiscard]] bool busy() const { return !runs_.empty(); }
  // The piece is claimed, or in a range on its way.
  [[nodiscard]] bool has_taken(PieceIndex piece) const;
  // What a piece takes a puller at the site's rate; zero: unknown.
  [[nodiscard]] Duration piece_time() const;

 private:
  struct Run {
    std::uint32_t number = 0;
    PieceSpan pieces;
    ClaimMode mode = ClaimMode::lease;
    SourceId origin;                   // whose lane it has
    std::vector<SourceId> told;        // who knows of it
    std::vector<SourceId> answered;    // who was told that it is under way
    bool broken = false;               // its range failed after it had begun
    bool cut = false;                  // ends before the end of the range that was asked for
    Instant fetch_at;                  // when the claim has settled
    std::optional<RequestId> request;  // nothing: not asked for yet
    Instant begun_at;
    PieceIndex asked_end;  // of the range as it was asked for
    Instant report_at;     // of progress, next
  };

  void fetch_settled(Mode mode, Instant now);
  void tell_watchers(Instant now);
  void tell(Run& run, SourceId to, Instant now);
  void drop_lost(Run& run);
  void begin(Run& run, OriginBook::Origin& origin, Instant now);
  void begin_whole_file(OriginBook::Origin& origin, Instant now);
  void claim_next(Mode mode, Instant now, WakeUp& wake);
  [[nodiscard]] PieceSpan without_tails(PieceSpan span) const;
  void claim(PieceSpan pieces, ClaimMode mode, SourceId origin, Instant now);
  void assist(Instant now, WakeUp& wake);
  bool hedge(const ClaimTable::Late& late, Instant now);
  void yield_late(Instant now);
  void report(Instant now, WakeUp& wake);
  void shorten(Run& run, PieceIndex end);
  void unclaim(const Run& run, PieceSpan pieces);

  // ---- lanes: requests that an origin may have at once (puller_lanes.cc) ----
  [[nodiscard]] std::uint32_t lanes(Mode mode) const;
  [[nodiscard]] std::uint32_t lanes(Mode mode, const OriginBook::Origin& origin) const;
  // Over all origins: that may be / that there are with those that serve now.
  [[nodiscard]] std::size_t lanes_max(Mode mode) const;
  [[nodiscard]] std::size_t lanes_of_all(Mode mode) const;
  [[nodiscard]] std::uint32_t runs_at(SourceId origin) const;
  [[nodiscard]] ByteRate speed(const OriginBook::Origin& origin, Instant now) const;
  [[nodiscard]] ByteRate speed_of_all(Instant now) const;
  [[nodiscard]] bool worthwhile(const OriginBook::Origin& origin, Instant now) const;
  // Whose lane is to be filled next; null: every one is busy.
  [[nodiscard]] OriginBook::Origin* next_origin(Mode mode, Instant now) const;
  [[nodiscard]] OriginBook::Origin* origin_for(const Run& run, Mode mode, Instant now) const;
  [[nodiscard]] std::uint32_t length(Mode mode, const OriginBook::Origin& origin,
                                     Instant now) const;
  // The lane that comes free first, at the measured rate; nothing: unknown.
  struct NextLane {
    OriginBook::Origin* origin = nullptr;
    Duration left{0};
  };
  [[nodiscard]] std::optional<NextLane> soonest_end(Mode mode, Instant now) const;
  void rebalance(Mode mode, Instant now, WakeUp& wake);
  bool help(Mode mode, OriginBook::Origin& origin, Instant now);
  void move(Run& run, OriginBook::Origin& origin, Instant now);

  [[nodiscard]] PieceIndex not_begun(const Run& run) const;
  [[nodiscard]] Run* find(RequestId request);
  [[nodiscard]] const Run* find(RequestId request) const;

  const Policy& policy_;
  bool background_ = false;
  const PieceLayout layout_;
  PieceBoard& board_;
  SiteRoster& roster_;
  ClaimTable& claims_;
  OriginBook& origins_;
  RequestLedger& requests_;
  Commands& commands_;
  const bool peers_possible_;
  RunChooser chooser_;

  std::vector<Run> runs_;
  std::uint32_t last_run_ = 0;
  std::uint32_t length_before_ = 1;
  Duration settle_;
  PieceSet hedged_;  // by anybody
  Instant split_at_;
  std::vector<SourceId> watchers_;  // who was told of all runs
};

}  // namespace lanward::core
