#include "api/cli/format.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

namespace lanward::cli {
namespace {

constexpr std::size_t kBarWidthMin = 10;  // below that a bar says less than the percentage
constexpr std::size_t kBarWidthMax = 30;
constexpr const char* kGap = "  ";

std::string bar(std::uint64_t part, std::uint64_t whole, std::size_t width) {
  const std::size_t inner = width - 2;
  const auto filled = static_cast<std::size_t>(
      whole == 0 ? 0.0
                 : static_cast<double>(inner) * static_cast<double>(std::min(part, whole)) /
                       static_cast<double>(whole));
  return "[" + std::string(filled, '#') + std::string(inner - filled, '.') + "]";
}

std::string eta(const Progress& progress) {
  if (progress.rate_bytes_per_s == 0) return "ETA --:--";
  const std::uint64_t left =
      progress.total_bytes - std::min(progress.total_bytes, progress.verified_bytes);
  const std::uint64_t seconds =
      left / progress.rate_bytes_per_s + (left % progress.rate_bytes_per_s != 0);
  return "ETA " + format_clock(std::chrono::seconds(seconds));
}

// Parts of the line in the order in which they are given up, last first.
std::vector<std::string> parts_of(const Progress& progress, JobState state) {
  std::vector<std::string> parts;
  if (state == JobState::transient_error) parts.emplace_back("waiting to retry");
  if (progress.total_known) {
    parts.push_back(fmt::format("{:3}%", percent(progress.verified_bytes, progress.total_bytes)));
  }
  parts.push_back(progress.total_known
                      ? fmt::format("{} of {}", format_bytes(progress.verified_bytes),
                                    format_bytes(progress.total_bytes))
                      : format_bytes(progress.verified_bytes));
  parts.push_back(format_rate(progress.rate_bytes_per_s));
  if (progress.total_known) parts.push_back(eta(progress));
  const std::uint64_t fetched = progress.origin_bytes + progress.peer_bytes;
  parts.push_back(fmt::format("{}% from peers", percent(progress.peer_bytes, fetched)));
  parts.push_back(
      fmt::format("{} peer{}", progress.peers_connected, progress.peers_connected == 1 ? "" : "s"));
  return parts;
}

}  // namespace

std::string format_bytes(std::uint64_t bytes) {
  constexpr std::array kUnits{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  // 1023.95 would be printed as 1024.0 of the smaller unit.
  while (value >= 1023.95 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string format_rate(std::uint64_t bytes_per_s) { return format_bytes(bytes_per_s) + "/s"; }

std::string format_clock(std::chrono::seconds time) {
  const auto seconds = time.count();
  if (seconds < 3600) return fmt::format("{}:{:02}", seconds / 60, seconds % 60);
  return fmt::format("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

std::string format_elapsed(std::chrono::milliseconds time) {
  if (time < std::chrono::milliseconds{59950}) {
    return fmt::format("{:.1f} s", static_cast<double>(time.count()) / 1000);
  }
  return format_clock(std::chrono::round<std::chrono::seconds>(time));
}

unsigned percent(std::uint64_t part, std::uint64_t whole) {
  if (whole == 0) return 0;
  if (part >= whole) return 100;
  return static_cast<unsigned>(
      std::min(99.0, static_cast<double>(part) * 100 / static_cast<double>(whole)));
}

std::string progress_line(const Progress& progress, JobState state, std::size_t width) {
  if (state == JobState::queued || state == JobState::connecting) {
    return std::string("connecting ...").substr(0, width);
  }
  std::vector<std::string> parts = parts_of(progress, state);
  std::string line = fmt::format("{}", fmt::join(parts, kGap));
  while (line.size() > width && parts.size() > 1) {
    parts.pop_back();
    line = fmt::format("{}", fmt::join(parts, kGap));
  }
  if (progress.total_known && line.size() + 2 + kBarWidthMin <= width) {
    const std::size_t room = std::min(kBarWidthMax, width - line.size() - 2);
    line = bar(progress.verified_bytes, progress.total_bytes, room) + kGap + line;
  }
  return line.substr(0, width);
}

}  // namespace lanward::cli
