// Arbitrary bytes as the strings of a DNS-SD service, each after a byte with its length. What they
// come to has the size of a beacon, and is written again so that it comes to the same.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "engine/core/beacon.h"
#include "engine/core/dns_sd.h"

namespace {

using namespace lanward::core;

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::string> strings;
  for (std::size_t at = 0; at < size;) {
    const std::size_t length = std::min<std::size_t>(data[at], size - at - 1);
    strings.emplace_back(data + at + 1, data + at + 1 + length);
    at += 1 + length;
  }
  const auto datagram = from_dns_sd(strings);
  if (!datagram) return 0;
  require(!datagram->empty() && datagram->size() <= kBeaconBytesMax);
  const auto again = from_dns_sd(to_dns_sd(*datagram));
  require(again && *again == *datagram);
  return 0;
}
