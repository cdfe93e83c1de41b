#include "engine/core/peers_answer.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/core/download_mode.h"

namespace lanward::core {
namespace {

using namespace std::chrono_literals;

constexpr FilePeers kPlain{.manifest = true};

PeersFacts joined() { return {.file = kPlain, .in_use = true, .joined = true}; }

struct Row {
  const char* what;
  PeersReason reason;
  PeersFacts facts;
};

std::vector<Row> rows() {
  const auto with = [](auto change) {
    PeersFacts facts = joined();
    change(facts);
    return facts;
  };
  using F = PeersFacts;
  return {
      {"not in use", PeersReason::idle, {.file = kPlain}},
      {"not joined yet", PeersReason::idle, {.file = kPlain, .in_use = true}},
      {"searching", PeersReason::undecided, with([](F& f) { f.file.searching = true; })},
      {"has peers", PeersReason::connected, with([](F& f) { f.connected = 3; })},
      {"alone", PeersReason::looking, joined()},
      {"alone and complete", PeersReason::serving, with([](F& f) { f.complete = true; })},
      {"http only", PeersReason::mode, with([](F& f) { f.file.mode = DownloadMode::cdn_only; })},
      {"simple", PeersReason::mode, with([](F& f) { f.file.mode = DownloadMode::simple; })},
      {"bypass", PeersReason::mode, with([](F& f) { f.file.mode = DownloadMode::bypass; })},
      {"switched off", PeersReason::not_asked, with([](F& f) { f.file.asked = false; })},
      {"credentials", PeersReason::private_content, with([](F& f) { f.file.credentials = true; })},
      {"private in the cache", PeersReason::private_content,
       with([](F& f) { f.file.found_private = true; })},
      {"no manifest", PeersReason::no_manifest, with([](F& f) { f.file.manifest = false; })},
      {"empty", PeersReason::empty_file, with([](F& f) { f.file.empty = true; })},
      {"small", PeersReason::not_started,
       with([](F& f) { f.swarm = SwarmReadiness::not_started; })},
      {"not installed", PeersReason::module_missing,
       with([](F& f) { f.swarm = SwarmReadiness::missing; })},
      {"cannot listen", PeersReason::failed, with([](F& f) { f.swarm = SwarmReadiness::failed; })},
      {"stopped", PeersReason::rules_stopped, with([](F& f) { f.view.serving = false; })},
      {"addresses", PeersReason::addresses_refused,
       with([](F& f) { f.view.found = f.view.refused_by_rules = 2; })},
      {"some addresses", PeersReason::looking, with([](F& f) {
         f.view.found = 2;
         f.view.refused_by_rules = 1;
       })},
      {"strangers", PeersReason::handshake_refused, with([](F& f) {
         f.view.refused = 2;
         f.view.refused_by_rules = 1;
       })},
      {"full", PeersReason::busy, with([](F& f) { f.view.full = true; })},
  };
}

TEST(PeersAnswer, NamesTheReason) {
  std::set<PeersReason> seen;
  for (const Row& row : rows()) {
    EXPECT_EQ(peers_reason(row.facts), row.reason) << row.what;
    const PeersAnswer answer = answer_peers(row.facts);
    EXPECT_EQ(answer.reason, row.reason);
    EXPECT_FALSE(answer.text.empty()) << row.what;
    seen.insert(row.reason);
  }
  // The table has every reason there is.
  for (int n = 0; n <= static_cast<int>(PeersReason::busy); ++n) {
    EXPECT_TRUE(seen.contains(static_cast<PeersReason>(n)))
        << to_string(static_cast<PeersReason>(n));
  }
}

TEST(PeersAnswer, ReasonsHaveNamesOfTheirOwn) {
  std::set<std::string> names;
  for (int n = 0; n <= static_cast<int>(PeersReason::busy); ++n) {
    EXPECT_TRUE(names.insert(to_string(static_cast<PeersReason>(n))).second) << n;
  }
}

TEST(PeersAnswer, TheSentenceHasTheFigures) {
  PeersFacts facts = joined();
  facts.looking = 12s;
  EXPECT_NE(answer_peers(facts).text.find("12 s"), std::string::npos);
  facts.view.refused = 4;
  facts.view.last_refusal = PeerRefusal::wrong_key;
  EXPECT_NE(answer_peers(facts).text.find("4 connections"), std::string::npos);
  EXPECT_NE(answer_peers(facts).text.find("key"), std::string::npos);
  facts.connected = 1;
  EXPECT_EQ(answer_peers(facts).text, "1 peer is connected");
  facts = {
      .file = kPlain, .in_use = true, .swarm = SwarmReadiness::missing, .trouble = "no module"};
  EXPECT_EQ(answer_peers(facts).text, "no module");
}

TEST(PeersAnswer, BeforeAFileIsInUseOnlyWhatPeopleDecidedIsTold) {
  EXPECT_EQ(peers_reason({.file = {}}), PeersReason::idle) << "the manifest may yet be found";
  EXPECT_EQ(peers_reason({.file = {.asked = false}}), PeersReason::not_asked);
  EXPECT_EQ(peers_reason({.file = {.credentials = true}}), PeersReason::private_content);
  EXPECT_EQ(peers_reason({.file = {.mode = DownloadMode::cdn_only}}), PeersReason::mode);
}

// ---- who may have peers at all -----------------------------------------------------------------

// Every combination of facts, against the rule said in another way.
TEST(PeersBarrier, LetsThroughExactlyWhatMayBeShared) {
  int through = 0;
  for (unsigned bits = 0; bits < 1U << 7U; ++bits) {
    for (const DownloadMode mode : {DownloadMode::cdn_only, DownloadMode::lan, DownloadMode::group,
                                    DownloadMode::simple, DownloadMode::bypass}) {
      const auto bit = [&](unsigned n) { return (bits >> n & 1U) != 0; };
      const FilePeers file{.mode = mode,
                           .asked = bit(0),
                           .searching = bit(1),
                           .credentials = bit(2),
                           .manifest = bit(3),
                           .permitted = bit(4),
                           .found_private = bit(5),
                           .empty = bit(6)};
      const bool secret = (file.credentials || file.found_private) && !file.permitted;
      const bool may = rules_of(mode).peers && file.asked && file.manifest && !file.searching &&
                       !file.empty && !secret;
      EXPECT_EQ(!peers_barrier(file), may) << bits << " " << to_string(mode);
      through += may ? 1 : 0;
    }
  }
  // Two modes; permitted with all four sorts of secrets, or without any.
  EXPECT_EQ(through, 2 * (4 + 1));
}

TEST(PeersBarrier, APermissionWithoutAManifestIsNone) {
  EXPECT_EQ(peers_barrier({.credentials = true, .manifest = false, .permitted = true}),
            PeersReason::private_content);
}

}  // namespace
}  // namespace lanward::core
