#include "engine/core/scheduler.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <limits>
#include <numeric>
#include <utility>

#include "engine/core/overloaded.h"

namespace lanward::core {
namespace {

// How often the peers' rate is looked at while they owe pieces.
constexpr Duration kWatchInterval = std::chrono::milliseconds{250};

// Share of the peers that one availability counter can hold; far above any connection limit.
constexpr std::uint16_t kAvailabilityMax = std::numeric_limits<std::uint16_t>::max();

std::string describe(PieceIndex piece, const PieceLayout& layout) {
  const ByteSpan span = layout.bytes(piece);
  return "piece " + std::to_string(piece.value) + " (bytes " + std::to_string(span.begin) + "-" +
         std::to_string(span.end - 1) + ")";
}

Error error_of(const Failure& failure) {
  switch (failure.kind) {
    case FailureClass::transient:
    case FailureClass::rate_limited:
      return {ErrorCode::network, failure.message};
    case FailureClass::permanent:
      return {ErrorCode::origin_rejected, failure.message};
    case FailureClass::changed:
      return {ErrorCode::content_changed, failure.message};
    case FailureClass::protocol:
      return {ErrorCode::origin_rejected, failure.message};
    case FailureClass::no_ranges:
    case FailureClass::local:
      break;
  }
  return {ErrorCode::internal, failure.message};
}

}  // namespace

Scheduler::Scheduler(const Content& content, SchedulerOptions options, Seed seed, Instant now)
    : policy_(options.policy),
      layout_(content.layout),
      origin_names_(std::move(options.origins)),
      peers_possible_(options.peers_possible),
      started_(now),
      step_pieces_(std::max(1U, layout_.piece_count() / policy_.order_steps)),
      prng_(seed),
      verified_(std::move(options.have)),
      open_(layout_.piece_count()),
      wanted_(layout_.piece_count()),
      allowed_(layout_.piece_count()),
      origin_only_(layout_.piece_count()),
      availability_(layout_.piece_count(), 0),
      requests_(layout_),
      peer_rate_(now),
      last_peer_byte_(now),
      last_offer_(now),
      last_progress_(now),
      hold_until_(options.peers_expected ? now + policy_.peer_hold : now) {
  if (verified_.universe() != layout_.piece_count()) verified_ = PieceSet(layout_.piece_count());
  for (PieceIndex p{0}; p < layout_.all().end; ++p) {
    if (verified_.contains(p)) continue;
    open_.insert(p);
    wanted_.insert(p);
  }
  for (std::uint32_t i = 0; i < origin_names_.size(); ++i) {
    Origin origin{.id = SourceId{i},
                  .ready_at = now,
                  .backoff = {},
                  .dead = {},
                  .rate = RateMeter(now),
                  .measured = {}};
    origins_.push_back(std::move(origin));
  }
  step_order_.resize((layout_.piece_count() + step_pieces_ - 1) / step_pieces_);
  std::iota(step_order_.begin(), step_order_.end(), 0U);
  std::sort(step_order_.begin(), step_order_.end(), [&](std::uint32_t a, std::uint32_t b) {
    return std::pair(mix64(seed.value ^ a), a) < std::pair(mix64(seed.value ^ b), b);
  });
  plan(now);
}

void Scheduler::handle(const Event& event, Instant now) {
  if (finished_) return;
  std::visit([&](const auto& fact) { on(fact, now); }, event);
  plan(now);
}

std::optional<Command> Scheduler::poll_command(Instant) {
  if (commands_.empty()) return std::nullopt;
  Command command = std::move(commands_.front());
  commands_.pop_front();
  return command;
}

std::optional<Instant> Scheduler::next_wakeup() const {
  if (finished_ || complete()) return std::nullopt;
  return wake_at_;
}

// ---- facts about origins -----------------------------------------------------------------------

void Scheduler::on(const RangeProgressed& fact, Instant now) {
  OriginRequest* request = requests_.find(fact.request);
  if (request == nullptr || fact.end <= request->progressed) return;
  Origin& origin = origins_[request->origin.value];
  origin.rate.add(ByteCount{fact.end - request->progressed}, now);
  origin.failures = 0;
  origin.backoff.reset();
  request->progressed = fact.end;
  last_progress_ = now;
}

void Scheduler::on(const RangeFinished& fact, Instant now) {
  OriginRequest* request = requests_.find(fact.request);
  if (request == nullptr) return;
  Origin& origin = origins_[request->origin.value];
  on(RangeProgressed{fact.request, request->span.end}, now);
  origin.measured = origin.rate.rate(now);
  origin.run_pieces = std::min(origin.run_pieces * 2, layout_.piece_count());
  end_request(fact.request);
}

void Scheduler::on(const RequestFailed& fact, Instant now) {
  OriginRequest* request = requests_.find(fact.request);
  if (request == nullptr) return;
  Origin& origin = origins_[request->origin.value];
  const bool was_whole_file = request->whole_file;
  end_request(fact.request);
  const Failure& failure = fact.failure;
  switch (failure.kind) {
    case FailureClass::transient:
    case FailureClass::rate_limited:
      last_transient_ = error_of(failure);
      origin.run_pieces = 1;
      if (++origin.failures >= policy_.origin_failures_max) origin.dead = error_of(failure);
      origin.ready_at =
          std::max(origin.ready_at,
                   now + std::max(failure.retry_after, origin.backoff.next(policy_, prng_)));
      return;
    case FailureClass::no_ranges:
      if (was_whole_file) origin.dead = Error{ErrorCode::origin_rejected, failure.message};
      origin.no_ranges = true;
      return;
    case FailureClass::local:
      // The store reports its own failure; until it does, asking again at once would spin.
      origin.ready_at = now + origin.backoff.next(policy_, prng_);
      return;
    case FailureClass::permanent:
    case FailureClass::changed:
    case FailureClass::protocol:
      origin.dead = error_of(failure);
      return;
  }
}

void Scheduler::end_request(RequestId id) {
  const OriginRequest* request = requests_.find(id);
  if (request == nullptr) return;
  const std::uint64_t handed_over = request->progressed;
  const PieceSpan pieces{layout_.piece_at(request->span.begin),
                         layout_.piece_at(request->span.end - 1) + 1};
  requests_.close(id);
  for (PieceIndex p = pieces.begin; p < pieces.end; ++p) {
    // Pieces handed over whole await the store's verdict.
    if (verified_.contains(p) || layout_.bytes(p).end <= handed_over) continue;
    open_.insert(p);
    reclassify(p);
  }
}

// ---- facts about peers -------------------------------------------------------------------------

void Scheduler::on(const PeerJoined& fact, Instant) {
  Peer& peer = peers_[fact.peer];
  if (peer.joined) return;
  peer.joined = true;
  peer.has = PieceSet(layout_.piece_count());
}

void Scheduler::on(const PeerLeft& fact, Instant) {
  const auto it = peers_.find(fact.peer);
  if (it == peers_.end() || !it->second.joined) return;
  Peer& peer = it->second;
  const PieceSet had = std::exchange(peer.has, PieceSet(layout_.piece_count()));
  for (auto p = had.next(PieceIndex{0}); p; p = had.next(*p + 1)) set_availability(*p, peer, -1);
  peer.joined = false;
}

void Scheduler::on(const PeerHasPieces& fact, Instant now) {
  const auto it = peers_.find(fact.peer);
  if (it == peers_.end() || !it->second.joined) return;
  if (fact.pieces.universe() != layout_.piece_count()) return;
  const PieceSet had = std::exchange(it->second.has, fact.pieces);
  for (PieceIndex p{0}; p < layout_.all().end; ++p) {
    const bool has = fact.pieces.contains(p);
    if (has != had.contains(p)) set_availability(p, it->second, has ? 1 : -1);
  }
  hold_until_ = now;
}

void Scheduler::on(const PeerHasPiece& fact, Instant) {
  const auto it = peers_.find(fact.peer);
  if (it == peers_.end() || !it->second.joined || fact.piece >= layout_.all().end) return;
  if (it->second.has.insert(fact.piece)) set_availability(fact.piece, it->second, 1);
}

void Scheduler::on(const PeersHavePieces& fact, Instant now) {
  for (const PeerHasPiece& news : fact.news) on(news, now);
}

void Scheduler::on(const PeerProgressed& fact, Instant now) {
  const auto it = peers_.find(fact.peer);
  if (it == peers_.end() || fact.received <= it->second.received) return;
  peer_rate_.add(fact.received - it->second.received, now);
  it->second.received = fact.received;
  last_peer_byte_ = now;
  last_progress_ = now;
}

void Scheduler::set_availability(PieceIndex piece, const Peer& peer, int change) {
  if (peer.banned) return;
  std::uint16_t& count = availability_[piece.value];
  if (change > 0 && count < kAvailabilityMax) ++count;
  if (change < 0 && count > 0) --count;
  reclassify(piece);
}

// ---- facts about pieces ------------------------------------------------------------------------

void Scheduler::on(const PieceVerified& fact, Instant now) {
  if (!verified_.insert(fact.piece)) return;
  last_progress_ = now;
  open_.erase(fact.piece);
  wanted_.erase(fact.piece);
  allowed_.erase(fact.piece);
  requests_.forget_prefix(fact.piece);
  if (!complete()) return;
  for (const auto& [id, request] : requests_.live()) commands_.push_back(CancelRequest{id});
}

void Scheduler::on(const PieceFailed& fact, Instant now) {
  if (verified_.contains(fact.piece)) return;
  requests_.forget_prefix(fact.piece);
  const bool alone = fact.from.size() == 1;
  // Bytes of several sources: only a piece from a single hand tells who is at fault.
  if (!alone && preferred_origin() != nullptr) origin_only_.insert(fact.piece);
  for (const SourceId source : fact.from) blame(source, fact.piece, alone, now);
  open_.insert(fact.piece);
  reclassify(fact.piece);
}

void Scheduler::on(const StoreFailed& fact, Instant) { give_up(fact.error); }

void Scheduler::blame(SourceId source, PieceIndex piece, bool alone, Instant) {
  const auto guilty = [&](auto& s) {
    (alone ? s.bad_pieces : s.bad_shares) += 1;
    return s.bad_pieces >= policy_.bad_pieces_max || s.bad_shares >= policy_.bad_shares_max;
  };
  const std::string what = describe(piece, layout_) + " does not match the manifest";
  if (!is_peer(source)) {
    Origin& origin = origins_[source.value];
    if (!guilty(origin) || origin.dead) return;
    origin.dead = Error{ErrorCode::integrity, what + "; source: " + origin_names_[source.value] +
                                                  "; its copy differs from what was published"};
    commands_.push_back(BanSource{source, origin.dead->message});
    const auto live = requests_.live();
    for (const auto& [id, request] : live) {
      if (request.origin != source) continue;
      commands_.push_back(CancelRequest{id});
      end_request(id);
    }
    return;
  }
  Peer& peer = peers_[source];
  if (peer.banned || !guilty(peer)) return;
  const PieceSet had = std::exchange(peer.has, PieceSet(layout_.piece_count()));
  for (auto p = had.next(PieceIndex{0}); p; p = had.next(*p + 1)) set_availability(*p, peer, -1);
  peer.banned = true;
  commands_.push_back(BanSource{source, what});
}

// ---- decisions ---------------------------------------------------------------------------------

void Scheduler::reclassify(PieceIndex piece) {
  const bool open = open_.contains(piece);
  const bool offered = availability_[piece.value] > 0 && !origin_only_.contains(piece);
  if (open && !offered) {
    wanted_.insert(piece);
  } else {
    wanted_.erase(piece);
  }
  if (!verified_.contains(piece)) tell_peers(piece, open && offered);
}

void Scheduler::tell_peers(PieceIndex piece, bool allow) {
  if (!(allow ? allowed_.insert(piece) : allowed_.erase(piece))) return;
  // Neighbouring pieces share one command.
  const PieceSpan one{piece, piece + 1};
  const auto extend = [&](PieceSpan& last) {
    if (last.end != piece) return false;
    last.end = one.end;
    return true;
  };
  if (!commands_.empty()) {
    if (auto* last = std::get_if<AllowFromPeers>(&commands_.back());
        allow && last != nullptr && extend(last->pieces)) {
      return;
    }
    if (auto* last = std::get_if<ReserveForOrigin>(&commands_.back());
        !allow && last != nullptr && extend(last->pieces)) {
      return;
    }
  }
  if (allow) {
    commands_.push_back(AllowFromPeers{one});
  } else {
    commands_.push_back(ReserveForOrigin{one});
  }
}

void Scheduler::plan(Instant now) {
  wake_at_.reset();
  if (finished_ || complete()) return;
  if (preferred_origin() == nullptr) release_origin_only();
  if (!allowed_.empty()) last_offer_ = now;
  if (now < hold_until_) {
    wake_no_later_than(hold_until_);
  } else if (Origin* origin = preferred_origin(); origin != nullptr) {
    watch_peers(*origin, now);
    plan_origin(*origin, now);
  }
  judge(now);
}

// With no origin left, peers may try the mixed pieces again.
void Scheduler::release_origin_only() {
  while (const auto piece = origin_only_.next(PieceIndex{0})) {
    origin_only_.erase(*piece);
    reclassify(*piece);
  }
}

// The first in order of preference that is not waiting out a failure; else the one ready soonest.
Scheduler::Origin* Scheduler::preferred_origin() {
  Origin* best = nullptr;
  for (Origin& origin : origins_) {
    if (origin.dead) continue;
    if (best == nullptr || origin.ready_at < best->ready_at) best = &origin;
  }
  return best;
}

// Peers that stall, or that are much slower than the origin has been, lose work to the origin.
void Scheduler::watch_peers(const Origin& origin, Instant now) {
  if (allowed_.empty()) {
    take_over_ = false;
    last_peer_byte_ = now;
    return;
  }
  const std::uint64_t peers = peer_rate_.rate(now).value;
  const bool stalled = now - last_peer_byte_ >= policy_.peer_stall;
  const bool judged = now - started_ >= policy_.peer_stall;
  const std::uint64_t measured = origin.measured.value;
  const bool slow = measured == 0 ? peers < policy_.peer_rate_probe.value
                                  : peers < measured / 100 * policy_.peer_rate_percent_min;
  if (!take_over_) {
    take_over_ = stalled || (judged && slow);
  } else if (!stalled && peers >= measured) {
    take_over_ = false;
  }
  wake_no_later_than(now + kWatchInterval);
}

void Scheduler::plan_origin(Origin& origin, Instant now) {
  if (origin.ready_at > now) return wake_no_later_than(origin.ready_at);
  const bool whole_file = origin.no_ranges;
  const std::uint32_t limit = whole_file ? 1 : requests_max();
  for (std::uint32_t n = requests_.in_flight(origin.id); n < limit; ++n) {
    const PieceSpan run = next_run(origin);
    if (run.empty()) return;
    ByteSpan span = layout_.bytes(run);
    span.begin = requests_.resume_at(run.begin);
    if (whole_file) span = ByteSpan{0, layout_.size().value};
    const PieceSpan taken = whole_file ? layout_.all() : run;
    for (PieceIndex p = taken.begin; p < taken.end; ++p) {
      if (!open_.erase(p)) continue;
      requests_.forget_prefix(p);
      reclassify(p);
    }
    const RequestId id = requests_.open(origin.id, span, whole_file);
    commands_.push_back(FetchRange{id, origin.id, span, whole_file});
  }
}

std::uint32_t Scheduler::requests_max() const {
  return connected_peers() == 0 ? policy_.origin_requests_max
                                : policy_.origin_requests_max_with_peers;
}

std::uint32_t Scheduler::run_length(const Origin& origin, const PieceSet& candidates) const {
  const std::uint32_t hands = requests_max() * (1 + connected_peers());
  const std::uint64_t piece = layout_.piece_bytes();
  std::uint64_t length = std::min<std::uint64_t>(candidates.count() / (policy_.range_guide * hands),
                                                 policy_.range_bytes_max.value / piece);
  length = std::min<std::uint64_t>(length, origin.run_pieces);
  if (peers_possible_ && origin.measured.value > 0) {
    const auto ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(policy_.range_duration_max).count();
    length =
        std::min(length, origin.measured.value * static_cast<std::uint64_t>(ms) / 1000 / piece);
  }
  return static_cast<std::uint32_t>(std::max<std::uint64_t>(length, 1));
}

// Alone: the first gap. With peers: the first gap in this peer's own order, so that peers
// that start together pull different parts.
PieceSpan Scheduler::next_run(const Origin& origin) const {
  const PieceSet& candidates = take_over_ ? open_ : wanted_;
  std::optional<PieceIndex> begin;
  if (connected_peers() == 0) {
    begin = candidates.next(PieceIndex{0});
  } else {
    for (const std::uint32_t step : step_order_) {
      const PieceIndex first{step * step_pieces_};
      const auto p = candidates.next(first);
      if (!p || *p - first >= step_pieces_) continue;
      begin = p;
      break;
    }
  }
  if (!begin) return {};
  const std::uint32_t length = run_length(origin, candidates);
  PieceIndex end = *begin + 1;
  // A begun piece is continued where it broke off, so it starts a request of its own.
  while (end < layout_.all().end && end - *begin < length && candidates.contains(end) &&
         !requests_.begun(end)) {
    ++end;
  }
  return {*begin, end};
}

void Scheduler::judge(Instant now) {
  const Instant deadline = last_progress_ + policy_.no_progress_timeout;
  if (now >= deadline) {
    const auto seconds =
        std::chrono::duration_cast<std::chrono::seconds>(policy_.no_progress_timeout).count();
    std::string message = "no progress for " + std::to_string(seconds) + " s";
    if (const Error* death = death_of_all_origins())
      message += "; " + death->message;
    else if (last_transient_)
      message += "; " + last_transient_->message;
    else if (origins_.empty())
      message += "; no peer offers the missing pieces";
    return give_up({ErrorCode::network, std::move(message)});
  }
  wake_no_later_than(deadline);
  if (const Error* death = death_of_all_origins()) {
    const bool settling = open_.count() + verified_.count() < layout_.piece_count();
    if (allowed_.empty() && !settling) {
      const Instant patience = std::max(started_, last_offer_) + policy_.peer_grace;
      if (!peers_possible_ || now >= patience) return give_up(*death);
      wake_no_later_than(patience);
    }
  }
  report_waiting(now);
}

// Tells when nothing moves because every origin is waiting out a failure, and when that is over.
void Scheduler::report_waiting(Instant now) {
  const Origin* origin = preferred_origin();
  const bool waiting = last_transient_ && origin != nullptr && origin->ready_at > now &&
                       origin->failures > 0 && requests_.live().empty() &&
                       peer_rate_.rate(now).value == 0;
  if (waiting && !transient_reported_) {
    commands_.push_back(ReportTransient{*last_transient_});
    transient_reported_ = true;
  } else if (transient_reported_ && now == last_progress_) {
    commands_.push_back(ClearTransient{});
    transient_reported_ = false;
  }
}

const Error* Scheduler::death_of_all_origins() const {
  const Error* worst = nullptr;
  for (const Origin& origin : origins_) {
    if (!origin.dead) return nullptr;
    // Wrong bytes are worth more attention than a refusal elsewhere.
    if (worst == nullptr || origin.dead->code == ErrorCode::integrity) worst = &*origin.dead;
  }
  return worst;
}

std::uint32_t Scheduler::connected_peers() const {
  return static_cast<std::uint32_t>(std::count_if(peers_.begin(), peers_.end(), [](const auto& p) {
    return p.second.joined && !p.second.banned;
  }));
}

void Scheduler::wake_no_later_than(Instant at) {
  if (!wake_at_ || at < *wake_at_) wake_at_ = at;
}

void Scheduler::give_up(Error error) {
  if (finished_) return;
  for (const auto& [id, request] : requests_.live()) commands_.push_back(CancelRequest{id});
  commands_.push_back(GiveUp{std::move(error)});
  finished_ = true;
}

}  // namespace lanward::core
