#include "engine/jobs/download.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <utility>
#include <variant>

#include "engine/core/cache_rules.h"
#include "engine/core/cache_url.h"
#include "engine/core/overloaded.h"
#include "engine/jobs/source_figures.h"

namespace lanward::jobs {
namespace {

// A step of the core that asks for more than this is spinning: a range per piece of the longest
// file that a manifest may describe would still fit.
constexpr std::size_t kCommandsPerStepMax = std::size_t{1} << 26U;

// Origins used at once or as fall-backs: what a manifest and a command line may reasonably list.
constexpr std::size_t kOriginsMax = 64;

// What is wanted or there already: the scheduler need not fetch anything else.
core::PieceSet not_to_fetch(const core::PieceSet& have, const core::PieceSet& wanted) {
  core::PieceSet set = have;
  for (auto p = wanted.next_missing(core::PieceIndex{0}); p; p = wanted.next_missing(*p + 1)) {
    set.insert(*p);
  }
  return set;
}

// True if that changed `set`.
bool unite(core::PieceSet& set, const core::PieceSet& more) {
  bool grown = false;
  for (auto p = more.next(core::PieceIndex{0}); p; p = more.next(*p + 1)) {
    grown = set.insert(*p) || grown;
  }
  return grown;
}

}  // namespace

Download::Download(const Ports& ports, OriginControl& control, ContentTable& table, Plan plan,
                   core::Seed seed)
    : ports_(ports),
      control_(control),
      table_(table),
      plan_(std::move(plan)),
      seed_(seed),
      verified_(plan_.content.layout.piece_count()),
      timer_(ports_.loop.make_timer([this] { on_timer(); })) {}

Download::~Download() {
  life_.reset();
  run_.reset();
  drop_client();
  member_.reset();
  if (store_ != nullptr) ports_.store.close(store_, [](const Result<void>&) {});
}

// ---- holders -----------------------------------------------------------------------------------

void Download::join(Holder& holder, Plan plan) {
  const bool more = unite(plan_.wanted, plan.wanted);
  if (holders_.empty()) plan_ = std::move(plan);
  holders_.push_back(&holder);
  priority_changed();
  switch (phase_) {
    case Phase::ended:
    case Phase::failed:
      return open();
    case Phase::stopping:
      again_ = true;
      return;
    case Phase::opening:
      return;
    case Phase::transferring:
    case Phase::transferred:
      if (!more) return tell_holders();
      // The scheduler plans for what was wanted at its start.
      again_ = true;
      return halt(Phase::ended);
  }
}

void Download::leave(Holder& holder, bool purge, ports::Task done) {
  std::erase(holders_, &holder);
  if (!holders_.empty()) {
    hold_origins(false);
    priority_changed();
    return done();
  }
  again_ = false;
  purge_ = purge_ || purge;
  if (phase_ == Phase::ended || (phase_ == Phase::failed && !purge)) {
    phase_ = Phase::ended;
    on_loop([this] { table_.sweep(plan_.content.id); })();
    return done();
  }
  stopped_.push_back(std::move(done));
  if (phase_ != Phase::stopping) halt(Phase::ended);
  after_stop_ = Phase::ended;
}

void Download::priority_changed() {
  const bool background = std::all_of(holders_.begin(), holders_.end(),
                                      [](const Holder* h) { return h->is_background(); });
  if (std::exchange(background_, background) == background) return;
  if (phase_ == Phase::transferring) on_fact(core::OriginPriority{.background = background_});
}

// ---- life --------------------------------------------------------------------------------------

void Download::open() {
  again_ = false;
  error_.reset();
  run_ = std::make_shared<char>();
  opening_ = true;
  enter(Phase::opening);
  table_.when_free(plan_.content.id, [this, life = std::weak_ptr<char>(life_)] {
    if (!life.expired()) open_content();
  });
}

void Download::open_content() {
  if (phase_ == Phase::stopping) {
    opening_ = false;
    return release_content();
  }
  ports_.store.open_with(
      plan_.content, open_hints(), fact_sink(),
      [this, &loop = ports_.loop, life = std::weak_ptr<char>(life_),
       &store = ports_.store](Result<std::shared_ptr<ports::ContentStore>> opened) {
        loop.post([this, life, &store, opened = std::move(opened)]() mutable {
          if (!life.expired()) return on_opened(std::move(opened));
          if (opened) store.close(*opened, [](const Result<void>&) {});
        });
      });
}

ports::OpenHints Download::open_hints() const {
  core::FilePeers before = plan_.peers_facts;
  before.found_private = false;  // that is said of what was opened, not of what will be
  ports::OpenHints hints{.destination = plan_.destination,
                         .beside = beside_,
                         .bypass = plan_.bypass_cache,
                         .share = plan_.open_to_all && !core::peers_barrier(before)};
  // What is shown to people may be in no URL that opens a door.
  if (!plan_.urls.empty()) hints.origin = core::without_secrets(plan_.urls.front().url);
  if (plan_.manifest) hints.name = plan_.manifest->name;
  if (plan_.manifest && !plan_.bypass_cache) {
    hints.metainfo = std::make_shared<const std::vector<std::uint8_t>>(plan_.manifest->metainfo);
  }
  if (hints.name.empty()) hints.name = plan_.destination.substr(plan_.destination.rfind('/') + 1);
  return hints;
}

void Download::on_opened(Result<std::shared_ptr<ports::ContentStore>> opened) {
  opening_ = false;
  if (opened) store_ = std::move(*opened);
  if (phase_ == Phase::stopping) return release_content();
  if (!opened) return fail_with(opened.error());
  begin_transfer();
}

void Download::begin_transfer() {
  verified_ = store_->verified();
  store_note_ = store_->note();
  if (!std::exchange(cache_counted_, true)) cached_bytes_ = verified_bytes(plan_.wanted);

  plan_.peers_facts.found_private = false;
  shareable_ = !core::peers_barrier(plan_.peers_facts);
  plan_.peers_facts.found_private = !store_->may_share() && !verified_.empty();
  const bool peers = ports_.swarm != nullptr && !core::peers_barrier(plan_.peers_facts);
  core::SchedulerOptions options{.policy = plan_.policy,
                                 .have = not_to_fetch(verified_, plan_.wanted),
                                 .origins = {},
                                 .peers_possible = peers,
                                 .peers_expected = peers && !plan_.peers.empty(),
                                 .background = background_};
  if (plan_.use_origin) options.origins = list_origins();
  if (options.origins.empty() && !peers && !options.have.full()) {
    return fail_with({ErrorCode::invalid_argument,
                      plan_.name + ": there is no origin and no peer to fetch from"});
  }
  client_ = ports_.origins.connect(fact_sink(), plan_.origin);
  control_.join(*this);
  if (peers) {
    member_ = ports_.swarm->join({.manifest = *plan_.manifest,
                                  .store = store_,
                                  .peers = plan_.peers,
                                  .trackers = plan_.trackers},
                                 fact_sink());
    joined_at_ = ports_.loop.now();
  }
  scheduler_ = std::make_unique<core::Scheduler>(plan_.content, std::move(options), seed_,
                                                 ports_.loop.now());
  enter(Phase::transferring);
  drive();
}

// Those of the plan and of the manifest, and before them the caches that hold their files.
std::vector<core::OriginSpec> Download::list_origins() {
  if (plan_.manifest) {
    for (const std::string& seed : plan_.manifest->web_seeds) {
      const bool known = std::any_of(plan_.urls.begin(), plan_.urls.end(),
                                     [&](const core::OriginSpec& o) { return o.url == seed; });
      if (!known && plan_.urls.size() < kOriginsMax) plan_.urls.push_back({.url = seed});
    }
  }
  std::vector<core::OriginSpec> origins;
  for (core::SourceUrl& source : core::with_caches(plan_.urls, plan_.caches, kOriginsMax)) {
    // Versions are told by the validator only, if there is no manifest. With one pieces are
    // verified: the same bytes may be put at the URL anew, and a cache may have validators of its
    // own.
    const bool cache = source.spec.price == core::PriceClass::cache_host;
    const bool probed = source.original == plan_.validated_url;
    const bool validated = probed && !plan_.manifest;
    if (cache && !plan_.manifest && (!validated || plan_.validator.empty())) continue;
    SourceRecord& record = sources_[core::SourceId{static_cast<std::uint32_t>(origins.size())}];
    record.name = source.spec.url;
    record.validated = validated;
    source.spec.no_ranges = plan_.no_ranges && probed && !cache;
    source.spec.banned_until = control_.banned_until(source.spec);
    origins.push_back(std::move(source.spec));
  }
  return origins;
}

// ---- facts and commands ------------------------------------------------------------------------

ports::FactSink Download::fact_sink() {
  return [this, &loop = ports_.loop, run = std::weak_ptr<char>(run_)](core::Event event) {
    loop.post([this, run, event = std::move(event)] {
      if (!run.expired()) on_fact(event);
    });
  };
}

ports::Task Download::on_loop(ports::Task task) {
  return
      [&loop = ports_.loop, life = std::weak_ptr<char>(life_), task = std::move(task)]() mutable {
        loop.post([life, task = std::move(task)]() mutable {
          if (!life.expired()) task();
        });
      };
}

void Download::on_timer() {
  if (phase_ != Phase::stopping) return on_fact(core::Tick{});
  stuck_ = true;
  if (!error_) {
    const auto s = std::chrono::duration_cast<std::chrono::seconds>(plan_.policy.verdict_timeout);
    error_ =
        Error{ErrorCode::disk_io, plan_.name + ": the piece cache has not closed the file for " +
                                      std::to_string(s.count()) + " s: does its disk answer?"};
  }
  tell_holders();
}

void Download::on_fact(const core::Event& event) {
  note(event);
  if (begin_anew(event) || phase_ != Phase::transferring) return;
  scheduler_->handle(event, ports_.loop.now());
  drive();
}

// Closes the content to open it again in a better state: without what the disk has lost, which is
// then fetched like anything else, or in another place than the cache that takes no more bytes.
bool Download::begin_anew(const core::Event& event) {
  const bool open = phase_ == Phase::transferring || phase_ == Phase::transferred;
  const auto* lost = std::get_if<core::PieceLost>(&event);
  const auto* failed = std::get_if<core::StoreFailed>(&event);
  const bool full = failed != nullptr && (failed->error.code == ErrorCode::disk_full ||
                                          failed->error.code == ErrorCode::disk_io);
  const bool move = full && !beside_ && !plan_.bypass_cache && !plan_.destination.empty();
  if (!open || (lost == nullptr && !move)) return false;
  if (lost != nullptr) verified_.erase(lost->piece);
  beside_ = beside_ || move;
  again_ = true;
  halt(Phase::ended);
  return true;
}

// What is shown to people, and the one fixed route: a verified piece is offered to peers.
void Download::note(const core::Event& event) {
  std::visit(core::Overloaded{
                 [&](const core::PieceVerified& f) { offer(f.piece); },
                 [&](const core::PeerJoined& f) {
                   SourceRecord& peer = sources_[f.peer];
                   peer.where = f.where;
                   peer.name = f.address;
                   peer.joined = true;
                 },
                 [&](const core::PeerProgressed& f) { note_total(f); },
                 [&](const core::PeersReport& f) {
                   for (const core::PeerHasPiece& each : f.brought) offer(each.piece);
                   for (const core::PeerProgressed& each : f.totals) note_total(each);
                 },
                 [&](const core::PeerLeft& f) { sources_[f.peer].joined = false; },
                 [&](const core::RangeFinished&) { --requests_in_flight_; },
                 [&](const core::RequestFailed&) { --requests_in_flight_; },
                 [](const auto&) {},
             },
             event);
}

void Download::note_total(const core::PeerProgressed& total) {
  const std::size_t n = total.peer.value - core::kFirstPeerSource;
  if (n >= totals_.size()) totals_.resize(n + 1);
  if (totals_[n].peer != total.peer) sources_.try_emplace(total.peer);
  totals_[n] = total;
}

void Download::offer(core::PieceIndex piece) {
  verified_.insert(piece);
  // Somebody has sent it without asking who wants it.
  if (shareable_ && store_ != nullptr) store_->share();
  if (member_ != nullptr) member_->announce(piece);
  if (holders_.size() > 1) tell_holders();  // one may want no more than it has
}

void Download::drive() {
  const core::Instant now = ports_.loop.now();
  for (std::size_t n = 0; auto command = scheduler_->poll_command(now); ++n) {
    if (n == kCommandsPerStepMax) {
      return fail_with({ErrorCode::internal,
                        "the scheduler asks for more than a step can need; please report it"});
    }
    execute(*command);
    if (phase_ != Phase::transferring) return;  // it gave up
  }
  if (scheduler_->complete()) {
    timer_->disarm();
    last_headers_ = client_->reply_headers();
    drop_client();
    set_error(std::nullopt);
    return enter(Phase::transferred);
  }
  if (const auto at = scheduler_->next_wakeup()) timer_->arm(*at);
}

void Download::execute(const core::Command& command) {
  std::visit(core::Overloaded{
                 [&](const core::FetchRange& c) { fetch_range(c); },
                 [&](const core::CancelRequest& c) {
                   --requests_in_flight_;
                   client_->cancel(c.request);
                 },
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
                 [&](const core::BanCacheHost& c) { control_.ban(c); },
                 [&](const core::SendMessage& c) {
                   if (member_ != nullptr) member_->send(c.to, c.message);
                 },
                 [&](const core::ConnectPeer& c) {
                   // BEP 27: what other peers tell of peers does not count.
                   if (member_ != nullptr && !plan_.manifest->tracker_only) {
                     member_->connect(c.endpoint);
                   }
                 },
                 [&](const core::GiveUp& c) { fail_with(c.error); },
                 [&](const core::ReportTransient& c) { set_error(c.error); },
                 [&](const core::ClearTransient&) { set_error(std::nullopt); },
             },
             command);
}

void Download::fetch_range(const core::FetchRange& command) {
  const SourceRecord& origin = sources_[command.origin];
  ++requests_in_flight_;
  // The client outlives its requests and every sink dies before the client does.
  ports::OriginClient* const client = client_.get();
  std::unique_ptr<ports::RangeSink> sink =
      store_->open_range(command.origin, command.span,
                         [client, request = command.request] { client->continue_range(request); });
  client_->fetch_range(command.request,
                       {.url = origin.name,
                        .span = command.span,
                        .total = plan_.content.layout.size(),
                        .validator = origin.validated ? plan_.validator : std::string(),
                        .whole_file = command.whole_file},
                       std::move(sink));
}

// ---- limits ------------------------------------------------------------------------------------

void Download::drop_client() {
  control_.leave(*this);
  client_.reset();
  origin_rate_ = {};
  requests_in_flight_ = 0;
}

bool Download::is_foreground() const {
  return std::any_of(holders_.begin(), holders_.end(),
                     [](const Holder* h) { return h->is_foreground(); });
}

core::ByteCount Download::origin_bytes() const {
  core::ByteCount sum;
  for (const ports::SourceLedger& entry : store_->ledger()) {
    if (!core::is_peer(entry.source)) sum += entry.received;
  }
  return sum;
}

// ---- delivery ----------------------------------------------------------------------------------

void Download::deliver(const Holder& holder, Handover handover,
                       ports::MoveFunction<void(Result<void>)> done) {
  const bool alone = holders_.size() == 1 && holders_.front() == &holder &&
                     table_.references(plan_.content.id) <= 1;
  const auto how = !handover.give || !alone || !handover.parts.empty() ? ports::Delivery::keep
                   : handover.share                                    ? ports::Delivery::share
                                                                       : ports::Delivery::consume;
  ++delivering_;
  auto hand_over = [this, how, handover = std::move(handover), done = std::move(done)]() mutable {
    auto delivered = [this, how, done = std::move(done)](Result<void> result) mutable {
      --delivering_;
      if (result && how == ports::Delivery::consume) {
        fold_ledger();
        store_.reset();
      }
      // Whoever stopped it meanwhile waits for this.
      const bool awaited = phase_ == Phase::stopping && member_ == nullptr && delivering_ == 0;
      done(std::move(result));
      if (awaited) release_content();
    };
    ports_.store.deliver(
        store_,
        {.destination = std::move(handover.destination),
         .how = how,
         .parts = std::move(handover.parts),
         .ticket = std::move(handover.ticket),
         .owner = handover.owner},
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

// ---- ends --------------------------------------------------------------------------------------

void Download::fail_with(Error error) {
  error_ = std::move(error);
  again_ = false;
  halt(Phase::failed);
}

void Download::reject(Error error) {
  if (phase_ != Phase::transferring && phase_ != Phase::transferred) return;
  reject_ = true;
  verified_ = core::PieceSet(plan_.content.layout.piece_count());
  fail_with(std::move(error));
}

void Download::halt(Phase after) {
  after_stop_ = after;
  run_.reset();
  if (client_ != nullptr) last_headers_ = client_->reply_headers();
  drop_client();
  timer_->arm(ports_.loop.now() + plan_.policy.verdict_timeout);
  phase_ = Phase::stopping;
  leave_swarm([this] { release_content(); });
}

void Download::leave_swarm(ports::Task then) {
  for (auto& [id, record] : sources_) record.joined = false;
  if (member_ == nullptr) return then();
  left_.push_back(std::move(then));
  if (left_.size() > 1) return;  // it is leaving already
  member_->leave(on_loop([this] {
    member_.reset();
    for (ports::Task& task : std::exchange(left_, {})) task();
  }));
}

void Download::release_content() {
  if (opening_ || delivering_ > 0) return;  // who ends that comes back here
  const bool unwanted = std::exchange(purge_, false) && !table_.referred(plan_.content.id);
  const bool purge = std::exchange(reject_, false) || unwanted;
  auto released = [task = on_loop([this] {
                     fold_ledger();
                     store_.reset();
                     finish_stop();
                   })](const Result<void>&) mutable { task(); };
  // Closing decides what becomes of unfinished pieces: only then the figures are final.
  if (store_ != nullptr && purge) return ports_.store.purge(store_, std::move(released));
  if (store_ != nullptr) return ports_.store.close(store_, std::move(released));
  if (purge) return ports_.store.forget(plan_.content.id, std::move(released));
  finish_stop();
}

void Download::finish_stop() {
  if (purge_) return release_content();  // asked for while it was closing
  run_.reset();
  timer_->disarm();
  stuck_ = false;
  scheduler_.reset();
  // Whoever waits for its end need not wait for the end of the next one.
  std::vector<ports::Task> stopped = std::exchange(stopped_, {});
  if (again_) {
    open();
  } else {
    enter(after_stop_);
  }
  for (ports::Task& task : stopped) task();
  if (holders_.empty()) on_loop([this] { table_.sweep(plan_.content.id); })();
}

// The ids of the sources end with the opening of the content; their figures do not.
void Download::fold_ledger() {
  add_present_sources(former_sources_);
  sources_.clear();
  totals_.clear();
}

void Download::set_error(std::optional<Error> error) {
  if (error_ == error) return;
  error_ = std::move(error);
  tell_holders();
}

void Download::enter(Phase phase) {
  phase_ = phase;
  tell_holders();
}

void Download::tell_holders() {
  on_loop([this] {
    for (Holder* holder : std::vector<Holder*>(holders_)) {
      // One may leave, or make another leave.
      if (std::find(holders_.begin(), holders_.end(), holder) != holders_.end()) {
        holder->download_changed();
      }
    }
  })();
}

}  // namespace lanward::jobs
