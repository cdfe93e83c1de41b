#include "cdn/transfer.h"

#include <algorithm>
#include <utility>

#include "cdn/url.h"

namespace lanward::cdn {
namespace {

using core::Failure;
using core::FailureClass;

// The buffer that one read from the socket fills; see docs of CURLOPT_BUFFERSIZE. Larger ones cost
// cache misses, smaller ones system calls; measured over loopback.
constexpr long kReceiveBufferBytes = 256 * 1024;
// A useless body up to this length is read to its end, because that is cheaper than a new
// connection; a longer one ends the connection.
constexpr std::uint64_t kDiscardBytesMax = 64 * core::kKiB;
// Headers of all interim replies, redirects and the last one together: a server that sends interim
// replies without end is stopped here.
constexpr std::size_t kHeaderBytesMax = 4 * kHeaderBlockBytesMax;
// Idle time before the kernel asks whether the peer is still there: below the 60 s after which
// common NAT boxes and balancers forget a connection.
constexpr long kKeepAliveIdleSeconds = 45;

[[nodiscard]] bool is_redirect(int status) { return status >= 300 && status < 400; }

[[nodiscard]] FailureClass class_of(CURLcode code) {
  switch (code) {
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_TOO_MANY_REDIRECTS:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_LOGIN_DENIED:
    case CURLE_REMOTE_ACCESS_DENIED:
    case CURLE_BAD_FUNCTION_ARGUMENT:
    case CURLE_UNKNOWN_OPTION:
    case CURLE_NOT_BUILT_IN:
      return FailureClass::permanent;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_FILESIZE_EXCEEDED:
      return FailureClass::protocol;
    default:
      // Resolving, connecting, time-outs, resets, short bodies, HTTP/2 errors. A cause unknown
      // here is tried again too: the core counts failures in a row.
      return FailureClass::transient;
  }
}

}  // namespace

void Transfer::revoke() {
  {
    const std::lock_guard lock(gate_);
    if (!std::exchange(open_, false)) return;
  }
  drop_sink(false);
  facts_.reset();
}

CURL* Transfer::begin(const OriginOptions& options) {
  const std::lock_guard lock(gate_);
  if (!open_) return nullptr;
  const std::string scheme = url_scheme(url_);
  if (url_.find('\0') != std::string::npos || (scheme != "http" && scheme != "https")) {
    refuse(FailureClass::permanent, "not a http or https URL");
  } else {
    was_https_ = scheme == "https";
    easy_.reset(curl_easy_init());
    if (!easy_) refuse(FailureClass::transient, "out of memory for a request");
  }
  if (easy_) {
    set_common_options(options);
    set_options(easy_.get());
    curl_easy_setopt(easy_.get(), CURLOPT_HTTPHEADER, headers_.get());
  }
  if (!refusal_) return easy_.get();
  easy_.reset();
  drop_sink(false);
  end(core::RequestFailed{id_, with_url(std::move(*refusal_))});
  return nullptr;
}

void Transfer::set_common_options(const OriginOptions& options) {
  CURL* const easy = easy_.get();
  const auto set = [easy](CURLoption option, auto value) { curl_easy_setopt(easy, option, value); };
  set(CURLOPT_PRIVATE, static_cast<void*>(this));
  set(CURLOPT_ERRORBUFFER, curl_text_);
  set(CURLOPT_URL, url_.c_str());
  set(CURLOPT_USERAGENT, options.user_agent.c_str());
  set(CURLOPT_HEADERFUNCTION, &Transfer::on_header);
  set(CURLOPT_HEADERDATA, static_cast<void*>(this));
  set(CURLOPT_WRITEFUNCTION, &Transfer::on_body);
  set(CURLOPT_WRITEDATA, static_cast<void*>(this));
  set(CURLOPT_PREREQFUNCTION, &Transfer::on_request);
  set(CURLOPT_PREREQDATA, static_cast<void*>(this));
  set(CURLOPT_XFERINFOFUNCTION, &Transfer::on_progress);
  set(CURLOPT_XFERINFODATA, static_cast<void*>(this));
  set(CURLOPT_NOPROGRESS, 0L);
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);  // a proxy's reply is not the origin's
  set(CURLOPT_NOSIGNAL, 1L);
  // A cancelled name look-up must not hold up the other transfers until it has timed out.
  set(CURLOPT_QUICK_EXIT, 1L);
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  // on_request() repeats the check for a chain that turns back to http; this one saves connecting.
  set(CURLOPT_REDIR_PROTOCOLS_STR, was_https_ ? "https" : "http,https");
  set(CURLOPT_FOLLOWLOCATION, 1L);
  set(CURLOPT_MAXREDIRS, static_cast<long>(options.redirects_max));
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout.count()));
  set(CURLOPT_LOW_SPEED_LIMIT, static_cast<long>(options.low_speed_bytes_per_s));
  set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(options.low_speed_time.count()));
  set(CURLOPT_BUFFERSIZE, kReceiveBufferBytes);
  set(CURLOPT_TCP_NODELAY, 1L);
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  set(CURLOPT_TCP_KEEPIDLE, kKeepAliveIdleSeconds);
  if (!options.ca_file.empty()) set(CURLOPT_CAINFO, options.ca_file.c_str());
  // Ranges and hashes count the bytes of the file, never those of a coded form.
  set_header("Accept-Encoding: identity");
}

