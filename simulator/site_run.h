// One run of a scenario: builds the site, lets happen what the scenario says, judges the end.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/core/content.h"
#include "engine/core/prng.h"
#include "engine/jobs/engine.h"
#include "simulator/adversary.h"
#include "simulator/checked_ports.h"
#include "simulator/checkers.h"
#include "simulator/event_queue.h"
#include "simulator/network.h"
#include "simulator/simulation.h"

namespace lanward::simulator {

// Streams of random numbers that must not disturb each other.
enum class Stream : std::uint64_t {
  content = 1,
  joining,
  swarm,
  engines,
  roles,
  late,
  victims,
  churn,
  keys,
};
[[nodiscard]] std::uint64_t seed_of(const Scenario& scenario, Stream stream);

// A machine with the production engine. While `engine` is null it has not begun, or is dead.
struct Machine {
  Machine(EventQueue& queue, const Scenario& s, Origin& origin, Site& site, const Place& at,
          core::ByteRate wan_rate)
      : place(at),
        loop(queue),
        origins(origin, place.downlink, wan_rate),
        store(queue, s.store),
        swarm(site, loop, place) {}
  // REQUIRES: once.
  void start_engine(const Scenario& s, MachineChecker& with);
  // Nothing of the engine runs again.
  void stop_engine();

  [[nodiscard]] bool present() const { return result.fate == Fate::stayed; }
  // Has its file, or cannot get it, or need not any more.
  [[nodiscard]] bool settled() const {
    return !present() || result.hostile() || result.transferred ||
           (job != nullptr && job->state() == JobState::error);
  }

  const Place place;
  SimLoop loop;
  SimOriginSource origins;
  SimPieceStore store;
  SimSwarm swarm;
  MachineChecker* checker = nullptr;
  std::unique_ptr<CheckedOrigins> checked_origins;
  std::unique_ptr<CheckedStore> checked_store;
  std::unique_ptr<CheckedSwarm> checked_swarm;
  std::unique_ptr<jobs::Engine> engine;
  jobs::Job* job = nullptr;
  std::unique_ptr<AdversaryActor> actor;
  PeerResult result;
};

class SiteRun {
 public:
  explicit SiteRun(const Scenario& scenario);
  SimulationResult run();

 private:
  // site_run.cc
  std::uint32_t add_machine(std::optional<Adversary> adversary);
  void assign_roles(std::vector<std::optional<Adversary>>& roles) const;
  void plan_joins();
  void join(std::uint32_t host);
  Result<void> start_job(Machine& machine);
  void wait_for_transfers();
  [[nodiscard]] core::Duration patience() const;
  [[nodiscard]] bool all_settled();
  void complete_and_close();

  // site_faults.cc
  void plan_faults();
  void strike(const Fault& fault);
  void lift(FaultKind kind);
  [[nodiscard]] std::vector<std::uint32_t> victims(const Fault& fault);
  void split(const std::vector<std::uint32_t>& hosts);
  void kill(std::uint32_t host);
  void leave(std::uint32_t host);
  void set_wan(bool up);
  void set_answering(bool answering, core::Duration retry_after);
  void plan_churn();
  void churn();

  // site_judge.cc
  void collect();
  void measure(Machine& machine) const;
  void summarize();
  void check_machine(std::uint32_t host);
  void check_site();
  void violation(std::string text) { result_.violations.push_back(std::move(text)); }

  const Scenario& scenario_;
  const core::Manifest manifest_;
  SimulationResult result_;
  EventQueue queue_;
  Network network_;
  const LinkId wan_;
  Origin origin_;
  Site site_;
  SiteChecker checker_;
  std::uint64_t events_max_ = 0;
  bool over_ = false;  // nothing goes wrong any more
  bool wan_up_ = true;
  bool answering_ = true;
  core::Prng victims_;
  core::Prng churn_;
  std::size_t first_unsettled_ = 0;  // machines before it are settled
  std::vector<std::unique_ptr<Machine>> machines_;
};

}  // namespace lanward::simulator
