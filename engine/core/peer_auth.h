// How two peers prove to each other, at the start of a connection, that they belong to the same
// group (docs/protocol.md). Pure: bytes in, bytes out, and a verdict.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/core/content.h"
#include "engine/core/group.h"
#include "engine/core/lease_message.h"
#include "engine/core/merkle.h"

namespace lanward::core {

using AuthNonce = std::array<std::uint8_t, 16>;
using AuthPeerId = std::array<std::uint8_t, 20>;   // of the BitTorrent handshake
using AuthMemberId = std::array<std::uint8_t, 8>;  // of the membership in the swarm

// What both ends of a connection know when the first authenticated message is written.
struct AuthChannel {
  bool dialled = false;  // this end dialled
  AuthPeerId own_id{};
  AuthPeerId their_id{};
  AuthMemberId own_member{};
  Digest swarm{};  // infohash under which both speak
  // Of the end that was dialled, as both see it: who passes messages on between two others has an
  // address of its own.
  Endpoint dialled_at;
};

// Two messages each way. The hello travels in the extension handshake, which is the first thing
// that follows the BitTorrent handshakes, so nothing else of a stranger is ever looked at: it
// proves a key over the two peer ids, which each end drew for this connection, and brings a nonce.
// The confirmation proves it over both nonces too; only then is anything served.
//
// No message fits another place: each is bound to who dialled, to its step, to both ids, the
// membership, the swarm and the address. A message sent back, sent again on another connection, or
// taken from another swarm proves nothing.
class PeerAuth {
 public:
  enum class State : std::uint8_t { expects_hello, expects_confirmation, accepted, refused };

  // `keys`: those accepted now, best first (accepted_keys()); `nonce` from a source fit for
  // secrets.
  PeerAuth(const AuthChannel& channel, std::vector<GroupKey> keys, const AuthNonce& nonce,
           Sha256Fn sha256);

  // Proofs with every key, so that members meet who have one in common during a rotation.
  [[nodiscard]] std::vector<std::uint8_t> hello() const;
  // The answer to be sent; nothing: refused, see why().
  [[nodiscard]] std::optional<std::vector<std::uint8_t>> take_hello(
      std::span<const std::uint8_t> bytes, const AuthMemberId& their_member);
  // False: refused.
  [[nodiscard]] bool take_confirmation(std::span<const std::uint8_t> bytes);
  // It took too long.
  void expire();

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] bool accepted() const { return state_ == State::accepted; }
  // For a person; never what was received. Empty unless refused.
  [[nodiscard]] const std::string& why() const { return why_; }
  // Refused, because it has none of our keys.
  [[nodiscard]] bool lacks_key() const { return lacks_key_; }
  // Which key the connection rests on. REQUIRES: take_hello() has succeeded.
  [[nodiscard]] std::uint32_t key_id() const { return key_->id; }

 private:
  [[nodiscard]] Digest early_proof(const GroupKey& key, bool ours, const AuthNonce& nonce,
                                   const AuthMemberId& member) const;
  [[nodiscard]] Digest late_proof(bool ours) const;
  bool refuse(std::string why);

  AuthChannel channel_;
  std::vector<GroupKey> keys_;
  AuthNonce nonce_;
  Sha256Fn sha256_;
  State state_ = State::expects_hello;
  std::string why_;
  AuthNonce their_nonce_{};
  AuthMemberId their_member_{};
  std::optional<GroupKey> key_;
  bool lacks_key_ = false;
};

// version (1), nonce (16), number of proofs (1), each: key id (4), proof (32).
inline constexpr std::uint8_t kAuthVersion = 1;
inline constexpr std::size_t kAuthHelloBytesMax = 1 + 16 + 1 + kGroupKeysMax * (4 + 32);
// version (1), key id (4), proof (32).
inline constexpr std::size_t kAuthConfirmationBytes = 1 + 4 + 32;

}  // namespace lanward::core
