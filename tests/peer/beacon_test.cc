// Peers that find each other by the beacon, on the loopback interface.
#include <gtest/gtest.h>

#include <poll.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <iterator>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "peer/beacon.h"
#include "peer/beacon_socket.h"
#include "peer/group_file.h"
#include "peer/interfaces.h"
#include "tests/peer/fixture.h"
#include "tests/support/temporary_directory.h"

namespace lanward::test {
namespace {

constexpr std::uint32_t kPiece = 64 * 1024;

std::string group_file(const support::TemporaryDirectory& directory, const std::string& name) {
  core::FreshKey key{.id = 7};
  core::Secret veil{};
  peer::fill_random(key.secret);
  peer::fill_random(veil);
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  const std::string path = directory.path(name);
  EXPECT_TRUE(peer::create_group_file(path, core::make_group({1}, veil, key, now)));
  return path;
}

TEST(Beacon, TwoThatWereToldNothingFindEachOther) {
  const TestFile file = TestFile::make(10 * kPiece, kPiece, 90);
  TestPeer seed(file, "127.0.0.1:0", false, {}, true), leech(file, "127.0.0.1:0", false, {}, true);
  seed.put_all();
  seed.join();
  leech.join();
  leech.allow_all();
  ASSERT_TRUE(leech.complete());
  EXPECT_EQ(seed.facts.all<core::PeerJoined>().size(), 1U);
}

TEST(Beacon, OnlyThoseOfOneContentMeet) {
  const TestFile file = TestFile::make(10 * kPiece, kPiece, 91);
  const TestFile other = TestFile::make(10 * kPiece, kPiece, 92);
  TestPeer seed(file, "127.0.0.1:0", false, {}, true);
  TestPeer stranger(other, "127.0.0.1:0", false, {}, true);
  TestPeer leech(file, "127.0.0.1:0", false, {}, true);
  seed.put_all();
  seed.join();
  stranger.join();
  leech.join();
  leech.allow_all();
  ASSERT_TRUE(leech.complete());
  EXPECT_TRUE(stranger.facts.all<core::PeerJoined>().empty());
}

TEST(Beacon, MembersOfAGroupFindEachOtherAndNobodyElse) {
  const support::TemporaryDirectory directory;
  const std::string ours = group_file(directory, "ours");
  const std::string theirs = group_file(directory, "theirs");
  const TestFile file = TestFile::make(10 * kPiece, kPiece, 93);
  TestPeer seed(file, "127.0.0.1:0", false, ours, true);
  TestPeer foreign(file, "127.0.0.1:0", false, theirs, true);
  TestPeer open(file, "127.0.0.1:0", false, {}, true);
  TestPeer leech(file, "127.0.0.1:0", false, ours, true);
  seed.put_all();
  seed.join();
  foreign.join();
  open.join();
  leech.join();
  leech.allow_all();
  ASSERT_TRUE(leech.complete());
  EXPECT_TRUE(foreign.facts.all<core::PeerJoined>().empty());
  EXPECT_TRUE(open.facts.all<core::PeerJoined>().empty());
  EXPECT_EQ(seed.facts.all<core::PeerJoined>().size(), 1U);
}

TEST(Beacon, WhoHasLeftIsNotFound) {
  const TestFile file = TestFile::make(10 * kPiece, kPiece, 94);
  TestPeer gone(file, "127.0.0.1:0", false, {}, true), seed(file, "127.0.0.1:0", false, {}, true);
  gone.join();
  ASSERT_TRUE(gone.leave());
  seed.put_all();
  seed.join();
  TestPeer leech(file, "127.0.0.1:0", false, {}, true);
  leech.join();
  leech.allow_all();
  ASSERT_TRUE(leech.complete());
  EXPECT_TRUE(gone.facts.all<core::PeerJoined>().empty());
}

// The same file with `private` in its manifest (BEP 27), which makes it another swarm.
TestFile tracker_only(TestFile file) {
  const std::string before = "12:piece lengthi" + std::to_string(kPiece) + "e";
  const std::string flag = "7:privatei1e";
  auto bytes = file.manifest.metainfo;
  const auto at = std::ranges::search(bytes, before).end();
  EXPECT_NE(at, bytes.end());
  bytes.insert(at, flag.begin(), flag.end());
  auto manifest = core::parse_metainfo(bytes, &store::sha256);
  EXPECT_TRUE(manifest && manifest->tracker_only);
  if (manifest) file.manifest = std::move(*manifest);
  return file;
}

// All tags of open beacons that have come by now.
std::vector<std::uint64_t> tags_heard(peer::BeaconSocket& socket) {
  std::vector<std::uint64_t> tags;
  std::array<std::uint8_t, core::kBeaconBytesMax + 1> buffer{};
  while (const auto heard = socket.receive(buffer)) {
    const auto said = core::read_beacon(std::span(buffer).first(heard->length), {}, &store::sha256);
    if (said) tags.insert(tags.end(), said->tags.begin(), said->tags.end());
  }
  return tags;
}

TEST(Beacon, AManifestThatIsPrivateIsNotNamed) {
  const TestFile open = TestFile::make(10 * kPiece, kPiece, 96);
  const TestFile closed = tracker_only(TestFile::make(10 * kPiece, kPiece, 97));
  auto socket = peer::BeaconSocket::open(lt::address_v4::loopback());
  ASSERT_TRUE(socket);
  socket->use({peer::interface_of(lt::address_v4::loopback())});
  TestPeer seed(closed, "127.0.0.1:0", false, {}, true);
  TestPeer leech(closed, "127.0.0.1:0", false, {}, true);
  seed.put_all();
  seed.join();
  leech.join({seed.address()});
  leech.allow_all();
  ASSERT_TRUE(leech.complete());  // both are in the swarm now
  TestPeer shown(open, "127.0.0.1:0", false, {}, true);
  shown.join();
  const auto tag_of = [](const TestFile& file) {
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    return core::beacon_tag(file.manifest.infohash, now, &store::sha256);
  };
  // The hour may end while this runs.
  std::vector<std::uint64_t> open_tags{tag_of(open)}, closed_tags{tag_of(closed)};
  std::vector<std::uint64_t> heard;
  const auto heard_any = [&](const std::vector<std::uint64_t>& tags) {
    return std::ranges::find_first_of(heard, tags) != heard.end();
  };
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!heard_any(open_tags) && std::chrono::steady_clock::now() < end) {
    pollfd ready{socket->descriptor(), POLLIN, 0};
    static_cast<void>(::poll(&ready, 1, 100));
    std::ranges::copy(tags_heard(*socket), std::back_inserter(heard));
    open_tags.push_back(tag_of(open));
    closed_tags.push_back(tag_of(closed));
  }
  EXPECT_TRUE(heard_any(open_tags));
  EXPECT_FALSE(heard_any(closed_tags));
}

// Starts peers one after the other and measures from the start of each to its first verified piece.
void measure_first_byte(const char* what, const std::string& group) {
  constexpr std::size_t kStarts = 50;
  const TestFile file = TestFile::make(10 * kPiece, kPiece, 95);
  TestPeer seed(file, "127.0.0.1:0", false, group, true);
  seed.put_all();
  seed.join();
  std::vector<double> times;
  for (std::size_t i = 0; i < kStarts; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    TestPeer leech(file, "127.0.0.1:0", false, group, true);
    leech.join();
    leech.allow_all();
    ASSERT_TRUE(leech.facts.wait_for<core::PieceVerified>(1));
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
    times.push_back(took.count());
  }
  std::sort(times.begin(), times.end());
  std::printf("%s: first piece of a peer after %.1f ms (median), %.1f ms (longest of %zu starts)\n",
              what, times[kStarts / 2], times.back(), kStarts);
}

TEST(Beacon, EveryNewcomerIsFoundSoon) {
  const support::TemporaryDirectory directory;
  measure_first_byte("open", {});
  measure_first_byte("in a group", group_file(directory, "group"));
}

TEST(Interfaces, TheKernelKnowsTheLoopbackInterface) {
  const auto all = peer::read_interfaces();
  ASSERT_FALSE(all.empty());
  EXPECT_TRUE(std::any_of(all.begin(), all.end(), [](const auto& one) { return one.loopback; }));
  EXPECT_NE(peer::interface_of(lt::address_v4::loopback()), 0U);
  EXPECT_EQ(peer::interface_of(lt::make_address("203.0.113.7")), 0U);
}

}  // namespace
}  // namespace lanward::test
