#include "engine/store/references.h"

#include <utility>

namespace lanward::store {

void References::load(const std::vector<IndexReference>& left) {
  const std::lock_guard lock(mutex_);
  for (const IndexReference& r : left) jobs_[r.content][JobId{r.job}].left_over = true;
}

void References::forget_left_over() {
  const std::lock_guard lock(mutex_);
  for (auto content = jobs_.begin(); content != jobs_.end();) {
    auto& jobs = content->second;
    for (auto job = jobs.begin(); job != jobs.end();) {
      job->second.left_over = false;
      if (job->second.told > 0) {
        ++job;
        continue;
      }
      changed_[{content->first, job->first.bytes}] = false;
      job = jobs.erase(job);
    }
    content = jobs.empty() ? jobs_.erase(content) : std::next(content);
  }
}

void References::add(const core::Digest& content, const JobId& job) {
  const std::lock_guard lock(mutex_);
  Count& count = jobs_[content][job];
  if (count.told++ == 0 && !count.left_over) changed_[{content, job.bytes}] = true;
}

void References::remove(const core::Digest& content, const JobId& job) {
  const std::lock_guard lock(mutex_);
  const auto jobs = jobs_.find(content);
  if (jobs == jobs_.end()) return;
  const auto count = jobs->second.find(job);
  if (count == jobs->second.end()) return;
  if (count->second.told > 0 && --count->second.told > 0) return;
  jobs->second.erase(count);
  if (jobs->second.empty()) jobs_.erase(jobs);
  changed_[{content, job.bytes}] = false;
}

bool References::contains(const core::Digest& content) const {
  const std::lock_guard lock(mutex_);
  return jobs_.contains(content);
}

std::vector<JobId> References::jobs_of(const core::Digest& content) const {
  const std::lock_guard lock(mutex_);
  std::vector<JobId> list;
  const auto jobs = jobs_.find(content);
  if (jobs == jobs_.end()) return list;
  for (const auto& [job, count] : jobs->second) list.push_back(job);
  return list;
}

Result<void> References::save(Index& index) {
  std::map<IndexReference, bool> changes;
  {
    const std::lock_guard lock(mutex_);
    if (changed_.empty()) return {};
    changes.swap(changed_);
  }
  std::vector<IndexReference> added;
  std::vector<IndexReference> removed;
  for (const auto& [reference, is_added] : changes) {
    (is_added ? added : removed).push_back(reference);
  }
  auto saved = index.refer(added, removed);
  if (saved) return saved;
  const std::lock_guard lock(mutex_);
  changes.merge(changed_);  // newer news would be lost, so they go on top
  for (const auto& [reference, is_added] : changed_) changes[reference] = is_added;
  changed_ = std::move(changes);
  return saved;
}

}  // namespace lanward::store
