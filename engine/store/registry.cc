#include "engine/store/registry.h"

#include <utility>

#include "engine/store/disk_content.h"
#include "engine/store/limits.h"

namespace lanward::store {

Registry::Taken Registry::take(const core::Digest& id) {
  const std::lock_guard lock(mutex_);
  const auto [it, first] = uses_.try_emplace(id);
  if (first) return Taken::yes;
  if (!it->second.caretaker || it->second.wanted) return Taken::no;
  it->second.wanted = true;
  return Taken::after_caretaker;
}

void Registry::wait_for_caretaker(const core::Digest& id) {
  std::unique_lock lock(mutex_);
  let_go_.wait(lock, [&] {
    const auto it = uses_.find(id);
    return it == uses_.end() || !it->second.caretaker;
  });
}

void Registry::release(const core::Digest& id) {
  std::shared_ptr<DiskContent> last;  // outlives the lock
  const std::lock_guard lock(mutex_);
  const auto it = uses_.find(id);
  if (it == uses_.end()) return;
  last = std::move(it->second.content);
  uses_.erase(it);
  let_go_.notify_all();
}

void Registry::opened(const core::Digest& id, std::shared_ptr<DiskContent> content, bool lent) {
  const std::lock_guard lock(mutex_);
  Use& use = uses_[id];
  use.content = std::move(content);
  use.lent = lent;
}

bool Registry::is_lent(const core::Digest& id) const {
  const std::lock_guard lock(mutex_);
  const auto it = uses_.find(id);
  return it != uses_.end() && it->second.lent;
}

bool Registry::reclaim(const core::Digest& id) {
  std::unique_lock lock(mutex_);
  const auto it = uses_.find(id);
  if (it == uses_.end() || !it->second.lent) return false;
  const std::shared_ptr<DiskContent> content = it->second.content;
  lock.unlock();
  content->call_back();
  lock.lock();
  return let_go_.wait_for(lock, kGiveBackTimeout, [&] {
    const auto use = uses_.find(id);
    return use == uses_.end() || use->second.content != content;
  });
}

bool Registry::take_as_caretaker(const core::Digest& id) {
  const std::lock_guard lock(mutex_);
  return uses_.try_emplace(id, Use{.caretaker = true}).second;
}

void Registry::release_as_caretaker(const core::Digest& id) {
  const std::lock_guard lock(mutex_);
  const auto it = uses_.find(id);
  if (it == uses_.end()) return;
  if (!it->second.wanted) {
    uses_.erase(it);
    return;
  }
  it->second = Use{};
  let_go_.notify_all();
}

bool Registry::is_wanted(const core::Digest& id) const {
  const std::lock_guard lock(mutex_);
  const auto it = uses_.find(id);
  return it != uses_.end() && it->second.wanted;
}

bool Registry::is_taken_by_transfer(const core::Digest& id) const {
  const std::lock_guard lock(mutex_);
  const auto it = uses_.find(id);
  return it != uses_.end() && (!it->second.caretaker || it->second.wanted);
}

std::shared_ptr<DiskContent> Registry::find(const core::Digest& id) const {
  const std::lock_guard lock(mutex_);
  const auto it = uses_.find(id);
  return it == uses_.end() ? nullptr : it->second.content;
}

std::vector<std::shared_ptr<DiskContent>> Registry::open_contents() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<DiskContent>> list;
  for (const auto& [id, use] : uses_) {
    if (use.content != nullptr) list.push_back(use.content);
  }
  return list;
}

}  // namespace lanward::store