void Transfer::set_header(const std::string& line) {
  curl_slist* const longer = curl_slist_append(headers_.get(), line.c_str());
  if (longer == nullptr) return refuse(FailureClass::transient, "out of memory for a request");
  static_cast<void>(headers_.release());
  headers_.reset(longer);
}

int Transfer::on_request(void* self, char*, char*, int, int) {
  auto& transfer = *static_cast<Transfer*>(self);
  const bool https = url_scheme(transfer.effective_url()) == "https";
  if (transfer.was_https_ && !https) {
    transfer.refuse(FailureClass::permanent, "refused a redirect from https to http");
    return CURL_PREREQFUNC_ABORT;
  }
  transfer.was_https_ = https;
  return CURL_PREREQFUNC_OK;
}

int Transfer::on_progress(void* self, curl_off_t, curl_off_t received, curl_off_t, curl_off_t) {
  auto& transfer = *static_cast<Transfer*>(self);
  // libcurl reads and drops the body of a redirect, which on_body() does not see.
  if (transfer.body_ != Body::unjudged || received <= static_cast<curl_off_t>(kDiscardBytesMax)) {
    return 0;
  }
  transfer.refuse(FailureClass::protocol, "the body of a redirect is longer than " +
                                              std::to_string(kDiscardBytesMax) + " bytes");
  return 1;
}

std::size_t Transfer::on_header(char* data, std::size_t, std::size_t count, void* self) {
  return static_cast<Transfer*>(self)->add_header_line({data, count}) ? count : 0;
}

bool Transfer::add_header_line(std::string_view line) {
  if (body_ != Body::unjudged) return true;                              // trailers
  if (std::exchange(header_block_ended_, false)) header_block_.clear();  // the reply before
  header_bytes_ += line.size();
  const std::size_t block_bytes = header_block_.size() + line.size();
  if (block_bytes > kHeaderBlockBytesMax || header_bytes_ > kHeaderBytesMax) {
    const auto most = block_bytes > kHeaderBlockBytesMax ? kHeaderBlockBytesMax : kHeaderBytesMax;
    refuse(FailureClass::protocol,
           "the reply has more than " + std::to_string(most) + " bytes of headers");
    return false;
  }
  header_block_ += line;
  if (line != "\r\n" && line != "\n") return true;
  header_block_ended_ = true;
  long status = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
  // An interim reply is followed by the real one, a redirect by that of the next host. One that
  // leads nowhere is decided on when its body begins or ends.
  if (status < 200 || is_redirect(static_cast<int>(status))) return true;
  return decide();
}

