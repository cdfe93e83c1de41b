#include "engine/core/origin_book.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "engine/core/failure.h"

namespace lanward::core {
namespace {

// A failed origin that is not asked again for longer than this leaves its work to those that cost
// more: shorter than a person waits, longer than a server needs to start anew.
constexpr Duration kAwayMin = std::chrono::seconds{2};
// Requests that run for this long tell how fast their origin is: the window of its meter.
constexpr Duration kMeasureTime = std::chrono::seconds{1};

}  // namespace

OriginBook::OriginBook(const Policy& policy, std::vector<OriginSpec> specs, bool background,
                       Instant now)
    : policy_(policy), specs_(std::move(specs)), rule_(policy, background, now) {
  for (std::uint32_t i = 0; i < specs_.size(); ++i) {
    any_cache_host_ = any_cache_host_ || specs_[i].price == PriceClass::cache_host;
    origins_.push_back({.id = SourceId{i},
                        .ready_at = now,
                        .backoff = {},
                        .no_ranges = specs_[i].no_ranges,
                        .dead = {},
                        .banned_until = specs_[i].banned_until,
                        .rate = RateMeter(now),
                        .measured = {},
                        .busy_since = now,
                        .last_byte = now,
                        .speed = {}});
  }
  choose(now);
}

// ---- whom to ask -------------------------------------------------------------------------------

bool OriginBook::can_serve(const Origin& origin, bool cache_hosts_first, Instant now) const {
  if (origin.dead || !may_ever_serve(origin)) return false;
  if (is_cache_host(origin) && !cache_hosts_first) return false;
  if (origin.banned_until && *origin.banned_until > now) return false;
  return !origin.away || origin.ready_at <= now || (is_cache_host(origin) && rule_.waits());
}

void OriginBook::choose(Instant now) {
  serving_.clear();
  preferred_ = nullptr;
  next_due_.reset();
  const bool failing = std::none_of(origins_.begin(), origins_.end(), [&](const Origin& o) {
    return is_cache_host(o) && !o.dead && o.failures == 0;
  });
  const bool cache_hosts_first = any_cache_host_ && rule_.prefers_cache_hosts(failing, now);
  for (const PriceClass price : {PriceClass::cache_host, PriceClass::normal, PriceClass::costly}) {
    serve(price, cache_hosts_first, now);
    if (preferred_ != nullptr) break;
  }
  const bool found = preferred_ != nullptr;
  // Nobody can serve: whoever is ready first is asked. A ban, or a turn to the ordinary origins,
  // only spares a transfer that has somebody else to wait for.
  const auto rank = [&](const Origin& o) {
    const bool banned = o.banned_until && *o.banned_until > now;
    return std::pair(banned || (is_cache_host(o) && !cache_hosts_first), o.ready_at);
  };
  for (Origin& origin : origins_) {
    if (origin.dead || !may_ever_serve(origin)) continue;
    if (!found && (preferred_ == nullptr || rank(origin) < rank(*preferred_))) {
      preferred_ = &origin;
    }
    for (const auto& due : {std::optional(origin.ready_at), origin.banned_until}) {
      if (due && *due > now) next_due_ = std::min(next_due_.value_or(*due), *due);
    }
  }
  if (!found && preferred_ != nullptr && preferred_->ready_at <= now) {
    serving_.push_back(preferred_);
  }
  if (!several()) next_due_.reset();
  if (const auto deadline = rule_.deadline(); any_cache_host_ && deadline && *deadline > now) {
    next_due_ = std::min(next_due_.value_or(*deadline), *deadline);
  }
}

// The origins of one class, if one of them can serve: those that are ready, with ranges if any of
// these has them.
void OriginBook::serve(PriceClass price, bool cache_hosts_first, Instant now) {
  bool ranges = false;
  for (Origin& origin : origins_) {
    if (specs_[origin.id.value].price != price || !can_serve(origin, cache_hosts_first, now)) {
      continue;
    }
    // One that waits for a moment only keeps the class in place.
    const auto rank = [&](const Origin& o) {
      return std::tuple(o.no_ranges, std::max(o.ready_at, now), o.failures > 0);
    };
    if (preferred_ == nullptr || rank(origin) < rank(*preferred_)) preferred_ = &origin;
    ranges = ranges || !origin.no_ranges;
    if (origin.ready_at <= now) serving_.push_back(&origin);
  }
  std::erase_if(serving_, [&](const Origin* o) { return o->no_ranges && ranges; });
}

ByteRate OriginBook::speed(const Origin& origin, bool busy, Instant now) const {
  if (origin.speed.value == 0 || !busy || now - origin.busy_since < kMeasureTime) {
    return origin.speed;
  }
  RateMeter meter = origin.rate;
  return meter.rate(now);
}

ByteRate OriginBook::rate(Instant now) {
  std::uint64_t sum = 0;
  for (Origin& origin : origins_) sum += origin.rate.rate(now).value;
  return ByteRate{sum};
}

ByteRate OriginBook::measured() const {
  std::uint64_t sum = 0;
  for (const Origin* origin : serving_) sum += origin->measured.value;
  if (serving_.empty() && preferred_ != nullptr) sum = preferred_->measured.value;
  return ByteRate{sum};
}

// ---- what became of it -------------------------------------------------------------------------

void OriginBook::begun(Origin& origin, bool first, Instant now) {
  if (!first) return;
  origin.busy_since = now;
  origin.last_byte = now;
}

void OriginBook::progressed(Origin& origin, ByteCount bytes, Instant now) {
  origin.rate.add(bytes, now);
  origin.failures = 0;
  origin.away = false;
  origin.answered = true;
  origin.backoff.reset();
  origin.last_byte = now;
  if (now - origin.busy_since >= kMeasureTime) origin.speed = origin.rate.rate(now);
}

void OriginBook::finished(Origin& origin, std::uint32_t pieces_max, Instant now) {
  origin.measured = origin.rate.rate(now);
  if (now - origin.busy_since < kMeasureTime) {
    origin.speed = std::max(origin.speed, origin.measured);
  }
  origin.run_pieces = std::min(origin.run_pieces * 2, pieces_max);
}

void OriginBook::failed(Origin& origin, const Failure& failure, bool whole_file, bool brought,
                        Prng& prng, Instant now) {
  switch (failure.kind) {
    case FailureClass::transient:
    case FailureClass::rate_limited: {
      Error error = error_of(failure);
      // Each begins at the first byte again, so bytes are no sign that it gets anywhere.
      bool hopeless = false;
      if (whole_file && failure.kind == FailureClass::transient) {
        error.message += "; the server has no ranges, so the file begins anew each time";
        hopeless = ++origin.broken_files >= policy_.origin_failures_max;
      }
      last_transient_ = error;
      origin.run_pieces = 1;
      if (origin.failures > 0 && origin.ready_at > now) {
        // Requests that ran side by side and broke together are one failure.
        origin.ready_at = std::max(origin.ready_at, now + failure.retry_after);
        origin.away = origin.ready_at - now > kAwayMin;
        return;
      }
      rule_.failed(is_cache_host(origin), failure, brought);
      if (++origin.failures >= policy_.origin_failures_max || hopeless) origin.dead = error;
      origin.ready_at = std::max(
          origin.ready_at, now + std::max(failure.retry_after, origin.backoff.next(policy_, prng)));
      origin.away = origin.ready_at - now > kAwayMin;
      return;
    }
    case FailureClass::no_ranges:
      if (whole_file) origin.dead = Error{ErrorCode::origin_rejected, failure.message};
      origin.no_ranges = true;
      return;
    case FailureClass::local:
      // The store reports its own failure; until it does, asking again at once would spin.
      origin.ready_at = now + origin.backoff.next(policy_, prng);
      return;
    case FailureClass::permanent:
    case FailureClass::changed:
    case FailureClass::protocol:
      rule_.failed(is_cache_host(origin), failure, brought);
      origin.dead = error_of(failure);
      return;
  }
}

std::optional<BanCacheHost> OriginBook::ban(Origin& origin, const Failure& failure, Instant now) {
  if (!is_cache_host(origin) || (!failure.refused && !failure.unreachable)) return std::nullopt;
  const OriginSpec& spec = specs_[origin.id.value];
  if (failure.refused || !rule_.waits()) {
    for (Origin& other : origins_) {
      const OriginSpec& same = specs_[other.id.value];
      if (!is_cache_host(other) || same.cache_host != spec.cache_host) continue;
      if (failure.refused && same.original_host != spec.original_host) continue;
      other.banned_until = now + policy_.cache_host_ban;
    }
  }
  return BanCacheHost{spec.cache_host, failure.refused ? spec.original_host : std::string(),
                      policy_.cache_host_ban};
}

std::string OriginBook::name(SourceId id) const {
  std::string url = specs_[id.value].url;
  url.resize(std::min(url.size(), url.find_first_of("?#")));
  const std::size_t host = url.find("://");
  const std::size_t at = url.find('@');
  if (host == std::string::npos || at == std::string::npos || at > url.find('/', host + 3)) {
    return url;
  }
  return url.erase(host + 3, at - host - 2);
}

bool OriginBook::blame(Origin& origin, const std::string& what, bool alone) {
  (alone ? origin.bad_pieces : origin.bad_shares) += 1;
  const bool guilty =
      origin.bad_pieces >= policy_.bad_pieces_max || origin.bad_shares >= policy_.bad_shares_max;
  if (!guilty || origin.dead) return false;
  origin.dead = Error{ErrorCode::integrity, what + "; source: " + name(origin.id) +
                                                "; its copy differs from what was published"};
  return true;
}

const Error* OriginBook::death_of_all() const {
  const Error* worst = nullptr;
  for (const Origin& origin : origins_) {
    if (!may_ever_serve(origin)) continue;
    if (!origin.dead) return nullptr;
    // Wrong bytes are worth more attention than a refusal elsewhere.
    if (worst == nullptr || origin.dead->code == ErrorCode::integrity) worst = &*origin.dead;
  }
  return worst;
}

}  // namespace lanward::core
