#include "api/cli/job_lookup.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <string_view>

namespace lanward::cli {
namespace {

constexpr std::size_t kDigits = 32;
// Of the jobs that an ambiguous text may mean; enough to see what to type.
constexpr std::size_t kListedMax = 3;

// Only the hexadecimal digits, in lower case; empty if there is anything else.
std::string digits_of(std::string_view text) {
  if (text.size() >= 2 && text.front() == '{' && text.back() == '}') {
    text = text.substr(1, text.size() - 2);
  }
  std::string digits;
  for (const char c : text) {
    if (c == '-') continue;
    if (std::isxdigit(static_cast<unsigned char>(c)) == 0) return {};
    digits.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
  }
  return digits;
}

Error ambiguous(const std::vector<JobId>& found, const std::string& text) {
  std::string listed;
  for (std::size_t i = 0; i < std::min(found.size(), kListedMax); ++i) {
    listed += (i == 0 ? "" : ", ") + to_string(found[i]);
  }
  if (found.size() > kListedMax) listed += ", ...";
  return {ErrorCode::invalid_argument,
          fmt::format("{} jobs begin with '{}': {}; give more digits", found.size(), text, listed)};
}

}  // namespace

Result<JobId> find_job(const std::vector<JobId>& jobs, const std::string& text) {
  const std::string digits = digits_of(text);
  if (digits.empty() || digits.size() > kDigits) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("'{}' is not the id of a job; see lanward jobs list", text));
  }
  if (digits.size() < kIdDigitsMin) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("'{}' is too short for a job; give at least {} digits of its id", text,
                            kIdDigitsMin));
  }
  std::vector<JobId> found;
  for (const JobId& job : jobs) {
    if (digits_of(to_string(job)).starts_with(digits)) found.push_back(job);
  }
  if (found.empty()) {
    return fail(ErrorCode::job_not_found,
                fmt::format("there is no job '{}'; see lanward jobs list --all", text));
  }
  if (found.size() > 1) return tl::unexpected(ambiguous(found, text));
  return found.front();
}

}  // namespace lanward::cli
