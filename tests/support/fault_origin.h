// A server inside the test process that does exactly what it is told, right or wrong, and counts
// everything: HTTP/1.1, with TLS if wanted, and HTTP/2 over TLS. One thread per connection; listens
// on loopback, port chosen by the kernel.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/fault_stream.h"

namespace lanward::test {

using Content = std::shared_ptr<const std::string>;

// Bytes that look random, the same for the same seed.
[[nodiscard]] Content make_content(std::size_t size, std::uint64_t seed = 1);

struct FaultRequest {
  std::string method;
  std::string target;                          // path and query
  std::map<std::string, std::string> headers;  // names in lower case
  int connection = 0;                          // number of the connection, from 0
  int serial = 0;                              // number of the request on this server, from 0

  [[nodiscard]] std::string header(const std::string& name) const;
  // Of "Range: bytes=a-b": a and b.
  [[nodiscard]] std::optional<std::pair<std::uint64_t, std::uint64_t>> range() const;
};

// Of any server on loopback. Ends the process when there is no socket to be had.
[[nodiscard]] int listen_on_loopback(std::uint16_t& port, bool ipv6 = false);
// Up to the blank line; what follows stays in `buffer`. Empty: the connection has ended.
[[nodiscard]] std::string read_head(int fd, std::string& buffer);
[[nodiscard]] FaultRequest parse_head(const std::string& head);
[[nodiscard]] bool send_all(int fd, std::string_view text);

struct FaultReply {
  enum class Framing : std::uint8_t { length, chunked, until_close };
  enum class Then : std::uint8_t {
    keep_alive,
    close,
    reset,  // RST instead of FIN
    hold,   // send no more until release(); then the rest of the body
    // Of HTTP/2 only; elsewhere as close.
    reset_stream,  // RST_STREAM; the connection stays
    refuse,        // GOAWAY that disowns this request, then the end of the connection
    goaway,        // GOAWAY after the reply: whoever wants more has to connect anew
  };
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  Content body;
  std::size_t body_begin = 0;  // the part of `body` to send
  std::size_t body_size = 0;
  Framing framing = Framing::length;
  // After this many bytes of the body comes `then`; without it, after the whole body.
  std::optional<std::size_t> stop_after;
  Then then = Then::keep_alive;
  std::string raw;      // not empty: sent instead of all of the above but `then`; HTTP/1.1 only
  std::string interim;  // sent before the head; HTTP/1.1 only
  std::chrono::milliseconds drip{0};  // not zero: head and body go byte by byte, so far apart

  FaultReply& set_body(Content content);
  FaultReply& set_body(std::string text);
  // Adds the header, or replaces the one of this name.
  FaultReply& set_header(const std::string& name, std::string value);
  FaultReply& drop_header(const std::string& name);
};

using FaultHandler = std::function<FaultReply(const FaultRequest&)>;

// What an honest server answers: 206 to a range (200 if If-Range does not match), 416 beyond the
// end, else 200.
[[nodiscard]] FaultReply honest_reply(const FaultRequest& request, const Content& content,
                                      const std::string& etag);

struct FaultOptions {
  std::optional<FaultTls> tls = {};
  bool ipv6 = false;
};

class FaultHttp2;

class FaultOrigin {
 public:
  struct Counts {
    std::uint64_t requests = 0;
    std::uint64_t connections = 0;
    std::uint64_t open_connections = 0;
    std::uint64_t body_bytes = 0;  // given to the kernel; a little more than the client has seen
    std::uint64_t http2_connections = 0;
  };

  explicit FaultOrigin(FaultOptions options = {});
  ~FaultOrigin();
  FaultOrigin(const FaultOrigin&) = delete;
  FaultOrigin& operator=(const FaultOrigin&) = delete;

  // The path is compared without the query. Unknown paths get a 404.
  void route(const std::string& path, FaultHandler handler);
  // Serves the content honestly.
  void serve(const std::string& path, Content content, std::string etag);
  // With the address as host, or another host that means the same machine.
  [[nodiscard]] std::string url(const std::string& path, const std::string& host = {}) const;
  [[nodiscard]] std::uint16_t port() const { return port_; }

  // Lets every reply with Then::hold go on, those to come included.
  void release();

  [[nodiscard]] Counts counts() const;
  [[nodiscard]] std::vector<FaultRequest> requests() const;
  // False: not within the deadline of 30 s.
  [[nodiscard]] bool wait_until(const std::function<bool(const Counts&)>& condition) const;

 private:
  friend class FaultHttp2;

  void accept_loop();
  void serve_connection(int fd, int number);
  void serve_http1(FaultStream& stream, int number);
  // Notes the request and asks its handler.
  [[nodiscard]] FaultReply answer(FaultRequest request);
  // False: the connection is to end.
  [[nodiscard]] bool send_reply(FaultStream& stream, const FaultReply& reply);
  [[nodiscard]] bool send_whole(FaultStream& stream, const FaultReply& reply);
  [[nodiscard]] bool send_body(FaultStream& stream, const FaultReply& reply, std::size_t from,
                               std::size_t to);
  [[nodiscard]] bool send_text(FaultStream& stream, const FaultReply& reply, std::string_view text);
  void count_body(std::size_t bytes);
  // False: the server stops.
  [[nodiscard]] bool wait_for_release();
  [[nodiscard]] bool pause(std::chrono::milliseconds time);

  const FaultOptions options_;
  TlsContext tls_{nullptr, SSL_CTX_free};
  int released_fd_ = -1;  // an eventfd, readable once all is released or the server stops
  int listener_ = -1;
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  bool stopping_ = false;
  bool released_ = false;
  Counts counts_;
  std::map<std::string, FaultHandler> routes_;
  std::vector<FaultRequest> requests_;
  std::vector<int> open_fds_;
  std::vector<std::thread> connections_;
  std::thread accepter_;
};

}  // namespace lanward::test
