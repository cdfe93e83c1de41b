#include "engine/jobs/metalink_files.h"

#include <string>
#include <utility>

namespace lanward::jobs {
namespace {

Result<void> check_several(const core::Metalink& metalink, const FileSpec& request) {
  const auto refuse = [&](const std::string& what) {
    return fail(ErrorCode::invalid_argument, request.source + ": the Metalink describes " +
                                                 std::to_string(metalink.files.size()) +
                                                 " files; " + what);
  };
  if (!request.destination.ends_with('/')) return refuse("choose a directory as the destination");
  if (!request.ranges.empty()) return refuse("ranges are of one file");
  if (!request.digests.empty()) return refuse("a digest is of one file");
  if (!request.id.empty()) return refuse("an id is of one file");
  return {};
}

}  // namespace

Result<std::vector<FileSpec>> files_of(const core::Metalink& metalink, const FileSpec& request) {
  const bool several = metalink.files.size() > 1;
  if (several) {
    if (auto ok = check_several(metalink, request); !ok) return tl::unexpected(ok.error());
  }
  std::vector<FileSpec> files;
  for (const core::Metalink::File& described : metalink.files) {
    FileSpec file = request;
    file.metalink_url.clear();
    if (several) file.source += "#" + described.name;
    if (file.destination.ends_with('/')) file.destination += described.name;
    // Where the Metalink itself was is no origin of the file.
    std::erase_if(file.urls,
                  [&](const core::OriginSpec& origin) { return origin.url == request.source; });
    file.found_urls = core::origins_of(described);
    file.offered_manifests = described.manifests;
    file.size = described.size;
    if (file.digests.empty()) file.digests = described.digests;
    files.push_back(std::move(file));
  }
  return files;
}

}  // namespace lanward::jobs
