#include "simulator/simulation.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "engine/core/prng.h"
#include "engine/jobs/engine.h"
#include "simulator/event_queue.h"
#include "simulator/network.h"

namespace lanward::simulator {

namespace {

constexpr const char* kUrl = "http://origin.sim/file";

// Streams of random numbers that must not disturb each other.
enum class Stream : std::uint64_t { content = 1, joining, swarm, engines };

std::uint64_t seed_of(const Scenario& scenario, Stream stream) {
  return core::mix64(core::mix64(scenario.seed) + static_cast<std::uint64_t>(stream));
}

// Rounded up; saturates instead of overflowing.
core::Duration transfer_time(std::uint64_t bytes, std::uint64_t rate) {
  __extension__ typedef unsigned __int128 Wide;
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max() / 4);
  const Wide ns = (Wide{bytes} * 1'000'000'000 + rate - 1) / rate;
  return core::Duration{static_cast<std::int64_t>(std::min(ns, Wide{kMax}))};
}

core::PieceLayout layout_of(const Scenario& s) {
  return {s.size, s.piece_bytes != 0 ? s.piece_bytes : core::canonical_piece_bytes(s.size)};
}

core::Manifest manifest_of(const Scenario& scenario) {
  const std::uint64_t seed = seed_of(scenario, Stream::content);
  core::Manifest manifest;
  manifest.content.layout = layout_of(scenario);
  manifest.content.id = simulated_digest(seed, 0);
  manifest.infohash = simulated_digest(seed, 1);
  manifest.name = "file";
  for (std::uint32_t i = 0; i < manifest.content.layout.piece_count(); ++i) {
    manifest.content.piece_hashes.push_back(simulated_digest(seed, std::uint64_t{i} + 2));
  }
  return manifest;
}

// Only contents without manifest are hashed by the engine itself; any function of the bytes does.
core::Digest simulated_sha256(std::span<const std::byte> bytes) {
  std::uint64_t state = bytes.size();
  for (const std::byte b : bytes) state = core::mix64(state ^ std::to_integer<std::uint64_t>(b));
  return simulated_digest(state, bytes.size());
}

struct Machine {
  Machine(EventQueue& queue, const Scenario& s, Origin& origin, Site& site, const Place& place)
      : loop(queue),
        origins(origin, place.downlink),
        store(queue, s.store),
        swarm(site, loop, place),
        engine(jobs::Ports{loop, origins, store, &swarm, &simulated_sha256},
               jobs::EngineSettings{.policy = s.policy},
               core::Seed{core::mix64(seed_of(s, Stream::engines) + place.host)}) {}

  SimLoop loop;
  SimOriginSource origins;
  SimPieceStore store;
  SimSwarm swarm;
  jobs::Engine engine;
  jobs::Job* job = nullptr;
  PeerResult result;
};

class Simulation {
 public:
  explicit Simulation(const Scenario& scenario);
  SimulationResult run();

 private:
  void join(std::uint32_t host);
  [[nodiscard]] bool settled() const;
  void wait_for_transfers();
  void complete_and_close();
  void collect();
  void check_machine(std::uint32_t host);
  void check_site();
  void violation(std::string text) { result_.violations.push_back(std::move(text)); }

