#include "cdn/transfer.h"

#include <algorithm>
#include <cstring>
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

// Challenges of a proxy that libcurl answers itself: NTLM has two, Digest one and another when the
// first has grown old.
constexpr std::uint32_t kProxyChallengesMax = 2;

// A transfer that waits for its rate limit is looked at no more often: a fraction of the burst that
// the limit saves up meanwhile, so nothing is lost by it.
constexpr core::Duration kThrottleStep = std::chrono::milliseconds{5};

[[nodiscard]] core::Instant now() {
  return core::Instant(std::chrono::duration_cast<core::Duration>(
      std::chrono::steady_clock::now().time_since_epoch()));
}

[[nodiscard]] bool has_user_info(const std::string& url) {
  const auto parts = split_url(url);
  return parts && !(parts->user.empty() && parts->password.empty());
}

[[nodiscard]] bool offers(const ReplyHeaders& reply, std::string_view scheme) {
  return std::find(reply.challenges.begin(), reply.challenges.end(), scheme) !=
         reply.challenges.end();
}

[[nodiscard]] bool is_redirect(int status) { return status >= 300 && status < 400; }

[[nodiscard]] bool is_http(std::string_view scheme) {
  return scheme == "http" || scheme == "https";
}

// Answers of a proxy to CONNECT that another attempt does not change.
[[nodiscard]] bool is_final_refusal(long status) {
  return status >= 400 && status < 500 && status != 408 && status != 425 && status != 429;
}

[[nodiscard]] FailureClass class_of(CURLcode code) {
  switch (code) {
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CLIENTCERT:
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
  client_.reset();
}

CURL* Transfer::begin(const OriginOptions& options) {
  const std::lock_guard lock(gate_);
  if (!open_) return nullptr;
  if (!client_->fault().empty()) {
    refuse(FailureClass::permanent, client_->fault());
  } else if (url_.find('\0') != std::string::npos || !is_http(url_scheme(url_))) {
    refuse(FailureClass::permanent, "not a http or https URL");
  }
  return start_hop(options);
}

CURL* Transfer::start_hop(const OriginOptions& options) {
  easy_.reset();
  headers_.reset();
  if (!refusal_) {
    easy_.reset(curl_easy_init());
    if (!easy_) refuse(FailureClass::transient, "out of memory for a request");
  }
  if (easy_) {
    curl_text_[0] = '\0';
    paused_ = false;
    throttled_ = false;
    challenged_ = false;
    proxy_challenges_ = 0;
    body_ = Body::unjudged;
    discarded_ = 0;
    last_activity_ = now();
    watched_here_ = false;
    set_common_options(options);
    set_security_options(options);
    set_options(easy_.get());
    for (const std::string& line : client_->headers_for(hop_url_)) set_header(line);
    curl_easy_setopt(easy_.get(), CURLOPT_HTTPHEADER, headers_.get());
  }
  if (!refusal_) return easy_.get();
  easy_.reset();
  drop_sink(false);
  end(core::RequestFailed{id_, with_url(std::move(*refusal_))});
  return nullptr;
}

CURL* Transfer::follow(const OriginOptions& options) {
  std::string next = redirect_url(hop_url_, std::exchange(location_, {}));
  const std::string scheme = url_scheme(next);
  if (redirects_++ == options.redirects_max) {
    refuse(FailureClass::permanent,
           "more than " + std::to_string(options.redirects_max) + " redirects");
  } else if (!is_http(scheme)) {
    refuse(FailureClass::permanent, "refused a redirect to what is no http or https URL");
  } else if (scheme == "http" && url_scheme(hop_url_) == "https" &&
             !client_->settings().allow_https_to_http_redirects) {
    refuse(FailureClass::permanent, "refused a redirect from https to http");
  } else {
    hop_url_ = std::move(next);
  }
  return start_hop(options);
}

void Transfer::set_common_options(const OriginOptions& options) {
  CURL* const easy = easy_.get();
  const auto set = [easy](CURLoption option, auto value) { curl_easy_setopt(easy, option, value); };
  set(CURLOPT_PRIVATE, static_cast<void*>(this));
  set(CURLOPT_ERRORBUFFER, curl_text_);
  set(CURLOPT_URL, hop_url_.c_str());
  set(CURLOPT_USERAGENT, options.user_agent.c_str());
  set(CURLOPT_HEADERFUNCTION, &Transfer::on_header);
  set(CURLOPT_HEADERDATA, static_cast<void*>(this));
  set(CURLOPT_WRITEFUNCTION, &Transfer::on_body);
  set(CURLOPT_WRITEDATA, static_cast<void*>(this));
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);  // a proxy's reply is not the origin's
  set(CURLOPT_NOSIGNAL, 1L);
  // A cancelled name look-up must not hold up the other transfers until it has timed out.
  set(CURLOPT_QUICK_EXIT, 1L);
  set(CURLOPT_HTTP_VERSION,
      static_cast<long>(options.http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
  // Ranges side by side share one connection where HTTP/2 is offered, so they wait for the first to
  // find out. In the clear there is nothing to wait for.
  set(CURLOPT_PIPEWAIT, options.http2 && url_scheme(hop_url_) == "https" ? 1L : 0L);
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_FOLLOWLOCATION, 0L);  // see follow()
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout.count()));
  set(CURLOPT_LOW_SPEED_LIMIT, static_cast<long>(options.low_speed_bytes_per_s));
  set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(options.low_speed_time.count()));
  set(CURLOPT_BUFFERSIZE, kReceiveBufferBytes);
  set(CURLOPT_TCP_NODELAY, 1L);
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  set(CURLOPT_TCP_KEEPIDLE, kKeepAliveIdleSeconds);
  set_proxy_options();
  // Ranges and hashes count the bytes of the file, never those of a coded form.
  set_header("Accept-Encoding: identity");
}

