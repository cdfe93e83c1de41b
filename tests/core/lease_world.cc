#include "tests/core/lease_world.h"

#include <algorithm>
#include <functional>
#include <map>
#include <utility>

#include "engine/core/lease_message.h"
#include "engine/core/prng.h"
#include "engine/core/scheduler.h"
#include "tests/core/lease_machine.h"

namespace lanward::core {
namespace {

using namespace std::chrono_literals;
using Machine = LeaseMachine;
using Role = LeasePlan::Role;

constexpr Duration kRoundTrip = 5ms;     // to the origin
constexpr Duration kVerifyTime = 1ms;    // hash and write
constexpr Duration kLanTimeout = 500ms;  // a source that sends nothing is given up
constexpr Duration kLanSnub = 60s;       // and not asked again for so long
constexpr std::size_t kLanSources = 4;   // pieces on the way at once
constexpr Duration kAdversaryPeriod = 200ms;
constexpr std::uint32_t kTicksWithoutTime = 100;  // more in a row is a busy loop
constexpr std::uint64_t kStepsMax = 2'000'000;
// Commands in answer to one fact.
constexpr int kAnswersMax = 10'000;
// Progress is told twice per piece.
constexpr std::uint64_t kStepBytes = kLeasePieceBytes / 2;

SourceId source_of(std::size_t machine) {
  return SourceId{kFirstPeerSource + static_cast<std::uint32_t>(machine)};
}
PieceSpan pieces_of(ByteSpan span) {
  return {PieceIndex{static_cast<std::uint32_t>(span.begin / kLeasePieceBytes)},
          PieceIndex{static_cast<std::uint32_t>((span.end - 1) / kLeasePieceBytes) + 1}};
}
// ---- the world ---------------------------------------------------------------------------------

class LeaseWorld {
 public:
  LeaseWorld(const LeasePlan& plan, bool with_log)
      : plan_(plan),
        clean_(plan.clean()),
        equal_views_(plan.equal_views()),
        with_log_(with_log),
        chance_(Seed{plan.seed}),
        layout_(ByteCount{std::uint64_t{plan.pieces} * kLeasePieceBytes}, kLeasePieceBytes),
        asked_(plan.pieces, 0) {
    for (std::size_t i = 0; i < plan.machines.size(); ++i) {
      machines_.emplace_back(plan_);
      at(kEpoch + plan.machines[i].joins, [this, i] { start(i); });
      if (plan.machines[i].dies)
        at(kEpoch + *plan.machines[i].dies, [this, i] { end(i, plan_.silence_noticed); });
      if (plan.machines[i].leaves)
        at(kEpoch + *plan.machines[i].leaves, [this, i] { end(i, plan_.message_max); });
    }
    for (const LeasePlan::Cut& cut : plan.cuts) {
      at(kEpoch + cut.at, [this, cut] { part(cut.a, cut.b); });
      at(kEpoch + cut.at + cut.lasts, [this, cut] { meet(cut.a, cut.b); });
    }
  }

  LeaseOutcome run() {
    const Instant deadline = kEpoch + time_limit();
    while (!outcome_.violation && !all_done()) {
      if (!step(deadline)) break;
      if (++outcome_.steps > kStepsMax) violate(0, "the world does not come to an end");
    }
    if (!outcome_.violation && !all_done()) violate_unfinished();
    return std::move(outcome_);
  }

 private:
  static constexpr Instant kEpoch{1s};

  // ---- time ----

