#include "simulator/origin.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace lanward::simulator {

namespace {

// Bytes between two reports of progress: what curl hands over between two looks at the clock, and
// no more than the smallest canonical piece, so that a piece is verified when its last byte came.
constexpr std::uint64_t kStretchBytes = core::kCanonicalPieceBytesMin;

// Initial window of a TCP connection (RFC 6928): ten segments of 1448 bytes.
constexpr std::uint64_t kInitialWindow = std::uint64_t{10} * 1448;
// Beyond this no link of the simulator is faster; keeps the arithmetic in range.
constexpr std::uint64_t kWindowMax = std::uint64_t{1} << 40U;

// Body of the reply to a request for the range 0-0.
constexpr std::uint64_t kProbeBodyBytes = 1;

}  // namespace

void Origin::set_down(bool down) {
  if (std::exchange(down_, down) == down) return;
  for (SimOriginClient* client : clients_) client->set_down(down);
}

SimOriginSource::SimOriginSource(Origin& origin, LinkId downlink, core::ByteRate machine_rate)
    : origin_(origin), path_{origin.wan_, downlink} {
  if (machine_rate.value > 0) path_.push_back(origin.network_.add_link(machine_rate));
}

std::unique_ptr<ports::OriginClient> SimOriginSource::connect(ports::FactSink facts,
                                                              ports::OriginSettings /*settings*/) {
  return std::make_unique<SimOriginClient>(origin_, path_, std::move(facts));
}

SimOriginClient::SimOriginClient(Origin& origin, std::vector<LinkId> path, ports::FactSink facts)
    : origin_(origin), path_(std::move(path)), facts_(std::move(facts)) {
  origin_.clients_.push_back(this);
}

SimOriginClient::~SimOriginClient() {
  while (!requests_.empty()) cancel(requests_.begin()->first);
  std::erase(origin_.clients_, this);
}

// ---- the life of a request ---------------------------------------------------------------------

SimOriginClient::Request& SimOriginClient::begin(core::RequestId id, const std::string& url,
                                                 Reply reply) {
  // An idle open connection first, then a closed slot, then a new one.
  const auto rank = [](const Connection& c) { return c.busy ? 2 : c.open ? 0 : 1; };
  auto best =
      std::min_element(connections_.begin(), connections_.end(),
                       [&](const Connection& a, const Connection& b) { return rank(a) < rank(b); });
  if (best == connections_.end() || best->busy) {
    connections_.emplace_back();
    best = connections_.end() - 1;
  }
  best->busy = true;
  assert(!requests_.contains(id));
  Request& request = requests_[id];
  request.connection = static_cast<std::size_t>(best - connections_.begin());
  request.url = url;
  request.reply = reply;
  send(id, request);
  return request;
}

void SimOriginClient::after(core::Duration time, core::RequestId id,
                            void (SimOriginClient::*step)(core::RequestId)) {
  origin_.queue_.after(time, [alive = std::weak_ptr(alive_), id, step] {
    const auto client = alive.lock();
    if (client != nullptr && (*client)->requests_.contains(id)) ((*client)->*step)(id);
  });
}

void SimOriginClient::send(core::RequestId id, Request& request) {
  ++request.tries;
  Connection& connection = connections_[request.connection];
  const OriginSettings& settings = origin_.settings_;
  if (origin_.down_) {
    return stall(id, connection.open ? settings.stall_timeout : settings.connect_timeout);
  }
  after(settings.rtt * (connection.open ? 1 : 2), id, &SimOriginClient::arrive);
  if (!connection.open) connection.window = kInitialWindow;
  connection.open = true;
}

void SimOriginClient::arrive(core::RequestId id) {
  Request& request = requests_[id];
  if (request.flow != FlowId{}) return;
  if (origin_.down_) return;  // it stalls since then
  if (origin_.retry_after_) {
    core::Failure failure;
    failure.kind = core::FailureClass::rate_limited;
    failure.retry_after = *origin_.retry_after_;
    failure.message = "429, too many requests";
    return refuse(id, std::move(failure));
  }
  (this->*request.reply)(id, request);
}

// Fails the request if the origin is not back in time.
void SimOriginClient::stall(core::RequestId id, core::Duration patience) {
  origin_.queue_.after(patience, [alive = std::weak_ptr(alive_), id, tries = requests_[id].tries] {
    const auto client = alive.lock();
    if (client == nullptr || !(*client)->origin_.down_) return;
    const auto found = (*client)->requests_.find(id);
    if (found == (*client)->requests_.end() || found->second.tries != tries) return;
    (*client)->fail_transient(id, found->second);
  });
}

