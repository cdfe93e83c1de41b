#include "engine/jobs/engine.h"

#include <cstddef>
#include <cstdint>
#include <utility>

#include "engine/jobs/countdown.h"

namespace lanward::jobs {
namespace {

// As published for CreateJob.
constexpr std::size_t kDisplayNameMax = 256;
// Jobs are a few kilobytes each; a runaway caller stops here.
constexpr std::size_t kJobsMax = 100'000;

JobId random_id(core::Prng& prng) {
  JobId id;
  for (std::uint8_t& byte : id.bytes) byte = static_cast<std::uint8_t>(prng.next());
  id.bytes[6] = static_cast<std::uint8_t>((id.bytes[6] & 0x0fU) | 0x40U);  // RFC 9562, version 4
  id.bytes[8] = static_cast<std::uint8_t>((id.bytes[8] & 0x3fU) | 0x80U);
  return id;
}

}  // namespace

Engine::Engine(const Ports& ports, const EngineSettings& settings, core::Seed seed)
    : ports_(ports), settings_(settings), prng_(seed) {}

Result<Job*> Engine::create_job(std::string display_name, JobCallback callback) {
  if (display_name.size() > kDisplayNameMax) {
    return fail(ErrorCode::invalid_argument, "a display name has at most 256 characters");
  }
  if (jobs_.size() >= kJobsMax) return fail(ErrorCode::invalid_argument, "too many jobs");
  const JobId id = random_id(prng_);
  auto job = std::make_unique<Job>(ports_, settings_, core::Seed{prng_.next()}, id,
                                   std::move(display_name), std::move(callback));
  return (jobs_[id] = std::move(job)).get();
}

Job* Engine::find(const JobId& id) {
  const auto it = jobs_.find(id);
  return it == jobs_.end() ? nullptr : it->second.get();
}

std::vector<JobId> Engine::ids() const {
  std::vector<JobId> ids;
  for (const auto& [id, job] : jobs_) ids.push_back(id);
  return ids;
}

void Engine::close(ports::Task done) {
  // One more than there are, so that none at all ends it too.
  const auto one_less = countdown(jobs_.size() + 1, std::move(done));
  for (const auto& [id, job] : jobs_) job->close(one_less);
  one_less();
}

}  // namespace lanward::jobs
