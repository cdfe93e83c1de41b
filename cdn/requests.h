// The three kinds of requests.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cdn/transfer.h"
#include "engine/ports/origin.h"

namespace lanward::cdn {

class ProbeTransfer final : public Transfer {
 public:
  using Transfer::Transfer;

 private:
  void set_options(CURL* easy) override;
  Verdict judge(ReplyHeaders&& reply) override;
  Taken take(Bytes) override { return Taken::refused; }
  [[nodiscard]] Judged<core::Event> complete() override;

  core::OriginFacts result_;
};

class DocumentTransfer final : public Transfer {
 public:
  DocumentTransfer(core::RequestId id, std::string url, core::ByteCount limit,
                   std::shared_ptr<ClientContext> client)
      : Transfer(id, std::move(url), std::move(client)), limit_(limit) {}

 private:
  void set_options(CURL*) override {}
  Verdict judge(ReplyHeaders&& reply) override;
  Taken take(Bytes bytes) override;
  [[nodiscard]] Judged<core::Event> complete() override;

  const core::ByteCount limit_;
  std::vector<std::uint8_t> bytes_;
};

class RangeTransfer final : public Transfer {
 public:
  RangeTransfer(core::RequestId id, const ports::RangeRequest& request,
                std::unique_ptr<ports::RangeSink> sink, std::shared_ptr<ClientContext> client)
      : Transfer(id, request.url, std::move(client)),
        request_(request),
        sink_(std::move(sink)),
        position_(request.span.begin),
        reported_(request.span.begin) {}

 private:
  void set_options(CURL* easy) override;
  Verdict judge(ReplyHeaders&& reply) override;
  Taken take(Bytes bytes) override;
  [[nodiscard]] Judged<core::Event> complete() override;
  [[nodiscard]] bool is_metered() const override { return true; }
  void progress() override;
  void drop_sink(bool flush) override;

  const ports::RangeRequest request_;
  std::unique_ptr<ports::RangeSink> sink_;
  std::uint64_t position_;  // of the next byte for the sink
  std::uint64_t reported_;  // as far as progress has been given
  std::uint64_t end_ = 0;   // of the bytes that the reply promised
};

}  // namespace lanward::cdn
