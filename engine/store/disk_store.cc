#include "engine/store/disk_store.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

#include "engine/store/delivery.h"
#include "engine/store/directory_lock.h"
#include "engine/store/disk_content.h"
#include "engine/store/recovery.h"
#include "engine/store/shared.h"
#include "engine/store/spool.h"
#include "engine/store/system_error.h"

namespace lanward::store {
namespace {

unsigned worker_count(unsigned asked) {
  if (asked != 0) return asked;
  return std::clamp(std::thread::hardware_concurrency(), kWorkersMin, kWorkersMax);
}

Result<void> check_content(const core::Content& content) {
  const std::size_t hashes = content.piece_hashes.size();
  if (hashes == 0 || hashes == content.layout.piece_count()) return {};
  return fail(ErrorCode::invalid_argument,
              "a content of " + std::to_string(content.layout.piece_count()) + " pieces has " +
                  std::to_string(hashes) + " piece hashes");
}

std::vector<core::ByteSpan> whole(const DiskContent& content) {
  const core::ByteSpan all{0, content.content().layout.size().value};
  return all.empty() ? std::vector<core::ByteSpan>{} : std::vector{all};
}

Result<void> check_deliverable(const DiskContent& content, const std::string& destination,
                               const std::vector<core::ByteSpan>& parts) {
  const auto refuse = [&](ErrorCode code, const std::string& why) {
    return fail(code, "cannot deliver to " + destination + ": " + why);
  };
  const core::PieceLayout& layout = content.content().layout;
  if (!ports::are_valid(parts, layout.size())) {
    return refuse(ErrorCode::invalid_argument,
                  "the parts asked for are not in order, overlap, or are not within the " +
                      std::to_string(layout.size().value) + " bytes of the file");
  }
  if (content.file() == nullptr) {
    return refuse(ErrorCode::invalid_state, "the content has been closed");
  }
  if (const auto missing = ports::missing_pieces(content.verified(), layout, parts); missing > 0) {
    return refuse(ErrorCode::invalid_state, std::to_string(missing) + " pieces are missing");
  }
  if (content.retired()) {
    return refuse(ErrorCode::invalid_state, "the content has been given away");
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<DiskStore>> DiskStore::open(DiskStoreOptions options) {
  if (options.directory.empty()) {
    return fail(ErrorCode::invalid_argument, "the cache directory has no name");
  }
  if (auto made = make_directories(options.directory + "/data"); !made) {
    return tl::unexpected(std::move(made.error()));
  }
  auto lock = DirectoryLock::acquire(options.directory);
  if (!lock) return tl::unexpected(std::move(lock.error()));
  // What a killed process was fetching into. If it stays it only takes space.
  std::error_code ignored;
  std::filesystem::remove_all(options.directory + "/spool", ignored);
  auto index = Index::open(options.directory + "/index.sqlite");
  if (!index) return tl::unexpected(std::move(index.error()));

  auto shared = std::make_shared<Shared>(worker_count(options.workers));
  shared->index = std::move(*index);
  shared->boot_id = options.boot_id.empty() ? current_boot_id() : options.boot_id;
  shared->sync_interval = options.sync_interval;
  return std::unique_ptr<DiskStore>(new DiskStore(
      std::move(options), std::move(shared), std::make_unique<DirectoryLock>(std::move(*lock))));
}

DiskStore::DiskStore(DiskStoreOptions options, std::shared_ptr<Shared> shared,
                     std::unique_ptr<DirectoryLock> lock)
    : options_(std::move(options)),
      shared_(std::move(shared)),
      lock_(std::move(lock)),
      service_(std::make_unique<WorkerPool>(kServiceThreads)) {
  shared_->flusher.start(options_.commit_interval, [this] { return flush_contents(); });
}

DiskStore::~DiskStore() {
  stopping_ = true;
  service_->stop();
  shared_->flusher.stop();
  // No thread but this one touches contents_ from here on, and closing takes entries away. A
  // failure to record shows at the next opening.
  const auto left = contents_;
  for (const auto& [id, content] : left) (void)close_now(*content);
  shared_->workers.stop();
  shared_->index.reset();
}

void DiskStore::open(const core::Content& content, ports::FactSink facts, Opened done) {
  const bool reserved = reserve(content.id);
  service_->post(
      [this, reserved, content, facts = std::move(facts), done = std::move(done)]() mutable {
        Result<std::shared_ptr<ports::ContentStore>> opened;
        if (reserved) {
          opened = open_now(content, std::move(facts));
        } else {
          opened = tl::unexpected(in_use_error(content.id));
        }
        if (reserved && !opened) release(content.id);
        done(std::move(opened));
      });
}

Result<std::shared_ptr<ports::ContentStore>> DiskStore::open_now(const core::Content& content,
                                                                 ports::FactSink facts) {
  if (auto checked = check_content(content); !checked) {
    return tl::unexpected(std::move(checked.error()));
  }
  auto row = shared_->index->find(content.id);
  if (!row) return tl::unexpected(std::move(row.error()));
  auto file = DataFile::open(data_path(content.id));
  if (!file) return tl::unexpected(std::move(file.error()));
  const auto found = (*file)->facts();
  if (!found) return tl::unexpected(found.error());
  const std::uint64_t size = content.layout.size().value;
  Belief belief = believe(*row, *found, content.layout, shared_->boot_id);
  if (found->size != size) {
    if (auto resized = (*file)->resize(size); !resized) {
      return tl::unexpected(std::move(resized.error()));
    }
  }
  if (auto proven = prove(belief, **file, content, stopping_); !proven) {
    return tl::unexpected(std::move(proven.error()));
  }
  auto opened = std::make_shared<DiskContent>(shared_, content, std::move(facts), std::move(*file),
                                              std::move(belief));
  if (auto recorded = opened->record(); !recorded) {
    return tl::unexpected(std::move(recorded.error()));
  }
  {
    const std::lock_guard lock(mutex_);
    contents_[content.id] = opened;
  }
  shared_->flusher.poke();
  return opened;
}

Result<std::shared_ptr<ports::Spool>> DiskStore::spool() {
  const std::string directory = options_.directory + "/spool";
  if (auto made = make_directories(directory); !made) {
    return tl::unexpected(std::move(made.error()));
  }
  return DiskSpool::create(directory + '/' + std::to_string(spools_++));
}

void DiskStore::adopt(std::shared_ptr<ports::Spool> spool, const core::Content& content,
                      Done done) {
  const bool reserved = reserve(content.id);
  service_->post([this, reserved, mine = std::static_pointer_cast<DiskSpool>(spool), content,
                  done = std::move(done)]() mutable {
    if (!reserved) return done(tl::unexpected(in_use_error(content.id)));
    Result<void> adopted = adopt_now(*mine, content);
    release(content.id);
    done(std::move(adopted));
  });
}

Result<void> DiskStore::adopt_now(DiskSpool& spool, const core::Content& content) {
  const std::string path = data_path(content.id);
  // From here to the row's saving the file has a record that is not its own, or none: its inode is
  // another, so nothing is believed of it.
  if (auto moved = spool.move_to(path); !moved) return moved;
  Result<void> recorded = record_adopted(path, content);
  // Nobody would find it, so nobody would ever remove it.
  if (!recorded) ::unlink(path.c_str());
  return recorded;
}

Result<void> DiskStore::record_adopted(const std::string& path, const core::Content& content) {
  auto file = DataFile::open(path);
  if (!file) return tl::unexpected(std::move(file.error()));
  const auto found = (*file)->facts();
  if (!found) return tl::unexpected(found.error());
  if (found->size != content.layout.size().value || !content.piece_hashes.empty()) {
    return fail(ErrorCode::invalid_argument, path + " is not what it is to become");
  }
  const std::uint32_t pieces = content.layout.piece_count();
  const auto all = core::PieceSet::from_words(
      pieces, std::vector<std::uint64_t>((pieces + 63) / 64, ~std::uint64_t{0}));
  if (auto synced = sync_directory(options_.directory + "/data"); !synced) return synced;
  return shared_->index->save(
      {.id = content.id,
       .size = found->size,
       .piece_bytes = content.layout.piece_bytes(),
       .verified = all.words(),
       .durable = all.words(),
       .boot = shared_->boot_id,
       .inode = found->inode,
       .mtime_ns = found->mtime_ns,
       .clean = true,
       .last_use = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now())},
      Index::Commit::durable);
}

void DiskStore::deliver(const std::shared_ptr<ports::ContentStore>& content,
                        ports::DeliveryOrder order, Done done) {
  service_->post([this, mine = std::static_pointer_cast<DiskContent>(content),
                  order = std::move(order), done = std::move(done)]() mutable {
    const Target target{.destination = std::move(order.destination),
                        .id = mine->content().id,
                        .named_temporary = options_.named_temporaries,
                        .ticket = order.ticket.get()};
    done(deliver_now(*mine, target, order.how, order.parts));
  });
}

Result<void> DiskStore::deliver_now(DiskContent& content, const Target& target, ports::Delivery how,
                                    const std::vector<core::ByteSpan>& parts) {
  const std::lock_guard operation(content.operation_mutex());
  const std::shared_ptr<DataFile> file = content.file();
  if (auto checked = check_deliverable(content, target.destination, parts); !checked) {
    return checked;
  }
  if (how != ports::Delivery::keep && parts.empty()) {
    return give_away(content, *file, target, how);
  }
  const auto copied = deliver_copy(file->fd(), parts.empty() ? whole(content) : parts, target);
  if (!copied || how == ports::Delivery::keep) return copied;
  settle(content, how);
  return {};
}

Result<void> DiskStore::give_away(DiskContent& content, DataFile& file, const Target& target,
                                  ports::Delivery how) {
  if (auto synced = content.sync(); !synced) return synced;
  if (how == ports::Delivery::share) {
    // Before anybody can reach it: no read escapes the check.
    if (auto frozen = file.freeze(); !frozen) return frozen;
  }
  const Result<bool> moved = deliver_move(file.path(), file.fd(), target);
  if (!moved) return tl::unexpected(moved.error());
  if (!*moved) {
    if (auto copied = deliver_copy(file.fd(), whole(content), target); !copied) return copied;
  }
  settle(content, how);
  // What was shared leaves the index now and not at the close, which a crash may prevent. If that
  // fails, the record is found to be empty later, as there is no data file.
  if (*moved && how == ports::Delivery::share) (void)shared_->index->erase(content.content().id);
  return {};
}

void DiskStore::settle(DiskContent& content, ports::Delivery how) {
  if (how == ports::Delivery::share) {
    content.retire();
  } else {
    // The user has the file; a record that cannot be removed is found to be empty later.
    (void)drop(content);
  }
}

void DiskStore::sweep(std::string destination, const core::Digest& id, Done done) {
  service_->post([destination = std::move(destination), id, done = std::move(done)]() mutable {
    done(sweep_temporary(destination, id));
  });
}

void DiskStore::close(const std::shared_ptr<ports::ContentStore>& content, Done done) {
  service_->post([this, mine = std::static_pointer_cast<DiskContent>(content),
                  done = std::move(done)]() mutable { done(close_now(*mine)); });
}

Result<void> DiskStore::close_now(DiskContent& content) {
  const std::lock_guard operation(content.operation_mutex());
  if (content.file() == nullptr) return {};
  if (content.retired()) return drop(content);
  Result<void> closed = content.close();
  release(content.content().id);
  return closed;
}

void DiskStore::purge(const std::shared_ptr<ports::ContentStore>& content, Done done) {
  service_->post([this, mine = std::static_pointer_cast<DiskContent>(content),
                  done = std::move(done)]() mutable { done(purge_now(*mine)); });
}

Result<void> DiskStore::purge_now(DiskContent& content) {
  const std::lock_guard operation(content.operation_mutex());
  if (content.file() == nullptr && !reserve(content.content().id)) {
    return tl::unexpected(in_use_error(content.content().id));
  }
  return drop(content);
}

// REQUIRES: the content is open, or its name is reserved.
Result<void> DiskStore::drop(DiskContent& content) {
  // The kernel frees the space of a file with its last descriptor, which takes long for a large
  // one: whoever waits for the name to be gone need not.
  std::shared_ptr<DataFile> file = content.file();
  content.abandon();
  Result<void> erased = erase(content.content().id);
  shared_->workers.post([file = std::move(file)]() mutable { file.reset(); });
  return erased;
}

void DiskStore::forget(const core::Digest& id, Done done) {
  service_->post([this, reserved = reserve(id), id, done = std::move(done)]() mutable {
    done(reserved ? erase(id) : tl::unexpected(in_use_error(id)));
  });
}

// Removes file and row and gives the name free.
Result<void> DiskStore::erase(const core::Digest& id) {
  Result<void> outcome;
  const std::string path = data_path(id);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    outcome = tl::unexpected(system_error(errno, "cannot remove " + path));
  }
  if (auto erased = shared_->index->erase(id); !erased && outcome) outcome = std::move(erased);
  release(id);
  return outcome;
}

Error DiskStore::in_use_error(const core::Digest& id) const {
  return {ErrorCode::in_use, "the content " + data_path(id) + " is in use by another transfer"};
}

std::string DiskStore::data_path(const core::Digest& id) const {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string path = options_.directory + "/data/";
  for (const std::uint8_t byte : id) {
    path += kDigits[byte >> 4];
    path += kDigits[byte & 15];
  }
  return path;
}

bool DiskStore::reserve(const core::Digest& id) {
  const std::lock_guard lock(mutex_);
  return contents_.emplace(id, nullptr).second;
}

void DiskStore::release(const core::Digest& id) {
  const std::lock_guard lock(mutex_);
  contents_.erase(id);
}

bool DiskStore::flush_contents() {
  std::vector<std::shared_ptr<DiskContent>> open_contents;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, content] : contents_) {
      if (content != nullptr) open_contents.push_back(content);
    }
  }
  bool more = false;
  for (const auto& content : open_contents) more = content->flush_due() || more;
  return more;
}

}  // namespace lanward::store
