// JSON lines: one object per event. Field names and meanings are a promise: docs/cli.md lists them.
#pragma once

#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <lanward/error.h>
#include <lanward/types.h>

#include "api/cli/endpoint.h"

namespace lanward::cli {

// RFC 3339 in UTC with milliseconds.
[[nodiscard]] std::string timestamp(std::chrono::system_clock::time_point at);

// {"code", "message"}
[[nodiscard]] nlohmann::ordered_json json_of(const Error& error);
[[nodiscard]] nlohmann::ordered_json json_of(const std::vector<SourceStats>& sources);
// "address", "port", "group" (null: open to everybody on the network).
[[nodiscard]] nlohmann::ordered_json json_of(const Endpoint& endpoint);
// "size" (null while unknown), "done", and where the bytes come from.
[[nodiscard]] nlohmann::ordered_json json_of(const Progress& progress);

class JsonStream {
 public:
  explicit JsonStream(std::FILE* out) : out_(out) {}

  // Writes {"event", "time", "elapsed", fields...} and a line break.
  void emit(const char* event, const nlohmann::ordered_json& fields);

 private:
  std::FILE* out_;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

}  // namespace lanward::cli
