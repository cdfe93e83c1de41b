// HTTP origins at the far end of the site's WAN link.
//
// Modelled: connection set-up (one round trip, none on a kept connection), request round trip, the
// shared WAN link, the client's downlink, an optional cap per connection, missing documents,
// changed files, servers without ranges, corrupt pieces, bytes in flight when a request is given
// up. Not modelled: TLS, slow start, headers, outages, rate limits.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/ports/origin.h"
#include "simulator/event_queue.h"
#include "simulator/network.h"
#include "simulator/store.h"

namespace lanward::simulator {

struct OriginSettings {
  core::Duration rtt = std::chrono::milliseconds{20};
  core::ByteRate connection_rate;  // cap of one connection; zero: none
};

struct OriginFile {
  core::ByteCount size;
  std::string etag = "\"1\"";
  bool ranges = true;
  std::vector<core::ByteSpan> corrupt;  // parts of which every byte is wrong
};

// Bytes of bodies that the origin has sent: what the owner of the WAN link pays for.
struct OriginEgress {
  std::uint64_t total = 0;
  std::uint64_t probes = 0;     // of these, bodies of probes, thrown away
  std::uint64_t abandoned = 0;  // of these, in flight when a request was given up
};

// The servers, shared by every machine of the site.
class Origin {
 public:
  Origin(EventQueue& queue, Network& network, LinkId wan, OriginSettings settings)
      : queue_(queue), network_(network), wan_(wan), settings_(settings) {}

  void publish(std::string url, OriginFile file) { files_[std::move(url)] = std::move(file); }
  [[nodiscard]] const OriginEgress& egress() const { return egress_; }

 private:
  friend class SimOriginClient;

  [[nodiscard]] const OriginFile* find(const std::string& url) const {
    const auto found = files_.find(url);
    return found == files_.end() ? nullptr : &found->second;
  }

  EventQueue& queue_;
  Network& network_;
  const LinkId wan_;
  const OriginSettings settings_;
  std::map<std::string, OriginFile> files_;
  OriginEgress egress_;
};

// The port of one machine.
class SimOriginSource final : public ports::OriginSource {
 public:
  SimOriginSource(Origin& origin, LinkId downlink) : origin_(origin), downlink_(downlink) {}
  [[nodiscard]] std::unique_ptr<ports::OriginClient> connect(ports::FactSink facts) override;

 private:
  Origin& origin_;
  const LinkId downlink_;
};

class SimOriginClient final : public ports::OriginClient {
 public:
  SimOriginClient(Origin& origin, LinkId downlink, ports::FactSink facts)
      : origin_(origin), downlink_(downlink), facts_(std::move(facts)) {}
  ~SimOriginClient() override;
  SimOriginClient(const SimOriginClient&) = delete;
  SimOriginClient& operator=(const SimOriginClient&) = delete;

  void probe(core::RequestId request, const std::string& url) override;
  void fetch_document(core::RequestId request, const std::string& url,
                      core::ByteCount limit) override;
  void fetch_range(core::RequestId request, const ports::RangeRequest& range,
                   std::unique_ptr<ports::RangeSink> sink) override;
  // The simulated store never answers full.
  void continue_range(core::RequestId /*request*/) override {}
  void cancel(core::RequestId request) override;

 private:
  struct Connection {
    std::optional<LinkId> cap;
    bool open = false;
    bool busy = false;
  };
  struct Request {
    std::size_t connection = 0;
    std::string url;
    ports::RangeRequest range;
    std::unique_ptr<ports::RangeSink> sink;
    FlowId flow;
    std::uint64_t position = 0;
    std::uint64_t stretch = 0;  // bytes of the flow's present stretch
  };

  Request& begin(core::RequestId id, const std::string& url,
                 void (SimOriginClient::*reply)(core::RequestId, Request&));
  void end(core::RequestId id);
  void refuse(core::RequestId id, core::FailureClass kind, const std::string& cause);
  void reply_probe(core::RequestId id, Request& request);
  void reply_document(core::RequestId id, Request& request);
  void reply_range(core::RequestId id, Request& request);
  [[nodiscard]] std::uint64_t next_stretch(Request& request) const;
  std::uint64_t stretch_passed(core::RequestId id);
  [[nodiscard]] ports::RangeSink::Accept hand_over(Request& request, std::uint64_t bytes);

  Origin& origin_;
  const LinkId downlink_;
  const ports::FactSink facts_;
  std::vector<Connection> connections_;
  std::map<core::RequestId, Request> requests_;
  // Expires with the client; replies on their way look at it.
  const std::shared_ptr<SimOriginClient*> alive_ = std::make_shared<SimOriginClient*>(this);
};

}  // namespace lanward::simulator