  const Scenario& scenario_;
  const core::Manifest manifest_;
  SimulationResult result_;
  EventQueue queue_;
  Network network_;
  Origin origin_;
  Site site_;
  std::vector<LinkId> uplinks_;
  std::uint64_t events_max_ = 0;
  std::vector<std::unique_ptr<Machine>> machines_;
};

Simulation::Simulation(const Scenario& scenario)
    : scenario_(scenario),
      manifest_(manifest_of(scenario)),
      network_(queue_),
      origin_(queue_, network_, network_.add_link(scenario.wan), scenario.origin),
      site_(queue_, network_, scenario.swarm, core::Seed{seed_of(scenario, Stream::swarm)}) {
  result_.scenario = scenario;
  result_.bound = bound(scenario);
  OriginFile file;
  file.size = scenario.size;
  file.corrupt = scenario.corrupt;
  origin_.publish(kUrl, std::move(file));
  core::Prng prng(core::Seed{seed_of(scenario, Stream::joining)});
  for (std::uint32_t host = 0; host < scenario.peers; ++host) {
    const Place place{host, network_.add_link(scenario.lan), network_.add_link(scenario.lan)};
    uplinks_.push_back(place.uplink);
    machines_.push_back(std::make_unique<Machine>(queue_, scenario, origin_, site_, place));
    const auto jitter = static_cast<std::uint64_t>(scenario.join_jitter.count());
    const core::Duration delay{static_cast<std::int64_t>(prng.below(jitter + 1))};
    queue_.after(delay, [this, host] { join(host); });
  }
}

void Simulation::join(std::uint32_t host) {
  Machine& m = *machines_[host];
  m.result.joined = queue_.now();
  const auto on_event = [this, &m](const JobEvent& event) {
    if (event.state == JobState::transferred && !m.result.transferred) {
      m.result.transferred = queue_.now();
    }
  };
  const auto start = [&]() -> Result<void> {
    const auto created = m.engine.create_job(fmt::format("peer {}", host), on_event);
    if (!created) return tl::unexpected(created.error());
    m.job = *created;
    jobs::FileSpec file;
    file.source = kUrl;
    file.urls = {kUrl};
    file.destination = fmt::format("/sim/{}/file", host);
    file.manifest = manifest_;
    if (auto added = m.job->add_file(std::move(file)); !added) return added;
    return m.job->resume();
  };
  if (const Result<void> started = start(); !started) {
    violation(fmt::format("peer {}: the job did not start: {}", host, started.error().message));
  }
}

bool Simulation::settled() const {
  return std::all_of(machines_.begin(), machines_.end(), [](const auto& m) {
    return m->result.transferred || (m->job != nullptr && m->job->state() == JobState::error);
  });
}

// The deadline is what a site without any sharing would need, twice, and a minute. A run with more
// events than the model can explain goes round in circles.
void Simulation::wait_for_transfers() {
  const std::uint64_t pieces = manifest_.content.layout.piece_count();
  const std::uint64_t copies = std::uint64_t{scenario_.peers} * 2;
  constexpr auto kSizeLimit = std::numeric_limits<std::uint64_t>::max();
  const std::uint64_t volume =
      scenario_.size.value > kSizeLimit / copies ? kSizeLimit : scenario_.size.value * copies;
  const core::Duration patience = transfer_time(volume, scenario_.wan.value) +
                                  transfer_time(volume, scenario_.lan.value) +
                                  std::chrono::minutes{1};
  constexpr std::uint64_t kEventsPerPieceAndPair = 64;
  constexpr std::uint64_t kEventsPerSecondAndPeer = 1000;
  const auto seconds = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::seconds>(patience).count());
  const std::uint64_t pairs =
      std::min<std::uint64_t>(scenario_.peers, scenario_.swarm.connections_max) * scenario_.peers;
  events_max_ = kEventsPerPieceAndPair * (pieces + 64) * pairs +
                kEventsPerSecondAndPeer * seconds * scenario_.peers;
  const core::Instant deadline = kStart + scenario_.join_jitter + patience;
  // settled() looks at every machine, and most events settle nothing.
  std::size_t first_unsettled = 0;
  const auto done = [&] {
    for (; first_unsettled < machines_.size(); ++first_unsettled) {
      const Machine& m = *machines_[first_unsettled];
      if (m.result.transferred) continue;
      if (m.job == nullptr || m.job->state() != JobState::error) return false;
    }
    return settled();
  };
  if (queue_.run_until(done, deadline, events_max_)) return;
  const char* why = queue_.pending() == 0              ? "no event is left"
                    : queue_.executed() >= events_max_ ? "the limit of events is reached"
                                                       : "the virtual deadline has passed";
  violation(fmt::format("not every job has ended after {:.3f} s of virtual time: {}",
                        std::chrono::duration<double>(queue_.now() - kStart).count(), why));
}

void Simulation::complete_and_close() {
  std::size_t open = 0;
  for (const auto& m : machines_) {
    if (!m->result.transferred || m->job->state() != JobState::transferred) continue;
    ++open;
    m->job->complete([this, &open, host = &m - machines_.data()](Result<void> outcome) {
      --open;
      if (outcome) return;
      violation(fmt::format("peer {}: complete() failed: {}", host, outcome.error().message));
    });
  }
  const core::Instant deadline = queue_.now() + std::chrono::minutes{1};
  const auto done = [&open] { return open == 0; };
  if (!queue_.run_until(done, deadline, events_max_)) violation("complete() does not end");
  open = machines_.size();
  for (const auto& m : machines_) m->engine.close([&open] { --open; });
  if (!queue_.run_until(done, deadline, events_max_)) violation("close() does not end");
}

void Simulation::collect() {
  core::Instant first = core::Instant::max();
  core::Instant last = kStart;
  for (const auto& m : machines_) {
    const StoreTotals totals = m->store.totals(manifest_.content.id);
    m->result.origin_bytes = totals.origin_received;
    m->result.peer_bytes = totals.peer_received;
    m->result.wasted_bytes = totals.wasted;
    first = std::min(first, m->result.joined);
    last = std::max(last, m->result.transferred.value_or(queue_.now()));
  }
  result_.makespan = last - first;
  for (const LinkId link : uplinks_) result_.lan_bytes += network_.carried(link).value;
  result_.egress = origin_.egress();
}

void Simulation::check_machine(std::uint32_t host) {
  const Machine& m = *machines_[host];
  if (!m.result.transferred) {
    violation(fmt::format("peer {}: not transferred, state {}{}{}", host, to_string(m.result.state),
                          m.result.error.empty() ? "" : ": ", m.result.error));
    return;
  }
  const auto& delivered = m.store.delivered();
  if (delivered.size() != 1 || delivered.front().size != scenario_.size) {
    violation(fmt::format("peer {}: transferred, but not delivered", host));
  }
  for (const auto& file : delivered) {
    if (!file.intact) violation(fmt::format("peer {}: wrong bytes were delivered", host));
  }
  const StoreTotals totals = m.store.totals(manifest_.content.id);
  if (totals.received() != scenario_.size.value + totals.wasted) {
    violation(fmt::format("peer {}: received {} bytes, but size {} + wasted {}", host,
                          totals.received(), scenario_.size.value, totals.wasted));
  }
}

void Simulation::check_site() {
  StoreTotals all;
  for (const auto& m : machines_) {
    const StoreTotals totals = m->store.totals(manifest_.content.id);
    all.origin_received += totals.origin_received;
    all.peer_received += totals.peer_received;
    result_.wasted_bytes += totals.wasted;
  }
  const OriginEgress& egress = result_.egress;
  if (egress.total != all.origin_received + egress.probes + egress.abandoned) {
    violation(
        fmt::format("the origin sent {} bytes, but {} were received, {} were probes and {} "
                    "abandoned",
                    egress.total, all.origin_received, egress.probes, egress.abandoned));
  }
  const SwarmTraffic& traffic = site_.traffic();
  if (result_.lan_bytes != traffic.received ||
      traffic.received != all.peer_received + traffic.wasted) {
    violation(
        fmt::format("the uplinks carried {} bytes, but {} arrived, of which {} reached a "
                    "store and {} were cut off",
                    result_.lan_bytes, traffic.received, all.peer_received, traffic.wasted));
  }
  result_.wasted_bytes += traffic.wasted;
}

SimulationResult Simulation::run() {
  wait_for_transfers();
  for (const auto& m : machines_) {
    if (m->job == nullptr) continue;
    m->result.state = m->job->state();
    if (const auto error = m->job->error()) m->result.error = error->message;
  }
  result_.events = queue_.executed();
  complete_and_close();
  collect();
  for (std::uint32_t host = 0; host < machines_.size(); ++host) check_machine(host);
  check_site();
  for (const auto& m : machines_) result_.peers.push_back(m->result);
  return std::move(result_);
}

}  // namespace

