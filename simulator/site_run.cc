#include "simulator/site_run.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <numeric>
#include <utility>

#include <fmt/format.h>

namespace lanward::simulator {

namespace {

// Nobody watches: progress is reported often enough to be exercised.
constexpr core::Duration kProgressInterval{std::chrono::seconds{10}};

constexpr const char* kUrl = "http://origin.sim/file";

// Of an uplink and of the WAN, what a slow machine has.
constexpr std::uint64_t kSlowUplink = 50;
constexpr std::uint64_t kSlowWan = 200;

core::ByteRate machine_rate(const Scenario& s, bool slow) {
  const core::ByteRate usual = s.origin.machine_rate;
  if (!slow) return usual;
  const core::ByteRate own{std::max<std::uint64_t>(s.wan.value / kSlowWan, 1)};
  return usual.value == 0 ? own : std::min(usual, own);
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
  // The simulated store looks at none of them. All would fill the memory of large sites.
  manifest.content.piece_hashes = {simulated_digest(seed, 2)};
  return manifest;
}

// In a larger site connections cost more of the simulator's time than the one per cent by which
// they make a site faster is worth.
constexpr std::uint32_t kDenseMax = 2000;
constexpr std::uint32_t kSparseConnections = 12;

SwarmSettings swarm_settings(const Scenario& scenario) {
  SwarmSettings settings = scenario.swarm;
  settings.machines = scenario.peers;
  if (scenario.peers > kDenseMax) {
    settings.connections_out = std::min(settings.connections_out, kSparseConnections);
  }
  return settings;
}

// Only contents without manifest are hashed by the engine itself; any function of the bytes does.
core::Digest simulated_sha256(std::span<const std::byte> bytes) {
  std::uint64_t state = bytes.size();
  for (const std::byte b : bytes) state = core::mix64(state ^ std::to_integer<std::uint64_t>(b));
  return simulated_digest(state, bytes.size());
}

void shuffle(std::vector<std::uint32_t>& items, core::Prng& prng) {
  for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[prng.below(i)]);
}

core::Duration random_up_to(core::Duration most, core::Prng& prng) {
  const auto ns = prng.below(static_cast<std::uint64_t>(most.count()) + 1);
  return core::Duration{static_cast<core::Duration::rep>(ns)};
}

}  // namespace

std::uint64_t seed_of(const Scenario& scenario, Stream stream) {
  return core::mix64(core::mix64(scenario.seed) + static_cast<std::uint64_t>(stream));
}

// ---- machines ----------------------------------------------------------------------------------

void Machine::start_engine(const Scenario& s, MachineChecker& with) {
  checker = &with;
  checked_origins = std::make_unique<CheckedOrigins>(with, origins);
  checked_store = std::make_unique<CheckedStore>(with, store);
  checked_swarm = std::make_unique<CheckedSwarm>(with, swarm);
  core::Policy policy = s.policy;
  policy.never_puller = place.host < s.never_pullers;
  engine = std::make_unique<jobs::Engine>(
      jobs::Ports{loop, *checked_origins, *checked_store, checked_swarm.get(), &simulated_sha256},
      jobs::EngineSettings{.policy = policy, .progress_interval = kProgressInterval},
      core::Seed{core::mix64(seed_of(s, Stream::engines) + place.host)});
}

void Machine::stop_engine() {
  if (checker != nullptr) checker->gone();
  job = nullptr;
  engine.reset();
}

std::uint32_t SiteRun::add_machine(std::optional<Adversary> adversary) {
  const auto host = static_cast<std::uint32_t>(machines_.size());
  const bool slow = adversary && adversary->kind == AdversaryKind::slow;
  const core::ByteRate up{slow ? std::max<std::uint64_t>(scenario_.lan.value / kSlowUplink, 1)
                               : scenario_.lan.value};
  const Place place{host, network_.add_link(up), network_.add_link(scenario_.lan)};
  machines_.push_back(std::make_unique<Machine>(queue_, scenario_, origin_, site_, place,
                                                machine_rate(scenario_, slow)));
  Machine& m = *machines_.back();
  m.result.joined = core::Instant::max();
  if (!adversary) return host;
  m.result.adversary = adversary->kind;
  if (!m.result.hostile()) return host;
  site_.set_behaviour(
      host, {.serves = false, .advertises_all = adversary->kind == AdversaryKind::have_liar});
  const std::uint64_t key = core::mix64(seed_of(scenario_, Stream::keys) + host);
  m.actor = std::make_unique<AdversaryActor>(queue_, site_, place, scenario_, manifest_, *adversary,
                                             core::Seed{key});
  return host;
}

