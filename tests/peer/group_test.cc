// Peers that let in members of their group only.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <thread>

#include <libtorrent/bdecode.hpp>
#include <libtorrent/entry.hpp>

#include "engine/core/peer_auth.h"
#include "peer/endpoint.h"
#include "peer/gate.h"
#include "peer/group_file.h"
#include "peer/veil.h"
#include "tests/peer/raw_peer.h"
#include "tests/support/temporary_directory.h"

namespace lanward::test {
namespace {

using std::chrono::seconds;

constexpr std::uint32_t kPiece = 64 * 1024;

core::WallTime wall_time() { return std::chrono::floor<seconds>(std::chrono::system_clock::now()); }
core::FreshKey fresh_key() {
  core::FreshKey key;
  std::array<std::uint8_t, 4> id{};
  peer::fill_random(id);
  for (const std::uint8_t byte : id) key.id = key.id << 8U | byte;
  peer::fill_random(key.secret);
  return key;
}
core::Group fresh_group() {
  std::array<std::uint8_t, 16> id{};
  peer::fill_random(id);
  core::Secret veil{};
  peer::fill_random(veil);
  return core::make_group(id, veil, fresh_key(), wall_time() - seconds{60});
}

class GroupPeers : public testing::Test {
 protected:
  // A file of the group.
  std::string write(const std::string& name, const core::Group& group) {
    const std::string path = directory_.path(name);
    const auto written = std::filesystem::exists(path) ? peer::replace_group_file(path, group)
                                                       : peer::create_group_file(path, group);
    EXPECT_TRUE(written) << written.error().message;
    return path;
  }
  static std::uint16_t port_of(const TestPeer& peer) {
    return peer.swarm->listen_port().value_or(0);
  }
  core::Digest infohash(const core::Group& group) const {
    const auto veiled = peer::veiled_metainfo(
        file_.manifest, core::veiled_name(group.veil, file_.manifest.infohash, &store::sha256));
    const auto params = lt::load_torrent_buffer(veiled);
    core::Digest digest{};
    std::copy_n(params.ti->info_hashes().v2.begin(), digest.size(), digest.begin());
    return digest;
  }
  static std::string first_20(const core::Digest& digest) {
    return {digest.begin(), digest.begin() + 20};
  }

