// Machines of a LeaseWorld that do not follow the rules: what they say.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/core/lease_message.h"
#include "engine/core/prng.h"
#include "tests/core/lease_world.h"

namespace lanward::core {

// Where machine n of the world accepts connections.
[[nodiscard]] Endpoint lease_endpoint(std::size_t machine);

class LeaseAdversary {
 public:
  LeaseAdversary() = default;
  LeaseAdversary(std::size_t machine, PeerKey key) : machine_(machine), key_(key) {}

  void hears(PeerKey key) { heard_.push_back(key); }
  // To everybody it is connected to, each time it gets to speak.
  [[nodiscard]] std::vector<LeaseMessage> speak(LeasePlan::Role role, std::uint32_t pieces,
                                                Prng& chance);

 private:
  [[nodiscard]] LeaseMessage babble(std::uint32_t pieces, Prng& chance) const;

  std::size_t machine_ = 0;
  PeerKey key_;
  std::uint32_t runs_ = 0;
  std::vector<PeerKey> heard_;
};

}  // namespace lanward::core
