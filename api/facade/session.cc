#include "api/facade/session.h"

#include <utility>

namespace lanward::facade {

std::shared_ptr<Session> Session::make(std::shared_ptr<Engine> engine) {
  std::shared_ptr<Session> session(new Session(std::move(engine)));
  session->notifier_ = std::make_unique<Notifier>(session);
  return session;
}

DWORD Session::peer_flags(const JobId& job) const {
  const std::lock_guard lock(mutex_);
  const auto found = notes_.find(job);
  return found != notes_.end() ? found->second.peer_flags : kPeerFlags;
}

void Session::set_peer_flags(const JobId& job, DWORD flags) {
  const std::lock_guard lock(mutex_);
  notes_[job].peer_flags = flags;
}

bool Session::add_unplaced(const JobId& job, std::shared_ptr<FileSlot> file) {
  const std::lock_guard lock(mutex_);
  auto& unplaced = notes_[job].unplaced;
  if (unplaced.size() >= kUnplacedFilesMax) return false;
  unplaced.push_back(std::move(file));
  return true;
}

void Session::placed(const JobId& job, const FileSlot* file) {
  const std::lock_guard lock(mutex_);
  const auto found = notes_.find(job);
  if (found == notes_.end()) return;
  std::erase_if(found->second.unplaced, [file](const auto& entry) { return entry.get() == file; });
}

bool Session::has_unplaced(const JobId& job) const {
  const std::lock_guard lock(mutex_);
  const auto found = notes_.find(job);
  return found != notes_.end() && !found->second.unplaced.empty();
}

void Session::forget(const JobId& job) {
  notifier_->end(job);
  Notes released;  // after the lock
  const std::lock_guard lock(mutex_);
  if (const auto found = notes_.find(job); found != notes_.end()) {
    std::swap(found->second, released);
    notes_.erase(found);
  }
}

}  // namespace lanward::facade
