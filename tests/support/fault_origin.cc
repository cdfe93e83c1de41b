#include "tests/support/fault_origin.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "tests/support/fault_http2.h"

namespace lanward::test {
namespace {

constexpr std::size_t kRequestBytesMax = 64 * 1024;
constexpr std::size_t kSendStep = 32 * 1024;
// Small, so that the count of bytes given to the kernel says what the client has read.
constexpr int kSendBuffer = 64 * 1024;
constexpr std::chrono::seconds kDeadline{30};

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::abort();
}

[[nodiscard]] std::string lower(std::string s) {
  for (char& c : s) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return s;
}

// Whoever writes to a connection that the client has closed must not end the process.
void block_broken_pipes() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

}  // namespace

int listen_on_loopback(std::uint16_t& port, bool ipv6) {
  const int listener = ::socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0) die("socket");
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_addr = in6addr_loopback;
  auto* const address = ipv6 ? reinterpret_cast<sockaddr*>(&v6) : reinterpret_cast<sockaddr*>(&v4);
  socklen_t size = ipv6 ? sizeof v6 : sizeof v4;
  if (::bind(listener, address, size) != 0) die("bind");
  if (::listen(listener, SOMAXCONN) != 0) die("listen");
  if (::getsockname(listener, address, &size) != 0) die("port");
  port = ntohs(ipv6 ? v6.sin6_port : v4.sin_port);
  return listener;
}

bool send_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

std::string read_head(int fd, std::string& buffer) {
  while (true) {
    if (const auto end = buffer.find("\r\n\r\n"); end != std::string::npos) {
      std::string head = buffer.substr(0, end + 2);
      buffer.erase(0, end + 4);
      return head;
    }
    char chunk[4096];
    const ssize_t n = ::recv(fd, chunk, sizeof chunk, 0);
    if (n <= 0 || buffer.size() > kRequestBytesMax) return {};
    buffer.append(chunk, static_cast<std::size_t>(n));
  }
}

FaultRequest parse_head(const std::string& head) {
  FaultRequest out;
  const auto line_end = head.find("\r\n");
  const std::string line = head.substr(0, line_end);
  const auto a = line.find(' ');
  const auto b = line.rfind(' ');
  out.method = line.substr(0, a);
  if (a != std::string::npos && b > a) out.target = line.substr(a + 1, b - a - 1);
  for (auto at = line_end + 2; at < head.size();) {
    const auto end = head.find("\r\n", at);
    const auto colon = head.find(':', at);
    if (colon < end) {
      auto value = colon + 1;
      while (value < end && head[value] == ' ') ++value;
      out.headers[lower(head.substr(at, colon - at))] = head.substr(value, end - value);
    }
    at = end + 2;
  }
  return out;
}

Content make_content(std::size_t size, std::uint64_t seed) {
  std::string bytes(size, '\0');
  std::uint64_t x = seed * 0x9e3779b97f4a7c15U + 1;
  for (char& c : bytes) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    c = static_cast<char>(x);
  }
  return std::make_shared<const std::string>(std::move(bytes));
}

std::string FaultRequest::header(const std::string& name) const {
  const auto at = headers.find(name);
  return at == headers.end() ? std::string{} : at->second;
}

std::optional<std::pair<std::uint64_t, std::uint64_t>> FaultRequest::range() const {
  unsigned long long first = 0;
  unsigned long long last = 0;
  if (std::sscanf(header("range").c_str(), "bytes=%llu-%llu", &first, &last) != 2) return {};
  return std::pair<std::uint64_t, std::uint64_t>{first, last};
}

FaultReply& FaultReply::set_body(Content content) {
  body = std::move(content);
  body_begin = 0;
  body_size = body->size();
  return *this;
}

FaultReply& FaultReply::set_body(std::string text) {
  return set_body(std::make_shared<const std::string>(std::move(text)));
}

FaultReply& FaultReply::set_header(const std::string& name, std::string value) {
  drop_header(name);
  headers.emplace_back(name, std::move(value));
  return *this;
}

