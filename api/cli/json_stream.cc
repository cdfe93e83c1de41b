#include "api/cli/json_stream.h"

#include <fmt/format.h>
#include <time.h>

#include <utility>

namespace lanward::cli {

using nlohmann::ordered_json;

std::string timestamp(std::chrono::system_clock::time_point at) {
  const auto milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch()).count();
  const time_t seconds = milliseconds / 1000;
  tm parts{};
  gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     milliseconds % 1000);
}

ordered_json json_of(const Error& error) {
  return {{"code", to_string(error.code)}, {"message", error.message}};
}

ordered_json json_of(const std::vector<SourceStats>& sources) {
  ordered_json list = ordered_json::array();
  for (const SourceStats& source : sources) {
    list.push_back({{"kind", source.kind == SourceKind::peer ? "peer" : "origin"},
                    {"name", source.name},
                    {"received", source.received_bytes},
                    {"wasted", source.wasted_bytes},
                    {"served", source.served_bytes},
                    {"banned", source.banned}});
    if (source.kind == SourceKind::peer) list.back()["class"] = to_string(source.where);
  }
  return list;
}

ordered_json json_of(const Progress& progress) {
  ordered_json size = nullptr;
  if (progress.total_known) size = progress.total_bytes;
  return {{"size", std::move(size)},
          {"done", progress.verified_bytes},
          {"cached", progress.cached_bytes},
          {"bytes_from_origin", progress.origin_bytes},
          {"bytes_from_peers", progress.peer_bytes},
          {"wasted", progress.wasted_bytes},
          {"rate", progress.rate_bytes_per_s},
          {"peers", progress.peers_connected},
          {"peers_answer", to_string(progress.peers_answer.reason)},
          {"peers_text", progress.peers_answer.text}};
}

void JsonStream::emit(const char* event, const ordered_json& fields) {
  const auto since_start = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - started_);
  ordered_json object{{"event", event},
                      {"time", timestamp(std::chrono::system_clock::now())},
                      {"elapsed", static_cast<double>(since_start.count()) / 1000}};
  object.update(fields);
  // A name from outside may be no valid UTF-8; the reader of the stream still gets valid JSON.
  fmt::print(out_, "{}\n", object.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
  std::fflush(out_);
}

nlohmann::ordered_json json_of(const Endpoint& endpoint) {
  nlohmann::ordered_json group;
  if (!endpoint.group.empty()) group = endpoint.group;
  return {{"address", endpoint.address}, {"port", endpoint.port}, {"group", group}};
}

}  // namespace lanward::cli