void Transfer::set_security_options(const OriginOptions& options) {
  CURL* const easy = easy_.get();
  const auto set = [easy](CURLoption option, auto value) { curl_easy_setopt(easy, option, value); };
  if (!options.ca_file.empty() || !options.ca_directory.empty()) {
    const auto path = [](const std::string& s) { return s.empty() ? nullptr : s.c_str(); };
    for (const CURLoption option : {CURLOPT_CAINFO, CURLOPT_PROXY_CAINFO}) {
      set(option, path(options.ca_file));
    }
    for (const CURLoption option : {CURLOPT_CAPATH, CURLOPT_PROXY_CAPATH}) {
      set(option, path(options.ca_directory));
    }
  }
  const ports::OriginSettings& settings = client_->settings();
  if (!settings.client_certificate.empty() && client_->names(hop_url_)) {
    const std::string& key =
        settings.client_key.empty() ? settings.client_certificate : settings.client_key;
    set(CURLOPT_SSLCERT, settings.client_certificate.c_str());
    set(CURLOPT_SSLKEY, key.c_str());
  }
  // Credentials are what the caller has put into the URL, and nothing that lies about.
  set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  // Basic goes along with the first request and costs no round trip. A server that wants Digest
  // costs one request more each time, because every request has a challenge of its own.
  digest_ = has_user_info(hop_url_) && client_->wants_digest(hop_url_);
  set(CURLOPT_HTTPAUTH, static_cast<long>(digest_ ? CURLAUTH_DIGEST : CURLAUTH_BASIC));
}

void Transfer::set_proxy_options() {
  CURL* const easy = easy_.get();
  // Our headers are for origins. A proxy that opens a tunnel has no need of them.
  curl_easy_setopt(easy, CURLOPT_HEADEROPT, static_cast<long>(CURLHEADER_SEPARATE));
  const ProxySettings& settings = client_->proxy_settings();
  switch (settings.usage) {
    case ProxySettings::Usage::preconfig:
    case ProxySettings::Usage::autodetect:
      return;  // libcurl reads the environment
    case ProxySettings::Usage::none:
      curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
      return;
    case ProxySettings::Usage::use:
      break;
  }
  const ProxyAddress& proxy = client_->proxy_address();
  curl_easy_setopt(easy, CURLOPT_PROXY, proxy.url.c_str());
  curl_easy_setopt(easy, CURLOPT_NOPROXY,
                   settings.bypass.c_str());  // also if empty: no environment
  proxy_user_ = !proxy.user.empty() || !proxy.password.empty();
  if (!proxy_user_) return;
  // Basic costs no round trip. The others cost one for each request, or for each tunnel.
  proxy_other_ = client_->proxy_refuses_basic();
  const unsigned long others = CURLAUTH_DIGEST | CURLAUTH_NTLM | CURLAUTH_NEGOTIATE;
  curl_easy_setopt(easy, CURLOPT_PROXYAUTH,
                   static_cast<long>(proxy_other_ ? others : CURLAUTH_BASIC));
  curl_easy_setopt(easy, CURLOPT_PROXYUSERNAME, proxy.user.c_str());
  curl_easy_setopt(easy, CURLOPT_PROXYPASSWORD, proxy.password.c_str());
}

