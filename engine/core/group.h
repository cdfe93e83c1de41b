// A group: the peers that hold the same secrets, and the file that says so (docs/security.md).
#pragma once

#include <array>
#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <lanward/error.h>

#include "engine/core/content.h"
#include "engine/core/merkle.h"

namespace lanward::core {

// What the clock on the wall shows, in whole seconds: validity is agreed between machines.
using WallTime = std::chrono::sys_seconds;

using Secret = std::array<std::uint8_t, 32>;

// One secret that members prove to each other to know.
struct GroupKey {
  std::uint32_t id = 0;  // says which one is meant, and nothing else
  Secret secret{};
  WallTime from;                  // members use it from then on; they accept it before
  std::optional<WallTime> until;  // accepted until then; nothing: for ever

  friend bool operator==(const GroupKey&, const GroupKey&) = default;
};

struct Group {
  std::array<std::uint8_t, 16> id{};  // random; for people and logs
  // Hides which contents the group shares from everybody else. It stays when keys are rotated.
  Secret veil{};
  std::vector<GroupKey> keys;  // one or two, with different ids

  friend bool operator==(const Group&, const Group&) = default;
};
inline constexpr std::size_t kGroupKeysMax = 2;
// A file of a group is some 300 bytes; more is something else.
inline constexpr std::size_t kGroupFileBytesMax = 4096;

// 32 hexadecimal digits; of a key: 8.
[[nodiscard]] std::string group_id_text(const Group& group);
[[nodiscard]] std::string key_id_text(std::uint32_t id);
// "2026-11-21T22:00:00Z".
[[nodiscard]] std::string time_text(WallTime time);

// The file as text, and back. Errors: invalid_argument (line, field and what is wrong; never a
// secret), unsupported (a later version of the format).
[[nodiscard]] std::string format_group(const Group& group);
[[nodiscard]] Result<Group> parse_group(std::string_view text);

// Keys that are accepted now, the one to be preferred first: of those in use the newest, then those
// whose time has not come. At most kGroupKeysMax; none if all have expired.
[[nodiscard]] std::vector<GroupKey> accepted_keys(const Group& group, WallTime now);

// Random bytes of a new group or key, from a source fit for secrets.
struct FreshKey {
  std::uint32_t id = 0;
  Secret secret{};
};
[[nodiscard]] Group make_group(const std::array<std::uint8_t, 16>& id, const Secret& veil,
                               const FreshKey& key, WallTime now);

// With a second key, which is used from now on; the old one is accepted for `overlap`, by when
// every member must have the new file. Expired keys go. Without `overlap` the old keys go at once:
// members that lack the new file are out. Errors: invalid_argument (there are two keys already, and
// until when; the id is taken). REQUIRES: overlap > 0.
[[nodiscard]] Result<Group> rotate_group(const Group& group, const FreshKey& key,
                                         std::optional<std::chrono::seconds> overlap, WallTime now);

// How the group calls the swarm of a content: without the veil nobody can tell which it is.
[[nodiscard]] Digest veiled_name(const Secret& veil, const Digest& infohash, Sha256Fn sha256);

}  // namespace lanward::core
