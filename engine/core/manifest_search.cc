#include "engine/core/manifest_search.h"

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>

#include "engine/core/metainfo.h"
#include "engine/core/overloaded.h"

namespace lanward::core {
namespace {

Content content_of(const OriginFacts& facts, Sha256Fn sha256) {
  const std::string& validator =
      facts.strong_etag.empty() ? facts.last_modified : facts.strong_etag;
  const std::string identity =
      "lanward-url\n" + facts.url + '\n' + std::to_string(facts.size.value) + '\n' + validator;
  return Content{.id = sha256(std::as_bytes(std::span(identity))),
                 .layout = PieceLayout(facts.size, canonical_piece_bytes(facts.size)),
                 .piece_hashes = {}};
}

}  // namespace

std::string sidecar_url(const std::string& url) {
  const std::size_t end = std::min(url.find_first_of("?#"), url.size());
  return url.substr(0, end) + ".torrent" + url.substr(end);
}

ManifestSearch::ManifestSearch(ManifestSearchOptions options, Sha256Fn sha256, Seed seed, Instant)
    : options_(std::move(options)), sha256_(sha256), prng_(seed) {
  ask(options_.manifest_url.empty() ? Step::probe : Step::demanded);
}

void ManifestSearch::ask(Step step) {
  step_ = step;
  failures_ = 0;
  backoff_.reset();
  send();
}

void ManifestSearch::send() {
  retry_at_.reset();
  last_request_ = RequestId{last_request_.value + 1};
  switch (step_) {
    case Step::demanded:
      commands_.push_back(FetchDocument{last_request_, options_.manifest_url});
      return;
    case Step::probe:
      commands_.push_back(ProbeUrl{last_request_, options_.urls[probed_url_]});
      return;
    case Step::linked:
      commands_.push_back(FetchDocument{last_request_, linked_url_});
      return;
    case Step::sidecar:
      commands_.push_back(FetchDocument{last_request_, sidecar_url(options_.urls[probed_url_])});
      return;
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

void ManifestSearch::on(const OriginProbed& fact) {
  waiting_for_.reset();
  origin_ = fact.facts;
  for (const OriginFacts::Link& link : origin_.links) {
    if (link.rel == "describedby" && link.type == "application/x-bittorrent") {
      linked_url_ = link.target;
      return ask(Step::linked);
    }
  }
  ask(Step::sidecar);
}

void ManifestSearch::on(const DocumentFetched& fact) {
  waiting_for_.reset();
  // A server that answers every path with a page is not a server with a damaged manifest.
  const bool guessed = step_ == Step::sidecar;
  if (guessed && (fact.bytes.empty() || fact.bytes.front() != 'd')) {
    none_because_ = fact.url + " is not a manifest";
    return no_document_at_this_step();
  }
  Result<Manifest> manifest = parse_metainfo(fact.bytes, sha256_);
  if (!manifest) {
    outcome_ =
        fail(manifest.error().code, "manifest " + fact.url + ": " + manifest.error().message);
    return;
  }
  SearchResult result{
      .manifest = std::nullopt,
      .content = manifest->content,
      .origin = origin_,
      .probed_url = origin_.url.empty() ? std::string() : options_.urls[probed_url_],
      .urls = options_.urls,
      .note = {}};
  result.manifest = std::move(*manifest);
  outcome_ = std::move(result);
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
    return ask(Step::probe);
  }
  if (step_ == Step::demanded) {
    outcome_ = fail(temporary ? code : ErrorCode::manifest_missing,
                    "cannot fetch the manifest: " + failure.message);
  } else if (step_ == Step::probe || temporary) {
    outcome_ = fail(code, failure.message);
  } else {
    none_because_ = failure.message;
    no_document_at_this_step();
  }
}

void ManifestSearch::no_document_at_this_step() {
  if (step_ == Step::linked) return ask(Step::sidecar);
  finish_without_manifest();
}

void ManifestSearch::finish_without_manifest() {
  if (!origin_.size_known) {
    outcome_ = fail(ErrorCode::unsupported,
                    origin_.url +
                        ": the server does not tell the size of the file and there is no "
                        "manifest; publish one beside it");
    return;
  }
  outcome_ = SearchResult{.manifest = std::nullopt,
                          .content = content_of(origin_, sha256_),
                          .origin = origin_,
                          .probed_url = options_.urls[probed_url_],
                          // Nothing vouches for a mirror's bytes being the same.
                          .urls = {options_.urls[probed_url_]},
                          .note = "no manifest found (" + none_because_ +
                                  "): HTTP only, nothing but the transport vouches for the bytes"};
}

}  // namespace lanward::core