  void at(Instant when, std::function<void()> what) {
    queue_.emplace(std::pair(std::max(when, now_), ++sequence_), std::move(what));
  }
  // The next thing that happens; false when there is none before the deadline.
  bool step(Instant deadline) {
    std::size_t waker = machines_.size();
    Instant first = queue_.empty() ? deadline : queue_.begin()->first.first;
    for (std::size_t i = 0; i < machines_.size(); ++i) {
      const Machine& m = machines_[i];
      if (!m.alive || !m.wake || *m.wake >= first) continue;
      first = *m.wake;
      waker = i;
    }
    if (first >= deadline) return false;
    now_ = std::max(now_, first);
    if (waker == machines_.size()) {
      const auto what = std::move(queue_.begin()->second);
      queue_.erase(queue_.begin());
      what();
    } else {
      tick(waker);
    }
    return true;
  }
  void tick(std::size_t i) {
    Machine& m = machines_[i];
    m.ticks_in_a_row = m.last_tick == now_ ? m.ticks_in_a_row + 1 : 0;
    m.last_tick = now_;
    if (m.ticks_in_a_row > kTicksWithoutTime)
      return violate(i, "L4: asks to be woken at once, for ever");
    m.wake.reset();
    fact(i, Tick{});
  }
  // Far above what any schedule needs: the plain download of every machine, one after another, and
  // the patience that faults may cost.
  [[nodiscard]] Duration time_limit() const {
    Duration last{0};
    for (const auto& m : plan_.machines) last = std::max(last, m.joins);
    for (const auto& o : plan_.outages) last = std::max(last, o.at + o.lasts);
    for (const auto& c : plan_.cuts) last = std::max(last, c.at + c.lasts);
    const Duration once = plan_.wan_piece * plan_.pieces * slowest();
    const auto honest = static_cast<std::uint32_t>(std::count_if(
        plan_.machines.begin(), plan_.machines.end(),
        [](const auto& m) { return m.role == Role::honest || m.role == Role::plain; }));
    const Duration work = clean_ ? 3 * once : 4 * once * honest;
    return last + plan_.policy.http_delay + work + (clean_ ? 10s : 120s);
  }
  [[nodiscard]] std::uint32_t slowest() const {
    std::uint32_t n = 1;
    for (const auto& m : plan_.machines) n = std::max(n, m.slowness);
    return n;
  }
  // Between two bytes of a machine that has a working origin, whatever the others do.
  [[nodiscard]] Duration patience() const {
    const auto ranges = static_cast<std::uint32_t>(machines_.size()) *
                        std::max(plan_.policy.origin_requests_max, 2U);
    return 2 * plan_.policy.lease_patience_active + 2s + plan_.wan_piece * ranges * slowest();
  }

  // ---- machines ----

  [[nodiscard]] bool follows_rules(std::size_t i) const {
    return plan_.machines[i].role == Role::honest || plan_.machines[i].role == Role::plain;
  }
  [[nodiscard]] bool speaks_leases(std::size_t i) const {
    return plan_.machines[i].role != Role::plain;
  }
  [[nodiscard]] bool all_done() const {
    for (std::size_t i = 0; i < machines_.size(); ++i) {
      const Machine& m = machines_[i];
      if (follows_rules(i) && m.alive && !m.done()) return false;
    }
    return true;
  }
  void start(std::size_t i) {
    Machine& m = machines_[i];
    if (!m.alive) return;
    m.started = true;
    m.start = now_;
    m.last_byte = now_;
    const Seed seed = plan_.machines[i].seed;
    m.adversary = LeaseAdversary(i, PeerKey{mix64(seed.value)});
    for (Link& link : m.links) link.has = PieceSet(plan_.pieces);
    log(i, "starts");
    if (follows_rules(i)) {
      m.scheduler = std::make_unique<Scheduler>(
          Content{.id = {}, .layout = layout_, .piece_hashes = std::vector<Digest>(plan_.pieces)},
          SchedulerOptions{.policy = plan_.policy,
                           .have = PieceSet(plan_.pieces),
                           .origins = {{.url = "http://cdn/file"}},
                           .peers_possible = true,
                           .peers_expected = machines_.size() > 1},
          seed, now_);
      drain(i);
    } else {
      if (plan_.machines[i].role == Role::liar) {
        for (PieceIndex p{0}; p < layout_.all().end; ++p) m.verified.insert(p);
      }
      act(i);
    }
    for (std::size_t j = 0; j < machines_.size(); ++j) {
      if (j == i || !machines_[j].started || !neighbours(i, j)) continue;
      at(now_ + between(100us, 3ms), [this, i, j] { meet(i, j); });
    }
  }
  [[nodiscard]] bool neighbours(std::size_t i, std::size_t j) const {
    const std::size_t apart = i > j ? i - j : j - i;
    return !plan_.sparse || apart == 1 || apart + 1 == machines_.size();
  }
  void end(std::size_t i, Duration noticed) {
    log(i, "is gone");
    machines_[i].alive = false;
    machines_[i].wake.reset();
    machines_[i].ranges.clear();
    for (std::size_t j = 0; j < machines_.size(); ++j) {
      if (j == i) continue;
      at(now_ + noticed, [this, i, j] { unlink(j, i); });
    }
  }

  // ---- links ----

