#include "cdn/header_facts.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "cdn/digest_fields.h"

namespace lanward::cdn {
namespace {

using Clock = std::chrono::system_clock;

[[nodiscard]] bool is_space(char c) { return c == ' ' || c == '\t'; }

[[nodiscard]] std::string_view trim(std::string_view s) {
  while (!s.empty() && is_space(s.front())) s.remove_prefix(1);
  while (!s.empty() && (is_space(s.back()) || s.back() == '\r')) s.remove_suffix(1);
  return s;
}

// ASCII only: the user's locale has no say in protocol text.
[[nodiscard]] std::string lower(std::string_view s) {
  std::string out(s);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

// All of `s` is a decimal number that fits.
[[nodiscard]] std::optional<std::uint64_t> parse_number(std::string_view s) {
  std::uint64_t n = 0;
  const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), n);
  if (s.empty() || error != std::errc{} || end != s.data() + s.size()) return std::nullopt;
  return n;
}

// Cuts the text up to `separator` off the front of `s`; the separator goes too.
[[nodiscard]] std::optional<std::string_view> cut(std::string_view& s, char separator) {
  const auto at = s.find(separator);
  if (at == std::string_view::npos) return std::nullopt;
  const auto head = s.substr(0, at);
  s.remove_prefix(at + 1);
  return head;
}

// An entity tag: quotes around visible characters, perhaps W/ before. A tag without quotes cannot
// be sent back in If-Range, so it is as good as none.
[[nodiscard]] bool is_entity_tag(std::string_view s) {
  if (s.starts_with("W/")) s.remove_prefix(2);
  if (s.size() < 2 || s.front() != '"' || s.back() != '"') return false;
  s = s.substr(1, s.size() - 2);
  return std::all_of(s.begin(), s.end(), [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return u > 0x20 && u != '"' && u != 0x7f;
  });
}

[[nodiscard]] std::optional<core::Duration> parse_retry_after(std::string_view value,
                                                              Clock::time_point now) {
  const core::Duration longest = kRetryAfterMax;
  const auto longest_s = std::chrono::duration_cast<std::chrono::seconds>(longest);
  if (!value.empty() &&
      std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    const auto seconds = parse_number(value);  // absent: too many digits
    const auto most = static_cast<std::uint64_t>(longest_s.count());
    return std::chrono::seconds{seconds ? std::min(*seconds, most) : most};
  }
  const auto date = parse_http_date(value);
  if (!date) return std::nullopt;
  // Compared in seconds, because a date far off does not fit into nanoseconds.
  const auto wait = *date - std::chrono::floor<std::chrono::seconds>(now);
  return std::clamp(wait, std::chrono::seconds{0}, longest_s);
}

// A token or a quoted string at the front of `s`, which loses it.
[[nodiscard]] std::string take_parameter_value(std::string_view& s) {
  std::string value;
  if (!s.empty() && s.front() == '"') {
    s.remove_prefix(1);
    while (!s.empty() && s.front() != '"') {
      if (s.front() == '\\' && s.size() > 1) s.remove_prefix(1);
      value.push_back(s.front());
      s.remove_prefix(1);
    }
    if (!s.empty()) s.remove_prefix(1);
    return value;
  }
  const auto end = std::min(s.find_first_of(";, \t"), s.size());
  value = s.substr(0, end);
  s.remove_prefix(end);
  return value;
}

// RFC 6249, 3.1: from 1 to 999999.
[[nodiscard]] std::uint32_t parse_priority(std::string_view value) {
  const auto number = parse_number(value);
  return number && *number <= kLinkPriorityMax ? static_cast<std::uint32_t>(*number) : 0;
}

// RFC 6249, 3.2: an ISO 3166-1 code.
[[nodiscard]] std::string parse_location(std::string_view value) {
  std::string code = lower(value);
  const bool letters =
      std::all_of(code.begin(), code.end(), [](char c) { return c >= 'a' && c <= 'z'; });
  return letters && code.size() == 2 ? code : std::string();
}

struct LinkParameters {
  std::optional<std::string> rel;  // only the first counts (RFC 8288, 3.3)
  std::optional<std::string> type;
  bool anchor = false;
  std::uint32_t priority = 0;
  std::string location;
};

// Reads ";name=value" until the next link or the end.
[[nodiscard]] LinkParameters take_link_parameters(std::string_view& s) {
  LinkParameters out;
  while (true) {
    s = trim(s);
    if (s.empty() || s.front() == ',') return out;
    if (s.front() != ';') {  // stray text: skip it, do not let it pass for a parameter
      s.remove_prefix(1);
      continue;
    }
    s = trim(s.substr(1));
    const auto end = std::min(s.find_first_of("=;, \t"), s.size());
    const std::string name = lower(s.substr(0, end));
    s = trim(s.substr(end));
    std::string value;
    if (!s.empty() && s.front() == '=') {
      s = trim(s.substr(1));
      value = take_parameter_value(s);
    }
    if (name == "rel" && !out.rel) out.rel = lower(value);
    if (name == "type" && !out.type) out.type = lower(value);
    if (name == "anchor") out.anchor = true;
    if (name == "pri" && out.priority == 0) out.priority = parse_priority(value);
    if (name == "geo" && out.location.empty()) out.location = parse_location(value);
  }
}

struct FieldReader {
  ReplyHeaders out;
  bool transfer_encoding = false;
  int content_ranges = 0;

