// How much was given to peers in a calendar month, and whether that is enough.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <lanward/error.h>

#include "engine/core/units.h"

namespace lanward::core {

// Of UTC.
using Month = std::chrono::year_month;
[[nodiscard]] Month month_of(std::chrono::sys_seconds time);

// Bytes by month. Clocks are wrong at times, so the last few months that one has shown are kept: a
// month that is shown again goes on where it was. A new one begins at zero if an earlier one is
// known, else with the highest count there is: setting the clock back gives nothing away.
class UploadCount {
 public:
  struct Entry {
    Month month{};
    std::uint64_t bytes = 0;
    friend bool operator==(const Entry&, const Entry&) = default;
  };
  static constexpr std::size_t kMonthsMax = 4;

  [[nodiscard]] std::uint64_t given(Month month) const;
  void add(Month month, std::uint64_t bytes);

  // The file as text, and back. Errors: state_damaged (line, and what is wrong), unsupported.
  [[nodiscard]] std::string format() const;
  [[nodiscard]] static Result<UploadCount> parse(std::string_view text);

  friend bool operator==(const UploadCount&, const UploadCount&) = default;

 private:
  [[nodiscard]] const Entry* find(Month month) const;

  std::vector<Entry> entries_;  // the one that was used last stands last
};
inline constexpr std::size_t kUploadCountBytesMax = 1024;

// A limit, and when the count has to be made durable: what a crash may lose is never more than
// kSaveBytes, nor older than kSaveInterval.
class UploadQuota {
 public:
  static constexpr std::uint64_t kSaveBytes = 16 * kMiB;
  static constexpr Duration kSaveInterval = std::chrono::seconds{10};

  // `limit` 0: none.
  UploadQuota(std::uint64_t limit, UploadCount count) : limit_(limit), count_(std::move(count)) {}

  void give(std::uint64_t bytes, std::chrono::sys_seconds time, Instant now);
  [[nodiscard]] std::uint64_t given(std::chrono::sys_seconds time) const;
  [[nodiscard]] bool is_spent(std::chrono::sys_seconds time) const;
  // Bytes that may be given until something has to be done: the limit is reached, or the count is
  // to be saved. At least 1.
  [[nodiscard]] std::uint64_t until_due(std::chrono::sys_seconds time) const;

  // When the count is to be saved at the latest; nothing: it is saved.
  [[nodiscard]] std::optional<Instant> save_at() const;
  [[nodiscard]] const UploadCount& count() const { return count_; }
  void saved();

 private:
  const std::uint64_t limit_;
  UploadCount count_;
  std::uint64_t unsaved_ = 0;
  Instant unsaved_since_;
};

}  // namespace lanward::core
