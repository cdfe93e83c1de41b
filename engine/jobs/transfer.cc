#include "engine/jobs/transfer.h"

#include <algorithm>
#include <cassert>
#include <utility>
#include <variant>

#include "engine/core/metainfo.h"
#include "engine/core/overloaded.h"

namespace lanward::jobs {
namespace {

// A step of the core that asks for more than this is spinning: a range per piece of the longest
// file that a manifest may describe would still fit.
constexpr std::size_t kCommandsPerStepMax = std::size_t{1} << 26U;

Error endless_commands() {
  return {ErrorCode::internal,
          "the scheduler asks for more than a step can need; please report it"};
}

// Origins used at once or as fall-backs: what a manifest and a command line may reasonably list.
constexpr std::size_t kOriginsMax = 64;

std::string hex_prefix(const core::Digest& digest) {
  constexpr const char* kHex = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < 8; ++i) {
    text += kHex[digest[i] >> 4U];
    text += kHex[digest[i] & 15U];
  }
  return text;
}

}  // namespace

Transfer::Transfer(const Ports& ports, const EngineSettings& settings, FileSpec spec,
                   core::Seed seed, std::function<void()> on_change)
    : ports_(ports),
      settings_(settings),
      spec_(std::move(spec)),
      seed_(seed),
      on_change_(std::move(on_change)),
      timer_(ports_.loop.make_timer([this] { on_fact(core::Tick{}); })) {}

Transfer::~Transfer() {
  life_.reset();
  run_.reset();
  client_.reset();
  member_.reset();
  if (store_ != nullptr) ports_.store.close(store_, [](const Result<void>&) {});
}

// ---- life --------------------------------------------------------------------------------------

void Transfer::start() {
  assert(phase_ == Phase::idle || phase_ == Phase::failed);
  set_error(std::nullopt);
  run_ = std::make_shared<char>();
  client_ = ports_.origins.connect(fact_sink());
  if (spec_.manifest) {
    content_ = spec_.manifest->content;
    integrity_ = Integrity::manifest;
    return open_content();
  }
  search_ = std::make_unique<core::ManifestSearch>(
      core::ManifestSearchOptions{
          .urls = spec_.urls, .manifest_url = spec_.manifest_url, .policy = settings_.policy},
      ports_.sha256, seed_, ports_.loop.now());
  enter(Phase::searching);
  drive();
}

void Transfer::found(core::SearchResult result) {
  content_ = std::move(result.content);
  note_ = std::move(result.note);
  validated_url_ = result.probed_url;
  validator_ =
      result.origin.strong_etag.empty() ? result.origin.last_modified : result.origin.strong_etag;
  integrity_ = result.manifest ? Integrity::manifest : Integrity::transport;
  spec_.urls = std::move(result.urls);
  spec_.manifest = std::move(result.manifest);
  open_content();
}

void Transfer::open_content() {
  search_.reset();
  opening_ = true;
  enter(Phase::opening);
  ports_.store.open(content_, fact_sink(),
                    [this, &loop = ports_.loop, life = std::weak_ptr<char>(life_),
                     &store = ports_.store](Result<std::shared_ptr<ports::ContentStore>> opened) {
                      loop.post([this, life, &store, opened = std::move(opened)]() mutable {
                        if (!life.expired()) return on_opened(std::move(opened));
                        if (opened) store.close(*opened, [](const Result<void>&) {});
                      });
                    });
}

void Transfer::on_opened(Result<std::shared_ptr<ports::ContentStore>> opened) {
  opening_ = false;
  if (opened) {
    store_ = std::move(*opened);
    may_have_pieces_ = true;
  }
  if (phase_ == Phase::stopping) return release_content();
  if (!opened) return fail_with(opened.error());
  begin_transfer();
}

