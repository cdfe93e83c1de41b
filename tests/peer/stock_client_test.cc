// Any BitTorrent v2 client can join: the published .torrent is all it needs.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/peer/fixture.h"

namespace lanward::test {
namespace {

namespace fs = std::filesystem;
constexpr const char* kPython = "/usr/bin/python3";

class StockClient : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::system("/usr/bin/python3 -c 'import libtorrent' 2>/dev/null") != 0) {
      GTEST_SKIP() << "python3-libtorrent is not installed";
    }
    std::string name = (fs::temp_directory_path() / "lanward-stock-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override {
    if (pid_ > 0) {
      close(to_client_);
      if (replies_ != nullptr) fclose(replies_);
      int status = 0;
      waitpid(pid_, &status, 0);
      EXPECT_EQ(status, 0);
    }
    if (!directory_.empty()) fs::remove_all(directory_);
  }

  // The canonical manifest names the file by its pieces root.
  [[nodiscard]] fs::path file_path(const TestFile& file) const {
    std::string name;
    for (const std::uint8_t byte : file.manifest.content.id) {
      std::array<char, 3> hex{};
      std::snprintf(hex.data(), hex.size(), "%02x", byte);
      name += hex.data();
    }
    return directory_ / name;
  }
  void write(const fs::path& path, const void* bytes, std::size_t size) {
    std::ofstream(path, std::ios::binary)
        .write(static_cast<const char*>(bytes), static_cast<std::streamsize>(size));
  }

  void start(const TestFile& file, const std::string& port) {
    const fs::path torrent = directory_ / "file.torrent";
    write(torrent, file.manifest.metainfo.data(), file.manifest.metainfo.size());
    std::array<int, 2> in{}, out{};
    ASSERT_EQ(pipe(in.data()), 0);
    ASSERT_EQ(pipe(out.data()), 0);
    const std::string script = LANWARD_STOCK_CLIENT;
    pid_ = fork();
    ASSERT_GE(pid_, 0);
    if (pid_ == 0) {
      dup2(in[0], STDIN_FILENO);
      dup2(out[1], STDOUT_FILENO);
      for (const int fd : {in[0], in[1], out[0], out[1]}) close(fd);
      const char* peer = port.empty() ? nullptr : "127.0.0.1";
      execl(kPython, kPython, script.c_str(), torrent.c_str(), directory_.c_str(), peer,
            port.c_str(), nullptr);
      _exit(127);
    }
    close(in[0]);
    close(out[1]);
    to_client_ = in[1];
    replies_ = fdopen(out[0], "r");
  }
  // The next line it prints; ctest's time-out is the limit.
  std::string line() {
    std::array<char, 256> buffer{};
    if (fgets(buffer.data(), buffer.size(), replies_) == nullptr) return "";
    std::string text = buffer.data();
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
  }

  fs::path directory_;
  pid_t pid_ = -1;
  int to_client_ = -1;
  FILE* replies_ = nullptr;
};

TEST_F(StockClient, DownloadsFromUs) {
  const TestFile file = TestFile::make(6 * core::kMiB + 4321, 256 * 1024, 50);
  TestPeer seed(file);
  seed.put_all();
  seed.join();
  start(file, std::to_string(seed.swarm->listen_port().value_or(0)));
  EXPECT_EQ(line().substr(0, 9), "listening");
  ASSERT_EQ(line(), "complete");
  std::ifstream in(file_path(file), std::ios::binary);
  const std::string got{std::istreambuf_iterator<char>(in), {}};
  ASSERT_EQ(got.size(), file.bytes.size());
  EXPECT_EQ(std::memcmp(got.data(), file.bytes.data(), got.size()), 0);
}

TEST_F(StockClient, ServesUs) {
  const TestFile file = TestFile::make(6 * core::kMiB + 4321, 256 * 1024, 51);
  write(file_path(file), file.bytes.data(), file.bytes.size());
  start(file, "");
  const std::string listening = line();
  ASSERT_EQ(listening.substr(0, 10), "listening ");
  ASSERT_EQ(line(), "complete");
  TestPeer leech(file);
  leech.join({"127.0.0.1:" + listening.substr(10)});
  // While everything is reserved, the seed must not hang up on a peer that wants nothing.
  ASSERT_TRUE(leech.facts.wait_for<core::PeerHasPieces>(1));
  for (std::uint32_t piece = 0; piece < 3; ++piece) {
    leech.member->allow({core::PieceIndex{piece}, core::PieceIndex{piece + 1}});
    ASSERT_TRUE(leech.facts.wait_for<core::PieceVerified>(piece + 1));
  }
  EXPECT_TRUE(leech.facts.all<core::PeerLeft>().empty());
  leech.allow_all();
  ASSERT_TRUE(leech.complete());
  EXPECT_EQ(leech.store->bytes(), file.bytes);
}

}  // namespace
}  // namespace lanward::test
