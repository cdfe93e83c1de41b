#include "tests/support/tiny_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace lanward::test {
namespace {

constexpr std::size_t kStep = 64 * 1024;

// Passes on what can be read now. False: `from` has ended, or `to` takes no more.
[[nodiscard]] bool pass_on(int from, int to) {
  char bytes[kStep];
  const ssize_t n = ::recv(from, bytes, sizeof bytes, 0);
  return n > 0 && send_all(to, {bytes, static_cast<std::size_t>(n)});
}

// True: the first can be read; false: the second can.
[[nodiscard]] bool first_is_ready(int first, int second) {
  pollfd both[2]{{first, POLLIN, 0}, {second, POLLIN, 0}};
  ::poll(both, 2, -1);
  return both[0].revents != 0;
}

void pump(int a, int b) {
  while (first_is_ready(a, b) ? pass_on(a, b) : pass_on(b, a)) {
  }
}

// Exactly so many bytes; empty: the connection has ended before.
[[nodiscard]] std::string take(int fd, std::size_t size) {
  std::string out(size, '\0');
  std::size_t have = 0;
  while (have < size) {
    const ssize_t n = ::recv(fd, out.data() + have, size - have, 0);
    if (n <= 0) return {};
    have += static_cast<std::size_t>(n);
  }
  return out;
}

// One byte of length and so many bytes.
[[nodiscard]] std::string take_counted(int fd) {
  const std::string length = take(fd, 1);
  return length.empty() ? length : take(fd, static_cast<unsigned char>(length[0]));
}

}  // namespace

struct TinyProxy::Connection {
  int client = -1;
  int server = -1;
  std::string reached;  // host:port of `server`
};

TinyProxy::TinyProxy() {
  listener_ = listen_on_loopback(port_);
  accepter_ = std::thread([this] { accept_loop(); });
}

TinyProxy::~TinyProxy() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const int fd : open_fds_) ::shutdown(fd, SHUT_RDWR);
  }
  ::shutdown(listener_, SHUT_RDWR);
  accepter_.join();
  for (auto& thread : connections_) thread.join();
  ::close(listener_);
}

std::string TinyProxy::address() const { return "127.0.0.1:" + std::to_string(port_); }

std::vector<FaultRequest> TinyProxy::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void TinyProxy::answer_tunnels(int status) {
  const std::lock_guard lock(mutex_);
  tunnel_status_ = status;
}

void TinyProxy::note(FaultRequest request) {
  const std::lock_guard lock(mutex_);
  requests_.push_back(std::move(request));
}

void TinyProxy::accept_loop() {
  while (true) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    const std::lock_guard lock(mutex_);
    if (stopping_ || fd < 0) {
      if (fd >= 0) ::close(fd);
      return;
    }
    open_fds_.push_back(fd);
    connections_.emplace_back([this, fd] { serve(fd); });
  }
}

void TinyProxy::serve(int client) {
  Connection c{client, -1, {}};
  char first = 0;
  if (::recv(client, &first, 1, MSG_PEEK) == 1) {
    constexpr char kSocks5 = 5;
    first == kSocks5 ? serve_socks(c) : serve_http(c);
  }
  const std::lock_guard lock(mutex_);
  for (const int fd : {c.client, c.server}) {
    if (fd < 0) continue;
    std::erase(open_fds_, fd);
    ::close(fd);
  }
}

bool TinyProxy::reach(Connection& c, const std::string& host_and_port) {
  if (c.reached == host_and_port) return true;
  const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const auto port = std::atoi(host_and_port.c_str() + host_and_port.rfind(':') + 1);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  const bool connected =
      ::connect(server, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  const std::lock_guard lock(mutex_);
  if (c.server >= 0) {
    std::erase(open_fds_, c.server);
    ::close(c.server);
  }
  c.server = server;
  c.reached = host_and_port;
  open_fds_.push_back(server);
  return connected && !stopping_;
}

void TinyProxy::serve_http(Connection& c) {
  static constexpr std::string_view kScheme = "http://";
  std::string buffer;
  while (true) {
    if (c.server >= 0 && !first_is_ready(c.client, c.server)) {
      if (!pass_on(c.server, c.client)) return;
      continue;
    }
    const std::string head = read_head(c.client, buffer);
    if (head.empty()) return;
    const FaultRequest request = parse_head(head);
    note(request);
    if (request.method == "CONNECT") {
      int status = 0;
      {
        const std::lock_guard lock(mutex_);
        status = tunnel_status_;
      }
      const bool open = status == 0 && reach(c, request.target);
      if (status == 0) status = open ? 200 : 502;
      if (send_all(c.client, "HTTP/1.1 " + std::to_string(status) + " X\r\nVia: tiny\r\n\r\n") &&
          open) {
        pump(c.client, c.server);
      }
      return;
    }
    const auto path = request.target.find('/', kScheme.size());
    if (!request.target.starts_with(kScheme) || path == std::string::npos) return;
    if (!reach(c, request.target.substr(kScheme.size(), path - kScheme.size()))) return;
    std::string onward = head + "\r\n";
    onward.replace(onward.find(request.target), request.target.size(), request.target.substr(path));
    if (!send_all(c.server, onward)) return;
  }
}

// RFC 1928 and 1929, as far as a client with a host name needs them.
void TinyProxy::serve_socks(Connection& c) {
  FaultRequest request;
  request.method = "SOCKS";
  static_cast<void>(take(c.client, 1));
  const bool with_password = take_counted(c.client).find('\x02') != std::string::npos;
  if (!send_all(c.client, {with_password ? "\x05\x02" : "\x05\x00", 2})) return;
  if (with_password) {
    static_cast<void>(take(c.client, 1));
    const std::string user = take_counted(c.client);
    request.headers["proxy-authorization"] = user + ":" + take_counted(c.client);
    if (!send_all(c.client, {"\x01\x00", 2})) return;
  }
  const std::string command = take(c.client, 4);
  constexpr char kHostName = 3;
  if (command.empty() || command[3] != kHostName) return;
  const std::string host = take_counted(c.client);
  const std::string port = take(c.client, 2);
  if (port.empty()) return;
  const int number =
      static_cast<unsigned char>(port[0]) * 256 + static_cast<unsigned char>(port[1]);
  request.target = host + ":" + std::to_string(number);
  note(request);
  if (!reach(c, request.target)) return;
  if (send_all(c.client, {"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00", 10}))
    pump(c.client, c.server);
}

}  // namespace lanward::test
