#include "engine/jobs/engine.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "engine/jobs/countdown.h"
#include "engine/jobs/job_properties.h"

namespace lanward::jobs {
namespace {

// Records of jobs that have ended: enough to look up what became of a day's work.
constexpr std::size_t kFinalJobsMax = 1000;

JobId random_id(core::Prng& prng) {
  JobId id;
  for (std::uint8_t& byte : id.bytes) byte = static_cast<std::uint8_t>(prng.next());
  id.bytes[6] = static_cast<std::uint8_t>((id.bytes[6] & 0x0fU) | 0x40U);  // RFC 9562, version 4
  id.bytes[8] = static_cast<std::uint8_t>((id.bytes[8] & 0x3fU) | 0x80U);
  return id;
}

}  // namespace

Engine::Engine(const Ports& ports, const EngineSettings& settings, core::Seed seed)
    : ports_(ports),
      settings_(settings),
      prng_(seed),
      origins_(ports_, settings_),
      sharer_(ports_, settings_.shared_contents_max),
      contents_(sharer_),
      context_{ports_, settings_, origins_, contents_, [this](Job& job) { on_state(job); }} {}

Job& Engine::insert(ports::JobRecord record, JobCallback callback) {
  const std::uint64_t order = record.order;
  const JobId id = record.id;
  auto job = std::make_unique<Job>(context_, core::Seed{prng_.next()}, std::move(record),
                                   std::move(callback));
  by_id_[id] = job.get();
  return *(jobs_[order] = std::move(job));
}

void Engine::restore(std::vector<ports::JobRecord> records) {
  for (ports::JobRecord& record : records) {
    next_order_ = std::max(next_order_, record.order + 1);
    insert(std::move(record), {});
  }
  // Every reference is known before the first piece is purged.
  std::vector<Job*> all;
  for (const auto& [order, job] : jobs_) all.push_back(job.get());
  for (Job* job : all) job->proceed();
  sharer_.start();
}

void Engine::create_job(std::string display_name, JobCallback callback, Created done) {
  if (auto ok = check_display_name(display_name); !ok) return done(tl::unexpected(ok.error()));
  const auto open = static_cast<std::size_t>(std::count_if(
      jobs_.begin(), jobs_.end(), [](const auto& entry) { return !entry.second->is_final(); }));
  if (open >= settings_.jobs_max) {
    return done(fail(ErrorCode::too_many_jobs,
                     "there are " + std::to_string(open) + " jobs, as many as the queue holds"));
  }
  ports::JobRecord record;
  record.id = random_id(prng_);
  record.order = next_order_++;
  record.owner = settings_.user_name;
  record.owner_uid = settings_.user_id;
  record.properties.display_name = std::move(display_name);
  record.times.created = record.times.modified = settings_.wall_clock();
  Job& job = insert(std::move(record), std::move(callback));
  job.save([this, id = job.id(), order = job.order(),
            done = std::move(done)](Result<void> saved) mutable {
    if (saved) return done(by_id_.at(id));
    // Later, because the job is in the middle of this call.
    ports_.loop.post([this, id, order] {
      by_id_.erase(id);
      jobs_.erase(order);
    });
    done(tl::unexpected(saved.error()));
  });
}

Result<Job*> Engine::find(const JobId& id) {
  const auto it = by_id_.find(id);
  if (it == by_id_.end()) return fail(ErrorCode::job_not_found, "no job " + to_string(id));
  if (settings_.user_id != 0 && it->second->owner_uid() != settings_.user_id) {
    return fail(ErrorCode::access_denied, "the job " + to_string(id) + " belongs to another user");
  }
  return it->second;
}

std::vector<JobId> Engine::ids(bool final_too) const {
  std::vector<JobId> ids;
  for (const auto& [order, job] : jobs_) {
    if (final_too || !job->is_final()) ids.push_back(job->id());
  }
  return ids;
}

std::vector<JobStatus> Engine::list(bool final_too) const {
  std::vector<JobStatus> list;
  for (const auto& [order, job] : jobs_) {
    if (final_too || !job->is_final()) list.push_back(job->status());
  }
  return list;
}

// Foreground jobs first: while one of them moves bytes, the others make way.
void Engine::on_state(Job&) {
  const bool busy = std::any_of(jobs_.begin(), jobs_.end(), [](const auto& entry) {
    const Job& job = *entry.second;
    const JobState state = job.state();
    return job.properties().priority == Priority::foreground &&
           (state == JobState::connecting || state == JobState::transferring);
  });
  for (const auto& [order, job] : jobs_) job->make_way(busy);
  ports_.loop.post([this, life = std::weak_ptr<char>(life_)] {
    if (!life.expired()) forget_old();
  });
}

void Engine::forget_old() {
  std::vector<std::uint64_t> ended;
  for (const auto& [order, job] : jobs_) {
    if (job->is_final() && job->is_swept() && !job->is_serving()) ended.push_back(order);
  }
  if (ended.size() <= kFinalJobsMax) return;
  ended.resize(ended.size() - kFinalJobsMax);
  for (const std::uint64_t order : ended) {
    const JobId id = jobs_.at(order)->id();
    if (ports_.journal != nullptr) ports_.journal->remove(id, [](const Result<void>&) {});
    by_id_.erase(id);
    jobs_.erase(order);
  }
}

void Engine::close(ports::Task done) {
  // One more than there are, and the sharer, so that none at all ends it too.
  const auto one_less = countdown(jobs_.size() + 2, std::move(done));
  for (const auto& [order, job] : jobs_) job->close(one_less);
  sharer_.close(one_less);
  one_less();
}

}  // namespace lanward::jobs
