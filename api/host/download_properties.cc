// The properties of a download: which exist, what they may be, and what of them is the job's.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "api/host/download_body.h"
#include "engine/core/header_rules.h"
#include "engine/core/job_watch.h"

namespace lanward::host {
namespace {

// As published.
constexpr std::uint32_t kNoProgressSecondsMin = 60;
// Like the native job's.
constexpr std::size_t kDisplayNameMax = 256;
// Above any that is in use (content ids are hashes, correlation vectors have 127 bytes), and
// small enough to keep.
constexpr std::size_t kTextMax = 4096;

enum class When : std::uint8_t { never, created, created_or_paused, until_final };
enum class Type : std::uint8_t { boolean, number, size, text };  // in the order of PropertyValue

struct Rule {
  DownloadProperty property;
  Type type;
  When settable;
  bool readable = true;
};

using P = DownloadProperty;
constexpr std::array kRules = {
    Rule{P::Id, Type::text, When::never},
    Rule{P::Uri, Type::text, When::created_or_paused},
    Rule{P::ContentId, Type::text, When::created},
    Rule{P::DisplayName, Type::text, When::until_final},
    Rule{P::LocalPath, Type::text, When::created},
    Rule{P::HttpCustomHeaders, Type::text, When::until_final},
    Rule{P::CostPolicy, Type::number, When::until_final},
    Rule{P::CallbackFreqPercent, Type::number, When::until_final},
    Rule{P::CallbackFreqSeconds, Type::number, When::until_final},
    Rule{P::NoProgressTimeoutSeconds, Type::number, When::until_final},
    Rule{P::ForegroundPriority, Type::boolean, When::until_final},
    Rule{P::BlockingMode, Type::boolean, When::until_final},
    Rule{P::CorrelationVector, Type::text, When::until_final},
    Rule{P::IntegrityCheckInfo, Type::text, When::created, false},
    Rule{P::IntegrityCheckMandatory, Type::boolean, When::created},
    Rule{P::TotalSizeBytes, Type::size, When::created},
    Rule{P::DisallowOnCellular, Type::boolean, When::until_final},
    Rule{P::HttpAllowSecureToNonSecureRedirect, Type::boolean, When::until_final},
    Rule{P::NonVolatile, Type::boolean, When::until_final},
};

// Of the published DODownloadCostPolicy, in the order of its values. There is none for the last,
// no cellular network, so that is as a standard download.
constexpr std::array kCosts = {CostPolicy::always,       CostPolicy::unrestricted,
                               CostPolicy::standard,     CostPolicy::not_roaming,
                               CostPolicy::no_surcharge, CostPolicy::standard};

std::string name_of(DownloadProperty property) {
  return "property " + std::to_string(static_cast<std::uint32_t>(property));
}

Result<Rule> rule_of(DownloadProperty property) {
  const auto* const found = std::find_if(kRules.begin(), kRules.end(),
                                         [&](const Rule& r) { return r.property == property; });
  if (found == kRules.end()) {
    return fail(ErrorCode::unknown_property, name_of(property) + " is not known");
  }
  return *found;
}

bool is_settable(When when, DownloadState state) {
  switch (when) {
    case When::never:
      return false;
    case When::created:
      return state == DownloadState::created;
    case When::created_or_paused:
      return state == DownloadState::created || state == DownloadState::paused;
    case When::until_final:
      return state != DownloadState::finalized && state != DownloadState::aborted;
  }
  return false;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin, end - begin);
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) lines.push_back(std::move(line));
    begin = end + 1;
  }
  return lines;
}

Result<void> check_between(DownloadProperty property, std::uint32_t value, std::uint32_t least,
                           std::uint32_t most) {
  if (value >= least && value <= most) return {};
  return fail(
      ErrorCode::invalid_argument,
      name_of(property) + ": expected " + std::to_string(least) + " to " + std::to_string(most));
}

Result<void> check_text(DownloadProperty property, const std::string& text) {
  if (property == P::HttpCustomHeaders) return core::check_headers(lines_of(text));
  const std::size_t most = property == P::DisplayName ? kDisplayNameMax : kTextMax;
  if (text.size() > most) {
    return fail(ErrorCode::invalid_argument,
                name_of(property) + ": more than " + std::to_string(most) + " bytes");
  }
  if (text.empty() && property != P::DisplayName) {
    return fail(ErrorCode::invalid_argument, name_of(property) + ": empty");
  }
  // The published form, JSON about a file of piece hashes, describes another kind of manifest.
  if (property == P::IntegrityCheckInfo && text.starts_with('{')) {
    return fail(ErrorCode::unsupported,
                name_of(property) + ": expected the path or URL of a manifest, not JSON");
  }
  return {};
}

