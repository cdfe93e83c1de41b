#include "engine/core/puller.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <utility>

#include "engine/core/prng.h"

namespace lanward::core {
namespace {

// A range on its way is cut only for this much: what is under way when it is cut is lost.
constexpr std::uint64_t kSplitBytesMin = 2 * kMiB;
// Runs shorter than this are not worth asking to be split.
constexpr std::uint32_t kSplitPiecesMin = 3;
constexpr Duration kSplitInterval = std::chrono::milliseconds{200};
// How often an idle puller looks for late pieces.
constexpr Duration kAssistInterval = std::chrono::milliseconds{100};
// A piece is late after twice its usual time and this, the time of messages and of a busy machine;
// or after this much where no time is usual yet.
constexpr Duration kLateGrace = std::chrono::milliseconds{300};
constexpr Duration kLateUnknown = std::chrono::seconds{2};
constexpr Duration kReportInterval = std::chrono::seconds{1};
// A piece that would take longer than this is not waited for if a peer has it.
constexpr Duration kLateSelf = std::chrono::seconds{1};
// Peers that are told of a claim outside the pullers' circle.
constexpr std::size_t kToldMax = 64;

Duration time_for(std::uint64_t bytes, ByteRate rate) {
  return std::chrono::microseconds{bytes * 1'000'000 / std::max<std::uint64_t>(rate.value, 1)};
}

}  // namespace

Puller::Puller(const Policy& policy, const Content& content, PieceBoard& board, SiteRoster& roster,
               ClaimTable& claims, OriginBook& origins, RequestLedger& requests, Commands& commands,
               bool peers_possible)
    : policy_(policy),
      layout_(content.layout),
      board_(board),
      roster_(roster),
      claims_(claims),
      origins_(origins),
      requests_(requests),
      commands_(commands),
      peers_possible_(peers_possible),
      chooser_(content, board, roster, requests, peers_possible),
      settle_(policy.lease_settle),
      hedged_(content.layout.piece_count()) {}

void Puller::plan(Mode mode, Instant now, WakeUp& wake) {
  tell_watchers(now);
  if (mode == Mode::rest || origins_.preferred() == nullptr) {
    // What is only claimed is left to others; what comes already comes to its end.
    const std::vector<Run> runs = runs_;
    for (const Run& run : runs) {
      if (run.request) continue;
      unclaim(run, run.pieces);
      std::erase_if(runs_, [&](const Run& r) { return r.number == run.number; });
    }
    return report(now, wake);
  }
  if (origins_.serving().empty()) return wake.by(origins_.preferred()->ready_at);
  chooser_.refresh();
  if (origins_.serving().front()->no_ranges) {
    const auto pullers = roster_.pullers();
    const bool first = mode != Mode::lease || pullers.front().key == roster_.self();
    if (first && requests_.live().empty()) begin_whole_file(*origins_.preferred(), now);
    return;
  }
  yield_late(now);
  fetch_settled(mode, now);
  claim_next(mode, now, wake);
  fetch_settled(mode, now);
  rebalance(mode, now, wake);
  if (mode == Mode::lease && runs_.empty()) assist(now, wake);
  for (const Run& run : runs_) {
    // A run that has settled waits for a lane, and a lane comes free by a fact.
    if (!run.request && run.fetch_at > now) wake.by(run.fetch_at);
  }
  report(now, wake);
}

// ---- claiming and fetching ---------------------------------------------------------------------

Duration Puller::piece_time() const {
  const ByteRate rate = roster_.site_rate();
  if (rate.value == 0) return Duration{0};
  return time_for(std::uint64_t{layout_.piece_bytes()} * roster_.pullers().size(), rate);
}

void Puller::claim_next(Mode mode, Instant now, WakeUp& wake) {
  const std::size_t lanes_now = lanes_of_all(mode);
  // One round for each lane and the run ahead; what is dropped at once is tried again later.
  for (std::size_t round = 0; round <= lanes_now; ++round) {
    OriginBook::Origin* origin = runs_.size() < lanes_max(mode) ? next_origin(mode, now) : nullptr;
    if (origin == nullptr) {
      // The next run is claimed ahead, so that settling costs nothing.
      const bool waiting =
          std::any_of(runs_.begin(), runs_.end(), [](const Run& r) { return !r.request; });
      if (mode != Mode::lease || runs_.size() > lanes_now || waiting) return;
      const auto next = soonest_end(mode, now);
      if (!next) return;
      const Duration ahead = std::max(policy_.lease_prefetch, 2 * settle_);
      if (next->left > ahead) return wake.by(now + next->left - ahead);
      origin = next->origin;
    }
    const std::uint32_t n = length(mode, *origin, now);
    const PieceSpan run =
        without_tails(mode == Mode::solo ? chooser_.choose_any(n) : chooser_.choose(n));
    if (run.empty()) return;
    if (mode == Mode::lease) {
      // A puller much slower than the others only holds up the end.
      const Duration usual = piece_time();
      const Duration own = time_for(layout_.piece_bytes(), origin->measured);
      const std::uint64_t rounds = board_.free().count() / roster_.pullers().size();
      if (usual.count() > 0 && origin->measured.value > 0 && roster_.pullers().size() > 1 &&
          own > std::max(usual * static_cast<std::int64_t>(rounds), 2 * usual + kLateGrace)) {
        return wake.by(now + kAssistInterval);
      }
      length_before_ = run.size();
    }
    claim(run, mode == Mode::solo ? ClaimMode::solo : ClaimMode::lease, origin->id, now);
    fetch_settled(mode, now);
  }
}

// What was given away of a range on its way, and is free again, may still come until that range is
// cancelled: it is not asked for before.
PieceSpan Puller::without_tails(PieceSpan span) const {
  for (const Run& run : runs_) {
    if (!run.request || span.begin >= run.asked_end) continue;
    span.end = std::min(span.end, std::max(run.pieces.end, span.begin));
  }
  return span;
}

void Puller::claim(PieceSpan pieces, ClaimMode mode, SourceId origin, Instant now) {
  Run run{.number = ++last_run_, .pieces = pieces, .mode = mode, .origin = origin, .fetch_at = now};
  for (PieceIndex p = pieces.begin; p < pieces.end; ++p) board_.hold(p);
  std::vector<SourceId> to = mode == ClaimMode::lease ? roster_.watchers() : roster_.links();
  if (to.size() > kToldMax) to.resize(kToldMax);
  if (!to.empty()) {
    run.told = to;
    if (mode == ClaimMode::lease) run.fetch_at = now + settle_;
    const auto eta = std::chrono::duration_cast<std::chrono::milliseconds>(
        piece_time() * static_cast<std::int64_t>(pieces.size()));
    commands_.emplace_back(SendMessage{
        std::move(to),
        Claim{run.number, pieces, mode,
              static_cast<std::uint32_t>(std::min<std::int64_t>(eta.count(), 1U << 31))}});
  }
  runs_.push_back(std::move(run));
}

void Puller::drop_lost(Run& run) {
  const auto lost = [&](PieceIndex p) {
    if (board_.verified().contains(p) || board_.trusted(p)) return true;
    const auto claims = claims_.claims_on(p);
    return std::any_of(claims.begin(), claims.end(), [&](const ClaimTable::Held& held) {
      return held.mode != ClaimMode::lease || chooser_.entitled(held.who, p);
    });
  };
  PieceSpan best;
  PieceSpan present{run.pieces.begin, run.pieces.begin};
  for (PieceIndex p = run.pieces.begin; p < run.pieces.end; ++p) {
    present = lost(p) ? PieceSpan{p + 1, p + 1} : PieceSpan{present.begin, p + 1};
    if (present.size() > best.size()) best = present;
  }
  if (best.empty()) best = {run.pieces.begin, run.pieces.begin};
  unclaim(run, {run.pieces.begin, best.begin});
  unclaim(run, {best.end, run.pieces.end});
  run.pieces = best;
}

void Puller::unclaim(const Run& run, PieceSpan pieces) {
  if (pieces.empty()) return;
  for (PieceIndex p = pieces.begin; p < pieces.end; ++p) board_.release(p);
  if (!run.told.empty()) {
    commands_.emplace_back(SendMessage{run.told, Unclaim{run.number, pieces}});
  }
}

void Puller::fetch_settled(Mode mode, Instant now) {
  for (Run& run : runs_) {
    if (run.request || now < run.fetch_at) continue;
    if (run.mode == ClaimMode::lease) drop_lost(run);
    if (run.pieces.empty()) continue;
    OriginBook::Origin* origin = origin_for(run, mode, now);
    if (origin == nullptr) continue;  // until a lane is free
    run.report_at = now + kReportInterval;
    begin(run, *origin, now);
  }
  std::erase_if(runs_, [](const Run& run) { return run.pieces.empty(); });
}

void Puller::begin(Run& run, OriginBook::Origin& origin, Instant now) {
  ByteSpan span = layout_.bytes(run.pieces);
  span.begin = requests_.resume_at(run.pieces.begin);
  for (PieceIndex p = run.pieces.begin; p < run.pieces.end; ++p) requests_.forget_prefix(p);
  run.origin = origin.id;
  run.begun_at = now;
  run.asked_end = run.pieces.end;
  origins_.begun(origin, requests_.in_flight(origin.id) == 0, now);
  run.request = requests_.open(origin.id, span, false, now);
  commands_.emplace_back(FetchRange{*run.request, origin.id, span, false});
}

void Puller::begin_whole_file(OriginBook::Origin& origin, Instant now) {
  if (board_.open().empty()) return;
  for (PieceIndex p{0}; p < layout_.all().end; ++p) {
    board_.hold(p);
    requests_.forget_prefix(p);
  }
  const ByteSpan span{0, layout_.size().value};
  origins_.begun(origin, true, now);
  commands_.emplace_back(
      FetchRange{requests_.open(origin.id, span, true, now), origin.id, span, true});
}

// ---- the end of a run --------------------------------------------------------------------------

Puller::Run* Puller::find(RequestId request) {
  const auto it = std::find_if(runs_.begin(), runs_.end(),
                               [&](const Run& run) { return run.request == request; });
  return it == runs_.end() ? nullptr : &*it;
}

const Puller::Run* Puller::find(RequestId request) const {
  return const_cast<Puller*>(this)->find(request);
}

void Puller::end(RequestId id, bool again) {
  const OriginRequest* request = requests_.find(id);
  if (request == nullptr) return;
  const std::uint64_t handed_over = request->progressed;
  const PieceSpan pieces{layout_.piece_at(request->span.begin),
                         layout_.piece_at(request->span.end - 1) + 1};
  requests_.close(id);
  PieceSpan rest{pieces.end, pieces.end};
  for (PieceIndex p = pieces.begin; p < pieces.end; ++p) {
    // Pieces handed over whole await the store's verdict.
    if (board_.verified().contains(p) || layout_.bytes(p).end <= handed_over) continue;
    rest.begin = std::min(rest.begin, p);
    board_.release(p);
  }
  Run* run = find(id);
  if (run == nullptr) return;
  if (again && run->mode == ClaimMode::lease && !rest.empty() && requests_.begun(rest.begin)) {
    // Whoever else took the begun piece would fetch it from its start.
    board_.hold(rest.begin);
    unclaim(*run, {rest.begin + 1, rest.end});
    run->pieces = {rest.begin, rest.begin + 1};
    run->request.reset();
    run->cut = false;
    run->broken = true;
    return;
  }
  unclaim(*run, rest);
  std::erase_if(runs_, [&](const Run& r) { return r.request == id; });
}

bool Puller::has_taken(PieceIndex piece) const {
  const auto has = [&](const PieceSpan& pieces) {
    return pieces.begin <= piece && piece < pieces.end;
  };
  const auto& live = requests_.live();
  return std::any_of(runs_.begin(), runs_.end(), [&](const Run& r) { return has(r.pieces); }) ||
         std::any_of(live.begin(), live.end(), [&](const auto& entry) {
           const ByteSpan& span = entry.second.span;
           return has({layout_.piece_at(span.begin), layout_.piece_at(span.end - 1) + 1});
         });
}

bool Puller::cut_reached(RequestId id) const {
  const Run* run = find(id);
  const OriginRequest* request = requests_.find(id);
  return run != nullptr && run->cut && request->progressed >= request->span.end;
}

PieceIndex Puller::not_begun(const Run& run) const {
  if (!run.request) return run.pieces.begin;
  const OriginRequest* request = requests_.find(*run.request);
  const PieceIndex at = layout_.piece_at(request->progressed);
  return std::min(layout_.bytes(at).begin < request->progressed ? at + 1 : at, run.pieces.end);
}

// REQUIRES: no piece from `end` on has begun.
void Puller::shorten(Run& run, PieceIndex end) {
  if (end >= run.pieces.end) return;
  const PieceSpan given{end, run.pieces.end};
  run.pieces.end = end;
  run.cut = true;
  if (run.request && end > run.pieces.begin) {
    requests_.find(*run.request)->span.end = layout_.bytes(given).begin;
  } else if (run.request) {
    commands_.emplace_back(CancelRequest{*run.request});
    requests_.close(*run.request);
  }
  unclaim(run, given);
}

// ---- with and against others -------------------------------------------------------------------

void Puller::meet(SourceId from, const Claim& claim) {
  if (claim.mode == ClaimMode::hedge) {
    for (PieceIndex p = claim.pieces.begin; p < std::min(claim.pieces.end, layout_.all().end);
         ++p) {
      hedged_.insert(p);
    }
    return;
  }
  if (claim.mode == ClaimMode::solo) return;
  for (Run& run : runs_) {
    if (!run.request || run.mode != ClaimMode::lease) continue;
    const PieceIndex first = std::max(not_begun(run), claim.pieces.begin);
    const PieceIndex end = std::min(run.pieces.end, claim.pieces.end);
    if (first >= end) continue;
    // It cannot have known of this run when it claimed: messages take longer than was thought.
    settle_ = std::min(2 * settle_, policy_.lease_settle_max);
    if (claim.mode == ClaimMode::under_way && chooser_.entitled(from, first)) {
      shorten(run, first);
    } else if (std::find(run.answered.begin(), run.answered.end(), from) == run.answered.end()) {
      // Once: two peers that both insist must not answer each other for ever.
      run.answered.push_back(from);
      commands_.emplace_back(
          SendMessage{{from}, Claim{run.number, run.pieces, ClaimMode::under_way, 0}});
    }
  }
  std::erase_if(runs_, [](const Run& run) { return run.pieces.empty(); });
}

void Puller::forget(SourceId peer) {
  for (Run& run : runs_) {
    std::erase(run.told, peer);
    std::erase(run.answered, peer);
  }
}

void Puller::introduce(SourceId to, Instant now) {
  for (Run& run : runs_) tell(run, to, now);
}

// Who joins the circle of those that must know, without being new here.
void Puller::tell_watchers(Instant now) {
  if (runs_.empty() || roster_.watchers() == watchers_) return;
  watchers_ = roster_.watchers();
  for (Run& run : runs_) {
    for (const SourceId to : watchers_) {
      if (std::find(run.told.begin(), run.told.end(), to) == run.told.end()) tell(run, to, now);
    }
  }
}

void Puller::tell(Run& run, SourceId to, Instant now) {
  if (run.mode == ClaimMode::hedge) return;
  // Whoever was told of it is gone: it has to settle with this one.
  if (!run.request && run.mode == ClaimMode::lease && run.told.empty()) {
    run.fetch_at = std::max(run.fetch_at, now + settle_);
  }
  if (std::find(run.told.begin(), run.told.end(), to) == run.told.end()) run.told.push_back(to);
  const ClaimMode mode = run.request || run.broken ? ClaimMode::under_way : run.mode;
  commands_.emplace_back(SendMessage{{to}, Claim{run.number, run.pieces, mode, 0}});
}

void Puller::split(std::uint32_t number) {
  for (Run& run : runs_) {
    if (run.number != number || run.mode != ClaimMode::lease) continue;
    const PieceIndex first = not_begun(run);
    const std::uint32_t rest = run.pieces.end - std::max(first, run.pieces.begin);
    const std::uint32_t given = rest / 2;
    if (given == 0) return;
    if (run.request && std::uint64_t{given} * layout_.piece_bytes() < kSplitBytesMin) return;
    return shorten(run, PieceIndex{run.pieces.end.value - given});
  }
}

// Nothing is free: help those who are late, first by asking for a share of their work.
void Puller::assist(Instant now, WakeUp& wake) {
  if (!board_.free().empty() || !claims_.any_live()) return;
  wake.by(now + kAssistInterval);
  const Duration usual = piece_time();
  const Duration late_after = usual.count() > 0 ? 2 * usual + kLateGrace : kLateUnknown;
  if (const auto late = claims_.latest(now, late_after); late && hedge(*late, now)) return;
  const auto holder = claims_.largest_run();
  if (!holder || holder->pieces < kSplitPiecesMin || now < split_at_) return;
  split_at_ = now + kSplitInterval;
  commands_.emplace_back(SendMessage{{holder->who}, SplitRequest{holder->run}});
}

bool Puller::hedge(const ClaimTable::Late& late, Instant now) {
  const PieceIndex piece = late.piece;
  if (hedged_.contains(piece) || !board_.open().contains(piece)) return false;
  const std::uint64_t budget =
      std::max<std::uint64_t>(policy_.hedge_pieces_min,
                              std::uint64_t{layout_.piece_count()} * policy_.hedge_permille / 1000);
  if (hedged_.count() >= budget) return false;
  // Of each hedge of the budget somebody else is in charge: two at once would both count as one.
  const std::uint32_t number = hedged_.count();
  const std::uint64_t mine = chooser_.weight(roster_.self(), number);
  for (const SiteRoster::Member& member : roster_.pullers()) {
    if (member.link && member.link != late.who && chooser_.weight(member.key, number) > mine) {
      return false;  // that one will
    }
  }
  hedged_.insert(piece);
  const OriginBook::Origin* origin = next_origin(Mode::lease, now);
  claim({piece, piece + 1}, ClaimMode::hedge,
        (origin != nullptr ? origin : origins_.preferred())->id, now);
  fetch_settled(Mode::lease, now);
  return true;
}

// A piece that crawls in from the origin while a peer has it already is the peer's to give.
void Puller::yield_late(Instant now) {
  std::vector<RequestId> late;
  for (const Run& run : runs_) {
    if (!run.request || run.mode != ClaimMode::lease || now - run.begun_at < kLateSelf) continue;
    const OriginRequest* request = requests_.find(*run.request);
    if (request->progressed >= request->span.end) continue;
    const PieceIndex piece = layout_.piece_at(request->progressed);
    if (!board_.trusted(piece)) continue;
    RateMeter meter = origins_.at(request->origin).rate;
    const ByteRate rate{meter.rate(now).value / requests_.in_flight(request->origin)};
    const std::uint64_t left = layout_.bytes(piece).end - request->progressed;
    if (time_for(left, rate) > kLateSelf) late.push_back(*run.request);
  }
  for (const RequestId id : late) {
    commands_.emplace_back(CancelRequest{id});
    end(id, false);
  }
}

// For runs that take longer between pieces than others would wait.
void Puller::report(Instant now, WakeUp& wake) {
  for (Run& run : runs_) {
    if (!run.request || run.told.empty() || run.mode == ClaimMode::hedge) continue;
    if (now >= run.report_at) {
      run.report_at = now + kReportInterval;
      const OriginRequest* request = requests_.find(*run.request);
      const std::uint64_t bytes = request->progressed - request->span.begin;
      if (bytes > 0) {
        commands_.emplace_back(SendMessage{run.told, ClaimProgress{run.number, bytes, 0}});
      }
    }
    wake.by(run.report_at);
  }
}

}  // namespace lanward::core
