// What the downloads of an engine share about origins: the limits of bandwidth, and the cache hosts
// that are left alone for a while. Routes; the rules are in engine/core.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>

#include "engine/core/bandwidth_governor.h"
#include "engine/core/events.h"
#include "engine/core/host_bans.h"
#include "engine/core/origin_spec.h"
#include "engine/core/units.h"
#include "engine/jobs/ports.h"
#include "engine/ports/loop.h"

namespace lanward::jobs {

// Loop thread only.
class OriginControl {
 public:
  // Fetches from origins. Not called from inside a call to this but join().
  class User {
   public:
    [[nodiscard]] virtual bool is_foreground() const = 0;
    [[nodiscard]] virtual bool is_asking() const = 0;  // requests are under way
    // From origins, since it joined or before; never less than before.
    [[nodiscard]] virtual core::ByteCount origin_bytes() const = 0;
    // Zero: no limit.
    virtual void limit_origins(core::ByteRate rate) = 0;

   protected:
    ~User() = default;
  };

  // REQUIRES: check_limits(settings.bandwidth).
  OriginControl(const Ports& ports, const EngineSettings& settings);
  OriginControl(const OriginControl&) = delete;
  OriginControl& operator=(const OriginControl&) = delete;

  // Its limit is told before this returns, and again whenever it changes, until it leaves.
  void join(User& user);
  void leave(User& user);

  // Carries out the scheduler's command.
  void ban(const core::BanCacheHost& command);
  // Until when other transfers have banned it, if it is a cache host.
  [[nodiscard]] std::optional<core::Instant> banned_until(const core::OriginSpec& origin) const;

 private:
  struct Entry {
    User* user = nullptr;
    core::ByteRate rate;  // told last
  };

  void decide();

  const Ports& ports_;
  const EngineSettings& settings_;
  const bool limited_;
  core::BandwidthGovernor governor_;
  core::HostBans bans_;
  std::map<core::BandwidthUser, Entry> users_;
  std::uint64_t last_user_ = 0;
  std::unique_ptr<ports::Timer> timer_;
};

}  // namespace lanward::jobs
