#include "engine/store/cache_admin.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <thread>
#include <utility>

#include <sys/statvfs.h>

#include "engine/core/cache_rules.h"
#include "engine/store/checker.h"
#include "engine/store/clock.h"
#include "engine/store/data_names.h"
#include "engine/store/directory_lock.h"
#include "engine/store/disk_store.h"
#include "engine/store/exporter.h"
#include "engine/store/importer.h"
#include "engine/store/keeper.h"
#include "engine/store/shared.h"

namespace lanward::store {
namespace {

// How often the caller hears of a check, in bytes.
constexpr std::uint64_t kReportBytes = 64 * core::kMiB;

CachedContent to_public(const IndexEntry& entry) {
  return {.id = to_hex(entry.id),
          .name = entry.name,
          .origin = entry.origin,
          .size = entry.size,
          .piece_bytes = entry.piece_bytes,
          .verified_bytes = entry.verified_bytes,
          .disk_bytes = entry.disk_bytes,
          .pinned = entry.pinned,
          .manifest_known = entry.manifest,
          .shared = entry.shared,
          .elsewhere = entry.elsewhere,
          .created = entry.created,
          .last_use = entry.last_use,
          .expires = entry.expires,
          .last_check = entry.checked};
}

// How long so many bytes take at that speed.
std::chrono::milliseconds milliseconds_for(std::uint64_t bytes, std::uint64_t bytes_per_second) {
  constexpr std::uint64_t kMillis = 1000;
  const std::uint64_t whole = bytes / bytes_per_second;
  return std::chrono::milliseconds(whole * kMillis +
                                   bytes % bytes_per_second * kMillis / bytes_per_second);
}

tl::unexpected<Error> unknown(const core::Digest& id) {
  return fail(ErrorCode::not_found, "the cache has no content " + to_hex(id));
}

CacheStatus sum(const std::string& directory, const CachePolicy& policy,
                const core::DiskFacts& disk, const std::vector<CachedContent>& list) {
  CacheStatus status{
      .directory = directory, .policy = policy, .disk_bytes = disk.total, .free_bytes = disk.free};
  std::uint64_t counted = 0;  // to the quota
  for (const CachedContent& content : list) {
    const std::uint64_t bytes = content.elsewhere.empty() ? content.disk_bytes : 0;
    const bool referenced = content.open || !content.jobs.empty();
    ++status.contents;
    if (content.verified_bytes == content.size) ++status.complete_contents;
    if (content.pinned) ++status.pinned_contents;
    status.used_bytes += bytes;
    if (content.pinned) status.pinned_bytes += bytes;
    if (!content.pinned) counted += bytes;
    if (referenced) status.referenced_bytes += bytes;
    if (!referenced && !content.pinned) status.evictable_bytes += bytes;
  }
  status.quota_bytes = core::quota(policy, disk, counted);
  return status;
}

}  // namespace

Result<IndexEntry> DiskCacheAdmin::entry(const core::Digest& id) {
  auto found = shared_.index->entry(id);
  if (!found) return tl::unexpected(std::move(found.error()));
  if (!*found) return unknown(id);
  return std::move(**found);
}

CachedContent DiskCacheAdmin::describe(const IndexEntry& entry) const {
  CachedContent content = to_public(entry);
  content.open = shared_.registry.is_taken_by_transfer(entry.id);
  content.jobs = keeper_.references().jobs_of(entry.id);
  return content;
}

Result<CacheStatus> DiskCacheAdmin::status() {
  auto contents = list();
  if (!contents) return tl::unexpected(std::move(contents.error()));
  CacheStatus status = sum(shared_.directory, keeper_.policy(), keeper_.disk(), *contents);
  status.trouble = keeper_.trouble();
  return status;
}

Result<std::vector<CachedContent>> DiskCacheAdmin::list() {
  auto entries = shared_.index->entries();
  if (!entries) return tl::unexpected(std::move(entries.error()));
  std::vector<CachedContent> contents;
  contents.reserve(entries->size());
  for (const IndexEntry& one : *entries) contents.push_back(describe(one));
  return contents;
}

Result<CachedContent> DiskCacheAdmin::find(const core::Digest& id) {
  auto found = entry(id);
  if (!found) return tl::unexpected(std::move(found.error()));
  return describe(*found);
}

Result<void> DiskCacheAdmin::pin(const core::Digest& id, bool pinned) {
  if (auto found = entry(id); !found) return tl::unexpected(std::move(found.error()));
  auto done = shared_.index->set_pinned(id, pinned);
  keeper_.poke();
  return done;
}

Result<void> DiskCacheAdmin::share(const core::Digest& id, bool shared) {
  if (auto found = entry(id); !found) return tl::unexpected(std::move(found.error()));
  auto done = shared_.index->set_shared(id, shared);
  // Whoever offers it now is asked to give it back, and finds that it may not be offered.
  if (done && !shared) (void)shared_.registry.reclaim(id);
  return done;
}

Result<void> DiskCacheAdmin::expire(const core::Digest& id, std::optional<std::int64_t> when) {
  if (auto found = entry(id); !found) return tl::unexpected(std::move(found.error()));
  auto done = shared_.index->set_expiry(id, when);
  keeper_.poke();
  return done;
}

Result<void> DiskCacheAdmin::remove(const core::Digest& id, bool pinned_too) {
  const auto found = entry(id);
  if (!found) return tl::unexpected(found.error());
  if (found->pinned && !pinned_too) {
    return fail(ErrorCode::invalid_state, "the content " + to_hex(id) + " is pinned");
  }
  (void)shared_.registry.reclaim(id);
  const CaretakerHold hold(shared_.registry, id);
  if (!hold) return fail(ErrorCode::in_use, "the content " + to_hex(id) + " is in use");
  if (const auto jobs = keeper_.references().jobs_of(id); !jobs.empty()) {
    return fail(ErrorCode::in_use,
                "the job " + to_string(jobs.front()) + " refers to the content " + to_hex(id));
  }
  if (auto erased = erase_files(shared_.directory, id, found->elsewhere); !erased) return erased;
  return shared_.index->erase(id);
}

Result<TrimResult> DiskCacheAdmin::trim() { return keeper_.trim(~std::size_t{0}); }

Result<std::vector<ContentCheck>> DiskCacheAdmin::verify(const std::vector<core::Digest>& ids,
                                                         const CheckOptions& options) {
  auto entries = shared_.index->entries();
  if (!entries) return tl::unexpected(std::move(entries.error()));
  if (!ids.empty()) {
    std::erase_if(*entries, [&](const IndexEntry& e) {
      return std::find(ids.begin(), ids.end(), e.id) == ids.end();
    });
  }
  CheckProgress progress{.contents_total = static_cast<std::uint32_t>(entries->size())};
  for (const IndexEntry& one : *entries) {
    progress.bytes_total += one.verified_bytes > 0 ? one.verified_bytes : one.disk_bytes;
  }
  bool stopped = false;
  std::uint64_t reported = 0;
  const auto tell = [&] {
    reported = progress.bytes_done;
    if (options.progress && !options.progress(progress)) stopped = true;
  };
  const auto begin = std::chrono::steady_clock::now();
  const auto pace = [&](std::uint64_t bytes) {
    progress.bytes_done += bytes;
    if (progress.bytes_done - reported >= kReportBytes) tell();
    stopped = stopped || interrupted_;
    if (options.bytes_per_second > 0 && !stopped) {
      const auto due = milliseconds_for(progress.bytes_done, options.bytes_per_second);
      std::this_thread::sleep_until(begin + due);  // tidy: allow sleep: the speed asked for
    }
    return !stopped;
  };
  std::vector<ContentCheck> results;
  for (const IndexEntry& one : *entries) {
    results.push_back(Checker(shared_).check(one, pace));
    if (stopped) break;
    ++progress.contents_done;
    progress.finished = &results.back();
    tell();
    progress.finished = nullptr;
    if (stopped) break;
  }
  if (stopped) return fail(ErrorCode::cancelled, "the check was stopped");
  return results;
}

Result<CachedContent> DiskCacheAdmin::import_file(const std::string& path,
                                                  const ImportOptions& options) {
  auto imported = Importer(shared_, keeper_, interrupted_).run(path, options);
  if (!imported) return tl::unexpected(std::move(imported.error()));
  if (options.pin) {
    if (auto pinned = shared_.index->set_pinned(*imported, true); !pinned) {
      return tl::unexpected(std::move(pinned.error()));
    }
  }
  if (options.share) {
    if (auto shared = shared_.index->set_shared(*imported, true); !shared) {
      return tl::unexpected(std::move(shared.error()));
    }
  }
  keeper_.poke();
  return find(*imported);
}

Result<void> DiskCacheAdmin::export_file(const core::Digest& id, const std::string& destination,
                                         const ExportOptions& options) {
  const auto found = entry(id);
  if (!found) return tl::unexpected(found.error());
  return export_content(shared_, *found, destination, options);
}

// ---- beside another process --------------------------------------------------------------------

namespace {

tl::unexpected<Error> refuse(const std::string& directory) {
  return fail(ErrorCode::invalid_state,
              "the cache " + directory + " is open for reading only: ask the engine that has it");
}

}  // namespace

Result<CacheStatus> ReadOnlyCacheAdmin::status() {
  auto contents = list();
  if (!contents) return tl::unexpected(std::move(contents.error()));
  struct statvfs s {};
  core::DiskFacts disk;
  if (::statvfs(directory_.c_str(), &s) == 0) {
    disk = {std::uint64_t{s.f_blocks} * s.f_frsize, std::uint64_t{s.f_bavail} * s.f_frsize};
  }
  return sum(directory_, policy_, disk, *contents);
}

Result<std::vector<CachedContent>> ReadOnlyCacheAdmin::list() {
  auto entries = index_->entries();
  if (!entries) return tl::unexpected(std::move(entries.error()));
  auto references = index_->references();
  if (!references) return tl::unexpected(std::move(references.error()));
  std::map<core::Digest, std::vector<JobId>> jobs;
  for (const IndexReference& r : *references) jobs[r.content].push_back(JobId{r.job});
  std::vector<CachedContent> contents;
  for (const IndexEntry& entry : *entries) {
    contents.push_back(to_public(entry));
    if (const auto it = jobs.find(entry.id); it != jobs.end()) contents.back().jobs = it->second;
  }
  return contents;
}

Result<CachedContent> ReadOnlyCacheAdmin::find(const core::Digest& id) {
  auto contents = list();
  if (!contents) return tl::unexpected(std::move(contents.error()));
  for (CachedContent& content : *contents) {
    if (content.id == to_hex(id)) return std::move(content);
  }
  return unknown(id);
}

Result<void> ReadOnlyCacheAdmin::pin(const core::Digest&, bool) { return refuse(directory_); }
Result<void> ReadOnlyCacheAdmin::share(const core::Digest&, bool) { return refuse(directory_); }
Result<void> ReadOnlyCacheAdmin::expire(const core::Digest&, std::optional<std::int64_t>) {
  return refuse(directory_);
}
Result<void> ReadOnlyCacheAdmin::remove(const core::Digest&, bool) { return refuse(directory_); }
Result<TrimResult> ReadOnlyCacheAdmin::trim() { return refuse(directory_); }
Result<std::vector<ContentCheck>> ReadOnlyCacheAdmin::verify(const std::vector<core::Digest>&,
                                                             const CheckOptions&) {
  return refuse(directory_);
}
Result<CachedContent> ReadOnlyCacheAdmin::import_file(const std::string&, const ImportOptions&) {
  return refuse(directory_);
}
Result<void> ReadOnlyCacheAdmin::export_file(const core::Digest&, const std::string&,
                                             const ExportOptions&) {
  return refuse(directory_);
}

// ---- without an engine -------------------------------------------------------------------------

namespace {

// A store of its own, and the administrator's side of it.
struct OwnCache {
  std::unique_ptr<DiskStore> store;
  std::shared_ptr<ports::CacheAdmin> admin;
};

}  // namespace

Result<std::shared_ptr<ports::CacheAdmin>> open_cache(const CacheOptions& options) {
  if (auto ok = core::check_policy(options.policy); !ok) return tl::unexpected(ok.error());
  if (options.directory.empty()) {
    return fail(ErrorCode::invalid_argument, "the cache directory has no name");
  }
  if (options.read_only) {
    auto index = Index::open(options.directory + "/index.sqlite", true);
    if (!index && index.error().code == ErrorCode::not_found) {
      return fail(ErrorCode::not_found, "there is no cache in " + options.directory);
    }
    if (!index) return tl::unexpected(std::move(index.error()));
    return std::make_shared<ReadOnlyCacheAdmin>(options.directory, options.policy,
                                                std::move(*index));
  }
  auto store = DiskStore::open({.directory = options.directory, .policy = options.policy});
  if (!store) return tl::unexpected(std::move(store.error()));
  if (auto adopted = (*store)->adopt_data_files(); !adopted) {
    return tl::unexpected(std::move(adopted.error()));
  }
  auto own = std::make_shared<OwnCache>();
  own->store = std::move(*store);
  own->admin = own->store->admin();
  ports::CacheAdmin* const admin = own->admin.get();
  return std::shared_ptr<ports::CacheAdmin>(std::move(own), admin);
}

}  // namespace lanward::store
