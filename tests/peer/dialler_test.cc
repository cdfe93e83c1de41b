#include "peer/dialler.h"

#include <gtest/gtest.h>

#include <libtorrent/address.hpp>

namespace lanward::test {
namespace {

using peer::Dialler;
using namespace std::chrono_literals;

lt::tcp::endpoint at(std::uint16_t port) { return {lt::make_address("192.0.2.1"), port}; }
using Addresses = std::vector<lt::tcp::endpoint>;

TEST(Dialler, DialsAtOnceAndOnce) {
  Dialler dialler;
  const Dialler::TimePoint now{};
  EXPECT_FALSE(dialler.next());
  dialler.add(at(1), Dialler::Tries::unlimited, now);
  EXPECT_EQ(dialler.next(), now);
  EXPECT_EQ(dialler.take_due(now), Addresses{at(1)});
  EXPECT_FALSE(dialler.next());
  EXPECT_TRUE(dialler.take_due(now + 1h).empty());
}

TEST(Dialler, TriesAgainSoonThenSlower) {
  Dialler dialler;
  Dialler::TimePoint now{};
  dialler.add(at(1), Dialler::Tries::unlimited, now);
  std::vector<std::chrono::nanoseconds> waits;
  for (int i = 0; i < Dialler::kQuickTries + 40; ++i) {
    ASSERT_EQ(dialler.take_due(now), Addresses{at(1)});
    dialler.failed(at(1), false, now);
    waits.push_back(*dialler.next() - now);
    now = *dialler.next();
  }
  for (int i = 0; i < Dialler::kQuickTries; ++i) EXPECT_EQ(waits[i], Dialler::kQuickDelay);
  EXPECT_EQ(waits[Dialler::kQuickTries], 1s);
  EXPECT_EQ(waits[Dialler::kQuickTries + 1], 2s);
  EXPECT_EQ(waits.back(), Dialler::kSlowDelayMax);
}

TEST(Dialler, DoesNotPesterSomebodyWhoAnswersAndRefuses) {
  Dialler dialler;
  const Dialler::TimePoint now{};
  dialler.failed(at(1), true, now);
  EXPECT_EQ(dialler.next(), now + Dialler::kSlowStep);
}

TEST(Dialler, ForgetsFailuresOfAPeerThatConnected) {
  Dialler dialler;
  const Dialler::TimePoint now{};
  for (int i = 0; i < 100; ++i) dialler.failed(at(1), false, now);
  dialler.connected(at(1));
  EXPECT_FALSE(dialler.next());
  dialler.failed(at(1), false, now);
  EXPECT_EQ(dialler.next(), now + Dialler::kQuickDelay);
}

TEST(Dialler, TriesOnceForTheEngine) {
  Dialler dialler;
  const Dialler::TimePoint now{};
  dialler.add(at(1), Dialler::Tries::once, now);
  EXPECT_EQ(dialler.take_due(now), Addresses{at(1)});
  dialler.failed(at(1), false, now);
  EXPECT_FALSE(dialler.next());
  dialler.add(at(1), Dialler::Tries::once, now);
  EXPECT_EQ(dialler.take_due(now), Addresses{at(1)});
  // An address that belongs to the swarm stays one.
  dialler.add(at(2), Dialler::Tries::unlimited, now);
  dialler.add(at(2), Dialler::Tries::once, now);
  EXPECT_EQ(dialler.take_due(now), Addresses{at(2)});
  dialler.failed(at(2), false, now);
  EXPECT_TRUE(dialler.next());
}

TEST(Dialler, NeverDialsItself) {
  Dialler dialler;
  const Dialler::TimePoint now{};
  dialler.add(at(1), Dialler::Tries::unlimited, now);
  dialler.is_self(at(1));
  dialler.add(at(1), Dialler::Tries::unlimited, now);
  dialler.failed(at(1), false, now);
  EXPECT_FALSE(dialler.next());
}

TEST(Dialler, RemembersNoMoreThanItMay) {
  Dialler dialler;
  const Dialler::TimePoint now{};
  // What the engine asked for makes room once it has been dialled; the others stay.
  dialler.add(at(1), Dialler::Tries::once, now);
  EXPECT_EQ(dialler.take_due(now).size(), 1U);
  for (std::uint16_t port = 2; port < 2 + 2 * Dialler::kAddressesMax; ++port) {
    dialler.add(at(port), Dialler::Tries::unlimited, now);
  }
  EXPECT_EQ(dialler.take_due(now).size(), Dialler::kAddressesMax);
}

TEST(Dialler, DialsAllAnewWhenSomethingHasChanged) {
  Dialler dialler;
  const Dialler::TimePoint now{};
  for (const std::uint16_t port : {1, 2, 3}) dialler.add(at(port), Dialler::Tries::once, now);
  EXPECT_EQ(dialler.take_due(now).size(), 3U);
  dialler.failed(at(1), true, now);  // given up
  dialler.is_self(at(2));
  dialler.retry_all(now + 1h);  // of the third nothing was heard
  EXPECT_EQ(dialler.take_due(now + 1h), (Addresses{at(1), at(3)}));
  dialler.failed(at(1), true, now + 1h);
  EXPECT_FALSE(dialler.next()) << "once each";
}

TEST(Dialler, TellsTheInterfaceOfAnAddressUnlessItIsOnSeveral) {
  const auto on = [](unsigned long interface, std::uint16_t port) {
    lt::address_v6 address = lt::make_address_v6("fe80::1");
    address.scope_id(interface);
    return lt::tcp::endpoint(address, port);
  };
  Dialler dialler;
  EXPECT_EQ(dialler.known_as(on(0, 1)), std::nullopt);
  dialler.add(on(2, 1), Dialler::Tries::once, {});
  dialler.add(on(3, 2), Dialler::Tries::once, {});
  EXPECT_EQ(dialler.known_as(on(0, 1)), on(2, 1));
  dialler.add(on(3, 1), Dialler::Tries::once, {});
  EXPECT_EQ(dialler.known_as(on(0, 1)), std::nullopt);
  EXPECT_EQ(dialler.known_as(on(0, 2)), on(3, 2));
}

}  // namespace
}  // namespace lanward::test
