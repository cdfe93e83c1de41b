// Field names and meanings are a promise: docs/cli.md lists them.
#include <fmt/format.h>
#include <sys/time.h>
#include <time.h>

#include <array>
#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "api/cli/reporter.h"

namespace lanward::cli {
namespace {

using nlohmann::ordered_json;

// RFC 3339 in UTC with milliseconds.
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
  }
  return list;
}

ordered_json json_of(const Share& share) {
  if (!share.duration) return nullptr;
  return share.duration->count();
}

class JsonReporter final : public Reporter {
 public:
  explicit JsonReporter(Streams streams) : streams_(streams) {}

  std::chrono::milliseconds interval() const override { return std::chrono::seconds{1}; }

  void listening(const Endpoint& endpoint) override {
    emit("listening", {{"address", endpoint.address}, {"port", endpoint.port}});
  }

  void state(JobState state, const std::optional<Error>& error) override {
    ordered_json fields{{"state", to_string(state)}};
    if (error) fields["error"] = json_of(*error);
    emit("state", std::move(fields));
  }

  void note(const FileStatus& file) override {
    emit("note", {{"message", file.note}, {"integrity", to_string(file.integrity)}});
  }

  void progress(const Progress& progress, JobState state) override {
    ordered_json size = nullptr;
    if (progress.total_known) size = progress.total_bytes;
    emit("progress", {{"state", to_string(state)},
                      {"size", std::move(size)},
                      {"done", progress.verified_bytes},
                      {"cached", progress.cached_bytes},
                      {"bytes_from_origin", progress.origin_bytes},
                      {"bytes_from_peers", progress.peer_bytes},
                      {"wasted", progress.wasted_bytes},
                      {"rate", progress.rate_bytes_per_s},
                      {"peers", progress.peers_connected}});
  }

  void delivered(const Summary& summary) override {
    emit("summary", {{"file", summary.file.destination},
                     {"size", summary.file.total_bytes},
                     {"seconds", static_cast<double>(summary.elapsed.count()) / 1000},
                     {"bytes_from_origin", summary.progress.origin_bytes},
                     {"bytes_from_peers", summary.progress.peer_bytes},
                     {"wasted", summary.progress.wasted_bytes},
                     {"cached", summary.progress.cached_bytes},
                     {"integrity", to_string(summary.file.integrity)},
                     {"verified", summary.file.integrity == Integrity::manifest},
                     {"sources", json_of(summary.sources)}});
  }

  void sharing(const Endpoint& endpoint, const Share& share) override {
    emit("sharing",
         {{"address", endpoint.address}, {"port", endpoint.port}, {"seconds", json_of(share)}});
  }

  void share_ended(const std::vector<SourceStats>& sources) override {
    emit("share_ended", {{"sources", json_of(sources)}});
  }

  void hashing(std::uint64_t done_bytes, std::uint64_t total_bytes) override {
    emit("hashing", {{"done", done_bytes}, {"size", total_bytes}});
  }

  void published(const Published& published) override {
    emit("published", {{"manifest", published.manifest_path},
                       {"infohash", published.infohash},
                       {"size", published.size_bytes},
                       {"piece_length", published.piece_bytes}});
  }

  void failed(const Error& error, ExitCode exit_code, const std::string& kept) override {
    ordered_json fields = json_of(error);
    fields["exit_code"] = static_cast<int>(exit_code);
    fields["kept"] = kept.empty() ? ordered_json(nullptr) : ordered_json(kept);
    emit("error", std::move(fields));
    fmt::print(streams_.err, "{}\n", failure_line(error, kept));
  }

  void warning(const std::string& message) override { emit("warning", {{"message", message}}); }

 private:
  void emit(const char* event, ordered_json fields) {
    const auto since_start = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::steady_clock::now() - started_);
    ordered_json object{{"event", event},
                        {"time", timestamp(std::chrono::system_clock::now())},
                        {"elapsed", static_cast<double>(since_start.count()) / 1000}};
    object.update(fields);
    // A name from outside may be no valid UTF-8; the reader of the stream still gets valid JSON.
    fmt::print(streams_.out, "{}\n",
               object.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
    std::fflush(streams_.out);
  }

  Streams streams_;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

}  // namespace

std::unique_ptr<Reporter> make_json_reporter(Streams streams) {
  return std::make_unique<JsonReporter>(streams);
}

}  // namespace lanward::cli
