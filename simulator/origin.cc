#include "simulator/origin.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

namespace lanward::simulator {

namespace {

// Bytes between two reports of progress: what curl hands over between two looks at the clock, and
// no more than the smallest canonical piece, so that a piece is verified when its last byte came.
constexpr std::uint64_t kStretchBytes = core::kCanonicalPieceBytesMin;

// Body of the reply to a request for the range 0-0.
constexpr std::uint64_t kProbeBodyBytes = 1;

}  // namespace

std::unique_ptr<ports::OriginClient> SimOriginSource::connect(ports::FactSink facts) {
  return std::make_unique<SimOriginClient>(origin_, downlink_, std::move(facts));
}

SimOriginClient::~SimOriginClient() {
  while (!requests_.empty()) cancel(requests_.begin()->first);
}

SimOriginClient::Request& SimOriginClient::begin(core::RequestId id, const std::string& url,
                                                 void (SimOriginClient::*reply)(core::RequestId,
                                                                                Request&)) {
  // An idle open connection first, then a closed slot, then a new one.
  const auto rank = [](const Connection& c) { return c.busy ? 2 : c.open ? 0 : 1; };
  auto best =
      std::min_element(connections_.begin(), connections_.end(),
                       [&](const Connection& a, const Connection& b) { return rank(a) < rank(b); });
  if (best == connections_.end() || best->busy) {
    connections_.emplace_back();
    best = connections_.end() - 1;
    if (origin_.settings_.connection_rate.value > 0) {
      best->cap = origin_.network_.add_link(origin_.settings_.connection_rate);
    }
  }
  const core::Duration delay = origin_.settings_.rtt * (best->open ? 1 : 2);
  best->open = true;
  best->busy = true;
  assert(!requests_.contains(id));
  Request& request = requests_[id];
  request.connection = static_cast<std::size_t>(best - connections_.begin());
  request.url = url;
  origin_.queue_.after(delay, [alive = std::weak_ptr(alive_), id, reply] {
    const auto client = alive.lock();
    if (client == nullptr) return;
    const auto found = (*client)->requests_.find(id);
    if (found != (*client)->requests_.end()) ((*client)->*reply)(id, found->second);
  });
  return request;
}

void SimOriginClient::end(core::RequestId id) {
  const auto found = requests_.find(id);
  connections_[found->second.connection].busy = false;
  requests_.erase(found);
}

void SimOriginClient::refuse(core::RequestId id, core::FailureClass kind,
                             const std::string& cause) {
  core::Failure failure;
  failure.kind = kind;
  failure.message = requests_[id].url + ": " + cause;
  end(id);
  facts_(core::RequestFailed{id, std::move(failure)});
}

void SimOriginClient::probe(core::RequestId request, const std::string& url) {
  begin(request, url, &SimOriginClient::reply_probe);
}

void SimOriginClient::reply_probe(core::RequestId id, Request& request) {
  const OriginFile* file = origin_.find(request.url);
  if (file == nullptr) return refuse(id, core::FailureClass::permanent, "404, no such file");
  core::OriginFacts facts;
  facts.url = request.url;
  facts.size_known = true;
  facts.size = file->size;
  facts.ranges = file->ranges;
  facts.strong_etag = file->etag;
  origin_.egress_.total += kProbeBodyBytes;
  origin_.egress_.probes += kProbeBodyBytes;
  end(id);
  facts_(core::OriginProbed{id, std::move(facts)});
}

void SimOriginClient::fetch_document(core::RequestId request, const std::string& url,
                                     core::ByteCount /*limit*/) {
  begin(request, url, &SimOriginClient::reply_document);
}

void SimOriginClient::reply_document(core::RequestId id, Request& /*request*/) {
  refuse(id, core::FailureClass::permanent, "404, simulated origins have no documents");
}

void SimOriginClient::fetch_range(core::RequestId request, const ports::RangeRequest& range,
                                  std::unique_ptr<ports::RangeSink> sink) {
  assert(!range.span.empty());
  Request& r = begin(request, range.url, &SimOriginClient::reply_range);
  r.range = range;
  r.sink = std::move(sink);
  r.position = range.span.begin;
}

void SimOriginClient::reply_range(core::RequestId id, Request& request) {
  const OriginFile* file = origin_.find(request.url);
  if (file == nullptr) return refuse(id, core::FailureClass::permanent, "404, no such file");
  const ports::RangeRequest& range = request.range;
  if (range.total != file->size || (!range.validator.empty() && range.validator != file->etag)) {
    return refuse(id, core::FailureClass::changed, "the file has changed");
  }
  if (!file->ranges && !range.whole_file) {
    return refuse(id, core::FailureClass::no_ranges, "the server sent the whole file");
  }
  std::array<LinkId, 3> path{origin_.wan_, downlink_, {}};
  std::size_t length = 2;
  const auto& cap = connections_[request.connection].cap;
  if (cap) path[length++] = *cap;
  request.stretch = next_stretch(request);
  request.flow =
      origin_.network_.start(std::span(path).first(length), core::ByteCount{request.stretch},
                             [this, id] { return stretch_passed(id); });
}

std::uint64_t SimOriginClient::next_stretch(Request& request) const {
  const std::uint64_t boundary = (request.position / kStretchBytes + 1) * kStretchBytes;
  return std::min(boundary, request.range.span.end) - request.position;
}

std::uint64_t SimOriginClient::stretch_passed(core::RequestId id) {
  Request& request = requests_[id];
  if (hand_over(request, request.stretch) == ports::RangeSink::Accept::closed) {
    refuse(id, core::FailureClass::local, "the store takes no more bytes");
    return 0;
  }
  const std::uint64_t position = request.position;
  request.stretch = next_stretch(request);
  if (position < request.range.span.end) {
    facts_(core::RangeProgressed{id, position});
    return request.stretch;
  }
  request.sink->finish();
  end(id);
  facts_(core::RangeProgressed{id, position});
  facts_(core::RangeFinished{id});
  return 0;
}

ports::RangeSink::Accept SimOriginClient::hand_over(Request& request, std::uint64_t bytes) {
  origin_.egress_.total += bytes;
  const auto& corrupt = origin_.find(request.url)->corrupt;
  auto& sink = static_cast<SimRangeSink&>(*request.sink);
  const std::uint64_t end = request.position + bytes;
  auto accepted = ports::RangeSink::Accept::taken;
  while (request.position < end) {
    // Block by block where it matters, so that a corrupt part spoils no neighbour.
    const std::uint64_t block_end = (request.position / core::kBlockBytes + 1) * core::kBlockBytes;
    const std::uint64_t until = corrupt.empty() ? end : std::min(end, block_end);
    const bool bad = std::any_of(corrupt.begin(), corrupt.end(), [&](const core::ByteSpan& c) {
      return c.begin < until && request.position < c.end;
    });
    accepted = sink.advance(until - request.position, bad ? Payload::corrupt : Payload::intact);
    request.position = until;
  }
  if (accepted == ports::RangeSink::Accept::closed) origin_.egress_.abandoned += bytes;
  return accepted;
}

void SimOriginClient::cancel(core::RequestId id) {
  const auto found = requests_.find(id);
  if (found == requests_.end()) return;
  Request& request = found->second;
  if (request.flow != FlowId{}) {
    // What came since the last report is handed over; what the origin sends until it learns of
    // the end is paid for all the same.
    const std::uint64_t rate = origin_.network_.rate(request.flow).value;
    const std::uint64_t passed = origin_.network_.stop(request.flow).value;
    static_cast<void>(hand_over(request, passed));
    const std::uint64_t left = request.range.span.end - request.position;
    const auto rtt = static_cast<std::uint64_t>(origin_.settings_.rtt.count());
    const std::uint64_t in_flight = std::min(left, rate * rtt / 1'000'000'000);
    origin_.egress_.total += in_flight;
    origin_.egress_.abandoned += in_flight;
  }
  // An unfinished reply cannot be skipped: the connection is closed.
  connections_[request.connection].open = false;
  end(id);
}

}  // namespace lanward::simulator
