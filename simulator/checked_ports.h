// The ports of a simulated machine with its checker looking on. Every call and every fact passes
// through unchanged; the checker is told first.
#pragma once

#include <memory>
#include <utility>

#include "engine/ports/content_store.h"
#include "engine/ports/origin.h"
#include "engine/ports/swarm.h"
#include "simulator/checkers.h"

namespace lanward::simulator {

[[nodiscard]] inline ports::FactSink watched(MachineChecker& checker, ports::FactSink facts) {
  return [&checker, facts = std::move(facts)](core::Event event) {
    checker.on_fact(event);
    facts(std::move(event));
  };
}

class CheckedOriginClient final : public ports::OriginClient {
 public:
  CheckedOriginClient(MachineChecker& checker, std::unique_ptr<ports::OriginClient> inner)
      : checker_(checker), inner_(std::move(inner)) {}

  void probe(core::RequestId request, const std::string& url) override {
    inner_->probe(request, url);
  }
  void fetch_document(core::RequestId request, const std::string& url,
                      core::ByteCount limit) override {
    inner_->fetch_document(request, url, limit);
  }
  void fetch_range(core::RequestId request, const ports::RangeRequest& range,
                   std::unique_ptr<ports::RangeSink> sink) override {
    checker_.on_fetch(request, range);
    inner_->fetch_range(request, range, std::move(sink));
  }
  void continue_range(core::RequestId request) override { inner_->continue_range(request); }
  void set_rate_limit(core::ByteRate rate) override { inner_->set_rate_limit(rate); }
  void cancel(core::RequestId request) override {
    checker_.on_cancel(request);
    inner_->cancel(request);
  }
  [[nodiscard]] std::string reply_headers() const override { return inner_->reply_headers(); }

 private:
  MachineChecker& checker_;
  const std::unique_ptr<ports::OriginClient> inner_;
};

class CheckedOrigins final : public ports::OriginSource {
 public:
  CheckedOrigins(MachineChecker& checker, ports::OriginSource& inner)
      : checker_(checker), inner_(inner) {}
  [[nodiscard]] std::unique_ptr<ports::OriginClient> connect(
      ports::FactSink facts, ports::OriginSettings settings) override {
    return std::make_unique<CheckedOriginClient>(
        checker_, inner_.connect(watched(checker_, std::move(facts)), std::move(settings)));
  }

 private:
  MachineChecker& checker_;
  ports::OriginSource& inner_;
};

class CheckedMember final : public ports::SwarmMember {
 public:
  CheckedMember(MachineChecker& checker, std::unique_ptr<ports::SwarmMember> inner)
      : checker_(checker), inner_(std::move(inner)) {}

  void allow(core::PieceSpan pieces) override { inner_->allow(pieces); }
  void reserve(core::PieceSpan pieces) override { inner_->reserve(pieces); }
  void announce(core::PieceIndex piece) override { inner_->announce(piece); }
  void send(std::span<const core::SourceId> to, const core::LeaseMessage& message) override {
    checker_.on_send(to.size(), message);
    inner_->send(to, message);
  }
  void connect(const core::Endpoint& endpoint) override { inner_->connect(endpoint); }
  void ban(core::SourceId peer) override { inner_->ban(peer); }
  void leave(ports::Task done) override { inner_->leave(std::move(done)); }

 private:
  MachineChecker& checker_;
  const std::unique_ptr<ports::SwarmMember> inner_;
};

class CheckedSwarm final : public ports::Swarm {
 public:
  CheckedSwarm(MachineChecker& checker, ports::Swarm& inner) : checker_(checker), inner_(inner) {}
  [[nodiscard]] std::unique_ptr<ports::SwarmMember> join(const ports::SwarmRequest& request,
                                                         ports::FactSink facts) override {
    return std::make_unique<CheckedMember>(
        checker_, inner_.join(request, watched(checker_, std::move(facts))));
  }

 private:
  MachineChecker& checker_;
  ports::Swarm& inner_;
};

class CheckedStore final : public ports::PieceStore {
 public:
  CheckedStore(MachineChecker& checker, ports::PieceStore& inner)
      : checker_(checker), inner_(inner) {}

  void open(const core::Content& content, ports::FactSink facts, Opened done) override {
    inner_.open(content, watched(checker_, std::move(facts)), std::move(done));
  }
  void deliver(const std::shared_ptr<ports::ContentStore>& content, ports::DeliveryOrder order,
               Done done) override {
    inner_.deliver(content, std::move(order), std::move(done));
  }
  void sweep(std::string destination, const core::Digest& id, Done done) override {
    inner_.sweep(std::move(destination), id, std::move(done));
  }
  void forget(const core::Digest& id, Done done) override { inner_.forget(id, std::move(done)); }
  void close(const std::shared_ptr<ports::ContentStore>& content, Done done) override {
    inner_.close(content, std::move(done));
  }
  void purge(const std::shared_ptr<ports::ContentStore>& content, Done done) override {
    inner_.purge(content, std::move(done));
  }

 private:
  MachineChecker& checker_;
  ports::PieceStore& inner_;
};

}  // namespace lanward::simulator
