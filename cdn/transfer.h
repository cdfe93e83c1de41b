// One request on its way, over all its redirects: libcurl's callbacks, translated.
#pragma once

#include <curl/curl.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "cdn/client_context.h"
#include "cdn/header_facts.h"
#include "cdn/origin_source.h"
#include "cdn/reply_rules.h"
#include "engine/core/events.h"
#include "engine/ports/loop.h"

namespace lanward::cdn {

// Everything but revoke() is for the curl thread. The gate makes the promise of cancel: sink and
// facts are used only with the gate locked and open, and whoever closes it owns them.
//
// Redirects are followed here and not by libcurl, which would take custom headers along to any
// host. Each hop has an easy handle of its own, so none can inherit what another was given.
class Transfer {
 public:
  Transfer(core::RequestId id, std::string url, std::shared_ptr<ClientContext> client)
      : id_(id), url_(std::move(url)), hop_url_(url_), client_(std::move(client)) {}
  virtual ~Transfer() = default;
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  // Any thread. After it returns the sink is gone and no fact follows.
  void revoke();

  // Null: could not be started; the fact has been given.
  [[nodiscard]] CURL* begin(const OriginOptions& options);
  [[nodiscard]] CURL* handle() const { return easy_.get(); }
  // Tries again what a full sink refused. Another code than CURLE_OK means that the transfer has
  // ended with it: libcurl reports such an end nowhere else.
  [[nodiscard]] CURLcode unpause();
  // Of a transfer that waits for the rate limit of its client: since when, and when it is to be
  // tried again by unthrottle(), whose answer is as that of unpause(); `now` or earlier: at once.
  [[nodiscard]] std::optional<core::Instant> throttled_until(core::Instant now);
  [[nodiscard]] core::Instant throttled_since() const { return throttled_since_; }
  [[nodiscard]] CURLcode unthrottle(core::Instant now);
  // A transfer under a rate limit that has not brought a byte for the time that is allowed.
  [[nodiscard]] bool is_stalled(const OriginOptions& options, core::Instant now);
  // The handle has ended and is off the multi handle. Not null: the handle of the next hop, and the
  // one before is gone. Null: the transfer has ended and the last facts have been given.
  [[nodiscard]] CURL* finish(CURLcode code, const OriginOptions& options);
  void report_progress();
  // Bytes that libcurl has brought since the last call.
  [[nodiscard]] std::uint64_t take_byte_count() { return std::exchange(bytes_, 0); }

 protected:
  using Bytes = std::span<const std::byte>;
  enum class Taken : std::uint8_t { all, none_now, refused };
  // What the headers lead to. Of `satisfied` and `refused` the body is of no use.
  enum class Verdict : std::uint8_t { wanted, satisfied, refused };

  // Those below are called with the gate locked and open, but for drop_sink() by revoke().
  virtual void set_options(CURL* easy) = 0;  // once a hop
  virtual Verdict judge(ReplyHeaders&& reply) = 0;
  virtual Taken take(Bytes bytes) = 0;
  // The last fact of a wanted body that has ended well, or of a satisfied request.
  [[nodiscard]] virtual Judged<core::Event> complete() = 0;
  // Gives what has been accepted since the last time.
  virtual void progress() {}
  // Whether its body counts for the rate limit of its client.
  [[nodiscard]] virtual bool is_metered() const { return false; }
  // Lets the sink go, with what it holds or without.
  virtual void drop_sink(bool flush) { static_cast<void>(flush); }

  void give(core::Event fact) const { client_->give(std::move(fact)); }
  // Notes why the transfer ends; the fact follows when it has ended.
  void refuse(core::FailureClass kind, std::string message);
  void refuse(core::Failure failure) { refusal_ = std::move(failure); }
  void set_header(const std::string& line);
  // After redirects.
  [[nodiscard]] const std::string& effective_url() const { return hop_url_; }
  [[nodiscard]] core::RequestId id() const { return id_; }
  [[nodiscard]] const std::string& url() const { return url_; }

 private:
  struct EasyCleanup {
    void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
  };
  struct ListCleanup {
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  };
  enum class Body : std::uint8_t { unjudged, wanted, discarded };

  static std::size_t on_header(char* data, std::size_t size, std::size_t count, void* self);
  static std::size_t on_body(char* data, std::size_t size, std::size_t count, void* self);
  // Null: the transfer has ended.
  [[nodiscard]] CURL* start_hop(const OriginOptions& options);
  [[nodiscard]] CURL* follow(const OriginOptions& options);
  void set_common_options(const OriginOptions& options);
  void set_security_options(const OriginOptions& options);
  void set_proxy_options();
  void refuse_redirect_body();
  // Whether the reply is a 401 that another request with the same handle can answer.
  [[nodiscard]] bool can_answer(const ReplyHeaders& reply) const;
  [[nodiscard]] CURL* answer_challenge();
  // Whether a 407 of the proxy can be answered with other than Basic credentials.
  [[nodiscard]] bool can_answer_proxy() const;
  // False: the body has to wait for the rate limit.
  [[nodiscard]] bool pay_for(std::size_t bytes);
  [[nodiscard]] bool add_header_line(std::string_view line);
  // Decides on the reply once its headers are complete. False: stop the transfer now.
  [[nodiscard]] bool decide();
  [[nodiscard]] Judged<core::Event> outcome(CURLcode code);
  void end(core::Event last_fact);
  [[nodiscard]] core::Failure classify(CURLcode code) const;
  [[nodiscard]] core::Failure with_url(core::Failure failure) const;

  const core::RequestId id_;
  const std::string url_;  // as asked for
  std::string hop_url_;    // of the redirect that is being followed

  std::mutex gate_;
  bool open_ = true;
  std::shared_ptr<ClientContext> client_;  // gone when closed
  std::uint32_t redirects_ = 0;

  std::unique_ptr<CURL, EasyCleanup> easy_;
  std::unique_ptr<curl_slist, ListCleanup> headers_;
  char curl_text_[CURL_ERROR_SIZE] = {};
  std::string header_block_;
  std::size_t header_bytes_ = 0;  // of all replies
  bool header_block_ended_ = false;
  std::string location_;  // of a redirect to follow when its body has ended
  bool paused_ = false;
  bool throttled_ = false;
  core::Instant throttled_since_{};
  std::size_t paid_ = 0;           // bytes of the rate limit that were taken and not yet used
  core::Instant last_activity_{};  // while the client has a rate limit
  bool watched_here_ = false;      // and not by libcurl
  bool digest_ = false;            // of this hop: libcurl asks for a challenge and answers it
  bool challenged_ = false;        // of this hop
  bool answer_ = false;            // what has come is a challenge to answer
  bool proxy_user_ = false;        // of this hop: it goes through a proxy with credentials of ours
  bool proxy_other_ = false;       // of this hop: by other means than Basic
  std::uint32_t proxy_challenges_ = 0;  // of this hop
  bool answer_proxy_ = false;           // what has come is a proxy's refusal of Basic
  Body body_ = Body::unjudged;
  std::uint64_t discarded_ = 0;
  bool satisfied_ = false;
  std::uint64_t bytes_ = 0;  // of the body, since take_byte_count()
  std::optional<core::Failure> refusal_;
};

}  // namespace lanward::cdn
