#include "tests/core/lease_adversary.h"

#include <algorithm>

namespace lanward::core {
namespace {

using Role = LeasePlan::Role;

}  // namespace

Endpoint lease_endpoint(std::size_t machine) {
  Endpoint endpoint;
  endpoint.address = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1};
  endpoint.address[15] = static_cast<std::uint8_t>(machine + 1);
  endpoint.port = 6881;
  return endpoint;
}

std::vector<LeaseMessage> LeaseAdversary::speak(Role role, std::uint32_t pieces, Prng& chance) {
  std::vector<LeaseMessage> said;
  said.emplace_back(Hello{key_, true});
  said.emplace_back(Roster{{{key_, lease_endpoint(machine_), ++runs_, 100'000, 1}}});
  const PieceSpan all{PieceIndex{0}, PieceIndex{pieces}};
  if (role == Role::hog || role == Role::zeno) {
    said.emplace_back(Claim{++runs_, all, ClaimMode::lease, 1000});
    for (auto p = all.begin; p < all.end; ++p) {
      said.emplace_back(Claim{++runs_, {p, p + 1}, ClaimMode::lease, 1000});
    }
  }
  if (role == Role::zeno) {
    for (std::uint32_t run = runs_ - std::min(runs_, 2 * pieces); run <= runs_; ++run) {
      said.emplace_back(ClaimProgress{run, std::uint64_t{runs_} * kLeasePieceBytes, 100});
    }
  }
  if (role == Role::babbler) {
    for (int n = 0; n < 5; ++n) said.push_back(babble(pieces, chance));
  }
  return said;
}

LeaseMessage LeaseAdversary::babble(std::uint32_t pieces, Prng& chance) const {
  const auto any32 = [&] { return static_cast<std::uint32_t>(chance.next()); };
  const auto run = static_cast<std::uint32_t>(chance.below(8));
  const PieceIndex first{chance.below(4) == 0 ? any32() / 2
                                              : static_cast<std::uint32_t>(chance.below(pieces))};
  const PieceSpan span{first, first + 1 + static_cast<std::uint32_t>(chance.below(1000))};
  const PeerKey key = heard_.empty() || chance.below(2) == 0 ? PeerKey{chance.next()}
                                                             : heard_[chance.below(heard_.size())];
  switch (chance.below(6)) {
    case 0:
      return Hello{key, chance.below(2) == 0};
    case 1:
      return Claim{run, span, static_cast<ClaimMode>(chance.below(3)), any32()};
    case 2:
      return Unclaim{run, span};
    case 3:
      return ClaimProgress{run, chance.next(), any32()};
    case 4:
      return SplitRequest{run};
    default:
      return Roster{{{key, lease_endpoint(chance.below(12)), any32(), any32(),
                      static_cast<std::uint16_t>(any32())}}};
  }
}

}  // namespace lanward::core
