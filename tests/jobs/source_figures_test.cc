#include "engine/jobs/source_figures.h"

#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

namespace lanward::jobs {
namespace {

SourceStats peer(PeerClass where, std::uint64_t received, std::uint64_t served) {
  return {.kind = SourceKind::peer,
          .name = to_string(where),
          .received_bytes = received,
          .served_bytes = served,
          .where = where};
}

TEST(SourceFigures, AreCountedByWhereThePeerIs) {
  SwarmStats stats;
  add_source(stats, {.kind = SourceKind::origin, .name = "http://cdn/", .received_bytes = 1});
  add_source(stats, peer(PeerClass::lan, 10, 20));
  add_source(stats, peer(PeerClass::lan, 1, 2));
  add_source(stats, peer(PeerClass::group, 100, 200));
  add_source(stats, peer(PeerClass::other, 1000, 2000));
  EXPECT_EQ(stats.from_http_bytes, 1U);
  EXPECT_EQ(stats.from_lan_peers_bytes, 11U);
  EXPECT_EQ(stats.to_lan_peers_bytes, 22U);
  EXPECT_EQ(stats.from_group_peers_bytes, 100U);
  EXPECT_EQ(stats.to_group_peers_bytes, 200U);
  EXPECT_EQ(stats.from_internet_peers_bytes, 1000U);
  EXPECT_EQ(stats.to_internet_peers_bytes, 2000U);
  EXPECT_EQ(stats.downloaded_bytes, 1112U);
}

TEST(SourceFigures, KeepTheClassWhenTheyAreAddedUp) {
  std::vector<SourceStats> sum;
  add_difference(sum, {peer(PeerClass::other, 7, 9)}, {peer(PeerClass::other, 2, 3)});
  ASSERT_EQ(sum.size(), 1U);
  EXPECT_EQ(sum[0].where, PeerClass::other);
  EXPECT_EQ(sum[0].received_bytes, 5U);
  EXPECT_EQ(sum[0].served_bytes, 6U);
}

}  // namespace
}  // namespace lanward::jobs
