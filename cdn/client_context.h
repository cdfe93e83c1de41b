// What the requests of one client share: its settings, made ready for libcurl, where its facts go,
// and the last reply.
#pragma once

#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/core/events.h"
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
  // The lines for CURLOPT_HTTPHEADER of a request to this URL: all or none.
  [[nodiscard]] std::vector<std::string> headers_for(const std::string& url) const;

  // A reply has come; `block` is its status line and headers.
  void note_reply(std::string_view block);
  [[nodiscard]] std::string reply_headers() const;

 private:
  const ports::FactSink facts_;
  const ports::OriginSettings settings_;
  ProxyAddress proxy_;
  std::string fault_;
  mutable std::mutex mutex_;
  std::string reply_headers_;  // guarded by mutex_
};

}  // namespace lanward::cdn
