// Where peers reach this process.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

namespace lanward::cli {

struct Endpoint {
  std::string address;
  std::uint16_t port = 0;
  std::string group = {};  // id of the group whose members alone are served; empty: everybody is
};

// For people.
[[nodiscard]] inline std::string access_text(const Endpoint& endpoint) {
  return endpoint.group.empty() ? "open to everybody on the network"
                                : "members of group " + endpoint.group + " only";
}

// `listen` as given with --listen, `port` as the engine chose it.
[[nodiscard]] inline Endpoint endpoint_of(const std::string& listen, std::uint16_t port,
                                          std::string group = {}) {
  const std::size_t colon = listen.rfind(':');
  return {colon == std::string::npos ? "0.0.0.0" : listen.substr(0, colon), port, std::move(group)};
}

}  // namespace lanward::cli
