#include "engine/core/scheduler.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <utility>

namespace lanward::core {
namespace {

// A puller that knows others by hearsay waits this long for the connection: claims cannot reach
// them before. A dial and its handshake take a tenth of it.
constexpr Duration kMeetPullers = std::chrono::milliseconds{100};
// How often the sources' rates are looked at.
constexpr Duration kWatchInterval = std::chrono::milliseconds{250};
// Requests that bring nothing for this long tell that the origin answers nobody.
constexpr Duration kOriginSilence = std::chrono::milliseconds{500};
// An origin that brings nothing for this long, while others are there, loses its requests to them:
// before other peers take its claims for broken (Policy::lease_promise).
constexpr Duration kOriginStall = std::chrono::seconds{2};
// But only where others bring so much to each request meanwhile: a slow link is no stall.
constexpr std::uint64_t kStallBytes = 128 * kKiB;
// Slots of the meter behind Policy::min_rate: eight of them make five seconds.
constexpr Duration kMinRateSlot = std::chrono::milliseconds{625};

std::string describe(PieceIndex piece, const PieceLayout& layout) {
  const ByteSpan span = layout.bytes(piece);
  return "piece " + std::to_string(piece.value) + " (bytes " + std::to_string(span.begin) + "-" +
         std::to_string(span.end - 1) + ")";
}

PeerKey key_of(Seed seed) {
  constexpr std::uint64_t kKeyStream = 0x6b6579;  // apart from the other uses of the seed
  return PeerKey{mix64(mix64(seed.value) ^ kKeyStream)};
}

}  // namespace

Scheduler::Scheduler(const Content& content, SchedulerOptions options, Seed seed, Instant now)
    : policy_(options.policy),
      layout_(content.layout),
      peers_possible_(options.peers_possible),
      peers_expected_(options.peers_expected),
      started_(now),
      place_(static_cast<std::uint32_t>(rank_of(content.id, key_of(seed)) >> 32U)),
      prng_(seed),
      requests_(layout_),
      origins_(policy_, std::move(options.origins), options.background, now),
      board_(layout_, std::move(options.have), peers_possible_, commands_),
      peers_(policy_, layout_, board_),
      claims_(policy_, layout_, board_),
      roster_(content, key_of(seed), policy_, commands_, now),
      puller_(policy_, content, board_, roster_, claims_, origins_, requests_, commands_,
              peers_possible_),
      verdicts_(policy_.verdict_timeout),
      peer_rate_(now),
      total_rate_(now, kMinRateSlot),
      last_peer_byte_(now),
      last_origin_byte_(now),
      last_request_(now),
      last_offer_(now),
      owed_since_(now),
      last_progress_(now),
      watch_at_(now + kWatchInterval),
      judge_at_(now) {
  puller_.set_background(options.background);
  if (policy_.never_puller && peers_possible_)
    reluctance_.emplace(policy_, place_, started_ + policy_.http_delay);
  plan(now);
}

void Scheduler::handle(const Event& event, Instant now) {
  if (finished_) return;
  std::visit([&](const auto& fact) { on(fact, now); }, event);
  if (!leaves_plan(event, now)) return plan(now);
  note_offers(now);
  wake_by_parts();
}

std::optional<Command> Scheduler::poll_command(Instant) {
  if (commands_.empty()) return std::nullopt;
  Command command = std::move(commands_.front());
  commands_.pop_front();
  return command;
}

std::optional<Instant> Scheduler::next_wakeup() const {
  if (finished_ || complete()) return std::nullopt;
  return wake_.at;
}

// ---- facts about origins -----------------------------------------------------------------------

void Scheduler::on(const RangeProgressed& fact, Instant now) {
  OriginRequest* request = requests_.find(fact.request);
  if (request == nullptr || fact.end <= request->progressed) return;
  OriginBook::Origin& origin = origins_.at(request->origin);
  if (request->progressed == request->span.begin) {
    const Duration latency = now - request->begun;
    origin.latency = origin.latency == Duration{0} ? latency : std::min(origin.latency, latency);
  }
  handed_over(request->progressed, fact.end, now);
  const ByteCount bytes{fact.end - std::exchange(request->progressed, fact.end)};
  request->rate.add(bytes, now);
  request->last_byte = now;
  origins_.progressed(origin, bytes, now);
  total_rate_.add(bytes, now);
  last_origin_byte_ = now;
  last_progress_ = now;
  if (!puller_.cut_reached(fact.request)) return;
  commands_.emplace_back(CancelRequest{fact.request});
  finish(fact.request, now);
}

void Scheduler::on(const RangeFinished& fact, Instant now) {
  const OriginRequest* request = requests_.find(fact.request);
  if (request == nullptr) return;
  on(RangeProgressed{fact.request, request->span.end}, now);
  finish(fact.request, now);
}

void Scheduler::handed_over(std::uint64_t begin, std::uint64_t end, Instant now) {
  for (PieceIndex p = layout_.piece_at(begin); p < layout_.all().end; ++p) {
    if (layout_.bytes(p).end > end) return;
    if (!board_.verified().contains(p)) verdicts_.handed_over(p, now);
  }
}

void Scheduler::finish(RequestId id, Instant now) {
  const OriginRequest* request = requests_.find(id);
  if (request == nullptr) return;
  origins_.finished(origins_.at(request->origin), layout_.piece_count(), now);
  puller_.end(id, false);
}

void Scheduler::on(const RequestFailed& fact, Instant now) {
  const OriginRequest* request = requests_.find(fact.request);
  if (request == nullptr) return;
  OriginBook::Origin& origin = origins_.at(request->origin);
  const bool whole_file = request->whole_file;
  const bool brought = request->progressed > request->span.begin;
  puller_.end(fact.request, fact.failure.kind == FailureClass::transient);
  origins_.failed(origin, fact.failure, whole_file, brought, prng_, now);
  if (auto ban = origins_.ban(origin, fact.failure, now)) commands_.emplace_back(*std::move(ban));
  if (fact.failure.kind == FailureClass::rate_limited) roster_.slow_down(now);
  if (origin.dead && origins_.death_of_all() == nullptr) strike_off(origin, fact.failure.kind);
}

// Others go on without it: what it is still sending is not waited for.
void Scheduler::strike_off(const OriginBook::Origin& origin, FailureClass kind) {
  if (kind == FailureClass::changed || kind == FailureClass::protocol) {
    commands_.emplace_back(BanSource{origin.id, origin.dead->message});
  }
  drop_requests(origin.id, true);
}

void Scheduler::drop_requests(SourceId origin, bool again) {
  const auto live = requests_.live();
  for (const auto& [id, request] : live) {
    if (request.origin != origin) continue;
    commands_.emplace_back(CancelRequest{id});
    puller_.end(id, again);
  }
}

// While others deliver, nobody waits for a time-out of the HTTP client.
void Scheduler::drop_stalled(Instant now) {
  if (!origins_.several()) return;
  const auto quiet_since = [&](const OriginBook::Origin& origin) {
    return requests_.in_flight(origin.id) > 0 ? std::max(origin.last_byte, origin.busy_since) : now;
  };
  for (OriginBook::Origin* origin : origins_.serving()) {
    const Instant due = quiet_since(*origin) + kOriginStall;
    if (requests_.in_flight(origin->id) == 0) continue;
    if (now < due) {
      wake_.by(due);
      continue;
    }
    const bool others = std::any_of(
        origins_.serving().begin(), origins_.serving().end(), [&](const OriginBook::Origin* o) {
          return o != origin && o->failures == 0 && now - quiet_since(*o) < kOriginStall / 2;
        });
    const auto quiet =
        std::chrono::duration_cast<std::chrono::milliseconds>(now - quiet_since(*origin));
    const std::uint64_t each = origins_.rate(now).value *
                               static_cast<std::uint64_t>(quiet.count()) / 1000 /
                               requests_.live().size();
    if (!others || each < kStallBytes) continue;
    drop_requests(origin->id, true);
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(kOriginStall).count();
    origins_.failed(*origin,
                    {.kind = FailureClass::transient,
                     .message = origins_.name(origin->id) + ": not a byte for " +
                                std::to_string(seconds) + " s"},
                    false, false, prng_, now);
  }
  origins_.choose(now);
}

// ---- facts about peers -------------------------------------------------------------------------

void Scheduler::on(const PeerJoined& fact, Instant now) {
  peers_.joined(fact);
  if (!peers_.speaks_leases(fact.peer)) return;
  roster_.link_up(fact.peer, fact.endpoint);
  if (!met_at_) met_at_ = now;
}

void Scheduler::on(const PeerLeft& fact, Instant now) {
  peers_.left(fact.peer);
  forget(fact.peer, now);
}

void Scheduler::forget(SourceId peer, Instant now) {
  claims_.drop(peer);
  puller_.forget(peer);
  roster_.link_down(peer, now);
}

void Scheduler::on(const PeerHasPieces& fact, Instant now) {
  peers_.has(fact.peer, fact.pieces, now);
  heard_offers_ = true;
}

void Scheduler::on(const PeerHasPiece& fact, Instant now) {
  if (fact.piece >= layout_.all().end) return;
  peers_.has(fact.peer, fact.piece, now);
  if (claims_.empty() || !peers_.connected(fact.peer)) return;
  if (claims_.kept(fact.peer, fact.piece, now)) peers_.kept_claim(fact.peer, now);
  if (!peers_.proven(fact.peer)) return;
  // Only who fetched it can have brought it here.
  for (const SourceId claimer : claims_.fetchers(fact.piece)) proved(claimer);
}

void Scheduler::proved(SourceId peer) {
  peers_.proved(peer);
  claims_.proved(peer);
  roster_.believe(peer);
}

void Scheduler::on(const PeersHavePieces& fact, Instant now) {
  for (const PeerHasPiece& news : fact.news) on(news, now);
}

void Scheduler::on(const PeerProgressed& fact, Instant now) {
  const ByteCount bytes = peers_.received(fact.peer, fact.received, now);
  if (bytes.value == 0) return;
  peer_rate_.add(bytes, now);
  total_rate_.add(bytes, now);
  last_peer_byte_ = now;
  last_progress_ = now;
}

void Scheduler::on(const PeerMessage& fact, Instant now) {
  if (!peers_.speaks_leases(fact.peer)) return;
  std::visit([&](const auto& message) { hear(fact.peer, message, now); }, fact.message);
}

void Scheduler::hear(SourceId from, const Hello& hello, Instant now) {
  if (roster_.hear(from, hello, now)) puller_.introduce(from, now);
}

// Who has not said its name cannot claim: nobody could tell who is entitled.
void Scheduler::hear(SourceId from, const Claim& claim, Instant now) {
  if (!roster_.key_of(from) || claim.pieces.end > layout_.all().end) return;
  claims_.add(from, claim, peers_.proven(from), now);
  puller_.meet(from, claim);
}

void Scheduler::hear(SourceId from, const Unclaim& unclaim, Instant) {
  claims_.remove(from, unclaim);
}

void Scheduler::hear(SourceId from, const ClaimProgress& report, Instant now) {
  claims_.progress(from, report, now);
}

void Scheduler::hear(SourceId, const SplitRequest& request, Instant) { puller_.split(request.run); }

void Scheduler::hear(SourceId from, const Roster& roster, Instant now) {
  roster_.hear(from, roster, now);
}

// ---- facts about pieces ------------------------------------------------------------------------

void Scheduler::on(const PieceVerified& fact, Instant now) {
  if (!settle(fact.piece, now)) return;
  for (const SourceId source : fact.from) {
    if (is_peer(source)) proved(source);
  }
  if (fact.from.size() == 1) peers_.cleared(fact.from[0]);
  if (fact.from.size() == 1 && !is_peer(fact.from[0])) ++origins_.at(fact.from[0]).good_pieces;
}

// Nobody need fetch it; false if that was known.
bool Scheduler::settle(PieceIndex piece, Instant now) {
  if (board_.verified().contains(piece)) return false;
  board_.verify(piece);
  verdicts_.judged(piece, true, now);
  requests_.forget_prefix(piece);
  claims_.settle(piece);
  last_progress_ = now;
  return true;
}

void Scheduler::on(const PeersReport& fact, Instant now) {
  for (const PeerHasPiece& piece : fact.brought) {
    if (!settle(piece.piece, now)) continue;
    proved(piece.peer);
    peers_.cleared(piece.peer);
  }
  for (const PeerProgressed& total : fact.totals) on(total, now);
  for (const PeerHasPiece& news : fact.news) on(news, now);
}

void Scheduler::on(const PieceFailed& fact, Instant now) {
  if (board_.verified().contains(fact.piece)) return;
  verdicts_.judged(fact.piece, false, now);
  requests_.dropped(fact.piece);
  const bool alone = fact.from.size() == 1;
  // Bytes of several sources: only a piece from a single hand tells who is at fault.
  if (!alone && origins_.preferred() != nullptr) board_.keep_for_origin(fact.piece);
  // Where one is out already, it was that one.
  const bool known = std::any_of(fact.from.begin(), fact.from.end(),
                                 [this](SourceId source) { return peers_.banned(source); });
  for (const SourceId source : fact.from) {
    if (is_peer(source) ? !known : !excused(source, fact.from))
      blame(source, fact.piece, alone, now);
  }
  board_.release(fact.piece);
}

// One origin continued a piece where another one broke off, and it is wrong: who has sent more good
// ones is believed.
bool Scheduler::excused(SourceId origin, const std::vector<SourceId>& from) {
  std::uint32_t best = 0;
  std::uint32_t origins = 0;
  for (const SourceId source : from) {
    if (is_peer(source)) continue;
    ++origins;
    best = std::max(best, origins_.at(source).good_pieces);
  }
  if (origins < 2) return false;
  return origins_.at(origin).good_pieces == best;
}

void Scheduler::on(const StoreFailed& fact, Instant) { give_up(fact.error); }

void Scheduler::on(const OriginPriority& fact, Instant) {
  puller_.set_background(fact.background);
  origins_.set_background(fact.background);
}

void Scheduler::blame(SourceId source, PieceIndex piece, bool alone, Instant now) {
  const std::string what = describe(piece, layout_) + " does not match the manifest";
  if (is_peer(source)) {
    if (!peers_.blame(source, alone)) return;
    forget(source, now);
    commands_.emplace_back(BanSource{source, what});
    return;
  }
  OriginBook::Origin& origin = origins_.at(source);
  if (!origins_.blame(origin, what, alone)) return;
  commands_.emplace_back(BanSource{source, origin.dead->message});
  drop_requests(source, false);
}

// ---- decisions ---------------------------------------------------------------------------------

// Most peers of a site fetch nothing from the origin. Where pieces are, how many bytes have come
// and who lives changes nothing for them: what comes by time alone has its own wake-up.
bool Scheduler::leaves_plan(const Event& event, Instant now) const {
  if (!resting_ || complete() || !claims_.empty() || now >= *wake_.at) return false;
  const auto* message = std::get_if<PeerMessage>(&event);
  const bool harmless = message != nullptr ? std::holds_alternative<Roster>(message->message)
                                           : std::holds_alternative<PeersReport>(event) ||
                                                 std::holds_alternative<PeersHavePieces>(event) ||
                                                 std::holds_alternative<PeerHasPiece>(event) ||
                                                 std::holds_alternative<PeerProgressed>(event) ||
                                                 std::holds_alternative<PieceVerified>(event);
  const auto due = roster_.next_due();
  return harmless && (!due || *due > now);
}

void Scheduler::note_offers(Instant now) {
  if (board_.any_offered()) last_offer_ = now;
  if (board_.owed().empty()) owed_since_ = now;
}

void Scheduler::wake_by_parts() {
  for (const auto& due :
       {origins_.next_due(), peers_.next_due(), claims_.next_due(), roster_.next_due()}) {
    if (due) wake_.by(*due);
  }
  if (reluctance_ && reluctance_->next_due()) wake_.by(*reluctance_->next_due());
}

void Scheduler::plan(Instant now) {
  wake_ = {};
  resting_ = false;
  if (finished_) return;
  if (complete()) return finish_transfer();
  origins_.choose(now);
  const OriginBook::Origin* origin = origins_.preferred();
  if (origin == nullptr) board_.release_kept();
  leaving_ = reluctance_ && reluctance_->leaves(roster_.others_willing(false, now),
                                                roster_.others_willing(true, now), now);
  const bool willing = origin != nullptr && now >= started_ + policy_.http_delay && !leaving_;
  roster_.set_willing(willing);
  if (willing && !willing_at_) willing_at_ = now;
  peers_.expire(now);
  claims_.expire(now, origin_silent(now));
  roster_.update(now);
  watch(now);
  note_offers(now);

  drop_stalled(now);
  const std::size_t requests = requests_.live().size();
  const Puller::Mode present = mode(now);
  puller_.plan(present, now, wake_);
  if (requests_.live().size() > requests) last_request_ = now;
  if (origin != nullptr && (puller_.busy() || roster_.any_links())) {
    roster_.set_rate(requests_.live().empty() ? ByteRate{} : origins_.rate(now));
    roster_.set_work(ByteCount{std::uint64_t{board_.free().count()} * layout_.piece_bytes()});
    claims_.set_piece_time(puller_.piece_time());
  }
  wake_by_parts();
  judge(now);
  resting_ = present == Puller::Mode::rest && origin != nullptr && origin->failures == 0 &&
             !puller_.busy() && requests_.live().empty() && !transient_reported_;
}

void Scheduler::finish_transfer() {
  for (const auto& [id, request] : requests_.live()) commands_.emplace_back(CancelRequest{id});
  roster_.set_willing(false);
  finished_ = true;
}

Puller::Mode Scheduler::mode(Instant now) {
  const Instant delayed_until = started_ + policy_.http_delay;
  if (now < delayed_until) {
    wake_.by(delayed_until);
    return Puller::Mode::rest;
  }
  if (solo_) return Puller::Mode::solo;
  if (leaving_) return Puller::Mode::rest;
  if (holding(now)) return Puller::Mode::rest;
  if (roster_.links().empty()) return Puller::Mode::alone;
  if (!roster_.pulls()) return Puller::Mode::rest;
  if (const Instant until = roster_.changed_at() + kMeetPullers; now < until) {
    if (!roster_.pullers_linked()) {
      wake_.by(until);
      return Puller::Mode::rest;
    }
  }
  return Puller::Mode::lease;
}

// A peer that is new to a site first lets the others say who they are, what they have and what they
// fetch; all who run answer at once. Of those that find nobody yet, the lowest rank begins first,
// so that the origin is not idle and the others meet somebody who has begun.
bool Scheduler::holding(Instant now) {
  if (began_) return false;
  Instant until = started_;
  if (met_at_) {
    until = std::max(*met_at_, willing_at_.value_or(now)) + 2 * policy_.lease_settle;
  } else if (peers_expected_ && !heard_offers_) {
    const auto hold = static_cast<std::uint64_t>(policy_.peer_hold.count());
    until += Duration{static_cast<std::int64_t>(hold + ((3 * hold * place_) >> 32U))};
  }
  if (now < until) {
    wake_.by(until);
    return true;
  }
  // Someone who is alone may still meet others as a newcomer.
  began_ = met_at_.has_value();
  return false;
}

bool Scheduler::origin_silent(Instant now) {
  const OriginBook::Origin* origin = origins_.preferred();
  if (origin == nullptr || (origin->failures > 0 && origin->ready_at > now)) return true;
  return !requests_.live().empty() &&
         now - std::max(last_origin_byte_, last_request_) >= kOriginSilence;
}

// The watchdog that trusts nobody.
void Scheduler::watch(Instant now) {
  if (now >= watch_at_) {
    watch_at_ = now + kWatchInterval;
    start_solo_if_needed(now);
  }
  wake_.by(watch_at_);
}

void Scheduler::start_solo_if_needed(Instant now) {
  const OriginBook::Origin* origin = origins_.preferred();
  if (!peers_possible_ || origin == nullptr) return;
  const std::uint64_t peers = peer_rate_.rate(now).value;
  const std::uint64_t measured = origins_.measured().value;
  const std::uint64_t total = total_rate_.rate(now).value;
  const bool active = roster_.others_fetch() || claims_.any_live();

  // Who leaves the origin to others gives them the time to find out that all do.
  const Duration patience = (active ? policy_.lease_patience_active : policy_.lease_patience) +
                            (leaving_ ? 2 * policy_.puller_absence : Duration{0});
  const Duration spread{(patience.count() / 1024) * static_cast<std::int64_t>(place_ >> 22U)};
  const Instant last_byte = std::max(last_peer_byte_, last_origin_byte_);
  // Fetching for oneself is no help while the origin answers nobody. But whoever was told so must
  // ask again one day, even if it is not its turn any more.
  const bool failing = origin->failures > 0 && now < origin->ready_at + patience;
  const bool helpless = failing || origin_silent(now);
  const bool stalled =
      !helpless && now - std::max(last_byte, started_ + policy_.http_delay) >= patience + spread;

  const bool judged = now - owed_since_ >= policy_.lease_patience + spread;
  const std::uint64_t least = measured == 0 ? policy_.peer_rate_probe.value
                                            : measured / 100 * policy_.peer_rate_percent_min;
  const bool slow = judged && !active && !leaving_ && !puller_.busy() && peers < least;
  const bool below = policy_.min_rate.value > 0 && now - started_ >= 8 * kMinRateSlot &&
                     total < policy_.min_rate.value;

  if (!solo_) {
    solo_ = stalled || slow || below;
  } else if (!stalled && (below ? false : total * 5 >= policy_.min_rate.value * 6)) {
    const std::uint64_t enough = active ? origins_.rate(now).value / 2 : measured;
    solo_ = peers == 0 || (!leaving_ && peers < enough);
  }
}

std::string Scheduler::unjudged(PieceIndex piece) const {
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(policy_.verdict_timeout).count();
  return "the piece cache has had " + describe(piece, layout_) + " for " + std::to_string(seconds) +
         " s without telling whether it is good: does its disk answer?";
}

void Scheduler::give_up(Error error) {
  if (finished_) return;
  for (const auto& [id, request] : requests_.live()) commands_.emplace_back(CancelRequest{id});
  commands_.emplace_back(GiveUp{std::move(error)});
  finished_ = true;
}

}  // namespace lanward::core
