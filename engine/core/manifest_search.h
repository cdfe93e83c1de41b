// Finds out what a URL stands for: asks the origin, looks for the manifest, decides what the
// integrity of the file will rest on. Pure: same protocol as Scheduler.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <lanward/error.h>

#include "engine/core/backoff.h"
#include "engine/core/content.h"
#include "engine/core/events.h"
#include "engine/core/merkle.h"
#include "engine/core/policy.h"
#include "engine/core/prng.h"
#include "engine/core/units.h"

namespace lanward::core {

struct ManifestSearchOptions {
  std::vector<std::string> urls;  // of the file, in order of preference
  std::string manifest_url;       // demanded manifest; empty: discover
  Policy policy;
};

struct SearchResult {
  std::optional<Manifest> manifest;  // nothing: HTTP only
  Content content;                   // of the manifest, or of the origin's facts
  OriginFacts origin;                // of the URL that answered the probe, if one was probed
  std::string probed_url;            // as it was in the options; empty if none was probed
  std::vector<std::string> urls;     // those to fetch from, in order of preference
  std::string note;                  // why there is no manifest; empty when there is one
};

struct ProbeUrl {
  RequestId request;
  std::string url;
};
struct FetchDocument {
  RequestId request;
  std::string url;
};
using SearchCommand = std::variant<ProbeUrl, FetchDocument>;

// Order: the demanded manifest; else the origin's Link header (rel=describedby,
// application/x-bittorrent); else URL.torrent; else none, and the note says so. Only a definite
// answer of the origin counts as "none": while it cannot be reached the search retries, and gives
// up with an error instead of going on without a manifest.
class ManifestSearch {
 public:
  // REQUIRES: urls or manifest_url not empty.
  ManifestSearch(ManifestSearchOptions options, Sha256Fn sha256, Seed seed, Instant now);

  void handle(const Event& event, Instant now);
  [[nodiscard]] std::optional<SearchCommand> poll_command(Instant now);
  [[nodiscard]] std::optional<Instant> next_wakeup() const { return retry_at_; }
  // Set once, after which nothing is asked any more.
  [[nodiscard]] const std::optional<Result<SearchResult>>& outcome() const { return outcome_; }
  // The failure that is being waited out.
  [[nodiscard]] const std::optional<Error>& waiting_for() const { return waiting_for_; }

 private:
  enum class Step : std::uint8_t { demanded, probe, linked, sidecar };

  void ask(Step step);
  void send();
  void on(const OriginProbed& fact);
  void on(const DocumentFetched& fact);
  void on(const RequestFailed& fact, Instant now);
  void no_document_at_this_step();
  void finish_without_manifest();

  ManifestSearchOptions options_;
  Sha256Fn sha256_;
  Prng prng_;
  Backoff backoff_;
  Step step_ = Step::probe;
  std::string linked_url_;
  std::string none_because_;
  std::size_t probed_url_ = 0;
  std::uint32_t failures_ = 0;
  RequestId last_request_;
  OriginFacts origin_;
  std::deque<SearchCommand> commands_;
  std::optional<Instant> retry_at_;
  std::optional<Error> waiting_for_;
  std::optional<Result<SearchResult>> outcome_;
};

// The URL of the manifest beside a file: ".torrent" after the path, before query and fragment.
[[nodiscard]] std::string sidecar_url(const std::string& url);

}  // namespace lanward::core
