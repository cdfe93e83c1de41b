// The lanes of a puller: which origin gets the next run, how long it is, and who helps whom when
// nothing is left to begin.
#include <algorithm>
#include <chrono>
#include <tuple>

#include "engine/core/prng.h"
#include "engine/core/puller.h"
#include "engine/core/takeover.h"

namespace lanward::core {
namespace {

// How often an idle lane looks for requests that would end late.
constexpr Duration kBalanceInterval = std::chrono::milliseconds{100};
// A file up to this length is one request, as long as nothing is in doubt: to connect for more
// takes as long as to wait for it.
constexpr ByteCount kOneRequestBytes{kMiB};
// Who has brought nothing for so long is no help.
constexpr Duration kHelpFreshness = std::chrono::seconds{2};

Duration time_for(std::uint64_t bytes, ByteRate rate) {
  return std::chrono::microseconds{bytes * 1'000'000 / std::max<std::uint64_t>(rate.value, 1)};
}

std::uint64_t pieces_within(ByteRate rate, Duration time, std::uint32_t piece_bytes) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
  return rate.value * static_cast<std::uint64_t>(ms) / 1000 / piece_bytes;
}

// `n` times own/all, for rates up to a terabyte a second.
std::uint64_t share_of(std::uint64_t n, ByteRate own, ByteRate all) {
  return n * (own.value / kKiB) / std::max<std::uint64_t>(all.value / kKiB, 1);
}

}  // namespace

std::uint32_t Puller::lanes(Mode mode) const {
  const std::uint32_t most =
      background_ ? policy_.background_requests_max : policy_.origin_requests_max;
  if (mode != Mode::lease) return most;
  const auto pullers = static_cast<std::uint32_t>(roster_.pullers().size());
  return std::max(1U, most / std::max(1U, pullers));
}

std::uint32_t Puller::lanes(Mode mode, const OriginBook::Origin& origin) const {
  // Who has failed first shows that it answers again, while others do the work.
  return origins_.serving().size() > 1 && origin.failures > 0 ? 1 : lanes(mode);
}

std::size_t Puller::lanes_max(Mode mode) const {
  if (background_) return lanes(mode);
  const std::uint32_t most = std::max(policy_.requests_max, policy_.origin_requests_max);
  if (mode != Mode::lease) return most;
  const auto pullers = static_cast<std::uint32_t>(roster_.pullers().size());
  return std::max(1U, most / std::max(1U, pullers));
}

std::size_t Puller::lanes_of_all(Mode mode) const {
  return std::min(lanes_max(mode), lanes(mode) * origins_.serving().size());
}

std::uint32_t Puller::runs_at(SourceId origin) const {
  return static_cast<std::uint32_t>(std::count_if(
      runs_.begin(), runs_.end(), [&](const Run& run) { return run.origin == origin; }));
}

ByteRate Puller::speed(const OriginBook::Origin& origin, Instant now) const {
  return origins_.speed(origin, requests_.in_flight(origin.id) > 0, now);
}

ByteRate Puller::speed_of_all(Instant now) const {
  std::uint64_t sum = 0;
  for (const OriginBook::Origin* origin : origins_.serving()) sum += speed(*origin, now).value;
  return ByteRate{sum};
}

// One more piece from this origin comes no later than the others would be done with everything, a
// piece's time at the fastest apart.
bool Puller::worthwhile(const OriginBook::Origin& origin, Instant now) const {
  if (origins_.serving().size() < 2) return true;
  const ByteRate own = speed(origin, now);
  if (own.value == 0) return true;
  ByteRate fastest;
  for (const OriginBook::Origin* other : origins_.serving()) {
    fastest = std::max(fastest, speed(*other, now));
  }
  std::uint64_t rest = std::uint64_t{board_.free().count()} * layout_.piece_bytes();
  for (const auto& [id, request] : requests_.live()) {
    rest += request.span.end - std::min(request.span.end, request.progressed);
  }
  const std::uint64_t piece = layout_.piece_bytes();
  return time_for(piece * (runs_at(origin.id) + 1), own) <=
         time_for(rest, speed_of_all(now)) + time_for(piece, fastest);
}

// Unknown origins first, each a lane in turn, by priority; pullers of a site begin with different
// ones. Then by what one more request would get.
OriginBook::Origin* Puller::next_origin(Mode mode, Instant now) const {
  OriginBook::Origin* best = nullptr;
  using Rank = std::tuple<bool, std::uint64_t, std::uint32_t, std::uint64_t>;
  Rank best_rank;
  for (OriginBook::Origin* origin : origins_.serving()) {
    const std::uint32_t runs = runs_at(origin->id);
    if (runs >= lanes(mode, *origin) || !worthwhile(*origin, now)) continue;
    const std::uint64_t own = speed(*origin, now).value;
    const std::uint64_t turn =
        mode == Mode::lease ? mix64(roster_.self().value ^ origin->id.value) : origin->id.value;
    const Rank rank{own > 0, own > 0 ? ~(own / (runs + 1)) : runs,
                    origins_.spec(origin->id).priority, turn};
    if (best == nullptr || rank < best_rank) {
      best = origin;
      best_rank = rank;
    }
  }
  return best;
}

// The origin that the run was claimed for, unless it fails and another one has a lane. Null: none
// has.
OriginBook::Origin* Puller::origin_for(const Run& run, Mode mode, Instant now) const {
  const auto serving = origins_.serving();
  OriginBook::Origin* own = &origins_.at(run.origin);
  const bool serves = std::find(serving.begin(), serving.end(), own) != serving.end();
  if (serves && (own->failures == 0 || serving.size() == 1)) return own;
  OriginBook::Origin* other = next_origin(mode, now);
  return other == nullptr && serves ? own : other;
}

