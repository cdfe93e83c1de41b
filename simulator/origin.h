// HTTP origins at the far end of the site's WAN link.
//
// Modelled: connection set-up (one round trip, none on a kept connection), request round trip, the
// shared WAN link, the client's downlink, optional caps per connection and per machine, TCP slow
// start, missing documents, changed files, servers without ranges, corrupt pieces, outages, 429,
// bytes in flight when a request is given up. Not modelled: TLS, loss, headers.
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
  core::ByteRate connection_rate{};  // cap of one connection; zero: none
  core::ByteRate machine_rate{};     // cap of all connections of one machine; zero: none
  // A connection begins with a window of ten segments a round trip, which doubles every round trip
  // until it has its fair share. A kept connection keeps its window.
  bool slow_start = true;
  // While the origin cannot be reached: a new connection fails after the one, a request on its way
  // after the other, unless the origin is back by then.
  core::Duration connect_timeout = std::chrono::seconds{1};
  core::Duration stall_timeout = std::chrono::seconds{5};
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

class SimOriginClient;

// The servers, shared by every machine of the site.
class Origin {
 public:
  Origin(EventQueue& queue, Network& network, LinkId wan, OriginSettings settings)
      : queue_(queue), network_(network), wan_(wan), settings_(settings) {}

  void publish(std::string url, OriginFile file) { files_[std::move(url)] = std::move(file); }
  [[nodiscard]] const OriginEgress& egress() const { return egress_; }

  // Cannot be reached: nothing passes any more, see OriginSettings for what becomes of requests.
  void set_down(bool down);
  // Answers new requests with 429 and this Retry-After; nullopt: serves them again.
  void set_rate_limited(std::optional<core::Duration> retry_after) { retry_after_ = retry_after; }

 private:
  friend class SimOriginClient;
  friend class SimOriginSource;

  [[nodiscard]] const OriginFile* find(const std::string& url) const {
    const auto found = files_.find(url);
    return found == files_.end() ? nullptr : &found->second;
  }

  EventQueue& queue_;
  Network& network_;
  const LinkId wan_;
  const OriginSettings settings_;
  std::map<std::string, OriginFile> files_;
  std::vector<SimOriginClient*> clients_;  // in order of creation
  bool down_ = false;
  std::optional<core::Duration> retry_after_;
  OriginEgress egress_;
};

// The port of one machine.
class SimOriginSource final : public ports::OriginSource {
 public:
  SimOriginSource(Origin& origin, LinkId downlink)
      : SimOriginSource(origin, downlink, origin.settings_.machine_rate) {}
  // A machine with a cap of its own; zero: none.
  SimOriginSource(Origin& origin, LinkId downlink, core::ByteRate machine_rate);
  [[nodiscard]] std::unique_ptr<ports::OriginClient> connect(
      ports::FactSink facts, ports::OriginSettings settings) override;

 private:
  Origin& origin_;
  std::vector<LinkId> path_;  // from the origin to the machine
};

class SimOriginClient final : public ports::OriginClient {
 public:
  SimOriginClient(Origin& origin, std::vector<LinkId> path, ports::FactSink facts);
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
  // Shared evenly by the ranges on their way, without a burst: never more, at times less.
  void set_rate_limit(core::ByteRate rate) override;
  void cancel(core::RequestId request) override;
  [[nodiscard]] std::string reply_headers() const override { return {}; }

 private:
  friend class Origin;
  struct Connection {
    bool open = false;
    bool busy = false;
    std::uint64_t window = 0;  // bytes a round trip
  };
  struct Request {
    std::size_t connection = 0;
    std::string url;
    ports::RangeRequest range;
    std::unique_ptr<ports::RangeSink> sink;
    FlowId flow;
    std::uint64_t position = 0;
    std::uint64_t stretch = 0;  // bytes of the flow's present stretch
    bool growing = false;       // its window is what holds it back
    std::uint32_t tries = 0;    // of sending the request
    void (SimOriginClient::*reply)(core::RequestId, Request&) = nullptr;
  };
  using Reply = decltype(Request::reply);

  Request& begin(core::RequestId id, const std::string& url, Reply reply);
  // Runs the step for the request after a time, unless the request has ended.
  void after(core::Duration time, core::RequestId id,
             void (SimOriginClient::*step)(core::RequestId));
  void send(core::RequestId id, Request& request);
  void arrive(core::RequestId id);
  void stall(core::RequestId id, core::Duration patience);
  void set_down(bool down);
  void fail_transient(core::RequestId id, Request& request);
  void limit(Request& request);
  void limit_all();
  void grow(core::RequestId id);
  void end(core::RequestId id);
  void refuse(core::RequestId id, core::Failure failure);
  void refuse(core::RequestId id, core::FailureClass kind, const std::string& cause);
  void reply_probe(core::RequestId id, Request& request);
  void reply_document(core::RequestId id, Request& request);
  void reply_range(core::RequestId id, Request& request);
  [[nodiscard]] std::uint64_t next_stretch(Request& request) const;
  std::uint64_t stretch_passed(core::RequestId id);
  [[nodiscard]] ports::RangeSink::Accept hand_over(Request& request, std::uint64_t bytes);

  Origin& origin_;
  const std::vector<LinkId> path_;
  const ports::FactSink facts_;
  core::ByteRate rate_limit_{};
  std::vector<Connection> connections_;
  std::map<core::RequestId, Request> requests_;
  // Expires with the client; replies on their way look at it.
  const std::shared_ptr<SimOriginClient*> alive_ = std::make_shared<SimOriginClient*>(this);
};

}  // namespace lanward::simulator