  void meet(std::size_t i, std::size_t j) {
    Machine& m = machines_[i];
    if (!m.alive || !machines_[j].alive || !m.started || !machines_[j].started) return;
    if (m.links[j].up || machines_[j].links[i].up) return;
    // The news is the first thing that this direction carries.
    m.links[j].up = true;
    m.links[j].joined = now_;
    machines_[j].links[i].up = true;
    send(i, j, [this, i, j] {
      machines_[j].links[i].joined = now_;
      link(j, i);
      announce_all(j, i);
    });
    link(i, j);
    announce_all(i, j);
  }
  void link(std::size_t i, std::size_t j) {
    Link& link = machines_[i].links[j];
    link.told = true;
    log(i, "meets " + std::to_string(j));
    if (!follows_rules(i)) return act(i);
    fact(i, PeerJoined{.peer = source_of(j),
                       .address = "10.0.0." + std::to_string(j + 1) + ":6881",
                       .endpoint = lease_endpoint(j),
                       .leases = speaks_leases(i) && speaks_leases(j)});
  }
  void announce_all(std::size_t i, std::size_t j) {
    send(i, j, [this, i, j, has = machines_[i].verified] {
      machines_[j].links[i].has = has;
      fact(j, PeerHasPieces{source_of(i), has});
    });
  }
  void part(std::size_t i, std::size_t j) {
    if (i >= machines_.size() || j >= machines_.size()) return;
    unlink(i, j);
    unlink(j, i);
  }
  void unlink(std::size_t i, std::size_t j) {
    Machine& m = machines_[i];
    if (!m.alive || !m.links[j].up) return;
    m.links[j].up = false;
    m.links[j].has = PieceSet(plan_.pieces);
    m.links[j].hello = false;
    if (!std::exchange(m.links[j].told, false)) return;
    // Claims bind while somebody who heard them is there.
    if (std::none_of(m.links.begin(), m.links.end(), [](const Link& l) { return l.told; })) {
      m.conduct.forget_claims();
    }
    std::erase_if(m.transfers, [&](const auto& t) { return t.second.source == j; });
    log(i, "loses " + std::to_string(j));
    fact(i, PeerLeft{source_of(j)});
  }
  [[nodiscard]] Duration between(Duration low, Duration high) {
    return low + Duration{static_cast<Duration::rep>(
                     chance_.below(static_cast<std::uint64_t>((high - low).count()) + 1))};
  }
  // In order per direction, unless the message may be overtaken.
  void send(std::size_t i, std::size_t j, std::function<void()> what, bool ordered = true) {
    Link& link = machines_[i].links[j];
    Instant when = now_ + between(plan_.message_min, plan_.message_max);
    when = std::max(when, link.channel_free);
    if (ordered) link.channel_free = when;
    at(when, [this, i, j, what = std::move(what), epoch = link.joined] {
      if (machines_[j].alive && machines_[j].links[i].up && machines_[i].links[j].joined == epoch) {
        what();
      }
    });
  }
  void send_message(std::size_t i, std::size_t j, const LeaseMessage& message) {
    ++outcome_.messages;
    if (chance_.below(100) < plan_.loss_percent) return;
    const auto deliver = [this, i, j, message] {
      if (!speaks_leases(j)) return;
      log(j, "hears from " + std::to_string(i) + ": " + text(message));
      if (const auto* hello = std::get_if<Hello>(&message)) {
        machines_[j].adversary.hears(hello->key);
        machines_[j].links[i].hello = follows_rules(i) && hello->willing;
        changed_ = now_;
      }
      fact(j, PeerMessage{source_of(i), message});
    };
    send(i, j, deliver, !plan_.reorder);
    if (chance_.below(100) < plan_.duplicate_percent) send(i, j, deliver, !plan_.reorder);
  }

  // ---- facts and commands ----

