// Finds out what a URL stands for: asks the origin, looks for the manifest, decides what the
// integrity of the file will rest on. Pure: same protocol as Scheduler.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <lanward/error.h>

#include "engine/core/backoff.h"
#include "engine/core/content.h"
#include "engine/core/digest.h"
#include "engine/core/events.h"
#include "engine/core/merkle.h"
#include "engine/core/metalink.h"
#include "engine/core/origin_spec.h"
#include "engine/core/policy.h"
#include "engine/core/prng.h"
#include "engine/core/units.h"

namespace lanward::core {

struct ManifestSearchOptions {
  std::vector<std::string> urls;  // of the file, in order of preference
  std::string manifest_url;       // demanded manifest; empty: discover
  Policy policy;
  // The source is this Metalink: it is fetched, and the outcome is what it says.
  std::string metalink_url = {};
  std::vector<std::string> offered_manifests = {};  // by a Metalink; tried first
  std::vector<ExpectedDigest> digests = {};         // demanded of the whole file
  std::optional<ByteCount> size = {};               // demanded
  bool whole_file = true;         // false: only ranges are wanted, a digest cannot be checked
  MetalinkFn metalink = nullptr;  // null: a Metalink is passed over
  // False: no more than the URL itself is asked, and the documents that are named here.
  bool look_up = true;
};

struct SearchResult {
  std::optional<Manifest> manifest;  // nothing: HTTP only
  Content content;                   // of the manifest, or of the origin's facts
  OriginFacts origin;                // of the URL that answered the probe, if one was probed
  std::string probed_url;            // as it was in the options; empty if none was probed
  std::vector<std::string> urls;     // of the options, those to fetch from, in order of preference
  std::string note;                  // why there is no manifest; empty when there is one
  // What the whole file is to be checked against, besides the manifest if there is one.
  std::optional<ExpectedDigest> digest = {};
  // The origin does not tell the size: `content` means nothing yet. Never with a manifest.
  bool length_unknown = false;
  // Origins that a document or a reply named (RFC 6249, Metalink). They have not been asked.
  std::vector<OriginSpec> found = {};
  std::string manifest_url = {};  // where the manifest was asked for, as it was named
  // The source is a Metalink, and nothing but this is set.
  std::optional<Metalink> metalink = {};
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

// Order: the demanded manifest; else the one that a Metalink offers; else the origin's Link header
// (rel=describedby, application/x-bittorrent); else URL.torrent; else the Metalink that a Link
// header names and the manifest that this one offers; else none, and the note says so. Only a
// definite answer of the origin counts as "none": while it cannot be reached the search retries,
// and gives up with an error instead of going on without a manifest.
//
// Without a manifest the file rests on a digest of the whole file: one that was demanded, else the
// strongest that a linked Metalink or the origin's reply tells; else on the transport. Mirrors are
// used only if a manifest or a strong digest vouches for what they send. A file of an https origin
// is not described by a document over http.
class ManifestSearch {
 public:
  // REQUIRES: urls, manifest_url or metalink_url not empty.
  ManifestSearch(ManifestSearchOptions options, Sha256Fn sha256, Seed seed, Instant now);

  void handle(const Event& event, Instant now);
  [[nodiscard]] std::optional<SearchCommand> poll_command(Instant now);
  [[nodiscard]] std::optional<Instant> next_wakeup() const { return retry_at_; }
  // Set once, after which nothing is asked any more.
  [[nodiscard]] const std::optional<Result<SearchResult>>& outcome() const { return outcome_; }
  // The failure that is being waited out.
  [[nodiscard]] const std::optional<Error>& waiting_for() const { return waiting_for_; }

 private:
  enum class Step : std::uint8_t { demanded, metalink, probe, offered, linked, sidecar, described };
  struct Document {
    Step step;
    std::string url;
  };

  void ask(Step step, std::string url);
  void send();
  void queue_documents();
  void queue_linked(Step step, std::string_view type);
  void next_document();
  void on(const OriginProbed& fact);
  void on(const DocumentFetched& fact);
  void on(const RequestFailed& fact, Instant now);
  void read_manifest(const DocumentFetched& fact);
  void read_metalink(const DocumentFetched& fact);
  void add_mirror(OriginSpec mirror);
  [[nodiscard]] DigestChoice choose() const;
  void finish_without_manifest();

  ManifestSearchOptions options_;
  Sha256Fn sha256_;
  Prng prng_;
  Backoff backoff_;
  Step step_ = Step::probe;
  std::string asked_url_;
  std::deque<Document> documents_;  // still to be looked at
  std::string none_because_;
  std::vector<ExpectedDigest> told_;  // by the origin and what it links to
  std::vector<OriginSpec> found_;
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
