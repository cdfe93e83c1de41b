#include "engine/jobs/transfer.h"

#include <algorithm>
#include <cassert>
#include <span>
#include <utility>
#include <variant>

#include "engine/core/byte_ranges.h"
#include "engine/core/credentials.h"
#include "engine/core/download_mode.h"
#include "engine/core/header_rules.h"
#include "engine/core/metainfo.h"
#include "engine/core/overloaded.h"
#include "engine/jobs/file_record.h"
#include "engine/jobs/metalink_files.h"
#include "engine/jobs/source_figures.h"

namespace lanward::jobs {
namespace {

// A step of the search asks for one thing; one that asks for more than this is spinning.
constexpr std::size_t kSearchCommandsPerStepMax = 16;

core::PieceSet all_of(const core::PieceLayout& layout) {
  core::PieceSet set(layout.piece_count());
  for (core::PieceIndex p{0}; p < layout.all().end; p = p + 1) set.insert(p);
  return set;
}

}  // namespace

Transfer::Transfer(const Ports& ports, const EngineSettings& settings, OriginControl& control,
                   ContentTable& table, FileSpec spec, core::Seed seed,
                   std::function<void()> on_change)
    : ports_(ports),
      settings_(settings),
      control_(control),
      table_(table),
      spec_(std::move(spec)),
      seed_(seed),
      on_change_(std::move(on_change)),
      timer_(ports_.loop.make_timer([this] { drive_search(); })) {
  rest_on(core::choose_digest(spec_.digests).digest);
  if (!spec_.manifest) return;
  content_ = as_opened(spec_.manifest->content);
  integrity_ = Integrity::manifest;
  know_content();
}

Transfer::~Transfer() {
  life_.reset();
  run_.reset();
  client_.reset();
  check_.reset();
  spooling_.reset();
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
    rest_on(record.digest ? record.digest : digest_);
  }
  matched_ = transferred_;
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
  record.digest = matched_ && transferred_ ? digest_ : std::nullopt;
}

// ---- what it is --------------------------------------------------------------------------------

