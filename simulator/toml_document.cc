#include "simulator/toml_document.h"

#include <algorithm>
#include <charconv>
#include <exception>
#include <sstream>
#include <utility>

#include <fmt/format.h>
#include <toml.hpp>

#include "engine/core/text.h"
#include "engine/core/units.h"

namespace lanward::simulator {

namespace {

using Parsed = toml::basic_value<toml::discard_comments, std::map, std::vector>;

// The parser recurses for each open bracket and each dot of a key: enough for any scenario, and
// little enough for any stack.
constexpr std::size_t kTextBytesMax = 64 * core::kKiB;
constexpr std::size_t kLineBytesMax = 1000;
constexpr std::size_t kDepthMax = 16;

tl::unexpected<Error> refuse(std::string_view name, std::size_t line, std::string_view why) {
  return fail(ErrorCode::invalid_argument, fmt::format("{}:{}: {}", name, line, why));
}

// Walks over a text as far as brackets, strings and comments go.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  // Number of the line that is too long or in which brackets are nested too deep; 0: none.
  std::size_t find_excess() {
    std::size_t depth = 0;
    while (at_ < text_.size()) {
      if (too_long()) return line_;
      const char c = text_[at_];
      if (c == '"' || c == '\'') {
        if (!skip_string(c)) return line_;
        continue;
      }
      if (c == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
        if (too_long()) return line_;
        continue;
      }
      if ((c == '[' || c == '{') && ++depth > kDepthMax) return line_;
      if ((c == ']' || c == '}') && depth > 0) --depth;
      step();
    }
    return 0;
  }

 private:
  [[nodiscard]] bool too_long() const { return at_ - begin_ > kLineBytesMax; }
  void step() {
    if (text_[at_++] != '\n') return;
    ++line_;
    begin_ = at_;
  }
  // False when a line within is too long. An unfinished string ends with the text.
  bool skip_string(char quote) {
    const std::string end(text_.substr(at_).starts_with(std::string(3, quote)) ? 3 : 1, quote);
    for (at_ += end.size(); at_ < text_.size(); step()) {
      if (too_long()) return false;
      if (text_.substr(at_).starts_with(end)) {
        at_ += end.size();
        return true;
      }
      if (end.size() == 1 && text_[at_] == '\n') return true;
      if (quote == '"' && text_[at_] == '\\' && at_ + 1 < text_.size()) step();
    }
    return true;
  }

  const std::string_view text_;
  std::size_t at_ = 0;
  std::size_t line_ = 1;
  std::size_t begin_ = 0;  // of the line
};

// The parser reads beyond its buffer when a literal string is no UTF-8. Number of the line; 0:
// none.
std::size_t find_bad_encoding(std::string_view text) {
  std::size_t number = 1;
  for (std::size_t begin = 0; begin < text.size(); ++number) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    if (!core::is_utf8(text.substr(begin, end - begin))) return number;
    begin = end + 1;
  }
  return 0;
}

// Of the parser's drawing the sentence and the remark below the line.
std::string syntax_message(std::string_view drawing) {
  std::string_view first = drawing.substr(0, drawing.find('\n'));
  if (first.starts_with("[error] ")) first.remove_prefix(std::string_view("[error] ").size());
  const auto colon = first.find(": ");
  if (colon != first.npos && first.starts_with("toml::")) first.remove_prefix(colon + 2);
  std::string message = printable(first);
  const auto mark = drawing.find('^');
  if (mark == drawing.npos) return message;
  std::string_view remark = drawing.substr(mark);
  remark = remark.substr(0, remark.find('\n'));
  remark.remove_prefix(std::min(remark.find_first_not_of("^- ~"), remark.size()));
  return remark.empty() ? message : fmt::format("{}: {}", message, printable(remark));
}

// The drawing shows the line where it went wrong as "12 | text"; the parser's own position is
// where it gave up.
std::size_t syntax_line(std::string_view drawing, std::size_t fallback) {
  for (std::size_t at = drawing.find('\n'); at != drawing.npos; at = drawing.find('\n', at + 1)) {
    const std::size_t begin = drawing.find_first_not_of(' ', at + 1);
    if (begin == drawing.npos) break;
    std::size_t line = 0;
    const char* last = drawing.data() + drawing.size();
    const auto [end, error] = std::from_chars(drawing.data() + begin, last, line);
    if (error == std::errc{} &&
        std::string_view(end, static_cast<std::size_t>(last - end)).starts_with(" | ")) {
      return line;
    }
  }
  return fallback;
}

TomlValue convert(const std::string& name, const Parsed& parsed) {
  TomlValue value;
  value.file = name;
  value.line = parsed.location().line();
  if (parsed.is_string()) {
    value.kind = TomlValue::Kind::text;
    value.text = parsed.as_string().str;
  } else if (parsed.is_integer()) {
    value.kind = TomlValue::Kind::integer;
    value.integer = parsed.as_integer();
  } else if (parsed.is_boolean()) {
    value.kind = TomlValue::Kind::boolean;
    value.boolean = parsed.as_boolean();
  } else if (parsed.is_array()) {
    value.kind = TomlValue::Kind::list;
    for (const Parsed& item : parsed.as_array()) value.list.push_back(convert(name, item));
  } else if (parsed.is_table()) {
    value.kind = TomlValue::Kind::table;
    for (const auto& [key, item] : parsed.as_table()) {
      value.table.emplace(key, convert(name, item));
    }
  }
  return value;
}

}  // namespace

std::string printable(std::string_view text) {
  constexpr std::size_t kShown = 80;
  std::string out;
  for (const char c : text.substr(0, kShown)) out += c >= ' ' && c <= '~' ? c : '?';
  return text.size() > kShown ? out + "..." : out;
}

Result<TomlValue> parse_toml(const std::string& name, std::string_view text) {
  if (text.size() > kTextBytesMax) return refuse(name, 1, "a scenario has at most 64 KiB");
  if (const std::size_t line = find_bad_encoding(text); line != 0) {
    return refuse(name, line, "this is not UTF-8");
  }
  if (const std::size_t line = Scanner(text).find_excess(); line != 0) {
    return refuse(name, line, "the line is too long, or too many brackets are open");
  }
  try {
    std::istringstream stream{std::string(text)};
    return convert(name, toml::parse<toml::discard_comments, std::map, std::vector>(stream, name));
  } catch (const toml::exception& error) {
    return refuse(name, syntax_line(error.what(), error.location().line()),
                  syntax_message(error.what()));
  } catch (const std::exception& error) {
    return refuse(name, 1, printable(error.what()));
  }
}

void merge(TomlValue& into, const TomlValue& from) {
  if (into.kind != TomlValue::Kind::table || from.kind != TomlValue::Kind::table) {
    into = from;
    return;
  }
  for (const auto& [key, value] : from.table) {
    const auto found = into.table.find(key);
    if (found == into.table.end()) {
      into.table.emplace(key, value);
    } else {
      merge(found->second, value);
    }
  }
}

}  // namespace lanward::simulator
