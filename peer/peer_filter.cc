#include "peer/peer_filter.h"

#include <algorithm>
#include <cstdint>

#include <libtorrent/address.hpp>

#include "peer/endpoint.h"

namespace lanward::peer {
namespace {

lt::address to_address(const core::Address& bytes, bool v4) {
  if (v4) {
    lt::address_v4::bytes_type four;
    std::copy(bytes.begin() + 12, bytes.end(), four.begin());
    return lt::address_v4(four);
  }
  lt::address_v6::bytes_type sixteen;
  std::copy(bytes.begin(), bytes.end(), sixteen.begin());
  return lt::address_v6(sixteen);
}

void add(lt::ip_filter& filter, const core::Network& network, std::uint32_t access) {
  const bool v4 = network.is_v4();
  filter.add_rule(to_address(network.first(), v4), to_address(network.last(), v4), access);
}

}  // namespace

lt::ip_filter to_filter(const core::PeerRules& rules) {
  constexpr std::uint32_t kAllowed = 0;
  constexpr std::uint32_t kBlocked = lt::ip_filter::blocked;
  const bool some_only = !rules.serving || rules.private_only || !rules.allow.empty();
  lt::ip_filter filter;
  filter.add_rule(lt::address_v4(0), lt::address_v4(~std::uint32_t{0}),
                  some_only ? kBlocked : kAllowed);
  lt::address_v6::bytes_type last;
  last.fill(0xff);
  filter.add_rule(lt::address_v6(), lt::address_v6(last), some_only ? kBlocked : kAllowed);
  if (!rules.serving) return filter;
  // What is dialled by them was asked about by its own address.
  filter.add_rule(stand_in(0, 0).address(), stand_in(~std::uint32_t{0}, 0).address(), kAllowed);
  if (some_only) {
    for (const core::Network& network :
         rules.allow.empty() ? core::private_networks() : rules.allow) {
      add(filter, network, kAllowed);
    }
  }
  for (const auto* list : {&rules.deny, &rules.ban}) {
    for (const core::Network& network : *list) add(filter, network, kBlocked);
  }
  return filter;
}

}  // namespace lanward::peer
