// Watches from outside what every machine of a site asks, claims and gets, and says which of the
// rules of sharing it breaks. Never tells the machines anything.
//
//   S1  no range is asked for a piece that the machine has or is fetching over HTTP already
//   S2  with peers around, a range begins no sooner than `lease_settle` after its claim was sent;
//       of claims that do not settle (solo, hedge), no sooner than the claim
//   S3  each byte is asked from the origin once by machines that know each other, hedges aside
//       (undisturbed scenarios only)
//   S4  hedges stay within their budget, over the whole site
//   S5  a machine holds no more runs than it fetches at once, and one claimed ahead
//   S8  no more machines fetch leased runs at once than there may be pullers (undisturbed only)
//   S9  nothing is fetched before the policy delay, nor after the end of the transfer
//   L1  while the origin works, no machine goes without a byte for longer than its patience
//   L2, L3, S6, S7  while somebody must ask the origin for a piece that no machine has, somebody
//       does. How long nobody may depends on what the machines have to believe, and so does whose
//       rule it is:
//       L3  nothing is wrong: as long as claiming takes (undisturbed scenarios only)
//       S7  some say that they have what they have not: as long as their credit lasts, too
//       S6  some claim what they do not fetch, but not all: no longer, for they may hold little
//       L2  they may hold all that is left, or machines die: a promise, and what extends it
//
// L4 and L5 show in the run as a whole: it ends, and every machine has the file.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "engine/core/events.h"
#include "engine/core/piece_layout.h"
#include "engine/core/piece_set.h"
#include "engine/core/units.h"
#include "engine/ports/origin.h"
#include "simulator/event_queue.h"
#include "simulator/scenario.h"

namespace lanward::simulator {

// What a site did, counted.
struct SiteFigures {
  std::uint64_t claims = 0;     // lease claims sent
  std::uint64_t conflicts = 0;  // pieces claimed while another machine's claim on them stood
  std::uint64_t messages = 0;   // lease messages sent, one for each receiver
  std::uint64_t hedge_bytes = 0;
  std::uint64_t solo_bytes = 0;
  std::uint64_t blind_bytes = 0;   // asked by machines that knew of nobody to agree with
  core::Duration idle_most{0};     // longest time in which the origin could and should have sent
  std::uint32_t pullers_most = 0;  // machines with leased runs in flight at once
  // Requests of ranges by length: 1 piece, 2..3, 4..7 and so on; the last holds what is longer.
  std::array<std::uint64_t, 16> run_lengths{};
};

class MachineChecker;

class SiteChecker {
 public:
  // Everything given outlives it.
  SiteChecker(const Scenario& scenario, const core::PieceLayout& layout, const EventQueue& queue);
  SiteChecker(const SiteChecker&) = delete;
  SiteChecker& operator=(const SiteChecker&) = delete;

  // A machine that joins at this moment. Lives as long as this.
  MachineChecker& add(std::uint32_t host);

  // The origin answers from now on, or does not.
  void set_origin_up(bool up);
  // The run is over; `egress` without probes.
  void finish(std::uint64_t egress);

  // "RULE at TIME s, machine N: ...". The first few of each rule, then how many more there were.
  [[nodiscard]] const std::vector<std::string>& violations() const { return violations_; }
  [[nodiscard]] const SiteFigures& figures() const { return figures_; }

 private:
  friend class MachineChecker;

  void report(const char* rule, std::uint32_t host, const std::string& text);
  [[nodiscard]] core::Duration stall_limit() const;
  [[nodiscard]] std::uint64_t runs_most() const;
  void count_holder(core::PieceIndex piece, bool more);
  void count_fetching(bool more);
  void look_whether_idle();
  void end_idle();
  struct IdleRule {
    const char* name = nullptr;  // null: nobody can be blamed
    core::Duration limit{0};
  };
  [[nodiscard]] IdleRule idle_rule() const;

