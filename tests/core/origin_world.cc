#include "tests/core/origin_world.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "engine/core/scheduler.h"

namespace lanward::core {
namespace {

using namespace std::chrono_literals;

// Bytes move in steps of this.
constexpr Duration kStep = 2ms;
// Ticks at one moment; more are a busy loop.
constexpr int kTicksWithoutTime = 50;
constexpr int kAnswersMax = 10'000;

class OriginWorld {
 public:
  explicit OriginWorld(const OriginPlan& plan)
      : plan_(plan),
        layout_(ByteCount{std::uint64_t{plan.pieces} * plan.piece_bytes}, plan.piece_bytes),
        store_(plan.pieces) {
    outcome_.brought.resize(plan.mirrors.size());
    SchedulerOptions options{.policy = plan.policy,
                             .have = PieceSet(plan.pieces),
                             .origins = {},
                             .peers_possible = plan.with_peer,
                             .background = plan.background};
    for (std::size_t i = 0; i < plan.mirrors.size(); ++i) {
      OriginSpec spec = plan.mirrors[i].spec;
      if (spec.url.empty()) spec.url = "http://mirror" + std::to_string(i) + "/f";
      if (spec.banned_until) *spec.banned_until += kEpoch.time_since_epoch();
      options.origins.push_back(spec);
    }
    specs_ = options.origins;
    scheduler_.emplace(
        Content{.id = {}, .layout = layout_, .piece_hashes = std::vector<Digest>(plan.pieces)},
        std::move(options), Seed{plan.seed}, now_);
    drain();
    if (!plan.with_peer) return;
    const SourceId peer{kFirstPeerSource};
    fact(PeerJoined{.peer = peer, .address = "10.0.0.2:1", .endpoint = {}, .leases = true});
    fact(PeerMessage{peer, Hello{.key = PeerKey{7}}});
    fact(PeerHasPieces{peer, PieceSet(plan.pieces)});
  }

  OriginOutcome run() {
    while (!over() && now_ - kEpoch < plan_.limit) step();
    outcome_.took = now_ - kEpoch;
    outcome_.complete = scheduler_->complete();
    return std::move(outcome_);
  }

 private:
  static constexpr Instant kEpoch{100s};

  struct Request {
    FetchRange range;
    std::uint64_t at = 0;  // next byte
    Instant flows_at;
    std::uint64_t credit = 0;  // bytes x kStep parts that did not make a byte yet
  };
  struct Piece {
    std::uint64_t have = 0;  // bytes from its start
    bool wrong = false;
    bool verified = false;
    std::set<SourceId> from;
  };

  [[nodiscard]] bool over() const {
    return scheduler_->complete() || outcome_.gave_up || outcome_.violation;
  }
  void violate(const std::string& what) {
    if (outcome_.violation) return;
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now_ - kEpoch).count();
    outcome_.violation = std::to_string(ms) + " ms: " + what;
  }

  void step() {
    // Time runs on at once where nothing flows.
    Instant next = now_ + kStep;
    if (live_.empty()) {
      const auto wake = scheduler_->next_wakeup();
      if (!wake) return violate("nothing is asked and nothing is awaited");
      next = std::max(next, *wake);
    }
    const Instant before = now_;
    for (int ticks = 0; !over(); ++ticks) {
      const auto wake = scheduler_->next_wakeup();
      if (!wake || *wake > next) break;
      ticks = *wake > now_ ? 0 : ticks;
      now_ = std::max(now_, *wake);
      fact(Tick{});
      if (ticks > kTicksWithoutTime) return violate("asks to be woken at once, for ever");
    }
    now_ = next;
    if (!over()) flow(now_ - before);
  }

  // ---- origins ----

  [[nodiscard]] const OriginPlan::Spell* spell(std::size_t mirror) const {
    for (const OriginPlan::Spell& s : plan_.mirrors[mirror].spells) {
      if (now_ - kEpoch >= s.from && now_ - kEpoch < s.until) return &s;
    }
    return nullptr;
  }

  [[nodiscard]] std::map<std::size_t, std::uint64_t> flowing() const {
    std::map<std::size_t, std::uint64_t> count;
    for (const auto& [id, request] : live_) {
      const OriginPlan::Spell* s = spell(request.range.origin.value);
      if (now_ >= request.flows_at && s == nullptr) ++count[request.range.origin.value];
    }
    return count;
  }

