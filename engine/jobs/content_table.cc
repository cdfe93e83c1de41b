#include "engine/jobs/content_table.h"

#include <utility>

#include "engine/jobs/download.h"

namespace lanward::jobs {

ContentTable::ContentTable() = default;
ContentTable::~ContentTable() = default;

void ContentTable::release(const core::Digest& id) {
  const auto it = references_.find(id);
  if (it != references_.end() && --it->second == 0) references_.erase(it);
}

std::uint32_t ContentTable::references(const core::Digest& id) const {
  const auto it = references_.find(id);
  return it == references_.end() ? 0 : it->second;
}

Download& ContentTable::download(const core::Digest& id,
                                 const std::function<std::unique_ptr<Download>()>& make) {
  std::unique_ptr<Download>& slot = downloads_[id];
  if (slot == nullptr) slot = make();
  return *slot;
}

void ContentTable::forget(const Ports& ports, const core::Digest& id, ports::Task done) {
  const auto [it, first] = forgetting_.try_emplace(id);
  it->second.push_back(std::move(done));
  if (!first) return;
  ports.store.forget(
      id, [this, &loop = ports.loop, life = std::weak_ptr<char>(life_), id](const Result<void>&) {
        loop.post([this, life, id] {
          if (life.expired()) return;
          auto waiting = forgetting_.extract(id);
          for (ports::Task& task : waiting.mapped()) task();
        });
      });
}

void ContentTable::when_forgotten(const core::Digest& id, ports::Task task) {
  forgetting_.at(id).push_back(std::move(task));
}

bool ContentTable::is_open(const core::Digest& id) const {
  const auto it = downloads_.find(id);
  if (it == downloads_.end()) return false;
  const Download::Phase phase = it->second->phase();
  return phase != Download::Phase::ended && phase != Download::Phase::failed;
}

void ContentTable::sweep(const core::Digest& id) {
  const auto it = downloads_.find(id);
  if (it != downloads_.end() && it->second->phase() == Download::Phase::ended) downloads_.erase(it);
}

}  // namespace lanward::jobs
