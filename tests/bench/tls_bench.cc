// What encryption between peers would cost: bytes over loopback, plain and by TLS 1.3.
//
//   tls_bench [GIB] [ROUNDS]
//
// Both ends share one processor, so the rate is that of the work of both. Rounds alternate; medians
// of the rate, and of the processor time of both ends.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/support/test_certificates.h"

namespace {

using Clock = std::chrono::steady_clock;

// A block of the BitTorrent protocol, which is also the longest record of TLS.
constexpr std::size_t kBlock = 16 * 1024;
constexpr const char* kCipher = "TLS_AES_128_GCM_SHA256";

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

double cpu_of(int who) {
  rusage usage{};
  getrusage(who, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

// One end of a connection; `context` null: plain.
class End {
 public:
  End(int socket, SSL_CTX* context, bool accepts) : socket_(socket) {
    if (context == nullptr) return;
    ssl_ = SSL_new(context);
    SSL_set_fd(ssl_, socket);
    if ((accepts ? SSL_accept(ssl_) : SSL_connect(ssl_)) != 1) die("handshake");
  }
  End(const End&) = delete;
  End& operator=(const End&) = delete;
  ~End() {
    SSL_free(ssl_);
    close(socket_);
  }
  void send_all(const std::vector<char>& block) {
    for (std::size_t at = 0; at < block.size();) {
      const auto left = block.size() - at;
      const auto sent = ssl_ != nullptr ? SSL_write(ssl_, block.data() + at, static_cast<int>(left))
                                        : ::send(socket_, block.data() + at, left, MSG_NOSIGNAL);
      if (sent <= 0) die("send");
      at += static_cast<std::size_t>(sent);
    }
  }
  std::size_t take(std::vector<char>& block) {
    const auto got = ssl_ != nullptr ? SSL_read(ssl_, block.data(), static_cast<int>(block.size()))
                                     : ::recv(socket_, block.data(), block.size(), 0);
    if (got <= 0) die("receive");
    return static_cast<std::size_t>(got);
  }

 private:
  int socket_;
  SSL* ssl_ = nullptr;
};

struct Figures {
  double mib_per_s = 0;
  double cpu_per_gib = 0;
};

Figures transfer(std::uint64_t bytes, SSL_CTX* server, SSL_CTX* client) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), length) != 0) die("bind");
  if (listen(listener, 1) != 0) die("listen");
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
  const double before = cpu_of(RUSAGE_SELF) + cpu_of(RUSAGE_CHILDREN);
  const auto begin = Clock::now();
  std::fflush(nullptr);
  const pid_t sender = fork();
  if (sender == 0) {
    const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
    if (connect(socket, reinterpret_cast<sockaddr*>(&address), length) != 0) die("connect");
    End end(socket, client, false);
    const std::vector<char> block(kBlock, 'x');
    for (std::uint64_t sent = 0; sent < bytes; sent += kBlock) end.send_all(block);
    char gone = 0;
    static_cast<void>(::recv(socket, &gone, 1, 0));  // until everything has been read
    std::_Exit(0);
  }
  {
    End end(accept(listener, nullptr, nullptr), server, true);
    std::vector<char> block(4 * kBlock);
    for (std::uint64_t got = 0; got < bytes;) got += end.take(block);
  }
  const std::chrono::duration<double> took = Clock::now() - begin;
  waitpid(sender, nullptr, 0);
  close(listener);
  const double cpu = cpu_of(RUSAGE_SELF) + cpu_of(RUSAGE_CHILDREN) - before;
  const double gib = static_cast<double>(bytes) / (1ULL << 30U);
  return {1024 * gib / took.count(), cpu / gib};
}

void prepare(SSL_CTX* server, SSL_CTX* client) {
  const lanward::test::TestAuthority authority;
  const lanward::test::Identity identity = authority.issue();
  BIO* const text = BIO_new_mem_buf(identity.certificate.data(), -1);
  X509* const certificate = PEM_read_bio_X509(text, nullptr, nullptr, nullptr);
  BIO* const key_text = BIO_new_mem_buf(identity.key.data(), -1);
  EVP_PKEY* const key = PEM_read_bio_PrivateKey(key_text, nullptr, nullptr, nullptr);
  if (SSL_CTX_use_certificate(server, certificate) != 1 || SSL_CTX_use_PrivateKey(server, key) != 1)
    die("certificate");
  for (SSL_CTX* const each : {server, client}) {
    SSL_CTX_set_min_proto_version(each, TLS1_3_VERSION);
    SSL_CTX_set_ciphersuites(each, kCipher);
    SSL_CTX_set_num_tickets(each, 0);  // nobody comes back
  }
  EVP_PKEY_free(key);
  X509_free(certificate);
  BIO_free(key_text);
  BIO_free(text);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const std::uint64_t bytes = (argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1) << 30U;
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 5;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(0, &one);
  sched_setaffinity(0, sizeof one, &one);
  SSL_CTX* const server = SSL_CTX_new(TLS_server_method());
  SSL_CTX* const client = SSL_CTX_new(TLS_client_method());
  prepare(server, client);
  std::vector<double> rate[2], cpu[2];
  for (int i = 0; i <= rounds; ++i) {
    for (const int tls : {0, 1}) {
      const Figures f = transfer(bytes, tls != 0 ? server : nullptr, tls != 0 ? client : nullptr);
      if (i == 0) continue;  // does not count
      rate[tls].push_back(f.mib_per_s);
      cpu[tls].push_back(f.cpu_per_gib);
    }
  }
  for (const int tls : {0, 1}) {
    std::printf("%-28s%8.0f MiB/s%8.2f CPU s/GiB, both ends\n", tls != 0 ? kCipher : "plain",
                median(rate[tls]), median(cpu[tls]));
  }
}
