// libtorrent's disk, replaced by the piece store.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <libtorrent/disk_interface.hpp>
#include <libtorrent/torrent_info.hpp>

#include "engine/core/piece_set.h"
#include "engine/ports/content_store.h"
#include "peer/network_thread.h"
#include "peer/sources.h"

namespace lanward::peer {

// Held by every job that uses a store; what is to be done when the last one ends is done by the
// destructor, on whatever thread that is.
struct StoreUse {
  ports::Task on_last;
  ~StoreUse() {
    if (on_last) on_last();
  }
};

// What the bridge knows of one torrent. Network thread only.
class Storage {
 public:
  // REQUIRES: nothing is null.
  Storage(std::shared_ptr<ports::ContentStore> store, std::shared_ptr<StoreUse> use,
          core::Content content, core::PieceSet verified, std::shared_ptr<Sources> sources,
          std::shared_ptr<const lt::torrent_info> info);

  // Cuts the store off: later jobs end as aborted.
  void detach();

  // A block has arrived from `peer`; if libtorrent wants it, async_write follows in the same call.
  void arriving(Peer& peer, const lt::peer_request& block);
  // Bytes of the file in a block. libtorrent pads the last piece of a v2 file with zeros to its
  // full length and sends them, too; the store knows the file only.
  [[nodiscard]] std::uint32_t payload(const lt::peer_request& block) const;
  // Counts a block that arrived but was not written as wasted.
  void settle();

  // The piece is known to be in the store: its blocks are no longer taken from anybody.
  void mark_verified(core::PieceIndex piece) { verified_.insert(piece); }
  [[nodiscard]] bool is_verified(core::PieceIndex piece) const { return verified_.contains(piece); }

  // Called after libtorrent has forgotten a piece that is verified here: it must be told again.
  std::function<void(core::PieceIndex)> on_forgotten;

 private:
  friend class DiskBridge;
  struct Arrival {
    Peer* peer = nullptr;
    lt::peer_request block;
  };

  [[nodiscard]] bool in_bounds(const lt::peer_request& block) const;
  // The peer that sent this very block; nothing if it came by another way.
  [[nodiscard]] Peer* take_sender(const lt::peer_request& block);

  std::shared_ptr<ports::ContentStore> store_;  // null: detached
  std::shared_ptr<StoreUse> use_;
  core::Content content_;
  core::PieceSet verified_;
  std::shared_ptr<Sources> sources_;
  std::shared_ptr<const lt::torrent_info> info_;
  std::optional<Arrival> arrival_;
  std::unordered_map<std::uint32_t, std::uint32_t> writes_;  // in flight, by piece
  std::unordered_map<std::uint32_t, ports::Task> clears_;    // wait for the writes of their piece
};

// Handlers of libtorrent that wait for the store. They never leave the network thread: the store is
// given a number, so a store that answers late, or never, holds no peer or torrent alive and
// destroys none on its own threads.
class JobTable : public std::enable_shared_from_this<JobTable> {
 public:
  using Completion = ports::MoveFunction<void(const lt::storage_error&)>;

  explicit JobTable(std::shared_ptr<NetworkThread> network) : network_(std::move(network)) {}

  [[nodiscard]] std::uint64_t add(Completion completion);          // network thread
  void finish(std::uint64_t job, const lt::storage_error& error);  // any thread, once per job
  void abort_all();                                                // network thread
  void drop_all() { jobs_.clear(); }                               // network thread

 private:
  void run(std::uint64_t job, const lt::storage_error& error);

  std::shared_ptr<NetworkThread> network_;
  std::unordered_map<std::uint64_t, Completion> jobs_;
  std::uint64_t next_ = 0;
};

// Network thread only. Every handler is posted, never called inside the call that brought it.
class DiskBridge final : public lt::disk_interface {
 public:
  DiskBridge(std::shared_ptr<NetworkThread> network, lt::io_context& io);
  ~DiskBridge();

