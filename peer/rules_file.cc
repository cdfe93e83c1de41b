#include "peer/rules_file.h"

#include "peer/small_file.h"

namespace lanward::peer {
namespace {

constexpr mode_t kReadable = 0644;

}  // namespace

Result<core::PeerRules> read_peer_rules(const std::string& path) {
  const auto file = read_small_file(path, core::kPeerRulesBytesMax);
  if (!file) {
    if (file.error().code == ErrorCode::not_found) return core::PeerRules{};
    return tl::unexpected(file.error());
  }
  auto rules = core::parse_peer_rules(file->text);
  if (!rules) return fail(rules.error().code, path + ": " + rules.error().message);
  return rules;
}

Result<void> write_peer_rules(const std::string& path, const core::PeerRules& rules) {
  return replace_small_file(path, core::format_peer_rules(rules), kReadable);
}

}  // namespace lanward::peer
