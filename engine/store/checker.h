// Hashing what the cache says it has: what is not what it must be is dropped, never served.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <lanward/error.h>

#include "engine/core/content.h"
#include "engine/ports/cache_admin.h"
#include "engine/store/index.h"

namespace lanward::store {

class DataFile;
class DiskContent;
struct Shared;

// Called after each piece with its bytes; false: stop here. What has been found until then counts.
using CheckPace = std::function<bool(std::uint64_t bytes)>;

// Checks a content, whether or not it is open. One thread per content. A transfer that wants to
// open it meanwhile stops the check (verdict in_use).
class Checker {
 public:
  explicit Checker(Shared& shared) : shared_(shared) {}
  [[nodiscard]] ContentCheck check(const IndexEntry& entry, const CheckPace& pace);

 private:
  void check_open(DiskContent& content, ContentCheck& found, const CheckPace& pace);
  void check_closed(const IndexEntry& entry, ContentCheck& found, const CheckPace& pace);
  [[nodiscard]] Result<void> prove_pieces(const core::Content& content, DataFile& file,
                                          IndexRow row, ContentCheck& found, const CheckPace& pace);

  Shared& shared_;
};

// Makes rows for data files that the index does not know, after it was lost: what they hold is
// unproven until somebody checks. Answers which they are.
[[nodiscard]] Result<std::vector<core::Digest>> adopt_orphans(Shared& shared);

}  // namespace lanward::store
