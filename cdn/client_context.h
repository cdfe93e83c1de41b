// What the requests of one client share: its settings, made ready for libcurl, where its facts go,
// and the last reply.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/core/events.h"
#include "engine/core/token_bucket.h"
#include "engine/core/units.h"
#include "engine/ports/loop.h"
#include "engine/ports/origin.h"

namespace lanward::cdn {

// The proxy of ProxySettings::Usage::use in parts: libcurl repeats the URL in its messages, so the
// credentials are kept apart.
struct ProxyAddress {
  std::string url;  // scheme://host[:port]
  std::string user;
  std::string password;
};

// Any thread.
class ClientContext {
 public:
  ClientContext(ports::FactSink facts, ports::OriginSettings settings);

  void give(core::Event fact) const { facts_(std::move(fact)); }
  // Why no request can be made with these settings; empty: they can be made.
  [[nodiscard]] const std::string& fault() const { return fault_; }
  [[nodiscard]] const ProxySettings& proxy_settings() const { return settings_.proxy; }
  [[nodiscard]] const ProxyAddress& proxy_address() const { return proxy_; }
  [[nodiscard]] const ports::OriginSettings& settings() const { return settings_; }
  // Whether the URL's host is one that the caller has named: others learn nothing of the caller.
  [[nodiscard]] bool names(const std::string& url) const;
  // The lines for CURLOPT_HTTPHEADER of a request to this URL: all or none.
  [[nodiscard]] std::vector<std::string> headers_for(const std::string& url) const;

  // A reply has come; `block` is its status line and headers.
  void note_reply(std::string_view block);
  [[nodiscard]] std::string reply_headers() const;

  // Servers that refused Basic and asked for Digest: they are not shown the password again.
  void note_digest(const std::string& url);
  [[nodiscard]] bool wants_digest(const std::string& url) const;

  // The proxy has refused Basic: it is asked what else it takes.
  void note_proxy_refusal() { proxy_refuses_basic_ = true; }
  [[nodiscard]] bool proxy_refuses_basic() const { return proxy_refuses_basic_; }

  void set_rate_limit(core::ByteRate rate, core::Instant now);
  [[nodiscard]] bool limited() const { return limited_; }
  // All of the bytes or none, as TokenBucket::take.
  [[nodiscard]] bool take_tokens(core::ByteCount bytes, core::Instant now);
  [[nodiscard]] core::Instant tokens_ready(core::Instant now);

 private:
  const ports::FactSink facts_;
  const ports::OriginSettings settings_;
  ProxyAddress proxy_;
  std::string fault_;
  mutable std::mutex mutex_;
  std::string reply_headers_;            // guarded by mutex_
  std::set<std::string> digest_places_;  // guarded by mutex_
  std::atomic<bool> proxy_refuses_basic_{false};
  std::atomic<bool> limited_{false};
  core::TokenBucket bucket_{core::ByteRate{}, core::Instant{}};  // guarded by mutex_
};

}  // namespace lanward::cdn