  void fact(std::size_t i, const Event& event) {
    Machine& m = machines_[i];
    if (!m.alive || !m.scheduler || outcome_.violation) return;
    m.scheduler->handle(event, now_);
    drain(i);
  }
  void drain(std::size_t i) {
    Machine& m = machines_[i];
    int answers = 0;
    while (auto command = m.scheduler->poll_command(now_)) {
      if (++answers > kAnswersMax) return violate(i, "answers one fact without end");
      std::visit([&](const auto& c) { on(i, c); }, *command);
      if (outcome_.violation) return;
    }
    m.wake = m.scheduler->next_wakeup();
    if (m.done()) return;
    if (!m.wake) return violate(i, "L4: pieces are missing and no wake-up is set");
    pump(i);
  }
  void on(std::size_t i, const FetchRange& c) {
    Machine& m = machines_[i];
    const PieceSpan pieces = pieces_of(c.span);
    Range range{.span = c.span, .at = c.span.begin, .begun = now_};
    log(i, "asks the origin for " + text(pieces));
    if (now_ < m.start + plan_.policy.http_delay) return violate(i, "S9: asks before http_delay");
    for (auto p = pieces.begin; p < pieces.end; ++p) {
      check_fetch(i, p, range);
      if (outcome_.violation) return;
      m.conduct.busy_.insert(p);
    }
    m.ranges[c.request] = range;
    check_pullers(i);
    advance_later(i, c.request, kRoundTrip);
  }
  void on(std::size_t i, const CancelRequest& c) {
    log(i, "cancels a range");
    break_off(i, c.request);
  }
  void on(std::size_t i, const AllowFromPeers& c) {
    for (auto p = c.pieces.begin; p < c.pieces.end; ++p) machines_[i].allowed.insert(p);
  }
  void on(std::size_t i, const ReserveForOrigin& c) {
    for (auto p = c.pieces.begin; p < c.pieces.end; ++p) {
      machines_[i].allowed.erase(p);
      machines_[i].transfers.erase(p);
    }
  }
  void on(std::size_t i, const BanSource& c) { violate(i, "bans a source: " + c.reason); }
  void on(std::size_t i, const SendMessage& c) {
    log(i, "says: " + text(c.message));
    std::string wrong;
    if (const auto* claim = std::get_if<Claim>(&c.message)) {
      wrong = machines_[i].conduct.claims(*claim, now_);
    } else if (const auto* unclaim = std::get_if<Unclaim>(&c.message)) {
      wrong = machines_[i].conduct.unclaims(*unclaim);
    }
    const auto wire = encode(c.message);
    const auto back = decode(wire);
    if (!back || *back != c.message) wrong = "says what the wire does not carry";
    if (c.to.empty()) wrong = "sends a message to nobody";
    for (const SourceId to : c.to) {
      const std::size_t j = to.value - kFirstPeerSource;
      if (!is_peer(to) || j >= machines_.size() || !machines_[i].links[j].told) {
        wrong = "sends to a machine that is not connected";
      } else if (!speaks_leases(i) || !speaks_leases(j)) {
        wrong = "speaks of leases to a machine that does not";
      }
      if (!wrong.empty()) return violate(i, wrong);
      send_message(i, j, c.message);
    }
    if (!wrong.empty()) violate(i, wrong);
  }
  void on(std::size_t i, const ConnectPeer& c) {
    for (std::size_t j = 0; j < machines_.size(); ++j) {
      if (j == i || c.endpoint != lease_endpoint(j)) continue;
      at(now_ + between(100us, 3ms), [this, i, j] { meet(i, j); });
    }
  }
  void on(std::size_t i, const GiveUp& c) { violate(i, "gives up: " + c.error.message); }
  template <class Other>
  void on(std::size_t, const Other&) {}

  // ---- rules ----

