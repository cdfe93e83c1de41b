// The contract of piece stores, as far as a store without payload can keep it.
#include <array>
#include <string_view>

#include "simulator/event_queue.h"
#include "simulator/store.h"
#include "tests/contract/content_store_contract.h"

namespace lanward::test {
namespace {

class SimStoreUnderTest final : public StoreUnderTest {
 public:
  [[nodiscard]] ports::PieceStore& store() override { return store_; }
  void restart() override {}
  [[nodiscard]] bool wait(StoreRecord& /*record*/,
                          const std::function<bool()>& condition) override {
    return queue_.run_until(condition, core::Instant::max(), kEventsMax);
  }

 private:
  static constexpr std::uint64_t kEventsMax = 1'000'000;
  simulator::EventQueue queue_;
  simulator::SimPieceStore store_{queue_, {}};
};

// These compare bytes or hashes with those written, tell wrong bytes by looking at them, or crash
// the store: nothing that a simulated one has.
constexpr std::array<std::string_view, 12> kNeedPayload{
    "VerifiesAndReadsBackARangeOfWholeFile",
    "TakesRangesInAnyOrderAndOfAnyPieces",
    "VerifiesPiecesFromBlocksInAnyOrder",
    "RefusesABadPieceNamesItsSourcesAndTakesAGoodOne",
    "RefusesABadPieceOfARange",
    "VerifiesAFileOfOnePieceAndOneByte",
    "CountsPiecesWithoutAManifestWhenTheyAreComplete",
    "ReadsOnlyVerifiedPiecesAndOnlyWithinThem",
    "TellsBlockHashesInEveryState",
    "BooksEveryByteOnceAndOnlyOnce",
    "FindsVerifiedPiecesAgainAfterARestart",
    "DeliversThePartsOneAfterTheOther",
};

void skip_what_needs_payload() {
  const std::string_view full = testing::UnitTest::GetInstance()->current_test_info()->name();
  const std::string_view name = full.substr(0, full.find('/'));
  if (std::find(kNeedPayload.begin(), kNeedPayload.end(), name) == kNeedPayload.end()) return;
  GTEST_SKIP() << "payload is not simulated";
}

std::unique_ptr<StoreUnderTest> make_sim_store() {
  skip_what_needs_payload();
  return std::make_unique<SimStoreUnderTest>();
}

INSTANTIATE_TEST_SUITE_P(SimPieceStore, ContentStoreContract, testing::Values(&make_sim_store));

}  // namespace
}  // namespace lanward::test
