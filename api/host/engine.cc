#include <lanward/engine.h>

#include <pwd.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <mutex>
#include <random>
#include <shared_mutex>
#include <utility>

#include "api/host/engine_impl.h"
#include "cdn/metalink.h"
#include "cdn/origin_source.h"
#include "engine/core/bandwidth_governor.h"
#include "engine/core/cache_rules.h"
#include "engine/core/cache_url.h"
#include "engine/core/download_mode.h"
#include "engine/core/policy.h"
#include "engine/core/upload_rules.h"
#include "engine/store/digest.h"
#include "engine/store/disk_store.h"
#include "engine/store/journal.h"
#include "engine/store/sha256.h"
#include "peer/swarm.h"

namespace lanward {
namespace host {
namespace {

// How long close() waits for the swarms to be left and the cache to be flushed. What hangs longer
// than this hangs in the file system.
constexpr std::chrono::seconds kCloseDeadline{60};

// As the published policies DODelay...FromHttp advise at most, and DODelayCacheServerFallback...
// allow.
constexpr std::chrono::hours kPeerDelayMax{24};
constexpr std::chrono::hours kCacheFallbackMax{30 * 24};

// Each takes a file descriptor and a torrent: what one machine may offer with 1 GB of memory.
constexpr std::uint32_t kSharedContentsMost = 10'000;

core::Seed random_seed() {
  std::random_device device;
  return core::Seed{(std::uint64_t{device()} << 32U) ^ device()};
}

// The user whose jobs this process makes.
void name_user(jobs::EngineSettings& settings) {
  settings.user_id = ::geteuid();
  std::array<char, 1024> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  const int failed = ::getpwuid_r(settings.user_id, &entry, buffer.data(), buffer.size(), &found);
  settings.user_name = failed == 0 && found != nullptr ? std::string(found->pw_name)
                                                       : std::to_string(settings.user_id);
}

Result<void> check(const PeerLimits& limits) {
  constexpr std::uint32_t kConnectionsLeast = 2;  // fewer are no limit for libtorrent
  constexpr std::uint32_t kConnectionsMost = 10'000;
  for (const std::uint64_t rate : {limits.upload_bytes_per_s, limits.download_bytes_per_s}) {
    if (rate > peer::kPeerRateMax) {
      return fail(ErrorCode::invalid_argument, "peer_limits: a rate above 2000000000");
    }
  }
  for (const std::uint32_t count :
       {limits.connections_max,
        limits.connections_per_content_max.value_or(limits.connections_max)}) {
    if (count < kConnectionsLeast || count > kConnectionsMost) {
      return fail(ErrorCode::invalid_argument, "peer_limits: expected 2 to 10000 connections");
    }
  }
  if (limits.upload_slots > kConnectionsMost) {
    return fail(ErrorCode::invalid_argument, "peer_limits: expected at most 10000 upload_slots");
  }
  return core::check_rules(limits.sharing);
}

Result<void> check(const EngineOptions& options) {
  if (options.cache_directory.empty() && options.state_directory.empty()) {
    return fail(ErrorCode::invalid_argument, "cache_directory and state_directory: both empty");
  }
  if (options.progress_interval <= std::chrono::milliseconds{0}) {
    return fail(ErrorCode::invalid_argument, "progress_interval: must be positive");
  }
  if (options.peer_delay < std::chrono::milliseconds{0} || options.peer_delay > kPeerDelayMax) {
    return fail(ErrorCode::invalid_argument, "peer_delay: expected 0 to 86400 seconds");
  }
  for (const auto& [delay, name] :
       {std::pair{options.cache_fallback_foreground, "cache_fallback_foreground"},
        std::pair{options.cache_fallback_background, "cache_fallback_background"}}) {
    if (delay && *delay > kCacheFallbackMax) {
      return fail(
          ErrorCode::invalid_argument,
          std::string(name) + ": expected at most 2592000 seconds, or less than 0 for ever");
    }
  }
  if (options.shared_contents_max > kSharedContentsMost) {
    return fail(ErrorCode::invalid_argument, "shared_contents_max: expected at most 10000");
  }
  if (auto ok = core::check_policy(options.cache_policy); !ok) return ok;
  if (auto ok = check(options.peer_limits); !ok) return ok;
  if (options.peer_limits.upload_bytes_per_month > 0 && options.state_directory.empty()) {
    return fail(ErrorCode::invalid_argument,
                "peer_limits: upload_bytes_per_month is counted in a state_directory");
  }
  if (auto ok = core::check_limits(options.bandwidth); !ok) return ok;
  return core::check_caches(options.caches);
}

core::Policy policy_of(const EngineOptions& options) {
  core::Policy policy;
  policy.http_delay = options.peer_delay;
  policy.min_rate = core::ByteRate{options.min_rate_bytes_per_s};
  policy.never_puller = !options.peer_limits.puller;
  policy.cache_host_fallback_foreground = options.cache_fallback_foreground;
  policy.cache_host_fallback_background = options.cache_fallback_background;
  return policy;
}

bool keeps(const EngineOptions& options, DownloadMode mode) {
  return options.keep_delivered && core::rules_of(mode).keep;
}

Result<DownloadMode> mode_of(const EngineOptions& options) {
  return core::choose_mode(options.download_mode,
                           {.peers = options.peers_enabled || !options.run_jobs,
                            .group = !options.group_file.empty(),
                            .listen = !options.listen.empty(),
                            .share_cached = options.shared_contents_max > 0});
}

jobs::EngineSettings settings_of(const EngineOptions& options, DownloadMode mode) {
  jobs::EngineSettings settings{.policy = policy_of(options),
                                .progress_interval = options.progress_interval,
                                .keep_delivered = keeps(options, mode),
                                .run_jobs = options.run_jobs,
                                .shared_contents_max = options.shared_contents_max,
                                .mode = mode,
                                .peers_wanted = options.peers_enabled || !options.run_jobs,
                                .bandwidth = options.bandwidth,
                                .caches = options.caches,
                                .jobs_max = options.limits.jobs_max,
                                .files_per_job_max = options.limits.files_per_job_max,
                                .ranges_per_file_max = options.limits.ranges_per_file_max,
                                .job_age_max = options.limits.job_age_max};
  name_user(settings);
  return settings;
}

peer::SwarmLimits limits_of(const PeerLimits& limits) {
  return {.upload_bytes_per_s = limits.upload_bytes_per_s,
          .download_bytes_per_s = limits.download_bytes_per_s,
          .upload = limits.upload,
          .connections_max = limits.connections_max,
          .connections_per_content_max = limits.connections_per_content_max,
          .upload_slots = limits.upload_slots,
          .upload_bytes_per_month = limits.upload_bytes_per_month,
          .sharing = limits.sharing};
}

std::string cache_of(const EngineOptions& options) {
  return options.cache_directory.empty() ? options.state_directory + "/cache"
                                         : options.cache_directory;
}

std::string count_file_of(const EngineOptions& options) {
  return options.state_directory + "/peers.given";
}

std::string rules_file_of(const EngineOptions& options) {
  if (!options.peer_rules_file.empty() || options.state_directory.empty()) {
    return options.peer_rules_file;
  }
  return options.state_directory + "/peers.rules";
}

}  // namespace

Result<std::shared_ptr<EngineImpl>> EngineImpl::open(const EngineOptions& options) {
  if (auto ok = check(options); !ok) return tl::unexpected(ok.error());
  const Result<DownloadMode> mode = mode_of(options);
  if (!mode) return tl::unexpected(mode.error());
  std::shared_ptr<EngineImpl> impl(new EngineImpl);
  // First: its thread prepares while the other parts open.
  auto origins =
      cdn::CurlOriginSource::create({.ca_file = options.ca_file, .http2 = options.http2});
  if (!origins) return tl::unexpected(origins.error());
  impl->origins_ = std::move(*origins);
  impl->loop_ = std::make_unique<AsioLoop>();
  std::vector<ports::JobRecord> records;
  if (!options.state_directory.empty()) {
    auto journal = store::SqliteJournal::open(options.state_directory);
    if (!journal) return tl::unexpected(journal.error());
    impl->journal_ = std::move(*journal);
    auto loaded = impl->journal_->load();
    if (!loaded) return tl::unexpected(loaded.error());
    records = std::move(*loaded);
  }
  const std::string cache = cache_of(options);
  // A mere working directory holds what its jobs need, whatever that is.
  auto store = store::DiskStore::open(
      {.directory = cache,
       .policy = options.keep_delivered ? options.cache_policy : store::unlimited(),
       // Jobs that outlive the process must find what it has delivered.
       .working_directory = !options.keep_delivered && options.state_directory.empty()});
  if (!store) return tl::unexpected(store.error());
  store::DiskStore* const disk = store->get();
  impl->store_ = std::move(*store);
  impl->cache_ = std::make_shared<CacheImpl>(disk->admin(), [loop = impl->loop_.get()] {
    return loop->is_current_thread()
               ? Result<void>(fail(ErrorCode::invalid_state, "called from inside a callback"))
               : Result<void>();
  });
  impl->peers_enabled_ = options.peers_enabled && core::rules_of(*mode).peers;
  if (auto opened = impl->open_swarm(options); !opened) return tl::unexpected(opened.error());
  impl->engine_ = std::make_unique<jobs::Engine>(jobs::Ports{.loop = *impl->loop_,
                                                             .origins = *impl->origins_,
                                                             .store = *impl->store_,
                                                             .swarm = impl->swarm_.get(),
                                                             .sha256 = &store::sha256,
                                                             .journal = impl->journal_.get(),
                                                             .hasher = &store::make_hasher,
                                                             .metalink = &cdn::parse_metalink},
                                                 settings_of(options, *mode), random_seed());
  impl->loop_->post([engine = impl->engine_.get(), records = std::move(records), disk,
                     keep = options.keep_delivered, run = options.run_jobs]() mutable {
    if (run) disk->prepare();
    engine->restore(std::move(records));
    if (keep) disk->start_keeping();
  });
  return impl;
}

Result<void> EngineImpl::open_swarm(const EngineOptions& options) {
  if (!peers_enabled_ || !options.run_jobs) return {};
  auto start = [settings = peer::SwarmOptions{.listen = options.listen,
                                              .local_discovery = options.local_discovery,
                                              .beacon = options.local_discovery,
                                              .dns_sd = options.dns_sd,
                                              .loop = loop_.get(),
                                              .group_file = options.group_file,
                                              .rules_file = rules_file_of(options),
                                              .limits = limits_of(options.peer_limits),
                                              .count_file = count_file_of(options),
                                              .places = {.disk = cache_of(options)},
                                              .sha256 = &store::sha256}] {
    return start_peers(settings);
  };
  if (options.peers_on_demand) {
    auto late = std::make_unique<LateSwarm>(std::move(start), options.on_listening, *loop_);
    late_swarm_ = late.get();
    swarm_ = std::move(late);
    return {};
  }
  auto running = start();
  if (!running) return tl::unexpected(running.error());
  listen_port_ = running->port;
  swarm_ = std::move(running->swarm);
  return {};
}

EngineImpl::~EngineImpl() {
  close();
  // The loop's thread has ended: its tasks go first, then what they refer to.
  engine_.reset();
  swarm_.reset();
  origins_.reset();
  store_.reset();
  journal_.reset();
}

void EngineImpl::close() {
  if (loop_ == nullptr || loop_->is_current_thread()) return;
  const bool first = !closed_.exchange(true);
  const std::unique_lock no_calls(calls_);
  if (!first) return;
  if (cache_ != nullptr) cache_->detach();
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
  return await<void>([&](jobs::Job::Done done) {
    Result<jobs::Job*> job = engine_->find(id);
    if (!job) return done(tl::unexpected(job.error()));
    f(**job, std::move(done));
  });
}

Result<Job> EngineImpl::create_job(std::string display_name, JobCallback callback) {
  return await<Job>([&](ports::MoveFunction<void(Result<Job>)> done) {
    engine_->create_job(std::move(display_name), std::move(callback),
                        [this, done = std::move(done)](Result<jobs::Job*> job) mutable {
                          if (!job) return done(tl::unexpected(job.error()));
                          done(Job(weak_from_this(), (*job)->id()));
                        });
  });
}

Result<Job> EngineImpl::get_job(const JobId& id) {
  return with_job(id, [&](jobs::Job&) -> Result<Job> { return Job(weak_from_this(), id); });
}

std::vector<JobId> EngineImpl::jobs(bool final_too) {
  return call([&]() -> Result<std::vector<JobId>> { return engine_->ids(final_too); })
      .value_or(std::vector<JobId>{});
}

Result<std::vector<JobStatus>> EngineImpl::list(bool final_too) {
  return call([&]() -> Result<std::vector<JobStatus>> { return engine_->list(final_too); });
}

Result<SharingStatus> EngineImpl::sharing() {
  return call([&]() -> Result<SharingStatus> { return engine_->sharing(); });
}

}  // namespace host

namespace {

tl::unexpected<Error> engine_closed() {
  return fail(ErrorCode::invalid_state, "the engine is closed");
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

std::vector<JobId> Engine::jobs(bool final_too) const {
  return impl_ == nullptr ? std::vector<JobId>{} : impl_->jobs(final_too);
}

Result<std::vector<JobStatus>> Engine::list(bool final_too) const {
  if (impl_ == nullptr) return engine_closed();
  return impl_->list(final_too);
}

Result<SharingStatus> Engine::sharing() const {
  if (impl_ == nullptr) return engine_closed();
  return impl_->sharing();
}

Cache Engine::cache() const { return Cache(impl_ == nullptr ? nullptr : impl_->cache()); }

std::optional<std::uint16_t> Engine::listen_port() const {
  return impl_ == nullptr ? std::nullopt : impl_->listen_port();
}

}  // namespace lanward