  const TestFile file_ = TestFile::make(20 * kPiece, kPiece, 80);
  support::TemporaryDirectory directory_;
};

TEST_F(GroupPeers, MembersExchangeAsEverybodyElseDoes) {
  const std::string group = write("group", fresh_group());
  TestPeer seed(file_, "127.0.0.1:0", false, group), leech(file_, "127.0.0.1:0", false, group);
  seed.put_all();
  seed.join();
  leech.join({seed.address()});
  leech.allow_all();
  ASSERT_TRUE(leech.complete());
  for (TestPeer* peer : {&seed, &leech}) {
    ASSERT_TRUE(peer->facts.wait_for<core::PeerJoined>(1));
    EXPECT_TRUE(peer->facts.all<core::PeerJoined>()[0].leases);
  }
  seed.member->send(std::array{seed.facts.all<core::PeerJoined>()[0].peer},
                    core::Hello{core::PeerKey{7}, true});
  EXPECT_TRUE(leech.facts.wait_for<core::PeerMessage>(1));
}

TEST_F(GroupPeers, MembersThatDialEachOtherMeetOnce) {
  const std::string group = write("group", fresh_group());
  TestPeer a(file_, "127.0.0.1:0", false, group), b(file_, "127.0.0.1:0", false, group);
  for (std::uint64_t round = 1; round <= 20; ++round) {
    std::thread other([&] { b.join({a.address()}); });
    a.join({b.address()});
    other.join();
    ASSERT_TRUE(a.facts.wait_for<core::PeerJoined>(round));
    ASSERT_TRUE(b.facts.wait_for<core::PeerJoined>(round));
    const auto say = [round](TestPeer& from) {
      from.member->send(std::array{from.facts.all<core::PeerJoined>().back().peer},
                        core::Hello{core::PeerKey{round}, true});
    };
    say(a);
    say(b);
    for (TestPeer* peer : {&a, &b}) {
      ASSERT_TRUE(peer->facts.wait_for<core::PeerMessage>(round));
      EXPECT_EQ(peer->facts.all<core::PeerJoined>().size(), round);
    }
    ASSERT_TRUE(a.leave());
    ASSERT_TRUE(b.leave());
  }
}

TEST_F(GroupPeers, OfTwoGroupsSeeNothingOfEachOtherNorOfThoseWithoutAGroup) {
  const std::string ours = write("ours", fresh_group());
  const std::string theirs = write("theirs", fresh_group());
  TestPeer seed(file_, "127.0.0.1:0", false, ours);
  TestPeer foreign(file_, "127.0.0.1:0", false, theirs), open(file_);
  seed.put_all();
  seed.join();
  for (TestPeer* stranger : {&foreign, &open}) {
    stranger->join({seed.address()});
    stranger->allow_all();
  }
  TestPeer member(file_, "127.0.0.1:0", false, ours);
  member.join({seed.address(), foreign.address(), open.address()});
  member.allow_all();
  ASSERT_TRUE(member.complete());
  EXPECT_EQ(seed.facts.all<core::PeerJoined>().size(), 1U);
  EXPECT_EQ(member.facts.all<core::PeerJoined>().size(), 1U);
  EXPECT_TRUE(foreign.facts.all<core::PeerJoined>().empty());
  EXPECT_TRUE(open.facts.all<core::PeerJoined>().empty());
}

TEST_F(GroupPeers, WhoKnowsTheSwarmButNotTheKeyIsRefused) {
  core::Group group = fresh_group();
  const std::string ours = write("ours", group);
  group.keys[0].secret[0] ^= 1U;
  const std::string wrong = write("wrong", group);
  TestPeer seed(file_, "127.0.0.1:0", false, ours), thief(file_, "127.0.0.1:0", false, wrong);
  seed.put_all();
  seed.join();
  thief.join({seed.address()});
  thief.allow_all();
  RawPeer stock(first_20(infohash(group)), port_of(seed));
  stock.send(20, std::string("\0d1:mde1:pi9ee", 14));
  EXPECT_TRUE(stock.ends());
  RawPeer without_extensions(first_20(infohash(group)), port_of(seed), 0);
  EXPECT_TRUE(without_extensions.ends());
  RawPeer impatient(first_20(infohash(group)), port_of(seed));
  impatient.send(2, "");  // interested, before it has said hello
  EXPECT_TRUE(impatient.ends());
  RawPeer silent(first_20(infohash(group)), port_of(seed));
  EXPECT_TRUE(silent.ends());
  EXPECT_TRUE(seed.facts.all<core::PeerJoined>().empty());
  EXPECT_TRUE(thief.facts.all<core::PeerJoined>().empty());
  EXPECT_TRUE(thief.store->verified().empty());
}

TEST_F(GroupPeers, AnAddressWithManyFailuresIsNotListenedToForAWhile) {
  const core::Group group = fresh_group();
  TestPeer seed(file_, "127.0.0.1:0", false, write("group", group));
  seed.put_all();
  seed.join();
  const std::string hash = first_20(infohash(group));
  std::uint32_t answered = 0;
  for (std::uint32_t i = 0; i < core::PeerGuard::kFreeFailures + 6; ++i) {
    RawPeer stranger(hash, port_of(seed));
    stranger.send(20, std::string("\0d1:mde1:pi9ee", 14));
    // What it is told at most: an extension handshake, and then which pieces there are.
    while (const auto frame = stranger.next()) answered += frame->type == 20 ? 1 : 0;
  }
  EXPECT_LE(answered, core::PeerGuard::kFreeFailures + 1);
}

// A member that does as the test tells it.
class RawMember {
 public:
  RawMember(const core::Group& group, const core::Digest& infohash, std::uint16_t port)
      : peer(std::string(infohash.begin(), infohash.begin() + 20), port) {
    const auto theirs = peer.their_peer_id();
    EXPECT_TRUE(theirs);
    if (!theirs) return;
    core::AuthChannel channel;
    channel.dialled = true;
    const std::string own = RawPeer::peer_id();
    std::copy(own.begin(), own.end(), channel.own_id.begin());
    std::copy(theirs->begin(), theirs->end(), channel.their_id.begin());
    channel.own_member.fill('m');
    channel.swarm = infohash;
    channel.dialled_at = peer::to_core(*peer::parse_endpoint("127.0.0.1:" + std::to_string(port)));
    auth.emplace(channel, core::accepted_keys(group, wall_time()), core::AuthNonce{1},
                 &store::sha256);
    const auto hello = auth->hello();
    std::string text = "d7:lw_auth" + std::to_string(hello.size()) + ":";
    text.append(hello.begin(), hello.end());
    text += "5:lw_id8:mmmmmmmm1:md7:lw_authi5e8:lw_leasei9eee";
    peer.send(20, '\0' + text);
  }
  // Reads the other's hello and makes our confirmation of it.
  [[nodiscard]] std::optional<std::string> hear_hello() {
    while (const auto frame = peer.next()) {
      if (frame->type != 20 || frame->body.front() != 0) continue;
      const lt::entry handshake = lt::bdecode(frame->body.substr(1));
      const std::string hello = handshake["lw_auth"].string();
      const std::string member = handshake["lw_id"].string();
      number = static_cast<char>(handshake["m"]["lw_auth"].integer());
      core::AuthMemberId id{};
      std::copy(member.begin(), member.end(), id.begin());
      const auto answer =
          auth->take_hello({reinterpret_cast<const std::uint8_t*>(hello.data()), hello.size()}, id);
      if (!answer) return std::nullopt;
      return std::string(answer->begin(), answer->end());
    }
    return std::nullopt;
  }
  void ask_for_a_block() {
    peer.send(2, "");
    peer.send(6, std::string("\0\0\0\0\0\0\0\0\0\0\x40\0", 12));
  }

