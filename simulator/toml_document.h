// A TOML file as a tree of values that know where they stand. The one place that knows the parser.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <lanward/error.h>

namespace lanward::simulator {

struct TomlValue {
  enum class Kind : std::uint8_t { text, integer, boolean, list, table, other };

  Kind kind = Kind::other;
  std::string file;      // as given to parse_toml
  std::size_t line = 0;  // 1..
  std::string text;
  std::int64_t integer = 0;
  bool boolean = false;
  std::vector<TomlValue> list;
  // Ordered, so that of several errors the same one is always told.
  std::map<std::string, TomlValue> table;
};

// `name` is told in errors. Errors: invalid_argument, "NAME:LINE: what is wrong", one printable
// line. Hostile text costs no more than its length.
[[nodiscard]] Result<TomlValue> parse_toml(const std::string& name, std::string_view text);

// Puts what `from` has into `into`: tables are merged, everything else is replaced.
void merge(TomlValue& into, const TomlValue& from);

// At most 80 characters of the text, with '?' for what cannot be printed.
[[nodiscard]] std::string printable(std::string_view text);

}  // namespace lanward::simulator