  const Scenario& scenario_;
  const core::PieceLayout layout_;
  const EventQueue& queue_;
  const bool undisturbed_;
  core::Instant last_willing_;  // when the latest machine may have begun to fetch
  std::vector<std::unique_ptr<MachineChecker>> machines_;
  // Per piece: bytes asked from the origin, less what was given back; who asked last; who claims it
  // (host + 1).
  std::vector<std::uint64_t> asked_;
  std::vector<std::uint32_t> asker_;
  std::vector<std::uint32_t> claimant_;
  // Per piece: machines that have it; pieces that none has; machines that fetch from the origin.
  std::vector<std::uint32_t> holders_;
  std::uint32_t unheld_ = 0;
  std::uint32_t fetching_ = 0;
  bool idle_ = true;  // pieces are missing and nobody fetches
  core::Instant idle_since_;
  core::Instant first_willing_ = core::Instant::max();
  std::uint32_t pulling_ = 0;
  bool origin_up_ = true;
  core::Instant origin_changed_;  // last time it went up or down
  core::Instant excused_until_;   // stalls begin no earlier: back-off after an outage
  SiteFigures figures_;
  std::map<std::string, std::uint64_t> counts_;
  std::vector<std::string> violations_;
};

// The rules of one machine. Decorators of its ports (checked_ports.h) call it.
class MachineChecker {
 public:
  MachineChecker(SiteChecker& site, std::uint32_t host);
  MachineChecker(const MachineChecker&) = delete;
  MachineChecker& operator=(const MachineChecker&) = delete;

  // The transfer is complete / has ended in any other way: nothing is owed from here on.
  void complete();
  void gone();

  void on_fetch(core::RequestId request, const ports::RangeRequest& range);
  void on_cancel(core::RequestId request);
  void on_send(std::size_t receivers, const core::LeaseMessage& message);
  void on_fact(const core::Event& event);

  // A range of this machine is in flight.
  [[nodiscard]] bool pulling() const { return !requests_.empty(); }
  [[nodiscard]] core::Duration worst_stall() const { return worst_stall_; }
  [[nodiscard]] std::uint64_t ranges() const { return ranges_; }

 private:
  friend class SiteChecker;

  struct Request {
    core::ByteSpan span;
    std::uint64_t position = 0;
    core::ClaimMode mode = core::ClaimMode::lease;
    bool claimed = false;
  };
  struct OwnClaim {
    core::PieceSpan whole;
    std::vector<core::PieceSpan> open;  // neither fetched nor given back
    core::ClaimMode mode = core::ClaimMode::lease;
    core::Instant sent;
  };

  void byte();
  void received(const core::PeerProgressed& total);
  void verified(core::PieceIndex piece);
  void note_stall(core::Instant now);
  void check_new(const core::ByteSpan& span);
  void check_settled(core::PieceSpan pieces);
  [[nodiscard]] const OwnClaim* claim_of(core::PieceIndex piece) const;
  [[nodiscard]] bool among_peers() const;
  void count_asked(const Request& request);
  [[nodiscard]] static const char* mode_of(const Request& request);
  void give_back(const Request& request);
  void end_request(core::RequestId request, bool finished);
  void count_pulling(bool before);
  [[nodiscard]] bool leasing() const;
  void on_claim(const core::Claim& claim);
  void close_claims(core::PieceSpan pieces, std::uint32_t only_run, bool every_run);
  void drop_claims();
  void progressed(core::RequestId request, std::uint64_t end);
  void fail_rule(const char* rule, const std::string& text) { site_.report(rule, host_, text); }

  SiteChecker& site_;
  const std::uint32_t host_;
  const core::Instant joined_;
  core::Instant last_byte_;
  core::Duration worst_stall_{0};
  std::uint64_t ranges_ = 0;
  bool complete_ = false;
  bool gone_ = false;
  bool stalled_ = false;  // told once per stall
  core::PieceSet have_;
  std::vector<core::PieceIndex> fresh_;  // verified in this instant: the engine may not know yet
  core::Instant fresh_at_;
  std::map<core::RequestId, Request> requests_;
  std::map<std::uint32_t, OwnClaim> claims_;       // by run
  std::map<core::SourceId, core::Instant> peers_;  // that fetch if need be, since when
  std::vector<std::uint64_t> peer_bytes_;          // by number of the peer
};

}  // namespace lanward::simulator
