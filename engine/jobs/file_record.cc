#include "engine/jobs/file_record.h"

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
  request.mirrors = spec.urls;
  request.peers = spec.peers;
  request.trackers = spec.trackers;
  request.use_origin = spec.use_origin;
  request.use_peers = spec.use_peers;
  request.integrity_mandatory = spec.integrity_mandatory;
  request.share_after_complete = spec.share_after_complete;
  if (spec.manifest) {
    record.metainfo = std::make_shared<const std::vector<std::uint8_t>>(spec.manifest->metainfo);
  }
  return record;
}

Result<FileSpec> to_spec(const ports::FileRecord& record, core::Sha256Fn sha256) {
  const FileRequest& request = record.request;
  FileSpec spec{.source = request.source,
                .urls = request.mirrors,
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
                .integrity_mandatory = request.integrity_mandatory};
  if (record.metainfo != nullptr && !record.metainfo->empty()) {
    auto manifest = core::parse_metainfo(*record.metainfo, sha256);
    if (!manifest) return tl::unexpected(manifest.error());
    spec.manifest = std::move(*manifest);
  }
  return spec;
}

}  // namespace lanward::jobs
