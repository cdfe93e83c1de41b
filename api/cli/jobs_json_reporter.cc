// Field names and meanings are a promise: docs/cli.md lists them.
#include <fmt/format.h>

#include <utility>

#include "api/cli/jobs_reporter.h"
#include "api/cli/json_stream.h"

namespace lanward::cli {
namespace {

using cli::json_of;
using nlohmann::ordered_json;

ordered_json published_error(const Error& error) {
  ordered_json fields = json_of(error);
  fields["hresult"] = fmt::format("0x{:08x}", hresult_of(error.code));
  fields["hresult_name"] = hresult_name(error.code);
  return fields;
}

ordered_json json_of(const JobError& error) {
  ordered_json fields = published_error(error);
  fields["context"] = static_cast<int>(error.context);
  fields["context_text"] = describe(error.context);
  fields["file"] = error.file ? ordered_json(error.file->value) : ordered_json(nullptr);
  return fields;
}

ordered_json json_of(const std::optional<JobError>& error) {
  return error ? json_of(*error) : ordered_json(nullptr);
}

ordered_json json_of(const std::optional<std::chrono::system_clock::time_point>& time) {
  return time ? ordered_json(timestamp(*time)) : ordered_json(nullptr);
}

// Header values and the credentials of a proxy may be secrets: they are not told.
ordered_json json_of(const JobProperties& properties) {
  ordered_json headers = ordered_json::array();
  for (const std::string& line : properties.custom_headers) {
    headers.push_back(line.substr(0, line.find(':')));
  }
  return {{"description", properties.description},
          {"priority", to_string(properties.priority)},
          {"priority_number", static_cast<int>(properties.priority)},
          {"minimum_retry_delay", properties.minimum_retry_delay.count()},
          {"no_progress_timeout", properties.no_progress_timeout.count()},
          {"maximum_download_time", properties.maximum_download_time.count()},
          {"proxy_usage", static_cast<int>(properties.proxy.usage)},
          {"proxy", without_credentials(properties.proxy.proxy)},
          {"proxy_bypass", properties.proxy.bypass},
          {"header_names", std::move(headers)},
          {"cost", cost_name(properties.cost)},
          {"cost_number", static_cast<std::uint32_t>(properties.cost)}};
}

ordered_json brief(const JobStatus& job) {
  return {{"id", to_string(job.id)},
          {"name", job.properties.display_name},
          {"state", to_string(job.state)},
          {"state_number", static_cast<int>(job.state)}};
}

ordered_json json_of(const JobStatus& job) {
  ordered_json fields = brief(job);
  fields["owner"] = job.owner;
  fields.update(json_of(job.properties));
  fields["created"] = timestamp(job.times.created);
  fields["modified"] = timestamp(job.times.modified);
  fields["transferred"] = json_of(job.times.transferred);
  fields["files_total"] = job.progress.files_total;
  fields["files_transferred"] = job.progress.files_transferred;
  fields.update(json_of(job.progress));
  fields["error_count"] = job.error_count;
  fields["error"] = json_of(job.error);
  return fields;
}

ordered_json json_of(const FileStatus& file) {
  ordered_json ranges = ordered_json::array();
  for (const ByteRange& range : file.ranges) {
    ordered_json length = nullptr;
    if (range.length != ByteRange::kToEnd) length = range.length;
    ranges.push_back({{"offset", range.offset}, {"length", std::move(length)}});
  }
  ordered_json size = nullptr;
  if (file.total_known) size = file.total_bytes;
  return {{"file", file.file.value},
          {"file_id", file.id},
          {"source", file.source},
          {"destination", file.destination},
          {"ranges", std::move(ranges)},
          {"integrity", to_string(file.integrity)},
          {"digest", file.digest.empty() ? ordered_json(nullptr) : ordered_json(file.digest)},
          {"note", file.note},
          {"size", std::move(size)},
          {"done", file.verified_bytes},
          {"transferred", file.transferred},
          {"completed", file.completed},
          {"peers_answer", to_string(file.peers_answer.reason)},
          {"peers_text", file.peers_answer.text}};
}

class JsonJobsReporter final : public JobsReporter {
 public:
  explicit JsonJobsReporter(Streams streams) : streams_(streams), stream_(streams.out) {}

