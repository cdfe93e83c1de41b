// What an administrator sees and does, on a store whose contents come and go.
#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "engine/core/metainfo.h"
#include "engine/store/data_names.h"
#include "tests/store/store_fixture.h"

namespace lanward::test {
namespace {

namespace fs = std::filesystem;

class CacheAdminTest : public DiskStoreTest {
 protected:
  void begin(CachePolicy policy = store::unlimited()) {
    admin_ = nullptr;
    store_.reset();
    store::DiskStoreOptions o = options();
    o.policy = policy;
    auto opened = store::DiskStore::open(o);
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
    admin_ = store_->admin();
  }
  // A file whose id is its pieces root, as a manifest has it.
  static TestFile make_real(std::uint64_t size, std::uint64_t seed) {
    TestFile file = make_file(size, kTestPiece, seed);
    file.content.id =
        core::pieces_root(file.content.piece_hashes, file.content.layout, &store::sha256);
    return file;
  }
  static std::vector<std::uint8_t> manifest_of(const TestFile& file, const std::string& name) {
    return core::write_metainfo({.content = file.content, .name = name});
  }
  Store open_known(const TestFile& file, const std::string& destination = {}, bool beside = false) {
    auto metainfo =
        std::make_shared<const std::vector<std::uint8_t>>(manifest_of(file, "file.bin"));
    auto opened = outcome<Result<Store>>([&](auto done) {
      store_->open_with(file.content,
                        {.name = "file.bin",
                         .origin = "http://origin/file.bin",
                         .metainfo = metainfo,
                         .destination = destination,
                         .beside = beside},
                        record_.sink(), std::move(done));
    });
    EXPECT_TRUE(opened) << opened.error().message;
    return opened ? *opened : nullptr;
  }
  // In the cache, complete, closed.
  TestFile cached(std::uint64_t size, std::uint64_t seed) {
    TestFile file = make_real(size, seed);
    const Store content = open_known(file);
    send_and_wait(content, file, 0, file.content.layout.piece_count());
    EXPECT_TRUE(close(content));
    // Its manifest is written after the answer to open().
    EXPECT_TRUE(forget(core::Digest{}));
    return file;
  }
  void spoil(const std::string& path, std::uint64_t offset) {
    std::fstream f(path, std::ios::in | std::ios::out | std::ios::binary);
    f.seekg(static_cast<std::streamoff>(offset));
    const char c = static_cast<char>(f.get() ^ 1);
    f.seekp(static_cast<std::streamoff>(offset));
    f.put(c);
  }
  std::string write_file(const std::string& name, const TestFile& file) {
    const std::string path = dir_.path(name);
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(file.bytes.data()),
               static_cast<std::streamsize>(file.bytes.size()));
    return path;
  }
  static bool holds(const std::string& path, const TestFile& file) {
    std::ifstream in(path, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), {});
    return bytes.size() == file.bytes.size() &&
           std::equal(bytes.begin(), bytes.end(), file.bytes.begin(),
                      [](char a, std::byte b) { return static_cast<std::byte>(a) == b; });
  }
  CachedContent look(const TestFile& file) {
    auto found = admin_->find(file.content.id);
    EXPECT_TRUE(found) << found.error().message;
    return found ? *found : CachedContent{};
  }
  ContentCheck check(const TestFile& file) {
    auto checked = admin_->verify({file.content.id}, {});
    EXPECT_TRUE(checked) << checked.error().message;
    return checked && checked->size() == 1 ? checked->front() : ContentCheck{};
  }
  void TearDown() override {
    admin_ = nullptr;
    store_.reset();
  }

  std::shared_ptr<ports::CacheAdmin> admin_;
};

