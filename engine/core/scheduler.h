// Decides which bytes to fetch from which source. Pure: no clock, no I/O, no threads.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/core/backoff.h"
#include "engine/core/content.h"
#include "engine/core/events.h"
#include "engine/core/piece_set.h"
#include "engine/core/policy.h"
#include "engine/core/prng.h"
#include "engine/core/rate_meter.h"
#include "engine/core/request_ledger.h"
#include "engine/core/units.h"

namespace lanward::core {

struct SchedulerOptions {
  Policy policy;
  PieceSet have;                     // verified before the transfer began
  std::vector<std::string> origins;  // names for messages; SourceId n is origins[n]
  bool peers_possible = false;       // peers may turn up
  bool peers_expected = false;       // some are known by address: worth a moment's hold
};

// Protocol: after every handle(), call poll_command() until it is empty, then arrange to call
// handle(Tick{}, t) no later than t = *next_wakeup(). `now` never goes backwards. The same seed and
// the same sequence of (event, now) give the same commands.
//
// Policy: pieces that no peer has come from the origin, in long ranges, several at once; the others
// come from peers, until the peers stall or fall behind the origin (take-over). Alone, this is a
// plain download by parallel ranges.
class Scheduler {
 public:
  Scheduler(const Content& content, SchedulerOptions options, Seed seed, Instant now);

  void handle(const Event& event, Instant now);
  [[nodiscard]] std::optional<Command> poll_command(Instant now);
  // Finite until the transfer is complete or given up.
  [[nodiscard]] std::optional<Instant> next_wakeup() const;

  [[nodiscard]] bool complete() const { return verified_.full(); }
  [[nodiscard]] const PieceSet& verified() const { return verified_; }

 private:
  struct Origin {
    SourceId id;
    Instant ready_at;
    Backoff backoff;
    std::uint32_t failures = 0;  // in a row, without a byte in between
    std::uint32_t bad_pieces = 0;
    std::uint32_t bad_shares = 0;
    std::uint32_t run_pieces = 1;  // length of the next range; doubles while ranges succeed
    bool no_ranges = false;
    std::optional<Error> dead;
    RateMeter rate;
    ByteRate measured;  // at the end of the latest range; zero: unknown
  };
  struct Peer {
    PieceSet has;
    ByteCount received;
    std::uint32_t bad_pieces = 0;
    std::uint32_t bad_shares = 0;
    bool joined = false;
    bool banned = false;
  };

  void on(const RangeProgressed& fact, Instant now);
  void on(const RangeFinished& fact, Instant now);
  void on(const RequestFailed& fact, Instant now);
  void on(const PeerJoined& fact, Instant now);
  void on(const PeerLeft& fact, Instant now);
  void on(const PeerHasPieces& fact, Instant now);
  void on(const PeerHasPiece& fact, Instant now);
  void on(const PeersHavePieces& fact, Instant now);
  void on(const PeerProgressed& fact, Instant now);
  void on(const PieceVerified& fact, Instant now);
  void on(const PieceFailed& fact, Instant now);
  void on(const StoreFailed& fact, Instant now);
  template <class Other>
  void on(const Other&, Instant) {}

  void blame(SourceId source, PieceIndex piece, bool alone, Instant now);
  void end_request(RequestId id);
  void set_availability(PieceIndex piece, const Peer& peer, int change);
  // Recomputes what may be done with a piece and tells the peer side when that changed.
  void reclassify(PieceIndex piece);
  void tell_peers(PieceIndex piece, bool allow);
  void plan(Instant now);
  void release_origin_only();
  void plan_origin(Origin& origin, Instant now);
  void watch_peers(const Origin& origin, Instant now);
  void judge(Instant now);
  void report_waiting(Instant now);
  void give_up(Error error);
  void wake_no_later_than(Instant at);
  [[nodiscard]] Origin* preferred_origin();
  [[nodiscard]] const Error* death_of_all_origins() const;
  [[nodiscard]] std::uint32_t connected_peers() const;
  [[nodiscard]] std::uint32_t requests_max() const;
  [[nodiscard]] PieceSpan next_run(const Origin& origin) const;
  [[nodiscard]] std::uint32_t run_length(const Origin& origin, const PieceSet& candidates) const;

  // Constant after construction.
  const Policy policy_;
  const PieceLayout layout_;
  const std::vector<std::string> origin_names_;
  const bool peers_possible_;
  const Instant started_;
  const std::uint32_t step_pieces_;
  std::vector<std::uint32_t> step_order_;  // this peer's own order of visiting the file

  Prng prng_;
  PieceSet verified_;
  PieceSet open_;         // neither verified nor in an origin request
  PieceSet wanted_;       // open, and no peer has it
  PieceSet allowed_;      // told to the peer side
  PieceSet origin_only_;  // failed with bytes of several sources: next time from one
  std::vector<std::uint16_t> availability_;  // connected peers that have the piece
  RequestLedger requests_;
  std::vector<Origin> origins_;
  std::map<SourceId, Peer> peers_;

  RateMeter peer_rate_;
  Instant last_peer_byte_;  // or since when peers owe us pieces, if that is later
  Instant last_offer_;      // when a peer last had something for us
  Instant last_progress_;
  Instant hold_until_;
  std::optional<Instant> wake_at_;
  bool take_over_ = false;
  std::optional<Error> last_transient_;
  bool transient_reported_ = false;
  bool finished_ = false;
  std::deque<Command> commands_;
};

}  // namespace lanward::core
