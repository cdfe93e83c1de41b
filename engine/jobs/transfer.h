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
#include "engine/core/digest.h"
#include "engine/core/events.h"
#include "engine/core/manifest_search.h"
#include "engine/core/origin_spec.h"
#include "engine/core/piece_set.h"
#include "engine/core/units.h"
#include "engine/jobs/content_table.h"
#include "engine/jobs/download.h"
#include "engine/jobs/file_check.h"
#include "engine/jobs/ports.h"
#include "engine/jobs/spooling.h"
#include "engine/ports/delivery_ticket.h"
#include "engine/ports/journal.h"
#include "engine/ports/loop.h"
#include "engine/ports/origin.h"

namespace lanward::jobs {

// Loop thread only.
class Transfer final : private Download::Holder, private Spooling::Owner {
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
  Transfer(const Ports& ports, const EngineSettings& settings, OriginControl& control,
           ContentTable& table, FileSpec spec, core::Seed seed, std::function<void()> on_change);
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  // What a former engine knew. Before anything else.
  void restore(const ports::FileRecord& record);
  // Fills in what a later engine must know.
  void record(ports::FileRecord& record) const;

  // From idle or failed.
  void start(const FetchSettings& how);
  // The source turned out to be a Metalink of these files; nothing until then, and once taken. It
  // goes on searching until replace() or refuse() is called.
  [[nodiscard]] bool has_expansion() const { return !expansion_.empty(); }
  [[nodiscard]] std::vector<FileSpec> take_expansion() { return std::exchange(expansion_, {}); }
  // The first of them takes the place of this file, and is started if this was.
  void replace(FileSpec spec, const FetchSettings& how);
  // They cannot be files of the job.
  void refuse(Error error);
  // Ends every use of the ports and becomes idle again (delivered stays delivered). From any phase;
  // `done` is called when it is so, possibly at once.
  void stop(ports::Task done);
  // Lets the origins wait, or no longer, unless another file takes part in the download.
  void hold_origins(bool hold);
  // The same as stop(), and removes what the cache has of the content unless another job refers to
  // it.
  void purge(ports::Task done);
  // Of a file whose delivery is recorded: the cache has only kept it until then.
  void forget_delivered(ports::Task done);
  // Gives up the reference that keeps the pieces: the job is final, or goes on without the file.
  void disown() { release(); }
  // Puts the file at its destination; on success the phase is delivered. Opens the content first if
  // it is not in use. Once purge() was called the file is not delivered any more, and `done` hears
  // of that. REQUIRES: is_transferred() and not is_delivered().
  void deliver(const FetchSettings& how, ports::MoveFunction<void(Result<void>)> done);

  // Another URL; takes effect with the next start.
  void set_source(const std::string& url);
  void set_background(bool background);
  // The priority of its job.
  void set_foreground(bool foreground) { foreground_ = foreground; }
  // What the next start would be told, so that what it comes to is known beforehand.
  void expect(const FetchSettings& how) { expected_ = how.origin; }

  [[nodiscard]] Phase phase() const;
  // All its bytes are verified, or were when an engine last looked.
  [[nodiscard]] bool is_transferred() const { return transferred_ || delivered_; }
  [[nodiscard]] bool is_delivered() const { return delivered_; }
  [[nodiscard]] bool knows_content() const { return content_known_; }
  // Why it failed, or what it is waiting out.
  [[nodiscard]] std::optional<Error> error() const;
  // Why it cannot go on, and cannot even fail in order: the ports do not let go of it. Nothing if
  // they do, or if it is transferred.
  [[nodiscard]] std::optional<Error> stuck() const;
  [[nodiscard]] const FileSpec& spec() const { return spec_; }
  [[nodiscard]] FileStatus status() const;
  [[nodiscard]] std::vector<SourceStats> sources() const;
  [[nodiscard]] SwarmStats swarm_stats() const;
  [[nodiscard]] std::string response_headers() const;
  // The open content, for reading; null unless it is in use.
  [[nodiscard]] std::shared_ptr<ports::ContentStore> store() const;
  [[nodiscard]] const core::PieceLayout& layout() const { return content_.layout; }
  [[nodiscard]] bool is_in_use() const {
    return step_ != Step::idle && step_ != Step::failed && step_ != Step::delivered;
  }
  // Why it has peers or none.
  [[nodiscard]] PeersAnswer peers_answer() const;
  // Adds this file's figures.
  void add_to(Progress& progress) const;

