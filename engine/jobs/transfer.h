// One file of a job: finds out what it is and takes part in the download of its content. Routes;
// decides nothing.
#pragma once

#include <cstdint>
#include <functional>
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
#include "engine/core/piece_set.h"
#include "engine/core/units.h"
#include "engine/jobs/content_table.h"
#include "engine/jobs/download.h"
#include "engine/jobs/ports.h"
#include "engine/ports/delivery_ticket.h"
#include "engine/ports/journal.h"
#include "engine/ports/loop.h"
#include "engine/ports/origin.h"

namespace lanward::jobs {

// Loop thread only.
class Transfer final : private Download::Holder {
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
  Transfer(const Ports& ports, const EngineSettings& settings, ContentTable& table, FileSpec spec,
           core::Seed seed, std::function<void()> on_change);
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  // What a former engine knew. Before anything else.
  void restore(const ports::FileRecord& record);
  // Fills in what a later engine must know.
  void record(ports::FileRecord& record) const;

  // From idle or failed.
  void start(const FetchSettings& how);
  // Ends every use of the ports and becomes idle again (delivered stays delivered). From any phase;
  // `done` is called when it is so, possibly at once.
  void stop(ports::Task done);
  // The same, and removes what the cache has of the content unless another job refers to it.
  void purge(ports::Task done);
  // Gives up the reference that keeps the pieces: the job is final, or goes on without the file.
  void disown() { release(); }
  // Puts the file at its destination; on success the phase is delivered. Opens the content first if
  // it is not in use. Once purge() was called the file is not delivered any more, and `done` hears
  // of that. REQUIRES: is_transferred() and not is_delivered().
  void deliver(const FetchSettings& how, ports::MoveFunction<void(Result<void>)> done);

  // Another URL; takes effect with the next start.
  void set_source(const std::string& url);
  void set_background(bool background);

  [[nodiscard]] Phase phase() const;
  // All its bytes are verified, or were when an engine last looked.
  [[nodiscard]] bool is_transferred() const { return transferred_ || delivered_; }
  [[nodiscard]] bool is_delivered() const { return delivered_; }
  [[nodiscard]] bool knows_content() const { return content_known_; }
  // Why it failed, or what it is waiting out.
  [[nodiscard]] std::optional<Error> error() const;
  [[nodiscard]] const FileSpec& spec() const { return spec_; }
  [[nodiscard]] FileStatus status() const;
  [[nodiscard]] std::vector<SourceStats> sources() const;
  [[nodiscard]] SwarmStats swarm_stats() const;
  [[nodiscard]] std::string response_headers() const;
  // The open content, for reading; null unless it is in use.
  [[nodiscard]] std::shared_ptr<ports::ContentStore> store() const;
  [[nodiscard]] const core::PieceLayout& layout() const { return content_.layout; }
  // Adds this file's figures.
  void add_to(Progress& progress) const;

 private:
  // Of an attached file the download tells the phase.
  enum class Step : std::uint8_t { idle, searching, attached, delivered, failed, stopping };

  void download_changed() override;
  [[nodiscard]] bool is_background() const override { return background_; }
  [[nodiscard]] ports::FactSink fact_sink();
  [[nodiscard]] ports::Task on_loop(ports::Task task);
  void drive_search();
  void found(core::SearchResult result);
  [[nodiscard]] Result<void> resolve_ranges();
  void know_content();
  void join_download();
  void name_destination();
  void fail_with(Error error);
  void end(bool purge, ports::Task done);
  void leave(Step after, bool purge, ports::Task done);
  void finish_purge(ports::Task done);
  void deliver_now();
  void refer();
  void release();
  void changed();

  const Ports& ports_;
  const EngineSettings& settings_;
  ContentTable& table_;
  FileSpec spec_;
  const core::Seed seed_;
  const std::function<void()> on_change_;

  Step step_ = Step::idle;
  Step after_stop_ = Step::idle;
  std::optional<Error> error_;
  std::string note_;
  Integrity integrity_ = Integrity::unknown;
  core::Content content_;
  bool content_known_ = false;
  bool referring_ = false;
  std::vector<core::ByteSpan> parts_;  // resolved ranges; empty: the whole file
  core::PieceSet wanted_;
  std::string validated_url_;
  std::string validator_;
  bool transferred_ = false;
  bool delivered_ = false;
  bool background_ = false;
  bool purging_ = false;

  ports::OriginSettings origin_;
  core::Policy policy_;
  std::unique_ptr<ports::Timer> timer_;
  std::unique_ptr<core::ManifestSearch> search_;
  std::unique_ptr<ports::OriginClient> client_;  // of the search
  Download* download_ = nullptr;
  ports::MoveFunction<void(Result<void>)> deliver_;  // asked for, waits for the content
  std::shared_ptr<ports::DeliveryTicket> ticket_;    // while it is being delivered
  core::Instant transferring_since_{};
  core::Duration transferring_for_{0};

  std::vector<SourceStats> before_;   // figures of the download when this file joined
  std::vector<SourceStats> former_;   // of this file, from downloads it has left
  std::uint64_t verified_bytes_ = 0;  // when it was last in use
  std::uint64_t cached_bytes_ = 0;
  std::string headers_;

  // Tokens let late calls find out that what they belong to has ended: the object, or the search.
  std::shared_ptr<char> life_ = std::make_shared<char>();
  std::shared_ptr<char> run_;
  std::vector<ports::Task> stopped_;  // whom to tell
};

}  // namespace lanward::jobs
