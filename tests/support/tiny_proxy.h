// A proxy inside the test process: GET with an absolute URL, CONNECT, and SOCKS 5 with host names.
// Whatever host is asked for, it connects to 127.0.0.1, so a name that nobody can resolve proves
// that the proxy was used. One thread per connection.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/fault_origin.h"

namespace lanward::test {

class TinyProxy {
 public:
  TinyProxy();
  ~TinyProxy();
  TinyProxy(const TinyProxy&) = delete;
  TinyProxy& operator=(const TinyProxy&) = delete;

  // "127.0.0.1:port"
  [[nodiscard]] std::string address() const;
  // What it was asked for, in order. `method` is GET, CONNECT or SOCKS, `target` the absolute URL
  // or host:port. The credentials of SOCKS are in the header "proxy-authorization" as
  // user:password.
  [[nodiscard]] std::vector<FaultRequest> requests() const;
  // Answers CONNECT with this status from now on and closes the connection, also after a 200.
  void answer_tunnels(int status);

 private:
  struct Connection;
  void accept_loop();
  void serve(int client);
  void serve_http(Connection& c);
  void serve_socks(Connection& c);
  // Connects `c.server` to the port of "host:port". False: it cannot.
  [[nodiscard]] bool reach(Connection& c, const std::string& host_and_port);
  void note(FaultRequest request);

  int listener_ = -1;
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;
  bool stopping_ = false;
  int tunnel_status_ = 0;  // 0: tunnels are open
  std::vector<FaultRequest> requests_;
  std::vector<int> open_fds_;
  std::vector<std::thread> connections_;
  std::thread accepter_;
};

}  // namespace lanward::test