std::uint32_t Puller::length(Mode mode, const OriginBook::Origin& origin, Instant now) const {
  const auto pullers =
      mode == Mode::lease ? static_cast<std::uint32_t>(roster_.pullers().size()) : 1U;
  const PieceSet& candidates = mode == Mode::solo ? board_.open() : board_.free();
  const std::uint32_t piece = layout_.piece_bytes();
  if (mode == Mode::alone && candidates.full() && layout_.size() <= kOneRequestBytes &&
      !origins_.several() && origin.failures == 0) {
    return layout_.piece_count();
  }
  std::uint64_t n = candidates.count() / (policy_.range_guide * lanes(mode) * pullers);
  if (origins_.serving().size() > 1) {
    // Each by its own rate, so that all end together.
    const ByteRate own = speed(origin, now);
    if (own.value > 0) n = share_of(n, own, speed_of_all(now));
  }
  n = std::min(n, policy_.range_bytes_max.value / piece);
  if (mode == Mode::lease) {
    RateMeter meter = origin.rate;
    const std::uint64_t rate = std::max(meter.rate(now).value, origin.measured.value);
    n = std::min<std::uint64_t>(n, std::uint64_t{2} * length_before_);
    n = std::min(n, pieces_within(ByteRate{rate / lanes(mode)}, policy_.range_duration_max, piece));
  } else {
    n = std::min<std::uint64_t>(n, origin.run_pieces);
    if (peers_possible_ && origin.measured.value > 0) {
      n = std::min(n, pieces_within(origin.measured, policy_.range_duration_max, piece));
    }
  }
  return static_cast<std::uint32_t>(std::max<std::uint64_t>(n, 1));
}

std::optional<Puller::NextLane> Puller::soonest_end(Mode mode, Instant now) const {
  std::optional<NextLane> next;
  for (OriginBook::Origin* origin : origins_.serving()) {
    RateMeter meter = origin->rate;
    const ByteRate rate = meter.rate(now);
    const std::uint32_t fetching = requests_.in_flight(origin->id);
    const bool ahead = runs_at(origin->id) > lanes(mode);
    if (fetching == 0 || rate.value == 0 || ahead) continue;
    for (const auto& [id, request] : requests_.live()) {
      if (request.origin != origin->id) continue;
      const std::uint64_t bytes = request.span.end - std::min(request.span.end, request.progressed);
      const Duration left = time_for(bytes, ByteRate{rate.value / fetching});
      if (!next || left < next->left) next = NextLane{origin, left};
    }
  }
  return next;
}

// ---- helping -----------------------------------------------------------------------------------

// Nothing is left to begin: lanes that are idle help requests to other origins that would end late.
void Puller::rebalance(Mode mode, Instant now, WakeUp& wake) {
  if (!origins_.several() || runs_.empty()) return;
  if (!(mode == Mode::solo ? board_.open() : board_.free()).empty()) return;
  bool idle = false;
  for (std::size_t round = 0; round < lanes_of_all(mode); ++round) {
    bool helped = false;
    for (OriginBook::Origin* origin : origins_.serving()) {
      if (runs_at(origin->id) >= lanes(mode, *origin)) continue;
      idle = true;
      helped = helped || help(mode, *origin, now);
    }
    if (!helped) break;
  }
  if (idle) wake.by(now + kBalanceInterval);
}

// Takes the tail of the request that would end last, or all that is left of it.
bool Puller::help(Mode mode, OriginBook::Origin& origin, Instant now) {
  const bool idle = requests_.in_flight(origin.id) == 0;
  const bool fresh =
      origin.answered ? now - origin.last_byte < kHelpFreshness : idle && origin.failures == 0;
  if (!fresh) return false;
  const Lane lane{ByteRate{speed(origin, now).value / (runs_at(origin.id) + 1)}, origin.latency};
  Run* last = nullptr;
  RequestEnd end;
  for (Run& run : runs_) {
    if (!run.request || run.origin == origin.id || run.mode == ClaimMode::hedge) continue;
    const OriginBook::Origin& other = origins_.at(run.origin);
    const Lane own{ByteRate{speed(other, now).value / requests_.in_flight(other.id)},
                   other.latency};
    const auto ends = foresee(*requests_.find(*run.request), own, lane, now);
    if (!ends || (last != nullptr && ends->left <= end.left)) continue;
    last = &run;
    end = *ends;
  }
  if (last == nullptr) return false;
  const std::uint64_t share = share_for(lane, end);
  if (share == 0) return false;
  if (share >= end.bytes) {
    move(*last, origin, now);
    return true;
  }
  if (runs_.size() >= lanes_max(mode)) return false;
  const std::uint64_t keep = requests_.find(*last->request)->span.end - share;
  const PieceIndex cut = std::max(not_begun(*last), layout_.piece_at(keep - 1) + 1);
  if (cut >= last->pieces.end) return false;
  const PieceSpan given{cut, last->pieces.end};
  const ClaimMode how = last->mode;
  shorten(*last, cut);
  claim(given, how, origin.id, now);
  fetch_settled(mode, now);
  return true;
}

// What the store has of the piece under way is continued.
void Puller::move(Run& run, OriginBook::Origin& origin, Instant now) {
  run.pieces.begin = layout_.piece_at(requests_.find(*run.request)->progressed);
  run.cut = false;
  commands_.emplace_back(CancelRequest{*run.request});
  requests_.close(*run.request);
  begin(run, origin, now);
}

}  // namespace lanward::core
