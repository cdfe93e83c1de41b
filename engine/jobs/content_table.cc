#include "engine/jobs/content_table.h"

#include <utility>

#include "engine/jobs/download.h"
#include "engine/jobs/sharer.h"

namespace lanward::jobs {

ContentTable::ContentTable(Sharer& sharer) : sharer_(sharer) {}
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
  sharer_.take(id, [this, &ports, life = std::weak_ptr<char>(life_), id] {
    if (life.expired()) return;
    ports.store.forget(id, [this, &loop = ports.loop, life, id](const Result<void>&) {
      loop.post([this, life, id] {
        if (!life.expired()) on_forgotten(id);
      });
    });
  });
}

void ContentTable::on_forgotten(const core::Digest& id) {
  auto waiting = forgetting_.extract(id);
  for (ports::Task& task : waiting.mapped()) task();
  if (!downloads_.contains(id)) sharer_.give_back(id);
}

void ContentTable::when_free(const core::Digest& id, ports::Task task) {
  const auto forgetting = forgetting_.find(id);
  if (forgetting != forgetting_.end()) return forgetting->second.push_back(std::move(task));
  sharer_.take(id, std::move(task));
}

bool ContentTable::is_open(const core::Digest& id) const {
  const auto it = downloads_.find(id);
  if (it == downloads_.end()) return false;
  const Download::Phase phase = it->second->phase();
  return phase != Download::Phase::ended && phase != Download::Phase::failed;
}

void ContentTable::sweep(const core::Digest& id) {
  const auto it = downloads_.find(id);
  if (it == downloads_.end() || it->second->phase() != Download::Phase::ended) return;
  const core::Digest swept = it->first;  // `id` may be the download's own
  downloads_.erase(it);
  if (!forgetting_.contains(swept)) sharer_.give_back(swept);
}

}  // namespace lanward::jobs
