// What OriginSettings do: proxies, custom headers, and what may not leave with a redirect.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cdn/origin_source.h"
#include "engine/core/header_rules.h"
#include "tests/support/fake_sink.h"
#include "tests/support/fault_origin.h"
#include "tests/support/tiny_proxy.h"

namespace lanward::cdn {
namespace {

using core::FailureClass;
using test::FaultReply;
using test::FaultRequest;
using Usage = ProxySettings::Usage;

constexpr const char* kTag = "\"v1\"";
// "user:p@ss" in Basic authentication.
constexpr const char* kBasic = "Basic dXNlcjpwQHNz";

// Sets a variable, or takes it away, for the life of the object.
class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) {
    if (const char* before = ::getenv(name)) before_ = before;
    value != nullptr ? ::setenv(name, value, 1) : ::unsetenv(name);
  }
  ~Environment() { before_ ? ::setenv(name_, before_->c_str(), 1) : ::unsetenv(name_); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  const char* name_;
  std::optional<std::string> before_;
};

class OriginSettingsTest : public testing::Test {
 protected:
  OriginSettingsTest() {
    for (test::FaultOrigin* origin : {&origin_, &other_}) origin->serve("/file", content_, kTag);
  }

  // A thread of its own reads the environment, so it starts when that is as it shall be.
  void connect(ports::OriginSettings settings) {
    if (!source_) {
      auto created = CurlOriginSource::create({});
      ASSERT_TRUE(created);
      source_ = std::move(*created);
    }
    client_ = source_->connect(facts_.sink(), std::move(settings));
  }
  void connect(Usage usage, std::string proxy, std::string bypass = {}) {
    connect(
        {.proxy = {usage, std::move(proxy), std::move(bypass)}, .headers = {}, .header_hosts = {}});
  }
  // Custom headers for the hosts of these URLs, past any proxy.
  void connect_with_headers(std::vector<std::string> headers,
                            const std::vector<std::string>& urls) {
    ports::OriginSettings settings{
        .proxy = {Usage::none, {}, {}}, .headers = std::move(headers), .header_hosts = {}};
    for (const auto& url : urls) settings.header_hosts.push_back(core::header_host(url));
    connect(std::move(settings));
  }

