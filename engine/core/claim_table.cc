#include "engine/core/claim_table.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace lanward::core {
namespace {

// Runs that one peer may have open: one at work for each of four lanes, and the next. More would
// only keep others from the pieces.
constexpr std::size_t kRunsMax = 5;
// Runs beyond that are remembered and count when earlier ones are over: what ends them, news of
// pieces, may come later than the next claim.
constexpr std::size_t kRunsKept = 2 * kRunsMax;
// Pieces of a peer that has not kept a claim yet: what an honest one that began a moment ago, with
// several short ranges at once, may hold.
constexpr std::size_t kUnprovenPieces = 8;
// A promise waits for four usual pieces' time if that is longer.
constexpr int kPromisePieces = 4;
// What a report of progress adds to a promise.
constexpr Duration kSlip = std::chrono::seconds{1};
// Claimers that are remembered: far more than the pullers of a site and their successors.
constexpr std::size_t kClaimersMax = 256;
// Pieces of a claimer that are remembered until somebody else has them, too.
constexpr std::size_t kFetchedMax = 64;

}  // namespace

Duration ClaimTable::promise_time() const {
  return std::max(policy_.lease_promise, piece_time_ * kPromisePieces);
}

void ClaimTable::add(SourceId who, const Claim& claim, bool proven, Instant now) {
  if (claim.pieces.end > layout_.all().end || claim.mode == ClaimMode::hedge) return;
  if (claimers_.size() >= kClaimersMax && !claimers_.contains(who)) return;
  const auto [known, fresh] = claimers_.try_emplace(who);
  Claimer& claimer = known->second;
  if (fresh) {
    claimer.credit_until = now + policy_.peer_credit;
    wake_by(*claimer.credit_until);
  }
  if (now < claimer.muted_until) return;
  for (Run& run : claimer.runs) {
    if (run.number != claim.run) continue;
    if (claim.mode == ClaimMode::under_way) run.mode = claim.mode;
    return;
  }
  const std::uint64_t run_pieces =
      std::max<std::uint64_t>(1, policy_.range_bytes_max.value / layout_.piece_bytes());
  if (claimer.runs.size() >= kRunsKept || claim.pieces.size() > run_pieces) return;
  Run run{.number = claim.run, .pieces = {}, .mode = claim.mode, .renewed = now, .promise = now};
  for (PieceIndex p = claim.pieces.begin; p < claim.pieces.end; ++p) {
    if (!board_.verified().contains(p)) run.pieces.push_back(p);
  }
  if (run.pieces.empty()) return;
  renew(claimer, run, now);
  claimer.runs.push_back(std::move(run));
  claimer.kept = claimer.kept || proven;
  count_within_quota(claimer);
}

void ClaimTable::proved(SourceId who) {
  const auto it = claimers_.find(who);
  if (it == claimers_.end() || it->second.kept) return;
  it->second.kept = true;
  count_within_quota(it->second);
}

// A peer that has kept a claim may hold whole runs. So may one that was met a moment ago, of what
// it fetches already: an honest one has had the time to begin more than a stranger may claim.
void ClaimTable::count_within_quota(Claimer& claimer) {
  std::size_t left = claimer.kept ? ~std::size_t{0} : kUnprovenPieces;
  for (std::size_t i = 0; i < std::min(claimer.runs.size(), kRunsMax); ++i) {
    Run& run = claimer.runs[i];
    const bool credited = claimer.credit_until && run.mode == ClaimMode::under_way;
    const std::size_t most = credited ? run.pieces.size() : std::min(run.pieces.size(), left);
    while (run.counted < most) board_.claim(run.pieces[run.counted++], 1);
    left -= std::min(left, run.counted);
  }
}

void ClaimTable::end_credit(Claimer& claimer) {
  claimer.credit_until.reset();
  if (claimer.kept) return;
  std::size_t left = kUnprovenPieces;
  for (Run& run : claimer.runs) {
    while (run.counted > left) board_.claim(run.pieces[--run.counted], -1);
    left -= run.counted;
  }
}

void ClaimTable::wake_by(Instant at) {
  if (!next_due_ || at < *next_due_) next_due_ = at;
}

void ClaimTable::renew(const Claimer& claimer, Run& run, Instant now) {
  run.renewed = now;
  run.promise = now + promise_time() / (1 + claimer.strikes);
  wake_by(run.promise);
}

bool ClaimTable::take_out(Run& run, PieceIndex piece) {
  const auto at = std::lower_bound(run.pieces.begin(), run.pieces.end(), piece);
  if (at == run.pieces.end() || *at != piece) return false;
  if (static_cast<std::size_t>(at - run.pieces.begin()) < run.counted) {
    --run.counted;
    board_.claim(piece, -1);
  }
  run.pieces.erase(at);
  return true;
}

void ClaimTable::uncount(Run& run) {
  for (std::size_t i = 0; i < run.counted; ++i) board_.claim(run.pieces[i], -1);
  run.counted = 0;
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
    const bool believed = it->second.strikes == 0 && run.slips++ < policy_.lease_slips_max;
    if (believed) run.promise = std::max(run.promise, now) + kSlip;
  }
}

bool ClaimTable::kept(SourceId who, PieceIndex piece, Instant now) {
  const auto it = claimers_.find(who);
  if (it == claimers_.end()) return false;
  bool claimed = false;
  for (Run& run : it->second.runs) claimed = take_out(run, piece) || claimed;
  if (!claimed) return false;
  it->second.fetched.push_back(piece);
  if (it->second.fetched.size() > kFetchedMax) it->second.fetched.pop_front();
  it->second.kept = true;
  it->second.strikes = 0;
  // A run that waits behind this one could not move until now.
  for (Run& run : it->second.runs) {
    run.slips = 0;
    renew(it->second, run, now);
  }
  clean_up();
  return true;
}

std::vector<ClaimTable::Held> ClaimTable::claims_on(PieceIndex piece) const {
  std::vector<Held> held;
  for (const auto& [who, claimer] : claimers_) {
    for (const Run& run : claimer.runs) {
      const auto end = run.pieces.begin() + static_cast<std::ptrdiff_t>(run.counted);
      if (!std::binary_search(run.pieces.begin(), end, piece)) continue;
      held.push_back({who, run.mode});
      break;
    }
  }
  return held;
}

std::vector<SourceId> ClaimTable::fetchers(PieceIndex piece) const {
  std::vector<SourceId> ids;
  for (const auto& [who, claimer] : claimers_) {
    const auto& fetched = claimer.fetched;
    if (std::find(fetched.begin(), fetched.end(), piece) != fetched.end()) ids.push_back(who);
  }
  return ids;
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
  for (Run& run : it->second.runs) uncount(run);
  claimers_.erase(it);
}

void ClaimTable::clean_up() {
  for (auto& [who, claimer] : claimers_) {
    const auto over = [](const Run& run) { return run.pieces.empty(); };
    if (std::erase_if(claimer.runs, over) > 0 || !claimer.kept) count_within_quota(claimer);
  }
}

void ClaimTable::expire(Instant now, bool frozen) {
  if (!next_due_ || now < *next_due_) return;
  next_due_.reset();
  for (auto& [who, claimer] : claimers_) {
    if (claimer.credit_until && *claimer.credit_until <= now) end_credit(claimer);
    if (claimer.credit_until) wake_by(*claimer.credit_until);
    bool broken = false;
    for (Run& run : claimer.runs) {
      if (run.promise <= now && frozen) run.promise = now + kSlip;
      if (run.promise <= now) {
        broken = true;
        uncount(run);
        run.pieces.clear();
      } else {
        wake_by(run.promise);
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
