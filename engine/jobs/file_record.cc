#include "engine/jobs/file_record.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "engine/core/metainfo.h"

namespace lanward::jobs {

ports::FileRecord to_record(const FileSpec& spec) {
  ports::FileRecord record;
  FileRequest& request = record.request;
  request.source = spec.source;
  request.destination = spec.destination;
  request.id = spec.id;
  request.ranges = spec.ranges;
  request.manifest = spec.manifest_url;
  for (const core::OriginSpec& origin : spec.urls) {
    request.mirrors.push_back(core::origin_text(origin));
  }
  request.caches = spec.caches;
  request.peers = spec.peers;
  request.trackers = spec.trackers;
  request.use_origin = spec.use_origin;
  request.use_peers = spec.use_peers;
  request.integrity_mandatory = spec.integrity_mandatory;
  request.share_after_complete = spec.share_after_complete;
  record.digests = spec.digests;
  record.demanded_size = spec.size;
  record.found_urls = spec.found_urls;
  record.offered_manifests = spec.offered_manifests;
  record.metalink_url = spec.metalink_url;
  record.manifest_elsewhere = spec.manifest_elsewhere;
  if (spec.manifest) {
    record.metainfo = std::make_shared<const std::vector<std::uint8_t>>(spec.manifest->metainfo);
  }
  return record;
}

void rename_source(FileSpec& spec, const std::string& url) {
  const auto old =
      std::find_if(spec.urls.begin(), spec.urls.end(),
                   [&](const core::OriginSpec& origin) { return origin.url == spec.source; });
  if (old != spec.urls.end()) {
    old->url = url;
  } else {
    spec.urls.insert(spec.urls.begin(), {.url = url});
  }
  spec.source = url;
}

Result<FileSpec> to_spec(const ports::FileRecord& record, core::Sha256Fn sha256) {
  const FileRequest& request = record.request;
  FileSpec spec{.source = request.source,
                .urls = {},
                .destination = request.destination,
                .manifest = {},
                .manifest_url = request.manifest,
                .peers = request.peers,
                .trackers = request.trackers,
                .use_origin = request.use_origin,
                .use_peers = request.use_peers,
                .share_after_complete = request.share_after_complete,
                .id = request.id,
                .ranges = request.ranges,
                .integrity_mandatory = request.integrity_mandatory,
                .caches = request.caches,
                .digests = record.digests,
                .size = record.demanded_size,
                .found_urls = record.found_urls,
                .offered_manifests = record.offered_manifests,
                .manifest_elsewhere = record.manifest_elsewhere,
                .metalink_url = record.metalink_url};
  for (const std::string& text : request.mirrors) spec.urls.push_back(core::parse_origin(text));
  if (record.metainfo != nullptr && !record.metainfo->empty()) {
    auto manifest = core::parse_metainfo(*record.metainfo, sha256);
    if (!manifest) return tl::unexpected(manifest.error());
    spec.manifest = std::move(*manifest);
  }
  return spec;
}

}  // namespace lanward::jobs