  // The storage of the torrent that will be added with `save_path`, which is only a name here.
  void expect(const std::string& save_path, std::shared_ptr<Storage> storage);
  // Ends every job as aborted and cuts every store off: the session is about to end.
  void shut_down();

  lt::storage_holder new_torrent(const lt::storage_params& params,
                                 const std::shared_ptr<void>& torrent) override;
  void remove_torrent(lt::storage_index_t index) override;
  void async_read(lt::storage_index_t index, const lt::peer_request& block,
                  std::function<void(lt::disk_buffer_holder, const lt::storage_error&)> handler,
                  lt::disk_job_flags_t flags) override;
  bool async_write(lt::storage_index_t index, const lt::peer_request& block, const char* bytes,
                   std::shared_ptr<lt::disk_observer> observer,
                   std::function<void(const lt::storage_error&)> handler,
                   lt::disk_job_flags_t flags) override;
  void async_hash(
      lt::storage_index_t index, lt::piece_index_t piece, lt::span<lt::sha256_hash> hashes,
      lt::disk_job_flags_t flags,
      std::function<void(lt::piece_index_t, const lt::sha1_hash&, const lt::storage_error&)>
          handler) override;
  void async_hash2(
      lt::storage_index_t index, lt::piece_index_t piece, int offset, lt::disk_job_flags_t flags,
      std::function<void(lt::piece_index_t, const lt::sha256_hash&, const lt::storage_error&)>
          handler) override;
  void async_clear_piece(lt::storage_index_t index, lt::piece_index_t piece,
                         std::function<void(lt::piece_index_t)> handler) override;

  void async_move_storage(
      lt::storage_index_t index, std::string path, lt::move_flags_t flags,
      std::function<void(lt::status_t, const std::string&, const lt::storage_error&)> handler)
      override;
  void async_release_files(lt::storage_index_t index, std::function<void()> handler) override;
  void async_check_files(
      lt::storage_index_t index, const lt::add_torrent_params* resume_data,
      lt::aux::vector<std::string, lt::file_index_t> links,
      std::function<void(lt::status_t, const lt::storage_error&)> handler) override;
  void async_stop_torrent(lt::storage_index_t index, std::function<void()> handler) override;
  void async_rename_file(
      lt::storage_index_t index, lt::file_index_t file, std::string name,
      std::function<void(const std::string&, lt::file_index_t, const lt::storage_error&)> handler)
      override;
  void async_delete_files(lt::storage_index_t index, lt::remove_flags_t options,
                          std::function<void(const lt::storage_error&)> handler) override;
  void async_set_file_priority(
      lt::storage_index_t index,
      lt::aux::vector<lt::download_priority_t, lt::file_index_t> priorities,
      std::function<void(const lt::storage_error&,
                         lt::aux::vector<lt::download_priority_t, lt::file_index_t>)>
          handler) override;

  void update_stats_counters(lt::counters&) const override {}
  std::vector<lt::open_file_state> get_status(lt::storage_index_t) const override { return {}; }
  void abort(bool wait) override;
  void submit_jobs() override {}
  void settings_updated() override {}

 private:
  using HashesReady =
      ports::MoveFunction<void(const std::vector<core::Digest>&, const lt::storage_error&)>;

  // The storage, unless it is detached.
  [[nodiscard]] std::shared_ptr<Storage> live(lt::storage_index_t index) const;
  // Hands out the hashes of the blocks; none for a piece that the store refuses to vouch for.
  void hashes_of(lt::storage_index_t index, lt::piece_index_t piece, HashesReady ready);
  void write_ended(Storage& storage, std::uint32_t piece);

  std::shared_ptr<NetworkThread> network_;
  std::shared_ptr<JobTable> jobs_;
  std::vector<std::shared_ptr<Storage>> storages_;  // by storage index; null: free
  std::map<std::string, std::shared_ptr<Storage>> expected_;
};

}  // namespace lanward::peer
