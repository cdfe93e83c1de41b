// Who is trusted, what is shown to whom, and how unreachable differs from refused.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cdn/header_facts.h"
#include "cdn/origin_source.h"
#include "engine/core/header_rules.h"
#include "tests/support/fake_sink.h"
#include "tests/support/fault_origin.h"
#include "tests/support/temporary_directory.h"

namespace lanward::cdn {
namespace {

using core::FailureClass;
using test::FaultReply;
using test::FaultRequest;
using test::FaultTls;
using namespace std::chrono_literals;

constexpr const char* kTag = "\"v1\"";
// "user:p@ss" in Basic authentication.
constexpr const char* kBasic = "Basic dXNlcjpwQHNz";

class SecurityTest : public testing::Test {
 protected:
  SecurityTest() {
    options_.ca_file = write("authority.pem", authority_.certificate());
    options_.low_speed_time = 1s;
    settings_.proxy.usage = ProxySettings::Usage::none;
  }

  [[nodiscard]] std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(directory_.path(name), std::ios::binary) << text;
    return directory_.path(name);
  }
  [[nodiscard]] std::unique_ptr<test::FaultOrigin> serve(test::FaultOptions options) const {
    auto origin = std::make_unique<test::FaultOrigin>(std::move(options));
    origin->serve("/file", content_, kTag);
    return origin;
  }
  [[nodiscard]] std::unique_ptr<test::FaultOrigin> serve_tls(FaultTls tls = {}) const {
    if (tls.identity.certificate.empty()) tls.identity = authority_.issue();
    return serve({.tls = std::move(tls)});
  }

  // Ranges of the file fetched at once. The failure of the first that failed.
  std::optional<core::Failure> fetch(const std::string& url, std::uint64_t ranges = 1) {
    if (!source_) {
      auto created = CurlOriginSource::create(options_);
      EXPECT_TRUE(created);
      source_ = std::move(*created);
    }
    if (!client_) client_ = source_->connect(facts_.sink(), settings_);
    const std::uint64_t first = next_;
    const std::uint64_t step = content_->size() / ranges;
    std::vector<std::shared_ptr<test::SinkLog>> logs;
    for (std::uint64_t i = 0; i < ranges; ++i) {
      logs.push_back(std::make_shared<test::SinkLog>());
      client_->fetch_range(
          core::RequestId{next_++},
          {url, {i * step, (i + 1) * step}, core::ByteCount{content_->size()}, kTag, false},
          std::make_unique<test::FakeSink>(logs.back()));
    }
    for (std::uint64_t i = 0; i < ranges; ++i) {
      const core::Event end = facts_.wait_for_end(core::RequestId{first + i});
      if (const auto* failed = std::get_if<core::RequestFailed>(&end)) return failed->failure;
      EXPECT_TRUE(std::holds_alternative<core::RangeFinished>(end));
      EXPECT_TRUE(logs[i]->bytes() == content_->substr(i * step, step));
    }
    return std::nullopt;
  }
  // The URL with credentials.
  [[nodiscard]] static std::string with_user(const std::string& url, const std::string& user) {
    const auto host = url.find("://") + 3;
    return url.substr(0, host) + user + "@" + url.substr(host);
  }
  void start_anew() {
    client_.reset();
    source_.reset();
  }

