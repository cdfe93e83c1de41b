#include "engine/core/download_mode.h"

#include <string>

namespace lanward::core {
namespace {

std::string name_of(DownloadMode mode) {
  return "download mode " + std::to_string(static_cast<int>(mode)) + " (" + to_string(mode) + ")";
}

}  // namespace

ModeRules rules_of(DownloadMode mode) {
  switch (mode) {
    case DownloadMode::cdn_only:
      return {.peers = false, .members_only = false, .look_up = true, .keep = true};
    case DownloadMode::lan:
      return {.peers = true, .members_only = false, .look_up = true, .keep = true};
    case DownloadMode::group:
      return {.peers = true, .members_only = true, .look_up = true, .keep = true};
    case DownloadMode::simple:
      return {.peers = false, .members_only = false, .look_up = false, .keep = true};
    case DownloadMode::internet:  // choose_mode() refuses it
    case DownloadMode::bypass:
      break;
  }
  return {};
}

Result<DownloadMode> choose_mode(std::optional<DownloadMode> named, const ModeWishes& wishes) {
  if (!named) {
    if (!wishes.peers) return DownloadMode::cdn_only;
    return wishes.group ? DownloadMode::group : DownloadMode::lan;
  }
  if (*named == DownloadMode::internet) {
    return fail(ErrorCode::unsupported,
                name_of(*named) + " is not supported: peers are in the local network or a group");
  }
  const ModeRules rules = rules_of(*named);
  const auto contradicts = [&](const char* what) {
    return fail(ErrorCode::invalid_argument, name_of(*named) + " contradicts " + what);
  };
  if (rules.members_only && !wishes.group) {
    return fail(ErrorCode::invalid_argument,
                name_of(*named) + " needs a group: name its file with --group (group_file)");
  }
  if (rules.peers && !wishes.peers) return contradicts("--no-peers (peers_enabled is false)");
  if (!rules.members_only && wishes.group) {
    return contradicts("--group (group_file): only mode 2 has members");
  }
  if (!rules.peers && wishes.listen) return contradicts("--listen: it has no peers");
  if (!rules.peers && wishes.share_cached) {
    return contradicts("offering the cache to peers (shared_contents_max): it has no peers");
  }
  return *named;
}

}  // namespace lanward::core
