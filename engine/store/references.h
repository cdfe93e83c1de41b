// Which jobs refer to which contents: what keeps a content from being evicted.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include <lanward/error.h>
#include <lanward/types.h>

#include "engine/core/content.h"
#include "engine/store/index.h"

namespace lanward::store {

// Any thread. The memory is what counts; the index follows with the next save(), so that a tool
// that looks at the cache without the engine knows too.
class References {
 public:
  // What the last engine on this directory left.
  void load(const std::vector<IndexReference>& left);
  // The engine has told all of its own: what is only left over from an earlier one goes.
  void forget_left_over();

  // Counted: a job may have a content more than once.
  void add(const core::Digest& content, const JobId& job);
  void remove(const core::Digest& content, const JobId& job);

  [[nodiscard]] bool contains(const core::Digest& content) const;
  [[nodiscard]] std::vector<JobId> jobs_of(const core::Digest& content) const;

  // Writes what has changed since the last time. What fails is tried again by the next call.
  [[nodiscard]] Result<void> save(Index& index);

 private:
  struct Count {
    std::uint32_t told = 0;
    bool left_over = false;
  };

  mutable std::mutex mutex_;
  std::map<core::Digest, std::map<JobId, Count>> jobs_;
  std::map<IndexReference, bool> changed_;  // true: added
};

}  // namespace lanward::store