void Transfer::start(const FetchSettings& how) {
  assert(step_ == Step::idle || step_ == Step::failed);
  error_.reset();
  alone_.reset();
  mismatch_.reset();
  origin_ = how.origin;
  policy_ = how.policy;
  std::vector<std::string> urls;
  for (const core::OriginSpec& origin : spec_.urls) {
    urls.push_back(origin.url);
    origin_.header_hosts.push_back(core::header_host(origin.url));
  }
  if (!spec_.manifest_url.empty())
    origin_.header_hosts.push_back(core::header_host(spec_.manifest_url));
  if (!spec_.metalink_url.empty())
    origin_.header_hosts.push_back(core::header_host(spec_.metalink_url));
  origins_ = spec_.urls;
  for (const core::OriginSpec& origin : spec_.found_urls) {
    urls.push_back(origin.url);
    origins_.push_back(origin);
  }
  run_ = std::make_shared<char>();
  // What is all there need not be asked for again.
  if (spec_.manifest || (transferred_ && content_known_)) return join_download();
  client_ = ports_.origins.connect(fact_sink(), origin_);
  search_ = std::make_unique<core::ManifestSearch>(
      core::ManifestSearchOptions{.urls = std::move(urls),
                                  .manifest_url = spec_.manifest_url,
                                  .policy = policy_,
                                  .metalink_url = spec_.metalink_url,
                                  .offered_manifests = spec_.offered_manifests,
                                  .digests = spec_.digests,
                                  .size = spec_.size,
                                  .whole_file = spec_.ranges.empty(),
                                  .metalink = ports_.metalink,
                                  .look_up = core::rules_of(settings_.mode).look_up},
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
  if (result.metalink) return expand(*result.metalink);
  const bool demanded = !spec_.digests.empty() && result.digest && !result.digest->is_weak();
  if (!result.manifest && !demanded && spec_.integrity_mandatory) {
    return fail_with({ErrorCode::manifest_missing,
                      spec_.source +
                          ": integrity is mandatory and there is neither a manifest nor a strong "
                          "digest that was demanded (" +
                          result.note + ")"});
  }
  if (result.length_unknown) return begin_spooling(std::move(result));
  settle(std::move(result));
}

// Past the cache a content is another one than in it: neither is taken for the other.
core::Content Transfer::as_opened(core::Content content) const {
  if (settings_.mode != DownloadMode::bypass) return content;
  const std::string identity = "lanward-bypass\n" + core::to_hex(content.id);
  content.id = ports_.sha256(std::as_bytes(std::span(identity)));
  return content;
}

void Transfer::settle(core::SearchResult result) {
  result.content = as_opened(std::move(result.content));
  const core::Digest former = content_.id;
  const bool another = content_known_ && former != result.content.id;
  if (another) {
    release();
    if (!table_.referred(former)) table_.forget(ports_, former, [] {});
    transferred_ = false;
  }
  if (another || !transferred_) matched_ = false;
  named_by_bytes_ = result.length_unknown;
  content_ = std::move(result.content);
  note_ = std::move(result.note);
  no_ranges_ = !spooled_ && !result.probed_url.empty() && !result.origin.ranges &&
               content_.layout.size().value > 0;
  if (no_ranges_) {
    note_ += std::string(note_.empty() ? "" : "; ") +
             "the server serves no ranges: one request for the whole, from the start again when it "
             "breaks";
  }
  validated_url_ = result.probed_url;
  validator_ =
      result.origin.strong_etag.empty() ? result.origin.last_modified : result.origin.strong_etag;
  integrity_ = result.manifest ? Integrity::manifest : Integrity::transport;
  rest_on(result.digest);
  // Those that were found unfit go; what is known of the others stays.
  std::erase_if(origins_, [&](const core::OriginSpec& origin) {
    return std::find(result.urls.begin(), result.urls.end(), origin.url) == result.urls.end();
  });
  origins_.insert(origins_.end(), result.found.begin(), result.found.end());
  // With a manifest there is no other search, and so nobody to find them again.
  if (result.manifest) {
    spec_.found_urls.insert(spec_.found_urls.end(), result.found.begin(), result.found.end());
  }
  spec_.manifest = std::move(result.manifest);
  judge_source(result);
  know_content();
  join_download();
}

// What the answers say about who may have the file.
void Transfer::judge_source(const core::SearchResult& result) {
  open_to_all_ = !has_credentials() && !result.probed_url.empty() && result.origin.size_known &&
                 result.origin.size == content_.layout.size();
  if (result.manifest_url.empty()) return;
  const std::string host = core::header_host(result.manifest_url);
  spec_.manifest_elsewhere =
      result.manifest_url != spec_.manifest_url &&
      std::none_of(spec_.urls.begin(), spec_.urls.end(), [&](const core::OriginSpec& origin) {
        return core::header_host(origin.url) == host;
      });
}

bool Transfer::has_credentials() const {
  // What has begun keeps to what it was told, whatever the job would send now.
  const bool ended = step_ == Step::idle || step_ == Step::failed || step_ == Step::delivered;
  const ports::OriginSettings& sent = ended && download_ == nullptr ? expected_ : origin_;
  core::Requests requests{.client_certificate = !sent.client_certificate.empty()};
  for (const core::OriginSpec& origin : spec_.urls) requests.urls.push_back(origin.url);
  requests.urls.push_back(spec_.manifest_url);
  requests.urls.push_back(spec_.metalink_url);
  requests.headers.assign(sent.headers.begin(), sent.headers.end());
  return core::have_credentials(requests);
}

core::FilePeers Transfer::file_peers() const {
  // An engine that only looks at jobs has no swarm and no opinion.
  const bool none = ports_.swarm == nullptr && settings_.run_jobs;
  const bool off = none && core::rules_of(settings_.mode).peers;
  return {.mode = settings_.mode,
          .asked = spec_.use_peers && settings_.peers_wanted && !off,
          .searching = search_ != nullptr,
          .credentials = has_credentials(),
          .manifest = spec_.manifest.has_value(),
          .permitted = spec_.manifest && spec_.manifest->share_private && !spec_.manifest_elsewhere,
          .empty = spec_.manifest && content_.layout.piece_count() == 0};
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
                            .urls = alone_ ? std::vector{alone_->back()} : origins_,
                            // Origins that are tried alone are not to be taken for a cache.
                            .caches = alone_                         ? CacheHosts{}
                                      : spec_.caches == CacheHosts{} ? settings_.caches
                                                                     : spec_.caches,
                            .validated_url = validated_url_,
                            .validator = validator_,
                            .no_ranges = no_ranges_,
                            .peers = spec_.peers,
                            .trackers = spec_.trackers,
                            // Without validator nothing can be added.
                            .use_origin = spec_.use_origin && (spec_.manifest || !transferred_),
                            .peers_facts = file_peers(),
                            .open_to_all = open_to_all_ || file_peers().permitted,
                            .bypass_cache = settings_.mode == DownloadMode::bypass,
                            .wanted = wanted_,
                            .origin = origin_,
                            .policy = policy_,
                            .name = spec_.source,
                            .destination = spec_.destination};
  download_ = &table_.download(content_.id, [&] {
    return std::make_unique<Download>(ports_, control_, table_, plan, seed_);
  });
  before_ = download_->sources();
  step_ = Step::attached;
  download_->join(*this, plan);
  changed();
}