void Transfer::begin_transfer() {
  const core::PieceSet have = store_->verified();
  verified_bytes_ = 0;
  for (auto p = have.next(core::PieceIndex{0}); p; p = have.next(*p + 1)) {
    verified_bytes_ += content_.layout.size_of(*p);
  }
  if (!std::exchange(cache_counted_, true)) cached_bytes_ = verified_bytes_;
  name_destination();

  if (spec_.use_origin && spec_.manifest) {
    for (const std::string& seed : spec_.manifest->web_seeds) {
      const bool known = std::find(spec_.urls.begin(), spec_.urls.end(), seed) != spec_.urls.end();
      if (!known && spec_.urls.size() < kOriginsMax) spec_.urls.push_back(seed);
    }
  }
  const bool peers = spec_.use_peers && ports_.swarm != nullptr && spec_.manifest &&
                     content_.layout.piece_count() > 0;
  core::SchedulerOptions options{.policy = settings_.policy,
                                 .have = have,
                                 .origins = {},
                                 .peers_possible = peers,
                                 .peers_expected = peers && !spec_.peers.empty()};
  if (spec_.use_origin) options.origins = spec_.urls;
  if (options.origins.empty() && !peers && !have.full()) {
    return fail_with({ErrorCode::invalid_argument,
                      spec_.source + ": there is no origin and no peer to fetch from"});
  }
  for (std::uint32_t i = 0; i < options.origins.size(); ++i) {
    sources_[core::SourceId{i}].name = options.origins[i];
  }
  if (peers) {
    member_ = ports_.swarm->join({.manifest = *spec_.manifest,
                                  .store = store_,
                                  .peers = spec_.peers,
                                  .trackers = spec_.trackers},
                                 fact_sink());
  }
  scheduler_ =
      std::make_unique<core::Scheduler>(content_, std::move(options), seed_, ports_.loop.now());
  enter(Phase::transferring);
  drive();
}

void Transfer::name_destination() {
  if (!spec_.destination.ends_with('/')) return;
  std::string name = spec_.manifest ? spec_.manifest->name : std::string();
  spec_.destination += name.empty() ? hex_prefix(content_.id) : name;
}

// ---- facts and commands ------------------------------------------------------------------------

