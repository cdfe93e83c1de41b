// Decides which bytes to fetch from which source. Pure: no clock, no I/O, no threads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/core/claim_table.h"
#include "engine/core/commands.h"
#include "engine/core/content.h"
#include "engine/core/events.h"
#include "engine/core/origin_book.h"
#include "engine/core/origin_spec.h"
#include "engine/core/peer_book.h"
#include "engine/core/piece_board.h"
#include "engine/core/piece_set.h"
#include "engine/core/policy.h"
#include "engine/core/prng.h"
#include "engine/core/puller.h"
#include "engine/core/rate_meter.h"
#include "engine/core/reluctance.h"
#include "engine/core/request_ledger.h"
#include "engine/core/site_roster.h"
#include "engine/core/units.h"
#include "engine/core/verdict_watch.h"

namespace lanward::core {

struct SchedulerOptions {
  Policy policy;
  PieceSet have;                    // verified before the transfer began
  std::vector<OriginSpec> origins;  // SourceId n is origins[n]
  bool peers_possible = false;      // peers may turn up
  bool peers_expected = false;      // some are known by address: worth a moment's hold
  bool background = false;          // as OriginPriority, from the start
};

// Protocol: after every handle(), call poll_command() until it is empty, then arrange to call
// handle(Tick{}, t) no later than t = *next_wakeup(). `now` never goes backwards. The same seed and
// the same sequence of (event, now) give the same commands.
//
// Peers may deliver any piece at any time. From the origin comes only what nobody else is getting:
// a few peers of the site, the pullers, share that out by claims. A peer that waits for too long
// fetches for itself. Alone, this is a plain download by parallel ranges. docs/leases.md tells
// more.
class Scheduler {
 public:
  Scheduler(const Content& content, SchedulerOptions options, Seed seed, Instant now);
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  void handle(const Event& event, Instant now);
  [[nodiscard]] std::optional<Command> poll_command(Instant now);
  // Finite until the transfer is complete or given up.
  [[nodiscard]] std::optional<Instant> next_wakeup() const;

  [[nodiscard]] bool complete() const { return board_.complete(); }
  [[nodiscard]] const PieceSet& verified() const { return board_.verified(); }

 private:
  void on(const RangeProgressed& fact, Instant now);
  void on(const RangeFinished& fact, Instant now);
  void on(const RequestFailed& fact, Instant now);
  void on(const PeerJoined& fact, Instant now);
  void on(const PeerLeft& fact, Instant now);
  void on(const PeerHasPieces& fact, Instant now);
  void on(const PeerHasPiece& fact, Instant now);
  void on(const PeersHavePieces& fact, Instant now);
  void on(const PeerMessage& fact, Instant now);
  void on(const PeerProgressed& fact, Instant now);
  void on(const PeersReport& fact, Instant now);
  void on(const PieceVerified& fact, Instant now);
  void on(const PieceFailed& fact, Instant now);
  void on(const StoreFailed& fact, Instant now);
  void on(const OriginPriority& fact, Instant now);
  template <class Other>
  void on(const Other&, Instant) {}

  void hear(SourceId from, const Hello& hello, Instant now);
  void hear(SourceId from, const Claim& claim, Instant now);
  void hear(SourceId from, const Unclaim& unclaim, Instant now);
  void hear(SourceId from, const ClaimProgress& report, Instant now);
  void hear(SourceId from, const SplitRequest& request, Instant now);
  void hear(SourceId from, const Roster& roster, Instant now);

  bool settle(PieceIndex piece, Instant now);
  void proved(SourceId peer);
  void forget(SourceId peer, Instant now);
  void strike_off(const OriginBook::Origin& origin, FailureClass kind);
  void drop_requests(SourceId origin, bool again);
  void drop_stalled(Instant now);
  [[nodiscard]] bool excused(SourceId origin, const std::vector<SourceId>& from);
  void blame(SourceId source, PieceIndex piece, bool alone, Instant now);
  void finish(RequestId id, Instant now);
  void handed_over(std::uint64_t begin, std::uint64_t end, Instant now);
  [[nodiscard]] bool expect_verdicts(Instant now);
  [[nodiscard]] bool leaves_plan(const Event& event, Instant now) const;
  void note_offers(Instant now);
  void wake_by_parts();
  void plan(Instant now);
  void finish_transfer();
  [[nodiscard]] Puller::Mode mode(Instant now);
  [[nodiscard]] bool holding(Instant now);
  void watch(Instant now);
  void start_solo_if_needed(Instant now);
  [[nodiscard]] bool origin_silent(Instant now);
  void judge(Instant now);
  [[nodiscard]] std::string unjudged(PieceIndex piece) const;
  [[nodiscard]] Error describe_stall(Instant now) const;
  void report_waiting(Instant now);
  void give_up(Error error);

  // Constant after construction.
  const Policy policy_;
  const PieceLayout layout_;
  const bool peers_possible_;
  const bool peers_expected_;
  const Instant started_;
  const std::uint32_t place_;  // this peer's rank as a share of 2^32: who waits how long

  Commands commands_;
  Prng prng_;
  RequestLedger requests_;
  OriginBook origins_;
  PieceBoard board_;
  PeerBook peers_;
  ClaimTable claims_;
  SiteRoster roster_;
  Puller puller_;
  VerdictWatch verdicts_;
  std::optional<Reluctance> reluctance_;  // with Policy::never_puller

  RateMeter peer_rate_;
  RateMeter total_rate_;  // over the five seconds of Policy::min_rate
  Instant last_peer_byte_;
  Instant last_origin_byte_;
  Instant last_request_;
  Instant last_offer_;  // when a peer last had something for us
  Instant owed_since_;  // since when trusted peers have had something all the time
  Instant last_progress_;
  Instant watch_at_;
  Instant judge_at_;
  WakeUp wake_;
  std::optional<Instant> met_at_;      // when the first link came up
  std::optional<Instant> willing_at_;  // when fetching from the origin became possible
  bool began_ = false;                 // the hold is over
  bool leaving_ = false;               // the origin is left to others
  bool heard_offers_ = false;
  bool solo_ = false;
  bool resting_ = false;  // others fetch, and nothing of this peer's own is under way
  bool transient_reported_ = false;
  bool finished_ = false;
};

}  // namespace lanward::core
