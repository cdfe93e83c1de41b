// What peers of a swarm say to each other about who fetches which pieces from the origin, and its
// form on the wire (docs/protocol.md).
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include <lanward/error.h>

#include "engine/core/units.h"

namespace lanward::core {

// Names a peer within one swarm; chosen at random by each membership. Its hash with the content's
// id is the rank by which pullers are chosen.
using PeerKey = Id<struct PeerKeyTag, std::uint64_t>;

// Where a peer accepts connections. IPv4 as ::ffff:a.b.c.d. Port 0: not known.
struct Endpoint {
  std::array<std::uint8_t, 16> address{};
  std::uint16_t port = 0;

  friend constexpr auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

// First message on every link, and again whenever `willing` changes.
struct Hello {
  PeerKey key;
  bool willing = false;  // fetches from the origin if its rank is low enough

  friend bool operator==(const Hello&, const Hello&) = default;
};

enum class ClaimMode : std::uint8_t {
  lease,      // a puller's run: nobody else fetches it
  solo,       // of a peer that gave up waiting for others
  hedge,      // a second try of a late piece; does not end the first
  under_way,  // a lease told again to somebody who may not know it: its bytes come already
};

// "I am about to fetch these pieces." Runs are numbered by their claimer, each number used once.
struct Claim {
  std::uint32_t run = 0;
  PieceSpan pieces;  // not empty
  ClaimMode mode = ClaimMode::lease;
  std::uint32_t eta_ms = 0;  // until the whole run is there, as far as the claimer knows

  friend bool operator==(const Claim&, const Claim&) = default;
};

// "These pieces of the run I shall not fetch." Pieces that the run does not hold are ignored.
struct Unclaim {
  std::uint32_t run = 0;
  PieceSpan pieces;

  friend bool operator==(const Unclaim&, const Unclaim&) = default;
};

// "The run is still moving": for runs that outlast their promise.
struct ClaimProgress {
  std::uint32_t run = 0;
  std::uint64_t bytes = 0;   // of the run, so far
  std::uint32_t eta_ms = 0;  // until the whole run is there

  friend bool operator==(const ClaimProgress&, const ClaimProgress&) = default;
};

// "I am idle and nothing is free: give up what you have not begun of this run, as far as you see
// fit." Answered by an Unclaim, or not.
struct SplitRequest {
  std::uint32_t run = 0;

  friend bool operator==(const SplitRequest&, const SplitRequest&) = default;
};

// What the sender knows of the lowest-ranked willing peers, itself included if it is one. Passed on
// from neighbour to neighbour, so that pullers find each other where not everybody is connected to
// everybody.
struct Roster {
  struct Entry {
    PeerKey key;
    Endpoint endpoint;
    std::uint32_t beat = 0;      // counted up by the peer itself while it lives
    std::uint32_t rate_kib = 0;  // its origin rate, KiB/s
    std::uint16_t pullers = 0;   // how many pullers it thinks the site should have

    friend bool operator==(const Entry&, const Entry&) = default;
  };
  std::vector<Entry> entries;  // at most kRosterEntriesMax

  friend bool operator==(const Roster&, const Roster&) = default;
};
// Twice the largest number of pullers (Policy::pullers_max), so that their successors are known.
inline constexpr std::size_t kRosterEntriesMax = 32;

using LeaseMessage = std::variant<Hello, Claim, Unclaim, ClaimProgress, SplitRequest, Roster>;

// Version of the wire format. A message of another version is not understood; peers of different
// versions are plain BitTorrent peers to each other.
inline constexpr std::uint8_t kLeaseWireVersion = 1;
// No message is longer; what is longer need not be read.
inline constexpr std::size_t kLeaseMessageBytesMax = 2 + 1 + kRosterEntriesMax * 36;

// REQUIRES: the message keeps the bounds given above.
[[nodiscard]] std::vector<std::uint8_t> encode(const LeaseMessage& message);
// Errors: unsupported (another version, an unknown kind: to be ignored), invalid_argument (what is
// wrong and at which byte). Whether the pieces exist in the file is not checked here.
[[nodiscard]] Result<LeaseMessage> decode(std::span<const std::uint8_t> bytes);

}  // namespace lanward::core