 private:
  // Of an attached file the download tells the phase.
  enum class Step : std::uint8_t {
    idle,
    searching,
    spooling,  // a file of unknown length
    attached,
    delivered,
    failed,
    stopping,
    rejoining,  // between two tries with other origins
  };

  void download_changed() override;
  [[nodiscard]] bool is_background() const override { return background_; }
  [[nodiscard]] bool is_foreground() const override { return foreground_; }
  [[nodiscard]] ports::FactSink fact_sink();
  [[nodiscard]] ports::Task on_loop(ports::Task task);
  void drive_search();
  void found(core::SearchResult result);
  void settle(core::SearchResult result);
  [[nodiscard]] core::Content as_opened(core::Content content) const;
  void begin_spooling(core::SearchResult result);
  void spooling_changed() override;
  void spooled(Result<core::Content> content) override;
  void end_spooling();
  void expand(const core::Metalink& metalink);
  [[nodiscard]] Result<void> resolve_ranges();
  void judge_source(const core::SearchResult& result);
  [[nodiscard]] bool has_credentials() const;
  [[nodiscard]] core::FilePeers file_peers() const;
  void keep_answer();
  void know_content();
  void rest_on(const std::optional<core::ExpectedDigest>& digest);
  void join_download();
  [[nodiscard]] bool must_match() const;
  void begin_check();
  void end_check(const std::vector<std::uint8_t>& found);
  void download_failed(Error error);
  [[nodiscard]] bool try_alone(const Error& error);
  void name_destination();
  void fail_with(Error error);
  void end(bool purge, ports::Task done);
  void leave(Step after, bool purge, ports::Task done);
  void finish_purge(ports::Task done);
  void deliver_unless(bool there, const FetchSettings& how);
  void deliver_now();
  void refer();
  void release();
  void changed();

  const Ports& ports_;
  const EngineSettings& settings_;
  OriginControl& control_;
  ContentTable& table_;
  FileSpec spec_;
  const core::Seed seed_;
  const std::function<void()> on_change_;

  Step step_ = Step::idle;
  Step after_stop_ = Step::idle;
  std::optional<Error> error_;
  std::string note_;
  std::string store_note_;  // of the download that this file has left
  Integrity integrity_ = Integrity::unknown;
  core::Content content_;
  bool content_known_ = false;
  bool referring_ = false;
  std::vector<core::ByteSpan> parts_;  // resolved ranges; empty: the whole file
  core::PieceSet wanted_;
  std::vector<core::OriginSpec> origins_;  // to fetch from
  // What the whole file must match; checked when all its bytes are there.
  std::optional<core::ExpectedDigest> digest_;
  bool matched_ = false;
  bool named_by_bytes_ = false;  // the content's id: others of the same bytes share it
  std::unique_ptr<FileCheck> check_;
  // After a mismatch, the origins that are still to be tried alone, the next one last.
  std::optional<std::vector<core::OriginSpec>> alone_;
  std::optional<Error> mismatch_;  // the first one
  std::vector<FileSpec> expansion_;
  std::string validated_url_;
  std::string validator_;
  bool no_ranges_ = false;    // of validated_url_
  bool open_to_all_ = false;  // as in Download::Plan
  PeersAnswer last_answer_;   // when the last byte had come
  bool transferred_ = false;
  bool delivered_ = false;
  bool background_ = false;
  bool foreground_ = false;
  bool purging_ = false;

  ports::OriginSettings origin_;
  ports::OriginSettings expected_;  // with the next start
  core::Policy policy_;
  std::unique_ptr<ports::Timer> timer_;
  std::unique_ptr<core::ManifestSearch> search_;
  std::optional<core::SearchResult> found_;  // while it is being spooled
  std::unique_ptr<Spooling> spooling_;
  bool spooled_ = false;  // it is in the cache because this has just fetched it
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
