// Arbitrary text as the file of a group. What is accepted is written again and means the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "engine/core/group.h"
#include "engine/core/text.h"

namespace {

using namespace lanward::core;

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto group = parse_group({reinterpret_cast<const char*>(data), size});
  if (!group) {
    const auto code = group.error().code;
    require(code == lanward::ErrorCode::invalid_argument ||
            code == lanward::ErrorCode::unsupported);
    require(!group.error().message.empty());
    require(!has_control_characters(group.error().message));
    return 0;
  }
  require(!group->keys.empty() && group->keys.size() <= kGroupKeysMax);
  require(parse_group(format_group(*group)) == *group);
  for (const GroupKey& key : group->keys) {
    require(!key.until || *key.until > key.from);
    const auto accepted = accepted_keys(*group, key.from);
    require(accepted.size() <= group->keys.size());
    const auto rotated = rotate_group(*group, {.id = 5}, std::chrono::seconds{60}, key.from);
    if (rotated) require(rotated->keys.size() <= kGroupKeysMax);
    if (rotated) require(parse_group(format_group(*rotated)).has_value());
  }
  return 0;
}
