#include "engine/core/group.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <span>
#include <utility>

#include "engine/core/digest.h"
#include "engine/core/hmac.h"

namespace lanward::core {
namespace {

constexpr std::string_view kFirstLine = "lanward-group 1";
constexpr std::string_view kFirstWord = "lanward-group ";
constexpr std::string_view kNever = "never";
constexpr std::string_view kVeilLabel = "lanward swarm 1";

// ---- times -------------------------------------------------------------------------------------

std::string padded(unsigned value, std::size_t width) {
  std::string digits = std::to_string(value);
  return digits.size() < width ? std::string(width - digits.size(), '0') + digits : digits;
}

// Digits only, all of them.
std::optional<unsigned> number(std::string_view text) {
  unsigned value = 0;
  if (!std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    return std::nullopt;
  }
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Exactly what time_text() writes.
std::optional<WallTime> parse_time(std::string_view text) {
  constexpr std::string_view kShape = "dddd-dd-ddTdd:dd:ddZ";
  if (text.size() != kShape.size()) return std::nullopt;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (kShape[i] != 'd' && text[i] != kShape[i]) return std::nullopt;
  }
  const auto part = [&](std::size_t at, std::size_t count) {
    return number(text.substr(at, count));
  };
  const auto year = part(0, 4), month = part(5, 2), day = part(8, 2);
  const auto hour = part(11, 2), minute = part(14, 2), second = part(17, 2);
  if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year{static_cast<int>(*year)},
                                         std::chrono::month{*month}, std::chrono::day{*day}};
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 59) return std::nullopt;
  return std::chrono::sys_days{date} + std::chrono::hours{*hour} + std::chrono::minutes{*minute} +
         std::chrono::seconds{*second};
}

// ---- lines -------------------------------------------------------------------------------------

// The words of a line, which one space separates.
std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  for (;;) {
    const std::size_t space = line.find(' ');
    words.push_back(line.substr(0, space));
    if (space == std::string_view::npos) return words;
    line.remove_prefix(space + 1);
  }
}

template <std::size_t N>
bool read_hex(std::string_view text, std::array<std::uint8_t, N>& into) {
  const auto bytes = from_hex(text);
  if (!bytes || bytes->size() != N) return false;
  std::copy(bytes->begin(), bytes->end(), into.begin());
  return true;
}

class Parser {
 public:
  Result<Group> parse(std::string_view text);

 private:
  tl::unexpected<Error> wrong(const std::string& what) const {
    return fail(ErrorCode::invalid_argument,
                "group file, line " + std::to_string(line_) + ": " + what);
  }
  Result<void> read_line(std::string_view line);
  Result<void> read_key(const std::vector<std::string_view>& words);

  Group group_;
  bool has_id_ = false;
  bool has_veil_ = false;
  std::size_t line_ = 0;
};

Result<void> Parser::read_key(const std::vector<std::string_view>& words) {
  if (words.size() != 7 || words[3] != "from" || words[5] != "until") {
    return wrong("expected 'key ID SECRET from TIME until TIME|never'");
  }
  if (group_.keys.size() == kGroupKeysMax) return wrong("a third key; at most two");
  GroupKey key;
  std::array<std::uint8_t, 4> id{};
  if (!read_hex(words[1], id)) return wrong("the key's id is not 8 hexadecimal digits");
  for (const std::uint8_t byte : id) key.id = key.id << 8U | byte;
  if (!read_hex(words[2], key.secret)) {
    return wrong("the key's secret is not 64 hexadecimal digits");
  }
  const auto from = parse_time(words[4]);
  if (!from) return wrong("the time after 'from' is not like 2026-11-21T22:00:00Z");
  key.from = *from;
  if (words[6] != kNever) {
    key.until = parse_time(words[6]);
    if (!key.until)
      return wrong("the time after 'until' is neither 'never' nor like 2026-11-21T22:00:00Z");
    if (*key.until <= key.from) return wrong("the time after 'until' is not after that of 'from'");
  }
  for (const GroupKey& other : group_.keys) {
    if (other.id == key.id) return wrong("two keys have the same id");
    if (other.secret == key.secret) return wrong("two keys have the same secret");
  }
  group_.keys.push_back(key);
  return {};
}

Result<void> Parser::read_line(std::string_view line) {
  if (line.empty() || line.front() == '#') return {};
  const auto words = words_of(line);
  if (words[0] == "key") return read_key(words);
  const bool is_id = words[0] == "id";
  // The word may be part of a secret on a line torn apart: it is not repeated.
  if (!is_id && words[0] != "veil") return wrong("expected 'id', 'veil' or 'key'");
  if (words.size() != 2) return wrong(is_id ? "expected 'id ID'" : "expected 'veil SECRET'");
  bool& seen = is_id ? has_id_ : has_veil_;
  if (std::exchange(seen, true)) return wrong(is_id ? "a second id" : "a second veil");
  if (is_id && !read_hex(words[1], group_.id)) return wrong("the id is not 32 hexadecimal digits");
  if (!is_id && !read_hex(words[1], group_.veil)) {
    return wrong("the veil is not 64 hexadecimal digits");
  }
  return {};
}

