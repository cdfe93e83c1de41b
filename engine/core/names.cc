// Names of the public values.
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <lanward/types.h>

namespace lanward {
namespace {

// Whether a hyphen stands before byte `i` of an identifier: 8-4-4-4-12 digits.
constexpr bool hyphen_before(std::size_t i) { return i == 4 || i == 6 || i == 8 || i == 10; }

// Value of a hexadecimal digit; nothing for any other character.
constexpr std::optional<std::uint8_t> digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<std::uint8_t>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<std::uint8_t>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<std::uint8_t>(c - 'A' + 10);
  return std::nullopt;
}

}  // namespace

const char* to_string(JobState state) noexcept {
  switch (state) {
    case JobState::queued:
      return "queued";
    case JobState::connecting:
      return "connecting";
    case JobState::transferring:
      return "transferring";
    case JobState::suspended:
      return "suspended";
    case JobState::error:
      return "error";
    case JobState::transient_error:
      return "transient_error";
    case JobState::transferred:
      return "transferred";
    case JobState::acknowledged:
      return "acknowledged";
    case JobState::cancelled:
      return "cancelled";
  }
  return "error";
}

namespace {

constexpr std::array<std::pair<DownloadMode, const char*>, 6> kModes{{
    {DownloadMode::cdn_only, "http-only"},
    {DownloadMode::lan, "lan"},
    {DownloadMode::group, "group"},
    {DownloadMode::internet, "internet"},
    {DownloadMode::simple, "simple"},
    {DownloadMode::bypass, "bypass"},
}};

}  // namespace

const char* to_string(DownloadMode mode) noexcept {
  for (const auto& [each, name] : kModes) {
    if (each == mode) return name;
  }
  return "unknown";
}

std::optional<DownloadMode> parse_download_mode(std::string_view text) {
  for (const auto& [mode, name] : kModes) {
    if (text == name || text == std::to_string(static_cast<int>(mode))) return mode;
  }
  return std::nullopt;
}

const char* to_string(PeersReason reason) noexcept {
  switch (reason) {
    case PeersReason::idle:
      return "idle";
    case PeersReason::undecided:
      return "undecided";
    case PeersReason::connected:
      return "connected";
    case PeersReason::looking:
      return "looking";
    case PeersReason::serving:
      return "serving";
    case PeersReason::mode:
      return "mode";
    case PeersReason::not_asked:
      return "not_asked";
    case PeersReason::private_content:
      return "private_content";
    case PeersReason::no_manifest:
      return "no_manifest";
    case PeersReason::empty_file:
      return "empty_file";
    case PeersReason::not_started:
      return "not_started";
    case PeersReason::module_missing:
      return "module_missing";
    case PeersReason::failed:
      return "failed";
    case PeersReason::rules_stopped:
      return "rules_stopped";
    case PeersReason::addresses_refused:
      return "addresses_refused";
    case PeersReason::handshake_refused:
      return "handshake_refused";
    case PeersReason::busy:
      return "busy";
  }
  return "idle";
}

const char* to_string(UploadBar bar) noexcept {
  switch (bar) {
    case UploadBar::none:
      return "none";
    case UploadBar::switched:
      return "switched";
    case UploadBar::month:
      return "month";
    case UploadBar::count:
      return "count";
    case UploadBar::memory:
      return "memory";
    case UploadBar::disk_size:
      return "disk_size";
    case UploadBar::disk_free:
      return "disk_free";
    case UploadBar::battery:
      return "battery";
    case UploadBar::on_battery:
      return "on_battery";
  }
  return "none";
}

const char* to_string(PeerClass where) noexcept {
  switch (where) {
    case PeerClass::lan:
      return "lan";
    case PeerClass::group:
      return "group";
    case PeerClass::other:
      return "other";
  }
  return "other";
}

const char* to_string(Priority priority) noexcept {
  switch (priority) {
    case Priority::foreground:
      return "foreground";
    case Priority::high:
      return "high";
    case Priority::normal:
      return "normal";
    case Priority::low:
      return "low";
  }
  return "normal";
}

const char* to_string(Integrity integrity) noexcept {
  switch (integrity) {
    case Integrity::unknown:
      return "unknown";
    case Integrity::manifest:
      return "manifest";
    case Integrity::digest:
      return "digest";
    case Integrity::transport:
      return "transport";
  }
  return "unknown";
}

std::string to_string(const JobId& id) {
  constexpr std::array<char, 17> kHex = {"0123456789abcdef"};
  std::string text;
  for (std::size_t i = 0; i < id.bytes.size(); ++i) {
    if (hyphen_before(i)) text += '-';
    text += kHex[id.bytes[i] >> 4U];
    text += kHex[id.bytes[i] & 15U];
  }
  return text;
}

std::optional<JobId> parse_job_id(std::string_view text) {
  constexpr std::size_t kLength = 36;  // 32 digits and 4 hyphens
  if (text.size() == kLength + 2) {
    if (text.front() != '{' || text.back() != '}') return std::nullopt;
    text = text.substr(1, kLength);
  }
  if (text.size() != kLength) return std::nullopt;
  JobId id;
  std::size_t at = 0;
  for (std::size_t i = 0; i < id.bytes.size(); ++i) {
    if (hyphen_before(i) && text[at++] != '-') return std::nullopt;
    const auto high = digit(text[at++]);
    const auto low = digit(text[at++]);
    if (!high || !low) return std::nullopt;
    id.bytes[i] = static_cast<std::uint8_t>((*high << 4U) | *low);
  }
  return id;
}

}  // namespace lanward