  void check_fetch(std::size_t i, PieceIndex p, Range& range) {
    Machine& m = machines_[i];
    const std::string which = " piece " + std::to_string(p.value);
    if (m.verified.contains(p)) return violate(i, "S1: asks for" + which + " that it has");
    if (m.conduct.busy_.contains(p)) return violate(i, "S1: asks twice for" + which);
    const Conduct::Run* run = m.conduct.claim_on(p);
    // Claims are owed to those who might fetch the same.
    const bool company =
        std::any_of(m.links.begin(), m.links.end(), [](const Link& l) { return l.hello; });
    if (company && equal_views_ && run == nullptr)
      return violate(i, "S2: asks without a claim for" + which);
    if (company && run != nullptr && run->mode == ClaimMode::lease &&
        now_ < run->claimed + plan_.policy.lease_settle) {
      return violate(i, "S2: asks before its claim has settled for" + which);
    }
    const bool hedge = run != nullptr && run->mode == ClaimMode::hedge;
    range.lease = run != nullptr && run->mode == ClaimMode::lease;
    if (hedge) return check_hedges(i);
    if (clean_ && ++asked_[p.value] > 1) {
      violate(i, "S3: somebody asked before for" + which);
    }
  }
  void check_hedges(std::size_t i) {
    ++outcome_.hedges;
    const std::uint32_t mine = ++machines_[i].conduct.hedged_;
    const std::uint32_t budget =
        std::max(plan_.policy.hedge_pieces_min, plan_.pieces * plan_.policy.hedge_permille / 1000);
    // In a world without faults everybody sees everybody's hedges.
    if ((clean_ ? outcome_.hedges : mine) > budget) violate(i, "S4: hedges beyond the budget");
  }
  void check_pullers(std::size_t i) {
    if (!clean_) return;
    // Who pulled before somebody of a lower rank came may finish what it began.
    const Instant agreed = changed_ + plan_.message_max;
    const auto pulling = std::count_if(machines_.begin(), machines_.end(), [&](const Machine& m) {
      return std::any_of(m.ranges.begin(), m.ranges.end(),
                         [&](const auto& r) { return r.second.lease && r.second.begun > agreed; });
    });
    if (pulling > plan_.policy.pullers) violate(i, "S8: more machines pull than may");
  }
  void heard_a_byte(std::size_t i) {
    Machine& m = machines_[i];
    Instant since = std::max(m.last_byte, m.start + plan_.policy.http_delay);
    for (const auto& o : plan_.outages) {
      // Whoever met the outage may be waiting out its last back-off.
      if (kEpoch + o.at > now_) continue;
      since = std::max(since, kEpoch + o.at + o.lasts + plan_.policy.retry_delay_max);
    }
    if (now_ - since > patience()) violate(i, "L1: no byte for " + text(now_ - since));
    m.last_byte = now_;
  }
  void violate(std::size_t i, const std::string& what) {
    if (outcome_.violation) return;
    outcome_.violation =
        "machine " + std::to_string(i) + " at " + text(now_ - kEpoch) + ": " + what;
    log(i, "VIOLATION " + what);
  }
  void violate_unfinished() {
    std::string what = "L5: unfinished at the end";
    for (std::size_t i = 0; i < machines_.size(); ++i) {
      const Machine& m = machines_[i];
      if (follows_rules(i) && m.alive && !m.done()) {
        what += "; machine " + std::to_string(i) + " has " + text(m.verified) + " may " +
                text(m.allowed);
      }
    }
    violate(0, what);
  }

  // ---- the origin ----

  // The site's rate is shared by all ranges that are on the way.
  void advance_later(std::size_t i, RequestId id, Duration extra) {
    std::size_t ranges = 0;
    for (const Machine& m : machines_) ranges += m.ranges.size();
    const Duration step = plan_.wan_piece / 2 * ranges * plan_.machines[i].slowness;
    at(now_ + extra + step, [this, i, id] { advance(i, id); });
  }
  [[nodiscard]] bool origin_up() const {
    return std::none_of(plan_.outages.begin(), plan_.outages.end(), [&](const auto& o) {
      return now_ >= kEpoch + o.at && now_ < kEpoch + o.at + o.lasts;
    });
  }
  void advance(std::size_t i, RequestId id) {
    Machine& m = machines_[i];
    const auto it = m.ranges.find(id);
    if (!m.alive || it == m.ranges.end()) return;
    if (!origin_up()) {
      break_off(i, id);
      return fact(i, RequestFailed{id, {FailureClass::transient, {}, "the origin is away"}});
    }
    Range& range = it->second;
    range.at = std::min((range.at / kStepBytes + 1) * kStepBytes, range.span.end);
    outcome_.origin_bytes += kStepBytes;
    heard_a_byte(i);
    const std::uint64_t end = range.at;
    const bool last = end == range.span.end;
    if (end % kLeasePieceBytes == 0) {
      const PieceIndex piece{static_cast<std::uint32_t>(end / kLeasePieceBytes) - 1};
      m.conduct.done(piece);
      at(now_ + kVerifyTime, [this, i, piece] { verify(i, piece, SourceId{0}); });
    }
    if (last) m.ranges.erase(it);
    fact(i, RangeProgressed{id, end});
    if (last) return fact(i, RangeFinished{id});
    if (m.ranges.contains(id)) advance_later(i, id, 0s);
  }
  void break_off(std::size_t i, RequestId id) {
    Machine& m = machines_[i];
    const auto it = m.ranges.find(id);
    if (it == m.ranges.end()) return;
    const PieceSpan pieces = pieces_of(it->second.span);
    for (auto p = pieces.begin; p < pieces.end; ++p) {
      if (std::uint64_t{p.value + 1} * kLeasePieceBytes > it->second.at) m.conduct.busy_.erase(p);
    }
    m.ranges.erase(it);
  }
  void verify(std::size_t i, PieceIndex piece, SourceId from) {
    Machine& m = machines_[i];
    if (!m.alive || !m.verified.insert(piece)) return;
    log(i, "has piece " + std::to_string(piece.value) + " from " +
               (is_peer(from) ? std::to_string(from.value - kFirstPeerSource) : "the origin"));
    m.conduct.done(piece);
    m.conduct.busy_.erase(piece);
    m.transfers.erase(piece);
    if (m.done()) outcome_.finished = std::max(outcome_.finished, now_ - kEpoch);
    fact(i, PieceVerified{piece, {from}});
    for (std::size_t j = 0; j < machines_.size(); ++j) {
      if (j == i || !m.links[j].told) continue;
      send(i, j, [this, i, j, piece] {
        machines_[j].links[i].has.insert(piece);
        fact(j, PeerHasPiece{source_of(i), piece});
      });
    }
  }

