#include <lanward/engine.h>

#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <mutex>
#include <random>
#include <shared_mutex>
#include <utility>

#include "api/host/engine_impl.h"
#include "api/host/file_request.h"
#include "cdn/origin_source.h"
#include "engine/store/disk_store.h"
#include "engine/store/sha256.h"
#include "peer/swarm.h"

namespace lanward {
namespace host {
namespace {

// How long close() waits for the swarms to be left and the cache to be flushed. What hangs longer
// than this hangs in the file system.
constexpr std::chrono::seconds kCloseDeadline{60};

core::Seed random_seed() {
  std::random_device device;
  return core::Seed{(std::uint64_t{device()} << 32U) ^ device()};
}

}  // namespace

Result<std::shared_ptr<EngineImpl>> EngineImpl::open(const EngineOptions& options) {
  if (options.cache_directory.empty()) {
    return fail(ErrorCode::invalid_argument, "cache_directory: empty");
  }
  if (options.progress_interval <= std::chrono::milliseconds{0}) {
    return fail(ErrorCode::invalid_argument, "progress_interval: must be positive");
  }
  std::shared_ptr<EngineImpl> impl(new EngineImpl);
  impl->loop_ = std::make_unique<AsioLoop>();
  auto store = store::DiskStore::open({.directory = options.cache_directory});
  if (!store) return tl::unexpected(store.error());
  impl->store_ = std::move(*store);
  auto origins = cdn::CurlOriginSource::create({});
  if (!origins) return tl::unexpected(origins.error());
  impl->origins_ = std::move(*origins);
  if (options.peers_enabled) {
    auto swarm = peer::LibtorrentSwarm::create({.listen = options.listen,
                                                .local_discovery = options.local_discovery,
                                                .loop = impl->loop_.get()});
    if (!swarm) return tl::unexpected(swarm.error());
    impl->listen_port_ = (*swarm)->listen_port();
    impl->swarm_ = std::move(*swarm);
  }
  impl->engine_ = std::make_unique<jobs::Engine>(
      jobs::Ports{.loop = *impl->loop_,
                  .origins = *impl->origins_,
                  .store = *impl->store_,
                  .swarm = impl->swarm_.get(),
                  .sha256 = &store::sha256},
      jobs::EngineSettings{.policy = {},
                           .progress_interval = options.progress_interval,
                           .keep_delivered = options.keep_delivered},
      random_seed());
  return impl;
}

EngineImpl::~EngineImpl() {
  close();
  // The loop's thread has ended: its tasks go first, then what they refer to.
  engine_.reset();
  swarm_.reset();
  origins_.reset();
  store_.reset();
}

void EngineImpl::close() {
  if (loop_ == nullptr || loop_->is_current_thread()) return;
  const bool first = !closed_.exchange(true);
  const std::unique_lock no_calls(calls_);
  if (!first) return;
  if (engine_ != nullptr) {  // else it was never opened whole
    auto closed = std::make_shared<std::promise<void>>();
    std::future<void> future = closed->get_future();
    loop_->post([this, closed] { engine_->close([closed] { closed->set_value(); }); });
    future.wait_for(kCloseDeadline);
  }
  loop_->stop();
}

Result<void> EngineImpl::refuse_call() const {
  if (closed_) return fail(ErrorCode::invalid_state, "the engine is closed");
  if (loop_->is_current_thread()) {
    return fail(ErrorCode::invalid_state, "called from inside a callback");
  }
  return {};
}

Result<void> EngineImpl::await_job(const JobId& id,
                                   ports::MoveFunction<void(jobs::Job&, jobs::Job::Done)> f) {
  auto promise = std::make_shared<std::promise<Result<void>>>();
  std::future<Result<void>> future = promise->get_future();
  if (auto refusal = refuse_call(); !refusal) return refusal;
  const std::shared_lock running(calls_);
  if (auto refusal = refuse_call(); !refusal) return refusal;
  loop_->post([&] {
    jobs::Job* job = engine_->find(id);
    if (job == nullptr) return promise->set_value(fail(ErrorCode::not_found, "no such job"));
    f(*job, [promise](Result<void> result) { promise->set_value(std::move(result)); });
  });
  return future.get();
}

Result<Job> EngineImpl::create_job(std::string display_name, JobCallback callback) {
  return call([&]() -> Result<Job> {
    auto job = engine_->create_job(std::move(display_name), std::move(callback));
    if (!job) return tl::unexpected(job.error());
    return Job(weak_from_this(), (*job)->id());
  });
}

Result<Job> EngineImpl::get_job(const JobId& id) {
  return with_job(id, [&](jobs::Job&) -> Result<Job> { return Job(weak_from_this(), id); });
}

std::vector<JobId> EngineImpl::jobs() {
  return call([&]() -> Result<std::vector<JobId>> { return engine_->ids(); })
      .value_or(std::vector<JobId>{});
}

}  // namespace host

namespace {

tl::unexpected<Error> engine_closed() {
  return fail(ErrorCode::invalid_state, "the engine is closed");
}

template <class F>
auto on_job(const std::weak_ptr<host::EngineImpl>& weak, const JobId& id, F f)
    -> std::invoke_result_t<F, jobs::Job&> {
  const std::shared_ptr<host::EngineImpl> engine = weak.lock();
  if (engine == nullptr) return engine_closed();
  return engine->with_job(id, std::move(f));
}

}  // namespace

const char* version() noexcept { return LANWARD_VERSION; }

Engine::Engine(std::shared_ptr<host::EngineImpl> impl) : impl_(std::move(impl)) {}
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&& other) noexcept {
  if (this != &other) {
    close();
    impl_ = std::move(other.impl_);
  }
  return *this;
}
Engine::~Engine() { close(); }