void SimOriginClient::set_down(bool down) {
  std::vector<core::RequestId> running;
  for (const auto& [id, request] : requests_) running.push_back(id);
  for (const core::RequestId id : running) {
    Request& request = requests_[id];
    ++request.tries;
    limit(request);
    if (down) {
      stall(id, origin_.settings_.stall_timeout);
    } else if (request.flow == FlowId{}) {
      send(id, request);
    } else if (request.growing) {
      after(origin_.settings_.rtt, id, &SimOriginClient::grow);
    }
  }
}

void SimOriginClient::fail_transient(core::RequestId id, Request& request) {
  if (request.flow != FlowId{}) {
    static_cast<void>(hand_over(request, origin_.network_.stop(request.flow).value));
  }
  connections_[request.connection].open = false;
  refuse(id, core::FailureClass::transient, "the origin cannot be reached");
}

// ---- rates -------------------------------------------------------------------------------------

void SimOriginClient::limit(Request& request) {
  if (request.flow == FlowId{}) return;
  const OriginSettings& settings = origin_.settings_;
  core::ByteRate cap = kUncapped;
  if (settings.connection_rate.value > 0) cap = std::min(cap, settings.connection_rate);
  if (request.growing) {
    const std::uint64_t window = connections_[request.connection].window;
    const auto rtt = static_cast<std::uint64_t>(settings.rtt.count());
    // In units that keep window * 1e9 within 64 bits.
    const std::uint64_t rate = window / 1024 * 1'000'000'000 / std::max<std::uint64_t>(rtt, 1);
    cap = std::min(cap, core::ByteRate{std::min(rate, kUncapped.value / 1024) * 1024});
  }
  if (rate_limit_.value > 0) {
    const auto flows = static_cast<std::uint64_t>(
        std::count_if(requests_.begin(), requests_.end(),
                      [](const auto& entry) { return entry.second.flow != FlowId{}; }));
    cap = std::min(cap, core::ByteRate{std::max<std::uint64_t>(rate_limit_.value / flows, 1)});
  }
  if (origin_.down_) cap = core::ByteRate{0};
  origin_.network_.set_cap(request.flow, cap);
}

void SimOriginClient::limit_all() {
  for (auto& [id, request] : requests_) limit(request);
}

void SimOriginClient::set_rate_limit(core::ByteRate rate) {
  if (std::exchange(rate_limit_, rate) == rate) return;
  limit_all();
}

// A round trip has passed: the window doubles as long as it is all that holds the connection back.
void SimOriginClient::grow(core::RequestId id) {
  Request& request = requests_[id];
  if (!request.growing || request.flow == FlowId{} || origin_.down_) return;
  Connection& connection = connections_[request.connection];
  const std::uint64_t rate = origin_.network_.rate(request.flow).value;
  const auto rtt = static_cast<std::uint64_t>(origin_.settings_.rtt.count());
  const std::uint64_t passed = rate / 1024 * rtt / 1'000'000'000 * 1024;
  request.growing = passed >= connection.window / 8 * 7 && connection.window < kWindowMax;
  if (request.growing) {
    connection.window *= 2;
    after(origin_.settings_.rtt, id, &SimOriginClient::grow);
  }
  limit(request);
}

void SimOriginClient::end(core::RequestId id) {
  const auto found = requests_.find(id);
  connections_[found->second.connection].busy = false;
  requests_.erase(found);
  if (rate_limit_.value > 0) limit_all();
}

void SimOriginClient::refuse(core::RequestId id, core::FailureClass kind,
                             const std::string& cause) {
  core::Failure failure;
  failure.kind = kind;
  failure.message = cause;
  refuse(id, std::move(failure));
}

void SimOriginClient::refuse(core::RequestId id, core::Failure failure) {
  failure.message = requests_[id].url + ": " + failure.message;
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
  request.stretch = next_stretch(request);
  request.flow = origin_.network_.start(path_, core::ByteCount{request.stretch},
                                        [this, id] { return stretch_passed(id); });
  request.growing = origin_.settings_.slow_start;
  if (request.growing) after(origin_.settings_.rtt, id, &SimOriginClient::grow);
  rate_limit_.value > 0 ? limit_all() : limit(request);
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