  void flow(Duration time) {
    fail_where_it_fails();
    const auto count = flowing();
    std::uint64_t sum = 0;
    for (const auto& [mirror, n] : count) sum += plan_.mirrors[mirror].rate;
    std::vector<RequestId> ids;
    for (const auto& [id, request] : live_) ids.push_back(id);
    for (const RequestId id : ids) {
      const auto found = live_.find(id);
      if (found == live_.end() || over()) continue;
      const std::size_t mirror = found->second.range.origin.value;
      if (now_ < found->second.flows_at || spell(mirror) != nullptr) continue;
      std::uint64_t rate =
          plan_.mirrors[mirror].rate / std::max<std::uint64_t>(1, count.at(mirror));
      if (plan_.link > 0 && sum > plan_.link) rate = rate * (plan_.link / 1000) / (sum / 1000);
      const auto us = static_cast<std::uint64_t>(
          std::chrono::duration_cast<std::chrono::microseconds>(time).count());
      found->second.credit += rate * us;
      deliver(id,
              std::exchange(found->second.credit, found->second.credit % 1'000'000) / 1'000'000);
    }
  }

  void fail_where_it_fails() {
    std::vector<std::pair<RequestId, Failure>> failures;
    for (const auto& [id, request] : live_) {
      const std::size_t mirror = request.range.origin.value;
      const OriginPlan::Spell* s = spell(mirror);
      if (now_ < request.flows_at) continue;
      if (s != nullptr && !s->stall) {
        failures.emplace_back(id, s->failure);
      } else if (s == nullptr && plan_.mirrors[mirror].no_ranges && !request.range.whole_file) {
        failures.emplace_back(id, Failure{.kind = FailureClass::no_ranges, .message = {}});
      }
    }
    for (auto& [id, failure] : failures) {
      const auto found = live_.find(id);
      if (found == live_.end() || over()) continue;
      failure.message = specs_[found->second.range.origin.value].url + ": it fails";
      live_.erase(found);
      fact(RequestFailed{id, failure});
    }
  }

  void deliver(RequestId id, std::uint64_t bytes) {
    Request& request = live_.at(id);
    const SourceId origin = request.range.origin;
    const std::uint64_t end = std::min(request.at + bytes, request.range.span.end);
    outcome_.brought[origin.value] += end - request.at;
    std::vector<PieceIndex> whole;
    while (request.at < end) {
      const PieceIndex p = layout_.piece_at(request.at);
      const ByteSpan span = layout_.bytes(p);
      const std::uint64_t until = std::min(end, span.end);
      store(p, request.at - span.begin, until - span.begin, origin, whole);
      request.at = until;
    }
    const bool done = end == request.range.span.end;
    if (done) live_.erase(id);
    fact(RangeProgressed{id, end});
    if (done && !over()) fact(RangeFinished{id});
    for (const PieceIndex p : whole) judge(p);
  }

  // ---- store ----

  void store(PieceIndex p, std::uint64_t begin, std::uint64_t end, SourceId from,
             std::vector<PieceIndex>& whole) {
    Piece& piece = store_[p.value];
    if (piece.verified || end <= piece.have) {
      outcome_.wasted += end - begin;
      return;
    }
    if (begin > piece.have) return violate("bytes with a hole before them");
    outcome_.wasted += piece.have - begin;
    piece.have = end;
    piece.from.insert(from);
    piece.wrong = piece.wrong || plan_.mirrors[from.value].lies;
    if (end == layout_.size_of(p)) whole.push_back(p);
  }

  void judge(PieceIndex p) {
    Piece& piece = store_[p.value];
    if (over()) return;
    const std::vector<SourceId> from(piece.from.begin(), piece.from.end());
    if (!piece.wrong) {
      piece.verified = true;
      return fact(PieceVerified{p, from});
    }
    outcome_.wasted += piece.have;
    piece = {};
    fact(PieceFailed{p, from});
  }

  // ---- the scheduler ----

  void fact(const Event& event) {
    scheduler_->handle(event, now_);
    drain();
  }

