#include "peer/swarm.h"

#include <gtest/gtest.h>

#include "tests/peer/fixture.h"

namespace lanward::test {
namespace {

TEST(LibtorrentSwarm, MovesAWholeFileFromPeerToPeer) {
  const TestFile file = TestFile::make(8 * core::kMiB + 12345, 256 * 1024, 1);
  TestPeer seed(file), leech(file);
  seed.put_all();
  seed.join();
  leech.join({seed.address()});
  leech.allow_all();
  ASSERT_TRUE(leech.complete());
  EXPECT_EQ(leech.store->bytes(), file.bytes);
}

}  // namespace
}  // namespace lanward::test
