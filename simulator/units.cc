#include "simulator/units.h"

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>

#include <fmt/format.h>

namespace lanward::simulator {

namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::array<Unit, 10> kSizes{{{"", 1},
                                       {"B", 1},
                                       {"KiB", 1ULL << 10U},
                                       {"MiB", 1ULL << 20U},
                                       {"GiB", 1ULL << 30U},
                                       {"TiB", 1ULL << 40U},
                                       {"kB", 1'000},
                                       {"MB", 1'000'000},
                                       {"GB", 1'000'000'000},
                                       {"TB", 1'000'000'000'000}}};
// Factors in bits; divided by eight at the end, so that 4bit is no error of rounding.
constexpr std::array<Unit, 13> kRates{{{"bit", 1},
                                       {"kbit", 1'000},
                                       {"Mbit", 1'000'000},
                                       {"Gbit", 1'000'000'000},
                                       {"B/s", 8},
                                       {"KiB/s", 8ULL << 10U},
                                       {"MiB/s", 8ULL << 20U},
                                       {"GiB/s", 8ULL << 30U},
                                       {"kB/s", 8'000},
                                       {"MB/s", 8'000'000},
                                       {"GB/s", 8'000'000'000},
                                       {"TiB/s", 8ULL << 40U},
                                       {"TB/s", 8'000'000'000'000}}};
constexpr std::array<Unit, 1> kShares{{{"%", 10'000}}};
constexpr std::array<Unit, 6> kDurations{{{"ns", 1},
                                          {"us", 1'000},
                                          {"ms", 1'000'000},
                                          {"s", 1'000'000'000},
                                          {"min", 60'000'000'000},
                                          {"h", 3'600'000'000'000}}};

// Decimals that are read; 10^9 times the largest factor still fits the wide product below.
constexpr std::size_t kDecimalsMax = 9;

__extension__ typedef unsigned __int128 Wide;

struct Number {
  std::uint64_t digits = 0;  // all digits, the decimal point left out
  std::uint64_t divisor = 1;
  std::string_view unit;
};

std::optional<Number> split(std::string_view text) {
  Number number;
  std::size_t i = 0;
  std::size_t whole = 0;
  std::size_t decimals = 0;
  bool point = false;
  for (; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '.' && !point) {
      point = true;
      continue;
    }
    if (c < '0' || c > '9') break;
    const auto digit = static_cast<std::uint64_t>(c - '0');
    if (number.digits > (std::numeric_limits<std::uint64_t>::max() - digit) / 10) return {};
    number.digits = number.digits * 10 + digit;
    if (!point) ++whole;
    if (point) {
      if (++decimals > kDecimalsMax) return {};
      number.divisor *= 10;
    }
  }
  if (whole == 0 || (point && decimals == 0)) return {};
  number.unit = text.substr(i);
  return number;
}

Result<std::uint64_t> parse(std::string_view option, std::string_view text,
                            std::span<const Unit> units, std::uint64_t divisor,
                            std::string_view example) {
  std::string names;
  for (const Unit& unit : units) {
    if (!unit.name.empty()) names += fmt::format("{}{}", names.empty() ? "" : ", ", unit.name);
  }
  const auto complain = [&](std::string_view why) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("{} {}: {}; write a number and one of {}, such as {}", option,
                            text.empty() ? "''" : text, why, names, example));
  };
  const auto number = split(text);
  if (!number) return complain("this is not a number that can be used");
  for (const Unit& unit : units) {
    if (unit.name != number->unit) continue;
    const Wide value = Wide{number->digits} * unit.factor / number->divisor / divisor;
    if (value > static_cast<Wide>(std::numeric_limits<std::int64_t>::max())) {
      return complain("this is too large");
    }
    return static_cast<std::uint64_t>(value);
  }
  return complain(number->unit.empty() ? std::string("the unit is missing")
                                       : fmt::format("the unit '{}' is unknown", number->unit));
}

}  // namespace

Result<core::ByteCount> parse_size(std::string_view option, std::string_view text) {
  return parse(option, text, kSizes, 1, "64MiB").map([](std::uint64_t v) {
    return core::ByteCount{v};
  });
}

Result<core::ByteRate> parse_rate(std::string_view option, std::string_view text) {
  return parse(option, text, kRates, 8, "100Mbit").map([](std::uint64_t v) {
    return core::ByteRate{v};
  });
}

Result<std::uint64_t> parse_share(std::string_view option, std::string_view text) {
  return parse(option, text, kShares, 1, "10%");
}

Result<core::Duration> parse_duration(std::string_view option, std::string_view text) {
  return parse(option, text, kDurations, 1, "20ms").map([](std::uint64_t v) {
    return core::Duration{static_cast<core::Duration::rep>(v)};
  });
}

}  // namespace lanward::simulator