Result<void> validate(const Scenario& s) {
  const auto refuse = [](const std::string& text) {
    return fail(ErrorCode::invalid_argument, text);
  };
  if (s.peers < 1 || s.peers > kPeersMax) {
    return refuse(fmt::format("peers {}: 1 to {} are simulated", s.peers, kPeersMax));
  }
  if (s.size.value < 1 || s.size > kSizeMax) {
    return refuse(
        fmt::format("size {} bytes: 1 to {} bytes are simulated", s.size.value, kSizeMax.value));
  }
  if (s.piece_bytes != 0 &&
      ((s.piece_bytes & (s.piece_bytes - 1)) != 0 || s.piece_bytes < core::kPieceBytesMin ||
       s.piece_bytes > core::kPieceBytesMax)) {
    return refuse(fmt::format("piece length {} bytes: it must be a power of two from {} to {}",
                              s.piece_bytes, core::kPieceBytesMin, core::kPieceBytesMax));
  }
  for (const auto& [name, rate] : {std::pair{"WAN", s.wan}, std::pair{"LAN", s.lan}}) {
    if (rate.value < 1 || rate > kLinkRateMax) {
      return refuse(fmt::format("{} rate {} bytes/s: 1 to {} bytes/s are simulated", name,
                                rate.value, kLinkRateMax.value));
    }
  }
  constexpr core::Duration kDelayMax = std::chrono::hours{1};
  for (const auto& [name, delay] :
       {std::pair{"WAN round trip", s.origin.rtt}, std::pair{"join jitter", s.join_jitter}}) {
    if (delay > kDelayMax) return refuse(fmt::format("{}: at most one hour is simulated", name));
  }
  return {};
}

core::Duration bound(const Scenario& s) {
  const std::uint64_t n = s.peers;
  return std::max({transfer_time(s.size.value, s.wan.value),
                   transfer_time(s.size.value, s.lan.value),
                   transfer_time(s.size.value * n, s.wan.value + s.lan.value * n)});
}

SimulationResult simulate(const Scenario& scenario) {
  assert(validate(scenario));
  return Simulation(scenario).run();
}

}  // namespace lanward::simulator
