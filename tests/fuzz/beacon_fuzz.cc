// Arbitrary bytes as a beacon. What is accepted is written again as the same bytes, and no group
// believes what was not written with its key.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "engine/core/beacon.h"
#include "engine/core/text.h"
#include "engine/store/sha256.h"

namespace {

using namespace lanward::core;

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::array keys{GroupKey{.id = 1}, GroupKey{.id = 2}};
  for (const std::size_t count : {std::size_t{0}, keys.size()}) {
    const std::span<const GroupKey> known(keys.data(), count);
    const auto message = read_beacon({data, size}, known, &lanward::store::sha256);
    if (!message) {
      require(!message.error().message.empty());
      require(!has_control_characters(message.error().message));
      continue;
    }
    require(size <= kBeaconBytesMax);
    require(message->port != 0);
    require(!message->tags.empty() && message->tags.size() <= kBeaconTagsMax);
    const auto bytes = write_beacon(*message, {}, &lanward::store::sha256);
    // But for the number of proofs, and the proofs.
    require(std::equal(bytes.begin() + 5, bytes.end(), data + 5));
    BeaconMemory memory;
    require(memory.is_news(*message, message->time));
    require(!memory.is_news(*message, message->time));
  }
  return 0;
}
