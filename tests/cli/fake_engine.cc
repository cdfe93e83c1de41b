#include "tests/cli/fake_engine.h"

#include <lanward/group.h>
#include <lanward/peers.h>

#include <algorithm>
#include <utility>

namespace lanward {

namespace host {
class EngineImpl {
 public:
  static Job make_job(const std::shared_ptr<EngineImpl>& self, const JobId& id) {
    return Job(self, id);
  }
};
}  // namespace host

namespace testing {

FakeEngine& fake_engine() {
  static FakeEngine engine;
  return engine;
}

void FakeJob::become(JobState state, std::optional<JobError> error) {
  status.state = state;
  status.error = std::move(error);
  if (!callback) return;
  JobEvent event;
  event.job = status.id;
  event.state = state;
  event.state_changed = true;
  event.error = status.error;
  callback(event);
}

bool FakeJob::was(const std::string& call) const {
  return std::find(calls.begin(), calls.end(), call) != calls.end();
}

FakeJob& FakeEngine::add_job(const JobId& id, JobState state, const std::string& name) {
  FakeJob& job = jobs.emplace_back();
  job.exists = true;
  job.status.id = id;
  job.status.state = state;
  job.status.properties.display_name = name;
  return job;
}

}  // namespace testing

using testing::fake_engine;
using testing::FakeJob;

namespace {

FakeJob* find(const JobId& id) {
  for (FakeJob& job : fake_engine().jobs) {
    if (job.exists && job.status.id == id) return &job;
  }
  return nullptr;
}

tl::unexpected<Error> no_job() { return fail(ErrorCode::job_not_found, "no such job"); }

bool is_final(const FakeJob& job) {
  return job.status.state == JobState::acknowledged || job.status.state == JobState::cancelled;
}

// A call that fails as the script says, or is written down.
Result<FakeJob*> called(const JobId& id, const char* call) {
  FakeJob* job = find(id);
  if (job == nullptr) return no_job();
  job->calls.emplace_back(call);
  if (job->call_error) return tl::unexpected(*job->call_error);
  return job;
}

}  // namespace

const char* version() noexcept { return "9.9.9"; }

Engine::Engine(std::shared_ptr<host::EngineImpl> impl) : impl_(std::move(impl)) {}
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;
Engine::~Engine() {
  if (impl_) fake_engine().closed = true;
}

void Engine::close() {
  if (impl_) fake_engine().closed = true;
}

Result<Engine> Engine::open(const EngineOptions& options) {
  fake_engine().opened = options;
  if (fake_engine().open_error) return tl::unexpected(*fake_engine().open_error);
  return Engine(std::make_shared<host::EngineImpl>());
}

Result<Job> Engine::create_job(std::string display_name, JobCallback callback) {
  auto& fake = fake_engine();
  if (fake.create_error) return tl::unexpected(*fake.create_error);
  const auto next =
      std::find_if(fake.jobs.begin(), fake.jobs.end(), [](const FakeJob& j) { return !j.exists; });
  FakeJob& job = next == fake.jobs.end() ? fake.jobs.emplace_back() : *next;
  job.exists = true;
  job.status.properties.display_name = std::move(display_name);
  job.callback = std::move(callback);
  return host::EngineImpl::make_job(impl_, job.status.id);
}

Result<Job> Engine::get_job(const JobId& id) const {
  if (find(id) == nullptr) return no_job();
  return host::EngineImpl::make_job(impl_, id);
}

std::vector<JobId> Engine::jobs(bool final_too) const {
  std::vector<JobId> ids;
  for (const FakeJob& job : fake_engine().jobs) {
    if (job.exists && (final_too || !is_final(job))) ids.push_back(job.status.id);
  }
  return ids;
}

Result<std::vector<JobStatus>> Engine::list(bool final_too) const {
  auto& scenes = fake_engine().scenes;
  if (!scenes.empty()) {
    const auto scene = std::move(scenes.front());
    scenes.pop_front();
    scene();
  }
  std::vector<JobStatus> all;
  for (const FakeJob& job : fake_engine().jobs) {
    if (job.exists && (final_too || !is_final(job))) all.push_back(job.status);
  }
  return all;
}

Result<SharingStatus> Engine::sharing() const { return SharingStatus{}; }

std::optional<std::uint16_t> Engine::listen_port() const {
  if (!fake_engine().opened->peers_enabled) return std::nullopt;
  return fake_engine().port;
}

Job::Job(std::weak_ptr<host::EngineImpl> engine, JobId id) : engine_(std::move(engine)), id_(id) {}

JobId Job::id() const { return id_; }

Result<FileId> Job::add_file(const FileRequest& file) {
  FakeJob& job = *find(id_);
  const FileId id{static_cast<std::uint32_t>(job.added.size())};
  job.added.push_back(file);
  if (job.add_file_error) return tl::unexpected(*job.add_file_error);
  if (job.files.size() < job.added.size()) job.files.emplace_back();
  FileStatus& status = job.files[id.value];
  if (status.destination.empty()) status.destination = file.destination;
  return id;
}

Result<void> Job::add_files(const std::vector<FileRequest>& files) {
  for (const FileRequest& file : files) {
    if (auto added = add_file(file); !added) return tl::unexpected(added.error());
  }
  return {};
}

Result<void> Job::resume() {
  const auto job = called(id_, "resume");
  if (!job) return tl::unexpected(job.error());
  if ((*job)->events_on_resume.empty()) (*job)->become(JobState::queued);
  for (const JobEvent& event : (*job)->events_on_resume) (*job)->become(event.state, event.error);
  if ((*job)->on_resume) (*job)->on_resume();
  return {};
}

Result<void> Job::suspend() {
  const auto job = called(id_, "suspend");
  if (!job) return tl::unexpected(job.error());
  (*job)->become(JobState::suspended);
  return {};
}

Result<void> Job::cancel() {
  const auto job = called(id_, "cancel");
  if (!job) return tl::unexpected(job.error());
  (*job)->become(JobState::cancelled);
  return {};
}

Result<void> Job::complete() {
  FakeJob& job = *find(id_);
  job.calls.emplace_back("complete");
  if (job.complete_error) return tl::unexpected(*job.complete_error);
  if (job.on_complete) job.on_complete();
  job.become(JobState::acknowledged);
  return {};
}

Result<void> Job::change(const JobChange& change) {
  const auto job = called(id_, "change");
  if (!job) return tl::unexpected(job.error());
  (*job)->changes.push_back(change);
  if (change.priority) (*job)->status.properties.priority = *change.priority;
  return {};
}

Result<void> Job::set_callback(JobCallback callback) {
  find(id_)->callback = std::move(callback);
  return {};
}

Result<JobStatus> Job::status() const { return find(id_)->status; }
Result<JobState> Job::state() const { return find(id_)->status.state; }
Result<Progress> Job::progress() const { return find(id_)->status.progress; }
Result<std::vector<FileStatus>> Job::files() const { return find(id_)->files; }
Result<std::vector<SourceStats>> Job::sources() const { return find(id_)->sources; }
Result<std::optional<JobError>> Job::error() const { return find(id_)->status.error; }

Result<Published> publish(const PublishRequest& request) {
  auto& fake = fake_engine();
  fake.publish_request = request;
  if (fake.while_publishing) fake.while_publishing();
  if (request.progress) request.progress(1, 2);
  return fake.published;
}

Result<std::string> peer_network(const std::string& text) { return text; }
Result<PeerRules> read_peer_rules(const std::string&) { return PeerRules{}; }
Result<void> write_peer_rules(const std::string&, const PeerRules&) { return {}; }
Result<GroupInfo> create_group(const std::string&) { return GroupInfo{.id = "0102"}; }
Result<GroupInfo> rotate_group(const std::string&, std::optional<std::chrono::seconds>) {
  return GroupInfo{.id = "0102"};
}
Result<GroupInfo> describe_group(const std::string&) { return GroupInfo{.id = "0102"}; }

}  // namespace lanward
