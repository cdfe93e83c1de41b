#include "api/cli/limits.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <optional>
#include <utility>
#include <vector>

namespace lanward::cli {
namespace {

// A terabyte per second: no line is faster, and products stay within 64 bits.
constexpr std::uint64_t kRateMax = 1'000'000'000'000;
constexpr std::size_t kDecimalsMax = 6;
// No file system is larger, and products stay within 64 bits.
constexpr std::uint64_t kSizeMax = 1'000'000'000'000'000'000;

struct Unit {
  std::string_view name;
  std::uint64_t bytes;
  std::uint64_t bits;  // used if bytes is 0
};
constexpr std::array kUnits = {
    Unit{"", 1, 0},
    Unit{"B", 1, 0},
    Unit{"kB", 1'000, 0},
    Unit{"KB", 1'000, 0},
    Unit{"MB", 1'000'000, 0},
    Unit{"GB", 1'000'000'000, 0},
    Unit{"KiB", 1U << 10U, 0},
    Unit{"MiB", 1U << 20U, 0},
    Unit{"GiB", 1U << 30U, 0},
    Unit{"TB", 1'000'000'000'000, 0},
    Unit{"TiB", 1ULL << 40U, 0},
    Unit{"bit", 0, 1},
    Unit{"kbit", 0, 1'000},
    Unit{"Mbit", 0, 1'000'000},
    Unit{"Gbit", 0, 1'000'000'000},
    Unit{"bps", 0, 1},
    Unit{"kbps", 0, 1'000},
    Unit{"Mbps", 0, 1'000'000},
    Unit{"Gbps", 0, 1'000'000'000},
};

std::string quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

std::optional<std::uint64_t> parse_digits(std::string_view text) {
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, failure] = std::from_chars(text.data(), end, value);
  if (text.empty() || failure != std::errc{} || rest != end) return std::nullopt;
  return value;
}

// Millionths.
std::optional<std::uint64_t> parse_number(std::string_view text) {
  const std::size_t point = text.find('.');
  const auto whole = parse_digits(text.substr(0, point));
  if (!whole || *whole > kRateMax) return std::nullopt;
  std::uint64_t value = *whole * 1'000'000;
  if (point == std::string_view::npos) return value;
  const std::string_view decimals = text.substr(point + 1);
  if (decimals.size() > kDecimalsMax) return std::nullopt;
  auto part = parse_digits(decimals);
  if (!part) return std::nullopt;
  for (std::size_t i = decimals.size(); i < kDecimalsMax; ++i) *part *= 10;
  return value + *part;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::optional<std::uint32_t> parse_day(std::string_view text) {
  constexpr std::array<std::string_view, 7> kNames = {"mon", "tue", "wed", "thu",
                                                      "fri", "sat", "sun"};
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto* const found = std::find(kNames.begin(), kNames.end(), lower);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<std::uint32_t>(found - kNames.begin());
}

std::optional<std::uint8_t> parse_days(std::string_view text) {
  std::uint32_t days = 0;
  for (const std::string_view part : split(text, ',')) {
    const std::size_t dash = part.find('-');
    const auto first = parse_day(part.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : parse_day(part.substr(dash + 1));
    if (!first || !last) return std::nullopt;
    for (std::uint32_t day = *first;; day = (day + 1) % 7) {  // also over the week's end
      days |= 1U << day;
      if (day == *last) break;
    }
  }
  return static_cast<std::uint8_t>(days);
}

// "HH:MM", up to 24:00.
std::optional<std::uint16_t> parse_minute(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || text.size() != colon + 3) return std::nullopt;
  const auto hour = parse_digits(text.substr(0, colon));
  const auto minute = parse_digits(text.substr(colon + 1));
  if (!hour || !minute || *minute > 59 || *hour > 24 || (*hour == 24 && *minute > 0)) {
    return std::nullopt;
  }
  return static_cast<std::uint16_t>(*hour * 60 + *minute);
}

// "NUMBER[UNIT]": millionths, and the unit.
std::pair<std::optional<std::uint64_t>, const Unit*> parse_amount(std::string_view text) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
  const std::string_view name = text.substr(digits);
  const auto* const unit =
      std::find_if(kUnits.begin(), kUnits.end(), [&](const Unit& u) { return u.name == name; });
  return {parse_number(text.substr(0, digits)), unit == kUnits.end() ? nullptr : unit};
}

}  // namespace

Parsed<std::uint64_t> parse_size(std::string_view text) {
  const auto [number, unit] = parse_amount(text);
  if (!number || unit == nullptr || unit->bytes == 0) {
    return quoted(text) + " is not a size such as 500MB, 1.5GiB or 2TB";
  }
  const std::uint64_t whole = *number / 1'000'000;
  if (whole > kSizeMax / unit->bytes) return quoted(text) + " is more than any disk holds";
  return whole * unit->bytes + *number % 1'000'000 * unit->bytes / 1'000'000;
}

Parsed<std::uint64_t> parse_rate(std::string_view text) {
  std::string_view rest = text;
  if (rest.ends_with("/s")) rest.remove_suffix(2);
  const auto [number, unit] = parse_amount(rest);
  if (!number || unit == nullptr) {
    return quoted(text) + " is not a rate such as 500kB, 1.5MB, 2MiB or 10Mbit (per second)";
  }
  const std::uint64_t factor = unit->bytes != 0 ? unit->bytes : unit->bits;
  // Millionths times the factor: whole and rest apart, so that neither overflows.
  const std::uint64_t whole = *number / 1'000'000;
  if (whole > kRateMax * (unit->bytes != 0 ? 1 : 8) / factor)
    return quoted(text) + " is more than 1000 GB per second";
  std::uint64_t rate = whole * factor + *number % 1'000'000 * factor / 1'000'000;
  if (unit->bytes == 0) rate /= 8;
  if (rate == 0) return quoted(text) + " is less than a byte per second";
  return rate;
}

Parsed<BandwidthLimit> parse_limit(std::string_view text) {
  if (text.ends_with('%')) {
    const auto percent = parse_digits(text.substr(0, text.size() - 1));
    if (!percent || *percent < 1 || *percent > 100) {
      return quoted(text) + " is not from 1% to 100%";
    }
    return BandwidthLimit{.percent = static_cast<std::uint32_t>(*percent)};
  }
  auto rate = parse_rate(text);
  if (auto* problem = std::get_if<std::string>(&rate)) return std::move(*problem);
  return BandwidthLimit{.bytes_per_s = std::get<std::uint64_t>(rate)};
}

Parsed<BandwidthHours> parse_hours(std::string_view text) {
  const std::string wrong =
      quoted(text) + " is not '[DAYS] HH:MM-HH:MM LIMIT', such as 'mon-fri 08:00-18:00 1MB'";
  std::vector<std::string_view> words = split(text, ' ');
  std::erase_if(words, [](std::string_view word) { return word.empty(); });
  if (words.size() < 2 || words.size() > 3) return wrong;
  BandwidthHours hours;
  if (words.size() == 3) {
    const auto days = parse_days(words.front());
    if (!days) return wrong;
    hours.weekdays = *days;
    words.erase(words.begin());
  }
  const std::size_t dash = words[0].find('-');
  if (dash == std::string_view::npos) return wrong;
  const auto begin = parse_minute(words[0].substr(0, dash));
  const auto end = parse_minute(words[0].substr(dash + 1));
  if (!begin || !end || *begin == 24 * 60) return wrong;
  hours.begin_minute = *begin;
  hours.end_minute = *end;
  if (words[1] == "none") return hours;
  auto limit = parse_limit(words[1]);
  if (auto* problem = std::get_if<std::string>(&limit)) return std::move(*problem);
  const auto& given = std::get<BandwidthLimit>(limit);
  hours.rule.total_bytes_per_s = given.bytes_per_s;
  hours.rule.foreground.percent = hours.rule.background.percent = given.percent;
  return hours;
}

}  // namespace lanward::cli
