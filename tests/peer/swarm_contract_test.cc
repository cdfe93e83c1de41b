// The contract of swarms, between libtorrent sessions of this process.
#include "tests/contract/swarm_contract.h"

#include <deque>

#include "tests/peer/fixture.h"

namespace lanward::test {
namespace {

constexpr std::uint32_t kPieceBytes = 64 * 1024;

class LibtorrentWorld;

class LibtorrentPeer final : public Peer {
 public:
  LibtorrentPeer(LibtorrentWorld& world, const TestFile& file);

  void join() override;
  [[nodiscard]] ports::SwarmMember& member() override { return *member_; }
  [[nodiscard]] const ports::ContentStore& store() const override { return *store_; }
  void put(core::PieceIndex piece) override { store_->put(piece, file_.bytes); }

  // What is verified is announced by the thread of the test, which stands for the loop.
  void announce_pending();
  // Guarded by the watch.
  std::deque<core::PieceIndex> pending;

 private:
  [[nodiscard]] ports::FactSink sink();

  LibtorrentWorld& world_;
  const TestFile& file_;
  std::shared_ptr<MemoryStore> store_;
  std::unique_ptr<peer::LibtorrentSwarm> swarm_;
  std::unique_ptr<ports::SwarmMember> member_;
};

class LibtorrentWorld final : public SwarmWorld {
 public:
  ~LibtorrentWorld() override { peers_.clear(); }

  [[nodiscard]] Peer& add() override {
    peers_.push_back(std::make_unique<LibtorrentPeer>(*this, file_));
    return *peers_.back();
  }
  [[nodiscard]] const core::PieceLayout& layout() const override {
    return file_.manifest.content.layout;
  }
  [[nodiscard]] bool wait(const std::function<bool()>& condition) override {
    bool holds = false;
    while (!holds) {
      const bool woken = watch.wait([&] {
        holds = condition();
        return holds || std::any_of(peers_.begin(), peers_.end(),
                                    [](const auto& peer) { return !peer->pending.empty(); });
      });
      if (!woken) return false;
      for (const auto& peer : peers_) peer->announce_pending();
    }
    return true;
  }

  [[nodiscard]] const char* why_no_leases() const override { return nullptr; }

  std::vector<std::string> addresses;  // of those that have joined

 private:
  const TestFile file_ = TestFile::make(kSwarmPieces * kPieceBytes - 20'001, kPieceBytes, 1);
  std::vector<std::unique_ptr<LibtorrentPeer>> peers_;
};

LibtorrentPeer::LibtorrentPeer(LibtorrentWorld& world, const TestFile& file)
    : world_(world),
      file_(file),
      store_(std::make_shared<MemoryStore>(file.manifest.content, sink())) {
  peer::SwarmOptions options;
  options.listen = "127.0.0.1:0";
  options.local_discovery = false;
  auto made = peer::LibtorrentSwarm::create(options);
  EXPECT_TRUE(made) << made.error().message;
  if (made) swarm_ = std::move(*made);
}

ports::FactSink LibtorrentPeer::sink() {
  return [this](core::Event event) {
    world_.watch.change([&] {
      if (const auto* fact = std::get_if<core::PieceVerified>(&event)) {
        pending.push_back(fact->piece);
      }
      facts.push_back(std::move(event));
    });
  };
}

void LibtorrentPeer::join() {
  announce_pending();  // it is among what the store has already
  const std::string own = "127.0.0.1:" + std::to_string(swarm_->listen_port().value_or(0));
  std::vector<std::string> others = world_.addresses;
  std::erase(others, own);
  member_ = swarm_->join({file_.manifest, store_, others, {}}, sink());
  if (others.size() == world_.addresses.size()) world_.addresses.push_back(own);
}

void LibtorrentPeer::announce_pending() {
  std::deque<core::PieceIndex> pieces;
  world_.watch.change([&] { pieces.swap(pending); });
  if (member_ == nullptr) return;
  for (const core::PieceIndex piece : pieces) member_->announce(piece);
}

std::unique_ptr<SwarmWorld> make_world() { return std::make_unique<LibtorrentWorld>(); }

INSTANTIATE_TEST_SUITE_P(LibtorrentSwarm, SwarmContract, testing::Values(&make_world));

}  // namespace
}  // namespace lanward::test
