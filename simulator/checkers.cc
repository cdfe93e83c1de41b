#include "simulator/checkers.h"

#include <algorithm>
#include <bit>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "engine/core/overloaded.h"

namespace lanward::simulator {

namespace {

// The hold of a newcomer, and a range of a few pieces of whom it displaces.
constexpr core::Duration kDisplaced = std::chrono::milliseconds{500};

// Of each rule so many violations are told in full: the first ones say what is wrong.
constexpr std::uint64_t kToldPerRule = 4;
// What a site may need besides what its policy says, before somebody fetches again: meeting other
// pullers, looking for late pieces, reports that tell of progress, and as much again.
constexpr core::Duration kIdleSlack = std::chrono::seconds{1};
// Pieces that a stranger may claim, and what a report adds to a promise; as in the claim table.
constexpr std::uint32_t kStrangerPieces = 8;
constexpr core::Duration kSlip = std::chrono::seconds{1};

// Progress is told by the simulated origin in steps of this size.
constexpr std::uint64_t kStepBytes = core::kCanonicalPieceBytesMin;

double seconds(core::Duration d) { return std::chrono::duration<double>(d).count(); }

std::string name_of(core::PieceSpan pieces) {
  if (pieces.size() == 1) return fmt::format("piece {}", pieces.begin.value);
  return fmt::format("pieces {}-{}", pieces.begin.value, pieces.end.value - 1);
}

core::PieceSpan pieces_of(const core::PieceLayout& layout, const core::ByteSpan& span) {
  const std::uint64_t length = layout.piece_bytes();
  return {core::PieceIndex{static_cast<std::uint32_t>(span.begin / length)},
          core::PieceIndex{static_cast<std::uint32_t>((span.end + length - 1) / length)}};
}

// Takes `pieces` out of the spans; calls `taken` for each that was in them.
template <class Taken>
void subtract(std::vector<core::PieceSpan>& spans, core::PieceSpan pieces, Taken taken) {
  std::vector<core::PieceSpan> left;
  for (const core::PieceSpan& span : spans) {
    const core::PieceIndex begin = std::max(span.begin, pieces.begin);
    const core::PieceIndex end = std::min(span.end, pieces.end);
    if (begin >= end) {
      left.push_back(span);
      continue;
    }
    for (core::PieceIndex p = begin; p < end; ++p) taken(p);
    if (span.begin < begin) left.push_back({span.begin, begin});
    if (end < span.end) left.push_back({end, span.end});
  }
  spans = std::move(left);
}

}  // namespace

// ---- site --------------------------------------------------------------------------------------

SiteChecker::SiteChecker(const Scenario& scenario, const core::PieceLayout& layout,
                         const EventQueue& queue)
    : scenario_(scenario),
      layout_(layout),
      queue_(queue),
      undisturbed_(undisturbed(scenario)),
      asked_(layout.piece_count()),
      asker_(layout.piece_count()),
      claimant_(layout.piece_count()),
      holders_(layout.piece_count()),
      unheld_(layout.piece_count()),
      idle_since_(queue.now()),
      origin_changed_(queue.now()),
      excused_until_(queue.now()) {}

MachineChecker& SiteChecker::add(std::uint32_t host) {
  machines_.push_back(std::make_unique<MachineChecker>(*this, host));
  return *machines_.back();
}

void SiteChecker::report(const char* rule, std::uint32_t host, const std::string& text) {
  if (++counts_[rule] > kToldPerRule) return;
  violations_.push_back(fmt::format("{} at {:.6f} s, machine {}: {}", rule,
                                    seconds(queue_.now() - kStart), host, text));
}

void SiteChecker::set_origin_up(bool up) {
  if (up == origin_up_) return;
  const core::Instant now = queue_.now();
  if (up) {
    // Who asked in vain waits before asking again: about as long as it has waited already.
    excused_until_ = now + std::min(now - origin_changed_, scenario_.policy.retry_delay_max);
  }
  origin_up_ = up;
  origin_changed_ = now;
  for (const auto& machine : machines_) {
    if (!up && !machine->complete_ && !machine->gone_) machine->note_stall(now);
  }
}

// Twice the longest patience, because each machine draws its own from one to two times; half a
// second to look whether the origin answers; the probe; and what the model needs to tell progress
// where a slow WAN is shared by all.
core::Duration SiteChecker::stall_limit() const {
  const std::uint64_t sharers = std::min(scenario_.peers, scenario_.policy.pullers);
  return 2 * std::max(scenario_.policy.lease_patience_active, scenario_.policy.lease_patience) +
         std::chrono::milliseconds{500} + 4 * scenario_.origin.rtt +
         transfer_time(kStepBytes * (sharers + 1), scenario_.wan.value);
}

// Few pullers fetch several ranges each, so that the requests of the whole site are as many as
// those of one machine alone. What can be seen from here is who fetches; others may be pullers as
// well.
std::uint64_t SiteChecker::runs_most() const {
  const std::uint32_t requests = scenario_.policy.origin_requests_max;
  const std::uint32_t pullers = undisturbed_ ? std::max(pulling_, 1U) : 1U;
  return std::max(1U, requests / pullers) + 1;
}

void SiteChecker::count_holder(core::PieceIndex piece, bool more) {
  std::uint32_t& holders = holders_[piece.value];
  if (!more && --holders == 0) ++unheld_;
  if (more && holders++ == 0) --unheld_;
  look_whether_idle();
}

void SiteChecker::count_fetching(bool more) {
  if (more && fetching_ == 0) end_idle();
  fetching_ += more ? 1U : ~0U;
  look_whether_idle();
}

void SiteChecker::look_whether_idle() {
  const bool idle = fetching_ == 0 && unheld_ > 0;
  if (idle && !idle_) idle_since_ = queue_.now();
  idle_ = idle;
}

SiteChecker::IdleRule SiteChecker::idle_rule() const {
  const core::Policy& policy = scenario_.policy;
  const core::Duration message = scenario_.swarm.latency_max + scenario_.swarm.message_jitter;
  const core::Duration piece_time =
      transfer_time(std::uint64_t{layout_.piece_bytes()} * policy.pullers, scenario_.wan.value);
  const core::Duration claiming = 4 * policy.peer_hold + 2 * policy.lease_settle +
                                  policy.lease_settle_max + policy.lease_prefetch + 2 * message +
                                  4 * scenario_.origin.rtt + piece_time + kIdleSlack;
  if (undisturbed_) return {"L3", claiming};
  std::uint32_t claimers = 0;
  bool liars = false;
  for (const Adversary& each : scenario_.adversaries) {
    liars = liars || each.kind == AdversaryKind::have_liar;
    const bool claims =
        each.kind == AdversaryKind::hog || each.kind == AdversaryKind::fake_progress;
    claimers += claims ? each.count : 0;
  }
  bool deaths = scenario_.churn_ppm > 0;
  for (const Fault& fault : scenario_.faults) {
    if (fault.kind != FaultKind::kill && fault.kind != FaultKind::leave) return {};
    deaths = true;
  }
  if (scenario_.swarm.message_loss_ppm > 0 || scenario_.swarm.message_reorder_ppm > 0) return {};
  const core::Duration believing = claiming + (liars ? policy.peer_credit : core::Duration{0});
  if (deaths || (claimers > 0 && unheld_ <= claimers * kStrangerPieces)) {
    return {"L2", believing + std::max(policy.lease_promise, 4 * piece_time) +
                      kSlip * policy.lease_slips_max};
  }
  if (claimers > 0) return {"S6", believing};
  return liars ? IdleRule{"S7", believing} : IdleRule{};
}

// Somebody fetches, after a time in which nobody did, or the run is over.
void SiteChecker::end_idle() {
  if (!idle_ || !origin_up_) return;
  const core::Instant now = queue_.now();
  const core::Instant since = std::max({idle_since_, first_willing_, excused_until_});
  if (since >= now) return;
  figures_.idle_most = std::max(figures_.idle_most, now - since);
  const IdleRule rule = idle_rule();
  if (rule.name == nullptr || now - since <= rule.limit) return;
  if (++counts_[rule.name] > kToldPerRule) return;
  violations_.push_back(fmt::format(
      "{} at {:.6f} s: for {:.3f} s nobody fetched though no machine has {} of the pieces, at most "
      "{:.3f} s",
      rule.name, seconds(now - kStart), seconds(now - since), unheld_, seconds(rule.limit)));
}

void SiteChecker::finish(std::uint64_t egress) {
  const core::Instant now = queue_.now();
  bool waiting = false;
  for (const auto& machine : machines_) {
    if (machine->complete_ || machine->gone_) continue;
    machine->note_stall(now);
    waiting = true;
  }
  if (waiting) end_idle();
  const std::uint64_t size = scenario_.size.value;
  const std::uint64_t explained = figures_.hedge_bytes + figures_.blind_bytes;
  if (undisturbed_ && egress > size + explained) {
    violations_.push_back(fmt::format(
        "S3 over the whole run: the origin sent {} bytes of a file of {}, of which hedges and "
        "machines that knew nobody yet explain {}",
        egress, size, explained));
  }
  const std::uint64_t budget =
      std::max<std::uint64_t>(scenario_.policy.hedge_pieces_min * layout_.piece_bytes(),
                              size / 1000 * scenario_.policy.hedge_permille);
  if (figures_.hedge_bytes > budget) {
    violations_.push_back(
        fmt::format("S4 over the whole run: {} bytes were hedged, the budget is {}",
                    figures_.hedge_bytes, budget));
  }
  for (const auto& [rule, count] : counts_) {
    if (count <= kToldPerRule) continue;
    violations_.push_back(fmt::format("{}: {} more of the kind", rule, count - kToldPerRule));
  }
}

// ---- machine -----------------------------------------------------------------------------------

MachineChecker::MachineChecker(SiteChecker& site, std::uint32_t host)
    : site_(site),
      host_(host),
      joined_(site.queue_.now()),
      last_byte_(joined_),
      have_(site.layout_.piece_count()),
      fresh_at_(joined_) {
  core::Instant willing = joined_ + site_.scenario_.policy.http_delay;
  // It begins by itself if nobody else has for so long, and longer by its rank.
  if (host_ < site_.scenario_.never_pullers) willing += 2 * site_.scenario_.policy.puller_absence;
  site_.first_willing_ = std::min(site_.first_willing_, willing);
  site_.last_willing_ = std::max(site_.last_willing_, willing);
}

void MachineChecker::complete() {
  note_stall(site_.queue_.now());
  complete_ = true;
}

void MachineChecker::gone() {
  if (gone_) return;
  gone_ = true;
  const bool before = leasing();
  for (const auto& [id, request] : requests_) give_back(request);
  if (pulling()) site_.count_fetching(false);
  requests_.clear();
  count_pulling(before);
  drop_claims();
  for (auto p = have_.next(core::PieceIndex{0}); p; p = have_.next(*p + 1)) {
    site_.count_holder(*p, false);
  }
}

void MachineChecker::byte() {
  const core::Instant now = site_.queue_.now();
  note_stall(now);
  last_byte_ = now;
  stalled_ = false;
}

// L1. A wait that the origin cannot be blamed for begins when it answers, and the delay is over.
void MachineChecker::note_stall(core::Instant now) {
  if (complete_) return;
  worst_stall_ = std::max(worst_stall_, now - last_byte_);
  if (!site_.origin_up_ && site_.origin_changed_ < now) return;
  const core::Instant allowed = joined_ + site_.scenario_.policy.http_delay;
  const core::Instant since = std::max({last_byte_, allowed, site_.excused_until_});
  if (stalled_ || now - since <= site_.stall_limit()) return;
  stalled_ = true;
  fail_rule("L1", fmt::format("no byte for {:.3f} s, at most {:.3f} s with a working origin",
                              seconds(now - since), seconds(site_.stall_limit())));
}

// ---- requests ----------------------------------------------------------------------------------

void MachineChecker::on_fetch(core::RequestId id, const ports::RangeRequest& range) {
  const core::Instant now = site_.queue_.now();
  const core::PieceSpan pieces = pieces_of(site_.layout_, range.span);
  ++ranges_;
  const std::size_t bucket = std::bit_width(pieces.size()) - 1U;
  ++site_.figures_.run_lengths[std::min(bucket, site_.figures_.run_lengths.size() - 1)];
  if (complete_ || gone_) fail_rule("S9", name_of(pieces) + " asked after the end of the transfer");
  if (now < joined_ + site_.scenario_.policy.http_delay) {
    fail_rule("S9", fmt::format("{} asked {:.3f} s after the start, before the policy delay",
                                name_of(pieces), seconds(now - joined_)));
  }
  check_new(range.span);
  Request request{range.span, range.span.begin};
  if (const OwnClaim* claim = claim_of(pieces.begin)) {
    request.mode = claim->mode;
    request.claimed = true;
  }
  if (among_peers()) check_settled(pieces);
  if (request.mode == core::ClaimMode::hedge) {
    site_.figures_.hedge_bytes += range.span.size().value;
  } else {
    if (request.mode == core::ClaimMode::solo) site_.figures_.solo_bytes += range.span.size().value;
    count_asked(request);
  }
  const bool before = leasing();
  if (!pulling()) site_.count_fetching(true);
  requests_[id] = request;
  count_pulling(before);
}

// S1.
void MachineChecker::check_new(const core::ByteSpan& span) {
  const core::PieceSpan pieces = pieces_of(site_.layout_, span);
  const bool fresh = fresh_at_ == site_.queue_.now();
  for (core::PieceIndex p = pieces.begin; p < pieces.end; ++p) {
    if (!have_.contains(p)) continue;
    if (fresh && std::find(fresh_.begin(), fresh_.end(), p) != fresh_.end()) continue;
    fail_rule("S1", fmt::format("{} asked, which it has", name_of({p, p + 1})));
    break;
  }
  for (const auto& [id, other] : requests_) {
    if (std::max(span.begin, other.position) >= std::min(span.end, other.span.end)) continue;
    fail_rule("S1", fmt::format("{} asked, but {} are on their way", name_of(pieces),
                                name_of(pieces_of(site_.layout_, other.span))));
    break;
  }
}

// S2.
void MachineChecker::check_settled(core::PieceSpan pieces) {
  const core::Instant now = site_.queue_.now();
  for (core::PieceIndex p = pieces.begin; p < pieces.end; ++p) {
    const OwnClaim* claim = claim_of(p);
    if (claim == nullptr) {
      return fail_rule("S2", fmt::format("{} of {} asked without a claim", name_of({p, p + 1}),
                                         name_of(pieces)));
    }
    if (claim->mode != core::ClaimMode::lease) continue;
    if (now - claim->sent < site_.scenario_.policy.lease_settle) {
      return fail_rule(
          "S2",
          fmt::format("{} asked {:.6f} s after the claim, it settles in {:.6f} s", name_of(pieces),
                      seconds(now - claim->sent), seconds(site_.scenario_.policy.lease_settle)));
    }
  }
}

// The strongest that holds: a piece may be leased to this machine and hedged by it no more.
const MachineChecker::OwnClaim* MachineChecker::claim_of(core::PieceIndex piece) const {
  const OwnClaim* best = nullptr;
  for (const auto& [run, claim] : claims_) {
    const bool covers = std::any_of(claim.open.begin(), claim.open.end(),
                                    [&](const core::PieceSpan& s) { return s.contains(piece); });
    if (covers && (best == nullptr || claim.mode < best->mode)) best = &claim;
  }
  return best;
}

// With somebody to settle with, who said so long enough ago that this machine's claims and
// greetings have crossed his.
bool MachineChecker::among_peers() const {
  const Scenario& s = site_.scenario_;
  const core::Duration acquainted =
      s.policy.lease_settle + 2 * (s.swarm.latency_max + s.swarm.message_jitter);
  const core::Instant now = site_.queue_.now();
  return std::any_of(peers_.begin(), peers_.end(),
                     [&](const auto& p) { return now - p.second > acquainted; });
}

const char* MachineChecker::mode_of(const Request& request) {
  if (!request.claimed) return "unclaimed";
  switch (request.mode) {
    case core::ClaimMode::solo:
      return "solo";
    case core::ClaimMode::hedge:
      return "hedge";
    default:
      return "lease";
  }
}

// S3. Who knows nobody yet cannot keep it.
void MachineChecker::count_asked(const Request& request) {
  const core::ByteSpan& span = request.span;
  const bool blind = !among_peers();
  if (blind) site_.figures_.blind_bytes += span.size().value;
  const core::PieceSpan pieces = pieces_of(site_.layout_, span);
  for (core::PieceIndex p = pieces.begin; p < pieces.end; ++p) {
    const core::ByteSpan bytes = site_.layout_.bytes(p);
    std::uint64_t& asked = site_.asked_[p.value];
    asked += std::min(bytes.end, span.end) - std::max(bytes.begin, span.begin);
    const std::uint32_t before = std::exchange(site_.asker_[p.value], host_);
    if (blind || !site_.undisturbed_ || asked <= bytes.size().value) continue;
    fail_rule("S3", fmt::format(
                        "{} asked again ({}), last by machine {}; {} bytes of its {} so far",
                        name_of({p, p + 1}), mode_of(request), before, asked, bytes.size().value));
  }
}

void MachineChecker::give_back(const Request& request) {
  const core::ByteSpan left{request.position, request.span.end};
  if (left.begin >= left.end) return;
  if (request.mode == core::ClaimMode::hedge) {
    site_.figures_.hedge_bytes -= left.size().value;
    return;
  }
  if (request.mode == core::ClaimMode::solo) site_.figures_.solo_bytes -= left.size().value;
  const core::PieceSpan pieces = pieces_of(site_.layout_, left);
  for (core::PieceIndex p = pieces.begin; p < pieces.end; ++p) {
    const core::ByteSpan bytes = site_.layout_.bytes(p);
    site_.asked_[p.value] -= std::min(bytes.end, left.end) - std::max(bytes.begin, left.begin);
  }
}

bool MachineChecker::leasing() const {
  return std::any_of(requests_.begin(), requests_.end(), [](const auto& r) {
    return r.second.claimed && r.second.mode == core::ClaimMode::lease;
  });
}

// S8.
void MachineChecker::count_pulling(bool before) {
  const bool after = leasing();
  if (before == after) return;
  site_.pulling_ += after ? 1U : ~0U;
  site_.figures_.pullers_most = std::max(site_.figures_.pullers_most, site_.pulling_);
  const std::uint32_t most = site_.scenario_.policy.pullers_max;
  if (!after || site_.pulling_ <= most || !site_.undisturbed_) return;
  // Whom a newcomer of a lower rank displaces ends what it has begun.
  if (site_.queue_.now() < site_.last_willing_ + kDisplaced) return;
  fail_rule("S8", fmt::format("{} machines fetch leased runs, {} may", site_.pulling_, most));
}

void MachineChecker::end_request(core::RequestId id, bool finished) {
  const auto found = requests_.find(id);
  if (found == requests_.end()) return;
  if (!finished) give_back(found->second);
  const bool before = leasing();
  requests_.erase(found);
  if (!pulling()) site_.count_fetching(false);
  count_pulling(before);
}

void MachineChecker::on_cancel(core::RequestId id) { end_request(id, false); }

void MachineChecker::progressed(core::RequestId id, std::uint64_t end) {
  const auto found = requests_.find(id);
  if (found == requests_.end()) return;
  Request& request = found->second;
  const std::uint64_t length = site_.layout_.piece_bytes();
  // The short last piece ends with the file.
  const std::uint64_t done = end == site_.scenario_.size.value ? end + length - 1 : end;
  const core::PieceSpan passed{
      core::PieceIndex{static_cast<std::uint32_t>(request.span.begin / length)},
      core::PieceIndex{static_cast<std::uint32_t>(done / length)}};
  request.position = end;
  if (passed.begin < passed.end) close_claims(passed, 0, true);
  byte();
}

// ---- claims ------------------------------------------------------------------------------------

void MachineChecker::on_send(std::size_t receivers, const core::LeaseMessage& message) {
  site_.figures_.messages += receivers;
  if (const auto* claim = std::get_if<core::Claim>(&message)) on_claim(*claim);
  if (const auto* unclaim = std::get_if<core::Unclaim>(&message)) {
    close_claims(unclaim->pieces, unclaim->run, false);
  }
}

void MachineChecker::on_claim(const core::Claim& claim) {
  // Told again to somebody new, it is still the same claim.
  if (claims_.contains(claim.run) || claim.pieces.end > site_.layout_.all().end) return;
  OwnClaim own{claim.pieces, {claim.pieces}, claim.mode, site_.queue_.now()};
  if (claim.mode == core::ClaimMode::lease) {
    ++site_.figures_.claims;
    for (core::PieceIndex p = claim.pieces.begin; p < claim.pieces.end; ++p) {
      std::uint32_t& claimant = site_.claimant_[p.value];
      if (claimant != 0 && claimant != host_ + 1) ++site_.figures_.conflicts;
      claimant = host_ + 1;
    }
  }
  claims_[claim.run] = std::move(own);
  std::size_t runs = 0;
  for (const auto& [run, each] : claims_) runs += each.mode == core::ClaimMode::lease ? 1U : 0U;
  if (claim.mode == core::ClaimMode::lease && runs > site_.runs_most()) {
    fail_rule("S5", fmt::format("claims {} while holding {} runs, {} in all are allowed",
                                name_of(claim.pieces), runs - 1, site_.runs_most()));
  }
}

void MachineChecker::close_claims(core::PieceSpan pieces, std::uint32_t only_run, bool every_run) {
  for (auto it = claims_.begin(); it != claims_.end();) {
    if (every_run || it->first == only_run) {
      subtract(it->second.open, pieces, [this](core::PieceIndex p) {
        if (site_.claimant_[p.value] == host_ + 1) site_.claimant_[p.value] = 0;
      });
    }
    it = it->second.open.empty() ? claims_.erase(it) : std::next(it);
  }
}

void MachineChecker::drop_claims() { close_claims(site_.layout_.all(), 0, true); }

// ---- facts -------------------------------------------------------------------------------------

void MachineChecker::received(const core::PeerProgressed& total) {
  const std::size_t n = total.peer.value - core::kFirstPeerSource;
  if (n >= peer_bytes_.size()) peer_bytes_.resize(n + 1);
  std::uint64_t& known = peer_bytes_[n];
  if (total.received.value > known) byte();
  known = total.received.value;
}

void MachineChecker::verified(core::PieceIndex piece) {
  if (fresh_at_ != site_.queue_.now()) fresh_.clear();
  fresh_at_ = site_.queue_.now();
  fresh_.push_back(piece);
  if (have_.insert(piece) && !gone_) site_.count_holder(piece, true);
  close_claims({piece, piece + 1}, 0, true);
  byte();
}

void MachineChecker::on_fact(const core::Event& event) {
  std::visit(core::Overloaded{
                 [this](const core::RangeProgressed& f) { progressed(f.request, f.end); },
                 [this](const core::RangeFinished& f) { end_request(f.request, true); },
                 [this](const core::RequestFailed& f) { end_request(f.request, false); },
                 [this](const core::PeerMessage& f) {
                   const auto* hello = std::get_if<core::Hello>(&f.message);
                   if (hello == nullptr) return;
                   if (hello->willing) peers_.try_emplace(f.peer, site_.queue_.now());
                   if (!hello->willing) peers_.erase(f.peer);
                 },
                 [this](const core::PeerLeft& f) {
                   peers_.erase(f.peer);
                   // Nobody is left to be told what becomes of them.
                   if (peers_.empty()) drop_claims();
                 },
                 [this](const core::PeerProgressed& f) { received(f); },
                 [this](const core::PeersReport& f) {
                   for (const core::PeerHasPiece& each : f.brought) verified(each.piece);
                   for (const core::PeerProgressed& each : f.totals) received(each);
                 },
                 [this](const core::PieceVerified& f) { verified(f.piece); },
                 [](const auto&) {},
             },
             event);
}

}  // namespace lanward::simulator