  void read(std::string_view name, std::string_view value, Clock::time_point now) {
    const std::string key = lower(name);
    if (key == "content-length") {
      const auto length = parse_number(value);
      out.lengths_contradict |= out.content_length && length != out.content_length;
      if (length) out.content_length = length;
    } else if (key == "content-range") {
      ++content_ranges;
      out.content_range_text = value;
      out.content_range = parse_content_range(value);
    } else if (key == "etag") {
      out.etag = is_entity_tag(value) ? value : std::string_view{};
    } else if (key == "last-modified") {
      out.last_modified = value;
    } else if (key == "location") {
      if (out.location.empty()) out.location = value;
    } else if (key == "content-type") {
      out.content_type = lower(trim(value.substr(0, value.find(';'))));
    } else if (key == "content-encoding") {
      add_coding(lower(value));
    } else if (key == "transfer-encoding") {
      transfer_encoding = true;
    } else if (key == "retry-after") {
      out.retry_after = parse_retry_after(value, now);
    } else if (key == "link") {
      parse_links(value, out.links);
    } else if (key == "repr-digest") {
      parse_digest_dictionary("Repr-Digest", value, out.file_digests);
    } else if (key == "digest") {
      parse_instance_digests(value, out.file_digests);
    } else if (key == "content-digest") {
      parse_digest_dictionary("Content-Digest", value, out.body_digests);
    } else if (key == "content-md5") {
      parse_content_md5(value, out.body_digests);
    } else if (key == "www-authenticate") {
      parse_challenges(value, out.challenges);
    }
  }

  void add_coding(const std::string& coding) {
    if (coding.empty() || coding == "identity") return;
    if (!out.content_encoding.empty()) out.content_encoding += ", ";
    out.content_encoding += coding;
  }