// Which machines are not what they seem.
void SiteRun::assign_roles(std::vector<std::optional<Adversary>>& roles) const {
  std::vector<std::uint32_t> hosts(scenario_.peers);
  std::iota(hosts.begin(), hosts.end(), 0U);
  core::Prng prng(core::Seed{seed_of(scenario_, Stream::roles)});
  shuffle(hosts, prng);
  std::size_t next = 0;
  for (const Adversary& adversary : scenario_.adversaries) {
    for (std::uint32_t i = 0; i < adversary.count; ++i) roles[hosts[next++]] = adversary;
  }
}

SiteRun::SiteRun(const Scenario& scenario)
    : scenario_(scenario),
      manifest_(manifest_of(scenario)),
      network_(queue_),
      wan_(network_.add_link(scenario.wan)),
      origin_(queue_, network_, wan_, scenario.origin),
      site_(queue_, network_, swarm_settings(scenario),
            core::Seed{seed_of(scenario, Stream::swarm)}),
      checker_(scenario, manifest_.content.layout, queue_),
      victims_(core::Seed{seed_of(scenario, Stream::victims)}),
      churn_(core::Seed{seed_of(scenario, Stream::churn)}) {
  result_.scenario = scenario;
  result_.bound = bound(scenario);
  OriginFile file;
  file.size = scenario.size;
  file.corrupt = scenario.corrupt;
  origin_.publish(kUrl, std::move(file));
  std::vector<std::optional<Adversary>> roles(scenario.peers);
  assign_roles(roles);
  for (const auto& role : roles) add_machine(role);
  plan_joins();
  plan_faults();
  plan_churn();
}

void SiteRun::plan_joins() {
  const JoinPlan& plan = scenario_.join;
  std::vector<std::uint32_t> hosts(scenario_.peers);
  std::iota(hosts.begin(), hosts.end(), 0U);
  core::Prng late_prng(core::Seed{seed_of(scenario_, Stream::late)});
  shuffle(hosts, late_prng);
  const std::uint64_t late_count = std::uint64_t{scenario_.peers} * plan.late_ppm / kWhole;
  std::vector<bool> late(scenario_.peers);
  for (std::uint64_t i = 0; i < late_count; ++i) late[hosts[i]] = true;
  core::Prng prng(core::Seed{seed_of(scenario_, Stream::joining)});
  for (std::uint32_t host = 0; host < scenario_.peers; ++host) {
    core::Duration delay = random_up_to(late[host] ? plan.late_within : plan.within, prng);
    if (plan.every > core::Duration{0}) delay = plan.every * host;
    queue_.after(delay, [this, host] { join(host); });
  }
}

void SiteRun::join(std::uint32_t host) {
  Machine& m = *machines_[host];
  if (!m.present()) return;
  m.result.joined = queue_.now();
  if (m.actor != nullptr) return m.actor->join();
  m.start_engine(scenario_, checker_.add(host));
  if (const Result<void> started = start_job(m); !started) {
    violation(fmt::format("peer {}: the job did not start: {}", host, started.error().message));
  }
}

Result<void> SiteRun::start_job(Machine& m) {
  const auto on_event = [this, &m](const JobEvent& event) {
    if (event.state != JobState::transferred || m.result.transferred) return;
    m.result.transferred = queue_.now();
    m.checker->complete();
  };
  // Without a journal every call is carried out before it returns.
  Result<void> outcome;
  m.engine->create_job(fmt::format("peer {}", m.place.host), on_event,
                       [&](const Result<jobs::Job*>& created) {
                         m.job = created.value_or(nullptr);
                         if (!created) outcome = tl::unexpected(created.error());
                       });
  if (!outcome) return outcome;
  jobs::FileSpec file;
  file.source = kUrl;
  file.urls = {{.url = kUrl}};
  file.destination = fmt::format("/sim/{}/file", m.place.host);
  file.manifest = manifest_;
  // The site is known to have others, as with static peers or a tracker; who they are, discovery
  // tells.
  if (scenario_.peers > 1) file.peers = {"10.255.255.255:6881"};
  std::vector<jobs::FileSpec> files;
  files.push_back(std::move(file));
  m.job->add_files(std::move(files), [&](Result<void> added) { outcome = std::move(added); });
  if (outcome) m.job->resume([&](Result<void> resumed) { outcome = std::move(resumed); });
  return outcome;
}

