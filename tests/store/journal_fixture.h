// Records of jobs, and a journal in a temporary directory.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "engine/store/job_record.h"
#include "engine/store/journal.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/watch.h"

namespace lanward::test {

inline std::chrono::system_clock::time_point at_microseconds(std::int64_t us) {
  return std::chrono::system_clock::time_point(
      std::chrono::duration_cast<std::chrono::system_clock::duration>(
          std::chrono::microseconds(us)));
}

inline std::shared_ptr<const std::vector<std::uint8_t>> make_document(std::size_t bytes,
                                                                      std::uint8_t fill) {
  return std::make_shared<const std::vector<std::uint8_t>>(bytes, fill);
}

inline ports::FileRecord make_file_record(std::uint8_t n) {
  ports::FileRecord file;
  file.request.source = "https://origin.test/" + std::to_string(n);
  file.request.destination = "/srv/f\xff" + std::to_string(n);  // a name need not be UTF-8
  return file;
}

// A job with nothing left at its default.
inline ports::JobRecord full_record(std::uint8_t n) {
  ports::JobRecord r;
  r.id.bytes.fill(n);
  r.state = JobState::error;
  r.owner = "somebody";
  r.owner_uid = 4'000'000'000;
  r.properties = {"name",
                  "about it",
                  Priority::low,
                  0x12,
                  std::chrono::seconds(5),
                  std::chrono::seconds(6),
                  std::chrono::seconds(7),
                  {ProxySettings::Usage::use, "http://proxy.test:8080", "a.test,b.test"},
                  {"X-One: 1", "X-Two: 2"},
                  CostPolicy::standard,
                  "/etc/client.pem",
                  "/etc/client.key",
                  true};
  r.times = {at_microseconds(1'700'000'000'000'001), at_microseconds(1'700'000'000'000'002),
             at_microseconds(1'700'000'000'000'003)};
  r.order = 100U + n;
  r.first_resumed = 1'700'000'000;
  r.error_count = 9;
  r.error = JobError{{ErrorCode::ranges_unsupported, "the origin \xff said no"},
                     ErrorContext::remote_file,
                     FileId{1}};
  r.files = {make_file_record(0), make_file_record(1)};
  ports::FileRecord& file = r.files[1];
  file.request.id = "second";
  file.request.ranges = {{0, 5}, {5, 10}, {100, ByteRange::kToEnd}};
  file.request.manifest = "https://origin.test/1.torrent";
  file.request.mirrors = {"https://mirror.test/1", "https://mirror.test/one"};
  file.request.caches = {{"cache.test", "[::1]:3128"}, {{"http://a.test/", "http://b.test/a/"}}};
  file.request.peers = {"10.0.0.1:6881"};
  file.request.trackers = {"udp://tracker.test:1"};
  file.request.use_origin = false;
  file.request.use_peers = false;
  file.request.integrity_mandatory = true;
  file.request.share_after_complete = true;
  file.content.fill(7);
  file.size_bytes = 5'000'000'000'000;
  file.piece_bytes = 1 << 20;
  file.transferred = true;
  file.completed = true;
  file.digests = {{core::DigestAlgorithm::md5, std::vector<std::uint8_t>(16, 1), "the caller"},
                  {core::DigestAlgorithm::sha512, std::vector<std::uint8_t>(64, 2), "Metalink x"}};
  file.demanded_size = core::ByteCount{5'000'000'000'000};
  file.found_urls = {{.url = "http://found.test/1", .priority = 999'999}};
  file.offered_manifests = {"http://found.test/1.torrent"};
  file.manifest_elsewhere = true;
  file.metalink_url = "http://found.test/1.meta4";
  file.digest = file.digests[1];
  return r;
}

inline ports::JobRecord small_record(std::uint8_t n) {
  ports::JobRecord r;
  r.id.bytes.fill(n);
  r.order = n;
  r.files = {make_file_record(n)};
  return r;
}

class JournalTest : public testing::Test {
 protected:
  [[nodiscard]] Result<std::unique_ptr<store::SqliteJournal>> try_open() const {
    return store::SqliteJournal::open(directory_, options_);
  }
  void open() {
    journal_.reset();
    auto opened = try_open();
    ASSERT_TRUE(opened) << opened.error().message;
    journal_ = std::move(*opened);
  }
  [[nodiscard]] std::vector<ports::JobRecord> load() const {
    auto records = journal_->load();
    EXPECT_TRUE(records) << records.error().message;
    return records ? std::move(*records) : std::vector<ports::JobRecord>{};
  }
  Result<void> save(const ports::JobRecord& record) {
    return outcome([&](auto saved) { journal_->save(record, std::move(saved)); });
  }
  Result<void> remove(const JobId& id) {
    return outcome([&](auto saved) { journal_->remove(id, std::move(saved)); });
  }
  template <class Start>
  Result<void> outcome(const Start& start) {
    std::optional<Result<void>> result;
    start([&](Result<void> r) { watch_.change([&] { result = std::move(r); }); });
    EXPECT_TRUE(watch_.wait([&] { return result.has_value(); }));
    return watch_.look([&] { return *result; });
  }

  support::TemporaryDirectory dir_;
  std::string directory_ = dir_.path("state");
  std::string path_ = dir_.path("state/jobs.sqlite");
  store::JournalOptions options_;
  Watch watch_;
  std::unique_ptr<store::SqliteJournal> journal_;
};

}  // namespace lanward::test
