// The command line of `lanward`, as values.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace lanward::cli {

struct PublishOptions {
  std::string file;
  std::string output;  // empty: FILE.torrent
  std::vector<std::string> urls;
  std::vector<std::string> trackers;
  bool json = false;
  bool quiet = false;
};

// How long to keep serving after delivery.
struct Share {
  std::optional<std::chrono::seconds> duration;  // nothing: until a signal

  friend bool operator==(const Share&, const Share&) = default;
};

struct GetOptions {
  std::string source;
  std::string output;  // empty: the name the source suggests, in the current directory
  std::string manifest;
  std::vector<std::string> mirrors;
  std::string cache;  // empty: a private working directory beside the destination
  std::string listen;
  std::vector<std::string> peers;
  std::vector<std::string> trackers;
  bool use_peers = true;
  bool use_cdn = true;
  std::optional<Share> share;
  bool json = false;
  bool quiet = false;
};

// Text that was asked for: help or version.
struct ShowText {
  std::string text;
};

struct UsageError {
  std::string message;
};

using Command = std::variant<PublishOptions, GetOptions, ShowText, UsageError>;

// `version` is what --version prints. Never throws.
[[nodiscard]] Command parse_command_line(int argc, const char* const* argv, const char* version);

}  // namespace lanward::cli
