// One file on its way: drives the pure core with facts from the ports and carries its commands to
// them. Routes; decides nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <lanward/error.h>
#include <lanward/job.h>
#include <lanward/types.h>

#include "engine/core/content.h"
#include "engine/core/events.h"
#include "engine/core/manifest_search.h"
#include "engine/core/rate_meter.h"
#include "engine/core/scheduler.h"
#include "engine/core/units.h"
#include "engine/jobs/ports.h"
#include "engine/ports/content_store.h"
#include "engine/ports/loop.h"
#include "engine/ports/origin.h"
#include "engine/ports/swarm.h"

namespace lanward::jobs {

// Loop thread only.
class Transfer {
 public:
  enum class Phase : std::uint8_t {
    idle,          // nothing is in use
    searching,     // for the manifest
    opening,       // the content in the cache
    transferring,  // bytes move
    transferred,   // complete and verified in the cache; served to peers
    delivered,     // at its destination; served to peers if that was asked for
    failed,        // error() tells why; nothing is in use
    stopping,      // leaving the ports
  };

  // `on_change` is called after the phase or the error changed, never from inside a call to this.
  Transfer(const Ports& ports, const EngineSettings& settings, FileSpec spec, core::Seed seed,
           std::function<void()> on_change);
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  // From idle or failed.
  void start();
  // Ends every use of the ports and becomes idle again (delivered stays delivered); with `purge`
  // the pieces go too. From any phase; `done` is called when it is so, possibly at once.
  void stop(bool purge, ports::Task done);
  // From transferred. On success the phase is delivered.
  void deliver(ports::MoveFunction<void(Result<void>)> done);

  [[nodiscard]] Phase phase() const { return phase_; }
  // Why it failed, or what it is waiting out.
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }
  [[nodiscard]] FileStatus status() const;
  [[nodiscard]] std::vector<SourceStats> sources() const;
  // Adds this file's figures.
  void add_to(Progress& progress) const;

 private:
  // One source in the present opening of the content. The store knows what it was given; what
  // never got that far the swarm tells.
  struct SourceRecord {
    std::string name;
    core::PeerProgressed swarm;
    bool joined = false;
    bool banned = false;
  };

  [[nodiscard]] ports::FactSink fact_sink();
  [[nodiscard]] ports::Task on_loop(ports::Task task);
  void on_fact(const core::Event& event);
  void note(const core::Event& event);
  void drive();
  void drive_search(core::Instant now);
  void drive_scheduler(core::Instant now);

  void execute(const core::SearchCommand& command);
  void execute(const core::Command& command);
  void fetch_range(const core::FetchRange& command);
  void found(core::SearchResult result);
  void open_content();
  void on_opened(Result<std::shared_ptr<ports::ContentStore>> opened);
  void begin_transfer();
  void name_destination();
  void fail_with(Error error);
  void halt(Phase after);
  void set_error(std::optional<Error> error);
  void enter(Phase phase);
  void leave_swarm(ports::Task then);
  void release_content();
  void finish_stop();
  void fold_ledger();
  void add_present_sources(std::vector<SourceStats>& list) const;

  const Ports& ports_;
  const EngineSettings& settings_;
  FileSpec spec_;
  const core::Seed seed_;
  const std::function<void()> on_change_;

  Phase phase_ = Phase::idle;
  std::optional<Error> error_;
  std::string note_;
  Integrity integrity_ = Integrity::unknown;
  core::Content content_;
  std::string validated_url_;  // the origin that told the validator
  std::string validator_;
  bool cache_counted_ = false;
  std::uint64_t cached_bytes_ = 0;
  std::uint64_t verified_bytes_ = 0;

  std::unique_ptr<ports::Timer> timer_;
  std::unique_ptr<core::ManifestSearch> search_;
  std::unique_ptr<core::Scheduler> scheduler_;
  std::unique_ptr<ports::OriginClient> client_;
  std::unique_ptr<ports::SwarmMember> member_;
  std::shared_ptr<ports::ContentStore> store_;
  std::map<core::SourceId, SourceRecord> sources_;
  std::vector<SourceStats> former_sources_;  // of earlier openings

  // Tokens let late calls find out that what they belong to has ended: the object, or this run.
  std::shared_ptr<char> life_ = std::make_shared<char>();
  std::shared_ptr<char> run_;
  bool opening_ = false;          // the store has not answered open() yet
  bool may_have_pieces_ = false;  // the content was opened once and not purged since
  bool purge_ = false;
  Phase after_stop_ = Phase::idle;
  std::vector<ports::Task> stopped_;  // whom to tell
};

}  // namespace lanward::jobs
