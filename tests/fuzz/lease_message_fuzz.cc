// Arbitrary bytes as a lease message. What is accepted keeps the bounds that its readers rely on
// and survives being written again.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <variant>

#include "engine/core/lease_message.h"
#include "engine/core/overloaded.h"
#include "engine/core/text.h"

namespace {

using namespace lanward::core;

void require(bool condition) {
  if (!condition) std::abort();
}

void require_within_bounds(const LeaseMessage& message) {
  std::visit(Overloaded{
                 [](const Claim& m) {
                   require(!m.pieces.empty());
                   require(m.mode <= ClaimMode::under_way);
                 },
                 [](const Unclaim& m) { require(!m.pieces.empty()); },
                 [](const Roster& m) { require(m.entries.size() <= kRosterEntriesMax); },
                 [](const auto&) {},
             },
             message);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto message = decode({data, size});
  if (!message) {
    const auto code = message.error().code;
    require(code == lanward::ErrorCode::invalid_argument ||
            code == lanward::ErrorCode::unsupported);
    require(!message.error().message.empty());
    require(!has_control_characters(message.error().message));
    return 0;
  }
  require(size <= kLeaseMessageBytesMax);
  require_within_bounds(*message);
  const auto bytes = encode(*message);
  // One form per message: peers may compare and count them as bytes.
  require(std::equal(bytes.begin(), bytes.end(), data, data + size));
  const auto again = decode(bytes);
  require(again.has_value() && *again == *message);
  return 0;
}