TEST_F(CacheAdminTest, ShowsWhatIsThere) {
  begin();
  const TestFile file = cached(4 * kTestPiece - 100, 1);
  TestFile part = make_real(4 * kTestPiece, 2);
  const Store content = open_known(part);
  send_and_wait(content, part, 1, 2);
  EXPECT_TRUE(look(part).open);
  EXPECT_TRUE(close(content));
  const CachedContent whole = look(file);
  EXPECT_EQ(whole.id, store::to_hex(file.content.id));
  EXPECT_EQ(whole.name, "file.bin");
  EXPECT_EQ(whole.origin, "http://origin/file.bin");
  EXPECT_EQ(whole.size, file.bytes.size());
  EXPECT_EQ(whole.verified_bytes, whole.size);
  EXPECT_GE(whole.disk_bytes, whole.size - 4096);
  EXPECT_TRUE(whole.manifest_known);
  EXPECT_FALSE(whole.open || whole.pinned);
  EXPECT_EQ(look(part).verified_bytes, kTestPiece);
  EXPECT_LT(look(part).disk_bytes, 2 * kTestPiece) << "sparse";
  const auto status = admin_->status();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->contents, 2U);
  EXPECT_EQ(status->complete_contents, 1U);
  EXPECT_EQ(status->used_bytes, whole.disk_bytes + look(part).disk_bytes);
  EXPECT_EQ(status->evictable_bytes, status->used_bytes);
  EXPECT_FALSE(status->quota_bytes);
  EXPECT_GT(status->free_bytes, 0U);
  EXPECT_EQ(status->trouble, "");
}