  void drain() {
    for (int n = 0; auto command = scheduler_->poll_command(now_); ++n) {
      if (n > kAnswersMax) return violate("commands without end");
      std::visit([&](const auto& c) { on(c); }, *command);
    }
  }
  template <class Other>
  void on(const Other&) {}
  void on(const GiveUp& c) { outcome_.gave_up = c.error; }
  void on(const BanSource& c) { outcome_.bans.push_back(c); }
  void on(const BanCacheHost& c) { outcome_.host_bans.push_back(c); }
  void on(const CancelRequest& c) {
    const auto found = live_.find(c.request);
    if (found == live_.end()) return;
    outcome_.cancelled.push_back(now_ - kEpoch);
    // What is on its way is lost.
    const OriginPlan::Mirror& mirror = plan_.mirrors[found->second.range.origin.value];
    const auto us = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(mirror.latency).count());
    const auto n = std::max<std::uint64_t>(1, flowing()[found->second.range.origin.value]);
    std::uint64_t rate = mirror.rate / n;
    if (plan_.link > 0) rate = std::min<std::uint64_t>(rate, plan_.link / live_.size());
    outcome_.wasted +=
        std::min(rate * us / 1'000'000, found->second.range.span.end - found->second.at);
    live_.erase(found);
  }
  void on(const FetchRange& c) {
    const std::size_t mirror = c.origin.value;
    if (mirror >= plan_.mirrors.size()) return violate("asks an origin that there is not");
    check(c);
    live_[c.request] = {c, c.span.begin, now_ + plan_.mirrors[mirror].latency, 0};
    outcome_.asked.push_back({now_ - kEpoch, mirror, c});
    outcome_.most_at_once =
        std::max(outcome_.most_at_once, static_cast<std::uint32_t>(live_.size()));
    const auto at_origin = std::count_if(live_.begin(), live_.end(), [&](const auto& entry) {
      return entry.second.range.origin == c.origin;
    });
    // Of a puller, the next run may begin a moment before the present one ends.
    const std::uint32_t ahead = plan_.with_peer ? 1 : 0;
    if (at_origin > plan_.policy.origin_requests_max + ahead) violate("crowds an origin");
    if (live_.size() >
        std::max(plan_.policy.requests_max, plan_.policy.origin_requests_max) + ahead) {
      violate("too many requests at once");
    }
  }
  void check(const FetchRange& c) {
    const std::uint64_t size = layout_.size().value;
    if (c.span.empty() || c.span.end > size) return violate("an impossible range");
    if (c.span.begin % kBlockBytes != 0) return violate("a range that begins within a block");
    if (c.span.end != size && c.span.end % plan_.piece_bytes != 0) {
      return violate("a range that ends within a piece");
    }
    if (c.whole_file) return;
    for (const auto& [id, other] : live_) {
      if (other.range.whole_file || other.range.origin == c.origin) continue;
      // A request that has been cut short still has its old end here.
      if (other.at >= c.span.begin && other.at < c.span.end) return violate("asks for it twice");
    }
  }

  const OriginPlan& plan_;
  const PieceLayout layout_;
  std::vector<OriginSpec> specs_;
  Instant now_ = kEpoch;
  std::vector<Piece> store_;
  std::map<RequestId, Request> live_;
  OriginOutcome outcome_;
  std::optional<Scheduler> scheduler_;
};

}  // namespace

std::string OriginPlan::describe() const {
  std::string text = "seed " + std::to_string(seed) + ", " + std::to_string(pieces) +
                     " pieces of " + std::to_string(piece_bytes / 1024) + " KiB";
  for (const Mirror& mirror : mirrors) {
    text += "; " + std::to_string(mirror.rate / 1000) + " kB/s, class " +
            std::to_string(static_cast<int>(mirror.spec.price));
    if (mirror.lies) text += ", lies";
    if (mirror.no_ranges) text += ", no ranges";
    for (const Spell& s : mirror.spells) {
      const auto ms = [](Duration d) {
        return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(d).count());
      };
      text += (s.stall ? ", stalls " : ", fails ") + ms(s.from) + ".." + ms(s.until) + " ms";
      if (!s.stall) text += " (kind " + std::to_string(static_cast<int>(s.failure.kind)) + ")";
    }
  }
  return text;
}

std::optional<Duration> OriginOutcome::first_asked(std::size_t mirror, Duration after) const {
  for (const Asked& a : asked) {
    if (a.mirror == mirror && a.at >= after) return a.at;
  }
  return std::nullopt;
}

OriginOutcome run_origin_world(const OriginPlan& plan) { return OriginWorld(plan).run(); }

}  // namespace lanward::core
