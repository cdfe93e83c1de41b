// The contract of swarms, kept by the simulated site in virtual time.
#include "tests/contract/swarm_contract.h"

#include "simulator/swarm.h"
#include "tests/simulator/recorded_facts.h"

namespace lanward::test {
namespace {

struct Lan {
  simulator::EventQueue queue;
  simulator::Network network{queue};
  simulator::Site site{queue, network, {}, core::Seed{1}};
  const core::Manifest manifest = simulator::test_manifest(kSwarmPieces, 20'001);
};

class SimPeer final : public Peer {
 public:
  SimPeer(Lan& lan, Watch& watch, std::uint32_t host)
      : lan_(lan),
        watch_(watch),
        loop_(lan.queue),
        swarm_(lan.site, loop_,
               {host, lan.network.add_link(core::ByteRate{100'000'000}),
                lan.network.add_link(core::ByteRate{100'000'000})}),
        store_(std::make_shared<simulator::SimContentStore>(lan.queue, simulator::StoreSettings{},
                                                            lan.manifest.content,
                                                            core::PieceSet(kSwarmPieces), sink())) {
  }

  void join() override { member_ = swarm_.join({lan_.manifest, store_, {}, {}}, sink()); }
  [[nodiscard]] ports::SwarmMember& member() override { return *member_; }
  [[nodiscard]] const ports::ContentStore& store() const override { return *store_; }
  void put(core::PieceIndex piece) override {
    store_->put_missing(piece, lan_.manifest.content.layout.size_of(piece), core::SourceId{0},
                        simulator::Payload::intact);
  }

 private:
  // Announces from the loop, as an engine does, not from within the store.
  [[nodiscard]] ports::FactSink sink() {
    return [this](core::Event event) {
      if (const auto* fact = std::get_if<core::PieceVerified>(&event)) {
        loop_.post([this, piece = fact->piece] {
          if (member_ != nullptr) member_->announce(piece);
        });
      }
      watch_.change([&] { facts.push_back(std::move(event)); });
    };
  }

  Lan& lan_;
  Watch& watch_;
  simulator::SimLoop loop_;
  simulator::SimSwarm swarm_;
  std::shared_ptr<simulator::SimContentStore> store_;
  std::unique_ptr<ports::SwarmMember> member_;
};

class SimWorld final : public SwarmWorld {
 public:
  [[nodiscard]] Peer& add() override {
    const auto host = static_cast<std::uint32_t>(peers_.size());
    peers_.push_back(std::make_unique<SimPeer>(lan_, watch, host));
    return *peers_.back();
  }
  [[nodiscard]] const core::PieceLayout& layout() const override {
    return lan_.manifest.content.layout;
  }
  [[nodiscard]] const char* why_no_leases() const override { return nullptr; }
  [[nodiscard]] bool wait(const std::function<bool()>& condition) override {
    constexpr std::uint64_t kEventsMax = 1'000'000;
    return lan_.queue.run_until(condition, core::Instant::max(), kEventsMax);
  }

 private:
  Lan lan_;
  std::vector<std::unique_ptr<SimPeer>> peers_;
};

std::unique_ptr<SwarmWorld> make_world() { return std::make_unique<SimWorld>(); }

INSTANTIATE_TEST_SUITE_P(SimSwarm, SwarmContract, testing::Values(&make_world));

}  // namespace
}  // namespace lanward::test
