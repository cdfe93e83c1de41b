#include "engine/core/claim_table.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace lanward::core {
namespace {

// Runs that one peer may have open: one at work for each of four lanes, and the next. More would
// only keep others from the pieces.
constexpr std::size_t kRunsMax = 5;
// Pieces of a peer that has not kept a claim yet: the first piece and the prefetched next two.
constexpr std::uint64_t kUnprovenPieces = 3;
// A promise waits for four usual pieces' time if that is longer.
constexpr int kPromisePieces = 4;
// What a report of progress adds to a promise.
constexpr Duration kSlip = std::chrono::seconds{1};
// Claimers that are remembered: far more than the pullers of a site and their successors.
constexpr std::size_t kClaimersMax = 256;

}  // namespace

Duration ClaimTable::promise_time() const {
  return std::max(policy_.lease_promise, piece_time_ * kPromisePieces);
}

std::uint64_t ClaimTable::quota(const Claimer& claimer, bool has_kept) const {
  const std::uint64_t run =
      std::max<std::uint64_t>(1, policy_.range_bytes_max.value / layout_.piece_bytes());
  return claimer.kept || has_kept ? run * kRunsMax : kUnprovenPieces;
}

void ClaimTable::add(SourceId who, const Claim& claim, bool has_kept, Instant now) {
  if (claim.pieces.end > layout_.all().end || claim.mode == ClaimMode::hedge) return;
  if (claimers_.size() >= kClaimersMax && !claimers_.contains(who)) return;
  Claimer& claimer = claimers_[who];
  if (now < claimer.muted_until) return;
  std::uint64_t held = 0;
  for (Run& run : claimer.runs) {
    if (run.number == claim.run) {
      if (claim.mode == ClaimMode::under_way) run.mode = claim.mode;
      return;
    }
    held += run.pieces.size();
  }
  if (claimer.runs.size() >= kRunsMax) return;
  Run run{.number = claim.run, .pieces = {}, .mode = claim.mode, .renewed = now, .promise = now};
  const std::uint64_t limit = quota(claimer, has_kept);
  for (PieceIndex p = claim.pieces.begin; p < claim.pieces.end && held < limit; ++p) {
    if (board_.verified().contains(p) || board_.owed().contains(p)) continue;
    run.pieces.push_back(p);
    board_.claim(p, 1);
    ++held;
  }
  renew(run, now);
  if (!run.pieces.empty()) claimer.runs.push_back(std::move(run));
}

void ClaimTable::renew(Run& run, Instant now) {
  run.renewed = now;
  run.promise = now + promise_time();
  if (!next_due_ || run.promise < *next_due_) next_due_ = run.promise;
}

void ClaimTable::take_out(Run& run, PieceIndex piece) {
  if (std::erase(run.pieces, piece) > 0) board_.claim(piece, -1);
}

void ClaimTable::remove(SourceId who, const Unclaim& unclaim) {
  const auto it = claimers_.find(who);
  if (it == claimers_.end()) return;
  for (Run& run : it->second.runs) {
    if (run.number != unclaim.run) continue;
    const std::vector<PieceIndex> pieces = run.pieces;
    for (const PieceIndex piece : pieces) {
      if (unclaim.pieces.contains(piece)) take_out(run, piece);
    }
  }
  clean_up();
}

void ClaimTable::progress(SourceId who, const ClaimProgress& report, Instant now) {
  const auto it = claimers_.find(who);
  if (it == claimers_.end()) return;
  for (Run& run : it->second.runs) {
    if (run.number != report.run || report.bytes <= run.reported) continue;
    run.reported = report.bytes;
    if (run.slips++ < policy_.lease_slips_max) run.promise = std::max(run.promise, now) + kSlip;
  }
}

bool ClaimTable::kept(SourceId who, PieceIndex piece, Instant now) {
  const auto it = claimers_.find(who);
  if (it == claimers_.end()) return false;
  bool claimed = false;
  for (Run& run : it->second.runs) {
    if (!std::binary_search(run.pieces.begin(), run.pieces.end(), piece)) continue;
    take_out(run, piece);
    claimed = true;
  }
  if (!claimed) return false;
  it->second.kept = true;
  // A run that waits behind this one could not move until now.
  for (Run& run : it->second.runs) {
    run.slips = 0;
    renew(run, now);
  }
  clean_up();
  return true;
}

std::vector<ClaimTable::Held> ClaimTable::claims_on(PieceIndex piece) const {
  std::vector<Held> held;
  for (const auto& [who, claimer] : claimers_) {
    for (const Run& run : claimer.runs) {
      if (!std::binary_search(run.pieces.begin(), run.pieces.end(), piece)) continue;
      held.push_back({who, run.mode});
      break;
    }
  }
  return held;
}

void ClaimTable::settle(PieceIndex piece) {
  for (auto& [who, claimer] : claimers_) {
    for (Run& run : claimer.runs) take_out(run, piece);
  }
  clean_up();
}

void ClaimTable::drop(SourceId who) {
  const auto it = claimers_.find(who);
  if (it == claimers_.end()) return;
  for (Run& run : it->second.runs) {
    for (const PieceIndex piece : run.pieces) board_.claim(piece, -1);
  }
  claimers_.erase(it);
}

void ClaimTable::clean_up() {
  for (auto& [who, claimer] : claimers_) {
    std::erase_if(claimer.runs, [](const Run& run) { return run.pieces.empty(); });
  }
}

void ClaimTable::expire(Instant now, bool frozen) {
  if (!next_due_ || now < *next_due_) return;
  next_due_.reset();
  for (auto& [who, claimer] : claimers_) {
    bool broken = false;
    for (Run& run : claimer.runs) {
      if (run.promise <= now && frozen) run.promise = now + kSlip;
      if (run.promise <= now) {
        broken = true;
        for (const PieceIndex piece : run.pieces) board_.claim(piece, -1);
        run.pieces.clear();
      } else if (!next_due_ || run.promise < *next_due_) {
        next_due_ = run.promise;
      }
    }
    if (!broken) continue;
    claimer.kept = false;
    if (++claimer.strikes < policy_.lease_strikes_max) continue;
    claimer.strikes = 0;
    claimer.muted_until = now + policy_.lease_mute;
  }
  clean_up();
}

bool ClaimTable::any_live() const {
  return std::any_of(claimers_.begin(), claimers_.end(),
                     [](const auto& c) { return !c.second.runs.empty(); });
}

std::optional<ClaimTable::Late> ClaimTable::latest(Instant now, Duration age) const {
  std::optional<Late> late;
  Instant oldest = now - age;
  for (const auto& [who, claimer] : claimers_) {
    for (const Run& run : claimer.runs) {
      if (run.renewed > oldest || run.pieces.empty()) continue;
      oldest = run.renewed;
      late = Late{who, run.number, run.pieces.front()};
    }
  }
  return late;
}

std::optional<ClaimTable::Holder> ClaimTable::largest_run() const {
  std::optional<Holder> largest;
  for (const auto& [who, claimer] : claimers_) {
    for (const Run& run : claimer.runs) {
      const auto pieces = static_cast<std::uint32_t>(run.pieces.size());
      if (run.mode != ClaimMode::solo && (!largest || pieces > largest->pieces)) {
        largest = Holder{who, run.number, pieces};
      }
    }
  }
  return largest;
}

}  // namespace lanward::core
