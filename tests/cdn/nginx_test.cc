// Against a server that we did not write.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "cdn/origin_source.h"
#include "tests/support/fake_sink.h"
#include "tests/support/fault_origin.h"

extern char** environ;

namespace lanward::cdn {
namespace {

namespace fs = std::filesystem;
using core::FailureClass;

constexpr const char* kNginx = "/usr/sbin/nginx";
constexpr const char* kOpenssl = "/usr/bin/openssl";

[[nodiscard]] sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

[[nodiscard]] std::uint16_t free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  ::bind(fd, reinterpret_cast<sockaddr*>(&address), size);
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  ::close(fd);
  return ntohs(address.sin_port);
}

[[nodiscard]] bool accepts(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = loopback(port);
  const bool ok = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return ok;
}

[[nodiscard]] pid_t spawn(const std::vector<std::string>& command) {
  std::vector<char*> argv;
  for (const auto& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (const int fd : {1, 2}) {
    posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_WRONLY, 0);
  }
  pid_t pid = -1;
  if (posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ) != 0) pid = -1;
  posix_spawn_file_actions_destroy(&actions);
  return pid;
}

class NginxTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(kNginx)) GTEST_SKIP() << kNginx << " is not installed";
    std::string name = (fs::temp_directory_path() / "lanward-nginx-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    std::ofstream(folder_ / "file", std::ios::binary) << *content_;
    tls_ = fs::exists(kOpenssl) && make_certificate();
    // A port that was free may be taken by the time nginx binds it.
    constexpr int kAttempts = 5;
    for (int i = 0; i < kAttempts && nginx_ < 0; ++i) start();
    ASSERT_GT(nginx_, 0) << "nginx did not start: " << read("error.log");
    facts_ = std::make_unique<test::FactLog>();
  }

  void TearDown() override {
    stop();
    std::error_code ignored;
    if (!folder_.empty()) fs::remove_all(folder_, ignored);
  }

  [[nodiscard]] bool make_certificate() const {
    const pid_t pid = spawn({kOpenssl, "req", "-x509", "-newkey", "ec", "-pkeyopt",
                             "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                             "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
                             folder_ / "key.pem", "-out", folder_ / "cert.pem"});
    int status = 0;
    return pid > 0 && ::waitpid(pid, &status, 0) == pid && status == 0;
  }

  void start() {
    port_ = free_port();
    tls_port_ = free_port();
    const std::string dir = folder_.string();
    std::ofstream config(folder_ / "nginx.conf");
    config << "daemon off; master_process off; pid " << dir << "/pid; error_log " << dir
           << "/error.log; events {} http {"
           << " log_format proto '$server_protocol $status $http_range'; access_log " << dir
           << "/access.log proto; root " << dir << "; client_body_temp_path " << dir
           << "/b; proxy_temp_path " << dir << "/p; fastcgi_temp_path " << dir
           << "/f; uwsgi_temp_path " << dir << "/u; scgi_temp_path " << dir
           << "/s; server { listen 127.0.0.1:" << port_ << ";"
           << " location /up { return 302 https://127.0.0.1:" << tls_port_ << "/down; } }";
    if (tls_) {
      config << " server { listen 127.0.0.1:" << tls_port_ << " ssl http2; ssl_certificate " << dir
             << "/cert.pem; ssl_certificate_key " << dir << "/key.pem;"
             << " location /down { return 302 http://127.0.0.1:" << port_ << "/file; } }";
    }
    config << "}";
    config.close();
    nginx_ = spawn({kNginx, "-p", dir, "-c", dir + "/nginx.conf", "-e", dir + "/error.log"});
    const auto deadline = std::chrono::steady_clock::now() + test::kFakeDeadline;
    const int process = static_cast<int>(::syscall(SYS_pidfd_open, nginx_, 0));
    // It listens at one port after the other.
    while (nginx_ > 0 && !(accepts(port_) && (!tls_ || accepts(tls_port_)))) {
      // Readable when nginx has ended; else the time between two attempts to connect.
      constexpr int kRetryMilliseconds = 2;
      pollfd ended{process, POLLIN, 0};
      const bool gone = ::poll(&ended, 1, kRetryMilliseconds) > 0;
      if (!gone && std::chrono::steady_clock::now() < deadline) continue;
      stop();
    }
    ::close(process);
  }

  void stop() {
    if (nginx_ < 0) return;
    ::kill(nginx_, SIGTERM);
    ::waitpid(nginx_, nullptr, 0);
    nginx_ = -1;
  }

  [[nodiscard]] std::string url(const std::string& path) const {
    return "http://127.0.0.1:" + std::to_string(port_) + path;
  }
  [[nodiscard]] std::string tls_url(const std::string& path) const {
    return "https://127.0.0.1:" + std::to_string(tls_port_) + path;
  }

  // Probes, then fetches the file as ranges of half a mebibyte, all in flight at once.
  void fetch_in_ranges(const OriginOptions& options, const std::string& address) {
    auto source = CurlOriginSource::create(options);
    ASSERT_TRUE(source);
    auto client = (*source)->connect(facts_->sink(), {});
    client->probe(core::RequestId{0}, address);
    const auto end = facts_->wait_for_end(core::RequestId{0});
    const auto* probed = std::get_if<core::OriginProbed>(&end);
    ASSERT_NE(probed, nullptr) << std::get<core::RequestFailed>(end).failure.message;
    ASSERT_TRUE(probed->facts.ranges);
    ASSERT_EQ(probed->facts.size.value, content_->size());
    ASSERT_NE(probed->facts.strong_etag, "");
    constexpr std::uint64_t kStep = 512 * 1024;
    std::vector<std::shared_ptr<test::SinkLog>> logs;
    for (std::uint64_t at = 0; at < content_->size(); at += kStep) {
      logs.push_back(std::make_shared<test::SinkLog>());
      client->fetch_range(core::RequestId{logs.size()},
                          {address,
                           {at, std::min<std::uint64_t>(at + kStep, content_->size())},
                           probed->facts.size,
                           probed->facts.strong_etag,
                           false},
                          std::make_unique<test::FakeSink>(logs.back()));
    }
    std::string all;
    for (std::size_t i = 0; i < logs.size(); ++i) {
      const auto last = facts_->wait_for_end(core::RequestId{i + 1});
      EXPECT_TRUE(std::holds_alternative<core::RangeFinished>(last));
      all += logs[i]->bytes();
    }
    EXPECT_TRUE(all == *content_);
  }

  [[nodiscard]] core::Failure probe_failure(const OriginOptions& options,
                                            const std::string& address) {
    auto source = CurlOriginSource::create(options);
    auto client = (*source)->connect(facts_->sink(), {});
    const core::RequestId id{next_probe_++};
    client->probe(id, address);
    const auto end = facts_->wait_for_end(id);
    const auto* failed = std::get_if<core::RequestFailed>(&end);
    EXPECT_NE(failed, nullptr);
    return failed != nullptr ? failed->failure : core::Failure{};
  }

  [[nodiscard]] std::string read(const char* name) const {
    std::ifstream in(folder_ / name);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  const test::Content content_ = test::make_content(5 * 1024 * 1024 + 12345);
  fs::path folder_;
  pid_t nginx_ = -1;
  std::uint16_t port_ = 0;
  std::uint16_t tls_port_ = 0;
  bool tls_ = false;
  std::uint64_t next_probe_ = 0;
  std::unique_ptr<test::FactLog> facts_;
};

