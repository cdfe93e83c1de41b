// The server's end of a connection, in the clear or through TLS. Blocking.
#pragma once

#include <openssl/ssl.h>
#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "tests/support/test_certificates.h"

namespace lanward::test {

struct FaultTls {
  Identity identity;
  std::string client_authority = {};  // PEM; not empty: a client must show a certificate of it
  bool http2 = false;                 // offered besides HTTP/1.1
  bool close_notify = true;           // false: connections end as if they were cut
};

using TlsContext = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;
[[nodiscard]] TlsContext make_tls_context(const FaultTls& tls);

class FaultStream {
 public:
  // Without a context in the clear. The descriptor stays the caller's.
  FaultStream(int fd, SSL_CTX* context, bool close_notify);

  [[nodiscard]] bool accept();
  [[nodiscard]] bool speaks_http2() const;
  // As recv(2).
  [[nodiscard]] ssize_t receive(char* to, std::size_t size);
  // Whether receive() has bytes without asking the socket.
  [[nodiscard]] bool has_pending() const;
  [[nodiscard]] bool send(std::string_view text);
  // Up to the blank line of a head; what follows stays in `buffer`. Empty: the connection has
  // ended.
  [[nodiscard]] std::string read_head(std::string& buffer);
  // Says good-bye, unless that is the fault.
  void finish();
  // The next close sends RST instead of FIN.
  void reset();
  [[nodiscard]] int descriptor() const { return fd_; }

 private:
  const int fd_;
  const bool close_notify_;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_{nullptr, SSL_free};
  bool broken_ = false;
};

}  // namespace lanward::test