ports::FactSink Transfer::fact_sink() {
  return [this, &loop = ports_.loop, run = std::weak_ptr<char>(run_)](core::Event event) {
    loop.post([this, run, event = std::move(event)] {
      if (!run.expired()) on_fact(event);
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

void Transfer::on_fact(const core::Event& event) {
  note(event);
  const core::Instant now = ports_.loop.now();
  if (search_ != nullptr) search_->handle(event, now);
  if (phase_ == Phase::transferring) scheduler_->handle(event, now);
  drive();
}

// What is shown to people, and the one fixed route: a verified piece is offered to peers.
void Transfer::note(const core::Event& event) {
  std::visit(core::Overloaded{
                 [&](const core::PieceVerified& f) {
                   verified_bytes_ += content_.layout.size_of(f.piece);
                   if (member_ != nullptr) member_->announce(f.piece);
                 },
                 [&](const core::PeerJoined& f) {
                   SourceRecord& peer = sources_[f.peer];
                   peer.name = f.address;
                   peer.joined = true;
                 },
                 [&](const core::PeerProgressed& f) { sources_[f.peer].swarm = f; },
                 [&](const core::PeerLeft& f) { sources_[f.peer].joined = false; },
                 [](const auto&) {},
             },
             event);
}

void Transfer::drive() {
  const core::Instant now = ports_.loop.now();
  if (search_ != nullptr) return drive_search(now);
  if (phase_ == Phase::transferring) drive_scheduler(now);
}

void Transfer::drive_search(core::Instant now) {
  for (std::size_t n = 0; auto command = search_->poll_command(now); ++n) {
    if (n == kCommandsPerStepMax) return fail_with(endless_commands());
    execute(*command);
  }
  if (search_->outcome()) {
    Result<core::SearchResult> outcome = *search_->outcome();
    search_.reset();
    if (!outcome) return fail_with(outcome.error());
    return found(std::move(*outcome));
  }
  set_error(search_->waiting_for());
  if (const auto at = search_->next_wakeup()) timer_->arm(*at);
}

void Transfer::drive_scheduler(core::Instant now) {
  for (std::size_t n = 0; auto command = scheduler_->poll_command(now); ++n) {
    if (n == kCommandsPerStepMax) return fail_with(endless_commands());
    execute(*command);
    if (phase_ != Phase::transferring) return;  // it gave up
  }
  if (scheduler_->complete()) {
    timer_->disarm();
    client_.reset();
    set_error(std::nullopt);
    return enter(Phase::transferred);
  }
  if (const auto at = scheduler_->next_wakeup()) timer_->arm(*at);
}

void Transfer::execute(const core::SearchCommand& command) {
  std::visit(core::Overloaded{
                 [&](const core::ProbeUrl& c) { client_->probe(c.request, c.url); },
                 [&](const core::FetchDocument& c) {
                   client_->fetch_document(c.request, c.url,
                                           core::ByteCount{core::kMetainfoBytesMax});
                 },
             },
             command);
}

void Transfer::execute(const core::Command& command) {
  std::visit(core::Overloaded{
                 [&](const core::FetchRange& c) { fetch_range(c); },
                 [&](const core::CancelRequest& c) { client_->cancel(c.request); },
                 [&](const core::AllowFromPeers& c) {
                   if (member_ != nullptr) member_->allow(c.pieces);
                 },
                 [&](const core::ReserveForOrigin& c) {
                   if (member_ != nullptr) member_->reserve(c.pieces);
                 },
                 [&](const core::BanSource& c) {
                   sources_[c.source].banned = true;
                   if (core::is_peer(c.source) && member_ != nullptr) member_->ban(c.source);
                 },
                 [&](const core::SendMessage& c) {
                   if (member_ != nullptr) member_->send(c.to, c.message);
                 },
                 [&](const core::ConnectPeer& c) {
                   if (member_ != nullptr) member_->connect(c.endpoint);
                 },
                 [&](const core::GiveUp& c) { fail_with(c.error); },
                 [&](const core::ReportTransient& c) { set_error(c.error); },
                 [&](const core::ClearTransient&) { set_error(std::nullopt); },
             },
             command);
}

void Transfer::fetch_range(const core::FetchRange& command) {
  const std::string& url = sources_[command.origin].name;
  // The client outlives its requests and every sink dies before the client does.
  ports::OriginClient* const client = client_.get();
  std::unique_ptr<ports::RangeSink> sink =
      store_->open_range(command.origin, command.span,
                         [client, request = command.request] { client->continue_range(request); });
  client_->fetch_range(command.request,
                       {.url = url,
                        .span = command.span,
                        .total = content_.layout.size(),
                        .validator = url == validated_url_ ? validator_ : std::string(),
                        .whole_file = command.whole_file},
                       std::move(sink));
}

// ---- ends --------------------------------------------------------------------------------------

void Transfer::deliver(ports::MoveFunction<void(Result<void>)> done) {
  assert(phase_ == Phase::transferred);
  const bool share = spec_.share_after_complete && member_ != nullptr;
  const auto how = settings_.keep_delivered ? ports::Delivery::keep
                   : share                  ? ports::Delivery::share
                                            : ports::Delivery::consume;
  auto delivered = [this, share, how, done = std::move(done)](Result<void> result) mutable {
    if (!result) return done(std::move(result));
    enter(Phase::delivered);
    if (how != ports::Delivery::keep) may_have_pieces_ = false;  // gone, now or at the close
    if (how == ports::Delivery::consume) {
      fold_ledger();
      store_.reset();
    }
    if (share) return done({});
    stop(false, [done = std::move(done)]() mutable { done({}); });
  };
  auto hand_over = [this, how, delivered = std::move(delivered)]() mutable {
    ports_.store.deliver(
        store_, spec_.destination, how,
        [&loop = ports_.loop, life = std::weak_ptr<char>(life_),
         delivered = std::move(delivered)](Result<void> result) mutable {
          loop.post([life, result = std::move(result), delivered = std::move(delivered)]() mutable {
            if (!life.expired()) delivered(std::move(result));
          });
        });
  };
  // A file that is given away must not be read for peers any more.
  if (how == ports::Delivery::consume) return leave_swarm(std::move(hand_over));
  hand_over();
}

void Transfer::stop(bool purge, ports::Task done) {
  stopped_.push_back(std::move(done));
  purge_ = purge_ || purge;
  if (phase_ == Phase::stopping) return;
  halt(phase_ == Phase::delivered || phase_ == Phase::failed ? phase_ : Phase::idle);
}

void Transfer::fail_with(Error error) {
  error_ = std::move(error);
  halt(Phase::failed);
}

void Transfer::halt(Phase after) {
  after_stop_ = after;
  run_.reset();
  client_.reset();
  search_.reset();
  timer_->disarm();
  phase_ = Phase::stopping;
  leave_swarm([this] { release_content(); });
}

void Transfer::leave_swarm(ports::Task then) {
  for (auto& [id, record] : sources_) record.joined = false;
  if (member_ == nullptr) return then();
  ports::SwarmMember* const member = member_.get();
  member->leave(on_loop([this, then = std::move(then)]() mutable {
    member_.reset();
    then();
  }));
}

void Transfer::release_content() {
  if (opening_) return;  // on_opened comes back here
  if (store_ == nullptr && purge_ && may_have_pieces_) {
    run_ = std::make_shared<char>();
    opening_ = true;
    const ports::FactSink nobody = [](const core::Event&) {};
    may_have_pieces_ = false;  // one try: what cannot be opened cannot be purged either
    ports_.store.open(content_, nobody,
                      [this, &loop = ports_.loop, life = std::weak_ptr<char>(life_)](
                          Result<std::shared_ptr<ports::ContentStore>> opened) {
                        loop.post([this, life, opened = std::move(opened)]() mutable {
                          if (!life.expired()) on_opened(std::move(opened));
                        });
                      });
    return;
  }
  if (store_ == nullptr) return finish_stop();
  // Closing decides what becomes of unfinished pieces: only then the figures are final.
  auto released = [task = on_loop([this] {
                     fold_ledger();
                     store_.reset();
                     finish_stop();
                   })](const Result<void>&) mutable { task(); };
  if (purge_) {
    may_have_pieces_ = false;
    ports_.store.purge(store_, std::move(released));
  } else {
    ports_.store.close(store_, std::move(released));
  }
}

void Transfer::finish_stop() {
  if (purge_ && may_have_pieces_) return release_content();  // asked for while it was closing
  run_.reset();
  scheduler_.reset();
  if (std::exchange(purge_, false)) verified_bytes_ = 0;
  enter(after_stop_);
  for (ports::Task& task : std::exchange(stopped_, {})) task();
}

// The ids of the sources end with the opening of the content; their figures do not.
void Transfer::fold_ledger() {
  add_present_sources(former_sources_);
  sources_.clear();
}

void Transfer::set_error(std::optional<Error> error) {
  if (error_ == error) return;
  error_ = std::move(error);
  on_loop([this] { on_change_(); })();
}

void Transfer::enter(Phase phase) {
  phase_ = phase;
  on_loop([this] { on_change_(); })();
}

// ---- figures -----------------------------------------------------------------------------------

FileStatus Transfer::status() const {
  const bool complete = phase_ == Phase::transferred || phase_ == Phase::delivered;
  return FileStatus{.source = spec_.source,
                    .destination = spec_.destination,
                    .integrity = integrity_,
                    .note = note_,
                    .total_bytes = content_.layout.size().value,
                    .verified_bytes = verified_bytes_,
                    .transferred = complete,
                    .completed = phase_ == Phase::delivered};
}

void Transfer::add_present_sources(std::vector<SourceStats>& list) const {
  std::map<core::SourceId, ports::SourceLedger> given;
  if (store_ != nullptr) {
    for (const ports::SourceLedger& entry : store_->ledger()) given[entry.source] = entry;
  }
  for (const auto& [id, record] : sources_) {
    const SourceKind kind = core::is_peer(id) ? SourceKind::peer : SourceKind::origin;
    const std::string& name = record.name;
    const auto known = std::find_if(list.begin(), list.end(), [&](const SourceStats& s) {
      return s.kind == kind && s.name == name;
    });
    SourceStats& stats = known != list.end()
                             ? *known
                             : list.emplace_back(SourceStats{.kind = kind, .name = record.name});
    stats.received_bytes += given[id].received.value + record.swarm.wasted.value;
    stats.wasted_bytes += given[id].wasted.value + record.swarm.wasted.value;
    stats.served_bytes += record.swarm.served.value;
    stats.banned = stats.banned || record.banned;
  }
}

std::vector<SourceStats> Transfer::sources() const {
  std::vector<SourceStats> list = former_sources_;
  add_present_sources(list);
  return list;
}

void Transfer::add_to(Progress& progress) const {
  progress.files_total += 1;
  progress.files_transferred += phase_ == Phase::transferred || phase_ == Phase::delivered ? 1 : 0;
  progress.total_bytes += content_.layout.size().value;
  progress.total_known = progress.total_known && integrity_ != Integrity::unknown;
  progress.verified_bytes += verified_bytes_;
  progress.cached_bytes += cached_bytes_;
  for (const SourceStats& source : sources()) {
    (source.kind == SourceKind::peer ? progress.peer_bytes : progress.origin_bytes) +=
        source.received_bytes;
    progress.wasted_bytes += source.wasted_bytes;
  }
  for (const auto& [id, record] : sources_) progress.peers_connected += record.joined ? 1 : 0;
}

}  // namespace lanward::jobs
