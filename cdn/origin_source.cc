#include "cdn/origin_source.h"

#include <utility>

#include "cdn/client_context.h"
#include "cdn/curl_loop.h"
#include "cdn/requests.h"

namespace lanward::cdn {
namespace {

class Client final : public ports::OriginClient {
 public:
  Client(std::shared_ptr<CurlLoop> loop, ports::FactSink facts, ports::OriginSettings settings)
      : loop_(std::move(loop)),
        id_(loop_->new_client()),
        context_(std::make_shared<ClientContext>(std::move(facts), std::move(settings))) {}
  ~Client() override { loop_->cancel_client(id_); }

  void probe(core::RequestId request, const std::string& url) override {
    loop_->start({id_, request}, std::make_shared<ProbeTransfer>(request, url, context_));
  }

  void fetch_document(core::RequestId request, const std::string& url,
                      core::ByteCount limit) override {
    loop_->start({id_, request}, std::make_shared<DocumentTransfer>(request, url, limit, context_));
  }

  void fetch_range(core::RequestId request, const ports::RangeRequest& range,
                   std::unique_ptr<ports::RangeSink> sink) override {
    loop_->start({id_, request},
                 std::make_shared<RangeTransfer>(request, range, std::move(sink), context_));
  }

  void continue_range(core::RequestId request) override { loop_->resume({id_, request}); }
  void set_rate_limit(core::ByteRate rate) override {
    context_->set_rate_limit(rate, CurlLoop::now());
    loop_->limits_changed();
  }
  void cancel(core::RequestId request) override { loop_->cancel({id_, request}); }
  [[nodiscard]] std::string reply_headers() const override { return context_->reply_headers(); }

 private:
  const std::shared_ptr<CurlLoop> loop_;
  const std::uint64_t id_;
  const std::shared_ptr<ClientContext> context_;
};

}  // namespace

CurlOriginSource::CurlOriginSource(std::shared_ptr<CurlLoop> loop) : loop_(std::move(loop)) {}
CurlOriginSource::~CurlOriginSource() = default;

Result<std::unique_ptr<CurlOriginSource>> CurlOriginSource::create(OriginOptions options) {
  auto loop = CurlLoop::create(std::move(options));
  if (!loop) return tl::unexpected(std::move(loop.error()));
  return std::unique_ptr<CurlOriginSource>(new CurlOriginSource(std::move(*loop)));
}

std::unique_ptr<ports::OriginClient> CurlOriginSource::connect(ports::FactSink facts,
                                                               ports::OriginSettings settings) {
  return std::make_unique<Client>(loop_, std::move(facts), std::move(settings));
}

}  // namespace lanward::cdn