  RawPeer peer;
  std::optional<core::PeerAuth> auth;
  char number = 0;
};

TEST_F(GroupPeers, NothingIsServedBeforeBothHaveConfirmed) {
  const core::Group group = fresh_group();
  TestPeer seed(file_, "127.0.0.1:0", false, write("group", group));
  seed.put_all();
  seed.join();
  const core::Digest hash = infohash(group);
  {
    RawMember early(group, hash, port_of(seed));
    early.ask_for_a_block();
    std::size_t pieces = 0;
    while (const auto frame = early.peer.next()) pieces += frame->type == 7 ? 1 : 0;
    EXPECT_EQ(pieces, 0U);  // and it has ended: no confirmation came in time
  }
  EXPECT_TRUE(seed.facts.all<core::PeerJoined>().empty());
  RawMember member(group, hash, port_of(seed));
  const auto confirmation = member.hear_hello();
  ASSERT_TRUE(confirmation);
  member.peer.send(20, member.number + *confirmation);
  ASSERT_TRUE(seed.facts.wait_for<core::PeerJoined>(1));
  member.ask_for_a_block();
  std::optional<RawPeer::Frame> frame;
  do {
    frame = member.peer.next();
  } while (frame && frame->type != 7);
  EXPECT_TRUE(frame);
}

TEST_F(GroupPeers, AHelloOfAnotherConnectionIsRefused) {
  const core::Group group = fresh_group();
  TestPeer seed(file_, "127.0.0.1:0", false, write("group", group));
  seed.join();
  const core::Digest hash = infohash(group);
  RawMember first(group, hash, port_of(seed));
  const auto confirmation = first.hear_hello();
  ASSERT_TRUE(confirmation);
  const auto hello = first.auth->hello();
  RawPeer replay(first_20(hash), port_of(seed), 0x10, 's');
  std::string text = "d7:lw_auth" + std::to_string(hello.size()) + ":";
  text.append(hello.begin(), hello.end());
  replay.send(20, '\0' + text + "5:lw_id8:mmmmmmmm1:md7:lw_authi5e8:lw_leasei9eee");
  EXPECT_TRUE(replay.ends());
  // The one who was imitated is as welcome as before.
  first.peer.send(20, first.number + *confirmation);
  EXPECT_TRUE(seed.facts.wait_for<core::PeerJoined>(1));
}

TEST_F(GroupPeers, KeysAreRotatedWithoutLosingAConnection) {
  const core::Group old = fresh_group();
  const auto rotated = core::rotate_group(old, fresh_key(), seconds{3600}, wall_time());
  ASSERT_TRUE(rotated);
  const std::string with_old = write("one", old), with_new = write("other", old);
  TestPeer seed(file_, "127.0.0.1:0", false, with_old);
  TestPeer leech(file_, "127.0.0.1:0", false, with_new);
  seed.put_all();
  seed.join();
  leech.join({seed.address()});
  ASSERT_TRUE(leech.facts.wait_for<core::PeerJoined>(1));
  write("other", *rotated);  // it may take a while until everybody has the new file
  TestPeer newcomer(file_, "127.0.0.1:0", false, write("third", *rotated));
  newcomer.join({seed.address(), leech.address()});
  ASSERT_TRUE(newcomer.facts.wait_for<core::PeerJoined>(2));
  write("one", *rotated);
  leech.allow_all();
  newcomer.allow_all();
  ASSERT_TRUE(leech.complete());
  ASSERT_TRUE(newcomer.complete());
  for (TestPeer* peer : {&seed, &leech, &newcomer}) {
    EXPECT_TRUE(peer->facts.all<core::PeerLeft>().empty());
  }
}

TEST_F(GroupPeers, AKeyThatIsDroppedEndsTheSessionsThatRestOnIt) {
  const core::Group old = fresh_group();
  const auto cut = core::rotate_group(old, fresh_key(), std::nullopt, wall_time());
  ASSERT_TRUE(cut);
  TestPeer seed(file_, "127.0.0.1:0", false, write("one", old));
  TestPeer outcast(file_, "127.0.0.1:0", false, write("other", old));
  seed.put_all();
  seed.join();
  outcast.join({seed.address()});
  ASSERT_TRUE(outcast.facts.wait_for<core::PeerJoined>(1));
  write("one", *cut);
  ASSERT_TRUE(outcast.facts.wait_for<core::PeerLeft>(1));
  outcast.allow_all();
  TestPeer member(file_, "127.0.0.1:0", false, write("third", *cut));
  member.join({seed.address()});
  member.allow_all();
  ASSERT_TRUE(member.complete());
  EXPECT_TRUE(outcast.store->verified().empty());
  EXPECT_EQ(outcast.facts.all<core::PeerJoined>().size(), 1U);
}

TEST_F(GroupPeers, AFileThatOthersMayReadIsRefused) {
  const std::string path = write("group", fresh_group());
  ASSERT_TRUE(peer::read_group(path));
  for (const mode_t mode : {0640, 0604, 0620, 0602}) {
    ASSERT_EQ(::chmod(path.c_str(), mode), 0);
    const auto refused = peer::read_group(path);
    ASSERT_FALSE(refused) << mode;
    EXPECT_EQ(refused.error().code, ErrorCode::access_denied);
    EXPECT_NE(refused.error().message.find(path), std::string::npos);
    EXPECT_FALSE(peer::LibtorrentSwarm::create({.listen = "127.0.0.1:0", .group_file = path}));
  }
  EXPECT_EQ(peer::read_group(path + ".missing").error().code, ErrorCode::not_found);
  EXPECT_EQ(peer::read_group(directory_.path()).error().code, ErrorCode::access_denied);
}

TEST_F(GroupPeers, AFileThatIsThereIsNeverOverwritten) {
  const std::string path = write("group", fresh_group());
  const auto before = peer::read_group(path);
  const auto refused = peer::create_group_file(path, fresh_group());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::destination);
  EXPECT_EQ(peer::read_group(path), before);
}

}  // namespace
}  // namespace lanward::test
