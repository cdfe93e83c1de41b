#include "engine/store/importer.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/core/merkle.h"
#include "engine/core/metainfo.h"
#include "engine/core/text.h"
#include "engine/store/clock.h"
#include "engine/store/data_file.h"
#include "engine/store/data_names.h"
#include "engine/store/directory_lock.h"
#include "engine/store/keeper.h"
#include "engine/store/limits.h"
#include "engine/store/manifest_file.h"
#include "engine/store/recovery.h"
#include "engine/store/sha256.h"
#include "engine/store/shared.h"
#include "engine/store/system_error.h"

namespace lanward::store {
namespace {

constexpr std::size_t kCopyBytes = 16 * core::kMiB;

tl::unexpected<Error> failed(const char* action, const std::string& path) {
  return tl::unexpected(system_error(errno, std::string("cannot ") + action + " " + path));
}

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// Gone unless it was moved away.
class Leftover {
 public:
  explicit Leftover(std::string path) : path_(std::move(path)) {}
  Leftover(const Leftover&) = delete;
  Leftover& operator=(const Leftover&) = delete;
  ~Leftover() { ::unlink(path_.c_str()); }

 private:
  const std::string path_;
};

}  // namespace

Result<core::Digest> Importer::run(const std::string& path, const ImportOptions& options) {
  const UniqueFd source(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!source && errno == ENOENT) return fail(ErrorCode::not_found, "there is no file " + path);
  if (!source) return failed("open", path);
  struct stat s {};
  if (::fstat(source.get(), &s) != 0) return failed("examine", path);
  if (!S_ISREG(s.st_mode)) return fail(ErrorCode::invalid_argument, path + " is not a file");
  const core::ByteCount size{static_cast<std::uint64_t>(s.st_size)};
  if (size.value == 0) return fail(ErrorCode::invalid_argument, path + " is empty");
  auto found = find_manifest(path, options);
  if (!found) return tl::unexpected(std::move(found.error()));
  const core::PieceLayout layout = *found
                                       ? (*found)->content.layout
                                       : core::PieceLayout(size, core::canonical_piece_bytes(size));
  if (layout.size() != size || layout.piece_count() > core::kPieceCountMax) {
    return fail(ErrorCode::integrity, path + " has " + std::to_string(size.value) +
                                          " bytes, its manifest says " +
                                          std::to_string(layout.size().value));
  }
  // What a process that was killed leaves there is removed at the next opening.
  if (auto made = make_directories(shared_.directory + "/spool"); !made) {
    return tl::unexpected(std::move(made.error()));
  }
  const std::string temporary =
      shared_.directory + "/spool/import-" + std::to_string(shared_.imports++);
  const Leftover leftover(temporary);
  auto copy = DataFile::open(temporary);
  if (!copy) return tl::unexpected(std::move(copy.error()));
  if (auto copied = this->copy(source.get(), size.value, **copy); !copied) {
    return tl::unexpected(std::move(copied.error()));
  }
  auto hashes = hash(**copy, layout, options);
  if (!hashes) return tl::unexpected(std::move(hashes.error()));
  core::Manifest manifest;
  if (*found) {
    manifest = std::move(**found);
    const auto& wanted = manifest.content.piece_hashes;
    const auto wrong = std::mismatch(hashes->begin(), hashes->end(), wanted.begin(), wanted.end());
    if (wrong.first != hashes->end()) {
      return fail(ErrorCode::integrity, path + " is not what its manifest describes: piece " +
                                            std::to_string(wrong.first - hashes->begin()) +
                                            " is another one");
    }
  } else {
    manifest.content.layout = layout;
    manifest.content.id = core::pieces_root(*hashes, layout, &sha256);
    manifest.content.piece_hashes = std::move(*hashes);
    const std::string name = base_name(path);
    if (core::file_name_fault(name) == nullptr) manifest.name = name;
    manifest.metainfo = core::write_metainfo({.content = manifest.content, .name = manifest.name});
  }
  const std::string name = !options.name.empty()    ? options.name
                           : !manifest.name.empty() ? manifest.name
                                                    : base_name(path);
  const core::Digest id = manifest.content.id;
  (void)shared_.registry.reclaim(id);
  const auto taken = shared_.registry.take(id);
  if (taken == Registry::Taken::no) {
    return fail(ErrorCode::in_use, "the content " + to_hex(id) + " is in use by a transfer");
  }
  if (taken == Registry::Taken::after_caretaker) shared_.registry.wait_for_caretaker(id);
  auto settled = settle(**copy, manifest, name);
  shared_.registry.release(id);
  if (!settled) return tl::unexpected(std::move(settled.error()));
  return id;
}

Result<std::optional<core::Manifest>> Importer::find_manifest(const std::string& path,
                                                              const ImportOptions& options) {
  auto manifest = read_manifest(options.manifest.empty() ? path + ".torrent" : options.manifest);
  if (manifest) return std::optional(std::move(*manifest));
  if (options.manifest.empty() && manifest.error().code == ErrorCode::not_found) {
    return std::optional<core::Manifest>();
  }
  return tl::unexpected(std::move(manifest.error()));
}

Result<void> Importer::copy(int source, std::uint64_t size, DataFile& copy) {
  if (auto room = keeper_.admits({}, size); !room) return room;
  if (::ioctl(copy.fd(), FICLONE, source) == 0) return {};
  if (auto extended = copy.resize(size); !extended) return extended;
  // Holes stay holes.
  for (std::uint64_t at = 0; at < size;) {
    const off_t data = ::lseek(source, static_cast<off_t>(at), SEEK_DATA);
    if (data < 0) return {};  // only a hole follows
    const off_t hole = ::lseek(source, data, SEEK_HOLE);
    const off_t end = hole < 0 ? static_cast<off_t>(size) : hole;
    off_t in = data;
    off_t out = data;
    while (in < end) {
      const auto want = std::min<std::size_t>(kCopyBytes, static_cast<std::size_t>(end - in));
      const ssize_t n = ::copy_file_range(source, &in, copy.fd(), &out, want, 0);
      if (n > 0) continue;
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && is_out_of_space(errno) && keeper_.make_room()) continue;
      if (n < 0 && (is_out_of_space(errno) || errno == EIO)) return failed("fill", copy.path());
      // Other kernels and file systems: by hand.
      std::vector<std::byte> buffer(std::min<std::size_t>(want, kChunkBytes));
      const ssize_t r = ::pread(source, buffer.data(), buffer.size(), in);
      if (r <= 0) return failed("read the file that fills", copy.path());
      iovec vector{buffer.data(), static_cast<std::size_t>(r)};
      auto written = copy.write({&vector, 1}, static_cast<std::uint64_t>(in));
      if (!written) return written;
      in += r;
      out += r;
    }
    at = static_cast<std::uint64_t>(end);
  }
  return {};
}