Result<Engine> Engine::open(const EngineOptions& options) {
  auto impl = host::EngineImpl::open(options);
  if (!impl) return tl::unexpected(impl.error());
  return Engine(std::move(*impl));
}

void Engine::close() {
  if (impl_ != nullptr) impl_->close();
}

Result<Job> Engine::create_job(std::string display_name, JobCallback callback) {
  if (impl_ == nullptr) return engine_closed();
  return impl_->create_job(std::move(display_name), std::move(callback));
}

Result<Job> Engine::get_job(const JobId& id) const {
  if (impl_ == nullptr) return engine_closed();
  return impl_->get_job(id);
}

std::vector<JobId> Engine::jobs() const {
  return impl_ == nullptr ? std::vector<JobId>{} : impl_->jobs();
}

std::optional<std::uint16_t> Engine::listen_port() const {
  return impl_ == nullptr ? std::nullopt : impl_->listen_port();
}

// ---- Job ---------------------------------------------------------------------------------------

Job::Job(std::weak_ptr<host::EngineImpl> engine, JobId id) : engine_(std::move(engine)), id_(id) {}

JobId Job::id() const { return id_; }

Result<void> Job::add_file(const FileRequest& file) {
  const auto engine = engine_.lock();
  if (engine == nullptr) return engine_closed();
  auto spec = host::resolve(file, engine->peers_enabled());
  if (!spec) return tl::unexpected(spec.error());
  return engine->with_job(id_, [&](jobs::Job& job) { return job.add_file(std::move(*spec)); });
}

Result<void> Job::resume() {
  return on_job(engine_, id_, [](jobs::Job& job) { return job.resume(); });
}

Result<void> Job::suspend() {
  return on_job(engine_, id_, [](jobs::Job& job) { return job.suspend(); });
}

Result<void> Job::cancel() {
  const auto engine = engine_.lock();
  if (engine == nullptr) return engine_closed();
  return engine->await_job(
      id_, [](jobs::Job& job, jobs::Job::Done done) { job.cancel(std::move(done)); });
}

Result<void> Job::complete() {
  const auto engine = engine_.lock();
  if (engine == nullptr) return engine_closed();
  return engine->await_job(
      id_, [](jobs::Job& job, jobs::Job::Done done) { job.complete(std::move(done)); });
}

Result<JobState> Job::state() const {
  return on_job(engine_, id_, [](jobs::Job& job) -> Result<JobState> { return job.state(); });
}

Result<Progress> Job::progress() const {
  return on_job(engine_, id_, [](jobs::Job& job) -> Result<Progress> { return job.progress(); });
}

Result<std::vector<FileStatus>> Job::files() const {
  return on_job(engine_, id_,
                [](jobs::Job& job) -> Result<std::vector<FileStatus>> { return job.files(); });
}

Result<std::vector<SourceStats>> Job::sources() const {
  return on_job(engine_, id_,
                [](jobs::Job& job) -> Result<std::vector<SourceStats>> { return job.sources(); });
}

Result<std::optional<Error>> Job::error() const {
  return on_job(engine_, id_,
                [](jobs::Job& job) -> Result<std::optional<Error>> { return job.error(); });
}

}  // namespace lanward
