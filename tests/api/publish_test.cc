#include <lanward/publish.h>

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/core/metainfo_samples.h"
#include "tests/support/temporary_directory.h"

namespace lanward {
namespace {

namespace fs = std::filesystem;
using core::samples::random_bytes;

void write_file(const std::string& path, std::span<const std::byte> bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

std::vector<std::uint8_t> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

core::Manifest manifest_at(const std::string& path) {
  auto manifest = core::samples::parse(read_file(path));
  EXPECT_TRUE(manifest) << manifest.error().message;
  return manifest ? *std::move(manifest) : core::Manifest{};
}

class Publish : public testing::Test {
 protected:
  // A file of random bytes in the test's directory.
  std::string make_file(std::size_t size, const std::string& name = "data.bin") {
    write_file(directory_.path(name), random_bytes(size));
    return directory_.path(name);
  }
  [[nodiscard]] std::size_t files_in_directory() const {
    const fs::directory_iterator begin(directory_.path());
    return static_cast<std::size_t>(std::distance(begin, fs::directory_iterator{}));
  }
  void expect_refused(const PublishRequest& request, ErrorCode code, const std::string& names) {
    const std::size_t before = files_in_directory();
    const auto published = publish(request);
    ASSERT_FALSE(published) << names;
    EXPECT_EQ(published.error().code, code) << published.error().message;
    EXPECT_NE(published.error().message.find(names), std::string::npos)
        << published.error().message;
    EXPECT_EQ(files_in_directory(), before) << "nothing may be left behind";
  }

  support::TemporaryDirectory directory_;
};

TEST_F(Publish, DescribesTheBytesOfTheFile) {
  for (const std::size_t size : {std::size_t{1}, std::size_t{16385}, std::size_t{262144},
                                 std::size_t{3'000'001}, std::size_t{40'000'000}}) {
    PublishRequest request;
    request.file = make_file(size);
    request.urls = {"http://cdn/data.bin"};
    request.trackers = {"udp://tracker:6969/announce"};
    const auto published = publish(request);
    ASSERT_TRUE(published) << published.error().message;
    EXPECT_EQ(published->manifest_path, request.file + ".torrent");
    EXPECT_EQ(published->size_bytes, size);
    EXPECT_EQ(published->piece_bytes, 262144U);
    const core::Manifest manifest = manifest_at(published->manifest_path);
    EXPECT_EQ(published->infohash, core::samples::hex_of(manifest.infohash));
    EXPECT_EQ(manifest.name, "data.bin");
    EXPECT_EQ(manifest.web_seeds, request.urls);
    EXPECT_EQ(manifest.trackers, request.trackers);
    const auto plain = core::samples::content_of(random_bytes(size), 262144);
    EXPECT_EQ(manifest.content.id, plain.id);
    EXPECT_EQ(manifest.content.piece_hashes, plain.piece_hashes);
  }
}

TEST_F(Publish, GivesEqualBytesTheEqualInfohash) {
  PublishRequest first{make_file(300'000, "a"), "", {"http://a/a"}, {}, {}};
  PublishRequest second{make_file(300'000, "b"), directory_.path("other.torrent"), {}, {}, {}};
  const auto a = publish(first);
  const auto b = publish(second);
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->infohash, b->infohash);
  EXPECT_EQ(b->manifest_path, directory_.path("other.torrent"));
}

TEST_F(Publish, DescribesAnEmptyFile) {
  const auto published = publish({make_file(0), "", {}, {}, {}});
  ASSERT_TRUE(published) << published.error().message;
  EXPECT_EQ(published->size_bytes, 0U);
  EXPECT_EQ(manifest_at(published->manifest_path).content.layout.piece_count(), 0U);
}

TEST_F(Publish, SuggestsNoNameThatReadersWouldRefuse) {
  const auto published = publish({make_file(10, "a\nb"), directory_.path("out"), {}, {}, {}});
  ASSERT_TRUE(published) << published.error().message;
  EXPECT_EQ(manifest_at(published->manifest_path).name, "");
}

TEST_F(Publish, ReplacesAnOlderManifestAndLeavesNothingElse) {
  const std::string file = make_file(1000);
  write_file(file + ".torrent", random_bytes(50));
  ASSERT_TRUE(publish({file, "", {}, {}, {}}));
  EXPECT_EQ(manifest_at(file + ".torrent").content.layout.size().value, 1000U);
  EXPECT_EQ(files_in_directory(), 2U);
}

TEST_F(Publish, ReportsProgressFromTheCallersThreadUpToTheWhole) {
  PublishRequest request;
  request.file = make_file(5'000'000);
  std::vector<std::uint64_t> seen;
  request.progress = [&, caller = std::this_thread::get_id()](std::uint64_t done,
                                                              std::uint64_t total) {
    EXPECT_EQ(std::this_thread::get_id(), caller);
    EXPECT_EQ(total, 5'000'000U);
    seen.push_back(done);
  };
  ASSERT_TRUE(publish(request));
  ASSERT_GE(seen.size(), 2U);
  EXPECT_EQ(seen.front(), 0U);
  EXPECT_EQ(seen.back(), 5'000'000U);
  EXPECT_TRUE(std::ranges::is_sorted(seen));
}

TEST_F(Publish, RefusesWhatIsNotARegularFile) {
  expect_refused({}, ErrorCode::invalid_argument, "no file to publish");
  expect_refused({directory_.path(), "", {}, {}, {}}, ErrorCode::invalid_argument,
                 "not a regular file");
  expect_refused({directory_.path("missing"), "", {}, {}, {}}, ErrorCode::not_found, "missing");
  const std::string pipe = directory_.path("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  expect_refused({pipe, "", {}, {}, {}}, ErrorCode::invalid_argument, "pipe");
}

TEST_F(Publish, RefusesUrlsThatNobodyCanFetch) {
  const std::string file = make_file(10);
  for (const std::string url : {"", "data.bin", "ftp://h/x", "udp://h/x", "http://", "http://h/a b",
                                "file:///etc/passwd", "http://h/dir/"}) {
    expect_refused({file, "", {url}, {}, {}}, ErrorCode::invalid_argument, "\"" + url + "\"");
  }
  for (const std::string url : {"", "tracker:6969", "ftp://h/x", "udp://"}) {
    expect_refused({file, "", {}, {url}, {}}, ErrorCode::invalid_argument, "\"" + url + "\"");
  }
  const std::vector<std::string> many(65, "http://h/x");
  expect_refused({file, "", many, {}, {}}, ErrorCode::invalid_argument, "at most 64 URLs");
  expect_refused({file, "", {}, many, {}}, ErrorCode::invalid_argument, "at most 64 trackers");
}

TEST_F(Publish, RefusesAnOutputThatCannotBeWritten) {
  const std::string file = make_file(10);
  const std::string folder = directory_.path("folder");
  fs::create_directory(folder);
  expect_refused({file, directory_.path("none/x.torrent"), {}, {}, {}}, ErrorCode::destination,
                 "none/x.torrent");
  expect_refused({file, folder, {}, {}, {}}, ErrorCode::destination, folder);
  expect_refused({file, file, {}, {}, {}}, ErrorCode::invalid_argument, "would overwrite");
  fs::create_hard_link(file, directory_.path("link"));
  expect_refused({file, directory_.path("link"), {}, {}, {}}, ErrorCode::invalid_argument,
                 "would overwrite");
}

// The first report of progress comes when the file is open and before it is read.
TEST_F(Publish, RefusesAFileThatChangesWhileItIsRead) {
  const std::string file = make_file(1'000'000);
  const std::pair<const char*, std::function<void()>> changes[] = {
      {"shorter", [&] { fs::resize_file(file, 500'000); }},
      {"longer", [&] { fs::resize_file(file, 2'000'000); }},
      {"touched",
       [&] { fs::last_write_time(file, fs::last_write_time(file) - std::chrono::hours(1)); }},
      {"replaced",
       [&] {
         fs::copy_file(file, directory_.path("new"));
         fs::rename(directory_.path("new"), file);
       }},
      {"removed", [&] { fs::remove(file); }},
  };
  for (const auto& [what, change] : changes) {
    make_file(1'000'000);
    PublishRequest request;
    request.file = file;
    request.progress = [&, first = true](std::uint64_t, std::uint64_t) mutable {
      if (std::exchange(first, false)) change();
    };
    const auto published = publish(request);
    ASSERT_FALSE(published) << what;
    EXPECT_EQ(published.error().code, ErrorCode::content_changed) << what;
    EXPECT_NE(published.error().message.find(file), std::string::npos);
    EXPECT_FALSE(fs::exists(file + ".torrent")) << what;
  }
}

}  // namespace
}  // namespace lanward
