// Several production schedulers that download one small file from one origin in virtual time, and
// the rules that their commands must keep. Knows nothing of their insides.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/core/policy.h"
#include "engine/core/units.h"

namespace lanward::core {

struct LeasePlan {
  enum class Role : std::uint8_t {
    honest,
    plain,    // honest, but does not speak of leases
    liar,     // announces every piece and delivers none
    hog,      // claims everything again and again and fetches nothing
    zeno,     // a hog that reports progress
    babbler,  // says anything: other peers' keys, pieces that do not exist, runs of others
  };
  struct Machine {
    Role role = Role::honest;
    Seed seed;
    Duration joins{0};
    std::uint32_t slowness = 1;           // its origin rate is 1/n of the others'
    std::optional<Duration> dies = {};    // in silence: the others notice after silence_noticed
    std::optional<Duration> leaves = {};  // tells everybody
  };
  // Two machines lose their connection and find each other again.
  struct Cut {
    std::uint32_t a = 0;
    std::uint32_t b = 0;
    Duration at{0};
    Duration lasts{0};
  };
  struct Outage {  // of the origin, for everybody
    Duration at{0};
    Duration lasts{0};
  };

  std::uint64_t seed = 0;  // of everything left to chance on the way: delays, losses, sources
  std::vector<Machine> machines;
  std::uint32_t pieces = 16;
  Policy policy;
  Duration wan_piece{0};  // one piece at the rate of the whole site
  Duration lan_piece{0};
  Duration message_min{0};
  Duration message_max{0};
  Duration silence_noticed = std::chrono::milliseconds{1500};
  std::uint32_t loss_percent = 0;       // of lease messages
  std::uint32_t duplicate_percent = 0;  // of lease messages
  bool reorder = false;                 // lease messages overtake each other
  bool sparse = false;                  // machines know only their neighbours in a ring at first
  std::vector<Cut> cuts;
  std::vector<Outage> outages;

  // Everybody is honest, hears everything in time and lives: nothing may be fetched twice.
  [[nodiscard]] bool clean() const;
  // Whoever is connected to anybody is known to everybody, lost messages apart.
  [[nodiscard]] bool equal_views() const;
  [[nodiscard]] std::string describe() const;
};

struct LeaseOutcome {
  std::optional<std::string> violation;  // the first rule that was broken, by whom and when
  std::uint64_t origin_bytes = 0;        // sent by the origin, including what was cancelled
  std::uint32_t hedges = 0;              // pieces
  std::uint64_t messages = 0;
  std::uint64_t steps = 0;
  Duration finished{0};               // the last honest machine
  std::vector<std::string> log = {};  // if asked for
};

// The same plan gives the same outcome.
[[nodiscard]] LeaseOutcome run_lease_world(const LeasePlan& plan, bool with_log = false);

inline constexpr std::uint32_t kLeasePieceBytes = 256 * 1024;

}  // namespace lanward::core
