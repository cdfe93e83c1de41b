#include "peer/encounters.h"

#include <memory>

#include <gtest/gtest.h>

#include "engine/core/peer_rules.h"

namespace lanward::peer {
namespace {

core::Address address(const char* text) { return core::parse_network(text)->address; }

TEST(Encounters, TellsWhatWasMet) {
  Encounters met;
  EXPECT_EQ(met.view().found, 0U);
  met.found(address("192.168.1.1"));
  met.found(address("192.168.1.1"));
  met.refused(core::PeerRefusal::protocol);
  met.refused(core::PeerRefusal::wrong_key);
  const core::SwarmView view = met.view();
  EXPECT_EQ(view.found, 1U);
  EXPECT_EQ(view.refused, 2U);
  EXPECT_EQ(view.last_refusal, core::PeerRefusal::wrong_key);
  EXPECT_TRUE(view.serving);
}

TEST(Encounters, CountsByTheRulesOfNow) {
  const auto session = std::make_shared<SessionFacts>(2);
  Encounters met;
  met.belong_to(session);
  met.found(address("192.168.1.1"));
  met.found(address("203.0.113.1"));
  EXPECT_EQ(met.view().refused_by_rules, 1U) << "it is not for local use";
  session->set_rules({.ban = {*core::parse_network("192.168.0.0/16")}});
  EXPECT_EQ(met.view().refused_by_rules, 2U);
  session->set_rules({.serving = false});
  EXPECT_FALSE(met.view().serving);
}

TEST(Encounters, AllSwarmsOfASessionFillIt) {
  const auto session = std::make_shared<SessionFacts>(2);
  Encounters one;
  Encounters other;
  one.belong_to(session);
  other.belong_to(session);
  one.connection_began();
  EXPECT_FALSE(other.view().full);
  other.connection_began();
  EXPECT_TRUE(one.view().full);
  one.connection_ended();
  EXPECT_FALSE(one.view().full);
}

TEST(Encounters, RemembersNoMoreThanItMay) {
  Encounters met;
  for (unsigned n = 0; n < 1000; ++n) {
    core::Address each = address("10.0.0.0");
    each[14] = static_cast<std::uint8_t>(n >> 8U);
    each[15] = static_cast<std::uint8_t>(n);
    met.found(each);
  }
  EXPECT_EQ(met.view().found, Encounters::kAddressesMax);
}

}  // namespace
}  // namespace lanward::peer