void Transfer::set_header(const std::string& line) {
  curl_slist* const longer = curl_slist_append(headers_.get(), line.c_str());
  if (longer == nullptr) return refuse(FailureClass::transient, "out of memory for a request");
  static_cast<void>(headers_.release());
  headers_.reset(longer);
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
  // The challenge that libcurl has asked for and answers itself.
  if (status == 401 && digest_ && !std::exchange(challenged_, true)) return true;
  if (status == 407 && proxy_other_ && proxy_challenges_++ < kProxyChallengesMax) return true;
  // An interim reply is followed by the real one.
  return status < 200 || decide();
}

bool Transfer::can_answer(const ReplyHeaders& reply) const {
  return reply.status == 401 && !digest_ && offers(reply, "digest") && !offers(reply, "basic") &&
         has_user_info(hop_url_);
}

bool Transfer::can_answer_proxy() const { return proxy_user_ && !proxy_other_; }

bool Transfer::decide() {
  const std::string block = std::exchange(header_block_, {});
  ReplyHeaders reply = parse_reply_headers(block, std::chrono::system_clock::now());
  const auto length = reply.content_length;
  const std::lock_guard lock(gate_);
  if (!open_) return false;
  client_->note_reply(block);
  if (can_answer(reply)) {
    answer_ = true;
    body_ = Body::discarded;
    return length && *length <= kDiscardBytesMax;
  }
  if (reply.status == 407 && can_answer_proxy()) {
    answer_proxy_ = true;
    body_ = Body::discarded;
    return length && *length <= kDiscardBytesMax;
  }
  if (is_redirect(reply.status) && !reply.location.empty()) {
    location_ = std::move(reply.location);
    body_ = Body::discarded;
    if (!length || *length <= kDiscardBytesMax) return true;
    refuse_redirect_body();
    return false;
  }
  const int status = reply.status;
  const Verdict verdict = judge(std::move(reply));
  // A 407 is the word of a proxy.
  if (refusal_ && status >= 400 && status < 500 && status != 407) refusal_->refused = true;
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
    if (transfer.discarded_ <= kDiscardBytesMax) return count;
    if (!transfer.location_.empty()) transfer.refuse_redirect_body();
    return 0;
  }
  const std::lock_guard lock(transfer.gate_);
  if (!transfer.open_) return 0;
  if (!transfer.pay_for(count)) return CURL_WRITEFUNC_PAUSE;
  switch (transfer.take({reinterpret_cast<const std::byte*>(data), count})) {
    case Taken::all:
      transfer.paid_ = 0;
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
  last_activity_ = now();
  return curl_easy_pause(easy_.get(), CURLPAUSE_CONT);
}

bool Transfer::pay_for(std::size_t bytes) {
  if (!is_metered() || !client_->limited()) return true;
  last_activity_ = now();
  if (paid_ >= bytes) return true;
  if (client_->take_tokens(core::ByteCount{bytes - paid_}, last_activity_)) {
    paid_ = bytes;
    return true;
  }
  throttled_ = true;
  throttled_since_ = last_activity_;
  return false;
}

std::optional<core::Instant> Transfer::throttled_until(core::Instant now) {
  if (!throttled_) return std::nullopt;
  const std::lock_guard lock(gate_);
  if (!open_ || !client_->limited()) return throttled_since_;
  return std::max(client_->tokens_ready(now), throttled_since_ + kThrottleStep);
}

CURLcode Transfer::unthrottle(core::Instant now) {
  if (!std::exchange(throttled_, false)) return CURLE_OK;
  last_activity_ = now;
  return curl_easy_pause(easy_.get(), CURLPAUSE_CONT);
}

// libcurl takes a transfer that was held up for a slow one, so its own watch is off under a limit.
bool Transfer::is_stalled(const OriginOptions& options, core::Instant now) {
  const std::lock_guard lock(gate_);
  if (!open_ || !is_metered()) return false;
  const bool limited = client_->limited();
  const bool fresh = std::exchange(watched_here_, limited) != limited;
  if (fresh) {
    const auto time = limited ? std::chrono::seconds{0} : options.low_speed_time;
    curl_easy_setopt(easy_.get(), CURLOPT_LOW_SPEED_TIME, static_cast<long>(time.count()));
  }
  if (!limited) return false;
  // A request that waits for a connection, or for one to come about, is not the server's to answer.
  curl_off_t sent = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_PRETRANSFER_TIME_T, &sent);
  if (fresh || sent == 0) last_activity_ = now;
  return !paused_ && !throttled_ && now - last_activity_ > options.low_speed_time;
}

