// The piece cache as its administrator sees it (lanward/cache.h), beside the transfers that use it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <lanward/cache.h>
#include <lanward/error.h>

#include "engine/core/content.h"

namespace lanward::ports {

// Any thread but that of the loop: calls block until they are done. What they mean, and their
// errors, is told at the functions of lanward::Cache with the same names.
class CacheAdmin {
 public:
  virtual ~CacheAdmin() = default;

  [[nodiscard]] virtual Result<CacheStatus> status() = 0;
  [[nodiscard]] virtual Result<std::vector<CachedContent>> list() = 0;
  [[nodiscard]] virtual Result<CachedContent> find(const core::Digest& id) = 0;

  [[nodiscard]] virtual Result<void> pin(const core::Digest& id, bool pinned) = 0;
  [[nodiscard]] virtual Result<void> share(const core::Digest& id, bool shared) = 0;
  // Seconds since 1970.
  [[nodiscard]] virtual Result<void> expire(const core::Digest& id,
                                            std::optional<std::int64_t> when) = 0;
  [[nodiscard]] virtual Result<void> remove(const core::Digest& id, bool pinned_too) = 0;
  [[nodiscard]] virtual Result<TrimResult> trim() = 0;

  // `ids`, not options.ids, names the contents; none: all.
  [[nodiscard]] virtual Result<std::vector<ContentCheck>> verify(
      const std::vector<core::Digest>& ids, const CheckOptions& options) = 0;
  [[nodiscard]] virtual Result<CachedContent> import_file(const std::string& path,
                                                          const ImportOptions& options) = 0;
  [[nodiscard]] virtual Result<void> export_file(const core::Digest& id,
                                                 const std::string& destination,
                                                 const ExportOptions& options) = 0;

  // Calls that take long end soon, with cancelled; later ones at once.
  virtual void interrupt() = 0;
};

}  // namespace lanward::ports
