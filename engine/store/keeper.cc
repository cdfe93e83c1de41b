#include "engine/store/keeper.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <map>
#include <utility>

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "engine/store/checker.h"
#include "engine/store/clock.h"
#include "engine/store/data_names.h"
#include "engine/store/directory_lock.h"
#include "engine/store/disk_content.h"
#include "engine/store/limits.h"
#include "engine/store/shared.h"
#include "engine/store/system_error.h"
#include "engine/store/unique_fd.h"

namespace lanward::store {

Result<void> erase_files(const std::string& directory, const core::Digest& id,
                         const std::string& elsewhere) {
  Result<void> outcome;
  for (const std::string& path :
       {data_path(directory, id), manifest_path(directory, id), elsewhere}) {
    if (path.empty() || ::unlink(path.c_str()) == 0 || errno == ENOENT || errno == ENOTDIR)
      continue;
    if (outcome) outcome = tl::unexpected(system_error(errno, "cannot remove " + path));
  }
  return outcome;
}

Keeper::Keeper(Shared& shared, CachePolicy policy) : shared_(shared), policy_(policy) {
  if (auto left = shared_.index->references()) references_.load(*left);
}

void Keeper::start() {
  const std::lock_guard lock(mutex_);
  if (thread_.joinable() || stopping_) return;
  poked_ = true;
  thread_ = std::thread([this] { run(); });
}

void Keeper::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
  // Without an index the store has already tried, and failed.
  if (shared_.index != nullptr) (void)references_.save(*shared_.index);
}

void Keeper::poke() {
  const std::lock_guard lock(mutex_);
  poked_ = true;
  wake_.notify_all();
}

core::DiskFacts Keeper::disk() const {
  struct statvfs s {};
  if (::statvfs(shared_.directory.c_str(), &s) != 0) return {};
  return {std::uint64_t{s.f_blocks} * s.f_frsize, std::uint64_t{s.f_bavail} * s.f_frsize};
}

Result<std::vector<core::CacheEntry>> Keeper::entries() {
  auto rows = shared_.index->entries();
  if (!rows) return tl::unexpected(std::move(rows.error()));
  std::vector<core::CacheEntry> list;
  list.reserve(rows->size());
  for (const IndexEntry& row : *rows) {
    const bool taken =
        shared_.registry.is_taken_by_transfer(row.id) && !shared_.registry.is_lent(row.id);
    const bool active = taken || references_.contains(row.id);
    // What lies beside a destination is none of the cache's space; it only waits for its job.
    list.push_back({.id = row.id,
                    .bytes = row.elsewhere.empty() ? row.disk_bytes : 0,
                    .size = row.elsewhere.empty() ? row.size : 0,
                    .last_use = row.last_use,
                    .expires = row.expires,
                    .pinned = row.pinned,
                    .active = active});
  }
  return list;
}

Result<void> Keeper::admits(const core::Digest& id, std::uint64_t size) {
  if (!trouble().empty()) {
    if (auto works = probe(); !works) return works;
    const std::lock_guard lock(mutex_);
    trouble_.clear();
  }
  if (policy_.max_bytes == 0 && policy_.max_percent == 0 && policy_.min_free_bytes == 0) return {};
  auto list = entries();
  if (!list) return tl::unexpected(std::move(list.error()));
  const core::DiskFacts facts = disk();
  if (core::fits(*list, policy_, facts, id, size)) return {};
  return fail(ErrorCode::disk_full, "the quota of the cache " + shared_.directory +
                                        " leaves no room for " + std::to_string(size) + " bytes");
}