bool Transfer::decide() {
  ReplyHeaders reply = parse_reply_headers(header_block_, std::chrono::system_clock::now());
  header_block_ = {};
  const auto length = reply.content_length;
  const std::lock_guard lock(gate_);
  if (!open_) return false;
  const Verdict verdict = judge(std::move(reply));
  body_ = verdict == Verdict::wanted ? Body::wanted : Body::discarded;
  satisfied_ = verdict == Verdict::satisfied;
  return verdict == Verdict::wanted || (length && *length <= kDiscardBytesMax);
}

std::size_t Transfer::on_body(char* data, std::size_t, std::size_t count, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  transfer.bytes_ += count;
  if (transfer.body_ == Body::unjudged && !transfer.decide()) return 0;
  if (transfer.body_ == Body::discarded) {
    transfer.discarded_ += count;
    return transfer.discarded_ <= kDiscardBytesMax ? count : 0;
  }
  const std::lock_guard lock(transfer.gate_);
  if (!transfer.open_) return 0;
  switch (transfer.take({reinterpret_cast<const std::byte*>(data), count})) {
    case Taken::all:
      return count;
    case Taken::none_now:
      transfer.paused_ = true;
      return CURL_WRITEFUNC_PAUSE;
    case Taken::refused:
      break;
  }
  return 0;
}

CURLcode Transfer::unpause() {
  if (!std::exchange(paused_, false)) return CURLE_OK;
  return curl_easy_pause(easy_.get(), CURLPAUSE_CONT);
}

void Transfer::finish(CURLcode code) {
  // A reply without a body that was put off by add_header_line().
  if (code == CURLE_OK && body_ == Body::unjudged) static_cast<void>(decide());
  const std::lock_guard lock(gate_);
  if (!open_) return;
  Judged<core::Event> last = outcome(code);
  drop_sink(true);
  progress();
  end(last ? std::move(*last) : core::RequestFailed{id_, with_url(std::move(last.error()))});
}

Judged<core::Event> Transfer::outcome(CURLcode code) {
  if (refusal_) return tl::unexpected(std::move(*refusal_));
  if (code != CURLE_OK && !satisfied_) return tl::unexpected(classify(code));
  return complete();
}

void Transfer::end(core::Event last_fact) {
  open_ = false;
  give(std::move(last_fact));
  facts_.reset();
}

void Transfer::report_progress() {
  const std::lock_guard lock(gate_);
  if (open_) progress();
}

void Transfer::refuse(FailureClass kind, std::string message) {
  refuse(Failure{kind, core::Duration{0}, std::move(message)});
}

std::string Transfer::effective_url() const {
  const char* text = nullptr;
  curl_easy_getinfo(easy_.get(), CURLINFO_EFFECTIVE_URL, &text);
  return text != nullptr ? text : url_;
}

Failure Transfer::classify(CURLcode code) const {
  long status = 0;
  long sent = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(easy_.get(), CURLINFO_REQUEST_SIZE, &sent);
  FailureClass kind = class_of(code);
  // libcurl's word for a reply that is not HTTP/1 or later; a redirect would have a status.
  if (code == CURLE_UNSUPPORTED_PROTOCOL && sent > 0 && !is_redirect(static_cast<int>(status))) {
    kind = FailureClass::protocol;
  }
  const char* const text = curl_text_[0] != '\0' ? curl_text_ : curl_easy_strerror(code);
  return Failure{kind, core::Duration{0}, printable(text)};
}

Failure Transfer::with_url(Failure failure) const {
  std::string where = printable_url(url_);
  if (easy_) {
    const std::string last = printable_url(effective_url());
    if (last != where) where += " (redirected to " + last + ")";
  }
  failure.message = where + ": " + failure.message;
  return failure;
}

}  // namespace lanward::cdn