CURL* Transfer::finish(CURLcode code, const OriginOptions& options) {
  // A reply without a body that was put off by add_header_line().
  if (code == CURLE_OK && body_ == Body::unjudged) static_cast<void>(decide());
  const std::lock_guard lock(gate_);
  if (!open_) return nullptr;
  if (!refusal_ && std::exchange(answer_, false)) return answer_challenge();
  long tunnel = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_HTTP_CONNECTCODE, &tunnel);
  const bool refused_tunnel = code != CURLE_OK && tunnel == 407 && can_answer_proxy();
  if (!refusal_ && (std::exchange(answer_proxy_, false) || refused_tunnel)) {
    client_->note_proxy_refusal();
    return start_hop(options);
  }
  if (code == CURLE_OK && !refusal_ && !location_.empty()) return follow(options);
  Judged<core::Event> last = outcome(code);
  drop_sink(true);
  progress();
  end(last ? std::move(*last) : core::RequestFailed{id_, with_url(std::move(last.error()))});
  return nullptr;
}

// libcurl keeps the challenge with the handle, so the same one answers with a single request.
CURL* Transfer::answer_challenge() {
  client_->note_digest(hop_url_);
  digest_ = true;
  challenged_ = true;  // another 401 is the last word
  body_ = Body::unjudged;
  discarded_ = 0;
  curl_easy_setopt(easy_.get(), CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_DIGEST));
  return easy_.get();
}

Judged<core::Event> Transfer::outcome(CURLcode code) {
  if (refusal_) return tl::unexpected(std::move(*refusal_));
  if (code != CURLE_OK && !satisfied_) return tl::unexpected(classify(code));
  return complete();
}

void Transfer::end(core::Event last_fact) {
  open_ = false;
  give(std::move(last_fact));
  client_.reset();
}

void Transfer::report_progress() {
  const std::lock_guard lock(gate_);
  if (open_) progress();
}

void Transfer::refuse(FailureClass kind, std::string message) {
  refuse(Failure{kind, core::Duration{0}, std::move(message)});
}

void Transfer::refuse_redirect_body() {
  refuse(FailureClass::protocol,
         "the body of a redirect is longer than " + std::to_string(kDiscardBytesMax) + " bytes");
}

Failure Transfer::classify(CURLcode code) const {
  long connect_status = 0;
  long sent = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_HTTP_CONNECTCODE, &connect_status);
  curl_easy_getinfo(easy_.get(), CURLINFO_REQUEST_SIZE, &sent);
  FailureClass kind = class_of(code);
  // libcurl's word for a reply that is not HTTP/1 or later.
  if (code == CURLE_UNSUPPORTED_PROTOCOL && sent > 0) kind = FailureClass::protocol;
  if (is_final_refusal(connect_status)) {
    return Failure{FailureClass::permanent, core::Duration{0},
                   "the proxy answered " + std::to_string(connect_status)};
  }
  // A text that repeats a URL may hold the credentials of a proxy that the environment names.
  const bool clean = curl_text_[0] != '\0' && std::strchr(curl_text_, '@') == nullptr;
  const char* const text = clean ? curl_text_ : curl_easy_strerror(code);
  // With TLS 1.3 the refusal comes after the handshake, and libcurl has no code for it.
  if (std::strstr(curl_text_, "alert certificate required") != nullptr) {
    kind = FailureClass::permanent;
  }
  Failure failure{kind, core::Duration{0}, printable(text)};
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      failure.unreachable = true;
      failure.message = "the name was not resolved: " + failure.message;
      break;
    case CURLE_COULDNT_CONNECT:
      failure.unreachable = true;
      failure.message = "no connection: " + failure.message;
      break;
    case CURLE_SSL_CONNECT_ERROR:
      failure.message = "TLS could not be set up: " + failure.message;
      break;
    case CURLE_OPERATION_TIMEDOUT:
      failure.unreachable = header_bytes_ == 0;
      break;
    default:
      break;
  }
  return failure;
}

Failure Transfer::with_url(Failure failure) const {
  std::string where = printable_url(url_);
  if (hop_url_ != url_) {
    const std::string last = printable_url(hop_url_);
    if (last != where) where += " (redirected to " + last + ")";
  }
  failure.message = where + ": " + failure.message;
  return failure;
}

}  // namespace lanward::cdn