  std::chrono::milliseconds interval() const override { return std::chrono::seconds{1}; }

  void created(const JobStatus& job) override { stream_.emit("created", json_of(job)); }

  void file_added(const JobId& job, FileId file) override {
    stream_.emit("file_added", {{"id", to_string(job)}, {"file", file.value}});
  }

  void listed(const std::vector<JobStatus>& jobs) override {
    for (const JobStatus& job : jobs) stream_.emit("job", json_of(job));
  }

  void shown(const JobDetails& job) override {
    ordered_json fields = json_of(job.status);
    fields["files"] = ordered_json::array();
    for (const FileStatus& file : job.files) fields["files"].push_back(json_of(file));
    fields["sources"] = json_of(job.sources);
    stream_.emit("job", fields);
  }

  void changed(const JobStatus& job) override { stream_.emit("job", json_of(job)); }

  void job_failed(const std::string& job, const Error& error) override {
    stream_.emit("job_failed", {{"id", job}, {"error", published_error(error)}});
    fmt::print(streams_.err, "lanward: {}: {}\n", printable(job), printable(error.message));
  }

  void listening(const Endpoint& endpoint) override {
    stream_.emit("listening", json_of(endpoint));
  }

  void state(const JobStatus& job) override {
    ordered_json fields = brief(job);
    if (job.error) fields["error"] = json_of(job.error);
    stream_.emit("state", fields);
  }

  void progress(const std::vector<JobStatus>& jobs) override {
    for (const JobStatus& job : jobs) {
      if (job.state != JobState::connecting && job.state != JobState::transferring) continue;
      ordered_json fields = brief(job);
      fields.update(json_of(job.progress));
      stream_.emit("progress", fields);
    }
  }

  void sharing(const SharingStatus& sharing) override {
    ordered_json barred = nullptr;
    if (sharing.upload.bar != UploadBar::none) barred = to_string(sharing.upload.bar);
    stream_.emit("sharing", {{"contents", sharing.contents},
                             {"peers_connected", sharing.peers_connected},
                             {"served_bytes", sharing.served_bytes},
                             {"barred", std::move(barred)},
                             {"reason", sharing.upload.reason},
                             {"given_this_month", sharing.upload.given_this_month},
                             {"allowed_per_month", sharing.upload.allowed_per_month}});
  }

  void run_ended(const RunSummary& summary) override {
    ordered_json states = ordered_json::object();
    Progress sum;
    for (const JobStatus& job : summary.jobs) {
      const char* name = to_string(job.state);
      states[name] = states.value(name, 0) + 1;
      sum.origin_bytes += job.progress.origin_bytes;
      sum.peer_bytes += job.progress.peer_bytes;
      sum.wasted_bytes += job.progress.wasted_bytes;
    }
    const bool by_itself = summary.ended_by.empty();
    stream_.emit("run_ended",
                 {{"jobs", summary.jobs.size()},
                  {"states", std::move(states)},
                  {"bytes_from_origin", sum.origin_bytes},
                  {"bytes_from_peers", sum.peer_bytes},
                  {"wasted", sum.wasted_bytes},
                  {"seconds", static_cast<double>(summary.elapsed.count()) / 1000},
                  {"ended_by", by_itself ? ordered_json(nullptr) : ordered_json(summary.ended_by)},
                  {"exit_code", static_cast<int>(summary.exit_code)}});
  }

  void failed(const Error& error, ExitCode exit_code) override {
    ordered_json fields = published_error(error);
    fields["exit_code"] = static_cast<int>(exit_code);
    stream_.emit("error", fields);
    fmt::print(streams_.err, "lanward: {}\n", printable(error.message));
  }

 private:
  Streams streams_;
  JsonStream stream_;
};

}  // namespace

std::unique_ptr<JobsReporter> make_json_jobs_reporter(Streams streams) {
  return std::make_unique<JsonJobsReporter>(streams);
}

}  // namespace lanward::cli
