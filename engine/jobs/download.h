// One content on its way, for all the files of jobs that want it: drives the pure core with facts
// from the ports and carries its commands to them. Routes; decides nothing.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <lanward/error.h>
#include <lanward/types.h>

#include "engine/core/content.h"
#include "engine/core/events.h"
#include "engine/core/origin_spec.h"
#include "engine/core/peers_answer.h"
#include "engine/core/piece_set.h"
#include "engine/core/scheduler.h"
#include "engine/core/units.h"
#include "engine/jobs/content_table.h"
#include "engine/jobs/origin_control.h"
#include "engine/jobs/ports.h"
#include "engine/ports/content_store.h"
#include "engine/ports/delivery_ticket.h"
#include "engine/ports/loop.h"
#include "engine/ports/origin.h"
#include "engine/ports/swarm.h"

namespace lanward::jobs {

// Of origins that wait: the least there is, as zero means no limit.
inline constexpr core::ByteRate kHeldRate{1};

// Loop thread only.
class Download final : private OriginControl::User {
 public:
  enum class Phase : std::uint8_t {
    opening,       // the content in the cache
    transferring,  // bytes move
    transferred,   // what is wanted is verified; served to peers
    failed,        // error() tells why; nothing is in use
    stopping,      // leaving the ports
    ended,         // nothing is in use and nobody wants it
  };

  // What a holder knows.
  struct Plan {
    core::Content content;
    std::optional<core::Manifest> manifest;
    std::vector<core::OriginSpec> urls;
    CacheHosts caches;          // of these, and of what a manifest adds
    std::string validated_url;  // the origin that told the validator
    std::string validator;
    bool no_ranges = false;  // of validated_url
    std::vector<std::string> peers;
    std::vector<std::string> trackers;
    bool use_origin = true;
    core::FilePeers peers_facts;  // what decides whether it may have peers
    // Its source has told the size of this very file without being shown credentials, or the
    // publisher lets it be shared: also what the cache has of it by credentials may go to peers.
    bool open_to_all = false;
    bool bypass_cache = false;
    core::PieceSet wanted;  // full: all
    ports::OriginSettings origin;
    core::Policy policy;
    std::string name;         // for messages
    std::string destination;  // of the file; empty: unknown
  };

  // A file that wants the content.
  class Holder {
   public:
    // The phase, the error or the figures' rate of change are different now. Never called from
    // inside a call to the download.
    virtual void download_changed() = 0;
    [[nodiscard]] virtual bool is_background() const = 0;
    // Its job has the highest priority, whatever others do.
    [[nodiscard]] virtual bool is_foreground() const = 0;

   protected:
    ~Holder() = default;
  };

  Download(const Ports& ports, OriginControl& control, ContentTable& table, Plan plan,
           core::Seed seed);
  ~Download();
  Download(const Download&) = delete;
  Download& operator=(const Download&) = delete;

  // `plan` counts if nobody holds the content, else its `wanted` only.
  void join(Holder& holder, Plan plan);
  // With the last holder the transfer ends; with `purge` the pieces go too, unless another job
  // refers to the content. `done` is called when the ports are left, possibly at once.
  void leave(Holder& holder, bool purge, ports::Task done);

  // Puts the file, or its parts, at the destination. The cache gives its copy away only if `give`
  // and nobody else holds the content. REQUIRES: has(the pieces of the parts).
  struct Handover {
    std::string destination;
    std::vector<core::ByteSpan> parts;
    bool give = false;   // the cache need not keep it
    bool share = false;  // but go on serving it
    std::shared_ptr<ports::DeliveryTicket> ticket;
    std::optional<std::uint32_t> owner;  // as in DeliveryOrder
  };
  void deliver(const Holder& holder, Handover handover,
               ports::MoveFunction<void(Result<void>)> done);

  // The whole file is not what it must be: drops its pieces, whoever refers to them, and fails with
  // `error`. Every holder rests on the same digest: it is part of the content's id.
  void reject(Error error);

  // The origins wait, or no longer: nothing comes from them, and nothing fails for that. Only while
  // one file holds the content; others' downloads go on.
  void hold_origins(bool hold) {
    held_ = hold && holders_.size() == 1;
    if (client_ != nullptr) limit_origins(origin_rate_);
  }

  // A holder's priority has changed. Requests of a content that only background files want make way
  // for those of others.
  void priority_changed();

