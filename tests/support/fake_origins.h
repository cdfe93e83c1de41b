// Origins whose answers the test gives by hand; it sees every request that is open.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/ports/origin.h"

namespace lanward::testing {

class FakeOrigins final : public ports::OriginSource {
 public:
  struct Request {
    std::string kind;  // probe, document, range
    std::string url;
    core::ByteSpan span;
    std::string validator;
    std::unique_ptr<ports::RangeSink> sink;
    ports::FactSink facts;
  };

  [[nodiscard]] std::unique_ptr<ports::OriginClient> connect(ports::FactSink facts,
                                                             ports::OriginSettings how) override {
    settings.push_back(std::move(how));
    return std::make_unique<Client>(*this, std::move(facts));
  }

  // The oldest open request. REQUIRES: there is one.
  [[nodiscard]] Request& oldest() { return open.begin()->second; }

  void answer_probe(core::OriginFacts facts) {
    auto [id, request] = take();
    request.facts(core::OriginProbed{id, std::move(facts)});
  }
  void answer_document(std::vector<std::uint8_t> bytes) {
    auto [id, request] = take();
    request.facts(core::DocumentFetched{id, std::move(bytes), request.url});
  }
  void fail(core::FailureClass kind) {
    auto [id, request] = take();
    request.facts(core::RequestFailed{id, {kind, core::Duration{0}, request.url + ": refused"}});
  }
  // As a server that answers 404.
  void refuse() {
    auto [id, request] = take();
    core::Failure failure;
    failure.kind = core::FailureClass::permanent;
    failure.message = request.url + ": 404";
    failure.refused = true;
    request.facts(core::RequestFailed{id, std::move(failure)});
  }
  // Serves the oldest range in full. A sink that takes no more ends it; the fake knows no pause.
  void serve() {
    auto [id, request] = take();
    std::vector<std::byte> bytes(16 * core::kKiB);
    for (std::uint64_t at = request.span.begin; at < request.span.end; at += bytes.size()) {
      const auto size = std::min<std::uint64_t>(bytes.size(), request.span.end - at);
      if (request.sink->accept(std::span(bytes).first(size)) != ports::RangeSink::Accept::taken) {
        request.facts(core::RequestFailed{
            id, {core::FailureClass::local, core::Duration{0}, request.url + ": not taken"}});
        return;
      }
      bytes_served += size;
    }
    request.sink->finish();
    request.facts(core::RangeProgressed{id, request.span.end});
    request.facts(core::RangeFinished{id});
  }

  // By client, then request: the ids of two clients may be the same.
  std::map<std::pair<int, core::RequestId>, Request> open;
  int requests = 0;
  std::uint64_t bytes_served = 0;
  std::vector<ports::OriginSettings> settings;  // of every client, in the order of connecting
  std::string reply_headers;                    // what every client says
  // Limits that living clients were given; the fake only notes them, its tests move no time.
  std::map<int, core::ByteRate> rates;

 private:
  std::pair<core::RequestId, Request> take() {
    auto node = open.extract(open.begin());
    return {node.key().second, std::move(node.mapped())};
  }

  class Client final : public ports::OriginClient {
   public:
    Client(FakeOrigins& owner, ports::FactSink facts)
        : owner_(owner), number_(owner.clients_++), facts_(std::move(facts)) {}
    ~Client() override {
      std::erase_if(owner_.open, [this](const auto& r) { return r.first.first == number_; });
      owner_.rates.erase(number_);
    }
    void probe(core::RequestId id, const std::string& url) override { add(id, {"probe", url}); }
    void fetch_document(core::RequestId id, const std::string& url, core::ByteCount) override {
      add(id, {"document", url});
    }
    void fetch_range(core::RequestId id, const ports::RangeRequest& range,
                     std::unique_ptr<ports::RangeSink> sink) override {
      add(id, {"range", range.url, range.span, range.validator, std::move(sink)});
    }
    void continue_range(core::RequestId) override {}
    void set_rate_limit(core::ByteRate rate) override { owner_.rates[number_] = rate; }
    void cancel(core::RequestId id) override { owner_.open.erase({number_, id}); }
    [[nodiscard]] std::string reply_headers() const override { return owner_.reply_headers; }

   private:
    void add(core::RequestId id, Request request) {
      ++owner_.requests;
      request.facts = facts_;
      owner_.open.emplace(std::pair{number_, id}, std::move(request));
    }
    FakeOrigins& owner_;
    const int number_;
    ports::FactSink facts_;
  };

  int clients_ = 0;
};

}  // namespace lanward::testing
