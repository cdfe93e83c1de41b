#include "peer/beacon_socket.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace lanward::peer {
namespace {

// Not beyond the first router: peers are in the same network.
constexpr int kHops = 1;

sockaddr_in group_v4() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(kBeaconPort);
  ::inet_pton(AF_INET, kBeaconGroupV4, &address.sin_addr);
  return address;
}

sockaddr_in6 group_v6(std::uint32_t interface) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(kBeaconPort);
  ::inet_pton(AF_INET6, kBeaconGroupV6, &address.sin6_addr);
  address.sin6_scope_id = interface;
  return address;
}

void set(int socket, int level, int name, int value) {
  ::setsockopt(socket, level, name, &value, sizeof value);
}

bool bind_v4(int socket) {
  set(socket, IPPROTO_IP, IP_MULTICAST_ALL, 0);  // what other programs have joined is not for us
  set(socket, IPPROTO_IP, IP_MULTICAST_TTL, kHops);
  const sockaddr_in address = group_v4();
  return ::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

bool bind_v6(int socket) {
  set(socket, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  set(socket, IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0);
  set(socket, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, kHops);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(kBeaconPort);
  return ::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

// A message with the interface, and the source if there is one, attached.
void send_with(int socket, std::span<const std::uint8_t> datagram, sockaddr* to,
               socklen_t to_length, int level, int type, std::span<const std::uint8_t> info) {
  iovec part{const_cast<std::uint8_t*>(datagram.data()), datagram.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(in6_pktinfo))> control{};
  msghdr message{};
  message.msg_name = to;
  message.msg_namelen = to_length;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = CMSG_SPACE(info.size());
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = level;
  header->cmsg_type = type;
  header->cmsg_len = CMSG_LEN(info.size());
  std::memcpy(CMSG_DATA(header), info.data(), info.size());
  // Lost like any other datagram if it cannot be sent.
  static_cast<void>(::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL));
}

template <class Info>
std::span<const std::uint8_t> bytes_of(const Info& info) {
  return {reinterpret_cast<const std::uint8_t*>(&info), sizeof info};
}

}  // namespace

Result<BeaconSocket> BeaconSocket::open(const lt::address& source) {
  const int family = source.is_v6() ? AF_INET6 : AF_INET;
  BeaconSocket made(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), source);
  const auto failed = [] {
    return fail(ErrorCode::network, "cannot listen for beacons: " +
                                        std::error_code(errno, std::generic_category()).message());
  };
  if (made.socket_ < 0) return failed();
  // Every process of the machine hears every beacon.
  set(made.socket_, SOL_SOCKET, SO_REUSEADDR, 1);
  if (!(source.is_v6() ? bind_v6(made.socket_) : bind_v4(made.socket_))) return failed();
  return made;
}

BeaconSocket::BeaconSocket(BeaconSocket&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)),
      source_(other.source_),
      interfaces_(std::move(other.interfaces_)) {}

BeaconSocket::~BeaconSocket() {
  if (socket_ >= 0) ::close(socket_);
}

void BeaconSocket::set_member(std::uint32_t interface, bool member) {
  if (source_.is_v6()) {
    ipv6_mreq request{};
    request.ipv6mr_multiaddr = group_v6(0).sin6_addr;
    request.ipv6mr_interface = interface;
    ::setsockopt(socket_, IPPROTO_IPV6, member ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP, &request,
                 sizeof request);
    return;
  }
  ip_mreqn request{};
  request.imr_multiaddr = group_v4().sin_addr;
  request.imr_ifindex = static_cast<int>(interface);
  ::setsockopt(socket_, IPPROTO_IP, member ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, &request,
               sizeof request);
}

void BeaconSocket::use(const std::vector<std::uint32_t>& interfaces) {
  for (const std::uint32_t gone : interfaces_) {
    if (std::find(interfaces.begin(), interfaces.end(), gone) == interfaces.end()) {
      set_member(gone, false);
    }
  }
  // An interface that went down and came back has forgotten us: those that are known join again.
  for (const std::uint32_t interface : interfaces) set_member(interface, true);
  interfaces_ = interfaces;
}

void BeaconSocket::send(std::span<const std::uint8_t> datagram) {
  for (const std::uint32_t interface : interfaces_) {
    if (source_.is_v6()) {
      sockaddr_in6 to = group_v6(interface);
      in6_pktinfo info{};
      info.ipi6_ifindex = interface;
      if (!source_.is_unspecified()) {
        const auto bytes = source_.to_v6().to_bytes();
        std::memcpy(&info.ipi6_addr, bytes.data(), bytes.size());
      }
      send_with(socket_, datagram, reinterpret_cast<sockaddr*>(&to), sizeof to, IPPROTO_IPV6,
                IPV6_PKTINFO, bytes_of(info));
      continue;
    }
    sockaddr_in to = group_v4();
    in_pktinfo info{};
    info.ipi_ifindex = static_cast<int>(interface);
    if (!source_.is_unspecified()) {
      info.ipi_spec_dst.s_addr = htonl(source_.to_v4().to_uint());
    }
    send_with(socket_, datagram, reinterpret_cast<sockaddr*>(&to), sizeof to, IPPROTO_IP,
              IP_PKTINFO, bytes_of(info));
  }
}

std::optional<BeaconSocket::Heard> BeaconSocket::receive(std::span<std::uint8_t> buffer) {
  sockaddr_storage from{};
  socklen_t length = sizeof from;
  const ssize_t count = ::recvfrom(socket_, buffer.data(), buffer.size(), MSG_DONTWAIT,
                                   reinterpret_cast<sockaddr*>(&from), &length);
  if (count < 0) return std::nullopt;
  Heard heard{.length = static_cast<std::size_t>(count)};
  if (from.ss_family == AF_INET6) {
    const auto& address = reinterpret_cast<const sockaddr_in6&>(from);
    lt::address_v6::bytes_type bytes;
    std::memcpy(bytes.data(), &address.sin6_addr, bytes.size());
    lt::address_v6 v6(bytes);
    if (v6.is_link_local()) v6.scope_id(address.sin6_scope_id);
    heard.from = v6;
  } else {
    heard.from = lt::address_v4(ntohl(reinterpret_cast<const sockaddr_in&>(from).sin_addr.s_addr));
  }
  return heard;
}

std::uint32_t interface_of(const lt::address& address) {
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return 0;
  std::uint32_t index = 0;
  for (const ifaddrs* one = all; one != nullptr && index == 0; one = one->ifa_next) {
    if (one->ifa_addr == nullptr) continue;
    bool same = false;
    if (address.is_v4() && one->ifa_addr->sa_family == AF_INET) {
      const auto* v4 = reinterpret_cast<const sockaddr_in*>(one->ifa_addr);
      // All of 127/8 lives on the loopback interface.
      same = ntohl(v4->sin_addr.s_addr) == address.to_v4().to_uint() ||
             (address.is_loopback() && (one->ifa_flags & IFF_LOOPBACK) != 0);
    } else if (address.is_v6() && one->ifa_addr->sa_family == AF_INET6) {
      const auto* v6 = reinterpret_cast<const sockaddr_in6*>(one->ifa_addr);
      same = std::memcmp(&v6->sin6_addr, address.to_v6().to_bytes().data(), 16) == 0;
    }
    if (same) index = ::if_nametoindex(one->ifa_name);
  }
  ::freeifaddrs(all);
  return index;
}

}  // namespace lanward::peer
