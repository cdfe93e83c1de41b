#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "api/cli/format.h"
#include "api/cli/jobs_reporter.h"
#include "api/cli/json_stream.h"

namespace lanward::cli {
namespace {

constexpr std::chrono::milliseconds kTerminalInterval{250};  // smooth, and cheap to draw
constexpr std::chrono::milliseconds kPlainInterval{2000};    // readable in a log

constexpr std::array kStates{
    JobState::queued,      JobState::connecting,   JobState::transferring,
    JobState::suspended,   JobState::error,        JobState::transient_error,
    JobState::transferred, JobState::acknowledged, JobState::cancelled};

// "45%", or nothing while the size is unknown.
std::string done_text(const Progress& progress) {
  if (!progress.total_known) return "-";
  return fmt::format("{}%", percent(progress.verified_bytes, progress.total_bytes));
}

std::string size_text(bool known, std::uint64_t done, std::uint64_t total) {
  if (!known) return format_bytes(done) + " of unknown size";
  return fmt::format("{} of {} ({}%)", format_bytes(done), format_bytes(total),
                     percent(done, total));
}

std::string error_text(const JobError& error) {
  return fmt::format("{} ({} {}, 0x{:08x}, {})", printable(error.message), to_string(error.code),
                     hresult_name(error.code), hresult_of(error.code), describe(error.context));
}

std::string range_text(const FileStatus& file) {
  std::string text;
  for (const ByteRange& range : file.ranges) {
    text += fmt::format("{}{}-", text.empty() ? "  bytes " : ", ", range.offset);
    if (range.length != ByteRange::kToEnd) text += std::to_string(range.length);
  }
  return text;
}

std::string proxy_text(const ProxySettings& proxy) {
  switch (proxy.usage) {
    case ProxySettings::Usage::none:
      return "none";
    case ProxySettings::Usage::use:
      return without_credentials(proxy.proxy) +
             (proxy.bypass.empty() ? "" : " except for " + proxy.bypass);
    case ProxySettings::Usage::preconfig:
    case ProxySettings::Usage::autodetect:
      break;
  }
  return "of the environment";
}

// "2 transferred, 1 error"
std::string count_text(const std::vector<JobStatus>& jobs) {
  std::string text;
  for (const JobState state : kStates) {
    const auto count = std::count_if(jobs.begin(), jobs.end(),
                                     [&](const JobStatus& job) { return job.state == state; });
    if (count == 0) continue;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, to_string(state));
  }
  return text.empty() ? "no jobs" : text;
}

// All jobs as one; the total is known when that of each is.
Progress sum_of(const std::vector<JobStatus>& jobs) {
  Progress sum;
  sum.total_known = !jobs.empty();
  for (const JobStatus& job : jobs) {
    sum.total_known = sum.total_known && job.progress.total_known;
    sum.total_bytes += job.progress.total_bytes;
    sum.verified_bytes += job.progress.verified_bytes;
    sum.origin_bytes += job.progress.origin_bytes;
    sum.peer_bytes += job.progress.peer_bytes;
    sum.wasted_bytes += job.progress.wasted_bytes;
    sum.rate_bytes_per_s += job.progress.rate_bytes_per_s;
    sum.peers_connected += job.progress.peers_connected;
  }
  return sum;
}

class HumanJobsReporter final : public JobsReporter {
 public:
  explicit HumanJobsReporter(Streams streams) : console_(streams) {}

  std::chrono::milliseconds interval() const override {
    return console_.terminal() ? kTerminalInterval : kPlainInterval;
  }

  void created(const JobStatus& job) override { console_.result(to_string(job.id)); }

  void file_added(const JobId&, FileId file) override {
    console_.result(std::to_string(file.value));
  }

  void listed(const std::vector<JobStatus>& jobs) override {
    if (jobs.empty()) return;
    row("ID", "STATE", "PRIORITY", "FILES", "DONE", "NAME");
    for (const JobStatus& job : jobs) {
      const Progress& progress = job.progress;
      row(to_string(job.id), to_string(job.state), to_string(job.properties.priority),
          fmt::format("{}/{}", progress.files_transferred, progress.files_total),
          done_text(progress), printable(job.properties.display_name));
    }
  }

  void shown(const JobDetails& job) override {
    const JobStatus& status = job.status;
    console_.result(to_string(status.id));
    show_properties(status);
    if (status.error) {
      field("error", error_text(*status.error));
      if (status.error->file) field("", fmt::format("of file {}", status.error->file->value));
    }
    for (const FileStatus& file : job.files) show_file(file);
    for (const SourceStats& source : job.sources) {
      if (source.received_bytes == 0 && source.served_bytes == 0) continue;
      field(source.kind == SourceKind::peer ? "peer" : "origin",
            fmt::format("{}: received {}, served {}{}", printable(source.name),
                        format_bytes(source.received_bytes), format_bytes(source.served_bytes),
                        source.banned ? " (banned: sent wrong bytes)" : ""));
    }
  }

  void changed(const JobStatus& job) override {
    console_.result(to_string(job.id) + " " + to_string(job.state));
  }

  void job_failed(const std::string& job, const Error& error) override {
    console_.line("lanward: " + printable(job) + ": " + printable(error.message));
  }

  void listening(const Endpoint& endpoint) override {
    console_.line(fmt::format("listening on {}:{}, {}", endpoint.address, endpoint.port,
                              access_text(endpoint)));
  }

