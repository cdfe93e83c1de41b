// HTTP and HTTPS origins through libcurl.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include <lanward/error.h>

#include "engine/ports/origin.h"

namespace lanward::cdn {

struct OriginOptions {
  std::string user_agent = "lanward";
  // Several lost SYNs (1, 3, 7 s) still fit; a host that is down is found out before a person
  // gives up.
  std::chrono::milliseconds connect_timeout{15'000};
  // A reply slower than this, for this long, is as good as dead. 1 KiB/s is below any modem; 20 s
  // outlast a hand-over between radio cells and a slow first byte of a cold CDN.
  std::uint32_t low_speed_bytes_per_s = 1024;
  std::chrono::seconds low_speed_time{20};
  // Browsers follow 20, RFC 2068 advised 5; real CDNs use one or two.
  std::uint32_t redirects_max = 10;
  // Connections to one host, over all jobs: a courtesy to the server. Browsers open six for
  // HTTP/1.1; further requests wait for a free connection.
  std::uint32_t connections_per_host_max = 8;
  // Connections to all hosts, the idle ones that are kept for reuse included.
  std::uint32_t connections_max = 64;
  // PEM file of trusted certificates, and directory of such files named by their hash (openssl
  // rehash). Both empty: those of the system; else those of the two and no others.
  std::string ca_file = {};
  std::string ca_directory = {};
  // Ranges side by side share one connection where an https server offers HTTP/2. Off, because four
  // HTTP/1.1 connections are faster: over loopback from nginx four ranges of HTTP/2 came at 0.85 of
  // their rate and took a quarter more processor time (http_bench, median of six pairs). On a line
  // that loses packets one connection has but one window besides.
  bool http2 = false;
};

class CurlLoop;

// All transfers of all clients run on one thread of its own; sinks are called on it. A call of a
// client hands over to that thread and does not wait for it, but cancel() and the destruction of a
// client may wait for one accept() in progress. Clients may outlive the source.
class CurlOriginSource final : public ports::OriginSource {
 public:
  [[nodiscard]] static Result<std::unique_ptr<CurlOriginSource>> create(OriginOptions options);
  ~CurlOriginSource() override;

  [[nodiscard]] std::unique_ptr<ports::OriginClient> connect(
      ports::FactSink facts, ports::OriginSettings settings) override;

 private:
  explicit CurlOriginSource(std::shared_ptr<CurlLoop> loop);

  std::shared_ptr<CurlLoop> loop_;
};

}  // namespace lanward::cdn
