// What stands behind lanward::Engine: every port, wired together, and the way onto the loop.
#pragma once

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <lanward/engine.h>

#include "api/host/asio_loop.h"
#include "api/host/cache_impl.h"
#include "api/host/late_swarm.h"
#include "engine/jobs/engine.h"
#include "engine/ports/content_store.h"
#include "engine/ports/origin.h"
#include "engine/ports/swarm.h"
#include "engine/store/journal.h"

namespace lanward::host {

class EngineImpl : public std::enable_shared_from_this<EngineImpl> {
 public:
  [[nodiscard]] static Result<std::shared_ptr<EngineImpl>> open(const EngineOptions& options);
  ~EngineImpl();

  [[nodiscard]] Result<Job> create_job(std::string display_name, JobCallback callback);
  [[nodiscard]] Result<Job> get_job(const JobId& id);
  [[nodiscard]] std::vector<JobId> jobs(bool final_too);
  [[nodiscard]] Result<std::vector<JobStatus>> list(bool final_too);
  [[nodiscard]] Result<SharingStatus> sharing();
  [[nodiscard]] std::optional<std::uint16_t> listen_port() const {
    return late_swarm_ != nullptr ? late_swarm_->listen_port() : listen_port_;
  }
  [[nodiscard]] const std::shared_ptr<CacheImpl>& cache() const { return cache_; }
  [[nodiscard]] bool peers_enabled() const { return peers_enabled_; }
  void close();

  // Runs `f(job)` on the loop and waits for its result.
  template <class F>
  auto with_job(const JobId& id, F f) -> std::invoke_result_t<F, jobs::Job&> {
    using R = std::invoke_result_t<F, jobs::Job&>;
    return call([&]() -> R {
      Result<jobs::Job*> job = engine_->find(id);
      if (!job) return tl::unexpected(job.error());
      return f(**job);
    });
  }
  // Runs `f(job, done)` on the loop and waits until `done` was called.
  Result<void> await_job(const JobId& id, ports::MoveFunction<void(jobs::Job&, jobs::Job::Done)> f);

 private:
  EngineImpl() = default;
  [[nodiscard]] Result<void> open_swarm(const EngineOptions& options);

  // Runs `f(done)` on the loop and waits until `done` was called with the result.
  template <class T>
  Result<T> await(ports::MoveFunction<void(ports::MoveFunction<void(Result<T>)>)> f) {
    if (auto refusal = refuse_call(); !refusal) return tl::unexpected(refusal.error());
    const std::shared_lock running(calls_);
    if (auto refusal = refuse_call(); !refusal) return tl::unexpected(refusal.error());
    auto promise = std::make_shared<std::promise<Result<T>>>();
    std::future<Result<T>> future = promise->get_future();
    loop_->post([&f, promise] {
      f([promise](Result<T> result) { promise->set_value(std::move(result)); });
    });
    return future.get();
  }

  template <class F>
  auto call(F f) -> std::invoke_result_t<F> {
    using R = std::invoke_result_t<F>;
    if (auto refusal = refuse_call(); !refusal) return tl::unexpected(refusal.error());
    const std::shared_lock running(calls_);
    if (auto refusal = refuse_call(); !refusal) return tl::unexpected(refusal.error());
    std::promise<R> promise;
    std::future<R> future = promise.get_future();
    loop_->post([&] { promise.set_value(f()); });
    return future.get();
  }
  [[nodiscard]] Result<void> refuse_call() const;

  // In order of construction; destroyed in reverse, the loop stopped first.
  std::unique_ptr<AsioLoop> loop_;
  std::unique_ptr<store::SqliteJournal> journal_;
  std::unique_ptr<ports::PieceStore> store_;
  std::shared_ptr<CacheImpl> cache_;  // of the store; handles of callers may outlive it
  std::unique_ptr<ports::OriginSource> origins_;
  std::unique_ptr<ports::Swarm> swarm_;
  LateSwarm* late_swarm_ = nullptr;  // swarm_, if it starts on demand
  std::unique_ptr<jobs::Engine> engine_;
  std::optional<std::uint16_t> listen_port_;
  bool peers_enabled_ = false;  // and the download mode has them
  // Held shared by every call, alone by close(): no call is left waiting for a stopped loop. A call
  // looks at closed_ before it locks, or callers could keep close() out, and again afterwards.
  std::shared_mutex calls_;
  std::atomic<bool> closed_{false};
};

}  // namespace lanward::host
