#include "engine/jobs/transfer.h"

#include <algorithm>
#include <cassert>
#include <utility>
#include <variant>

#include "engine/core/byte_ranges.h"
#include "engine/core/header_rules.h"
#include "engine/core/metainfo.h"
#include "engine/core/overloaded.h"

namespace lanward::jobs {
namespace {

// A step of the search asks for one thing; one that asks for more than this is spinning.
constexpr std::size_t kSearchCommandsPerStepMax = 16;

std::string hex(const core::Digest& digest, std::size_t bytes) {
  constexpr const char* kHex = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < bytes; ++i) {
    text += kHex[digest[i] >> 4U];
    text += kHex[digest[i] & 15U];
  }
  return text;
}

core::PieceSet all_of(const core::PieceLayout& layout) {
  core::PieceSet set(layout.piece_count());
  for (core::PieceIndex p{0}; p < layout.all().end; p = p + 1) set.insert(p);
  return set;
}

SourceStats& entry_of(std::vector<SourceStats>& list, const SourceStats& like) {
  const auto known = std::find_if(list.begin(), list.end(), [&](const SourceStats& s) {
    return s.kind == like.kind && s.name == like.name;
  });
  return known != list.end() ? *known
                             : list.emplace_back(SourceStats{.kind = like.kind, .name = like.name});
}

// Adds what `now` has beyond `before`. A download that was made anew has less.
void add_difference(std::vector<SourceStats>& sum, const std::vector<SourceStats>& now,
                    std::vector<SourceStats> before) {
  const auto beyond = [](std::uint64_t a, std::uint64_t b) { return a - std::min(a, b); };
  for (const SourceStats& source : now) {
    SourceStats& total = entry_of(sum, source);
    const SourceStats& old = entry_of(before, source);
    total.received_bytes += beyond(source.received_bytes, old.received_bytes);
    total.wasted_bytes += beyond(source.wasted_bytes, old.wasted_bytes);
    total.served_bytes += beyond(source.served_bytes, old.served_bytes);
    total.banned = total.banned || source.banned;
  }
}

}  // namespace

Transfer::Transfer(const Ports& ports, const EngineSettings& settings, ContentTable& table,
                   FileSpec spec, core::Seed seed, std::function<void()> on_change)
    : ports_(ports),
      settings_(settings),
      table_(table),
      spec_(std::move(spec)),
      seed_(seed),
      on_change_(std::move(on_change)),
      timer_(ports_.loop.make_timer([this] { drive_search(); })) {
  if (!spec_.manifest) return;
  content_ = spec_.manifest->content;
  integrity_ = Integrity::manifest;
  know_content();
}

Transfer::~Transfer() {
  life_.reset();
  run_.reset();
  client_.reset();
  if (download_ != nullptr) download_->leave(*this, false, [] {});
  release();
}

void Transfer::restore(const ports::FileRecord& record) {
  transferred_ = record.transferred;
  delivered_ = record.completed;
  if (delivered_) step_ = Step::delivered;
  if (!content_known_ && record.content != core::Digest{}) {
    // Not enough to fetch by, but to find it in the cache.
    content_.id = record.content;
    content_.layout = core::PieceLayout(core::ByteCount{record.size_bytes},
                                        std::max(record.piece_bytes, core::kBlockBytes));
    integrity_ = Integrity::transport;
    know_content();
  }
  if (delivered_) release();
  if (transferred_ || delivered_) verified_bytes_ = status().total_bytes;
}

void Transfer::record(ports::FileRecord& record) const {
  if (content_known_) {
    record.content = content_.id;
    record.size_bytes = content_.layout.size().value;
    record.piece_bytes = content_.layout.piece_bytes();
  }
  record.transferred = transferred_;
  record.completed = delivered_;
}

// ---- what it is --------------------------------------------------------------------------------

void Transfer::start(const FetchSettings& how) {
  assert(step_ == Step::idle || step_ == Step::failed);
  error_.reset();
  origin_ = how.origin;
  policy_ = how.policy;
  for (const std::string& url : spec_.urls) origin_.header_hosts.push_back(core::header_host(url));
  if (!spec_.manifest_url.empty())
    origin_.header_hosts.push_back(core::header_host(spec_.manifest_url));
  run_ = std::make_shared<char>();
  // What is all there need not be asked for again.
  if (spec_.manifest || (transferred_ && content_known_)) return join_download();
  client_ = ports_.origins.connect(fact_sink(), origin_);
  search_ = std::make_unique<core::ManifestSearch>(
      core::ManifestSearchOptions{
          .urls = spec_.urls, .manifest_url = spec_.manifest_url, .policy = policy_},
      ports_.sha256, seed_, ports_.loop.now());
  step_ = Step::searching;
  changed();
  drive_search();
}