using Nginx = NginxTest;

TEST_F(Nginx, ServesAFileInRanges) { fetch_in_ranges({}, url("/file")); }

TEST_F(Nginx, ServesAFileInRangesOverHttp2) {
  if (!tls_) GTEST_SKIP() << kOpenssl << " is not installed";
  OriginOptions options;
  options.ca_file = folder_ / "cert.pem";
  options.http2 = true;
  fetch_in_ranges(options, tls_url("/file"));
  EXPECT_NE(read("access.log").find("HTTP/2.0 206 bytes="), std::string::npos)
      << read("access.log");
}

TEST_F(Nginx, GoesOnWithOtherStreamsWhileOneIsPaused) {
  if (!tls_) GTEST_SKIP() << kOpenssl << " is not installed";
  OriginOptions options;
  options.ca_file = folder_ / "cert.pem";
  options.http2 = true;
  auto source = CurlOriginSource::create(options);
  ASSERT_TRUE(source);
  auto client = (*source)->connect(facts_->sink(), {});
  client->probe(core::RequestId{0}, tls_url("/file"));  // opens the connection that all share
  static_cast<void>(facts_->wait_for_end(core::RequestId{0}));
  const ports::RangeRequest all{
      tls_url("/file"), {0, content_->size()}, core::ByteCount{content_->size()}, "", false};
  auto paused = std::make_shared<test::SinkLog>();
  paused->refuse_after(100'000, ports::RangeSink::Accept::full);
  client->fetch_range(core::RequestId{1}, all, std::make_unique<test::FakeSink>(paused));
  ASSERT_TRUE(paused->wait_for_refusal());
  auto other = std::make_shared<test::SinkLog>();
  client->fetch_range(core::RequestId{2}, all, std::make_unique<test::FakeSink>(other));
  const auto other_end = facts_->wait_for_end(core::RequestId{2});
  EXPECT_TRUE(std::holds_alternative<core::RangeFinished>(other_end));
  paused->take_everything();
  client->continue_range(core::RequestId{1});
  const auto paused_end = facts_->wait_for_end(core::RequestId{1});
  EXPECT_TRUE(std::holds_alternative<core::RangeFinished>(paused_end));
  EXPECT_TRUE(paused->bytes() == *content_);
  EXPECT_TRUE(other->bytes() == *content_);
}

TEST_F(Nginx, WithACertificateOfNobodyIsRefused) {
  if (!tls_) GTEST_SKIP() << kOpenssl << " is not installed";
  EXPECT_EQ(probe_failure({}, tls_url("/file")).kind, FailureClass::permanent);
}

TEST_F(Nginx, MayNotRedirectFromHttpsToHttp) {
  if (!tls_) GTEST_SKIP() << kOpenssl << " is not installed";
  OriginOptions options;
  options.ca_file = folder_ / "cert.pem";
  EXPECT_EQ(probe_failure(options, tls_url("/down")).kind, FailureClass::permanent);
  const auto detour = probe_failure(options, url("/up"));
  EXPECT_EQ(detour.kind, FailureClass::permanent);
  EXPECT_NE(detour.message.find("https to http"), std::string::npos) << detour.message;
  EXPECT_EQ(read("access.log").find("206"), std::string::npos)
      << "nothing was asked for in the clear";
}

}  // namespace
}  // namespace lanward::cdn
