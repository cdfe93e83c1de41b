#include "peer/interfaces.h"

#include <ifaddrs.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#include "engine/core/peer_class.h"

namespace lanward::peer {
namespace {

// A reply comes in parts of at most this.
constexpr std::size_t kPart = 32 * 1024;
// The kernel answers at once.
constexpr timeval kPatience{.tv_sec = 1, .tv_usec = 0};

std::string kind_of(const rtattr* info, std::size_t length) {
  for (auto* attribute = info; RTA_OK(attribute, length); attribute = RTA_NEXT(attribute, length)) {
    if (attribute->rta_type != IFLA_INFO_KIND) continue;
    const char* text = static_cast<const char*>(RTA_DATA(attribute));
    return {text, strnlen(text, RTA_PAYLOAD(attribute))};
  }
  return {};
}

core::InterfaceFacts facts_of(const nlmsghdr* message) {
  const auto* link = static_cast<const ifinfomsg*>(NLMSG_DATA(message));
  core::InterfaceFacts facts{.index = static_cast<std::uint32_t>(link->ifi_index),
                             .up = (link->ifi_flags & IFF_UP) != 0,
                             .multicast = (link->ifi_flags & IFF_MULTICAST) != 0,
                             .loopback = (link->ifi_flags & IFF_LOOPBACK) != 0,
                             .point_to_point = (link->ifi_flags & IFF_POINTOPOINT) != 0};
  std::size_t length = IFLA_PAYLOAD(message);
  for (auto* attribute = IFLA_RTA(link); RTA_OK(attribute, length);
       attribute = RTA_NEXT(attribute, length)) {
    if ((attribute->rta_type & NLA_TYPE_MASK) != IFLA_LINKINFO) continue;
    facts.kind = kind_of(static_cast<const rtattr*>(RTA_DATA(attribute)), RTA_PAYLOAD(attribute));
  }
  return facts;
}

// False: the last part.
bool read_part(const char* bytes, std::size_t length, std::vector<core::InterfaceFacts>& into) {
  for (auto* message = reinterpret_cast<const nlmsghdr*>(bytes); NLMSG_OK(message, length);
       message = NLMSG_NEXT(message, length)) {
    if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR) return false;
    if (message->nlmsg_type == RTM_NEWLINK) into.push_back(facts_of(message));
  }
  return true;
}

// Addresses of machines change rarely, and a wrong class does no harm.
constexpr std::chrono::seconds kReadAgain{30};

core::Address address_of(const sockaddr* from) {
  core::Address address{};
  if (from->sa_family == AF_INET6) {
    std::memcpy(address.data(), &reinterpret_cast<const sockaddr_in6*>(from)->sin6_addr, 16);
  } else {
    address[10] = address[11] = 0xff;
    std::memcpy(&address[12], &reinterpret_cast<const sockaddr_in*>(from)->sin_addr, 4);
  }
  return address;
}

core::Network network_of(const sockaddr* own, const sockaddr* mask) {
  core::Network network{.address = address_of(own)};
  const core::Address bits = address_of(mask);
  const std::size_t first = own->sa_family == AF_INET6 ? 0 : 12;
  network.prefix = static_cast<std::uint8_t>(8 * first);
  for (std::size_t i = first; i < bits.size(); ++i) {
    network.address[i] &= bits[i];
    network.prefix = static_cast<std::uint8_t>(network.prefix + std::popcount(bits[i]));
  }
  return network;
}

}  // namespace

std::vector<core::Network> read_networks() {
  std::vector<core::Network> found;
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return found;
  for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_netmask == nullptr) continue;
    if (one->ifa_addr->sa_family != AF_INET && one->ifa_addr->sa_family != AF_INET6) continue;
    if ((one->ifa_flags & IFF_UP) == 0 || (one->ifa_flags & IFF_POINTOPOINT) != 0) continue;
    found.push_back(network_of(one->ifa_addr, one->ifa_netmask));
  }
  ::freeifaddrs(list);
  return found;
}

bool has_only_ipv6() {
  const auto chosen = core::choose_interfaces(read_interfaces());
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return false;
  bool v4 = false, v6 = false;
  for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr) continue;
    if (std::ranges::find(chosen, ::if_nametoindex(one->ifa_name)) == chosen.end()) continue;
    v4 = v4 || one->ifa_addr->sa_family == AF_INET;
    v6 = v6 || one->ifa_addr->sa_family == AF_INET6;
  }
  ::freeifaddrs(list);
  return v6 && !v4;
}

PeerClass Whereabouts::of(const core::Address& address) {
  // Mostly this is the answer, and the kernel need not be asked.
  if (core::class_of(address, {}, group_) == PeerClass::lan) return PeerClass::lan;
  const std::lock_guard lock(mutex_);
  const auto now = std::chrono::steady_clock::now();
  if (now >= read_again_at_) {
    read_again_at_ = now + kReadAgain;
    networks_ = read_networks();
  }
  return core::class_of(address, networks_, group_);
}

std::vector<core::InterfaceFacts> read_interfaces() {
  std::vector<core::InterfaceFacts> found;
  const int socket = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (socket < 0) return found;
  ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  struct {
    nlmsghdr header;
    ifinfomsg link;
  } request{};
  request.header.nlmsg_len = NLMSG_LENGTH(sizeof request.link);
  request.header.nlmsg_type = RTM_GETLINK;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.link.ifi_family = AF_UNSPEC;
  if (::send(socket, &request, request.header.nlmsg_len, 0) >= 0) {
    alignas(nlmsghdr) std::array<char, kPart> part;
    for (bool more = true; more;) {
      const ssize_t length = ::recv(socket, part.data(), part.size(), 0);
      more = length > 0 && read_part(part.data(), static_cast<std::size_t>(length), found);
    }
  }
  ::close(socket);
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.index < b.index; });
  return found;
}

int open_interface_events() {
  const int socket = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
  if (socket < 0) return -1;
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
  if (::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    return socket;
  }
  ::close(socket);
  return -1;
}

void drain_interface_events(int socket) {
  std::array<char, 4096> ignored;
  while (::recv(socket, ignored.data(), ignored.size(), MSG_DONTWAIT) > 0) {
  }
}

}  // namespace lanward::peer