void Transfer::drive_search() {
  if (search_ == nullptr) return;
  const core::Instant now = ports_.loop.now();
  search_->handle(core::Tick{}, now);
  for (std::size_t n = 0; auto command = search_->poll_command(now); ++n) {
    if (n == kSearchCommandsPerStepMax) {
      return fail_with({ErrorCode::internal,
                        "the search for the manifest asks for more than a step can need; please "
                        "report it"});
    }
    std::visit(core::Overloaded{
                   [&](const core::ProbeUrl& c) { client_->probe(c.request, c.url); },
                   [&](const core::FetchDocument& c) {
                     client_->fetch_document(c.request, c.url,
                                             core::ByteCount{core::kMetainfoBytesMax});
                   },
               },
               *command);
  }
  if (search_->outcome()) {
    Result<core::SearchResult> outcome = *search_->outcome();
    if (!outcome) return fail_with(outcome.error());
    return found(std::move(*outcome));
  }
  if (error_ != search_->waiting_for()) {
    error_ = search_->waiting_for();
    changed();
  }
  if (const auto at = search_->next_wakeup()) timer_->arm(*at);
}

void Transfer::found(core::SearchResult result) {
  search_.reset();
  client_.reset();
  timer_->disarm();
  if (!result.manifest && spec_.integrity_mandatory) {
    return fail_with(
        {ErrorCode::manifest_missing,
         spec_.source + ": integrity is mandatory and there is no manifest (" + result.note + ")"});
  }
  const core::Digest former = content_.id;
  const bool another = content_known_ && former != result.content.id;
  if (another) {
    release();
    if (!table_.referred(former)) table_.forget(ports_, former, [] {});
    transferred_ = false;
  }
  content_ = std::move(result.content);
  note_ = std::move(result.note);
  validated_url_ = result.probed_url;
  validator_ =
      result.origin.strong_etag.empty() ? result.origin.last_modified : result.origin.strong_etag;
  integrity_ = result.manifest ? Integrity::manifest : Integrity::transport;
  spec_.urls = std::move(result.urls);
  spec_.manifest = std::move(result.manifest);
  know_content();
  join_download();
}

void Transfer::know_content() {
  content_known_ = true;
  refer();
}

Result<void> Transfer::resolve_ranges() {
  parts_.clear();
  wanted_ = all_of(content_.layout);
  if (spec_.ranges.empty()) return {};
  auto parts = core::clip(spec_.ranges, content_.layout.size());
  if (!parts) {
    return fail(parts.error().code, spec_.source + ": " + parts.error().message);
  }
  parts_ = std::move(*parts);
  wanted_ = core::pieces_of(parts_, content_.layout);
  return {};
}

void Transfer::join_download() {
  if (auto resolved = resolve_ranges(); !resolved) return fail_with(resolved.error());
  name_destination();
  const Download::Plan plan{.content = content_,
                            .manifest = spec_.manifest,
                            .urls = spec_.urls,
                            .validated_url = validated_url_,
                            .validator = validator_,
                            .peers = spec_.peers,
                            .trackers = spec_.trackers,
                            // Without validator nothing can be added.
                            .use_origin = spec_.use_origin && (spec_.manifest || !transferred_),
                            .use_peers = spec_.use_peers,
                            .wanted = wanted_,
                            .origin = origin_,
                            .policy = policy_,
                            .name = spec_.source};
  download_ = &table_.download(
      content_.id, [&] { return std::make_unique<Download>(ports_, table_, plan, seed_); });
  before_ = download_->sources();
  step_ = Step::attached;
  download_->join(*this, plan);
  changed();
}

void Transfer::name_destination() {
  if (!spec_.destination.ends_with('/')) return;
  std::string name = spec_.manifest ? spec_.manifest->name : std::string();
  spec_.destination += name.empty() ? hex(content_.id, 8) : name;
}

// ---- facts -------------------------------------------------------------------------------------

ports::FactSink Transfer::fact_sink() {
  return [this, &loop = ports_.loop, run = std::weak_ptr<char>(run_)](core::Event event) {
    loop.post([this, run, event = std::move(event)] {
      if (run.expired() || search_ == nullptr) return;
      search_->handle(event, ports_.loop.now());
      drive_search();
    });
  };
}

ports::Task Transfer::on_loop(ports::Task task) {
  return
      [&loop = ports_.loop, life = std::weak_ptr<char>(life_), task = std::move(task)]() mutable {
        loop.post([life, task = std::move(task)]() mutable {
          if (!life.expired()) task();
        });
      };
}

