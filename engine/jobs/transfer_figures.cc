// What is told about a file on its way.
#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/core/byte_ranges.h"
#include "engine/core/download_mode.h"
#include "engine/jobs/source_figures.h"
#include "engine/jobs/transfer.h"

namespace lanward::jobs {

Transfer::Phase Transfer::phase() const {
  switch (step_) {
    case Step::idle:
      return Phase::idle;
    case Step::searching:
      return Phase::searching;
    case Step::spooling:
      return Phase::transferring;
    case Step::delivered:
      return Phase::delivered;
    case Step::failed:
      return Phase::failed;
    case Step::stopping:
    case Step::rejoining:
      return Phase::stopping;
    case Step::attached:
      break;
  }
  switch (download_->phase()) {
    case Download::Phase::opening:
    case Download::Phase::ended:
      return Phase::opening;
    case Download::Phase::transferring:
    case Download::Phase::transferred:
      return transferred_ ? Phase::transferred : Phase::transferring;
    case Download::Phase::failed:
    case Download::Phase::stopping:
      return Phase::stopping;
  }
  return Phase::stopping;
}

std::optional<Error> Transfer::error() const {
  if (step_ == Step::attached && !transferred_) return download_->error();
  return error_;
}

std::optional<Error> Transfer::stuck() const {
  if (transferred_ || download_ == nullptr || !download_->is_stuck()) return std::nullopt;
  return download_->error();
}

FileStatus Transfer::status() const {
  FileStatus status{.id = spec_.id,
                    .source = spec_.source,
                    .destination = spec_.destination,
                    .ranges = spec_.ranges,
                    .integrity = integrity_,
                    .note = note_,
                    .total_known = content_known_,
                    .total_bytes = content_.layout.size().value,
                    .verified_bytes = verified_bytes_,
                    .transferred = transferred_ || delivered_,
                    .completed = delivered_,
                    .digest = digest_ ? core::to_string(*digest_) : ""};
  if (!spec_.ranges.empty()) {
    const auto parts = core::clip(spec_.ranges, content_.layout.size());
    status.total_bytes = 0;
    if (parts) {
      for (const core::ByteSpan& part : *parts) status.total_bytes += part.end - part.begin;
    }
  }
  if (download_ != nullptr) status.verified_bytes = download_->verified_bytes(wanted_);
  const std::string where = download_ != nullptr ? download_->store_note() : store_note_;
  if (!where.empty()) status.note += (status.note.empty() ? "" : "; ") + where;
  status.peers_answer = peers_answer();
  if (ports_.swarm != nullptr && !core::peers_barrier(file_peers())) {
    for (const std::string& trouble : {ports_.swarm->trouble(), ports_.swarm->remark()}) {
      if (!trouble.empty()) status.note += (status.note.empty() ? "" : "; ") + trouble;
    }
    const UploadStatus upload = ports_.swarm->upload_status();
    if (upload.bar != UploadBar::none && upload.bar != UploadBar::switched) {
      status.note += (status.note.empty() ? "peers get nothing: " : "; peers get nothing: ");
      status.note += upload.reason;
    }
  }
  // Pieces reach beyond the ranges.
  status.verified_bytes =
      status.transferred ? status.total_bytes : std::min(status.verified_bytes, status.total_bytes);
  return status;
}

// How it was while there was something to fetch.
void Transfer::keep_answer() {
  core::PeersFacts facts = download_->peers_facts();
  facts.complete = false;
  last_answer_ = core::answer_peers(facts);
}

PeersAnswer Transfer::peers_answer() const {
  if (step_ == Step::attached || (step_ == Step::delivered && download_ != nullptr)) {
    return core::answer_peers(download_->peers_facts());
  }
  const bool in_use = step_ == Step::searching || step_ == Step::spooling;
  PeersAnswer answer = core::answer_peers({.file = file_peers(), .in_use = in_use});
  return answer.reason == PeersReason::idle && transferred_ ? last_answer_ : answer;
}

std::vector<SourceStats> Transfer::sources() const {
  std::vector<SourceStats> list = former_;
  if (spooling_ != nullptr) add_difference(list, {spooling_->source()}, {});
  if (download_ != nullptr) add_difference(list, download_->sources(), before_);
  return list;
}

void Transfer::add_to(Progress& progress) const {
  const FileStatus file = status();
  progress.files_total += 1;
  progress.files_transferred += file.transferred ? 1 : 0;
  progress.total_bytes += file.total_bytes;
  progress.total_known = progress.total_known && file.total_known;
  progress.verified_bytes += file.verified_bytes;
  const std::uint64_t cached = download_ != nullptr ? download_->cached_bytes() : cached_bytes_;
  if (!spooled_) progress.cached_bytes += std::min(file.total_bytes, cached);
  for (const SourceStats& source : sources()) {
    (source.kind == SourceKind::peer ? progress.peer_bytes : progress.origin_bytes) +=
        source.received_bytes;
    progress.wasted_bytes += source.wasted_bytes;
  }
  if (download_ != nullptr) progress.peers_connected += download_->peers_connected();
}

SwarmStats Transfer::swarm_stats() const {
  SwarmStats stats;
  stats.file_id = spec_.manifest ? core::to_hex(spec_.manifest->infohash) : spec_.id;
  stats.source_url = spec_.urls.empty() ? spec_.source : spec_.urls.front().url;
  stats.file_bytes = content_.layout.size().value;
  for (const SourceStats& source : sources()) add_source(stats, source);
  core::Duration duration = transferring_for_;
  if (transferring_since_ != core::Instant{}) duration += ports_.loop.now() - transferring_since_;
  stats.duration = std::chrono::duration_cast<std::chrono::milliseconds>(duration);
  const bool peers = ports_.swarm != nullptr && !core::peers_barrier(file_peers());
  stats.mode =
      peers || !core::rules_of(settings_.mode).peers ? settings_.mode : DownloadMode::cdn_only;
  if (download_ != nullptr) {
    stats.lan_connections = download_->peers_connected(PeerClass::lan);
    stats.group_connections = download_->peers_connected(PeerClass::group);
    stats.internet_connections = download_->peers_connected(PeerClass::other);
    stats.http_connections = download_->requests_in_flight();
    stats.status = transferred_ || delivered_ ? SwarmStatus::complete : SwarmStatus::downloading;
  }
  if (spooling_ != nullptr) {
    stats.http_connections = 1;
    stats.status = SwarmStatus::downloading;
  }
  stats.background = background_;
  return stats;
}

std::string Transfer::response_headers() const {
  if (download_ != nullptr) {
    if (std::string now = download_->response_headers(); !now.empty()) return now;
  }
  if (spooling_ != nullptr) return spooling_->response_headers();
  return client_ != nullptr ? client_->reply_headers() : headers_;
}

std::shared_ptr<ports::ContentStore> Transfer::store() const {
  return download_ != nullptr ? download_->store() : nullptr;
}

}  // namespace lanward::jobs
