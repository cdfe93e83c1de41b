#include "engine/store/disk_store.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>

#include "engine/store/cache_admin.h"
#include "engine/store/checker.h"
#include "engine/store/clock.h"
#include "engine/store/data_names.h"
#include "engine/store/delivery.h"
#include "engine/store/directory_lock.h"
#include "engine/store/disk_content.h"
#include "engine/store/keeper.h"
#include "engine/store/manifest_file.h"
#include "engine/store/placement.h"
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
  // What lies beside a destination is given away by its first delivery, but others may follow.
  if (content.retired() && !content.is_elsewhere()) {
    return refuse(ErrorCode::invalid_state, "the content has been given away");
  }
  return {};
}

std::string directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

// False also if one of them cannot be looked at.
bool on_one_disk(const std::string& a, const std::string& b) {
  struct stat first {};
  struct stat second {};
  return ::stat(a.c_str(), &first) == 0 && ::stat(b.c_str(), &second) == 0 &&
         first.st_dev == second.st_dev;
}

// Whether the cache is to blame, and another place might do.
bool is_trouble(const Error& error) {
  return error.code == ErrorCode::disk_full || error.code == ErrorCode::disk_io;
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
  const std::string index_path = options.directory + "/index.sqlite";
  auto index = options.working_directory ? Index::open_late(index_path) : Index::open(index_path);
  if (!index) return tl::unexpected(std::move(index.error()));

  auto shared = std::make_shared<Shared>(worker_count(options.workers));
  shared->directory = options.directory;
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
      keeper_(std::make_unique<Keeper>(*shared_, options_.policy)),
      service_(std::make_unique<WorkerPool>(kServiceThreads)) {
  shared_->make_room = [this] { return keeper_->make_room(); };
  shared_->report_trouble = [this](const Error& error) { keeper_->report(error); };
  shared_->flusher.start(
      options_.commit_interval, [this] { return flush_contents(); }, [this] { write_back(); });
}

DiskStore::~DiskStore() {
  stopping_ = true;
  keeper_->stop();
  service_->stop();
  shared_->flusher.stop();
  // No other thread opens or closes contents from here on. A failure to record shows at the next
  // opening.
  for (const auto& content : shared_->registry.open_contents()) (void)close_now(*content);
  shared_->workers.stop();
  // Contents may outlive the store.
  shared_->make_room = [] { return false; };
  shared_->report_trouble = [](const Error&) {};
  (void)keeper_->references().save(*shared_->index);
  shared_->index.reset();
}

void DiskStore::prepare() {
  service_->post([shared = shared_] { shared->workers.post([] {}); });
}

void DiskStore::start_keeping() {
  keeper_->references().forget_left_over();
  keeper_->start();
}

Result<void> DiskStore::adopt_data_files() {
  if (shared_->index->times_emptied() == 0) return {};
  auto adopted = adopt_orphans(*shared_);
  if (!adopted) return tl::unexpected(std::move(adopted.error()));
  return {};
}

std::shared_ptr<ports::CacheAdmin> DiskStore::admin() {
  return std::make_shared<DiskCacheAdmin>(*shared_, *keeper_);
}

void DiskStore::refer(const core::Digest& content, const JobId& job, bool refers) {
  if (refers) {
    keeper_->references().add(content, job);
  } else {
    keeper_->references().remove(content, job);
    keeper_->poke();
  }
  shared_->flusher.poke();
}

void DiskStore::with_name(const core::Digest& id, ports::MoveFunction<void(bool)> use) {
  const auto taken = shared_->registry.take(id);
  service_->post([this, taken, id, use = std::move(use)]() mutable {
    if (taken == Registry::Taken::after_caretaker) shared_->registry.wait_for_caretaker(id);
    use(taken != Registry::Taken::no);
  });
}

void DiskStore::open(const core::Content& content, ports::FactSink facts, Opened done) {
  open_with(content, {}, std::move(facts), std::move(done));
}

void DiskStore::open_with(const core::Content& content, ports::OpenHints hints,
                          ports::FactSink facts, Opened done) {
  with_name(content.id, [this, content, hints = std::move(hints), facts = std::move(facts),
                         done = std::move(done)](bool taken) mutable {
    if (!taken) return done(tl::unexpected(in_use_error(content.id)));
    auto opened = open_now(content, hints, std::move(facts));
    if (!opened) shared_->registry.release(content.id);
    // Before anybody can purge the content: what is written after that would stay for ever.
    if (opened) describe(content, hints);
    if (opened) recall_sharing(static_cast<DiskContent&>(**opened), hints.share);
    done(std::move(opened));
  });
}

Result<std::shared_ptr<ports::ContentStore>> DiskStore::open_now(const core::Content& content,
                                                                 const ports::OpenHints& hints,
                                                                 ports::FactSink facts) {
  if (auto checked = check_content(content); !checked) {
    return tl::unexpected(std::move(checked.error()));
  }
  if (hints.bypass) return open_past_cache(content, hints, facts);
  const std::uint64_t size = content.layout.size().value;
  Result<std::shared_ptr<DiskContent>> opened;
  Result<void> admitted = keeper_->admits(content.id, size);
  // A disk that fails the cache fails its neighbours too. The quota is another matter.
  const bool in_trouble = hints.beside || !keeper_->trouble().empty();
  const bool can_leave =
      !hints.destination.empty() &&
      (!in_trouble || !on_one_disk(options_.directory, directory_of(hints.destination)));
  if (hints.beside && !can_leave) {
    return fail(ErrorCode::disk_full, keeper_->trouble().empty()
                                          ? "the cache " + options_.directory + " is full"
                                          : keeper_->trouble());
  }
  if (admitted && !hints.beside) {
    opened = open_in_cache(content, hints, facts);
    if (!opened && is_trouble(opened.error())) {
      keeper_->report(opened.error());
      // Where the directory has only vanished there is a new one now.
      admitted = keeper_->admits(content.id, size);
      if (admitted) opened = open_in_cache(content, hints, facts);
      if (!opened) admitted = tl::unexpected(opened.error());
    }
  } else if (!can_leave) {
    // The quota is exceeded for once: nobody else could take the bytes.
    opened = open_in_cache(content, hints, facts);
  }
  const bool elsewhere = !hints.destination.empty() &&
                         (keeper_->trouble().empty() ||
                          !on_one_disk(options_.directory, directory_of(hints.destination)));
  if (elsewhere && (hints.beside || !admitted)) {
    opened = open_beside(content, partial_path(hints.destination, content.id),
                         admitted ? keeper_->trouble() : admitted.error().message, facts);
  }
  if (!opened) return tl::unexpected(std::move(opened.error()));
  shared_->registry.opened(content.id, *opened);
  shared_->flusher.poke();
  return std::static_pointer_cast<ports::ContentStore>(*opened);
}

// A file of unknown length was fetched into the cache's spool and is moved out of it here.
Result<std::shared_ptr<ports::ContentStore>> DiskStore::open_past_cache(
    const core::Content& content, const ports::OpenHints& hints, const ports::FactSink& facts) {
  auto opened = open_beside(content, partial_path(hints.destination, content.id),
                            "the download mode is bypass", facts);
  if (!opened) return tl::unexpected(std::move(opened.error()));
  shared_->registry.opened(content.id, *opened);
  shared_->flusher.poke();
  return std::static_pointer_cast<ports::ContentStore>(*opened);
}

Result<std::shared_ptr<DiskContent>> DiskStore::open_in_cache(const core::Content& content,
                                                              const ports::OpenHints& hints,
                                                              const ports::FactSink& facts) {
  auto row = shared_->index->find(content.id);
  if (!row) return tl::unexpected(std::move(row.error()));
  const std::string path = data_path(options_.directory, content.id);
  // What an earlier download had to leave beside its destination comes home, if that is at hand.
  std::string left = *row ? (*row)->elsewhere : std::string();
  if (left.empty() && !hints.destination.empty()) {
    left = partial_path(hints.destination, content.id);  // a full disk may have taken no record
  }
  if (!left.empty() && ::access(path.c_str(), F_OK) != 0) {
    if (auto moved = relocate(left, path); !moved) {
      return tl::unexpected(std::move(moved.error()));
    }
  }
  return open_file(content, path, {}, facts);
}

Result<std::shared_ptr<DiskContent>> DiskStore::open_beside(const core::Content& content,
                                                            const std::string& path,
                                                            const std::string& why,
                                                            const ports::FactSink& facts) {
  const auto row = shared_->index->find(content.id);
  const bool known = row && *row && !(*row)->elsewhere.empty() && (*row)->elsewhere != path;
  if (auto moved =
          relocate(known ? (*row)->elsewhere : data_path(options_.directory, content.id), path);
      !moved) {
    return tl::unexpected(std::move(moved.error()));
  }
  return open_file(content, path, "not cached: " + (why.empty() ? "the cache is full" : why),
                   facts);
}

Result<std::shared_ptr<DiskContent>> DiskStore::open_file(const core::Content& content,
                                                          const std::string& path,
                                                          const std::string& note,
                                                          const ports::FactSink& facts) {
  const bool cached = note.empty();
  auto row = shared_->index->find(content.id);
  if (!row && cached) return tl::unexpected(std::move(row.error()));
  auto file = DataFile::open(path);
  if (!file) return tl::unexpected(std::move(file.error()));
  const auto found = (*file)->facts();
  if (!found) return tl::unexpected(found.error());
  const std::uint64_t size = content.layout.size().value;
  Belief belief = believe(row ? *row : std::nullopt, *found, content.layout, shared_->boot_id);
  if (found->size != size) {
    if (auto resized = (*file)->resize(size); !resized) {
      return tl::unexpected(std::move(resized.error()));
    }
  }
  if (auto proven = prove(belief, **file, content, stopping_); !proven) {
    return tl::unexpected(std::move(proven.error()));
  }
  auto opened = std::make_shared<DiskContent>(shared_, content, facts, std::move(*file),
                                              std::move(belief), note);
  // A cache that is out of order may not be able to take the record either.
  if (auto recorded = opened->record(); !recorded && cached) {
    return tl::unexpected(std::move(recorded.error()));
  }
  return opened;
}

// What cannot be written here is only missed by whoever looks at the cache later.
void DiskStore::describe(const core::Content& content, const ports::OpenHints& hints) {
  bool manifest = false;
  if (hints.metainfo != nullptr && !hints.metainfo->empty() && !options_.working_directory) {
    const std::string path = manifest_path(options_.directory, content.id);
    // What is shared from now on is announced to the trackers of whoever shares it.
    const auto entry = shared_->index->entry(content.id);
    const bool anew = hints.share && !(entry && *entry && (*entry)->shared);
    manifest =
        (!anew && ::access(path.c_str(), F_OK) == 0) || write_manifest(path, *hints.metainfo);
  }
  if (manifest || !hints.name.empty() || !hints.origin.empty()) {
    (void)shared_->index->describe(content.id, hints.name, hints.origin, manifest);
  }
}

// What cannot be read, or written, is not shared.
void DiskStore::recall_sharing(DiskContent& content, bool share) {
  const core::Digest& id = content.content().id;
  if (share) (void)shared_->index->set_shared(id, true);
  const auto entry = shared_->index->entry(id);
  content.set_may_share(share || (entry && *entry && (*entry)->shared));
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
  with_name(content.id, [this, mine = std::static_pointer_cast<DiskSpool>(spool), content,
                         done = std::move(done)](bool taken) mutable {
    if (!taken) return done(tl::unexpected(in_use_error(content.id)));
    Result<void> adopted = adopt_now(*mine, content);
    shared_->registry.release(content.id);
    done(std::move(adopted));
  });
}

Result<void> DiskStore::adopt_now(DiskSpool& spool, const core::Content& content) {
  const std::string path = data_path(options_.directory, content.id);
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
  const core::PieceSet all = every_piece(content.layout);
  if (auto synced = sync_directory(options_.directory + "/data"); !synced) return synced;
  return shared_->index->save({.id = content.id,
                               .size = found->size,
                               .piece_bytes = content.layout.piece_bytes(),
                               .verified = all.words(),
                               .durable = all.words(),
                               .boot = shared_->boot_id,
                               .inode = found->inode,
                               .mtime_ns = found->mtime_ns,
                               .clean = true,
                               .last_use = seconds_now(),
                               .verified_bytes = found->size,
                               .disk_bytes = found->disk_bytes},
                              Index::Commit::durable);
}

void DiskStore::deliver(const std::shared_ptr<ports::ContentStore>& content,
                        ports::DeliveryOrder order, Done done) {
  service_->post([this, mine = std::static_pointer_cast<DiskContent>(content),
                  order = std::move(order), done = std::move(done)]() mutable {
    const Target target{.destination = std::move(order.destination),
                        .id = mine->content().id,
                        .named_temporary = options_.named_temporaries,
                        .ticket = order.ticket.get(),
                        .owner = order.owner};
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
  if (content.retired()) {
    const auto again = deliver_copy(file->fd(), parts.empty() ? whole(content) : parts, target);
    return again ? file->check_unchanged() : again;
  }
  // There is nothing to keep of what is not in the cache.
  const bool homeless = how == ports::Delivery::keep && content.is_elsewhere();
  if ((how != ports::Delivery::keep || homeless) && parts.empty()) {
    return give_away(content, *file, target, homeless ? ports::Delivery::share : how);
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
  // The record stays: it tells find_delivered() which file it was. Not of what was never in the
  // cache: the record would say that it still lies beside its destination.
  if (*moved && content.is_elsewhere()) (void)shared_->index->erase(content.content().id);
  if (how == ports::Delivery::share) {
    content.retire();
  } else {
    let_go(content, *moved);
  }
  return {};
}

// As long as nobody has recorded the delivery it can be found, or made again.
void DiskStore::let_go(DiskContent& content, bool moved) {
  if (moved) {
    content.abandon();
  } else {
    (void)content.close();  // what is not recorded is found out by hashing
  }
  shared_->registry.release(content.content().id);
}

void DiskStore::settle(DiskContent& content, ports::Delivery how) {
  if (how == ports::Delivery::share) {
    content.retire();
  } else {
    // The user has the file; a record that cannot be removed is found to be empty later.
    (void)drop(content);
  }
}

void DiskStore::find_delivered(std::string destination, const core::Digest& id,
                               ports::MoveFunction<void(bool)> done) {
  service_->post([this, destination = std::move(destination), id,
                  done = std::move(done)]() mutable { done(is_delivered(destination, id)); });
}

// A file that was moved is still the one that the index knows.
bool DiskStore::is_delivered(const std::string& destination, const core::Digest& id) {
  struct stat file {};
  struct stat cache {};
  if (::lstat(destination.c_str(), &file) != 0 || !S_ISREG(file.st_mode)) return false;
  if (::stat(options_.directory.c_str(), &cache) != 0 || file.st_dev != cache.st_dev) return false;
  const auto row = shared_->index->find(id);
  return row && *row && (*row)->inode == file.st_ino &&
         (*row)->size == static_cast<std::uint64_t>(file.st_size) &&
         ::access(data_path(options_.directory, id).c_str(), F_OK) != 0;
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
  const core::Digest& id = content.content().id;
  Result<void> closed = shared_->registry.is_lent(id) ? content.close_lent() : content.close();
  shared_->registry.release(id);
  keeper_->poke();
  return closed;
}

void DiskStore::purge(const std::shared_ptr<ports::ContentStore>& content, Done done) {
  service_->post([this, mine = std::static_pointer_cast<DiskContent>(content),
                  done = std::move(done)]() mutable { done(purge_now(*mine)); });
}

Result<void> DiskStore::purge_now(DiskContent& content) {
  const std::lock_guard operation(content.operation_mutex());
  if (content.file() == nullptr) {
    const core::Digest& id = content.content().id;
    const auto taken = shared_->registry.take(id);
    if (taken == Registry::Taken::no) return tl::unexpected(in_use_error(id));
    if (taken == Registry::Taken::after_caretaker) shared_->registry.wait_for_caretaker(id);
  }
  return drop(content);
}

// REQUIRES: the content is open, or its name is reserved.
Result<void> DiskStore::drop(DiskContent& content) {
  // The kernel frees the space of a file with its last descriptor, which takes long for a large
  // one: whoever waits for the name to be gone need not.
  std::shared_ptr<DataFile> file = content.file();
  content.abandon();
  // The index may not know where it is. What was given away has left this path.
  if (file != nullptr && content.is_elsewhere()) ::unlink(file->path().c_str());
  Result<void> erased = erase(content.content().id);
  shared_->workers.post([file = std::move(file)]() mutable { file.reset(); });
  return erased;
}

void DiskStore::forget(const core::Digest& id, Done done) {
  with_name(id, [this, id, done = std::move(done)](bool taken) mutable {
    done(taken ? erase(id) : tl::unexpected(in_use_error(id)));
  });
}

// Removes file and row and gives the name free.
Result<void> DiskStore::erase(const core::Digest& id) {
  const auto entry = shared_->index->entry(id);
  Result<void> outcome =
      erase_files(options_.directory, id, entry && *entry ? (*entry)->elsewhere : std::string());
  if (auto erased = shared_->index->erase(id); !erased && outcome) outcome = std::move(erased);
  shared_->registry.release(id);
  return outcome;
}

Error DiskStore::in_use_error(const core::Digest& id) const {
  return {ErrorCode::in_use,
          "the content " + data_path(options_.directory, id) + " is in use by another transfer"};
}

void DiskStore::write_back() {
  for (const auto& content : shared_->registry.open_contents()) content->write_back();
}

bool DiskStore::flush_contents() {
  bool more = false;
  for (const auto& content : shared_->registry.open_contents()) {
    more = content->flush_due() || more;
  }
  (void)keeper_->references().save(*shared_->index);
  return more;
}

}  // namespace lanward::store