Result<Group> Parser::parse(std::string_view text) {
  if (text.size() > kGroupFileBytesMax) {
    return fail(ErrorCode::invalid_argument, "group file: " + std::to_string(text.size()) +
                                                 " bytes, at most " +
                                                 std::to_string(kGroupFileBytesMax));
  }
  while (!text.empty()) {
    ++line_;
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return wrong("the file is cut off: no end of line");
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (line_ == 1) {
      if (line == kFirstLine) continue;
      if (!line.starts_with(kFirstWord)) {
        return wrong("not a group file: it must begin with '" + std::string(kFirstLine) + "'");
      }
      return fail(ErrorCode::unsupported, "group file: a version of the format that is not known");
    }
    if (auto read = read_line(line); !read) return tl::unexpected(read.error());
  }
  ++line_;
  if (line_ == 1) return wrong("the file is empty");
  if (!has_id_) return wrong("no 'id' line");
  if (!has_veil_) return wrong("no 'veil' line");
  if (group_.keys.empty()) return wrong("no 'key' line");
  return std::move(group_);
}

}  // namespace

std::string group_id_text(const Group& group) { return to_hex(group.id); }

std::string key_id_text(std::uint32_t id) {
  std::array<std::uint8_t, 4> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::uint8_t>(id >> (24 - 8 * i));
  }
  return to_hex(bytes);
}

std::string time_text(WallTime time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{time - day};
  const auto two = [](auto value) { return padded(static_cast<unsigned>(value), 2); };
  return padded(static_cast<unsigned>(static_cast<int>(date.year())), 4) + "-" +
         two(static_cast<unsigned>(date.month())) + "-" + two(static_cast<unsigned>(date.day())) +
         "T" + two(clock.hours().count()) + ":" + two(clock.minutes().count()) + ":" +
         two(clock.seconds().count()) + "Z";
}

std::string format_group(const Group& group) {
  std::string text = std::string(kFirstLine) + "\n";
  text += "# Whoever can read this file is a member. Copy it by a safe way; keep its mode 0600.\n";
  text += "id " + group_id_text(group) + "\n";
  text += "veil " + to_hex(group.veil) + "\n";
  for (const GroupKey& key : group.keys) {
    text += "key " + key_id_text(key.id) + " " + to_hex(key.secret) + " from " +
            time_text(key.from) + " until " +
            (key.until ? time_text(*key.until) : std::string(kNever)) + "\n";
  }
  return text;
}

Result<Group> parse_group(std::string_view text) { return Parser().parse(text); }

std::vector<GroupKey> accepted_keys(const Group& group, WallTime now) {
  std::vector<GroupKey> keys;
  for (const GroupKey& key : group.keys) {
    if (!key.until || now < *key.until) keys.push_back(key);
  }
  // Of two of the same second the later line is the newer key.
  std::reverse(keys.begin(), keys.end());
  std::stable_sort(keys.begin(), keys.end(), [now](const GroupKey& a, const GroupKey& b) {
    const bool a_used = a.from <= now, b_used = b.from <= now;
    if (a_used != b_used) return a_used;
    return a_used ? a.from > b.from : a.from < b.from;
  });
  return keys;
}

Group make_group(const std::array<std::uint8_t, 16>& id, const Secret& veil, const FreshKey& key,
                 WallTime now) {
  return {.id = id, .veil = veil, .keys = {{key.id, key.secret, now, std::nullopt}}};
}

Result<Group> rotate_group(const Group& group, const FreshKey& key,
                           std::optional<std::chrono::seconds> overlap, WallTime now) {
  Group rotated = group;
  if (!overlap) {
    rotated.keys = {{key.id, key.secret, now, std::nullopt}};
    return rotated;
  }
  std::erase_if(rotated.keys,
                [now](const GroupKey& old) { return old.until && *old.until <= now; });
  if (rotated.keys.size() == kGroupKeysMax) {
    const auto first = std::min_element(
        rotated.keys.begin(), rotated.keys.end(), [](const GroupKey& a, const GroupKey& b) {
          return a.until.value_or(WallTime::max()) < b.until.value_or(WallTime::max());
        });
    return fail(ErrorCode::invalid_argument,
                "the group has two keys already; key " + key_id_text(first->id) +
                    " is accepted until " +
                    (first->until ? time_text(*first->until) : std::string(kNever)) +
                    ": rotate after that, or drop the old keys at once");
  }
  for (GroupKey& old : rotated.keys) {
    if (old.id == key.id) return fail(ErrorCode::invalid_argument, "the key's id is taken");
    // A key whose time had not come yet is still valid for a moment: the file says so or nothing.
    const WallTime end = std::max(now + *overlap, old.from + std::chrono::seconds{1});
    old.until = old.until ? std::min(*old.until, end) : end;
  }
  rotated.keys.push_back({key.id, key.secret, now, std::nullopt});
  return rotated;
}

Digest veiled_name(const Secret& veil, const Digest& infohash, Sha256Fn sha256) {
  std::vector<std::uint8_t> message(kVeilLabel.begin(), kVeilLabel.end());
  message.insert(message.end(), infohash.begin(), infohash.end());
  return hmac_sha256(veil, message, sha256);
}

}  // namespace lanward::core
