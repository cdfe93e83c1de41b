// What the administrator of a cache may do, on a store that is open or an index that is read beside
// another process.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/ports/cache_admin.h"
#include "engine/store/index.h"

namespace lanward::store {

class Keeper;
struct Shared;

class DiskCacheAdmin final : public ports::CacheAdmin {
 public:
  DiskCacheAdmin(Shared& shared, Keeper& keeper) : shared_(shared), keeper_(keeper) {}

  [[nodiscard]] Result<CacheStatus> status() override;
  [[nodiscard]] Result<std::vector<CachedContent>> list() override;
  [[nodiscard]] Result<CachedContent> find(const core::Digest& id) override;
  [[nodiscard]] Result<void> pin(const core::Digest& id, bool pinned) override;
  [[nodiscard]] Result<void> share(const core::Digest& id, bool shared) override;
  [[nodiscard]] Result<void> expire(const core::Digest& id,
                                    std::optional<std::int64_t> when) override;
  [[nodiscard]] Result<void> remove(const core::Digest& id, bool pinned_too) override;
  [[nodiscard]] Result<TrimResult> trim() override;
  [[nodiscard]] Result<std::vector<ContentCheck>> verify(const std::vector<core::Digest>& ids,
                                                         const CheckOptions& options) override;
  [[nodiscard]] Result<CachedContent> import_file(const std::string& path,
                                                  const ImportOptions& options) override;
  [[nodiscard]] Result<void> export_file(const core::Digest& id, const std::string& destination,
                                         const ExportOptions& options) override;
  void interrupt() override { interrupted_ = true; }

 private:
  [[nodiscard]] Result<IndexEntry> entry(const core::Digest& id);
  [[nodiscard]] CachedContent describe(const IndexEntry& entry) const;

  Shared& shared_;
  Keeper& keeper_;
  std::atomic<bool> interrupted_{false};
};

// Looks only: everything that would change something is refused (invalid_state).
class ReadOnlyCacheAdmin final : public ports::CacheAdmin {
 public:
  ReadOnlyCacheAdmin(std::string directory, CachePolicy policy, std::unique_ptr<Index> index)
      : directory_(std::move(directory)), policy_(policy), index_(std::move(index)) {}

  [[nodiscard]] Result<CacheStatus> status() override;
  [[nodiscard]] Result<std::vector<CachedContent>> list() override;
  [[nodiscard]] Result<CachedContent> find(const core::Digest& id) override;
  [[nodiscard]] Result<void> pin(const core::Digest& id, bool pinned) override;
  [[nodiscard]] Result<void> share(const core::Digest& id, bool shared) override;
  [[nodiscard]] Result<void> expire(const core::Digest& id,
                                    std::optional<std::int64_t> when) override;
  [[nodiscard]] Result<void> remove(const core::Digest& id, bool pinned_too) override;
  [[nodiscard]] Result<TrimResult> trim() override;
  [[nodiscard]] Result<std::vector<ContentCheck>> verify(const std::vector<core::Digest>& ids,
                                                         const CheckOptions& options) override;
  [[nodiscard]] Result<CachedContent> import_file(const std::string& path,
                                                  const ImportOptions& options) override;
  [[nodiscard]] Result<void> export_file(const core::Digest& id, const std::string& destination,
                                         const ExportOptions& options) override;
  void interrupt() override {}

 private:
  const std::string directory_;
  const CachePolicy policy_;
  const std::unique_ptr<Index> index_;
};

}  // namespace lanward::store