FaultReply& FaultReply::drop_header(const std::string& name) {
  std::erase_if(headers, [&](const auto& h) { return lower(h.first) == lower(name); });
  return *this;
}

FaultReply honest_reply(const FaultRequest& request, const Content& content,
                        const std::string& etag) {
  FaultReply reply;
  reply.set_body(content);
  if (!etag.empty()) reply.set_header("ETag", etag);
  const auto range = request.range();
  const std::string if_range = request.header("if-range");
  if (!range || (!if_range.empty() && if_range != etag)) return reply;
  const std::string total = std::to_string(content->size());
  if (range->first >= content->size()) {
    reply.status = 416;
    reply.set_header("Content-Range", "bytes */" + total);
    return reply.set_body(std::string{});
  }
  reply.status = 206;
  const auto last = std::min<std::uint64_t>(range->second, content->size() - 1);
  reply.body_begin = range->first;
  reply.body_size = last - range->first + 1;
  return reply.set_header("Content-Range", "bytes " + std::to_string(range->first) + "-" +
                                               std::to_string(last) + "/" + total);
}

FaultOrigin::FaultOrigin(FaultOptions options) : options_(std::move(options)) {
  if (options_.tls) tls_ = make_tls_context(*options_.tls);
  released_fd_ = ::eventfd(0, EFD_CLOEXEC);
  if (released_fd_ < 0) die("eventfd");
  listener_ = listen_on_loopback(port_, options_.ipv6);
  accepter_ = std::thread([this] { accept_loop(); });
}

FaultOrigin::~FaultOrigin() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const int fd : open_fds_) ::shutdown(fd, SHUT_RDWR);
  }
  changed_.notify_all();
  ::eventfd_write(released_fd_, 1);
  ::shutdown(listener_, SHUT_RDWR);
  accepter_.join();
  for (auto& thread : connections_) thread.join();
  ::close(listener_);
  ::close(released_fd_);
}

void FaultOrigin::route(const std::string& path, FaultHandler handler) {
  const std::lock_guard lock(mutex_);
  routes_[path] = std::move(handler);
}

void FaultOrigin::serve(const std::string& path, Content content, std::string etag) {
  route(path, [content = std::move(content), etag = std::move(etag)](const FaultRequest& request) {
    return honest_reply(request, content, etag);
  });
}

std::string FaultOrigin::url(const std::string& path, const std::string& host) const {
  const std::string address = options_.ipv6 ? "[::1]" : "127.0.0.1";
  return (tls_ ? "https://" : "http://") + (host.empty() ? address : host) + ":" +
         std::to_string(port_) + path;
}

void FaultOrigin::release() {
  {
    const std::lock_guard lock(mutex_);
    released_ = true;
  }
  changed_.notify_all();
  ::eventfd_write(released_fd_, 1);
}

FaultOrigin::Counts FaultOrigin::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

std::vector<FaultRequest> FaultOrigin::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

bool FaultOrigin::wait_until(const std::function<bool(const Counts&)>& condition) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kDeadline, [&] { return condition(counts_); });
}

void FaultOrigin::accept_loop() {
  while (true) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    const std::lock_guard lock(mutex_);
    if (stopping_ || fd < 0) {
      if (fd >= 0) ::close(fd);
      return;
    }
    const int number = static_cast<int>(counts_.connections++);
    ++counts_.open_connections;
    open_fds_.push_back(fd);
    connections_.emplace_back([this, fd, number] { serve_connection(fd, number); });
    changed_.notify_all();
  }
}

void FaultOrigin::serve_connection(int fd, int number) {
  block_broken_pipes();
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kSendBuffer, sizeof kSendBuffer);
  {
    FaultStream stream(fd, tls_.get(), !options_.tls || options_.tls->close_notify);
    if (stream.accept()) {
      if (stream.speaks_http2()) {
        FaultHttp2(*this, stream, number).serve();
      } else {
        serve_http1(stream, number);
      }
      stream.finish();
    }
  }
  const std::lock_guard lock(mutex_);
  std::erase(open_fds_, fd);
  ::close(fd);
  --counts_.open_connections;
  changed_.notify_all();
}