  [[nodiscard]] ReplyHeaders result() {
    if (transfer_encoding) out.content_length.reset();
    if (content_ranges > 1) out.content_range.reset();
    return std::move(out);
  }
};

// "HTTP/1.1 206 Partial Content", "HTTP/2 206".
[[nodiscard]] int parse_status(std::string_view line) {
  if (!line.starts_with("HTTP/") || !cut(line, ' ')) return 0;
  const auto status = parse_number(line.substr(0, 3));
  const bool ends = line.size() == 3 || (line.size() > 3 && line[3] == ' ');
  return status && ends && *status >= 100 ? static_cast<int>(*status) : 0;
}

// The next line without its end; lines that start with a blank continue the one before.
[[nodiscard]] std::string take_logical_line(std::string_view& rest) {
  std::string line;
  do {
    const auto end = std::min(rest.find('\n'), rest.size());
    if (!line.empty()) line.push_back(' ');
    line += trim(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  } while (!line.empty() && !rest.empty() && is_space(rest.front()));
  return line;
}

}  // namespace

std::optional<ContentRange> parse_content_range(std::string_view value) {
  value = trim(value);
  const auto unit = cut(value, ' ');
  if (!unit || lower(*unit) != "bytes") return std::nullopt;
  value = trim(value);
  const auto range = cut(value, '/');
  if (!range) return std::nullopt;
  ContentRange out;
  if (value != "*") {
    out.total = parse_number(value);
    if (!out.total) return std::nullopt;
  }
  if (*range == "*") return out.total ? std::optional(out) : std::nullopt;
  std::string_view last_text = *range;
  const auto first_text = cut(last_text, '-');
  if (!first_text) return std::nullopt;
  const auto first = parse_number(*first_text);
  const auto last = parse_number(last_text);
  if (!first || !last || *first > *last || *last == UINT64_MAX) return std::nullopt;
  if (out.total && *last >= *out.total) return std::nullopt;
  out.satisfied = true;
  out.first = *first;
  out.last = *last;
  return out;
}

// RFC 9110, 5.6.7 obliges us to read three forms; split into words they are
//   Sun 06 Nov 1994 08 49 37 GMT | Sunday 06 Nov 94 08 49 37 GMT | Sun Nov 6 08 49 37 1994
std::optional<std::chrono::sys_seconds> parse_http_date(std::string_view value) {
  static constexpr std::size_t kWordsMax = 8;
  static constexpr std::string_view kSeparators = " ,-:";
  std::array<std::string_view, kWordsMax> word{};
  std::size_t words = 0;
  while (true) {
    value.remove_prefix(std::min(value.find_first_not_of(kSeparators), value.size()));
    if (value.empty()) break;
    if (words == kWordsMax) return std::nullopt;
    const auto end = std::min(value.find_first_of(kSeparators), value.size());
    word[words++] = value.substr(0, end);
    value.remove_prefix(end);
  }
  const bool asctime = words == 7;
  if (!asctime && (words != kWordsMax || word[7] != "GMT")) return std::nullopt;
  static constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  const auto month_name = word[asctime ? 1 : 2];
  const auto month_at = month_name.size() == 3 ? kMonths.find(month_name) : std::string_view::npos;
  if (month_at == std::string_view::npos || month_at % 3 != 0) return std::nullopt;
  const auto day = parse_number(word[asctime ? 2 : 1]);
  auto year = parse_number(word[asctime ? 6 : 3]);
  const std::size_t clock_at = asctime ? 3 : 4;
  const auto hour = parse_number(word[clock_at]);
  const auto minute = parse_number(word[clock_at + 1]);
  const auto second = parse_number(word[clock_at + 2]);
  if (!day || !year || !hour || !minute || !second) return std::nullopt;
  if (*day > 31 || *year > 9999 || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  // Two digits mean this century unless that would be far ahead; no server modified anything
  // before the Web, so 70 and up is the last century.
  if (word[3].size() == 2 && !asctime) *year += *year < 70 ? 2000 : 1900;
  const std::chrono::year_month_day date{
      std::chrono::year{static_cast<int>(*year)},
      std::chrono::month{static_cast<unsigned>(month_at / 3 + 1)},
      std::chrono::day{static_cast<unsigned>(*day)}};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days{date} + std::chrono::hours{*hour} + std::chrono::minutes{*minute} +
         std::chrono::seconds{*second};
}

void parse_links(std::string_view value, std::vector<LinkValue>& out) {
  while (out.size() < kLinksMax && cut(value, '<')) {
    const auto target = cut(value, '>');
    if (!target) return;
    const auto parameters = take_link_parameters(value);
    if (!parameters.rel || parameters.anchor) continue;
    std::string_view rels = *parameters.rel;
    while (out.size() < kLinksMax && !(rels = trim(rels)).empty()) {
      const auto end = std::min(rels.find_first_of(" \t"), rels.size());
      out.push_back({std::string(rels.substr(0, end)), std::string(trim(*target)),
                     parameters.type.value_or(""), parameters.priority, parameters.location});
      rels.remove_prefix(end);
    }
  }
}

// Challenges and their parameters are both separated by commas; a scheme is a word that no "="
// follows (RFC 9110, 11.6.1).
void parse_challenges(std::string_view value, std::vector<std::string>& out) {
  while (out.size() < kChallengesMax && !(value = trim(value)).empty()) {
    const auto end = std::min(value.find_first_of(" \t=,\""), value.size());
    const std::string_view word = value.substr(0, end);
    value = trim(value.substr(end));
    const bool parameter = value.starts_with('=');
    if (!parameter && !word.empty()) out.push_back(lower(word));
    if (!parameter && !value.empty() && value.front() != ',' && value.front() != '"') continue;
    bool quoted = false;
    while (!value.empty() && (quoted || value.front() != ',')) {
      if (value.front() == '"') quoted = !quoted;
      if (quoted && value.front() == '\\') value.remove_prefix(1);
      if (!value.empty()) value.remove_prefix(1);
    }
    if (!value.empty()) value.remove_prefix(1);
  }
}

ReplyHeaders parse_reply_headers(std::string_view block, Clock::time_point now) {
  block = block.substr(0, kHeaderBlockBytesMax);
  FieldReader reader;
  reader.out.status = parse_status(take_logical_line(block));
  while (!block.empty()) {
    const std::string line = take_logical_line(block);
    std::string_view value = line;
    const auto name = cut(value, ':');
    if (name) reader.read(*name, trim(value), now);
  }
  return reader.result();
}

}  // namespace lanward::cdn