// ---- the run -----------------------------------------------------------------------------------

// What a site without any sharing would need, twice, what the scenario adds, and a minute.
core::Duration SiteRun::patience() const {
  const std::uint64_t copies = std::uint64_t{scenario_.peers} * 2;
  constexpr auto kSizeLimit = std::numeric_limits<std::uint64_t>::max();
  const std::uint64_t volume =
      scenario_.size.value > kSizeLimit / copies ? kSizeLimit : scenario_.size.value * copies;
  const JoinPlan& plan = scenario_.join;
  core::Duration sum = transfer_time(volume, scenario_.wan.value) +
                       transfer_time(volume, scenario_.lan.value) + std::chrono::minutes{1};
  sum += std::max({plan.within, plan.every * scenario_.peers,
                   plan.late_ppm > 0 ? plan.late_within : core::Duration{0}});
  sum += scenario_.policy.http_delay;
  for (const Fault& fault : scenario_.faults) sum += fault.at + 2 * fault.lasts;
  return sum;
}

bool SiteRun::all_settled() {
  // Most events settle nothing: only the first that was not settled is looked at again.
  for (; first_unsettled_ < machines_.size(); ++first_unsettled_) {
    if (!machines_[first_unsettled_]->settled()) return false;
  }
  return std::all_of(machines_.begin(), machines_.end(),
                     [](const auto& m) { return m->settled(); });
}

// A run with more events than the model can explain goes round in circles.
void SiteRun::wait_for_transfers() {
  const std::uint64_t pieces = manifest_.content.layout.piece_count();
  constexpr std::uint64_t kEventsPerPieceAndPair = 64;
  constexpr std::uint64_t kEventsPerSecondAndPeer = 1000;
  const auto seconds = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::seconds>(patience()).count());
  const std::uint64_t pairs =
      std::min<std::uint64_t>(scenario_.peers, scenario_.swarm.connections_max) * scenario_.peers;
  events_max_ = kEventsPerPieceAndPair * (pieces + 64) * pairs +
                kEventsPerSecondAndPeer * seconds * scenario_.peers;
  const auto done = [this] { return all_settled(); };
  if (queue_.run_until(done, kStart + patience(), events_max_)) return;
  const char* why = queue_.pending() == 0              ? "L4: no event is left"
                    : queue_.executed() >= events_max_ ? "L5: the limit of events is reached"
                                                       : "L5: the virtual deadline has passed";
  violation(fmt::format("not every job has ended after {:.3f} s of virtual time: {}",
                        std::chrono::duration<double>(queue_.now() - kStart).count(), why));
}

void SiteRun::complete_and_close() {
  std::size_t open = 0;
  for (const auto& m : machines_) {
    if (!m->present() || !m->result.transferred || m->job->state() != JobState::transferred) {
      continue;
    }
    ++open;
    m->job->complete([this, &open, host = m->place.host](Result<void> outcome) {
      --open;
      if (outcome) return;
      violation(fmt::format("peer {}: complete() failed: {}", host, outcome.error().message));
    });
  }
  const core::Instant deadline = queue_.now() + std::chrono::minutes{1};
  const auto done = [&open] { return open == 0; };
  if (!queue_.run_until(done, deadline, events_max_)) violation("complete() does not end");
  open = 0;
  for (const auto& m : machines_) {
    if (m->engine == nullptr || !m->present()) continue;
    ++open;
    m->engine->close([&open] { --open; });
  }
  if (!queue_.run_until(done, deadline, events_max_)) violation("close() does not end");
}

SimulationResult SiteRun::run() {
  wait_for_transfers();
  over_ = true;
  for (const auto& m : machines_) {
    if (m->job == nullptr) continue;
    m->result.state = m->job->state();
    if (const auto error = m->job->error()) m->result.error = error->message;
  }
  result_.events = queue_.executed();
  checker_.finish(origin_.egress().total - origin_.egress().probes);
  complete_and_close();
  collect();
  for (std::uint32_t host = 0; host < machines_.size(); ++host) check_machine(host);
  check_site();
  summarize();
  for (const auto& m : machines_) result_.peers.push_back(std::move(m->result));
  return std::move(result_);
}

SimulationResult simulate(const Scenario& scenario) {
  assert(validate(scenario));
  return SiteRun(scenario).run();
}

}  // namespace lanward::simulator