// Whether something can be written where it could not before.
Result<void> Keeper::probe() {
  if (auto made = make_directories(shared_.directory + "/data"); !made) return made;
  if (!shared_.index->is_in_place()) {
    if (auto opened = shared_.index->reopen(); !opened) return opened;
  }
  const std::string path = shared_.directory + "/probe";
  const auto failed = [&](int error) {
    ::unlink(path.c_str());
    return tl::unexpected(system_error(error, "cannot write to the cache " + shared_.directory));
  };
  const UniqueFd fd(
      ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return failed(errno);
  const std::vector<std::byte> bytes(kProbeBytes);
  const ssize_t n = ::pwrite(fd.get(), bytes.data(), bytes.size(), 0);
  if (n != static_cast<ssize_t>(bytes.size())) return failed(n < 0 ? errno : ENOSPC);
  if (::fsync(fd.get()) != 0) return failed(errno);
  ::unlink(path.c_str());
  return {};
}

Result<TrimResult> Keeper::evict(const std::vector<core::Digest>& ids, std::size_t max) {
  TrimResult result;
  std::vector<core::Digest> gone;
  for (const core::Digest& id : ids) {
    if (gone.size() == max) break;
    if (!references_.contains(id)) (void)shared_.registry.reclaim(id);
    const CaretakerHold hold(shared_.registry, id);
    // Both may have changed since the list was made.
    if (!hold || references_.contains(id)) continue;
    const auto entry = shared_.index->entry(id);
    if (!entry) return tl::unexpected(entry.error());
    if (!*entry || (*entry)->pinned) continue;
    if (auto erased = erase_files(shared_.directory, id, (*entry)->elsewhere); !erased) {
      return tl::unexpected(std::move(erased.error()));
    }
    // At once for each: a transfer that opens it next must not find the record of bytes that are
    // gone. (It would see so by the inode, but hash for nothing.)
    if (auto erased = shared_.index->erase(id); !erased) {
      return tl::unexpected(std::move(erased.error()));
    }
    gone.push_back(id);
    ++result.contents;
    result.bytes += (*entry)->disk_bytes;
  }
  return result;
}

bool Keeper::make_room() {
  auto list = entries();
  if (!list) return false;
  const auto evicted = evict(core::evictable(*list, seconds_now()), 1);
  return evicted && evicted->contents > 0;
}

Result<TrimResult> Keeper::trim(std::size_t max) {
  auto list = entries();
  if (!list) return tl::unexpected(std::move(list.error()));
  return evict(core::to_evict(*list, policy_, disk(), seconds_now()), max);
}

void Keeper::report(const Error& trouble) {
  const std::lock_guard lock(mutex_);
  trouble_ = trouble.message;
}

std::string Keeper::trouble() const {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

// ---- in the background -------------------------------------------------------------------------

void Keeper::run() {
  if (shared_.index->times_emptied() > 0) {
    if (auto adopted = adopt_orphans(shared_)) {
      const std::lock_guard lock(mutex_);
      unproven_.assign(adopted->begin(), adopted->end());
    }
  }
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    wake_.wait_for(lock, kKeeperInterval, [this] { return stopping_ || poked_; });
    if (stopping_) return;
    poked_ = false;
    lock.unlock();
    step();
    check_next();
    lock.lock();
    // Bursts of news are one piece of work.
    wake_.wait_for(lock, kKeeperPause, [this] { return stopping_; });
  }
}

void Keeper::step() {
  (void)references_.save(*shared_.index);
  // What fails now is tried again at the next step.
  const auto trimmed = trim(kEvictionsPerStep);
  if (trimmed && trimmed->contents == kEvictionsPerStep) poke();
}

// Checks one content, if one is due.
void Keeper::check_next() {
  auto rows = shared_.index->entries();
  if (!rows) return;
  std::optional<core::Digest> first;
  {
    const std::lock_guard lock(mutex_);
    if (!unproven_.empty()) {
      first = unproven_.front();
      unproven_.pop_front();
    }
  }
  const std::int64_t now = seconds_now();
  const IndexEntry* due = nullptr;
  for (const IndexEntry& row : *rows) {
    if (first) {
      if (row.id == *first) due = &row;
      continue;
    }
    if (policy_.check_interval.count() == 0 || !row.manifest || row.verified_bytes == 0) continue;
    const std::int64_t last = row.checked.value_or(row.created);
    if (now - last < policy_.check_interval.count()) continue;
    if (due == nullptr || last < due->checked.value_or(due->created)) due = &row;
  }
  if (due != nullptr) {
    const auto found = Checker(shared_).check(*due, [this](std::uint64_t n) { return pace(n); });
    // One that cannot be checked is not asked for again and again.
    if (found.verdict == CheckVerdict::unverifiable || found.verdict == CheckVerdict::failed) {
      (void)shared_.index->set_checked(due->id, now);
    }
  }
  if (due != nullptr || first) poke();
}

// Waits as long as the bytes may take; false when the keeper is to stop.
bool Keeper::pace(std::uint64_t bytes) {
  if (policy_.check_bytes_per_s == 0) {
    const std::lock_guard lock(mutex_);
    return !stopping_;
  }
  const auto due = std::chrono::steady_clock::now() +
                   std::chrono::microseconds(bytes * 1'000'000 / policy_.check_bytes_per_s);
  std::unique_lock lock(mutex_);
  while (!stopping_ && std::chrono::steady_clock::now() < due) {
    wake_.wait_until(lock, due, [this] { return stopping_ || poked_; });
    if (!std::exchange(poked_, false) || stopping_) continue;
    lock.unlock();
    step();
    lock.lock();
  }
  return !stopping_;
}

}  // namespace lanward::store
