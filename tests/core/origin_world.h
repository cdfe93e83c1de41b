// One production scheduler that downloads a file from several origins in virtual time, alone or as
// the only puller of a site whose other peers have nothing. Knows nothing of its insides; checks
// what its commands must keep.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/core/events.h"
#include "engine/core/origin_spec.h"
#include "engine/core/policy.h"
#include "engine/core/units.h"

namespace lanward::core {

struct OriginPlan {
  // What goes wrong at an origin for a while.
  struct Spell {
    Duration from{0};
    Duration until = std::chrono::hours{24};
    bool stall = false;    // not a byte; else requests fail, those under way as well
    Failure failure = {};  // its message is written by the world
  };
  struct Mirror {
    std::uint64_t rate = 0;  // bytes a second, shared by its requests
    Duration latency = std::chrono::milliseconds{10};
    OriginSpec spec = {};  // the world gives it a URL if it has none
    bool lies = false;     // every piece is wrong
    bool no_ranges = false;
    std::vector<Spell> spells = {};
  };

  std::uint64_t seed = 1;
  std::vector<Mirror> mirrors;
  std::uint32_t pieces = 256;
  std::uint32_t piece_bytes = 1024 * 1024;
  std::uint64_t link = 0;  // cap of all origins together; 0: none
  bool background = false;
  bool with_peer = false;
  Policy policy = {};
  Duration limit = std::chrono::hours{1};

  [[nodiscard]] std::string describe() const;
};

struct OriginOutcome {
  struct Asked {
    Duration at{0};
    std::size_t mirror = 0;
    FetchRange range;
  };
  bool complete = false;
  std::optional<Error> gave_up;
  std::optional<std::string> violation;  // the first rule that was broken
  Duration took{0};
  std::vector<std::uint64_t> brought;  // by each mirror
  std::uint64_t wasted = 0;            // sent in vain: twice, wrong, or on its way when cancelled
  std::vector<Asked> asked;
  std::vector<Duration> cancelled;  // when
  std::uint32_t most_at_once = 0;
  std::vector<BanSource> bans;
  std::vector<BanCacheHost> host_bans;

  // When the mirror was asked for the first time, at or after a moment.
  [[nodiscard]] std::optional<Duration> first_asked(std::size_t mirror,
                                                    Duration after = Duration{0}) const;
};

// The same plan gives the same outcome.
[[nodiscard]] OriginOutcome run_origin_world(const OriginPlan& plan);

}  // namespace lanward::core
