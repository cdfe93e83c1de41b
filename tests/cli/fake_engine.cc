#include "tests/cli/fake_engine.h"

#include <utility>

namespace lanward {

namespace host {
class EngineImpl {
 public:
  static Job make_job(const std::shared_ptr<EngineImpl>& self) { return Job(self, JobId{}); }
  JobCallback callback;
};
}  // namespace host

namespace testing {
FakeEngine& fake_engine() {
  static FakeEngine engine;
  return engine;
}
}  // namespace testing

using testing::fake_engine;

const char* version() noexcept { return "9.9.9"; }

Engine::Engine(std::shared_ptr<host::EngineImpl> impl) : impl_(std::move(impl)) {}
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;
Engine::~Engine() {
  if (impl_) fake_engine().closed = true;
}

Result<Engine> Engine::open(const EngineOptions& options) {
  fake_engine().opened = options;
  if (fake_engine().open_error) return tl::unexpected(*fake_engine().open_error);
  return Engine(std::make_shared<host::EngineImpl>());
}

Result<Job> Engine::create_job(std::string, JobCallback callback) {
  impl_->callback = std::move(callback);
  return host::EngineImpl::make_job(impl_);
}

std::optional<std::uint16_t> Engine::listen_port() const {
  if (!fake_engine().opened->peers_enabled) return std::nullopt;
  return fake_engine().port;
}

Job::Job(std::weak_ptr<host::EngineImpl> engine, JobId id) : engine_(std::move(engine)), id_(id) {}

Result<void> Job::add_file(const FileRequest& file) {
  auto& fake = fake_engine();
  if (fake.file.destination.empty()) fake.file.destination = file.destination;
  fake.added = file;
  if (fake.add_file_error) return tl::unexpected(*fake.add_file_error);
  return {};
}

Result<void> Job::resume() {
  auto& fake = fake_engine();
  for (const JobEvent& event : fake.events_on_resume) {
    fake.state = event.state;
    engine_.lock()->callback(event);
  }
  if (fake.on_resume) fake.on_resume();
  return {};
}

Result<void> Job::cancel() {
  fake_engine().cancelled = true;
  fake_engine().state = JobState::cancelled;
  return {};
}

Result<void> Job::complete() {
  auto& fake = fake_engine();
  if (fake.complete_error) return tl::unexpected(*fake.complete_error);
  fake.completed = true;
  if (fake.on_complete) fake.on_complete();
  fake.state = JobState::acknowledged;
  return {};
}

Result<JobState> Job::state() const { return fake_engine().state; }
Result<Progress> Job::progress() const { return fake_engine().progress; }
Result<std::vector<FileStatus>> Job::files() const { return std::vector{fake_engine().file}; }
Result<std::vector<SourceStats>> Job::sources() const { return fake_engine().sources; }
Result<std::optional<Error>> Job::error() const { return fake_engine().job_error; }

Result<Published> publish(const PublishRequest& request) {
  auto& fake = fake_engine();
  fake.publish_request = request;
  if (fake.while_publishing) fake.while_publishing();
  if (request.progress) request.progress(1, 2);
  return fake.published;
}

}  // namespace lanward
