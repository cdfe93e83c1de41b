// The contract of origins, kept by the simulated ones in virtual time and without payload.
#include "tests/contract/origin_contract.h"

#include <string_view>

#include "simulator/event_queue.h"
#include "simulator/origin.h"
#include "tests/simulator/recorded_facts.h"

namespace lanward::test {
namespace {

constexpr const char* kUrl = "http://o/f";
constexpr auto kPieces =
    static_cast<std::uint32_t>(kOriginFileBytes / core::kCanonicalPieceBytesMin);

// Into a store of its own, which counts the blocks.
class BlockReceiver final : public Receiver {
 public:
  explicit BlockReceiver(simulator::EventQueue& queue)
      : store_(std::make_shared<simulator::SimContentStore>(
            queue, simulator::StoreSettings{}, simulator::test_manifest(kPieces).content,
            core::PieceSet(kPieces), [](const core::Event&) {})) {}

  [[nodiscard]] std::unique_ptr<ports::RangeSink> make_sink(core::ByteSpan span) override {
    return store_->open_range(core::SourceId{0}, span, {});
  }
  [[nodiscard]] std::uint64_t taken() const override {
    std::uint64_t bytes = 0;
    for (const ports::SourceLedger& line : store_->ledger()) bytes += line.received.value;
    return bytes;
  }
  // A simulated sink knows its position and cannot take bytes out of order.
  [[nodiscard]] bool holds(core::ByteSpan span) const override {
    const core::PieceLayout& layout = store_->content().layout;
    std::uint64_t inside = 0;
    for (core::PieceIndex p{0}; p.value < kPieces; ++p) {
      const core::ByteSpan piece = layout.bytes(p);
      if (piece.begin >= span.end || piece.end <= span.begin) continue;
      inside += layout.size_of(p) - store_->missing_bytes(p);
    }
    return inside == span.size().value && taken() == inside;
  }
  void close() override { store_->close(); }

 private:
  const std::shared_ptr<simulator::SimContentStore> store_;
};

class SimOriginWorld final : public OriginWorld {
 public:
  SimOriginWorld() {
    origin_.publish(kUrl, {.size = core::ByteCount{kOriginFileBytes},
                           .etag = kOriginFileTag,
                           .ranges = true,
                           .corrupt = {}});
  }
  [[nodiscard]] ports::OriginSource& source() override { return source_; }
  [[nodiscard]] std::string file_url() const override { return kUrl; }
  [[nodiscard]] std::string missing_url() const override { return "http://o/missing"; }
  [[nodiscard]] std::unique_ptr<Receiver> make_receiver() override {
    return std::make_unique<BlockReceiver>(queue_);
  }
  [[nodiscard]] core::Instant now() const override { return queue_.now(); }
  [[nodiscard]] bool wait(const std::function<bool()>& condition) override {
    constexpr std::uint64_t kEventsMax = 1'000'000;
    return queue_.run_until(condition, core::Instant::max(), kEventsMax);
  }

 private:
  simulator::EventQueue queue_;
  simulator::Network network_{queue_};
  simulator::Origin origin_{queue_, network_, network_.add_link(core::ByteRate{10'000'000}), {}};
  simulator::SimOriginSource source_{origin_, network_.add_link(core::ByteRate{100'000'000})};
};

std::unique_ptr<OriginWorld> make_sim_world() {
  const std::string_view name = testing::UnitTest::GetInstance()->current_test_info()->name();
  if (name.starts_with("AFullSinkPausesTheRange")) {
    [] { GTEST_SKIP() << "simulated writers never lag behind: no sink is ever full"; }();
    return nullptr;
  }
  return std::make_unique<SimOriginWorld>();
}

INSTANTIATE_TEST_SUITE_P(SimOriginSource, OriginContract, testing::Values(&make_sim_world));

}  // namespace
}  // namespace lanward::test