  const test::TestAuthority authority_;
  const test::Content content_ = test::make_content(400'000);
  support::TemporaryDirectory directory_;
  OriginOptions options_;
  ports::OriginSettings settings_;
  test::FactLog facts_;
  std::unique_ptr<CurlOriginSource> source_;
  std::unique_ptr<ports::OriginClient> client_;
  std::uint64_t next_ = 1;
};

using Trust = SecurityTest;
using ClientCertificate = SecurityTest;
using Digest = SecurityTest;
using Credentials = SecurityTest;
using Reach = SecurityTest;
using Http2 = SecurityTest;

// ---- certificates ------------------------------------------------------------------------------

TEST_F(Trust, IsInTheFileGivenAndInNothingElse) {
  const auto origin = serve_tls();
  EXPECT_FALSE(fetch(origin->url("/file")));
  start_anew();
  const test::TestAuthority other;
  options_.ca_file = write("other.pem", other.certificate());
  const auto failure = fetch(origin->url("/file"));
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->kind, FailureClass::permanent);
  EXPECT_NE(failure->message.find("certificate"), std::string::npos) << failure->message;
  EXPECT_FALSE(failure->unreachable);
  EXPECT_EQ(origin->counts().requests, 1U) << "nothing is asked of a stranger";
}

TEST_F(Trust, MayBeADirectoryOfCertificates) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> text{
      BIO_new_mem_buf(authority_.certificate().data(), -1), BIO_free};
  const std::unique_ptr<X509, decltype(&X509_free)> certificate{
      PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr), X509_free};
  std::array<char, 16> name{};
  std::snprintf(
      name.data(), name.size(), "%08lx.0",
      X509_NAME_hash_ex(X509_get_subject_name(certificate.get()), nullptr, nullptr, nullptr));
  static_cast<void>(write(name.data(), authority_.certificate()));
  const auto origin = serve_tls();
  options_.ca_file.clear();
  options_.ca_directory = directory_.path();
  EXPECT_FALSE(fetch(origin->url("/file")));
}

TEST_F(ClientCertificate, IsShownToTheHostNamed) {
  const auto origin = serve_tls({.client_authority = authority_.certificate()});
  const test::Identity mine = authority_.issue({.names = {"DNS:client"}});
  settings_.header_hosts = {core::header_host(origin->url("/"))};
  settings_.client_certificate = write("client.pem", mine.certificate);
  settings_.client_key = write("client.key", mine.key);
  EXPECT_FALSE(fetch(origin->url("/file")));
  client_.reset();
  settings_.client_certificate = write("both.pem", mine.certificate + mine.key);
  settings_.client_key.clear();
  EXPECT_FALSE(fetch(origin->url("/file")));
}

TEST_F(ClientCertificate, IsNotShownToAnotherHost) {
  const auto origin = serve_tls({.client_authority = authority_.certificate()});
  const test::Identity mine = authority_.issue({.names = {"DNS:client"}});
  settings_.header_hosts = {"example.org"};
  settings_.client_certificate = write("client.pem", mine.certificate);
  settings_.client_key = write("client.key", mine.key);
  EXPECT_TRUE(fetch(origin->url("/file")));
  EXPECT_EQ(origin->counts().requests, 0U);
}

TEST_F(ClientCertificate, ThatCannotBeReadIsAPermanentFailure) {
  const auto origin = serve_tls();
  settings_.header_hosts = {core::header_host(origin->url("/"))};
  settings_.client_certificate = directory_.path("missing.pem");
  const auto failure = fetch(origin->url("/file"));
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->kind, FailureClass::permanent) << failure->message;
}

// ---- credentials -------------------------------------------------------------------------------

[[nodiscard]] std::string md5(const std::string& text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), bytes.data(), &size, EVP_md5(), nullptr);
  std::string out;
  for (unsigned i = 0; i < size; ++i) {
    char hex[3];
    std::snprintf(hex, sizeof hex, "%02x", bytes[i]);
    out += hex;
  }
  return out;
}

// The value of a parameter in quotes.
[[nodiscard]] std::string quoted(const std::string& header, const std::string& name) {
  const auto at = header.find(name + "=\"");
  if (at == std::string::npos) return {};
  const auto begin = at + name.size() + 2;
  return header.substr(begin, header.find('"', begin) - begin);
}

// RFC 7616 without "qop", for user:p@ss.
[[nodiscard]] bool is_right(const FaultRequest& request) {
  const std::string header = request.header("authorization");
  if (!header.starts_with("Digest ")) return false;
  const std::string expected =
      md5(md5("user:r:p@ss") + ":" + quoted(header, "nonce") + ":" + md5("GET:" + request.target));
  return quoted(header, "response") == expected;
}

