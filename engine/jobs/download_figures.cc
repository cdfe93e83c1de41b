// What is told about a content on its way.
#include <algorithm>
#include <chrono>
#include <map>

#include "engine/jobs/download.h"
#include "engine/jobs/source_figures.h"

namespace lanward::jobs {

bool Download::has(const core::PieceSet& pieces) const {
  for (std::size_t i = 0; i < pieces.words().size(); ++i) {
    if ((pieces.words()[i] & ~verified_.words()[i]) != 0) return false;
  }
  return true;
}

std::uint64_t Download::verified_bytes(const core::PieceSet& pieces) const {
  std::uint64_t bytes = 0;
  for (auto p = verified_.next(core::PieceIndex{0}); p; p = verified_.next(*p + 1)) {
    if (pieces.contains(*p)) bytes += plan_.content.layout.size_of(*p);
  }
  return bytes;
}

std::uint32_t Download::peers_connected(std::optional<PeerClass> where) const {
  return static_cast<std::uint32_t>(
      std::count_if(sources_.begin(), sources_.end(), [&](const auto& entry) {
        return entry.second.joined && where.value_or(entry.second.where) == entry.second.where;
      }));
}

core::PeersFacts Download::peers_facts() const {
  core::PeersFacts facts{.file = plan_.peers_facts,
                         .in_use = phase_ != Phase::ended && phase_ != Phase::failed,
                         .joined = member_ != nullptr,
                         .complete = phase_ == Phase::transferred,
                         .connected = peers_connected()};
  if (ports_.swarm != nullptr) {
    facts.swarm = ports_.swarm->readiness();
    facts.trouble = ports_.swarm->trouble();
  }
  if (member_ != nullptr) {
    facts.looking =
        std::chrono::duration_cast<std::chrono::seconds>(ports_.loop.now() - joined_at_);
    facts.view = member_->view();
  }
  return facts;
}

std::string Download::response_headers() const {
  return client_ != nullptr ? client_->reply_headers() : last_headers_;
}

void Download::add_present_sources(std::vector<SourceStats>& list) const {
  std::map<core::SourceId, ports::SourceLedger> given;
  if (store_ != nullptr) {
    for (const ports::SourceLedger& entry : store_->ledger()) given[entry.source] = entry;
  }
  for (const auto& [id, record] : sources_) {
    const SourceKind kind = core::is_peer(id) ? SourceKind::peer : SourceKind::origin;
    SourceStats& stats = entry_of(list, {.kind = kind, .name = record.name, .where = record.where});
    const std::size_t n = id.value - core::kFirstPeerSource;
    const core::PeerProgressed swarm =
        core::is_peer(id) && n < totals_.size() ? totals_[n] : core::PeerProgressed{};
    stats.received_bytes += given[id].received.value + swarm.wasted.value;
    stats.wasted_bytes += given[id].wasted.value + swarm.wasted.value;
    stats.served_bytes += swarm.served.value;
    stats.banned = stats.banned || record.banned;
  }
}

std::vector<SourceStats> Download::sources() const {
  std::vector<SourceStats> list = former_sources_;
  add_present_sources(list);
  return list;
}

}  // namespace lanward::jobs