Result<std::vector<core::Digest>> Importer::hash(const DataFile& copy,
                                                 const core::PieceLayout& layout,
                                                 const ImportOptions& options) {
  std::vector<core::Digest> hashes;
  hashes.reserve(layout.piece_count());
  for (core::PieceIndex p{0}; p < layout.all().end; ++p) {
    auto leaves = hash_blocks(copy, layout.bytes(p));
    if (!leaves) return tl::unexpected(std::move(leaves.error()));
    hashes.push_back(
        core::merkle_root(*leaves, layout.leaves_per_piece(), core::Digest{}, &sha256));
    const bool stopped =
        stop_ || (options.progress && !options.progress(layout.bytes(p).end, layout.size().value));
    if (stopped) {
      return fail(ErrorCode::cancelled, "the import was stopped");
    }
  }
  return hashes;
}

Result<void> Importer::settle(DataFile& copy, const core::Manifest& manifest,
                              const std::string& name) {
  const core::Content& content = manifest.content;
  auto present = shared_.index->entry(content.id);
  if (!present) return tl::unexpected(std::move(present.error()));
  const std::string path = data_path(shared_.directory, content.id);
  const bool complete = *present && (*present)->verified_bytes == content.layout.size().value &&
                        (*present)->elsewhere.empty() && ::access(path.c_str(), F_OK) == 0;
  if (!complete) {
    if (auto synced = copy.sync_all(); !synced) return synced;
    if (::rename(copy.path().c_str(), path.c_str()) != 0) return failed("name", path);
    if (auto synced = sync_directory(shared_.directory + "/data"); !synced) return synced;
    const auto facts = copy.facts();
    if (!facts) return tl::unexpected(facts.error());
    const core::PieceSet all = every_piece(content.layout);
    auto saved = shared_.index->save({.id = content.id,
                                      .size = content.layout.size().value,
                                      .piece_bytes = content.layout.piece_bytes(),
                                      .verified = all.words(),
                                      .durable = all.words(),
                                      .boot = shared_.boot_id,
                                      .inode = facts->inode,
                                      .mtime_ns = facts->mtime_ns,
                                      .clean = true,
                                      .last_use = seconds_now(),
                                      .verified_bytes = content.layout.size().value,
                                      .disk_bytes = facts->disk_bytes},
                                     Index::Commit::durable);
    if (!saved) return saved;
  }
  if (auto written =
          write_manifest(manifest_path(shared_.directory, content.id), manifest.metainfo);
      !written) {
    return written;
  }
  return shared_.index->describe(content.id, name, {}, true);
}

}  // namespace lanward::store
