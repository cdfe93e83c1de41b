// Field names and meanings are a promise: docs/cli.md lists them.
#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "api/cli/json_stream.h"
#include "api/cli/reporter.h"

namespace lanward::cli {
namespace {

using cli::json_of;
using nlohmann::ordered_json;

ordered_json json_of(const Share& share) {
  if (!share.duration) return nullptr;
  return share.duration->count();
}

ordered_json digest_of(const FileStatus& file) {
  return file.digest.empty() ? ordered_json(nullptr) : ordered_json(file.digest);
}

ordered_json json_of(const FileStatus& file) {
  return {{"file", file.destination},
          {"size", file.total_bytes},
          {"integrity", to_string(file.integrity)},
          {"verified", is_verified(file)},
          {"digest", digest_of(file)}};
}

class JsonReporter final : public Reporter {
 public:
  explicit JsonReporter(Streams streams) : streams_(streams), stream_(streams.out) {}

  std::chrono::milliseconds interval() const override { return std::chrono::seconds{1}; }

  void listening(const Endpoint& endpoint) override {
    stream_.emit("listening", json_of(endpoint));
  }

  void state(JobState state, const std::optional<Error>& error) override {
    ordered_json fields{{"state", to_string(state)}};
    if (error) fields["error"] = json_of(*error);
    stream_.emit("state", std::move(fields));
  }

  void note(const FileStatus& file) override {
    stream_.emit("note", {{"message", file.note},
                          {"integrity", to_string(file.integrity)},
                          {"digest", digest_of(file)}});
  }

  void progress(const Progress& progress, JobState state) override {
    ordered_json fields{{"state", to_string(state)}};
    fields.update(json_of(progress));
    stream_.emit("progress", fields);
  }

  void delivered(const Summary& summary) override {
    ordered_json files = ordered_json::array();
    if (!summary.others.empty()) files.push_back(json_of(summary.file));
    for (const FileStatus& file : summary.others) files.push_back(json_of(file));
    stream_.emit("summary", {{"file", summary.file.destination},
                             {"size", summary.file.total_bytes},
                             {"seconds", static_cast<double>(summary.elapsed.count()) / 1000},
                             {"bytes_from_origin", summary.progress.origin_bytes},
                             {"bytes_from_peers", summary.progress.peer_bytes},
                             {"wasted", summary.progress.wasted_bytes},
                             {"cached", summary.progress.cached_bytes},
                             {"integrity", to_string(summary.file.integrity)},
                             {"verified", is_verified(summary.file)},
                             {"digest", digest_of(summary.file)},
                             {"peers_answer", to_string(summary.progress.peers_answer.reason)},
                             {"peers_text", summary.progress.peers_answer.text},
                             {"files", std::move(files)},
                             {"sources", json_of(summary.sources)}});
  }

  void sharing(const Endpoint& endpoint, const Share& share) override {
    stream_.emit(
        "sharing",
        {{"address", endpoint.address}, {"port", endpoint.port}, {"seconds", json_of(share)}});
  }

  void share_ended(const std::vector<SourceStats>& sources) override {
    stream_.emit("share_ended", {{"sources", json_of(sources)}});
  }

  void hashing(std::uint64_t done_bytes, std::uint64_t total_bytes) override {
    stream_.emit("hashing", {{"done", done_bytes}, {"size", total_bytes}});
  }

  void published(const Published& published) override {
    stream_.emit("published", {{"manifest", published.manifest_path},
                               {"infohash", published.infohash},
                               {"size", published.size_bytes},
                               {"piece_length", published.piece_bytes}});
  }

  void failed(const Error& error, ExitCode exit_code, const std::string& kept) override {
    ordered_json fields = json_of(error);
    fields["exit_code"] = static_cast<int>(exit_code);
    fields["kept"] = kept.empty() ? ordered_json(nullptr) : ordered_json(kept);
    stream_.emit("error", std::move(fields));
    fmt::print(streams_.err, "{}\n", failure_line(error, kept));
  }

  void warning(const std::string& message) override {
    stream_.emit("warning", {{"message", message}});
  }

 private:
  Streams streams_;
  JsonStream stream_;
};

}  // namespace

std::unique_ptr<Reporter> make_json_reporter(Streams streams) {
  return std::make_unique<JsonReporter>(streams);
}

}  // namespace lanward::cli
