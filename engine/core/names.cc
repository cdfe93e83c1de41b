#include <array>
#include <cstddef>

#include <lanward/error.h>
#include <lanward/types.h>

namespace lanward {

const char* to_string(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::invalid_argument:
      return "invalid_argument";
    case ErrorCode::invalid_state:
      return "invalid_state";
    case ErrorCode::not_found:
      return "not_found";
    case ErrorCode::manifest_invalid:
      return "manifest_invalid";
    case ErrorCode::manifest_missing:
      return "manifest_missing";
    case ErrorCode::network:
      return "network";
    case ErrorCode::origin_rejected:
      return "origin_rejected";
    case ErrorCode::integrity:
      return "integrity";
    case ErrorCode::content_changed:
      return "content_changed";
    case ErrorCode::disk_full:
      return "disk_full";
    case ErrorCode::disk_io:
      return "disk_io";
    case ErrorCode::destination:
      return "destination";
    case ErrorCode::in_use:
      return "in_use";
    case ErrorCode::cancelled:
      return "cancelled";
    case ErrorCode::unsupported:
      return "unsupported";
    case ErrorCode::internal:
      return "internal";
  }
  return "internal";
}

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

const char* to_string(Integrity integrity) noexcept {
  switch (integrity) {
    case Integrity::unknown:
      return "unknown";
    case Integrity::manifest:
      return "manifest";
    case Integrity::transport:
      return "transport";
  }
  return "unknown";
}

std::string to_string(const JobId& id) {
  constexpr std::array<char, 17> kHex = {"0123456789abcdef"};
  std::string text;
  for (std::size_t i = 0; i < id.bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += kHex[id.bytes[i] >> 4U];
    text += kHex[id.bytes[i] & 15U];
  }
  return text;
}

}  // namespace lanward
