// Beacons by DNS-SD, through the Avahi daemon of this machine, where there is one
// (docs/protocol.md).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include <lanward/error.h>

#include <libtorrent/address.hpp>

namespace lanward::peer {

// Translates only: what is announced, and what comes of what is heard, others decide. The library
// of Avahi is loaded when it is asked for, so that nobody else needs it.
class DnsSd {
 public:
  // Somebody says this of the address at which it accepts connections: bytes that nobody has
  // looked at. Called on a thread of its own, until the destructor returns; it must not call back.
  using Heard =
      std::function<void(std::span<const std::uint8_t> datagram, const lt::address& from)>;

  // `listen`: addresses of its family are looked for and, unless it is unspecified, on its
  // interface only. May take as long as the daemon does to answer. Errors: network (there is no
  // bus, or it refuses), unsupported (no library of Avahi, here or when this was built).
  [[nodiscard]] static Result<std::unique_ptr<DnsSd>> start(const lt::address& listen, Heard heard);
  virtual ~DnsSd() = default;

  // From now on this is announced, in place of what was before; empty: nothing. Any thread, but not
  // inside a call of `heard`.
  virtual void announce(std::uint16_t port, std::vector<std::uint8_t> datagram) = 0;
  // The daemon is there, and does not refuse what it is asked.
  [[nodiscard]] virtual bool works() = 0;
};

}  // namespace lanward::peer