void want_digest(test::FaultOrigin& origin, const test::Content& content,
                 const std::string& offer) {
  origin.route("/file", [content, offer](const FaultRequest& request) {
    if (is_right(request)) return test::honest_reply(request, content, kTag);
    FaultReply reply;
    reply.status = 401;
    return reply.set_header("WWW-Authenticate", offer).set_body(std::string("who are you?"));
  });
}

TEST_F(Digest, CostsOneMoreRequestAndThePasswordOnce) {
  const auto origin = serve({});
  want_digest(*origin, content_, "Digest realm=\"r\", nonce=\"n\"");
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(fetch(with_user(origin->url("/file"), "user:p%40ss")));
    EXPECT_EQ(origin->counts().requests, 2U * (i + 1));
  }
  const auto requests = origin->requests();
  EXPECT_EQ(requests[0].header("authorization"), kBasic);
  EXPECT_EQ(requests[2].header("authorization"), "") << "it is known to want something else";
}

TEST_F(Digest, WithWrongCredentialsIsRefusedAfterOneMoreRequest) {
  const auto origin = serve({});
  want_digest(*origin, content_, "Digest realm=\"r\", nonce=\"n\"");
  for (const std::uint64_t requests : {2U, 4U}) {
    const auto failure = fetch(with_user(origin->url("/file"), "user:wrong"));
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->kind, FailureClass::permanent);
    EXPECT_TRUE(failure->refused);
    EXPECT_NE(failure->message.find("401"), std::string::npos) << failure->message;
    EXPECT_EQ(failure->message.find("wrong"), std::string::npos) << failure->message;
    EXPECT_EQ(origin->counts().requests, requests);
  }
}

TEST_F(Digest, IsNotAnsweredWithoutCredentialsNorWhereBasicWasRefused) {
  const auto origin = serve({});
  want_digest(*origin, content_, "Digest realm=\"r\", nonce=\"n\"");
  const auto failure = fetch(origin->url("/file"));
  ASSERT_TRUE(failure);
  EXPECT_NE(failure->message.find("it asks for credentials (digest)"), std::string::npos)
      << failure->message;
  want_digest(*origin, content_, "Basic realm=\"r\", Digest realm=\"r\", nonce=\"n\"");
  EXPECT_TRUE(fetch(with_user(origin->url("/file"), "user:p%40ss")));
  EXPECT_EQ(origin->counts().requests, 2U);
}

TEST_F(Credentials, OfTheNetrcFileAreNeverRead) {
  const auto origin = serve({});
  static_cast<void>(write(".netrc", "machine 127.0.0.1 login user password p@ss\n"));
  const char* const home = std::getenv("HOME");
  const std::string before = home != nullptr ? home : "";
  ::setenv("HOME", directory_.path().c_str(), 1);
  EXPECT_FALSE(fetch(origin->url("/file")));
  EXPECT_FALSE(fetch(with_user(origin->url("/file"), "user")));
  ::setenv("HOME", before.c_str(), 1);
  for (const FaultRequest& request : origin->requests()) {
    EXPECT_NE(request.header("authorization"), kBasic);
  }
}

TEST(Challenges, AreReadFromListsOfThem) {
  struct Sample {
    const char* value;
    std::vector<std::string> schemes;
  };
  for (const Sample& sample :
       {Sample{"Basic realm=\"x\"", {"basic"}}, Sample{"NEGOTIATE", {"negotiate"}},
        Sample{"Digest realm=\"a, Basic b\", qop=\"auth\", nonce=\"\\\"\", Basic realm=x",
               {"digest", "basic"}},
        Sample{"Negotiate, NTLM , Bearer", {"negotiate", "ntlm", "bearer"}},
        Sample{"Basic realm = \"x\" , charset=\"UTF-8\"", {"basic"}}, Sample{"", {}},
        Sample{",,\",=", {}}}) {
    std::vector<std::string> schemes;
    parse_challenges(sample.value, schemes);
    EXPECT_EQ(schemes, sample.schemes) << sample.value;
  }
  std::vector<std::string> many;
  std::string flood;
  for (int i = 0; i < 1000; ++i) flood += "Basic, ";
  parse_challenges(flood, many);
  EXPECT_EQ(many.size(), kChallengesMax);
}