void Transfer::download_changed() {
  if (step_ != Step::attached) return;
  const auto phase = download_->phase();
  if (phase == Download::Phase::failed) return fail_with(*download_->error());
  if (phase == Download::Phase::transferring || phase == Download::Phase::transferred) {
    if (transferring_since_ == core::Instant{}) transferring_since_ = ports_.loop.now();
    transferred_ = download_->has(wanted_);
    if (transferred_ && deliver_) deliver_now();
  }
  on_change_();
}

// ---- ends --------------------------------------------------------------------------------------

void Transfer::fail_with(Error error) {
  error_ = std::move(error);
  search_.reset();
  client_.reset();
  timer_->disarm();
  run_.reset();
  if (auto done = std::exchange(deliver_, {})) done(tl::unexpected(*error_));
  if (download_ != nullptr) return leave(Step::failed, false, [] {});
  step_ = Step::failed;
  changed();
}

void Transfer::leave(Step after, bool purge, ports::Task done) {
  stopped_.push_back(std::move(done));
  after_stop_ = after;
  if (step_ == Step::stopping) return;
  step_ = Step::stopping;
  download_->leave(*this, purge, [this, life = std::weak_ptr<char>(life_)] {
    if (life.expired()) return;
    // The download is there until this returns.
    add_difference(former_, download_->sources(), before_);
    verified_bytes_ = download_->verified_bytes(wanted_);
    cached_bytes_ = std::max(cached_bytes_, download_->cached_bytes());
    if (transferring_since_ != core::Instant{}) {
      transferring_for_ += ports_.loop.now() - std::exchange(transferring_since_, {});
    }
    headers_ = download_->response_headers();
    download_ = nullptr;
    step_ = after_stop_;
    changed();
    for (ports::Task& task : std::exchange(stopped_, {})) task();
  });
}

void Transfer::stop(ports::Task done) { end(false, std::move(done)); }

void Transfer::end(bool purge, ports::Task done) {
  if (auto pending = std::exchange(deliver_, {})) {
    pending(fail(ErrorCode::cancelled, "the delivery was stopped"));
  }
  if (step_ == Step::searching) {
    search_.reset();
    client_.reset();
    timer_->disarm();
    run_.reset();
    error_.reset();
    step_ = Step::idle;
    changed();
  }
  if (purging_) {
    stopped_.push_back(std::move(done));
    return;
  }
  if (download_ == nullptr) return done();
  if (step_ == Step::attached) error_.reset();
  const Step after = delivered_                ? Step::delivered
                     : step_ == Step::stopping ? after_stop_
                                               : Step::idle;
  leave(after, purge, std::move(done));
}

void Transfer::purge(ports::Task done) {
  release();
  if (ticket_ != nullptr) (void)ticket_->revoke();
  // What was delivered is the cache's, like any other content.
  end(!delivered_, [this, done = std::move(done)]() mutable { finish_purge(std::move(done)); });
}

void Transfer::finish_purge(ports::Task done) {
  verified_bytes_ = 0;
  if (!content_known_ || delivered_) return done();
  purging_ = true;
  auto sweep = [this, done = std::move(done)]() mutable {
    auto swept = on_loop([this, done = std::move(done)]() mutable {
      purging_ = false;
      done();
      for (ports::Task& task : std::exchange(stopped_, {})) task();
    });
    ports_.store.sweep(spec_.destination, content_.id,
                       [swept = std::move(swept)](const Result<void>&) mutable { swept(); });
  };
  if (table_.referred(content_.id) || table_.is_open(content_.id)) return sweep();
  table_.forget(ports_, content_.id, on_loop(std::move(sweep)));
}

void Transfer::deliver(const FetchSettings& how, ports::MoveFunction<void(Result<void>)> done) {
  assert(transferred_ && !delivered_ && !deliver_);
  deliver_ = std::move(done);
  if (step_ == Step::attached) return download_changed();
  if (step_ == Step::idle || step_ == Step::failed) return start(how);
  // stopping: a call that comes between two others finds it idle soon enough.
  auto refused = std::exchange(deliver_, {});
  refused(fail(ErrorCode::invalid_state, spec_.source + ": the transfer is just being stopped"));
}