Result<void> check_number(DownloadProperty property, std::uint32_t value) {
  constexpr auto kSecondsMax = static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::seconds>(core::kJobTimeMax).count());
  switch (property) {
    case P::CostPolicy:
      return check_between(property, value, 0, kCosts.size() - 1);
    case P::CallbackFreqPercent:
      return check_between(property, value, 1, 100);
    case P::CallbackFreqSeconds:
      return check_between(property, value, 1, kSecondsMax);
    case P::NoProgressTimeoutSeconds:
      return check_between(property, value, kNoProgressSecondsMin, kSecondsMax);
    default:
      return {};
  }
}

}  // namespace

Result<void> check_property(DownloadProperty property, const PropertyValue& value,
                            DownloadState state) {
  const auto rule = rule_of(property);
  if (!rule) return tl::unexpected(rule.error());
  if (rule->settable == When::never) {
    return fail(ErrorCode::read_only_property, name_of(property) + " can only be read");
  }
  if (value.index() != static_cast<std::size_t>(rule->type)) {
    return fail(ErrorCode::invalid_argument, name_of(property) + ": a value of another type");
  }
  if (!is_settable(rule->settable, state)) {
    return fail(ErrorCode::invalid_state,
                name_of(property) + " cannot be set, the download is " + to_string(state));
  }
  if (const auto* text = std::get_if<std::string>(&value)) return check_text(property, *text);
  if (const auto* number = std::get_if<std::uint32_t>(&value)) {
    return check_number(property, *number);
  }
  return {};
}

Result<void> check_readable(DownloadProperty property) {
  const auto rule = rule_of(property);
  if (!rule) return tl::unexpected(rule.error());
  if (rule->readable) return {};
  return fail(ErrorCode::write_only_property, name_of(property) + " can only be set");
}

std::optional<PropertyValue> default_of(DownloadProperty property) {
  const auto rule = rule_of(property);
  if (rule && rule->type == Type::boolean) return PropertyValue{false};
  return std::nullopt;
}

std::optional<JobChange> change_of(const PropertyValues& values) {
  JobChange change;
  bool any = false;
  for (const auto& [property, value] : values) {
    const bool before = std::exchange(any, true);
    switch (property) {
      case P::DisplayName:
        change.display_name = std::get<std::string>(value);
        break;
      case P::HttpCustomHeaders:
        change.custom_headers = lines_of(std::get<std::string>(value));
        break;
      case P::CostPolicy:
        change.cost = kCosts.at(std::get<std::uint32_t>(value));
        break;
      case P::NoProgressTimeoutSeconds:
        change.no_progress_timeout = std::chrono::seconds{std::get<std::uint32_t>(value)};
        break;
      case P::ForegroundPriority:
        change.priority = std::get<bool>(value) ? Priority::foreground : Priority::normal;
        break;
      case P::HttpAllowSecureToNonSecureRedirect:
        change.allow_https_to_http_redirects = std::get<bool>(value);
        break;
      default:
        any = before;
    }
  }
  return any ? std::optional(std::move(change)) : std::nullopt;
}

PropertyValues values_of(const JobProperties& job, const FileStatus& file) {
  PropertyValues values;
  values[P::Uri] = file.source;
  if (!file.id.starts_with(kStreamMark)) values[P::LocalPath] = file.destination;
  if (!job.display_name.empty()) values[P::DisplayName] = job.display_name;
  std::string headers;
  for (const std::string& header : job.custom_headers) headers += header + "\r\n";
  if (!headers.empty()) values[P::HttpCustomHeaders] = std::move(headers);
  const auto* const cost = std::find(kCosts.begin(), kCosts.end(), job.cost);
  if (cost != kCosts.end()) {
    values[P::CostPolicy] = static_cast<std::uint32_t>(cost - kCosts.begin());
  }
  if (job.no_progress_timeout.count() > 0) {
    values[P::NoProgressTimeoutSeconds] =
        static_cast<std::uint32_t>(job.no_progress_timeout.count());
  }
  values[P::ForegroundPriority] = job.priority == Priority::foreground;
  values[P::HttpAllowSecureToNonSecureRedirect] = job.allow_https_to_http_redirects;
  values[P::NonVolatile] = !file.id.starts_with(kStreamMark);
  return values;
}

std::string text_of(const PropertyValues& values, DownloadProperty property) {
  const auto found = values.find(property);
  return found == values.end() ? std::string() : std::get<std::string>(found->second);
}

bool flag_of(const PropertyValues& values, DownloadProperty property) {
  const auto found = values.find(property);
  return found != values.end() && std::get<bool>(found->second);
}

std::optional<std::uint32_t> number_of(const PropertyValues& values, DownloadProperty property) {
  const auto found = values.find(property);
  if (found == values.end()) return std::nullopt;
  return std::get<std::uint32_t>(found->second);
}

}  // namespace lanward::host
