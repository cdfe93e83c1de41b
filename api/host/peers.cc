#include <lanward/peers.h>

#include <utility>

#include "engine/core/peer_rules.h"
#include "peer/rules_file.h"

namespace lanward {

Result<std::string> peer_network(const std::string& text) {
  const auto network = core::parse_network(text);
  if (!network) return tl::unexpected(network.error());
  return core::to_string(*network);
}

Result<PeerRules> read_peer_rules(const std::string& path) {
  const auto read = peer::read_peer_rules(path);
  if (!read) return tl::unexpected(read.error());
  PeerRules rules{.serving = read->serving, .private_only = read->private_only};
  for (const auto& [from, to] :
       {std::pair{&read->allow, &rules.allow}, std::pair{&read->deny, &rules.deny},
        std::pair{&read->ban, &rules.ban}}) {
    for (const core::Network& network : *from) to->push_back(core::to_string(network));
  }
  return rules;
}

Result<void> write_peer_rules(const std::string& path, const PeerRules& rules) {
  core::PeerRules written{.serving = rules.serving, .private_only = rules.private_only};
  for (const auto& [from, to] :
       {std::pair{&rules.allow, &written.allow}, std::pair{&rules.deny, &written.deny},
        std::pair{&rules.ban, &written.ban}}) {
    if (from->size() > core::kPeerRulesMax) {
      return fail(ErrorCode::invalid_argument, "rules of peers: too many addresses");
    }
    for (const std::string& text : *from) {
      const auto network = core::parse_network(text);
      if (!network) return tl::unexpected(network.error());
      to->push_back(*network);
    }
  }
  return peer::write_peer_rules(path, written);
}

}  // namespace lanward
