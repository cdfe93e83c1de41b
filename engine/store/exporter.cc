#include "engine/store/exporter.h"

#include <cerrno>
#include <optional>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include "engine/store/data_file.h"
#include "engine/store/data_names.h"
#include "engine/store/delivery.h"
#include "engine/store/shared.h"

namespace lanward::store {
namespace {

// A copy of its own, because the manifest's name is not that of a content.
Result<void> export_manifest(const std::string& directory, const core::Digest& id,
                             const std::string& destination) {
  auto manifest = DataFile::open_existing(manifest_path(directory, id));
  if (!manifest && manifest.error().code == ErrorCode::not_found) return {};
  if (!manifest) return tl::unexpected(std::move(manifest.error()));
  const auto facts = (*manifest)->facts();
  if (!facts) return tl::unexpected(facts.error());
  const std::vector<core::ByteSpan> all{{0, facts->size}};
  return deliver_copy((*manifest)->fd(), all, {.destination = destination + ".torrent", .id = id});
}

}  // namespace

Result<void> export_content(Shared& shared, const IndexEntry& entry, const std::string& destination,
                            const ExportOptions& options) {
  if (entry.verified_bytes != entry.size) {
    return fail(ErrorCode::invalid_state, "the content " + to_hex(entry.id) + " is not complete: " +
                                              std::to_string(entry.verified_bytes) + " of " +
                                              std::to_string(entry.size) + " bytes");
  }
  // Open or not: complete contents are only read, and an open descriptor outlives an eviction.
  const std::string path =
      entry.elsewhere.empty() ? data_path(shared.directory, entry.id) : entry.elsewhere;
  auto file = DataFile::open_existing(path);
  if (!file) return tl::unexpected(std::move(file.error()));
  const Target target{.destination = destination, .id = entry.id};
  Result<bool> linked = false;
  if (options.hard_link) linked = deliver_link((*file)->fd(), target);
  if (!linked) return tl::unexpected(std::move(linked.error()));
  if (!*linked) {
    const std::vector<core::ByteSpan> all{{0, entry.size}};
    if (auto copied = deliver_copy((*file)->fd(), all, target); !copied) return copied;
  }
  if (!options.with_manifest) return {};
  return export_manifest(shared.directory, entry.id, destination);
}

}  // namespace lanward::store
