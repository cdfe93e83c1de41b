// Hostile members of a swarm. Each joins the simulated swarm like an engine does and speaks the
// lease messages of engine/core/lease_message.h, but fetches and serves nothing.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "engine/core/content.h"
#include "engine/core/lease_message.h"
#include "engine/core/piece_set.h"
#include "engine/core/policy.h"
#include "simulator/event_queue.h"
#include "simulator/scenario.h"
#include "simulator/store.h"
#include "simulator/swarm.h"

namespace lanward::simulator {

// A key of the rank that an honest machine has, or one below every rank of an ordinary site.
[[nodiscard]] core::PeerKey adversary_key(const core::Digest& content, bool lowest_rank,
                                          core::Seed seed);

class AdversaryActor {
 public:
  // All that is referred to outlives it.
  AdversaryActor(EventQueue& queue, Site& site, const Place& place, const Scenario& scenario,
                 const core::Manifest& manifest, const Adversary& kind, core::Seed seed);
  // Leaving tells of every neighbour that is lost, so it comes before anything else ends.
  ~AdversaryActor() { member_.reset(); }
  AdversaryActor(const AdversaryActor&) = delete;
  AdversaryActor& operator=(const AdversaryActor&) = delete;

  void join();

 private:
  [[nodiscard]] bool hogs() const { return kind_.kind != AdversaryKind::have_liar; }
  void on_fact(const core::Event& event);
  void greet(core::SourceId peer);
  void learn(const core::PieceSet& pieces);
  void say(const core::LeaseMessage& message);
  [[nodiscard]] core::Roster roster() const;
  void beat();
  void claim();
  void pretend();

  EventQueue& queue_;
  SimLoop loop_;
  SimSwarm swarm_;
  const Scenario& scenario_;
  const core::Manifest& manifest_;
  const Place place_;
  const Adversary kind_;
  const core::PeerKey key_;
  std::unique_ptr<ports::SwarmMember> member_;
  std::vector<core::SourceId> peers_;
  core::PieceSet seen_;  // somebody has them: nobody waits for a claim on them
  std::uint32_t beats_ = 0;
  std::uint32_t run_ = 0;
  std::uint64_t pretended_ = 0;
};

}  // namespace lanward::simulator
