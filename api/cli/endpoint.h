// Where peers reach this process.
#pragma once

#include <cstdint>
#include <string>

namespace lanward::cli {

struct Endpoint {
  std::string address;
  std::uint16_t port = 0;
};

// `listen` as given with --listen, `port` as the engine chose it.
[[nodiscard]] inline Endpoint endpoint_of(const std::string& listen, std::uint16_t port) {
  const std::size_t colon = listen.rfind(':');
  return {colon == std::string::npos ? "0.0.0.0" : listen.substr(0, colon), port};
}

}  // namespace lanward::cli