  [[nodiscard]] Phase phase() const { return phase_; }
  // Why it failed, or what it is waiting out.
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }
  // It has been stopping for longer than a disk that answers can need; error() tells why.
  [[nodiscard]] bool is_stuck() const { return stuck_; }
  [[nodiscard]] const core::Content& content() const { return plan_.content; }
  [[nodiscard]] bool has(const core::PieceSet& pieces) const;
  [[nodiscard]] std::uint64_t verified_bytes(const core::PieceSet& pieces) const;
  [[nodiscard]] std::uint64_t cached_bytes() const { return cached_bytes_; }
  // Nothing: of every class.
  [[nodiscard]] std::uint32_t peers_connected(std::optional<PeerClass> where = {}) const;
  [[nodiscard]] core::PeersFacts peers_facts() const;
  [[nodiscard]] std::uint32_t requests_in_flight() const { return requests_in_flight_; }
  [[nodiscard]] std::vector<SourceStats> sources() const;
  [[nodiscard]] std::string response_headers() const;
  // Why the bytes are not in the cache; empty: they are.
  [[nodiscard]] const std::string& store_note() const { return store_note_; }
  // Null unless the content is open.
  [[nodiscard]] const std::shared_ptr<ports::ContentStore>& store() const { return store_; }

 private:
  // One source in the present opening of the content. The store knows what it was given; what
  // never got that far the swarm tells.
  struct SourceRecord {
    std::string name;
    PeerClass where = PeerClass::lan;
    bool joined = false;
    bool banned = false;
    bool validated = false;  // its file is the one of which the validator was told
  };

  [[nodiscard]] bool is_foreground() const override;
  [[nodiscard]] bool is_asking() const override { return requests_in_flight_ > 0; }
  [[nodiscard]] core::ByteCount origin_bytes() const override;
  void limit_origins(core::ByteRate rate) override {
    origin_rate_ = rate;
    client_->set_rate_limit(held_ ? kHeldRate : rate);
  }

  [[nodiscard]] ports::FactSink fact_sink();
  [[nodiscard]] ports::Task on_loop(ports::Task task);
  void open();
  void open_content();
  void on_opened(Result<std::shared_ptr<ports::ContentStore>> opened);
  void begin_transfer();
  [[nodiscard]] std::vector<core::OriginSpec> list_origins();
  void drop_client();
  void on_timer();
  void on_fact(const core::Event& event);
  void note(const core::Event& event);
  void note_total(const core::PeerProgressed& total);
  [[nodiscard]] ports::OpenHints open_hints() const;
  [[nodiscard]] bool begin_anew(const core::Event& event);
  void offer(core::PieceIndex piece);
  void drive();
  void execute(const core::Command& command);
  void fetch_range(const core::FetchRange& command);
  void fail_with(Error error);
  void halt(Phase after);
  void set_error(std::optional<Error> error);
  void enter(Phase phase);
  void tell_holders();
  void leave_swarm(ports::Task then);
  void release_content();
  void finish_stop();
  void fold_ledger();
  void add_present_sources(std::vector<SourceStats>& list) const;

  const Ports& ports_;
  OriginControl& control_;
  ContentTable& table_;
  Plan plan_;
  const core::Seed seed_;

  Phase phase_ = Phase::ended;
  std::optional<Error> error_;
  std::vector<Holder*> holders_;
  core::PieceSet verified_;
  bool shareable_ = false;     // what the sources of this opening send may be given to peers
  core::Instant joined_at_{};  // the swarm
  bool cache_counted_ = false;
  std::uint64_t cached_bytes_ = 0;
  std::uint32_t requests_in_flight_ = 0;
  bool background_ = false;
  bool held_ = false;           // the origins wait
  core::ByteRate origin_rate_;  // of the client, else

  std::unique_ptr<ports::Timer> timer_;
  std::unique_ptr<core::Scheduler> scheduler_;
  std::unique_ptr<ports::OriginClient> client_;
  std::unique_ptr<ports::SwarmMember> member_;
  std::shared_ptr<ports::ContentStore> store_;
  std::map<core::SourceId, SourceRecord> sources_;
  // What the swarm last told of each peer, by number: told again and again while bytes come.
  std::vector<core::PeerProgressed> totals_;
  std::vector<SourceStats> former_sources_;  // of earlier openings
  std::string last_headers_;
  std::string store_note_;

  // Tokens let late calls find out that what they belong to has ended: the object, or this run.
  std::shared_ptr<char> life_ = std::make_shared<char>();
  std::shared_ptr<char> run_;
  bool beside_ = false;           // the cache has failed: the bytes go beside the destination
  bool stuck_ = false;            // the ports are not left in time
  bool opening_ = false;          // the store has not answered open() yet
  std::uint32_t delivering_ = 0;  // deliveries that the store has not answered
  bool purge_ = false;
  bool reject_ = false;  // purge, even if another job refers to it
  bool again_ = false;   // stopped only to start with more wanted, or for a new holder
  Phase after_stop_ = Phase::ended;
  std::vector<ports::Task> stopped_;  // whom to tell
  std::vector<ports::Task> left_;     // what waits for the end of the sessions
};

}  // namespace lanward::jobs