TEST_F(CacheAdminTest, PinsAndExpiryOutliveTheStore) {
  begin();
  const TestFile file = cached(2 * kTestPiece, 1);
  ASSERT_TRUE(admin_->pin(file.content.id, true));
  ASSERT_TRUE(admin_->expire(file.content.id, 1'900'000'000));
  begin();
  EXPECT_TRUE(look(file).pinned);
  EXPECT_EQ(look(file).expires, 1'900'000'000);
  const auto removed = admin_->remove(file.content.id, false);
  ASSERT_FALSE(removed);
  EXPECT_EQ(removed.error().code, ErrorCode::invalid_state);
  ASSERT_TRUE(admin_->remove(file.content.id, true));
  EXPECT_FALSE(fs::exists(data_path(file)));
  EXPECT_FALSE(fs::exists(data_path(file) + ".torrent"));
  EXPECT_EQ(admin_->find(file.content.id).error().code, ErrorCode::not_found);
  EXPECT_EQ(admin_->pin(file.content.id, true).error().code, ErrorCode::not_found);
}

TEST_F(CacheAdminTest, RemovesNothingThatIsInUse) {
  begin();
  const TestFile file = cached(2 * kTestPiece, 1);
  const JobId job{{7}};
  store_->refer(file.content.id, job, true);
  EXPECT_EQ(admin_->remove(file.content.id, true).error().code, ErrorCode::in_use);
  EXPECT_EQ(look(file).jobs, std::vector{job});
  store_->refer(file.content.id, job, false);
  const Store content = open_known(file);
  EXPECT_EQ(admin_->remove(file.content.id, true).error().code, ErrorCode::in_use);
  EXPECT_TRUE(close(content));
  EXPECT_TRUE(admin_->remove(file.content.id, true));
}

TEST_F(CacheAdminTest, ReferencesCountUntilTheNextEngineHasToldItsOwn) {
  begin();
  const TestFile file = cached(2 * kTestPiece, 1);
  const JobId kept{{1}};
  const JobId lost{{2}};
  store_->refer(file.content.id, kept, true);
  store_->refer(file.content.id, lost, true);
  begin();
  EXPECT_EQ(look(file).jobs.size(), 2U);
  store_->refer(file.content.id, kept, true);
  store_->start_keeping();
  EXPECT_EQ(look(file).jobs, std::vector{kept});
  begin();
  EXPECT_EQ(look(file).jobs, std::vector{kept});
}

TEST_F(CacheAdminTest, TrimsToTheQuotaTheLeastRecentlyUsedFirst) {
  CachePolicy policy = store::unlimited();
  policy.max_bytes = 10 * kTestPiece;
  policy.low_percent = 60;
  begin(policy);
  std::vector<TestFile> files;
  for (std::uint64_t n = 0; n < 4; ++n) files.push_back(cached(3 * kTestPiece, n + 1));
  // Seconds decide; the index is told what the order was.
  store_.reset();
  admin_ = nullptr;
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(dir_.path("cache/index.sqlite").c_str(), &db), SQLITE_OK);
  for (std::size_t n = 0; n < files.size(); ++n) {
    const std::string sql = "UPDATE contents SET last_use=" + std::to_string(1000 + n) +
                            " WHERE hex(id)=upper('" + store::to_hex(files[n].content.id) + "')";
    ASSERT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK);
  }
  sqlite3_close(db);
  begin(policy);
  ASSERT_TRUE(admin_->pin(files[0].content.id, true));
  const auto none = admin_->trim();
  ASSERT_TRUE(none);
  EXPECT_EQ(none->contents, 0U) << "the pinned one does not count";
  ASSERT_TRUE(admin_->pin(files[0].content.id, false));
  const JobId job{{1}};
  store_->refer(files[1].content.id, job, true);
  const auto trimmed = admin_->trim();
  ASSERT_TRUE(trimmed);
  EXPECT_EQ(trimmed->contents, 2U);
  EXPECT_FALSE(fs::exists(data_path(files[0])));
  EXPECT_TRUE(fs::exists(data_path(files[1]))) << "a job refers to it";
  EXPECT_FALSE(fs::exists(data_path(files[2])));
  EXPECT_TRUE(fs::exists(data_path(files[3])));
}

TEST_F(CacheAdminTest, EvictsInTheBackground) {
  CachePolicy policy = store::unlimited();
  begin(policy);
  const TestFile file = cached(3 * kTestPiece, 1);
  ASSERT_TRUE(admin_->expire(file.content.id, 1000));
  store_->start_keeping();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (fs::exists(data_path(file)) && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_FALSE(fs::exists(data_path(file)));
}

TEST_F(CacheAdminTest, ACheckFindsEveryBadPieceAndDropsIt) {
  begin();
  const TestFile file = cached(6 * kTestPiece, 1);
  EXPECT_EQ(check(file).verdict, CheckVerdict::good);
  EXPECT_EQ(check(file).pieces_checked, 6U);
  // Behind the back of the kernel's times, as a disk does it.
  struct stat before {};
  ASSERT_EQ(::stat(data_path(file).c_str(), &before), 0);
  spoil(data_path(file), 10);
  spoil(data_path(file), 4 * kTestPiece + 5);
  const std::array<timespec, 2> times{before.st_atim, before.st_mtim};
  ASSERT_EQ(::utimensat(AT_FDCWD, data_path(file).c_str(), times.data(), 0), 0);
  const ContentCheck found = check(file);
  EXPECT_EQ(found.verdict, CheckVerdict::bad);
  EXPECT_EQ(found.bad_pieces, (std::vector<std::uint32_t>{0, 4}));
  EXPECT_EQ(look(file).verified_bytes, 4 * kTestPiece);
  EXPECT_TRUE(look(file).last_check);
  const Store content = open_known(file);
  EXPECT_EQ(content->verified().count(), 4U);
  EXPECT_FALSE(content->verified().contains(core::PieceIndex{4}));
  EXPECT_TRUE(close(content));
  EXPECT_EQ(check(file).verdict, CheckVerdict::good);
}

TEST_F(CacheAdminTest, ABadPieceOfAnOpenContentIsToldAndNoLongerRead) {
  begin();
  const TestFile file = make_real(6 * kTestPiece, 1);
  std::vector<std::uint32_t> lost;
  ports::FactSink inner = record_.sink();
  auto opened = outcome<Result<Store>>([&](auto done) {
    store_->open(
        file.content,
        [&](core::Event event) {
          record_.change([&] {
            if (auto* fact = std::get_if<core::PieceLost>(&event))
              lost.push_back(fact->piece.value);
          });
          inner(std::move(event));
        },
        std::move(done));
  });
  ASSERT_TRUE(opened);
  const Store content = *opened;
  send_and_wait(content, file, 0, 6);
  spoil(data_path(file), 2 * kTestPiece);
  const ContentCheck found = check(file);
  EXPECT_EQ(found.bad_pieces, std::vector<std::uint32_t>{2});
  EXPECT_TRUE(record_.wait([&] { return lost == std::vector<std::uint32_t>{2}; }));
  std::vector<std::byte> bytes(kTestPiece);
  EXPECT_EQ(content->read(core::PieceIndex{2}, 0, bytes, false).error().code,
            ErrorCode::invalid_state);
  // It can be written again.
  send_and_wait(content, file, 2, 3);
  ASSERT_TRUE(content->read(core::PieceIndex{2}, 0, bytes, false));
  EXPECT_TRUE(std::ranges::equal(bytes, file.piece(2)));
  EXPECT_EQ(check(file).verdict, CheckVerdict::good);
  EXPECT_TRUE(close(content));
}

TEST_F(CacheAdminTest, ContentsWithoutManifestAreUnverifiable) {
  begin();
  const TestFile file = make_file(2 * kTestPiece, kTestPiece, 3, false);
  const Store content = open(file);
  send_and_wait(content, file, 0, 2);
  EXPECT_EQ(check(file).verdict, CheckVerdict::unverifiable);
  EXPECT_TRUE(close(content));
  EXPECT_EQ(check(file).verdict, CheckVerdict::unverifiable);
}

TEST_F(CacheAdminTest, ACheckStopsWhenToldAndGivesWayToATransfer) {
  begin();
  const TestFile file = cached(8 * kTestPiece, 1);
  int calls = 0;
  const auto stopped = admin_->verify({}, {.progress = [&](const CheckProgress& p) {
                                        ++calls;
                                        EXPECT_EQ(p.contents_total, 1U);
                                        return false;
                                      }});
  EXPECT_EQ(stopped.error().code, ErrorCode::cancelled);
  EXPECT_EQ(calls, 1);
  // While a check holds it, a transfer gets it all the same.
  std::thread transfer;
  Store content;
  bool began = false;
  const auto checked = admin_->verify(
      {file.content.id}, {.bytes_per_second = 8 * kTestPiece, .progress = [&](const auto&) {
                            began = true;
                            return true;
                          }});
  ASSERT_TRUE(checked);
  EXPECT_TRUE(began);
  content = open_known(file);
  EXPECT_EQ(content->verified().count(), 8U);
  EXPECT_TRUE(close(content));
}

TEST_F(CacheAdminTest, ALostIndexIsMadeAgainFromTheDataFiles) {
  begin();
  const TestFile file = cached(6 * kTestPiece, 1);
  const TestFile other = cached(3 * kTestPiece - 7, 2);
  admin_ = nullptr;
  store_.reset();
  std::ofstream(dir_.path("cache/index.sqlite")) << std::string(20'000, 'x');
  for (const char* rest : {"-wal", "-shm"}) fs::remove(dir_.path("cache/index.sqlite") + rest);
  spoil(data_path(file), 3 * kTestPiece);
  std::ofstream(dir_.path("cache/data/strange")) << "not ours";
  begin();
  ASSERT_TRUE(store_->adopt_data_files());
  EXPECT_EQ(admin_->list()->size(), 2U);
  EXPECT_EQ(look(file).verified_bytes, 0U);
  EXPECT_EQ(look(file).name, "file.bin");
  const auto checked = admin_->verify({}, {});
  ASSERT_TRUE(checked);
  EXPECT_EQ(look(file).verified_bytes, 5 * kTestPiece) << "one piece was bad";
  EXPECT_EQ(look(other).verified_bytes, other.bytes.size());
  EXPECT_TRUE(fs::exists(dir_.path("cache/data/strange")));
  const Store content = open_known(other);
  EXPECT_TRUE(content->verified().full());
  EXPECT_TRUE(close(content));
}

TEST_F(CacheAdminTest, TheKeeperProvesWhatItFindsByItself) {
  begin();
  const TestFile file = cached(6 * kTestPiece, 1);
  admin_ = nullptr;
  store_.reset();
  for (const char* rest : {"", "-wal", "-shm"}) fs::remove(dir_.path("cache/index.sqlite") + rest);
  begin();
  store_->start_keeping();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  std::uint64_t verified = 0;
  while (verified != file.bytes.size() && std::chrono::steady_clock::now() < deadline) {
    const auto found = admin_->find(file.content.id);
    if (found) verified = found->verified_bytes;
    std::this_thread::yield();
  }
  EXPECT_EQ(verified, file.bytes.size());
}

TEST_F(CacheAdminTest, ImportsAFileAndServesIt) {
  begin();
  TestFile file =
      make_file(3 * core::kCanonicalPieceBytesMin - 5, core::kCanonicalPieceBytesMin, 4);
  file.content.id =
      core::pieces_root(file.content.piece_hashes, file.content.layout, &store::sha256);
  const std::string path = write_file("some file", file);
  const auto secret = admin_->import_file(path, {.share = false});
  ASSERT_TRUE(secret) << secret.error().message;
  EXPECT_FALSE(secret->shared);
  const auto imported = admin_->import_file(path, {.pin = true});
  ASSERT_TRUE(imported) << imported.error().message;
  EXPECT_TRUE(imported->shared);
  EXPECT_EQ(imported->id, store::to_hex(file.content.id));
  EXPECT_EQ(imported->name, "some file");
  EXPECT_TRUE(imported->pinned && imported->manifest_known);
  EXPECT_EQ(imported->verified_bytes, file.bytes.size());
  const auto again = admin_->import_file(path, {});
  ASSERT_TRUE(again);
  EXPECT_EQ(again->id, imported->id);
  EXPECT_EQ(check(file).verdict, CheckVerdict::good);
  const Store content = open_known(file);
  EXPECT_TRUE(content->verified().full());
  EXPECT_TRUE(close(content));
  EXPECT_TRUE(fs::is_empty(dir_.path("cache/spool")));
}

TEST_F(CacheAdminTest, RefusesToImportWhatItsManifestDoesNotDescribe) {
  begin();
  const TestFile file = make_real(4 * kTestPiece, 5);
  TestFile wrong = file;
  wrong.bytes[7] ^= std::byte{1};
  const std::string path = write_file("file", wrong);
  const auto manifest = manifest_of(file, "x");
  std::ofstream(path + ".torrent", std::ios::binary)
      .write(reinterpret_cast<const char*>(manifest.data()),
             static_cast<std::streamsize>(manifest.size()));
  EXPECT_EQ(admin_->import_file(path, {}).error().code, ErrorCode::integrity);
  EXPECT_EQ(admin_->import_file(dir_.path("none"), {}).error().code, ErrorCode::not_found);
  EXPECT_TRUE(admin_->list()->empty());
  write_file("file", file);
  const auto imported = admin_->import_file(path, {});
  ASSERT_TRUE(imported) << imported.error().message;
  EXPECT_EQ(imported->id, store::to_hex(file.content.id));
  EXPECT_EQ(admin_->import_file(path, {.progress = [](auto, auto) { return false; }}).error().code,
            ErrorCode::cancelled);
}

TEST_F(CacheAdminTest, ExportsWholeFilesByCopyOrLink) {
  begin();
  const TestFile file = cached(4 * kTestPiece, 6);
  ASSERT_TRUE(admin_->export_file(file.content.id, dir_.path("copy"), {.with_manifest = true}));
  EXPECT_TRUE(holds(dir_.path("copy"), file));
  EXPECT_TRUE(fs::exists(dir_.path("copy.torrent")));
  ASSERT_TRUE(admin_->export_file(file.content.id, dir_.path("link"), {.hard_link = true}));
  EXPECT_TRUE(fs::equivalent(dir_.path("link"), data_path(file)));
  // A planted link is replaced, not followed.
  std::ofstream(dir_.path("victim")) << "mine";
  fs::create_symlink(dir_.path("victim"), dir_.path("planted"));
  for (const bool link : {false, true}) {
    ASSERT_TRUE(admin_->export_file(file.content.id, dir_.path("planted"), {.hard_link = link}));
    EXPECT_TRUE(holds(dir_.path("planted"), file));
    EXPECT_EQ(fs::file_size(dir_.path("victim")), 4U);
  }
  TestFile part = make_real(4 * kTestPiece, 7);
  const Store content = open_known(part);
  send_and_wait(content, part, 0, 1);
  EXPECT_TRUE(close(content));
  EXPECT_EQ(admin_->export_file(part.content.id, dir_.path("part"), {}).error().code,
            ErrorCode::invalid_state);
  EXPECT_FALSE(fs::exists(dir_.path("part")));
}

TEST_F(CacheAdminTest, ACacheIsAdministeredWithoutAnEngineAndLookedAtBesideOne) {
  begin();
  const TestFile file = cached(2 * kTestPiece, 1);
  const auto second = store::open_cache({.directory = dir_.path("cache")});
  EXPECT_EQ(second.error().code, ErrorCode::in_use);
  const auto reader = store::open_cache({.directory = dir_.path("cache"), .read_only = true});
  ASSERT_TRUE(reader) << reader.error().message;
  EXPECT_EQ((*reader)->list()->size(), 1U);
  EXPECT_EQ((*reader)->status()->contents, 1U);
  EXPECT_EQ((*reader)->pin(file.content.id, true).error().code, ErrorCode::invalid_state);
  admin_ = nullptr;
  store_.reset();
  const auto alone = store::open_cache({.directory = dir_.path("cache")});
  ASSERT_TRUE(alone) << alone.error().message;
  EXPECT_TRUE((*alone)->pin(file.content.id, true));
  EXPECT_EQ(store::open_cache({.directory = dir_.path("nowhere"), .read_only = true}).error().code,
            ErrorCode::not_found);
  EXPECT_FALSE(fs::exists(dir_.path("nowhere")));
}

}  // namespace
}  // namespace lanward::test