  // How a range of the file ends: empty when it finishes, else the message of the failure.
  std::string fetch(const std::string& url) {
    const core::RequestId id{next_++};
    auto log = std::make_shared<test::SinkLog>();
    client_->fetch_range(id, {url, {0, 20'000}, core::ByteCount{content_->size()}, kTag, false},
                         std::make_unique<test::FakeSink>(log));
    const core::Event end = facts_.wait_for_end(id);
    if (const auto* failed = std::get_if<core::RequestFailed>(&end)) {
      kind_ = failed->failure.kind;
      return failed->failure.message;
    }
    EXPECT_TRUE(std::holds_alternative<core::RangeFinished>(end));
    EXPECT_EQ(log->bytes(), content_->substr(0, 20'000));
    return {};
  }
  // The origin's address under a name that only the proxy knows.
  [[nodiscard]] std::string hidden_url(const std::string& path = "/file") const {
    return "http://origin.invalid:" + std::to_string(origin_.port()) + path;
  }
  void redirect(test::FaultOrigin& from, const std::string& path, std::string target,
                int status = 302) {
    from.route(path, [target = std::move(target), status](const FaultRequest&) {
      FaultReply reply;
      reply.status = status;
      return reply.set_header("Location", target).set_body(std::string("moved"));
    });
  }

  const test::Content content_ = test::make_content(100'000);
  test::FactLog facts_;
  test::FaultOrigin origin_;
  test::FaultOrigin other_;
  test::TinyProxy proxy_;
  std::unique_ptr<CurlOriginSource> source_;
  std::unique_ptr<ports::OriginClient> client_;
  std::uint64_t next_ = 1;
  FailureClass kind_ = FailureClass::local;
};

using Proxy = OriginSettingsTest;
using Headers = OriginSettingsTest;
using Redirects = OriginSettingsTest;
using ReplyHeadersOf = OriginSettingsTest;

TEST_F(Proxy, ThatIsSetIsUsedWhateverTheEnvironmentSays) {
  const Environment everything("no_proxy", "*");
  connect(Usage::use, "http://" + proxy_.address());
  EXPECT_EQ(fetch(hidden_url()), "");
  const auto requests = proxy_.requests();
  ASSERT_EQ(requests.size(), 1U);
  EXPECT_EQ(requests[0].method, "GET");
  EXPECT_EQ(requests[0].target, hidden_url());
  EXPECT_EQ(requests[0].header("proxy-authorization"), "");
}

TEST_F(Proxy, WithoutASchemeIsAnHttpProxy) {
  connect(Usage::use, proxy_.address());
  EXPECT_EQ(fetch(hidden_url()), "");
  EXPECT_EQ(proxy_.requests().size(), 1U);
}

TEST_F(Proxy, IsBypassedForTheHostsNamed) {
  connect(Usage::use, "http://" + proxy_.address(), "example.org,127.0.0.1");
  EXPECT_EQ(fetch(origin_.url("/file")), "");
  EXPECT_TRUE(proxy_.requests().empty());
  EXPECT_EQ(fetch(hidden_url()), "");
  EXPECT_EQ(proxy_.requests().size(), 1U);
}

TEST_F(Proxy, OfTheEnvironmentIsUsedByDefaultAndByAutodetect) {
  const Environment nobody("no_proxy", nullptr);
  const Environment variable("http_proxy", ("http://" + proxy_.address()).c_str());
  for (const Usage usage : {Usage::preconfig, Usage::autodetect}) {
    connect(usage, "http://ignored.invalid:1");
    EXPECT_EQ(fetch(hidden_url()), "");
  }
  EXPECT_EQ(proxy_.requests().size(), 2U);
  client_.reset();
  source_.reset();
}

TEST_F(Proxy, OfTheEnvironmentIsIgnoredByNone) {
  const Environment nobody("no_proxy", nullptr);
  const Environment variable("http_proxy", ("http://" + proxy_.address()).c_str());
  connect(Usage::none, "");
  EXPECT_EQ(fetch(origin_.url("/file")), "");
  EXPECT_TRUE(proxy_.requests().empty());
  client_.reset();
  source_.reset();
}

TEST_F(Proxy, IsEachClientsOwn) {
  connect(Usage::use, "http://" + proxy_.address());
  EXPECT_EQ(fetch(origin_.url("/file")), "");
  connect(Usage::none, "");
  EXPECT_EQ(fetch(origin_.url("/file")), "");
  EXPECT_EQ(proxy_.requests().size(), 1U);
  EXPECT_EQ(origin_.counts().requests, 2U);
}

TEST_F(Proxy, IsSentTheCredentialsOfItsUrl) {
  connect(Usage::use, "http://user:p%40ss@" + proxy_.address());
  EXPECT_EQ(fetch(hidden_url()), "");
  ASSERT_EQ(proxy_.requests().size(), 1U);
  EXPECT_EQ(proxy_.requests()[0].header("proxy-authorization"), kBasic);
}

TEST_F(Proxy, OpensATunnelForHttpsAndLearnsNoHeadersOfOurs) {
  const std::string place = "origin.invalid:" + std::to_string(origin_.port());
  connect({.proxy = {Usage::use, "http://user:p%40ss@" + proxy_.address(), {}},
           .headers = {"X-Token: secret"},
           .header_hosts = {place}});
  proxy_.answer_tunnels(200);
  EXPECT_NE(fetch("https://" + place + "/file"), "");
  EXPECT_EQ(kind_, FailureClass::transient) << "it closes before TLS begins";
  const auto requests = proxy_.requests();
  ASSERT_EQ(requests.size(), 1U);
  EXPECT_EQ(requests[0].method, "CONNECT");
  EXPECT_EQ(requests[0].target, place);
  EXPECT_EQ(requests[0].header("proxy-authorization"), kBasic);
  EXPECT_EQ(requests[0].header("x-token"), "");
  EXPECT_EQ(client_->reply_headers(), "") << "the proxy is not the origin";
}

TEST_F(Proxy, ThatRefusesATunnelForGoodIsAPermanentFailure) {
  connect(Usage::use, "http://user:p%40ss@" + proxy_.address());
  for (const auto& [status, kind] :
       {std::pair{407, FailureClass::permanent}, std::pair{403, FailureClass::permanent},
        std::pair{503, FailureClass::transient}}) {
    proxy_.answer_tunnels(status);
    const std::string message = fetch("https://origin.invalid/file");
    EXPECT_EQ(kind_, kind) << message;
    EXPECT_NE(message.find(std::to_string(status)), std::string::npos) << message;
    EXPECT_EQ(message.find("p@ss"), std::string::npos) << message;
  }
}

TEST_F(Proxy, OfKindSocksResolvesTheNames) {
  connect(Usage::use, "socks5h://user:p%40ss@" + proxy_.address());
  EXPECT_EQ(fetch(hidden_url()), "");
  const auto requests = proxy_.requests();
  ASSERT_EQ(requests.size(), 1U);
  EXPECT_EQ(requests[0].method, "SOCKS");
  EXPECT_EQ("http://" + requests[0].target + "/file", hidden_url());
  EXPECT_EQ(requests[0].header("proxy-authorization"), "user:p@ss");
}

TEST_F(Proxy, ThatIsNoneOrUnreachableFailsWithoutItsCredentials) {
  const std::vector<std::pair<std::string, FailureClass>> cases{
      {"", FailureClass::permanent},
      {"socks4://user:p%40ss@h:1", FailureClass::permanent},
      {"ftp://user:p%40ss@h:1", FailureClass::permanent},
      {"http://user:p@ss word@h:1", FailureClass::permanent},
      {"http://user:p%40ss@h:99999", FailureClass::permanent},
      {"http://user:p%40ss@127.0.0.1:1", FailureClass::transient},
      {"socks5h://user:p%40ss@127.0.0.1:1", FailureClass::transient},
  };
  for (const auto& [proxy, kind] : cases) {
    connect(Usage::use, proxy);
    const std::string message = fetch(hidden_url());
    EXPECT_EQ(kind_, kind) << proxy << ": " << message;
    for (const char* secret : {"p@ss", "p%40ss", "user"}) {
      EXPECT_EQ(message.find(secret), std::string::npos) << message;
    }
  }
}

TEST_F(Proxy, OfTheEnvironmentKeepsItsCredentialsOutOfMessages) {
  const Environment nobody("no_proxy", nullptr);
  for (const char* proxy : {"socks9://user:p@ss@h:1", "http://user:p@ss@h:99999"}) {
    const Environment variable("http_proxy", proxy);
    connect(Usage::preconfig, "");
    const std::string message = fetch(hidden_url());
    EXPECT_NE(message, "");
    EXPECT_EQ(message.find("p@ss"), std::string::npos) << message;
    client_.reset();
    source_.reset();
  }
}

TEST_F(Headers, ReachTheHostNamedWithEveryKindOfRequest) {
  connect_with_headers({"X-Token: a:b", "authorization: Bearer t", "X-Empty:", "User-Agent: mine"},
                       {origin_.url("/")});
  EXPECT_EQ(fetch(origin_.url("/file")), "");
  client_->probe(core::RequestId{100}, origin_.url("/file"));
  client_->fetch_document(core::RequestId{101}, origin_.url("/file"), core::ByteCount{100'000});
  for (const std::uint64_t n : {100U, 101U}) {
    EXPECT_FALSE(
        std::holds_alternative<core::RequestFailed>(facts_.wait_for_end(core::RequestId{n})));
  }
  const auto requests = origin_.requests();
  ASSERT_EQ(requests.size(), 3U);
  for (const auto& request : requests) {
    EXPECT_EQ(request.header("x-token"), "a:b");
    EXPECT_EQ(request.header("authorization"), "Bearer t");
    EXPECT_TRUE(request.headers.contains("x-empty"));
    EXPECT_EQ(request.header("user-agent"), "mine");
    EXPECT_EQ(request.header("accept-encoding"), "identity");
  }
  EXPECT_EQ(requests[0].header("range"), "bytes=0-19999");
}

TEST_F(Headers, DoNotReachAHostThatIsNotNamed) {
  connect_with_headers({"X-Token: t", "Authorization: Bearer t"}, {origin_.url("/")});
  EXPECT_EQ(fetch(other_.url("/file")), "");
  EXPECT_EQ(fetch("http://localhost:" + std::to_string(origin_.port()) + "/file"), "");
  connect({.proxy = {Usage::none, {}, {}},
           .headers = {"X-Token: t"},
           .header_hosts = {"127.0.0.1"}});  // port 80 of it
  EXPECT_EQ(fetch(origin_.url("/file")), "");
  for (const test::FaultOrigin* origin : {&origin_, &other_}) {
    for (const auto& request : origin->requests()) {
      EXPECT_EQ(request.header("x-token"), "");
      EXPECT_EQ(request.header("authorization"), "");
    }
  }
}

TEST_F(Headers, AreComparedWithHostNamesWithoutCase) {
  const std::string port = std::to_string(origin_.port());
  connect({.proxy = {Usage::none, {}, {}},
           .headers = {"X-Token: t"},
           .header_hosts = {"LocalHost:" + port}});
  EXPECT_EQ(fetch("http://lOCALHOST:" + port + "/file"), "");
  EXPECT_EQ(origin_.requests().at(0).header("x-token"), "t");
}

TEST_F(Headers, StayWithTheNamedHostAcrossRedirects) {
  connect_with_headers({"X-Token: t", "Authorization: Bearer t", "Cookie: c=1"},
                       {origin_.url("/")});
  for (const int status : {301, 302, 303, 307, 308}) {
    redirect(origin_, "/near", "/far", status);
    redirect(origin_, "/far", other_.url("/back"), status);
    redirect(other_, "/back", origin_.url("/file"), status);
    EXPECT_EQ(fetch(origin_.url("/near")), "") << status;
  }
  for (const auto& request : origin_.requests()) {
    EXPECT_EQ(request.header("x-token"), "t") << request.target;
    EXPECT_EQ(request.header("authorization"), "Bearer t") << request.target;
    EXPECT_EQ(request.header("cookie"), "c=1") << request.target;
    EXPECT_EQ(request.header("range"), "bytes=0-19999");
  }
  ASSERT_EQ(other_.requests().size(), 5U);
  for (const auto& request : other_.requests()) {
    EXPECT_EQ(request.header("x-token"), "");
    EXPECT_EQ(request.header("authorization"), "");
    EXPECT_EQ(request.header("cookie"), "");
    EXPECT_EQ(request.header("range"), "bytes=0-19999");
    EXPECT_EQ(request.header("if-range"), kTag);
  }
}

TEST_F(Headers, ThatAreReservedOrBrokenFailEveryRequestUnsent) {
  for (const char* line : {"Range: bytes=0-0", "host: other", "X: a\r\nY: b", "nonsense"}) {
    connect_with_headers({"X-Good: 1", line}, {origin_.url("/")});
    EXPECT_NE(fetch(origin_.url("/file")).find("custom header 2"), std::string::npos) << line;
    EXPECT_EQ(kind_, FailureClass::permanent);
  }
  EXPECT_EQ(origin_.counts().requests, 0U);
}

TEST_F(Redirects, CarryUserInfoToTheSameHostAndPortOnly) {
  connect(Usage::none, "");
  redirect(origin_, "/relative", "/absolute");
  redirect(origin_, "/absolute", origin_.url("/away"));
  redirect(origin_, "/away", other_.url("/back"));
  redirect(other_, "/back", origin_.url("/file"));
  EXPECT_EQ(fetch("http://user:p%40ss@" + origin_.url("/relative").substr(7)), "");
  const auto requests = origin_.requests();
  ASSERT_EQ(requests.size(), 4U);
  for (const auto& request : requests) {
    const bool returned = request.target == "/file";
    EXPECT_EQ(request.header("authorization"), returned ? "" : kBasic) << request.target;
  }
  ASSERT_EQ(other_.requests().size(), 1U);
  EXPECT_EQ(other_.requests()[0].header("authorization"), "");
}

TEST_F(Redirects, EndAtTheLimitAndNotBefore) {
  connect(Usage::none, "");
  const std::uint32_t most = OriginOptions{}.redirects_max;
  for (std::uint32_t i = 0; i < most; ++i) {
    redirect(origin_, "/" + std::to_string(i), "/" + std::to_string(i + 1));
  }
  origin_.serve("/" + std::to_string(most), content_, kTag);
  EXPECT_EQ(fetch(origin_.url("/0")), "");
  EXPECT_EQ(origin_.counts().connections, 1U) << "a redirect keeps the connection";
  redirect(origin_, "/start", "/0");
  EXPECT_NE(fetch(origin_.url("/start")).find("more than 10 redirects"), std::string::npos);
  EXPECT_EQ(kind_, FailureClass::permanent);
}

TEST_F(Redirects, WithSpacesAndFragmentsAreUnderstood) {
  connect(Usage::none, "");
  origin_.serve("/a%20b", content_, kTag);
  redirect(origin_, "/x/old", "../a b?q=1#part");
  EXPECT_EQ(fetch(origin_.url("/x/old")), "");
  EXPECT_EQ(origin_.requests().at(1).target, "/a%20b?q=1");
  redirect(origin_, "/slashes", "//127.0.0.1:" + std::to_string(other_.port()) + "/file");
  EXPECT_EQ(fetch("http://user:secret@" + origin_.url("/slashes").substr(7)), "");
  EXPECT_EQ(other_.requests().at(0).header("authorization"), "");
}

TEST_F(Redirects, ToSomethingElseThanHttpAreRefused) {
  connect(Usage::none, "");
  for (const char* target :
       {"ftp://127.0.0.1/f", "file:///etc/passwd", "gopher://h/", "http://", "foo://h/x"}) {
    redirect(origin_, "/old", target);
    const std::string message = fetch(origin_.url("/old"));
    EXPECT_NE(message.find("redirect"), std::string::npos) << target << ": " << message;
    EXPECT_EQ(kind_, FailureClass::permanent) << target;
  }
}

TEST_F(Redirects, MayBeCancelledOnTheWay) {
  connect(Usage::none, "");
  redirect(origin_, "/old", other_.url("/held"));
  other_.route("/held", [this](const FaultRequest& request) {
    FaultReply reply = test::honest_reply(request, content_, kTag);
    reply.stop_after = 100;
    reply.then = FaultReply::Then::hold;
    return reply;
  });
  auto log = std::make_shared<test::SinkLog>();
  client_->fetch_range(
      core::RequestId{1},
      {origin_.url("/old"), {0, 20'000}, core::ByteCount{content_->size()}, kTag, false},
      std::make_unique<test::FakeSink>(log));
  ASSERT_TRUE(log->wait_for_bytes(1));
  client_->cancel(core::RequestId{1});
  EXPECT_TRUE(log->destroyed());
  other_.release();
  EXPECT_TRUE(other_.wait_until([](const auto& c) { return c.open_connections == 0; }));
  EXPECT_EQ(facts_.count_ends(core::RequestId{1}), 0U);
}

TEST_F(ReplyHeadersOf, ARangeAreThoseOfTheLastReply) {
  connect(Usage::none, "");
  EXPECT_EQ(client_->reply_headers(), "");
  redirect(other_, "/old", origin_.url("/file"));
  EXPECT_EQ(fetch(other_.url("/old")), "");
  EXPECT_EQ(client_->reply_headers(),
            "HTTP/1.1 206 Status\r\nETag: \"v1\"\r\n"
            "Content-Range: bytes 0-19999/100000\r\nContent-Length: 20000\r\n");
  EXPECT_NE(fetch(origin_.url("/missing")), "");
  EXPECT_EQ(client_->reply_headers(), "HTTP/1.1 404 Status\r\nContent-Length: 0\r\n");
  connect(Usage::none, "");
  EXPECT_EQ(client_->reply_headers(), "") << "of a new client";
}

TEST_F(ReplyHeadersOf, AWordySenderAreCutAfterALine) {
  connect(Usage::none, "");
  origin_.route("/file", [this](const FaultRequest& request) {
    FaultReply reply = test::honest_reply(request, content_, kTag);
    for (int i = 0; i < 40; ++i) reply.headers.emplace_back("X-Long", std::string(1000, 'x'));
    return reply;
  });
  EXPECT_EQ(fetch(origin_.url("/file")), "");
  const std::string headers = client_->reply_headers();
  EXPECT_LE(headers.size(), ports::kReplyHeadersBytesMax);
  EXPECT_GT(headers.size(), ports::kReplyHeadersBytesMax - 1100);
  EXPECT_TRUE(headers.starts_with("HTTP/1.1 206"));
  EXPECT_TRUE(headers.ends_with("x\r\n"));
}

}  // namespace
}  // namespace lanward::cdn
