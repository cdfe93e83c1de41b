#include "engine/core/peer_auth.h"

#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "engine/core/peer_guard.h"
#include "engine/store/sha256.h"

namespace lanward::core {
namespace {

using Bytes = std::vector<std::uint8_t>;
using std::chrono::seconds;

GroupKey key(std::uint8_t n) {
  GroupKey made{.id = n};
  made.secret.fill(n);
  return made;
}
template <class Array>
Array filled(std::uint8_t n) {
  Array array{};
  array.fill(n);
  return array;
}

// Two ends of one connection: A has dialled B.
struct Pair {
  AuthChannel channel_a, channel_b;
  AuthMemberId member_a = filled<AuthMemberId>(3), member_b = filled<AuthMemberId>(4);
  std::vector<GroupKey> keys_a{key(1)}, keys_b{key(1)};
  AuthNonce nonce_a = filled<AuthNonce>(5), nonce_b = filled<AuthNonce>(6);

  Pair() {
    channel_a.dialled = true;
    channel_a.own_id = channel_b.their_id = filled<AuthPeerId>(1);
    channel_a.their_id = channel_b.own_id = filled<AuthPeerId>(2);
    channel_a.own_member = member_a;
    channel_b.own_member = member_b;
    channel_a.swarm = channel_b.swarm = filled<Digest>(7);
    channel_a.dialled_at = channel_b.dialled_at = {{1, 2, 3}, 4000};
  }
  [[nodiscard]] PeerAuth a() const { return {channel_a, keys_a, nonce_a, &store::sha256}; }
  [[nodiscard]] PeerAuth b() const { return {channel_b, keys_b, nonce_b, &store::sha256}; }
};

// Whether both accept each other, with everything delivered as it was sent.
bool meet(const Pair& pair) {
  PeerAuth a = pair.a(), b = pair.b();
  const auto from_a = a.take_hello(b.hello(), pair.member_b);
  const auto from_b = b.take_hello(a.hello(), pair.member_a);
  return from_a && from_b && a.take_confirmation(*from_b) && b.take_confirmation(*from_a) &&
         a.accepted() && b.accepted();
}

TEST(PeerAuth, TwoMembersAcceptEachOther) {
  EXPECT_TRUE(meet(Pair{}));
  Pair pair;
  EXPECT_LE(pair.a().hello().size(), kAuthHelloBytesMax);
}

TEST(PeerAuth, ADifferenceInAnythingThatIsBoundIsRefused) {
  const std::function<void(Pair&)> differences[] = {
      [](Pair& p) { p.keys_b = {key(2)}; },                // another key
      [](Pair& p) { p.keys_b[0].secret[31] ^= 1U; },       // another secret of the same id
      [](Pair& p) { p.keys_b[0].id = 9; },                 // another id of the same secret
      [](Pair& p) { p.channel_b.swarm[0] ^= 1U; },         // another content
      [](Pair& p) { p.channel_b.own_id[19] ^= 1U; },       // another connection
      [](Pair& p) { p.channel_b.their_id[0] ^= 1U; },      //
      [](Pair& p) { p.channel_b.dialled_at.port ^= 1U; },  // somebody passes messages on
      [](Pair& p) { p.channel_b.dialled_at.address[15] ^= 1U; },
      [](Pair& p) { p.channel_b.dialled = true; },
      [](Pair& p) { p.member_b[7] ^= 1U; },  // another membership
      [](Pair& p) { p.keys_b.clear(); },     // all expired
  };
  for (const auto& change : differences) {
    Pair pair;
    change(pair);
    EXPECT_FALSE(meet(pair));
    PeerAuth a = pair.a();
    EXPECT_FALSE(a.take_hello(pair.b().hello(), pair.member_b));
    EXPECT_EQ(a.state(), PeerAuth::State::refused);
    EXPECT_FALSE(a.why().empty());
  }
}

TEST(PeerAuth, DuringARotationOneKeyInCommonIsEnough) {
  for (const auto& [ours, theirs, agreed] :
       {std::tuple{std::vector{key(2), key(1)}, std::vector{key(1)}, 1U},
        std::tuple{std::vector{key(2), key(1)}, std::vector{key(2), key(1)}, 2U},
        std::tuple{std::vector{key(2), key(1)}, std::vector{key(2)}, 2U}}) {
    Pair pair;
    pair.keys_a = ours;
    pair.keys_b = theirs;
    EXPECT_TRUE(meet(pair));
    std::swap(pair.keys_a, pair.keys_b);
    EXPECT_TRUE(meet(pair));
    PeerAuth b = pair.b();
    ASSERT_TRUE(b.take_hello(pair.a().hello(), pair.member_a));
    EXPECT_EQ(b.key_id(), agreed);
  }
  // Clocks that differ may make them prefer different keys.
  Pair pair;
  pair.keys_a = {key(1), key(2)};
  pair.keys_b = {key(2), key(1)};
  EXPECT_TRUE(meet(pair));
}

TEST(PeerAuth, WhatWasSentIsRefusedWhenItComesBack) {
  const Pair pair;
  PeerAuth a = pair.a(), b = pair.b();
  EXPECT_FALSE(pair.a().take_hello(a.hello(), pair.member_a));
  // Also by somebody who takes the ids and the membership of the one he mirrors.
  Pair mirror;
  mirror.channel_b.own_id = mirror.channel_a.own_id;
  mirror.channel_a.their_id = mirror.channel_b.their_id;
  PeerAuth same(mirror.channel_a, mirror.keys_a, filled<AuthNonce>(9), &store::sha256);
  EXPECT_FALSE(mirror.a().take_hello(same.hello(), mirror.member_a));
  const auto from_a = a.take_hello(b.hello(), pair.member_b);
  ASSERT_TRUE(from_a);
  EXPECT_FALSE(a.take_confirmation(*from_a));
}

TEST(PeerAuth, WhatWasHeardIsRefusedOnAnotherConnection) {
  const Pair first;
  PeerAuth a = first.a(), b = first.b();
  const auto hello_of_a = a.hello();
  const auto confirmation_of_a = a.take_hello(b.hello(), first.member_b);
  // The same two ids would have to come again for the hello; the nonce stops even that.
  Pair again;
  again.channel_b.own_id = filled<AuthPeerId>(8);
  EXPECT_FALSE(again.b().take_hello(hello_of_a, first.member_a));
  Pair same_ids;
  same_ids.nonce_b = filled<AuthNonce>(8);
  PeerAuth victim = same_ids.b();
  ASSERT_TRUE(victim.take_hello(hello_of_a, first.member_a));
  EXPECT_FALSE(victim.accepted());
  EXPECT_FALSE(victim.take_confirmation(*confirmation_of_a));
  EXPECT_EQ(victim.state(), PeerAuth::State::refused);
}

TEST(PeerAuth, MessagesOutOfTurnAreRefused) {
  const Pair pair;
  PeerAuth a = pair.a(), b = pair.b();
  const auto from_a = a.take_hello(b.hello(), pair.member_b);
  EXPECT_FALSE(pair.b().take_confirmation(*from_a));
  PeerAuth twice = pair.b();
  ASSERT_TRUE(twice.take_hello(a.hello(), pair.member_a));
  EXPECT_FALSE(twice.take_hello(a.hello(), pair.member_a));
  PeerAuth done = pair.b();
  ASSERT_TRUE(done.take_hello(a.hello(), pair.member_a));
  ASSERT_TRUE(done.take_confirmation(*from_a));
  EXPECT_FALSE(done.take_confirmation(*from_a));
  EXPECT_FALSE(done.accepted());
}

TEST(PeerAuth, EveryChangedOrMissingByteIsRefused) {
  Pair pair;
  pair.keys_a = {key(1), key(2)};
  PeerAuth a = pair.a();
  const Bytes hello = pair.b().hello();
  const auto confirmation = a.take_hello(hello, pair.member_b);
  ASSERT_TRUE(confirmation);
  for (std::size_t i = 0; i < hello.size(); ++i) {
    Bytes changed = hello;
    changed[i] ^= 0x10U;
    EXPECT_FALSE(pair.a().take_hello(changed, pair.member_b)) << i;
    EXPECT_FALSE(pair.a().take_hello(std::span(hello).first(i), pair.member_b)) << i;
  }
  for (std::size_t i = 0; i < confirmation->size(); ++i) {
    Bytes changed = *confirmation;
    changed[i] ^= 0x10U;
    for (const auto& bad : {std::span<const std::uint8_t>(changed),
                            std::span<const std::uint8_t>(*confirmation).first(i)}) {
      PeerAuth b = pair.b();
      ASSERT_TRUE(b.take_hello(pair.a().hello(), pair.member_a));
      EXPECT_FALSE(b.take_confirmation(bad)) << i;
    }
  }
}

TEST(PeerAuth, WhoIsLateIsRefusedAndWhoIsAcceptedIsNot) {
  const Pair pair;
  PeerAuth a = pair.a(), b = pair.b();
  a.expire();
  EXPECT_EQ(a.state(), PeerAuth::State::refused);
  EXPECT_FALSE(a.take_hello(b.hello(), pair.member_b));
  PeerAuth c = pair.a();
  const auto from_c = c.take_hello(b.hello(), pair.member_b);
  ASSERT_TRUE(b.take_hello(c.hello(), pair.member_a));
  ASSERT_TRUE(b.take_confirmation(*from_c));
  b.expire();
  EXPECT_TRUE(b.accepted());
}

// ---- PeerGuard ---------------------------------------------------------------------------------

constexpr Instant kStart{};

TEST(PeerGuard, AFewFailuresAreBorneThenTheWaitDoubles) {
  PeerGuard guard;
  const PeerGuard::Address address{1};
  Instant now = kStart;
  for (std::uint32_t i = 0; i < PeerGuard::kFreeFailures; ++i) guard.failed(address, now);
  EXPECT_FALSE(guard.refuses(address, now));
  Duration ban = PeerGuard::kFirstBan;
  for (int i = 0; i < 20; ++i) {
    guard.failed(address, now);
    const Duration expected = std::min(ban, Duration{PeerGuard::kLongestBan});
    EXPECT_TRUE(guard.refuses(address, now + expected - seconds{1}));
    EXPECT_FALSE(guard.refuses(address, now + expected));
    EXPECT_FALSE(guard.refuses({2}, now));
    now += expected;
    ban *= 2;
  }
}

TEST(PeerGuard, ForgetsAfterAWhileAndWhenAMemberComes) {
  PeerGuard guard;
  const PeerGuard::Address address{1};
  for (std::uint32_t i = 0; i <= PeerGuard::kFreeFailures; ++i) guard.failed(address, kStart);
  EXPECT_TRUE(guard.refuses(address, kStart));
  guard.succeeded(address);
  EXPECT_FALSE(guard.refuses(address, kStart));
  for (std::uint32_t i = 0; i < PeerGuard::kFreeFailures; ++i) guard.failed(address, kStart);
  const Instant later = kStart + PeerGuard::kMemory + seconds{1};
  guard.failed(address, later);
  EXPECT_FALSE(guard.refuses(address, later));
}

TEST(PeerGuard, HarmIsRefusedAtOnceAndNotForgottenForAMember) {
  PeerGuard guard;
  const PeerGuard::Address address{1};
  guard.harmed(address, kStart);
  EXPECT_TRUE(guard.refuses(address, kStart));
  EXPECT_TRUE(guard.refuses(address, kStart + PeerGuard::kFirstBan - seconds{1}));
  EXPECT_FALSE(guard.refuses(address, kStart + PeerGuard::kFirstBan));
  EXPECT_FALSE(guard.refuses({2}, kStart));
  // A member behind the same address proves nothing about who did it.
  guard.succeeded(address);
  EXPECT_TRUE(guard.refuses(address, kStart));
  // A second time it is twice as long, and the same for what is only a failure.
  const Instant again = kStart + PeerGuard::kFirstBan;
  guard.harmed(address, again);
  EXPECT_TRUE(guard.refuses(address, again + 2 * PeerGuard::kFirstBan - seconds{1}));
  EXPECT_FALSE(guard.refuses(address, again + 2 * PeerGuard::kFirstBan));
  const Instant third = again + 2 * PeerGuard::kFirstBan;
  guard.failed(address, third);
  EXPECT_TRUE(guard.refuses(address, third + 4 * PeerGuard::kFirstBan - seconds{1}));
}

TEST(PeerGuard, HarmAfterSomeFailuresCountsThemToo) {
  PeerGuard guard;
  const PeerGuard::Address address{1};
  for (std::uint32_t i = 0; i < PeerGuard::kFreeFailures + 2; ++i) guard.failed(address, kStart);
  guard.harmed(address, kStart);
  EXPECT_TRUE(guard.refuses(address, kStart + 4 * PeerGuard::kFirstBan - seconds{1}));
  EXPECT_FALSE(guard.refuses(address, kStart + 4 * PeerGuard::kFirstBan));
}

TEST(PeerGuard, HarmIsForgottenAfterAWhile) {
  PeerGuard guard;
  const PeerGuard::Address address{1};
  guard.harmed(address, kStart);
  const Instant later = kStart + PeerGuard::kMemory + seconds{1};
  for (std::uint32_t i = 0; i < PeerGuard::kFreeFailures; ++i) guard.failed(address, later);
  EXPECT_FALSE(guard.refuses(address, later));
  guard.succeeded(address);
  for (std::uint32_t i = 0; i < PeerGuard::kFreeFailures; ++i) guard.failed(address, later);
  EXPECT_FALSE(guard.refuses(address, later)) << "a mistake again";
}

TEST(PeerGuard, RemembersNoMoreThanItsBound) {
  PeerGuard guard;
  for (std::uint32_t i = 0; i < 3 * PeerGuard::kAddressesMax; ++i) {
    const PeerGuard::Address address{static_cast<std::uint8_t>(i),
                                     static_cast<std::uint8_t>(i >> 8)};
    guard.failed(address, kStart + seconds{i});
  }
  EXPECT_EQ(guard.size(), PeerGuard::kAddressesMax);
  EXPECT_EQ(guard.failures(), 3 * PeerGuard::kAddressesMax);
}

}  // namespace
}  // namespace lanward::core
