// Keeps the cache within its policy: evicts, checks in the background, knows whether it is in
// order.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <lanward/error.h>
#include <lanward/types.h>

#include "engine/core/cache_rules.h"
#include "engine/core/content.h"
#include "engine/ports/cache_admin.h"
#include "engine/store/index.h"
#include "engine/store/references.h"

namespace lanward::store {

struct Shared;

// Any thread.
class Keeper {
 public:
  Keeper(Shared& shared, CachePolicy policy);
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;
  ~Keeper() { stop(); }

  // Begins to work in the background. Before that nothing is evicted by itself: not all references
  // may be known.
  void start();
  void stop();
  // Something has changed: look soon.
  void poke();

  [[nodiscard]] const CachePolicy& policy() const { return policy_; }
  [[nodiscard]] References& references() { return references_; }
  [[nodiscard]] core::DiskFacts disk() const;

  // What the rules want to know of every content.
  [[nodiscard]] Result<std::vector<core::CacheEntry>> entries();
  // Whether the cache can take the content: it is in order, and the quota allows it.
  // Errors: disk_full, disk_io; the message says why not.
  [[nodiscard]] Result<void> admits(const core::Digest& id, std::uint64_t size);
  // Evicts the least recently used content because the disk is full. False: nothing may go.
  [[nodiscard]] bool make_room();
  // Evicts what the policy wants gone, at most `max` contents.
  [[nodiscard]] Result<TrimResult> trim(std::size_t max);

  // The cache has failed to take bytes, or a directory or an index is missing.
  void report(const Error& trouble);
  // Empty if it is in order, as far as is known.
  [[nodiscard]] std::string trouble() const;

 private:
  void run();
  void step();
  void check_next();
  [[nodiscard]] bool pace(std::uint64_t bytes);
  [[nodiscard]] Result<void> probe();
  [[nodiscard]] Result<TrimResult> evict(const std::vector<core::Digest>& ids, std::size_t max);

  Shared& shared_;
  const CachePolicy policy_;
  References references_;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  bool poked_ = false;
  bool stopping_ = false;
  std::string trouble_;
  std::deque<core::Digest> unproven_;  // found without a record, to be checked first
  std::thread thread_;
};

// Removes data file, manifest and record of a content that the caller holds. Errors: disk_io.
[[nodiscard]] Result<void> erase_files(const std::string& directory, const core::Digest& id,
                                       const std::string& elsewhere);

}  // namespace lanward::store