  // ---- the local network ----

  // Asks for pieces that may come from peers and that a peer has, as many at once as there are
  // sources for.
  void pump(std::size_t i) {
    Machine& m = machines_[i];
    while (m.transfers.size() < kLanSources) {
      std::vector<std::pair<PieceIndex, std::size_t>> offers;
      for (auto p = m.allowed.next(PieceIndex{0}); p; p = m.allowed.next(*p + 1)) {
        if (m.verified.contains(*p) || m.transfers.contains(*p)) continue;
        for (std::size_t j = 0; j < machines_.size(); ++j) {
          const Link& link = m.links[j];
          if (link.told && link.has.contains(*p) && now_ >= link.snubbed_until) {
            offers.emplace_back(*p, j);
          }
        }
      }
      if (offers.empty()) return;
      const auto [piece, source] = offers[chance_.below(offers.size())];
      fetch_from_peer(i, piece, source);
    }
  }
  void fetch_from_peer(std::size_t i, PieceIndex piece, std::size_t source) {
    const std::uint64_t id = ++transfers_;
    machines_[i].transfers[piece] = {source, id};
    const bool serves = follows_rules(source) && machines_[source].alive;
    const Duration takes =
        serves ? between(plan_.lan_piece, 2 * plan_.lan_piece) : Duration{kLanTimeout};
    at(now_ + takes, [this, i, piece, source, id] {
      Machine& m = machines_[i];
      const auto it = m.transfers.find(piece);
      if (!m.alive || it == m.transfers.end() || it->second.id != id) return;
      m.transfers.erase(it);
      Link& link = m.links[source];
      if (!follows_rules(source) || !machines_[source].alive) {
        link.snubbed_until = now_ + kLanSnub;
        return pump(i);
      }
      link.received += ByteCount{kLeasePieceBytes};
      heard_a_byte(i);
      fact(i, PeerProgressed{source_of(source), link.received, {}, {}});
      verify(i, piece, source_of(source));
    });
  }

  // ---- those that do not follow the rules ----

  void act(std::size_t i) {
    Machine& m = machines_[i];
    if (!m.alive || follows_rules(i)) return;
    const auto said = m.adversary.speak(plan_.machines[i].role, plan_.pieces, chance_);
    for (const LeaseMessage& message : said) {
      for (std::size_t j = 0; j < machines_.size(); ++j) {
        if (j != i && m.links[j].told && speaks_leases(j)) send_message(i, j, message);
      }
    }
    if (std::exchange(m.acting, true)) return;
    at(now_ + kAdversaryPeriod, [this, i] {
      machines_[i].acting = false;
      act(i);
    });
  }

  void log(std::size_t i, const std::string& what) {
    if (!with_log_) return;
    outcome_.log.push_back(text(now_ - kEpoch) + " " + std::to_string(i) + " " + what);
  }

  const LeasePlan plan_;
  const bool clean_;
  const bool equal_views_;
  const bool with_log_;
  Prng chance_;
  const PieceLayout layout_;
  Instant now_ = kEpoch;
  std::uint64_t sequence_ = 0;
  std::uint64_t transfers_ = 0;
  Instant changed_;  // when somebody last heard of somebody
  std::map<std::pair<Instant, std::uint64_t>, std::function<void()>> queue_;
  std::vector<Machine> machines_;
  std::vector<std::uint32_t> asked_;  // per piece, over all machines, hedges apart
  LeaseOutcome outcome_;
};

}  // namespace

LeaseOutcome run_lease_world(const LeasePlan& plan, bool with_log) {
  return LeaseWorld(plan, with_log).run();
}

}  // namespace lanward::core
