#include "engine/core/upload_quota.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>

namespace lanward::core {
namespace {

constexpr std::string_view kFirstLine = "lanward-given 1";
constexpr std::string_view kFirstWord = "lanward-given ";
constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();

template <class Value>
std::optional<Value> whole(std::string_view text) {
  Value value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string text_of(Month month) {
  std::string number = std::to_string(static_cast<unsigned>(month.month()));
  if (number.size() < 2) number.insert(0, 1, '0');
  return std::to_string(static_cast<int>(month.year())) + "-" + number;
}

// "2026-11 123456789"
std::optional<UploadCount::Entry> parse_entry(std::string_view line) {
  const std::size_t hyphen = line.find('-', 1);
  const std::size_t space = line.find(' ');
  if (hyphen == std::string_view::npos || space == std::string_view::npos || hyphen > space) {
    return std::nullopt;
  }
  const auto year = whole<std::int16_t>(line.substr(0, hyphen));
  const auto month = whole<std::uint8_t>(line.substr(hyphen + 1, space - hyphen - 1));
  const auto bytes = whole<std::uint64_t>(line.substr(space + 1));
  if (!year || !month || !bytes) return std::nullopt;
  const Month named{std::chrono::year{*year}, std::chrono::month{*month}};
  if (!named.ok()) return std::nullopt;
  return UploadCount::Entry{named, *bytes};
}

}  // namespace

Month month_of(std::chrono::sys_seconds time) {
  const std::chrono::year_month_day day(std::chrono::floor<std::chrono::days>(time));
  return {day.year(), day.month()};
}

// ---- UploadCount -------------------------------------------------------------------------------

const UploadCount::Entry* UploadCount::find(Month month) const {
  const auto at = std::find_if(entries_.begin(), entries_.end(),
                               [&](const Entry& entry) { return entry.month == month; });
  return at == entries_.end() ? nullptr : &*at;
}

std::uint64_t UploadCount::given(Month month) const {
  if (const Entry* entry = find(month); entry != nullptr) return entry->bytes;
  std::uint64_t most = 0;
  for (const Entry& entry : entries_) {
    if (entry.month < month) return 0;
    most = std::max(most, entry.bytes);
  }
  return most;
}

void UploadCount::add(Month month, std::uint64_t bytes) {
  const std::uint64_t before = given(month);
  std::erase_if(entries_, [&](const Entry& entry) { return entry.month == month; });
  if (entries_.size() >= kMonthsMax) entries_.erase(entries_.begin());
  entries_.push_back({month, before + std::min(bytes, kMost - before)});
}

std::string UploadCount::format() const {
  std::string text = std::string(kFirstLine) + "\n";
  for (const Entry& entry : entries_) {
    text += text_of(entry.month) + " " + std::to_string(entry.bytes) + "\n";
  }
  return text;
}

Result<UploadCount> UploadCount::parse(std::string_view text) {
  UploadCount count;
  std::size_t line_number = 0;
  const auto wrong = [&line_number](const char* what) {
    return fail(ErrorCode::state_damaged, "line " + std::to_string(line_number) + ": " + what +
                                              "; remove the file to count from zero");
  };
  if (text.size() > kUploadCountBytesMax) return wrong("the file is too long");
  while (!text.empty()) {
    ++line_number;
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return wrong("the file is cut off: no end of line");
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (line_number == 1) {
      if (line == kFirstLine) continue;
      if (!line.starts_with(kFirstWord)) return wrong("it must begin with 'lanward-given 1'");
      return fail(ErrorCode::unsupported, "line 1: a version that is not known");
    }
    const auto entry = parse_entry(line);
    if (!entry) return wrong("expected a month and a number of bytes, as in '2026-11 4096'");
    if (count.find(entry->month) != nullptr) return wrong("this month was told before");
    if (count.entries_.size() >= kMonthsMax) return wrong("too many months");
    count.entries_.push_back(*entry);
  }
  if (line_number == 0) return wrong("the file is empty");
  return count;
}

// ---- UploadQuota -------------------------------------------------------------------------------

void UploadQuota::give(std::uint64_t bytes, std::chrono::sys_seconds time, Instant now) {
  if (bytes == 0) return;
  count_.add(month_of(time), bytes);
  if (unsaved_ == 0) unsaved_since_ = now;
  unsaved_ += std::min(bytes, kMost - unsaved_);
}

std::uint64_t UploadQuota::given(std::chrono::sys_seconds time) const {
  return count_.given(month_of(time));
}

bool UploadQuota::is_spent(std::chrono::sys_seconds time) const {
  return limit_ > 0 && given(time) >= limit_;
}

std::uint64_t UploadQuota::until_due(std::chrono::sys_seconds time) const {
  std::uint64_t left = kSaveBytes - std::min(unsaved_, kSaveBytes);
  if (limit_ > 0) left = std::min(left, limit_ - std::min(limit_, given(time)));
  return std::max<std::uint64_t>(left, 1);
}

std::optional<Instant> UploadQuota::save_at() const {
  if (unsaved_ == 0) return std::nullopt;
  return unsaved_ >= kSaveBytes ? unsaved_since_ : unsaved_since_ + kSaveInterval;
}

void UploadQuota::saved() { unsaved_ = 0; }

}  // namespace lanward::core
