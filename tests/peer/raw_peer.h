// A BitTorrent peer that says exactly what it is told to.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <libtorrent/load_torrent.hpp>
#include <libtorrent/torrent_info.hpp>

#include "tests/peer/fixture.h"

namespace lanward::test {

class RawPeer {
 public:
  struct Frame {
    std::uint8_t type = 0;
    std::string body;
  };

  // Connects to a member of the file's swarm and sends both handshakes.
  // `name`: told from others by it.
  RawPeer(const TestFile& file, std::uint16_t port, const std::string& extension_handshake,
          char name = 'r')
      : RawPeer(truncated_infohash(file), port, 0x10, name) {
    send(20, '\0' + extension_handshake);
  }
  // Sends the BitTorrent handshake only. `infohash`: its first 20 bytes.
  RawPeer(const std::string& infohash, std::uint16_t port, char extension_bits = 0x10,
          char name = 'r') {
    socket_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    std::string hello =
        "\x13"
        "BitTorrent protocol";
    std::string reserved(8, '\0');
    reserved[5] = extension_bits;  // BEP 10
    put(hello + reserved + infohash + peer_id(name));
  }
  RawPeer(const RawPeer&) = delete;
  RawPeer& operator=(const RawPeer&) = delete;
  ~RawPeer() { close(socket_); }

  void send(std::uint8_t type, const std::string& body) {
    const auto length = static_cast<std::uint32_t>(1 + body.size());
    std::string frame;
    for (const int shift : {24, 16, 8, 0}) frame.push_back(static_cast<char>(length >> shift));
    frame.push_back(static_cast<char>(type));
    put(frame + body);
  }
  // REQUIRES: hears_id(): the other side has told its number for lease messages.
  void send_lease(std::span<const std::uint8_t> message) {
    send(20, lease_id_ + std::string(message.begin(), message.end()));
  }

  [[nodiscard]] static std::string peer_id(char name = 'r') {
    return "-RP0001-" + std::string(12, name);
  }
  // The other side's, from its handshake; nothing: it has hung up instead.
  std::optional<std::string> their_peer_id() {
    const auto handshake = read(68);
    greeted_ = true;
    if (!handshake) return std::nullopt;
    return handshake->substr(48);
  }

  // The next message, keep-alives left out; nothing: the connection has ended.
  std::optional<Frame> next() {
    if (!greeted_ && !read(68)) return std::nullopt;
    greeted_ = true;
    for (;;) {
      const auto head = read(4);
      if (!head) return std::nullopt;
      std::uint32_t length = 0;
      for (const char c : *head) length = length << 8U | static_cast<std::uint8_t>(c);
      if (length == 0) continue;
      const auto body = read(length);
      if (!body) return std::nullopt;
      return Frame{static_cast<std::uint8_t>(body->front()), body->substr(1)};
    }
  }
  // Reads the other side's extension handshake.
  [[nodiscard]] bool hears_id() {
    while (const auto frame = next()) {
      if (frame->type != 20 || frame->body.front() != 0) continue;
      const std::string key = "8:lw_leasei";
      const auto found = frame->body.find(key);
      if (found == std::string::npos) return false;
      lease_id_ = static_cast<char>(std::stoi(frame->body.substr(found + key.size())));
      return true;
    }
    return false;
  }
  [[nodiscard]] bool ends() {
    while (next()) {
    }
    return true;
  }

 private:
  static std::string truncated_infohash(const TestFile& file) {
    const auto& bytes = file.manifest.metainfo;
    const auto params = lt::load_torrent_buffer(
        {reinterpret_cast<const char*>(bytes.data()), static_cast<std::ptrdiff_t>(bytes.size())});
    return {params.ti->info_hashes().v2.data(), 20};
  }
  void put(const std::string& bytes) {
    // The other end may have hung up, which is what some tests are after.
    static_cast<void>(::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL));
  }
  std::optional<std::string> read(std::size_t count) {
    std::string bytes(count, '\0');
    std::size_t have = 0;
    while (have < count) {
      const auto got = recv(socket_, bytes.data() + have, count - have, 0);
      if (got <= 0) return std::nullopt;
      have += static_cast<std::size_t>(got);
    }
    return bytes;
  }

  int socket_ = -1;
  bool greeted_ = false;
  char lease_id_ = 0;
};

}  // namespace lanward::test
