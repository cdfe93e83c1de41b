#include "engine/core/manifest_search.h"

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>

#include "engine/core/metainfo.h"
#include "engine/core/overloaded.h"
#include "engine/core/text.h"

namespace lanward::core {
namespace {

// Mirrors of one file: as many as origins are used.
constexpr std::size_t kMirrorsMax = kMetalinkUrlsUsedMax;
// Manifests that Metalinks offer for one file: they all describe the same one.
constexpr std::size_t kOfferedMax = 4;

Digest identity_of(const std::string& text, Sha256Fn sha256) {
  return sha256(std::as_bytes(std::span(text)));
}

// Without a manifest. What was demanded by a strong digest is the same file wherever it comes from.
// Any other one is bound to its URL and version, and to the digest that will decide whether its
// pieces are dropped.
Content content_of(const OriginFacts& facts, ByteCount size,
                   const std::optional<ExpectedDigest>& digest, bool demanded, Sha256Fn sha256) {
  std::string identity;
  if (digest && demanded && !digest->is_weak()) {
    identity = "lanward-digest\n" + to_string(*digest) + '\n' + std::to_string(size.value);
  } else {
    const std::string& validator =
        facts.strong_etag.empty() ? facts.last_modified : facts.strong_etag;
    identity = "lanward-url\n" + facts.url + '\n' + std::to_string(size.value) + '\n' + validator;
    if (digest) identity += '\n' + to_string(*digest);
  }
  return Content{.id = identity_of(identity, sha256),
                 .layout = PieceLayout(size, canonical_piece_bytes(size)),
                 .piece_hashes = {}};
}

bool is_https(std::string_view url) { return url_scheme_is_one_of(url, {"https"}); }

std::string resting_on(const ExpectedDigest& digest) {
  return "the file as a whole is checked against its " + std::string(to_string(digest.algorithm)) +
         " (" + digest.source + ")" +
         (digest.is_weak() ? ", which protects against accidents only" : "");
}

}  // namespace

std::string sidecar_url(const std::string& url) {
  const std::size_t end = std::min(url.find_first_of("?#"), url.size());
  return url.substr(0, end) + ".torrent" + url.substr(end);
}

ManifestSearch::ManifestSearch(ManifestSearchOptions options, Sha256Fn sha256, Seed seed, Instant)
    : options_(std::move(options)), sha256_(sha256), prng_(seed) {
  if (!options_.metalink_url.empty()) {
    ask(Step::metalink, options_.metalink_url);
  } else if (!options_.manifest_url.empty()) {
    ask(Step::demanded, options_.manifest_url);
  } else if (!options_.urls.empty()) {
    ask(Step::probe, options_.urls.front());
  } else {
    queue_documents();  // a Metalink may offer a manifest and nothing else
    next_document();
  }
}

void ManifestSearch::ask(Step step, std::string url) {
  step_ = step;
  asked_url_ = std::move(url);
  failures_ = 0;
  backoff_.reset();
  send();
}

void ManifestSearch::send() {
  retry_at_.reset();
  last_request_ = RequestId{last_request_.value + 1};
  if (step_ == Step::probe) {
    commands_.push_back(ProbeUrl{last_request_, asked_url_});
  } else {
    commands_.push_back(FetchDocument{last_request_, asked_url_});
  }
}

void ManifestSearch::handle(const Event& event, Instant now) {
  if (outcome_) return;
  std::visit(Overloaded{
                 [&](const OriginProbed& f) {
                   if (f.request == last_request_) on(f);
                 },
                 [&](const DocumentFetched& f) {
                   if (f.request == last_request_) on(f);
                 },
                 [&](const RequestFailed& f) {
                   if (f.request == last_request_) on(f, now);
                 },
                 [&](const Tick&) {
                   if (retry_at_ && *retry_at_ <= now) send();
                 },
                 [](const auto&) {},
             },
             event);
}

std::optional<SearchCommand> ManifestSearch::poll_command(Instant) {
  if (commands_.empty()) return std::nullopt;
  SearchCommand command = std::move(commands_.front());
  commands_.pop_front();
  return command;
}

// ---- what to look at ---------------------------------------------------------------------------

void ManifestSearch::queue_linked(Step step, std::string_view type) {
  for (const OriginFacts::Link& link : origin_.links) {
    if (link.rel != "describedby" || link.type != type) continue;
    if (is_https(options_.urls[probed_url_]) && !is_https(link.target)) {
      none_because_ = link.target + " cannot vouch over http for a file over https";
      continue;
    }
    documents_.push_back({step, link.target});
    return;
  }
}

void ManifestSearch::queue_documents() {
  const std::size_t offered = std::min(options_.offered_manifests.size(), kOfferedMax);
  for (std::size_t i = 0; i < offered; ++i) {
    documents_.push_back({Step::offered, options_.offered_manifests[i]});
  }
  if (options_.urls.empty()) return;
  if (!options_.look_up) {
    none_because_ = "the download mode does not look for one";
    return;
  }
  queue_linked(Step::linked, "application/x-bittorrent");
  documents_.push_back({Step::sidecar, sidecar_url(options_.urls[probed_url_])});
  if (options_.metalink != nullptr) queue_linked(Step::described, kMetalinkType);
}

void ManifestSearch::next_document() {
  if (documents_.empty()) return finish_without_manifest();
  const Document next = std::move(documents_.front());
  documents_.pop_front();
  ask(next.step, next.url);
}

void ManifestSearch::add_mirror(OriginSpec mirror) {
  const bool known =
      std::find(options_.urls.begin(), options_.urls.end(), mirror.url) != options_.urls.end() ||
      std::any_of(found_.begin(), found_.end(),
                  [&](const OriginSpec& o) { return o.url == mirror.url; });
  if (known || found_.size() >= kMirrorsMax || url_fault(mirror.url) != nullptr ||
      !url_scheme_is_one_of(mirror.url, {"http", "https"})) {
    return;
  }
  found_.push_back(std::move(mirror));
}

// ---- answers -----------------------------------------------------------------------------------

void ManifestSearch::on(const OriginProbed& fact) {
  waiting_for_.reset();
  origin_ = fact.facts;
  if (origin_.content_type == kMetalinkType && options_.metalink != nullptr &&
      options_.digests.empty()) {
    return ask(Step::metalink, asked_url_);
  }
  told_ = origin_.digests;
  for (const OriginFacts::Link& link : origin_.links) {
    if (link.rel != "duplicate" || !options_.look_up) continue;
    // The file's own origin comes before its mirrors, and one without "pri" after the others.
    add_mirror({.url = link.target,
                .priority = link.priority != 0 ? link.priority : kMetalinkPriorityMax});
  }
  queue_documents();
  next_document();
}

void ManifestSearch::on(const DocumentFetched& fact) {
  waiting_for_.reset();
  if (step_ == Step::metalink || step_ == Step::described) return read_metalink(fact);
  read_manifest(fact);
}

void ManifestSearch::read_manifest(const DocumentFetched& fact) {
  // A server that answers every path with a page is not a server with a damaged manifest.
  const bool guessed = step_ == Step::sidecar;
  if (guessed && (fact.bytes.empty() || fact.bytes.front() != 'd')) {
    none_because_ = fact.url + " is not a manifest";
    return next_document();
  }
  Result<Manifest> manifest = parse_metainfo(fact.bytes, sha256_);
  if (!manifest) {
    outcome_ =
        fail(manifest.error().code, "manifest " + fact.url + ": " + manifest.error().message);
    return;
  }
  const ByteCount size = manifest->content.layout.size();
  if (options_.size && *options_.size != size) {
    outcome_ =
        fail(ErrorCode::manifest_invalid, "manifest " + fact.url + ": it describes a file of " +
                                              std::to_string(size.value) + " bytes, the file has " +
                                              std::to_string(options_.size->value));
    return;
  }
  SearchResult result{
      .manifest = std::nullopt,
      .content = manifest->content,
      .origin = origin_,
      .probed_url = origin_.url.empty() ? std::string() : options_.urls[probed_url_],
      .urls = options_.urls,
      .note = {}};
  // What the origin tells is no more than its manifest; what was demanded is.
  if (options_.whole_file) result.digest = choose_digest(options_.digests).digest;
  result.found = std::move(found_);
  result.manifest = std::move(*manifest);
  result.manifest_url = asked_url_;
  outcome_ = std::move(result);
}

void ManifestSearch::read_metalink(const DocumentFetched& fact) {
  Result<Metalink> metalink =
      options_.metalink != nullptr
          ? options_.metalink(fact.bytes, fact.url)
          : fail(ErrorCode::unsupported, fact.url + ": a Metalink cannot be read here");
  if (!metalink) {
    outcome_ = tl::unexpected(metalink.error());
    return;
  }
  if (step_ == Step::metalink) {
    SearchResult result;
    result.metalink = std::move(*metalink);
    outcome_ = std::move(result);
    return;
  }
  const Metalink::File* const file = file_at(*metalink, options_.urls[probed_url_]);
  if (file == nullptr) {
    none_because_ = fact.url + " does not describe the file";
    return next_document();
  }
  if (file->size && origin_.size_known && *file->size != origin_.size) {
    outcome_ = fail(ErrorCode::manifest_invalid,
                    fact.url + ": it describes a file of " + std::to_string(file->size->value) +
                        " bytes, the origin has " + std::to_string(origin_.size.value));
    return;
  }
  if (!options_.size) options_.size = file->size;
  told_.insert(told_.begin(), file->digests.begin(), file->digests.end());
  for (OriginSpec& origin : origins_of(*file)) add_mirror(std::move(origin));
  const std::size_t offered = std::min(file->manifests.size(), kOfferedMax);
  for (std::size_t i = 0; i < offered; ++i) {
    documents_.push_back({Step::offered, file->manifests[i]});
  }
  none_because_ = fact.url + " offers none that can be had";
  next_document();
}

void ManifestSearch::on(const RequestFailed& fact, Instant now) {
  const Failure& failure = fact.failure;
  const bool temporary =
      failure.kind == FailureClass::transient || failure.kind == FailureClass::rate_limited;
  if (temporary && ++failures_ < options_.policy.origin_failures_max) {
    const Duration delay = backoff_.next(options_.policy, prng_);
    retry_at_ = now + std::max(delay, failure.retry_after);
    waiting_for_ = Error{ErrorCode::network, failure.message};
    return;
  }
  const ErrorCode code = temporary ? ErrorCode::network : ErrorCode::origin_rejected;
  if (step_ == Step::probe && probed_url_ + 1 < options_.urls.size()) {
    ++probed_url_;
    return ask(Step::probe, options_.urls[probed_url_]);
  }
  if (step_ == Step::demanded || step_ == Step::metalink) {
    const char* const what = step_ == Step::demanded ? "manifest" : "Metalink";
    outcome_ = fail(temporary ? code : ErrorCode::manifest_missing,
                    std::string("cannot fetch the ") + what + ": " + failure.message);
  } else if (step_ == Step::probe || temporary) {
    outcome_ = fail(code, failure.message);
  } else {
    none_because_ = failure.message;
    next_document();
  }
}

// ---- without a manifest ------------------------------------------------------------------------

DigestChoice ManifestSearch::choose() const {
  DigestChoice demanded = choose_digest(options_.digests);
  return demanded.digest ? demanded : choose_digest(told_);
}

void ManifestSearch::finish_without_manifest() {
  if (options_.urls.empty()) {
    outcome_ = fail(ErrorCode::manifest_missing, "no manifest and no URL: " + none_because_);
    return;
  }
  const bool length_unknown = !origin_.size_known && !options_.size;
  const ByteCount size = origin_.size_known ? origin_.size : options_.size.value_or(ByteCount{});
  if (options_.size && size != *options_.size) {
    outcome_ = fail(ErrorCode::content_changed,
                    origin_.url + ": the origin has " + std::to_string(size.value) +
                        " bytes, the file has " + std::to_string(options_.size->value));
    return;
  }
  DigestChoice choice = choose();
  const bool known = choice.digest.has_value();
  if (!options_.whole_file) choice.digest.reset();
  const bool vouched = choice.digest && !choice.digest->is_weak();
  const auto probed = options_.urls.begin() + static_cast<std::ptrdiff_t>(probed_url_);
  SearchResult result{
      .manifest = std::nullopt,
      .content = content_of(origin_, size, choice.digest, !options_.digests.empty(), sha256_),
      .origin = origin_,
      .probed_url = *probed,
      // Nothing else vouches for a mirror's bytes being the same.
      .urls = {probed, vouched ? options_.urls.end() : probed + 1},
      .note = "no manifest found (" + none_because_ + "): "};
  if (choice.digest) {
    result.note += resting_on(*choice.digest);
  } else {
    result.note += "HTTP only, nothing but the transport vouches for the bytes";
    if (known) result.note += "; the digest that is known is one of the whole file, not of ranges";
  }
  if (!choice.note.empty()) result.note += "; " + choice.note;
  if (vouched) result.found = std::move(found_);
  result.digest = std::move(choice.digest);
  result.length_unknown = length_unknown;
  outcome_ = std::move(result);
}

}  // namespace lanward::core
