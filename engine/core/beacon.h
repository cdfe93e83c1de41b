// The beacon: how peers of a network find each other without a server (docs/protocol.md). Pure:
// bytes and times come in, datagrams and hits go out.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include <lanward/error.h>

#include "engine/core/content.h"
#include "engine/core/group.h"
#include "engine/core/merkle.h"
#include "engine/core/prng.h"
#include "engine/core/units.h"

namespace lanward::core {

// "I accept connections for these contents on this port", at the address it comes from.
struct BeaconMessage {
  std::uint64_t sender = 0;         // random; of one run of a process
  std::uint32_t sequence = 0;       // counts the sender's datagrams
  WallTime time;                    // when it was sent
  std::uint16_t port = 0;           // not 0
  std::vector<std::uint64_t> tags;  // of contents; 1 to kBeaconTagsMax

  friend bool operator==(const BeaconMessage&, const BeaconMessage&) = default;
};

// So that a datagram is never cut in pieces on the way: 1200 bytes.
inline constexpr std::size_t kBeaconTagsMax = 140;
inline constexpr std::size_t kBeaconBytesMax =
    4 + 1 + 8 + 4 + 8 + 2 + 1 + kBeaconTagsMax * 8 + kGroupKeysMax * (4 + 16);

// The tag of a content at a time. Who does not know the swarm's name cannot tell which content it
// is, nor, from one hour to the next, whether it is the same.
[[nodiscard]] std::uint64_t beacon_tag(const Digest& swarm, WallTime time, Sha256Fn sha256);

// `keys`: those that are accepted, of a group; without any the message is open to everybody.
// REQUIRES: the bounds above, at most kGroupKeysMax keys.
[[nodiscard]] std::vector<std::uint8_t> write_beacon(const BeaconMessage& message,
                                                     std::span<const GroupKey> keys,
                                                     Sha256Fn sha256);
// Errors: unsupported (another version), invalid_argument (malformed, and where), access_denied
// (not by a member: no proof with one of these keys, or a proof where there is no group).
[[nodiscard]] Result<BeaconMessage> read_beacon(std::span<const std::uint8_t> bytes,
                                                std::span<const GroupKey> keys, Sha256Fn sha256);

// Which datagrams are heard again, or too late.
class BeaconMemory {
 public:
  // Clocks of a site may differ by so much; what is older may be a recording.
  static constexpr std::chrono::seconds kClockSkewMax{300};
  // Senders remembered; the one heard least recently makes room.
  static constexpr std::size_t kSendersMax = 4096;

  // False: it has been heard already, or is of another time.
  [[nodiscard]] bool is_news(const BeaconMessage& message, WallTime now);
  [[nodiscard]] std::size_t size() const { return senders_.size(); }

 private:
  struct Sender {
    std::uint32_t highest = 0;
    std::uint64_t seen = 0;  // bits: highest, the one before it, and so on
    std::uint64_t heard_at = 0;
  };
  std::map<std::uint64_t, Sender> senders_;
  std::uint64_t heard_ = 0;
};

// When which contents are announced. A content is announced at once and a few times soon after, for
// what the network loses, and then now and then, for those who were not there.
class BeaconSchedule {
 public:
  using ContentId = Id<struct BeaconContentTag, std::uint64_t>;

  static constexpr std::array<std::chrono::milliseconds, 3> kRepeats{
      std::chrono::milliseconds{100}, std::chrono::milliseconds{400},
      std::chrono::milliseconds{1600}};
  // Of each content, a quarter more or less by chance, so that a site's beacons spread.
  static constexpr std::chrono::seconds kPeriod{60};
  // What falls due this soon goes along in the same datagram.
  static constexpr std::chrono::seconds kGather{5};
  // Datagrams: 1,000 contents that start at once need 8 at a time, four times over.
  static constexpr std::uint32_t kBurst = 40;
  static constexpr std::uint32_t kPerSecond = 20;

  explicit BeaconSchedule(std::uint64_t seed) : random_(Seed{seed}) {}

  void add(ContentId id, Instant now);
  void remove(ContentId id) { contents_.erase(id); }
  // Contents to be announced now, at most kBeaconTagsMax; empty: nothing is due, or too much was
  // sent lately. Again until it is empty.
  [[nodiscard]] std::vector<ContentId> due(Instant now);
  // When to ask again; nothing: when something is added.
  [[nodiscard]] std::optional<Instant> next() const;
  // An interface has come up: everything is announced anew.
  void restart(Instant now);

 private:
  struct Content {
    Instant due;
    std::size_t repeats = 0;  // so far
  };
  void sent(Content& content, Instant now);
  [[nodiscard]] bool take_token(Instant now);

  std::map<ContentId, Content> contents_;
  Prng random_;
  std::uint32_t tokens_ = kBurst;
  std::optional<Instant> refilled_;
  std::optional<Instant> held_until_;
};

// Whether to dial somebody who announces a content of ours: everybody does as long as it has few
// neighbours itself; of many only some, so that a newcomer is not dialled by a thousand at once.
inline constexpr std::uint32_t kBeaconNeighbours = 32;
[[nodiscard]] bool answers_beacon(std::uint32_t neighbours, Prng& random);

}  // namespace lanward::core
