// The contract of origins, kept by the fake that the tests of jobs believe in.
#include "tests/contract/origin_contract.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "tests/support/fake_origins.h"

namespace lanward::test {
namespace {

constexpr const char* kUrl = "http://o/f";

// Answers the requests in turn while somebody waits.
class FakeOriginWorld final : public OriginWorld {
 public:
  [[nodiscard]] ports::OriginSource& source() override { return origins_; }
  [[nodiscard]] std::string file_url() const override { return kUrl; }
  [[nodiscard]] std::string missing_url() const override { return "http://o/missing"; }
  [[nodiscard]] std::unique_ptr<Receiver> make_receiver() override {
    // The fake serves zeros.
    return std::make_unique<PayloadReceiver>(
        watch, std::make_shared<const std::string>(kOriginFileBytes, '\0'));
  }
  [[nodiscard]] bool wait(const std::function<bool()>& condition) override {
    while (!condition()) {
      if (origins_.open.empty()) return false;
      answer();
    }
    return true;
  }

 private:
  void answer() {
    const testing::FakeOrigins::Request& request = origins_.oldest();
    if (request.url != kUrl) return origins_.fail(core::FailureClass::permanent);
    if (request.kind == "range") return origins_.serve();
    core::OriginFacts facts;
    facts.url = kUrl;
    facts.size_known = true;
    facts.size = core::ByteCount{kOriginFileBytes};
    facts.ranges = true;
    facts.strong_etag = kOriginFileTag;
    origins_.answer_probe(facts);
  }

  testing::FakeOrigins origins_;
};

// The fake serves a range in full or not at all, and knows nothing of the file.
constexpr std::array<std::string_view, 8> kBeyondTheFake{
    "ARangeCancelledOnItsWayGivesNoFactAndNoByteAfterwards",
    "DestroyingTheClientStopsARangeOnItsWay",
    "AFullSinkPausesTheRangeUntilItIsContinued",
    "ASinkThatClosesOnTheWayFailsTheRequestOnOurSide",
    "AnotherFileThanExpectedHasChanged",
    "ALimitHoldsForAllRangesOfAClientTogether",
    "ALimitThatIsLiftedFreesARangeOnItsWay",
    "ALowerLimitReachesARangeOnItsWay",
};

std::unique_ptr<OriginWorld> make_fake_world() {
  const std::string_view full = ::testing::UnitTest::GetInstance()->current_test_info()->name();
  const std::string_view name = full.substr(0, full.find('/'));
  if (std::find(kBeyondTheFake.begin(), kBeyondTheFake.end(), name) != kBeyondTheFake.end()) {
    [] { GTEST_SKIP() << "the fake serves a range in full or not at all, whatever the file"; }();
    return nullptr;
  }
  return std::make_unique<FakeOriginWorld>();
}

INSTANTIATE_TEST_SUITE_P(FakeOrigins, OriginContract, ::testing::Values(&make_fake_world));

}  // namespace
}  // namespace lanward::test