void Transfer::deliver_now() {
  ticket_ = std::make_shared<ports::DeliveryTicket>();
  auto delivered = [this, done = std::exchange(deliver_, {})](Result<void> result) mutable {
    ticket_.reset();
    if (!result) return done(std::move(result));
    delivered_ = true;
    release();
    const bool share = spec_.share_after_complete;
    step_ = step_ == Step::stopping ? step_ : Step::delivered;
    after_stop_ = Step::delivered;
    changed();
    if (share || download_ == nullptr || step_ == Step::stopping) return done({});
    leave(Step::delivered, false, [done = std::move(done)]() mutable { done({}); });
  };
  download_->deliver(*this,
                     {.destination = spec_.destination,
                      .parts = parts_,
                      .give = !settings_.keep_delivered,
                      .share = spec_.share_after_complete,
                      .ticket = ticket_},
                     std::move(delivered));
}

void Transfer::set_source(const std::string& url) {
  const auto old = std::find(spec_.urls.begin(), spec_.urls.end(), spec_.source);
  if (old != spec_.urls.end()) {
    *old = url;
  } else {
    spec_.urls.insert(spec_.urls.begin(), url);
  }
  spec_.source = url;
  // Without a manifest the identity is the URL's: it is found out anew.
}

void Transfer::set_background(bool background) {
  background_ = background;
  if (step_ == Step::attached) download_->priority_changed();
}

void Transfer::refer() {
  if (std::exchange(referring_, true)) return;
  table_.refer(content_.id);
}

void Transfer::release() {
  if (std::exchange(referring_, false)) table_.release(content_.id);
}

void Transfer::changed() {
  on_loop([this] { on_change_(); })();
}

// ---- figures -----------------------------------------------------------------------------------

Transfer::Phase Transfer::phase() const {
  switch (step_) {
    case Step::idle:
      return Phase::idle;
    case Step::searching:
      return Phase::searching;
    case Step::delivered:
      return Phase::delivered;
    case Step::failed:
      return Phase::failed;
    case Step::stopping:
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
                    .completed = delivered_};
  if (!spec_.ranges.empty()) {
    const auto parts = core::clip(spec_.ranges, content_.layout.size());
    status.total_bytes = 0;
    if (parts) {
      for (const core::ByteSpan& part : *parts) status.total_bytes += part.end - part.begin;
    }
  }
  if (download_ != nullptr) status.verified_bytes = download_->verified_bytes(wanted_);
  // Pieces reach beyond the ranges.
  status.verified_bytes =
      status.transferred ? status.total_bytes : std::min(status.verified_bytes, status.total_bytes);
  return status;
}

std::vector<SourceStats> Transfer::sources() const {
  std::vector<SourceStats> list = former_;
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
  progress.cached_bytes +=
      std::min(file.total_bytes, download_ != nullptr ? download_->cached_bytes() : cached_bytes_);
  for (const SourceStats& source : sources()) {
    (source.kind == SourceKind::peer ? progress.peer_bytes : progress.origin_bytes) +=
        source.received_bytes;
    progress.wasted_bytes += source.wasted_bytes;
  }
  if (download_ != nullptr) progress.peers_connected += download_->peers_connected();
}

SwarmStats Transfer::swarm_stats() const {
  SwarmStats stats;
  stats.file_id = spec_.manifest ? hex(spec_.manifest->infohash, 32) : spec_.id;
  stats.source_url = spec_.urls.empty() ? spec_.source : spec_.urls.front();
  stats.file_bytes = content_.layout.size().value;
  for (const SourceStats& source : sources()) {
    const bool peer = source.kind == SourceKind::peer;
    (peer ? stats.from_lan_peers_bytes : stats.from_http_bytes) += source.received_bytes;
    stats.downloaded_bytes += source.received_bytes;
    stats.to_lan_peers_bytes += source.served_bytes;
  }
  core::Duration duration = transferring_for_;
  if (transferring_since_ != core::Instant{}) duration += ports_.loop.now() - transferring_since_;
  stats.duration = std::chrono::duration_cast<std::chrono::milliseconds>(duration);
  stats.mode = spec_.use_peers && ports_.swarm != nullptr && spec_.manifest
                   ? DownloadMode::lan
                   : DownloadMode::cdn_only;
  if (download_ != nullptr) {
    stats.lan_connections = download_->peers_connected();
    stats.http_connections = download_->requests_in_flight();
    stats.status = transferred_ || delivered_ ? SwarmStatus::complete : SwarmStatus::downloading;
  }
  stats.background = background_;
  return stats;
}

std::string Transfer::response_headers() const {
  if (download_ != nullptr) {
    if (std::string now = download_->response_headers(); !now.empty()) return now;
  }
  return client_ != nullptr ? client_->reply_headers() : headers_;
}

std::shared_ptr<ports::ContentStore> Transfer::store() const {
  return download_ != nullptr ? download_->store() : nullptr;
}

}  // namespace lanward::jobs
