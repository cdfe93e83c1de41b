#include "engine/core/peers_answer.h"

#include "engine/core/download_mode.h"

namespace lanward::core {
namespace {

std::string counted(std::uint32_t n, const char* one, const char* many) {
  return std::to_string(n) + " " + (n == 1 ? one : many);
}

const char* text_of(PeerRefusal refusal) {
  switch (refusal) {
    case PeerRefusal::wrong_key:
      return "its key of the group is another one";
    case PeerRefusal::no_member:
      return "it did not prove that it is a member of the group";
    case PeerRefusal::protocol:
    case PeerRefusal::none:
      break;
  }
  return "it closed the connection or speaks another protocol";
}

std::string text_of(const PeersFacts& facts, PeersReason reason) {
  switch (reason) {
    case PeersReason::idle:
      return "the file is not in use";
    case PeersReason::undecided:
      return "the manifest is still being looked for";
    case PeersReason::connected:
      return counted(facts.connected, "peer is", "peers are") + " connected";
    case PeersReason::looking:
      return "looking for peers, none found for " + std::to_string(facts.looking.count()) + " s";
    case PeersReason::serving:
      return "the file is complete and offered to peers, none asks for it";
    case PeersReason::mode:
      return "download mode " + std::to_string(static_cast<int>(facts.file.mode)) + " (" +
             to_string(facts.file.mode) + ") has no peers";
    case PeersReason::not_asked:
      return "peers are switched off (--no-peers)";
    case PeersReason::private_content:
      return facts.file.credentials
                 ? "private: the source is asked with credentials, and its manifest does not let "
                   "the file be shared"
                 : "private: the cache has it from a source that was asked with credentials";
    case PeersReason::no_manifest:
      return "there is no manifest to check peers' bytes against";
    case PeersReason::empty_file:
      return "the file is empty";
    case PeersReason::not_started:
      return "the part for peers has not been started: the file may be there before";
    case PeersReason::module_missing:
    case PeersReason::failed:
      return facts.trouble.empty() ? "the part for peers could not be started" : facts.trouble;
    case PeersReason::rules_stopped:
      return "the rules have stopped all peers: lanward peers start ends that";
    case PeersReason::addresses_refused:
      return "the rules refuse " +
             counted(facts.view.refused_by_rules, "address that was", "addresses that were") +
             " found: lanward peers show tells the rules";
    case PeersReason::handshake_refused:
      return counted(facts.view.refused, "connection was", "connections were") +
             " refused, the last because " + text_of(facts.view.last_refusal);
    case PeersReason::busy:
      return "there are as many connections to peers as --peer-connections allows";
  }
  return {};
}

}  // namespace

std::optional<PeersReason> peers_barrier(const FilePeers& file) {
  if (!file.asked) return PeersReason::not_asked;
  if (!rules_of(file.mode).peers) return PeersReason::mode;
  if (file.searching) return PeersReason::undecided;
  const bool permitted = file.manifest && file.permitted;
  if ((file.credentials || file.found_private) && !permitted) return PeersReason::private_content;
  if (!file.manifest) return PeersReason::no_manifest;
  if (file.empty) return PeersReason::empty_file;
  return std::nullopt;
}

PeersReason peers_reason(const PeersFacts& facts) {
  const auto barrier = peers_barrier(facts.file);
  if (!facts.in_use) {
    // What it would come to is known beforehand if whoever made the job has decided it.
    const bool decided = barrier && *barrier != PeersReason::undecided &&
                         *barrier != PeersReason::no_manifest &&
                         *barrier != PeersReason::empty_file;
    return decided ? *barrier : PeersReason::idle;
  }
  if (barrier) return *barrier;
  if (facts.connected > 0) return PeersReason::connected;
  switch (facts.swarm) {
    case SwarmReadiness::missing:
      return PeersReason::module_missing;
    case SwarmReadiness::failed:
      return PeersReason::failed;
    case SwarmReadiness::not_started:
      return PeersReason::not_started;
    case SwarmReadiness::running:
      break;
  }
  if (!facts.joined) return PeersReason::idle;
  if (!facts.view.serving) return PeersReason::rules_stopped;
  if (facts.view.full) return PeersReason::busy;
  if (facts.view.refused > 0) return PeersReason::handshake_refused;
  if (facts.view.refused_by_rules > 0 && facts.view.refused_by_rules >= facts.view.found) {
    return PeersReason::addresses_refused;
  }
  return facts.complete ? PeersReason::serving : PeersReason::looking;
}

PeersAnswer answer_peers(const PeersFacts& facts) {
  const PeersReason reason = peers_reason(facts);
  return {.reason = reason, .text = text_of(facts, reason)};
}

}  // namespace lanward::core