void FaultOrigin::serve_http1(FaultStream& stream, int number) {
  std::string buffer;
  while (true) {
    const std::string head = stream.read_head(buffer);
    if (head.empty()) return;
    FaultRequest request = parse_head(head);
    request.connection = number;
    if (!send_reply(stream, answer(std::move(request)))) return;
  }
}

FaultReply FaultOrigin::answer(FaultRequest request) {
  FaultHandler handler;
  {
    const std::lock_guard lock(mutex_);
    request.serial = static_cast<int>(counts_.requests++);
    requests_.push_back(request);
    const auto at = routes_.find(request.target.substr(0, request.target.find('?')));
    if (at != routes_.end()) handler = at->second;
  }
  changed_.notify_all();
  if (handler) return handler(request);
  FaultReply reply;
  reply.status = 404;
  return reply;
}

bool FaultOrigin::send_reply(FaultStream& stream, const FaultReply& reply) {
  const bool sent = send_whole(stream, reply);
  if (reply.then == FaultReply::Then::reset) stream.reset();
  return sent && reply.framing != FaultReply::Framing::until_close &&
         (reply.then == FaultReply::Then::keep_alive || reply.then == FaultReply::Then::hold);
}

bool FaultOrigin::send_whole(FaultStream& stream, const FaultReply& reply) {
  if (!send_text(stream, reply, reply.interim)) return false;
  if (!reply.raw.empty()) {
    return send_text(stream, reply, reply.raw) &&
           (reply.then != FaultReply::Then::hold || wait_for_release());
  }
  std::string head = "HTTP/1.1 " + std::to_string(reply.status) + " Status\r\n";
  for (const auto& [name, value] : reply.headers) head += name + ": " + value + "\r\n";
  if (reply.framing == FaultReply::Framing::chunked) head += "Transfer-Encoding: chunked\r\n";
  const bool own_length = std::any_of(reply.headers.begin(), reply.headers.end(),
                                      [](auto& h) { return lower(h.first) == "content-length"; });
  if (reply.framing == FaultReply::Framing::length && !own_length) {
    head += "Content-Length: " + std::to_string(reply.body_size) + "\r\n";
  }
  if (!send_text(stream, reply, head + "\r\n")) return false;
  const std::size_t stop = std::min(reply.stop_after.value_or(reply.body_size), reply.body_size);
  if (!send_body(stream, reply, 0, stop)) return false;
  if (reply.then == FaultReply::Then::hold) {
    if (!wait_for_release() || !send_body(stream, reply, stop, reply.body_size)) return false;
  } else if (stop < reply.body_size) {
    return false;
  }
  return reply.framing != FaultReply::Framing::chunked || stream.send("0\r\n\r\n");
}

bool FaultOrigin::send_text(FaultStream& stream, const FaultReply& reply, std::string_view text) {
  if (reply.drip.count() == 0) return stream.send(text);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!stream.send(text.substr(i, 1)) || !pause(reply.drip)) return false;
  }
  return true;
}

bool FaultOrigin::send_body(FaultStream& stream, const FaultReply& reply, std::size_t from,
                            std::size_t to) {
  while (from < to) {
    const std::size_t size = std::min(kSendStep, to - from);
    const std::string_view step{reply.body->data() + reply.body_begin + from, size};
    if (reply.framing == FaultReply::Framing::chunked) {
      char line[32];
      std::snprintf(line, sizeof line, "%zx\r\n", size);
      if (!stream.send(line) || !stream.send(step) || !stream.send("\r\n")) return false;
    } else if (!send_text(stream, reply, step)) {
      return false;
    }
    from += size;
    count_body(size);
  }
  return true;
}

void FaultOrigin::count_body(std::size_t bytes) {
  {
    const std::lock_guard lock(mutex_);
    counts_.body_bytes += bytes;
  }
  changed_.notify_all();
}

bool FaultOrigin::wait_for_release() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return released_ || stopping_; });
  return !stopping_;
}

bool FaultOrigin::pause(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, time, [&] { return stopping_; });
}

}  // namespace lanward::test
