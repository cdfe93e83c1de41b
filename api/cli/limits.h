// Rates and hours as people write them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include <lanward/types.h>

namespace lanward::cli {

// A value, or what is wrong with the text.
template <class Value>
using Parsed = std::variant<Value, std::string>;

// Bytes per second: a number, perhaps with a decimal point, and a unit: B, kB, MB, GB (1000),
// KiB, MiB, GiB (1024), bit, kbit, Mbit, Gbit, bps, kbps, Mbps, Gbps (bits). "/s" may follow. A
// plain number is bytes. Not below 1 B/s, rounded down.
[[nodiscard]] Parsed<std::uint64_t> parse_rate(std::string_view text);

// Bytes: a number as above and a unit B, kB, MB, GB, TB (1000), KiB, MiB, GiB, TiB (1024); a plain
// number is bytes.
[[nodiscard]] Parsed<std::uint64_t> parse_size(std::string_view text);

// A rate, or "N%" with N from 1 to 100.
[[nodiscard]] Parsed<BandwidthLimit> parse_limit(std::string_view text);

// "[DAYS] HH:MM-HH:MM LIMIT": DAYS are a list of mon, tue, ... or of spans such as mon-fri, every
// day if left out; LIMIT is a rate of all jobs together, "N%" for foreground and background each,
// or "none".
[[nodiscard]] Parsed<BandwidthHours> parse_hours(std::string_view text);

}  // namespace lanward::cli
