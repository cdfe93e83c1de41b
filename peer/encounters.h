// What one swarm has met, for people who ask why it has no peers.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>

#include "engine/core/peer_rules.h"
#include "engine/core/peers_answer.h"

namespace lanward::peer {

// What all swarms of a session have in common. Any thread.
class SessionFacts {
 public:
  explicit SessionFacts(std::uint32_t connections_max) : connections_max_(connections_max) {}

  void set_rules(const core::PeerRules& rules);
  [[nodiscard]] core::PeerRules rules() const;
  void connection_began() { ++connections_; }
  void connection_ended() { --connections_; }
  [[nodiscard]] bool is_full() const { return connections_ >= connections_max_; }

 private:
  const std::uint32_t connections_max_;
  std::atomic<std::uint32_t> connections_{0};
  mutable std::mutex mutex_;
  core::PeerRules rules_;
};

// Any thread.
class Encounters {
 public:
  // Addresses remembered: whoever invents more must not fill the memory.
  static constexpr std::size_t kAddressesMax = 256;

  // Null: of no session.
  void belong_to(std::shared_ptr<SessionFacts> session);
  // Somebody has said that a peer lives there.
  void found(const core::Address& address);
  // The rules let a peer live there.
  [[nodiscard]] bool permits(const core::Address& address) const;
  // A connection came to nothing.
  void refused(core::PeerRefusal why);
  void connection_began();
  void connection_ended();
  [[nodiscard]] core::SwarmView view() const;

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<SessionFacts> session_;
  std::set<core::Address> found_;
  std::uint32_t refused_ = 0;
  core::PeerRefusal last_ = core::PeerRefusal::none;
};

}  // namespace lanward::peer