  void state(const JobStatus& job) override {
    std::string text = to_string(job.id) + " " + to_string(job.state);
    if (job.error) text += ": " + error_text(*job.error);
    console_.line(text);
  }

  void progress(const std::vector<JobStatus>& jobs) override {
    std::vector<JobStatus> moving;
    std::copy_if(jobs.begin(), jobs.end(), std::back_inserter(moving), [](const JobStatus& job) {
      return job.state == JobState::transferring || job.state == JobState::connecting;
    });
    if (moving.empty()) return console_.clear();
    const std::string count =
        fmt::format("{} job{}  ", moving.size(), moving.size() == 1 ? "" : "s");
    const std::size_t width = console_.width() - std::min(console_.width(), count.size());
    const std::string text = count + progress_line(sum_of(moving), JobState::transferring, width);
    console_.terminal() ? console_.draw(text) : console_.line(text);
  }

  void sharing(const SharingStatus& sharing) override {
    if (sharing.upload.bar != bar_) {
      bar_ = sharing.upload.bar;
      console_.line(bar_ == UploadBar::none ? "peers are given what they ask for again"
                                            : "peers get nothing: " + sharing.upload.reason);
    }
    // Bytes and peers change all the time: those are for programs.
    if (sharing.contents == shared_) return;
    shared_ = sharing.contents;
    console_.line(
        fmt::format("sharing {} content{} of the cache", shared_, shared_ == 1 ? "" : "s"));
  }

  void run_ended(const RunSummary& summary) override {
    const Progress sum = sum_of(summary.jobs);
    console_.result(fmt::format("{} in {}: {} from origins, {} from peers",
                                count_text(summary.jobs), format_elapsed(summary.elapsed),
                                format_bytes(sum.origin_bytes), format_bytes(sum.peer_bytes)));
    if (!summary.ended_by.empty()) console_.line("ended by " + summary.ended_by);
  }

  void failed(const Error& error, ExitCode) override {
    console_.line("lanward: " + printable(error.message));
  }

 private:
  void row(const std::string& id, const std::string& state, const std::string& priority,
           const std::string& files, const std::string& done, const std::string& name) {
    console_.result(fmt::format("{:<36}  {:<15}  {:<10}  {:>7}  {:>4}  {}", id, state, priority,
                                files, done, name));
  }

  void field(const char* name, const std::string& value) {
    if (!value.empty()) console_.result(fmt::format("  {:<12} {}", name, value));
  }

  void show_properties(const JobStatus& status) {
    const JobProperties& properties = status.properties;
    field("name", printable(properties.display_name));
    field("description", printable(properties.description));
    field("state", fmt::format("{} ({})", to_string(status.state), static_cast<int>(status.state)));
    field("priority", to_string(properties.priority));
    field("owner", printable(status.owner));
    field("created", timestamp(status.times.created));
    field("modified", timestamp(status.times.modified));
    if (status.times.transferred) field("transferred", timestamp(*status.times.transferred));
    const Progress& progress = status.progress;
    field("done", size_text(progress.total_known, progress.verified_bytes, progress.total_bytes));
    if (properties.proxy != ProxySettings{})
      field("proxy", printable(proxy_text(properties.proxy)));
    if (properties.cost != CostPolicy::always) field("cost", cost_name(properties.cost));
    for (const std::string& line : properties.custom_headers) {
      // The value may be a secret.
      field("header", printable(line.substr(0, line.find(':'))));
    }
  }

  void show_file(const FileStatus& file) {
    field(fmt::format("file {}", file.file.value).c_str(),
          fmt::format("{}{}", printable(file.source), range_text(file)));
    field("", "-> " + printable(file.destination));
    field("",
          fmt::format("{}{}{}", size_text(file.total_known, file.verified_bytes, file.total_bytes),
                      file.integrity == Integrity::unknown ? "" : ", integrity by ",
                      file.integrity == Integrity::unknown ? "" : to_string(file.integrity)) +
              (file.completed     ? ", delivered"
               : file.transferred ? ", transferred"
                                  : ""));
    field("", printable(file.note));
    if (file.peers_answer.reason != PeersReason::idle) {
      field("", "peers: " + printable(file.peers_answer.text));
    }
  }

  Console console_;
  std::uint32_t shared_ = 0;  // contents, as told last
  UploadBar bar_ = UploadBar::none;
};

}  // namespace

std::string without_credentials(const std::string& url) {
  const std::size_t scheme = url.find("://");
  const std::size_t begin = scheme == std::string::npos ? 0 : scheme + 3;
  const std::size_t end = std::min(url.find('/', begin), url.size());
  const std::size_t at = url.substr(0, end).rfind('@');
  if (at == std::string::npos || at < begin) return url;
  return url.substr(0, begin) + url.substr(at + 1);
}

const char* cost_name(CostPolicy cost) noexcept {
  switch (cost) {
    case CostPolicy::always:
      return "always";
    case CostPolicy::not_roaming:
      return "not-roaming";
    case CostPolicy::no_surcharge:
      return "no-surcharge";
    case CostPolicy::standard:
      return "standard";
    case CostPolicy::unrestricted:
      return "unrestricted";
  }
  return "always";
}

std::unique_ptr<JobsReporter> make_human_jobs_reporter(Streams streams) {
  return std::make_unique<HumanJobsReporter>(streams);
}

std::unique_ptr<JobsReporter> make_jobs_reporter(bool json, Streams streams) {
  return json ? make_json_jobs_reporter(streams) : make_human_jobs_reporter(streams);
}

}  // namespace lanward::cli
