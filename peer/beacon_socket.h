// Multicast datagrams on chosen interfaces, IPv4 and IPv6.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <lanward/error.h>

#include <libtorrent/address.hpp>

namespace lanward::peer {

// Where beacons are sent (docs/protocol.md): addresses for local use (RFC 2365, RFC 4291).
inline constexpr const char* kBeaconGroupV4 = "239.192.76.87";
inline constexpr const char* kBeaconGroupV6 = "ff12::4c57";
inline constexpr std::uint16_t kBeaconPort = 17676;

// One address family. Used by one thread.
class BeaconSocket {
 public:
  // `source`: sent from there, and on its interface only; unspecified: on those of join().
  // Errors: network.
  [[nodiscard]] static Result<BeaconSocket> open(const lt::address& source);
  BeaconSocket(BeaconSocket&& other) noexcept;
  BeaconSocket& operator=(BeaconSocket&&) = delete;
  ~BeaconSocket();

  [[nodiscard]] int descriptor() const { return socket_; }
  // Hears and sends on these interfaces from now on, and on no others.
  void use(const std::vector<std::uint32_t>& interfaces);
  // On every interface; where one refuses, the others are still served.
  void send(std::span<const std::uint8_t> datagram);
  struct Heard {
    lt::address from;
    std::size_t length = 0;
  };
  // Nothing: there is none. A longer one is cut to the buffer's length.
  [[nodiscard]] std::optional<Heard> receive(std::span<std::uint8_t> buffer);

 private:
  BeaconSocket(int socket, lt::address source) : socket_(socket), source_(std::move(source)) {}
  void set_member(std::uint32_t interface, bool member);

  int socket_;
  lt::address source_;
  std::vector<std::uint32_t> interfaces_;
};

// The interface that has the address; 0: none has.
[[nodiscard]] std::uint32_t interface_of(const lt::address& address);

}  // namespace lanward::peer