// ---- unreachable and refused -------------------------------------------------------------------

TEST_F(Reach, ANameThatNobodyKnowsIsUnreachable) {
  const auto failure = fetch("http://nobody.invalid/file");
  ASSERT_TRUE(failure);
  EXPECT_TRUE(failure->unreachable);
  EXPECT_FALSE(failure->refused);
  EXPECT_NE(failure->message.find("the name was not resolved"), std::string::npos)
      << failure->message;
}

TEST_F(Reach, APortThatNobodyListensOnIsUnreachable) {
  const std::string url = serve({})->url("/file");  // the server is gone
  const auto failure = fetch(url);
  ASSERT_TRUE(failure);
  EXPECT_TRUE(failure->unreachable);
  EXPECT_NE(failure->message.find("no connection"), std::string::npos) << failure->message;
}

TEST_F(Reach, SilenceIsUnreachableAndAStalledReplyIsNot) {
  const auto origin = serve({});
  for (const bool silent : {true, false}) {
    origin->route("/file", [this, silent](const FaultRequest& request) {
      FaultReply reply = test::honest_reply(request, content_, kTag);
      if (silent) reply.drip = 30s;
      reply.stop_after = 0;
      reply.then = FaultReply::Then::hold;
      return reply;
    });
    const auto failure = fetch(origin->url("/file"));
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->kind, FailureClass::transient);
    EXPECT_EQ(failure->unreachable, silent) << failure->message;
    client_.reset();
  }
}

TEST_F(Reach, AStatusBetween400And499IsARefusal) {
  const auto origin = serve({});
  for (const int status : {400, 404, 410, 416, 429, 500, 503}) {
    origin->route("/file", [status](const FaultRequest&) {
      FaultReply reply;
      reply.status = status;
      return reply;
    });
    const auto failure = fetch(origin->url("/file"));
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->refused, status < 500) << status;
    EXPECT_FALSE(failure->unreachable) << status;
  }
}

[[nodiscard]] bool has_ipv6() {
  const int fd = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  const bool bound =
      fd >= 0 && ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  if (fd >= 0) ::close(fd);
  return bound;
}

TEST_F(Reach, AnIpv6AddressIsAHostLikeAnyOther) {
  if (!has_ipv6()) GTEST_SKIP() << "there is no IPv6 here";
  const auto origin = serve({.tls = FaultTls{.identity = authority_.issue()}, .ipv6 = true});
  settings_.headers = {"X-Token: t"};
  settings_.header_hosts = {core::header_host(origin->url("/"))};
  EXPECT_FALSE(fetch(with_user(origin->url("/file"), "user:p%40ss")));
  const auto requests = origin->requests();
  ASSERT_EQ(requests.size(), 1U);
  EXPECT_EQ(requests[0].header("x-token"), "t");
  EXPECT_EQ(requests[0].header("authorization"), kBasic);
  EXPECT_EQ(requests[0].header("host"), "[::1]:" + std::to_string(origin->port()));
}

// ---- HTTP/2 ------------------------------------------------------------------------------------

TEST_F(Http2, CarriesRangesSideBySideOnOneConnection) {
  options_.http2 = true;
  const auto origin = serve_tls({.http2 = true});
  EXPECT_FALSE(fetch(origin->url("/file"), 4));
  EXPECT_EQ(origin->counts().requests, 4U);
  EXPECT_EQ(origin->counts().http2_connections, 1U);
  EXPECT_EQ(origin->counts().connections, 1U);
}

TEST_F(Http2, IsNotSpokenUnlessItIsSwitchedOn) {
  const auto origin = serve_tls({.http2 = true});
  EXPECT_FALSE(fetch(origin->url("/file"), 4));
  EXPECT_EQ(origin->counts().http2_connections, 0U);
}

}  // namespace
}  // namespace lanward::cdn
