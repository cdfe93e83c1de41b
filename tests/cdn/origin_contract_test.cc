// The contract of origins, over HTTP from a server in this process.
#include "tests/contract/origin_contract.h"

#include <cstdlib>

#include "cdn/origin_source.h"
#include "tests/support/fault_origin.h"

namespace lanward::test {
namespace {

class CurlWorld final : public OriginWorld {
 public:
  CurlWorld() {
    ::setenv("no_proxy", "*", 1);  // libcurl honours http_proxy
    server_.serve("/file", content_, kOriginFileTag);
    auto created = cdn::CurlOriginSource::create({});
    EXPECT_TRUE(created);
    if (created) source_ = std::move(*created);
  }

  [[nodiscard]] ports::OriginSource& source() override { return *source_; }
  [[nodiscard]] std::string file_url() const override { return server_.url("/file"); }
  [[nodiscard]] std::string missing_url() const override { return server_.url("/missing"); }
  [[nodiscard]] std::unique_ptr<Receiver> make_receiver() override {
    return std::make_unique<PayloadReceiver>(watch, content_);
  }
  void stall_after(std::uint64_t bytes) override {
    server_.route("/file", [this, bytes](const FaultRequest& request) {
      FaultReply reply = honest_reply(request, content_, kOriginFileTag);
      reply.stop_after = bytes;
      reply.then = FaultReply::Then::hold;
      return reply;
    });
  }
  void flow() override {
    server_.serve("/file", content_, kOriginFileTag);
    server_.release();
  }

 private:
  const Content content_ = make_content(kOriginFileBytes);
  FaultOrigin server_;
  std::unique_ptr<cdn::CurlOriginSource> source_;
};

std::unique_ptr<OriginWorld> make_curl_world() { return std::make_unique<CurlWorld>(); }

INSTANTIATE_TEST_SUITE_P(CurlOriginSource, OriginContract, testing::Values(&make_curl_world));

}  // namespace
}  // namespace lanward::test