void Transfer::name_destination() {
  if (!spec_.destination.ends_with('/')) return;
  std::string name = spec_.manifest ? spec_.manifest->name : std::string();
  spec_.destination += name.empty() ? core::to_hex(std::span(content_.id).first(8)) : name;
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
  if (phase == Download::Phase::failed) return download_failed(*download_->error());
  if (phase == Download::Phase::transferring || phase == Download::Phase::transferred) {
    if (transferring_since_ == core::Instant{}) transferring_since_ = ports_.loop.now();
    const bool there = download_->has(wanted_);
    if (there && must_match()) begin_check();
    // A piece that the disk lost meanwhile is fetched again: the file stays transferred.
    if (there && !transferred_) keep_answer();
    if (there || !transferred_) transferred_ = there && !must_match();
    if (there && transferred_ && deliver_) deliver_now();
  }
  on_change_();
}

// ---- ends --------------------------------------------------------------------------------------

void Transfer::fail_with(Error error) {
  error_ = std::move(error);
  end_spooling();
  search_.reset();
  client_.reset();
  check_.reset();
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
    store_note_ = download_->store_note();
    download_ = nullptr;
    step_ = after_stop_;
    changed();
    for (ports::Task& task : std::exchange(stopped_, {})) task();
  });
}

void Transfer::hold_origins(bool hold) {
  if (download_ != nullptr) download_->hold_origins(hold);
}

void Transfer::stop(ports::Task done) { end(false, std::move(done)); }

void Transfer::end(bool purge, ports::Task done) {
  if (auto pending = std::exchange(deliver_, {})) {
    pending(fail(ErrorCode::cancelled, "the delivery was stopped"));
  }
  check_.reset();
  if (step_ == Step::rejoining) step_ = Step::idle;
  if (step_ == Step::stopping && after_stop_ == Step::rejoining) after_stop_ = Step::idle;
  if (step_ == Step::searching || step_ == Step::spooling) {
    end_spooling();
    expansion_.clear();
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
  if (delivered_) return forget_delivered(std::move(done));
  if (!content_known_) return done();
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

void Transfer::forget_delivered(ports::Task done) {
  const bool given = delivered_ && !settings_.keep_delivered && spec_.ranges.empty();
  // Who has it open, or refers to it, sees to its end.
  if (!given || table_.referred(content_.id) || table_.is_open(content_.id)) return done();
  table_.forget(ports_, content_.id, on_loop(std::move(done)));
}

void Transfer::deliver(const FetchSettings& how, ports::MoveFunction<void(Result<void>)> done) {
  assert(transferred_ && !delivered_ && !deliver_);
  deliver_ = std::move(done);
  if (step_ == Step::attached) return download_changed();
  if (step_ == Step::idle || step_ == Step::failed) {
    if (settings_.keep_delivered || !spec_.ranges.empty()) return start(how);
    // A former engine may have been killed right after it had given the file away.
    return ports_.store.find_delivered(
        spec_.destination, content_.id,
        [this, &loop = ports_.loop, life = std::weak_ptr<char>(life_), how](bool there) {
          loop.post([this, life, how, there] {
            if (!life.expired()) deliver_unless(there, how);
          });
        });
  }
  // stopping: a call that comes between two others finds it idle soon enough.
  auto refused = std::exchange(deliver_, {});
  refused(fail(ErrorCode::invalid_state, spec_.source + ": the transfer is just being stopped"));
}

void Transfer::deliver_unless(bool there, const FetchSettings& how) {
  if (!deliver_ || (step_ != Step::idle && step_ != Step::failed)) return;
  if (!there) return start(how);
  delivered_ = true;
  release();
  step_ = after_stop_ = Step::delivered;
  changed();
  std::exchange(deliver_, {})({});
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
                      .ticket = ticket_,
                      .owner = spec_.owner},
                     std::move(delivered));
}

void Transfer::set_source(const std::string& url) {
  // Without a manifest the identity is the URL's: it is found out anew.
  rename_source(spec_, url);
}

void Transfer::set_background(bool background) {
  background_ = background;
  if (step_ == Step::attached) download_->priority_changed();
}

void Transfer::refer() {
  if (std::exchange(referring_, true)) return;
  table_.refer(content_.id);
  ports_.store.refer(content_.id, spec_.job, true);
}

void Transfer::release() {
  if (!std::exchange(referring_, false)) return;
  table_.release(content_.id);
  ports_.store.refer(content_.id, spec_.job, false);
}

void Transfer::changed() {
  on_loop([this] { on_change_(); })();
}

}  // namespace lanward::jobs
