// HTTP origins: probes, small documents, ranges of files.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <lanward/types.h>

#include "engine/core/events.h"
#include "engine/core/units.h"
#include "engine/ports/content_store.h"
#include "engine/ports/loop.h"

namespace lanward::ports {

struct RangeRequest {
  std::string url;
  core::ByteSpan span;    // not empty
  core::ByteCount total;  // size of the file; a reply that says otherwise is `changed`
  std::string validator;  // strong ETag, else Last-Modified; empty: none known
  // True: the server is known not to support ranges. `span` is the whole file, asked for without
  // a Range header.
  bool whole_file = false;
  // With whole_file: the server did not tell the length. The body ends where it ends; `span` and
  // `total` mean nothing.
  bool length_unknown = false;
};

// The requests of one transfer. Loop thread only. Every request ends with exactly one fact
// (OriginProbed, DocumentFetched, RangeFinished or RequestFailed) unless it is cancelled first.
// Destroying the client cancels everything; no sink is touched after the destructor returns.
class OriginClient {
 public:
  virtual ~OriginClient() = default;
  // Asks for the facts of a URL with a GET of the range 0-0, whose body is thrown away.
  virtual void probe(core::RequestId request, const std::string& url) = 0;
  // Fetches a small document, at most `limit` bytes (more is a permanent failure).
  virtual void fetch_document(core::RequestId request, const std::string& url,
                              core::ByteCount limit) = 0;
  virtual void fetch_range(core::RequestId request, const RangeRequest& range,
                           std::unique_ptr<RangeSink> sink) = 0;
  // The sink of a sink-full range has room again. Unknown requests are ignored. Any thread.
  virtual void continue_range(core::RequestId request) = 0;
  // From now on the bodies of all ranges of this client together come no faster than this, but for
  // bursts of core::TokenBucket; also those on their way. Zero, as at birth: no limit. Probes and
  // documents are small and not held up. Waiting for the rate is no failure: no time-out counts it.
  virtual void set_rate_limit(core::ByteRate rate) = 0;
  // Idempotent; unknown requests are ignored. No fact about the request follows, no byte is
  // accepted after it returns.
  virtual void cancel(core::RequestId request) = 0;
  // Status line and headers of the last reply that came for this client, as they were sent, at most
  // kReplyHeadersBytesMax; empty before. Any thread.
  [[nodiscard]] virtual std::string reply_headers() const = 0;
};
// What a server may reasonably say, and what a job may keep.
inline constexpr std::size_t kReplyHeadersBytesMax = 16 * core::kKiB;

// How the requests of one client are made.
struct OriginSettings {
  ProxySettings proxy;
  std::vector<std::string> headers;  // "Name: value"; checked
  // Hosts ("host" or "host:port") that are sent the headers; no other host is, also after
  // redirects.
  std::vector<std::string> header_hosts;
  // PEM files of a certificate and its key, shown to the same hosts when they ask; empty: none.
  std::string client_certificate = {};
  std::string client_key = {};  // empty: in the file of the certificate
  bool allow_https_to_http_redirects = false;
};

class OriginSource {
 public:
  virtual ~OriginSource() = default;
  [[nodiscard]] virtual std::unique_ptr<OriginClient> connect(FactSink facts,
                                                              OriginSettings settings) = 0;
};

}  // namespace lanward::ports
