// Puts a file of this machine into the cache.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <lanward/error.h>

#include "engine/core/content.h"
#include "engine/core/piece_layout.h"
#include "engine/ports/cache_admin.h"
#include "engine/store/unique_fd.h"

namespace lanward::store {

class DataFile;
class Keeper;
struct Shared;

// The copy is what is hashed, not the source: whatever happens to the source meanwhile, the cache
// says of its own bytes what they are.
class Importer {
 public:
  // Stops when `stop` becomes true.
  Importer(Shared& shared, Keeper& keeper, const std::atomic<bool>& stop)
      : shared_(shared), keeper_(keeper), stop_(stop) {}
  // Answers with the id of the content. Errors: see Cache::import_file().
  [[nodiscard]] Result<core::Digest> run(const std::string& path, const ImportOptions& options);

 private:
  [[nodiscard]] Result<std::optional<core::Manifest>> find_manifest(const std::string& path,
                                                                    const ImportOptions& options);
  [[nodiscard]] Result<void> copy(int source, std::uint64_t size, DataFile& copy);
  [[nodiscard]] Result<std::vector<core::Digest>> hash(const DataFile& copy,
                                                       const core::PieceLayout& layout,
                                                       const ImportOptions& options);
  [[nodiscard]] Result<void> settle(DataFile& copy, const core::Manifest& manifest,
                                    const std::string& name);

  Shared& shared_;
  Keeper& keeper_;
  const std::atomic<bool>& stop_;
};

}  // namespace lanward::store
