// The origins of a transfer: whom to ask, when, and why others are out.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/core/backoff.h"
#include "engine/core/cache_host_rule.h"
#include "engine/core/events.h"
#include "engine/core/origin_spec.h"
#include "engine/core/policy.h"
#include "engine/core/prng.h"
#include "engine/core/rate_meter.h"
#include "engine/core/units.h"

namespace lanward::core {

class OriginBook {
 public:
  struct Origin {
    SourceId id;
    Instant ready_at;
    Backoff backoff;
    bool away = false;           // until ready_at it does not count as one that can serve
    std::uint32_t failures = 0;  // in a row, without a byte in between
    std::uint32_t bad_pieces = 0;
    std::uint32_t bad_shares = 0;
    std::uint32_t good_pieces = 0;  // from its hand alone
    std::uint32_t run_pieces = 1;   // length of the next range; doubles while ranges succeed
    // Whole files that ended early.
    std::uint32_t broken_files = 0;
    bool no_ranges = false;
    std::optional<Error> dead;
    std::optional<Instant> banned_until;
    RateMeter rate;
    ByteRate measured;      // at the end of the latest range; zero: unknown
    Instant busy_since;     // when it got the first of its present requests
    Instant last_byte;      // or when it got that request
    ByteRate speed;         // the latest that its requests made together; zero: unknown
    Duration latency{};     // the least from a request to its first byte; zero: unknown
    bool answered = false;  // it has ever brought a byte
  };

  OriginBook(const Policy& policy, std::vector<OriginSpec> specs, bool background, Instant now);

  [[nodiscard]] Origin& at(SourceId id) { return origins_[id.value]; }
  [[nodiscard]] const OriginSpec& spec(SourceId id) const { return specs_[id.value]; }
  // For messages: the URL without user, password and query.
  [[nodiscard]] std::string name(SourceId id) const;
  [[nodiscard]] bool none() const { return origins_.empty(); }
  // There is a choice: some of the rules for one origin are not worth their price then.
  [[nodiscard]] bool several() const { return origins_.size() > 1; }
  void set_background(bool background) { rule_.set_background(background); }

  // ---- whom to ask ----

  // Looks at all origins anew; what follows holds until the next call or failure.
  void choose(Instant now);
  // The origins that may be asked now: of one price class, and either all with ranges or, when
  // there is nothing better, all without.
  [[nodiscard]] std::span<Origin* const> serving() const { return serving_; }
  // The best of those; else the one that is ready soonest. Null when there is nobody to wait for.
  [[nodiscard]] Origin* preferred() const { return preferred_; }
  // When others than the preferred may join in, if there are others.
  [[nodiscard]] std::optional<Instant> next_due() const { return next_due_; }
  // What the origin gives, all its requests together; zero: unknown.
  [[nodiscard]] ByteRate speed(const Origin& origin, bool busy, Instant now) const;
  // Of all origins together: now / as measured at the ends of ranges, of those that serve.
  [[nodiscard]] ByteRate rate(Instant now);
  [[nodiscard]] ByteRate measured() const;

  // ---- what became of it ----

  void begun(Origin& origin, bool first, Instant now);
  void progressed(Origin& origin, ByteCount bytes, Instant now);
  void finished(Origin& origin, std::uint32_t pieces_max, Instant now);
  // `brought`: the request has delivered some bytes.
  void failed(Origin& origin, const Failure& failure, bool whole_file, bool brought, Prng& prng,
              Instant now);
  // What others are to know of a cache host that failed.
  [[nodiscard]] std::optional<BanCacheHost> ban(Origin& origin, const Failure& failure,
                                                Instant now);
  // Counts a bad piece, which `what` describes; true when that was one too many.
  bool blame(Origin& origin, const std::string& what, bool alone);

  // Why every origin is dead; null while one lives, or if there never was one.
  [[nodiscard]] const Error* death_of_all() const;
  [[nodiscard]] const std::optional<Error>& last_transient() const { return last_transient_; }

 private:
  [[nodiscard]] bool is_cache_host(const Origin& origin) const {
    return specs_[origin.id.value].price == PriceClass::cache_host;
  }
  [[nodiscard]] bool may_ever_serve(const Origin& origin) const {
    return !only_cache_hosts() || is_cache_host(origin);
  }
  [[nodiscard]] bool only_cache_hosts() const {
    return any_cache_host_ && rule_.never_falls_back();
  }
  [[nodiscard]] bool can_serve(const Origin& origin, bool cache_hosts_first, Instant now) const;
  void serve(PriceClass price, bool cache_hosts_first, Instant now);

  const Policy& policy_;
  const std::vector<OriginSpec> specs_;  // SourceId n is specs_[n]
  std::vector<Origin> origins_;
  CacheHostRule rule_;
  bool any_cache_host_ = false;
  std::vector<Origin*> serving_;
  Origin* preferred_ = nullptr;
  std::optional<Instant> next_due_;
  std::optional<Error> last_transient_;
};

}  // namespace lanward::core
