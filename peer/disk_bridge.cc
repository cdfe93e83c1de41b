#include "peer/disk_bridge.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include <boost/asio/error.hpp>
#include <libtorrent/disk_buffer_holder.hpp>
#include <libtorrent/disk_observer.hpp>
#include <libtorrent/hasher.hpp>
#include <libtorrent/peer_request.hpp>

#include "engine/core/merkle.h"

namespace lanward::peer {
namespace {

// Buffers of blocks on their way to a peer. Stateless, so a buffer may outlive the session.
struct HeapBuffers final : lt::buffer_allocator_interface {
  void free_disk_buffer(char* buffer) override { delete[] buffer; }
};
HeapBuffers heap_buffers;

lt::storage_error aborted(lt::operation_t operation) {
  return {boost::asio::error::operation_aborted, lt::file_index_t{0}, operation};
}

// libtorrent pauses a torrent on errors it takes for a broken disk. That is wanted for those only:
// the store reports them to the engine, too.
lt::storage_error storage_error(const Error& error, lt::operation_t operation) {
  namespace errc = boost::system::errc;
  switch (error.code) {
    case ErrorCode::disk_full:
      return {errc::make_error_code(errc::no_space_on_device), lt::file_index_t{0}, operation};
    case ErrorCode::disk_io:
    case ErrorCode::internal:
      return {errc::make_error_code(errc::io_error), lt::file_index_t{0}, operation};
    default:
      return aborted(operation);
  }
}

core::Digest sha256(std::span<const std::byte> bytes) {
  const lt::sha256_hash hash =
      lt::hasher256(reinterpret_cast<const char*>(bytes.data()), static_cast<int>(bytes.size()))
          .final();
  core::Digest digest;
  std::memcpy(digest.data(), hash.data(), digest.size());
  return digest;
}

bool answers_to_manifest(const core::Content& content, std::uint32_t piece,
                         const std::vector<core::Digest>& hashes) {
  const std::uint32_t width = content.layout.leaves_per_piece();
  return core::merkle_root(hashes, width, core::Digest{}, &sha256) == content.piece_hashes[piece];
}

core::PieceIndex index_of(lt::piece_index_t piece) {
  return core::PieceIndex{static_cast<std::uint32_t>(static_cast<int>(piece))};
}

// A block on its way from the store's worker to the network thread.
struct ReadBuffer {
  ReadBuffer(std::uint32_t size, std::uint32_t from_store)
      : bytes(new char[size]), length(size), payload(from_store) {
    std::memset(bytes.get() + payload, 0, size - payload);
  }
  std::span<std::byte> span() { return {reinterpret_cast<std::byte*>(bytes.get()), payload}; }
  std::unique_ptr<char[]> bytes;
  std::uint32_t length;
  std::uint32_t payload;  // what follows is padding
};

}  // namespace

// ---- Storage -----------------------------------------------------------------------------------

Storage::Storage(std::shared_ptr<ports::ContentStore> store, std::shared_ptr<StoreUse> use,
                 core::Content content, core::PieceSet verified, std::shared_ptr<Sources> sources,
                 std::shared_ptr<const lt::torrent_info> info)
    : store_(std::move(store)),
      use_(std::move(use)),
      content_(std::move(content)),
      verified_(std::move(verified)),
      sources_(std::move(sources)),
      info_(std::move(info)) {}

void Storage::detach() {
  settle();
  store_.reset();
  use_.reset();
  on_forgotten = nullptr;
}

void Storage::arriving(Peer& peer, const lt::peer_request& block) {
  settle();
  arrival_ = Arrival{&peer, block};
}

void Storage::settle() {
  if (!arrival_) return;
  sources_->received(*arrival_->peer, payload(arrival_->block), false);
  arrival_.reset();
}

bool Storage::in_bounds(const lt::peer_request& block) const {
  const int piece = static_cast<int>(block.piece);
  if (piece < 0 || block.start < 0 || block.length <= 0) return false;
  return static_cast<std::uint32_t>(piece) < content_.layout.piece_count() &&
         std::int64_t{block.start} + block.length <= content_.layout.piece_bytes();
}

std::uint32_t Storage::payload(const lt::peer_request& block) const {
  if (!in_bounds(block)) return 0;
  const std::uint32_t size = content_.layout.size_of(index_of(block.piece));
  const auto start = static_cast<std::uint32_t>(block.start);
  return start < size ? std::min(size - start, static_cast<std::uint32_t>(block.length)) : 0;
}

Peer* Storage::take_sender(const lt::peer_request& block) {
  if (!arrival_ || !(arrival_->block == block)) return nullptr;
  Peer* const peer = arrival_->peer;
  arrival_.reset();
  return peer;
}

// ---- JobTable ----------------------------------------------------------------------------------

std::uint64_t JobTable::add(Completion completion) {
  jobs_.emplace(next_, std::move(completion));
  return next_++;
}

void JobTable::finish(std::uint64_t job, const lt::storage_error& error) {
  network_->post([self = shared_from_this(), job, error] { self->run(job, error); });
}

void JobTable::run(std::uint64_t job, const lt::storage_error& error) {
  auto node = jobs_.extract(job);  // gone if it was aborted meanwhile
  if (!node.empty()) node.mapped()(error);
}

void JobTable::abort_all() {
  auto jobs = std::exchange(jobs_, {});
  for (auto& [number, completion] : jobs) completion(aborted(lt::operation_t::unknown));
}

// ---- DiskBridge --------------------------------------------------------------------------------

DiskBridge::DiskBridge(std::shared_ptr<NetworkThread> network, lt::io_context& io)
    : network_(std::move(network)), jobs_(std::make_shared<JobTable>(network_)) {
  network_->open(io);
}

DiskBridge::~DiskBridge() { abort(true); }

void DiskBridge::abort(bool) {
  jobs_->drop_all();
  network_->close();
}

void DiskBridge::shut_down() {
  for (const auto& storage : storages_) {
    if (storage) storage->detach();
  }
  jobs_->abort_all();
}

void DiskBridge::expect(const std::string& save_path, std::shared_ptr<Storage> storage) {
  expected_[save_path] = std::move(storage);
}

lt::storage_holder DiskBridge::new_torrent(const lt::storage_params& params,
                                           const std::shared_ptr<void>&) {
  std::shared_ptr<Storage> storage;
  if (auto node = expected_.extract(params.path)) storage = std::move(node.mapped());
  auto slot = std::find(storages_.begin(), storages_.end(), nullptr);
  if (slot == storages_.end()) slot = storages_.insert(slot, nullptr);
  *slot = std::move(storage);
  const auto index = static_cast<std::uint32_t>(slot - storages_.begin());
  return {lt::storage_index_t{index}, *this};
}

void DiskBridge::remove_torrent(lt::storage_index_t index) {
  storages_[static_cast<std::uint32_t>(index)] = nullptr;
}

std::shared_ptr<Storage> DiskBridge::live(lt::storage_index_t index) const {
  const auto& storage = storages_[static_cast<std::uint32_t>(index)];
  return storage && storage->store_ ? storage : nullptr;
}

void DiskBridge::async_read(
    lt::storage_index_t index, const lt::peer_request& block,
    std::function<void(lt::disk_buffer_holder, const lt::storage_error&)> handler,
    lt::disk_job_flags_t) {
  const std::shared_ptr<Storage> storage = live(index);
  if (!storage || storage->payload(block) == 0) {
    network_->post([handler = std::move(handler)] {
      handler(lt::disk_buffer_holder{}, aborted(lt::operation_t::file_read));
    });
    return;
  }
  const auto buffer = std::make_shared<ReadBuffer>(static_cast<std::uint32_t>(block.length),
                                                   storage->payload(block));
  const std::uint64_t job =
      jobs_->add([handler = std::move(handler), buffer](const lt::storage_error& error) {
        if (error) return handler(lt::disk_buffer_holder{}, error);
        handler(lt::disk_buffer_holder(heap_buffers, buffer->bytes.release(),
                                       static_cast<int>(buffer->length)),
                error);
      });
  const core::PieceIndex piece = index_of(block.piece);
  const auto offset = static_cast<std::uint32_t>(block.start);
  const auto read = [jobs = jobs_, job, store = storage->store_, piece, offset,
                     buffer](bool cached_only) {
    const Result<void> result = store->read(piece, offset, buffer->span(), cached_only);
    if (!result && cached_only && result.error().code == ErrorCode::not_found) return false;
    jobs->finish(job, result ? lt::storage_error{}
                             : storage_error(result.error(), lt::operation_t::file_read));
    return true;
  };
  if (read(true)) return;
  storage->store_->run_on_worker([read, use = storage->use_] { (void)read(false); });
}

bool DiskBridge::async_write(lt::storage_index_t index, const lt::peer_request& block,
                             const char* bytes, std::shared_ptr<lt::disk_observer> observer,
                             std::function<void(const lt::storage_error&)> handler,
                             lt::disk_job_flags_t) {
  const std::shared_ptr<Storage> storage = live(index);
  const bool known = storage && storage->in_bounds(block);
  Peer* const sender = known ? storage->take_sender(block) : nullptr;
  const core::PieceIndex piece = index_of(block.piece);
  const std::uint32_t length = known ? storage->payload(block) : 0;
  if (known && (length == 0 || storage->is_verified(piece))) {
    // Either the bytes came by another way in the meantime, or this is announce() at work and
    // there are no bytes at all.
    if (sender != nullptr) storage->sources_->received(*sender, length, false);
    network_->post([handler = std::move(handler)] { handler(lt::storage_error{}); });
    return false;
  }
  if (sender == nullptr || !storage->sources_->received(*sender, length, true)) {
    network_->post(
        [handler = std::move(handler)] { handler(aborted(lt::operation_t::file_write)); });
    return false;
  }
  ++storage->writes_[piece.value];
  const std::uint64_t job = jobs_->add(
      [this, storage, piece, handler = std::move(handler)](const lt::storage_error& error) {
        handler(error);
        write_ended(*storage, piece.value);
      });
  const bool keep_going = storage->store_->write_block(
      piece, static_cast<std::uint32_t>(block.start),
      {reinterpret_cast<const std::byte*>(bytes), length}, sender->id,
      [jobs = jobs_, job, use = storage->use_](Result<void> result) mutable {
        jobs->finish(job, result ? lt::storage_error{}
                                 : storage_error(result.error(), lt::operation_t::file_write));
        use.reset();
      },
      [network = network_, weak = std::weak_ptr<lt::disk_observer>(observer)] {
        network->post([weak] {
          if (const auto alive = weak.lock()) alive->on_disk();
        });
      });
  return !keep_going;
}

void DiskBridge::write_ended(Storage& storage, std::uint32_t piece) {
  const auto writes = storage.writes_.find(piece);
  if (--writes->second > 0) return;
  storage.writes_.erase(writes);
  if (auto clear = storage.clears_.extract(piece)) clear.mapped()();
}

void DiskBridge::hashes_of(lt::storage_index_t index, lt::piece_index_t piece, HashesReady ready) {
  const std::shared_ptr<Storage> storage = live(index);
  if (!storage) {
    network_->post(
        [ready = std::move(ready)]() mutable { ready({}, aborted(lt::operation_t::file_read)); });
    return;
  }
  const auto hashes = std::make_shared<std::vector<core::Digest>>();
  const std::uint64_t job =
      jobs_->add([hashes, ready = std::move(ready)](const lt::storage_error& error) mutable {
        // After an error (an aborted job) the store may still be writing there.
        ready(error ? std::vector<core::Digest>{} : *hashes, error);
      });
  storage->store_->block_hashes(
      index_of(piece), [jobs = jobs_, job, hashes,
                        use = storage->use_](Result<std::vector<core::Digest>> result) mutable {
        lt::storage_error error;
        if (result) {
          *hashes = std::move(*result);
        } else if (result.error().code != ErrorCode::invalid_state) {
          error = storage_error(result.error(), lt::operation_t::file_read);
        }
        // invalid_state: the store found the piece wrong first and has dropped its blocks. That is
        // a failed piece, not a failed disk: libtorrent is given no hashes and starts over.
        jobs->finish(job, error);
        use.reset();
      });
}

void DiskBridge::async_hash(
    lt::storage_index_t index, lt::piece_index_t piece, lt::span<lt::sha256_hash> hashes,
    lt::disk_job_flags_t flags,
    std::function<void(lt::piece_index_t, const lt::sha1_hash&, const lt::storage_error&)>
        handler) {
  const bool v1 = bool(flags & lt::disk_interface::v1_hash);
  const std::shared_ptr<Storage> storage = storages_[static_cast<std::uint32_t>(index)];
  // The span is memory of the handler: it is good as long as the handler is, wherever that moves.
  hashes_of(index, piece,
            [storage, piece, hashes, v1, handler = std::move(handler)](
                const std::vector<core::Digest>& known, const lt::storage_error& error) mutable {
              lt::sha1_hash sha1;
              const auto wanted = static_cast<std::size_t>(hashes.size());
              if (known.size() == wanted) {
                for (std::size_t i = 0; i < wanted; ++i) {
                  std::memcpy(hashes[static_cast<std::ptrdiff_t>(i)].data(), known[i].data(),
                              known[i].size());
                }
                // The SHA-1 of a hybrid torrent says nothing that the tree has not said better:
                // the pass over the bytes is spared.
                const auto number = static_cast<std::uint32_t>(static_cast<int>(piece));
                if (v1 && answers_to_manifest(storage->content_, number, known)) {
                  sha1 = storage->info_->hash_for_piece(piece);
                }
              }
              handler(piece, sha1, error);
            });
}

void DiskBridge::async_hash2(
    lt::storage_index_t index, lt::piece_index_t piece, int offset, lt::disk_job_flags_t,
    std::function<void(lt::piece_index_t, const lt::sha256_hash&, const lt::storage_error&)>
        handler) {
  const auto block = static_cast<std::size_t>(offset) / core::kBlockBytes;
  hashes_of(index, piece,
            [piece, block, handler = std::move(handler)](const std::vector<core::Digest>& known,
                                                         const lt::storage_error& error) {
              lt::sha256_hash hash;
              if (block < known.size()) {
                std::memcpy(hash.data(), known[block].data(), known[block].size());
              }
              handler(piece, hash, error);
            });
}

void DiskBridge::async_clear_piece(lt::storage_index_t index, lt::piece_index_t piece,
                                   std::function<void(lt::piece_index_t)> handler) {
  const std::shared_ptr<Storage> storage = live(index);
  if (!storage) {
    network_->post([piece, handler = std::move(handler)] { handler(piece); });
    return;
  }
  const core::PieceIndex number = index_of(piece);
  // The store is not told: it has judged the piece by itself and dropped what was wrong, and blocks
  // that came since, perhaps from an origin, must stay.
  ports::Task clear = [this, storage, piece, number, handler = std::move(handler)]() mutable {
    network_->post([storage, piece, number, handler = std::move(handler)] {
      handler(piece);
      if (storage->is_verified(number) && storage->on_forgotten) storage->on_forgotten(number);
    });
  };
  // The end of a write that libtorrent believes forgotten would count for the next attempt.
  if (storage->writes_.contains(number.value)) {
    storage->clears_[number.value] = std::move(clear);
  } else {
    clear();
  }
}

// ---- what a store of verified pieces has no use for ---------------------------------------------

void DiskBridge::async_move_storage(
    lt::storage_index_t, std::string path, lt::move_flags_t,
    std::function<void(lt::status_t, const std::string&, const lt::storage_error&)> handler) {
  network_->post([path = std::move(path), handler = std::move(handler)] {
    handler(lt::status_t::no_error, path, {});
  });
}

void DiskBridge::async_release_files(lt::storage_index_t, std::function<void()> handler) {
  if (handler) network_->post([handler = std::move(handler)] { handler(); });
}

void DiskBridge::async_check_files(
    lt::storage_index_t, const lt::add_torrent_params*,
    lt::aux::vector<std::string, lt::file_index_t>,
    std::function<void(lt::status_t, const lt::storage_error&)> handler) {
  network_->post([handler = std::move(handler)] { handler(lt::status_t::no_error, {}); });
}

void DiskBridge::async_stop_torrent(lt::storage_index_t, std::function<void()> handler) {
  if (handler) network_->post([handler = std::move(handler)] { handler(); });
}

void DiskBridge::async_rename_file(
    lt::storage_index_t, lt::file_index_t file, std::string name,
    std::function<void(const std::string&, lt::file_index_t, const lt::storage_error&)> handler) {
  network_->post(
      [file, name = std::move(name), handler = std::move(handler)] { handler(name, file, {}); });
}

void DiskBridge::async_delete_files(lt::storage_index_t, lt::remove_flags_t,
                                    std::function<void(const lt::storage_error&)> handler) {
  network_->post([handler = std::move(handler)] { handler({}); });
}

void DiskBridge::async_set_file_priority(
    lt::storage_index_t, lt::aux::vector<lt::download_priority_t, lt::file_index_t> priorities,
    std::function<void(const lt::storage_error&,
                       lt::aux::vector<lt::download_priority_t, lt::file_index_t>)>
        handler) {
  network_->post([priorities = std::move(priorities), handler = std::move(handler)]() mutable {
    handler({}, std::move(priorities));
  });
}

}  // namespace lanward::peer
