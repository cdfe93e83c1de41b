// What is simulated: a site, its origin, one file, and what goes wrong. From a TOML file
// (docs/scenarios.md) or from code.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <lanward/error.h>

#include "engine/core/policy.h"
#include "simulator/origin.h"
#include "simulator/store.h"
#include "simulator/swarm.h"

namespace lanward::simulator {

// Shares are counted in parts of a million, so that arithmetic on them is exact.
inline constexpr std::uint32_t kWhole = 1'000'000;

// When the machines begin.
struct JoinPlan {
  core::Duration within{std::chrono::milliseconds{100}};  // all at random times within this
  core::Duration every{0};                                // not zero: machine k at k * every
  std::uint32_t late_ppm = 0;                             // this share of them...
  core::Duration late_within{std::chrono::seconds{5}};    // ...at random times within this instead
};

enum class FaultKind : std::uint8_t {
  kill,        // machines fall silent for ever
  leave,       // machines say goodbye and go
  wan_down,    // no byte passes the WAN link
  wan_up,      // ends it
  partition,   // some machines reach the origin and one another, but not the rest of the site
  heal,        // ends it
  origin_429,  // the origin turns requests away
};

enum class FaultWho : std::uint8_t {
  any,      // at random
  pullers,  // of those that fetch a range from the origin at that moment
  listed,
};

struct Fault {
  core::Duration at{0};
  FaultKind kind = FaultKind::kill;
  FaultWho who = FaultWho::any;
  std::uint32_t peers = 0;            // how many, unless listed; partition: 0 is half of them
  std::vector<std::uint32_t> listed;  // machines, 0..peers-1
  core::Duration lasts{0};            // zero: until another fault ends it
  core::Duration retry_after{std::chrono::seconds{1}};  // origin_429: what it asks for
};

enum class AdversaryKind : std::uint8_t {
  have_liar,      // offers every piece and serves none
  hog,            // claims pieces and never fetches them
  fake_progress,  // a hog that keeps telling how well it gets on
  slow,           // honest, with 1/50 of an uplink and 1/200 of the WAN
};

struct Adversary {
  AdversaryKind kind = AdversaryKind::hog;
  std::uint32_t count = 1;
  bool lowest_rank = false;  // with keys that rank before every honest machine's
};

// Everything that fixes a run. Equal scenarios give equal results, on every platform.
struct Scenario {
  std::string title;
  std::uint64_t seed = 1;
  std::uint32_t peers = 8;  // adversaries included
  core::ByteCount size{64 * core::kMiB};
  std::uint32_t piece_bytes = 0;    // 0: the canonical choice for the size
  core::ByteRate wan{12'500'000};   // shared by the site
  core::ByteRate lan{125'000'000};  // each machine, up and down
  std::uint32_t never_pullers = 0;  // of the machines, the first: Policy::never_puller
  JoinPlan join;
  OriginSettings origin;
  SwarmSettings swarm;
  StoreSettings store;
  core::Policy policy;
  std::vector<Fault> faults;
  std::uint32_t churn_ppm = 0;  // share of the machines that die and are replaced, per minute
  std::vector<Adversary> adversaries;
  // Parts of the origin's copy that are wrong.
  std::vector<core::ByteSpan> corrupt;
};

inline constexpr std::uint32_t kPeersMax = 100'000;
inline constexpr core::ByteCount kSizeMax{1ULL << 44U};
inline constexpr core::Duration kDelayMax = std::chrono::hours{1};
// More is a slip of the pen; each fault is an event of its own.
inline constexpr std::size_t kFaultsMax = 1000;
inline constexpr std::size_t kAdversariesMax = 1000;

// Reads the text of a scenario file. `overrides` are "table.key=VALUE" and win over the text; a
// VALUE that is not TOML is a string. Errors: invalid_argument, "NAME:LINE: table.key: ...".
[[nodiscard]] Result<Scenario> parse_scenario(std::string_view name, std::string_view text,
                                              std::span<const std::string> overrides = {});
// The same from a file. Errors: also not_found.
[[nodiscard]] Result<Scenario> load_scenario(const std::string& path,
                                             std::span<const std::string> overrides = {});

// Errors: invalid_argument, naming the value.
[[nodiscard]] Result<void> validate(const Scenario& scenario);

// No site can be faster: the file must cross the WAN once, reach each machine over its downlink,
// and all copies must come from the WAN and the uplinks. Adversaries need no copy and give nothing.
[[nodiscard]] core::Duration bound(const Scenario& scenario);

// Machines that are to finish.
[[nodiscard]] std::uint32_t honest_peers(const Scenario& scenario);
// Nothing happens that could make two machines see the site differently: the rules that hold
// between machines hold without exception.
[[nodiscard]] bool undisturbed(const Scenario& scenario);

// Rounded up; saturates instead of overflowing. REQUIRES: rate > 0.
[[nodiscard]] core::Duration transfer_time(std::uint64_t bytes, std::uint64_t rate);

}  // namespace lanward::simulator
