// Arbitrary bytes as a scenario file. What is accepted can be simulated; what is not is told in one
// printable line.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "engine/core/text.h"
#include "simulator/scenario.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lanward::simulator;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto scenario = parse_scenario("s.toml", text);
  if (!scenario) {
    require(scenario.error().message.starts_with("s.toml:"));
    require(!lanward::core::has_control_characters(scenario.error().message));
    return 0;
  }
  require(validate(*scenario).has_value());
  require(bound(*scenario) > lanward::core::Duration{0});
  require(honest_peers(*scenario) >= 1);
  return 0;
}
