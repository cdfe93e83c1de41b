#include <lanward/group.h>

#include <algorithm>
#include <array>
#include <utility>

#include "engine/core/group.h"
#include "peer/group_file.h"

namespace lanward {
namespace {

core::WallTime wall_time() {
  return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

core::FreshKey fresh_key() {
  core::FreshKey key;
  std::array<std::uint8_t, 4> id{};
  peer::fill_random(id);
  for (const std::uint8_t byte : id) key.id = key.id << 8U | byte;
  peer::fill_random(key.secret);
  return key;
}

GroupInfo info_of(const core::Group& group) {
  GroupInfo info{.id = core::group_id_text(group)};
  const auto accepted = core::accepted_keys(group, wall_time());
  for (const core::GroupKey& key : group.keys) {
    const auto found = std::find(accepted.begin(), accepted.end(), key);
    info.keys.push_back({.id = core::key_id_text(key.id),
                         .from = key.from,
                         .until = key.until,
                         .accepted = found != accepted.end(),
                         .preferred = !accepted.empty() && found == accepted.begin()});
  }
  return info;
}

}  // namespace

Result<GroupInfo> create_group(const std::string& path) {
  std::array<std::uint8_t, 16> id{};
  core::Secret veil{};
  peer::fill_random(id);
  peer::fill_random(veil);
  const core::Group group = core::make_group(id, veil, fresh_key(), wall_time());
  if (auto written = peer::create_group_file(path, group); !written) {
    return tl::unexpected(written.error());
  }
  return info_of(group);
}

Result<GroupInfo> rotate_group(const std::string& path,
                               std::optional<std::chrono::seconds> overlap) {
  const auto group = peer::read_group(path);
  if (!group) return tl::unexpected(group.error());
  const auto rotated = core::rotate_group(*group, fresh_key(), overlap, wall_time());
  if (!rotated) return fail(rotated.error().code, path + ": " + rotated.error().message);
  if (auto written = peer::replace_group_file(path, *rotated); !written) {
    return tl::unexpected(written.error());
  }
  return info_of(*rotated);
}

Result<GroupInfo> describe_group(const std::string& path) {
  const auto group = peer::read_group(path);
  if (!group) return tl::unexpected(group.error());
  return info_of(*group);
}

}  // namespace lanward
