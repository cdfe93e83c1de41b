// Numbers with units as people write them on a command line.
#pragma once

#include <cstdint>
#include <string_view>

#include <lanward/error.h>

#include "engine/core/units.h"

namespace lanward::simulator {

// Each takes a number, with up to nine decimals, followed at once by a unit. `option` is named in
// the error (invalid_argument), as is the text. A result that is no whole number is rounded down.

// B, KiB, MiB, GiB, TiB (powers of 1024), kB, MB, GB, TB (powers of 1000); without unit: bytes.
[[nodiscard]] Result<core::ByteCount> parse_size(std::string_view option, std::string_view text);

// bit, kbit, Mbit, Gbit per second (powers of 1000), or a size unit per second ("12MiB/s").
[[nodiscard]] Result<core::ByteRate> parse_rate(std::string_view option, std::string_view text);

// %, in parts of a million ("12.5%").
[[nodiscard]] Result<std::uint64_t> parse_share(std::string_view option, std::string_view text);

// ns, us, ms, s, min, h.
[[nodiscard]] Result<core::Duration> parse_duration(std::string_view option, std::string_view text);

}  // namespace lanward::simulator
