// Which addresses are dialled when.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <vector>

#include <libtorrent/socket.hpp>

namespace lanward::peer {

// Pure: no clock, no timer. Network thread only.
class Dialler {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // Members of a site that start together are not all listening when they are dialled first, so an
  // address that refuses is tried again at once, for about as long as a program takes to start.
  static constexpr std::chrono::milliseconds kQuickDelay{100};
  static constexpr int kQuickTries = 20;
  // After that each try comes a second later than the one before, up to the limit, for ever.
  static constexpr std::chrono::seconds kSlowStep{1};
  static constexpr std::chrono::seconds kSlowDelayMax{32};
  // Addresses remembered. Whoever invents more must not fill the memory.
  static constexpr std::size_t kAddressesMax = 1024;

  enum class Tries {
    once,       // for the engine, which says itself when it wants another
    unlimited,  // somebody said that this address belongs to the swarm
  };

  // To be dialled now. REQUIRES: a port.
  void add(const lt::tcp::endpoint& address, Tries tries, TimePoint now);
  // The address could not be connected to; `answered`: somebody there accepts connections, but not
  // ours, or not for long.
  void failed(const lt::tcp::endpoint& address, bool answered, TimePoint now);
  void connected(const lt::tcp::endpoint& address);
  // It is we who live there: never again.
  void is_self(const lt::tcp::endpoint& address);
  // Something has changed that may have kept addresses from us: all that are known are dialled
  // anew.
  void retry_all(TimePoint now);
  // The address as it was given, with the interface that an address of a link belongs to; nothing:
  // it is not known, or on several.
  [[nodiscard]] std::optional<lt::tcp::endpoint> known_as(const lt::tcp::endpoint& address) const;

  // Those whose time has come; each is given once, until it is added or fails again.
  [[nodiscard]] std::vector<lt::tcp::endpoint> take_due(TimePoint now);
  // When take_due() will have something.
  [[nodiscard]] std::optional<TimePoint> next() const;

 private:
  struct Entry {
    Tries tries = Tries::unlimited;
    bool self = false;
    int failures = 0;
    std::optional<TimePoint> due;  // nothing: being dialled, connected, or given up
  };
  // Null: there is no room.
  [[nodiscard]] Entry* entry(const lt::tcp::endpoint& address);

  std::map<lt::tcp::endpoint, Entry> entries_;
};

}  // namespace lanward::peer
