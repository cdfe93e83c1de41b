#include "simulator/network.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <vector>

#include "engine/core/prng.h"

namespace lanward::simulator {
namespace {

constexpr std::uint64_t kMB = 1'000'000;

double seconds(core::Instant t) { return std::chrono::duration<double>(t - kStart).count(); }

class NetworkTest : public ::testing::Test {
 protected:
  LinkId link(std::uint64_t bytes_per_s) { return network_.add_link(core::ByteRate{bytes_per_s}); }
  // A flow whose finish is noted under its name.
  FlowId flow(char name, std::vector<LinkId> path, std::uint64_t bytes) {
    return network_.start(path, core::ByteCount{bytes}, [this, name]() -> std::uint64_t {
      finished_[name] = seconds(queue_.now());
      order_ += name;
      return 0;
    });
  }
  void run() {
    while (queue_.step()) {
    }
  }

  EventQueue queue_;
  Network network_{queue_};
  std::map<char, double> finished_;
  std::string order_;
};

TEST_F(NetworkTest, OneFlowTakesItsBytesOverTheRateOfTheNarrowestLink) {
  flow('a', {link(10 * kMB), link(4 * kMB)}, 8 * kMB);
  run();
  EXPECT_NEAR(finished_['a'], 2.0, 1e-6);
}

//  a: 10 MB ==|
//             |== 10 MB/s      until 1 s each has 5 MB/s; b is through with its 5 MB,
//  b:  5 MB ==|                a has the link alone for its last 5 MB
TEST_F(NetworkTest, TwoFlowsShareALinkAndTheSurvivorTakesItAll) {
  const LinkId shared = link(10 * kMB);
  const FlowId a = flow('a', {shared}, 10 * kMB);
  flow('b', {shared}, 5 * kMB);
  EXPECT_EQ(network_.rate(a).value, 5 * kMB);
  run();
  EXPECT_NEAR(finished_['b'], 1.0, 1e-6);
  EXPECT_NEAR(finished_['a'], 1.5, 1e-6);
  EXPECT_EQ(network_.carried(shared).value, 15 * kMB);
}

//  a --[12]--+
//  b --[12]--+--[9]--   c is held to 1 by its own link: a and b share what it leaves, 4 each
//  c --[ 1]--+
TEST_F(NetworkTest, GivesWhatANarrowFlowLeavesToTheOthers) {
  const LinkId shared = link(9 * kMB);
  const FlowId a = flow('a', {link(12 * kMB), shared}, kMB);
  const FlowId b = flow('b', {link(12 * kMB), shared}, kMB);
  const FlowId c = flow('c', {link(1 * kMB), shared}, kMB);
  EXPECT_EQ(network_.rate(a).value, 4 * kMB);
  EXPECT_EQ(network_.rate(b).value, 4 * kMB);
  EXPECT_EQ(network_.rate(c).value, 1 * kMB);
}

//   x: [10]     y: [4]
//  a over x and y, b over x, c over y: y splits into 2 + 2, b gets the 8 that a leaves on x
TEST_F(NetworkTest, AFlowOverTwoBottlenecksIsHeldByTheTighterOne) {
  const LinkId x = link(10 * kMB);
  const LinkId y = link(4 * kMB);
  const FlowId a = flow('a', {x, y}, kMB);
  const FlowId b = flow('b', {x}, kMB);
  const FlowId c = flow('c', {y}, kMB);
  EXPECT_EQ(network_.rate(a).value, 2 * kMB);
  EXPECT_EQ(network_.rate(b).value, 8 * kMB);
  EXPECT_EQ(network_.rate(c).value, 2 * kMB);
}

TEST_F(NetworkTest, FlowsThatFinishTogetherDoSoInTheOrderOfStarting) {
  const LinkId shared = link(6 * kMB);
  for (const char name : {'a', 'b', 'c'}) flow(name, {shared}, kMB);
  run();
  EXPECT_EQ(order_, "abc");
}

TEST_F(NetworkTest, AStoppedFlowTellsWhatHasPassedAndFreesItsShare) {
  const LinkId shared = link(10 * kMB);
  const FlowId a = flow('a', {shared}, 10 * kMB);
  flow('b', {shared}, 10 * kMB);
  core::ByteCount passed;
  queue_.after(std::chrono::seconds{1}, [&] { passed = network_.stop(a); });
  run();
  EXPECT_EQ(passed.value, 5 * kMB);
  EXPECT_FALSE(finished_.contains('a'));
  EXPECT_NEAR(finished_['b'], 1.5, 1e-6);
  EXPECT_EQ(network_.carried(shared).value, 15 * kMB);
  EXPECT_EQ(network_.stop(a).value, 0U);
}

TEST_F(NetworkTest, AFlowGoesOnWhileItsOwnerHasMoreBytes) {
  const LinkId only = link(kMB);
  std::vector<double> stretches;
  network_.start(std::array{only}, core::ByteCount{kMB}, [&]() -> std::uint64_t {
    stretches.push_back(seconds(queue_.now()));
    return stretches.size() < 3 ? kMB : 0;
  });
  run();
  ASSERT_EQ(stretches.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(stretches[i], static_cast<double>(i + 1), 1e-6);
  }
}

TEST_F(NetworkTest, ADeadLinkHoldsItsFlowsUntilItComesBack) {
  const LinkId only = link(kMB);
  flow('a', {only}, 2 * kMB);
  queue_.after(std::chrono::seconds{1}, [&] { network_.set_capacity(only, core::ByteRate{0}); });
  queue_.after(std::chrono::seconds{5}, [&] { network_.set_capacity(only, core::ByteRate{kMB}); });
  run();
  EXPECT_NEAR(finished_['a'], 6.0, 1e-6);
}

TEST_F(NetworkTest, ACallbackMayStopItsNeighbourOfTheSameInstant) {
  const LinkId shared = link(2 * kMB);
  FlowId b;
  network_.start(std::array{shared}, core::ByteCount{kMB}, [&]() -> std::uint64_t {
    EXPECT_EQ(network_.stop(b).value, kMB);
    return 0;
  });
  b = flow('b', {shared}, kMB);
  run();
  EXPECT_FALSE(finished_.contains('b'));
}

// The definition of max-min fairness: every flow crosses a link that is full and on which nobody
// has more. Drawn from a seed: up to 12 links, up to 40 flows, some of them stopped again.
TEST_F(NetworkTest, EveryFlowHasABottleneckOnDrawnTopologies) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    core::Prng prng(core::Seed{seed});
    EventQueue queue;
    Network network(queue);
    std::vector<std::uint64_t> capacity(2 + prng.below(11));
    for (std::uint64_t& c : capacity) {
      c = 1'000'000 + prng.below(100'000'000);
      static_cast<void>(network.add_link(core::ByteRate{c}));
    }
    std::map<FlowId, std::set<std::uint32_t>> flows;
    const std::uint64_t count = 1 + prng.below(40);
    for (std::uint64_t i = 0; i < count; ++i) {
      std::set<std::uint32_t> path;
      const std::uint64_t length = 1 + prng.below(kPathLinksMax);
      for (std::uint64_t k = 0; k < length; ++k) {
        path.insert(static_cast<std::uint32_t>(prng.below(capacity.size())));
      }
      std::vector<LinkId> links;
      for (const std::uint32_t l : path) links.emplace_back(l);
      flows[network.start(links, core::ByteCount{1ULL << 40U}, [] { return 0; })] = path;
    }
    while (flows.size() > 1 && prng.below(3) == 0) {
      network.stop(flows.begin()->first);
      flows.erase(flows.begin());
    }
    std::vector<std::uint64_t> used(capacity.size(), 0);
    std::vector<std::uint64_t> most(capacity.size(), 0);
    for (const auto& [id, path] : flows) {
      for (const std::uint32_t l : path) {
        used[l] += network.rate(id).value;
        most[l] = std::max(most[l], network.rate(id).value);
      }
    }
    for (std::size_t l = 0; l < capacity.size(); ++l) EXPECT_LE(used[l], capacity[l]);
    for (const auto& [id, path] : flows) {
      const std::uint64_t rate = network.rate(id).value;
      // Rates are whole bytes per second here: one byte per flow may be lost to rounding.
      const auto is_bottleneck = [&](std::uint32_t l) {
        return used[l] + flows.size() >= capacity[l] && rate + 1 >= most[l];
      };
      EXPECT_TRUE(std::any_of(path.begin(), path.end(), is_bottleneck));
    }
  }
}

// A site in which each machine downloads from a few others, `machines` in all.
struct DrawnSite {
  DrawnSite(std::uint64_t seed, std::size_t machines) : network(queue) {
    core::Prng prng(core::Seed{seed});
    for (std::size_t l = 0; l < 2 * machines; ++l) {
      capacity.push_back(50'000'000 + prng.below(100'000'000));
      static_cast<void>(network.add_link(core::ByteRate{capacity.back()}));
    }
    for (std::size_t m = 0; m < machines; ++m) {
      for (std::uint64_t k = 1 + prng.below(5); k > 0; --k) {
        const std::size_t from = prng.below(machines);
        paths.push_back(
            {static_cast<std::uint32_t>(from), static_cast<std::uint32_t>(machines + m)});
        const std::array links{LinkId{paths.back()[0]}, LinkId{paths.back()[1]}};
        flows.push_back(network.start(links, core::ByteCount{1ULL << 40U}, [] { return 0; }));
      }
    }
  }
  // Textbook progressive filling: raise all rates together, freeze those whose link is full.
  [[nodiscard]] std::vector<double> exact() const {
    std::vector<double> rates(paths.size(), -1);
    std::vector<double> left(capacity.begin(), capacity.end());
    for (std::size_t done = 0; done < paths.size();) {
      std::vector<double> open(capacity.size(), 0);
      for (std::size_t f = 0; f < paths.size(); ++f) {
        if (rates[f] < 0) {
          for (const std::uint32_t l : paths[f]) open[l] += 1;
        }
      }
      std::size_t tightest = 0;
      double level = 1e18;
      for (std::size_t l = 0; l < capacity.size(); ++l) {
        if (open[l] > 0 && left[l] / open[l] < level) {
          level = left[l] / open[l];
          tightest = l;
        }
      }
      for (std::size_t f = 0; f < paths.size(); ++f) {
        if (rates[f] >= 0 || std::count(paths[f].begin(), paths[f].end(), tightest) == 0) continue;
        rates[f] = level;
        ++done;
        for (const std::uint32_t l : paths[f]) left[l] -= level;
      }
    }
    return rates;
  }

  EventQueue queue;
  Network network;
  std::vector<std::uint64_t> capacity;
  std::vector<std::array<std::uint32_t, 2>> paths;
  std::vector<FlowId> flows;
};

TEST(NetworkOfASite, IsWithinTwoPercentOfTheExactSharesInSmallSites) {
  for (const std::size_t machines : {5U, 20U, 100U}) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      SCOPED_TRACE("machines " + std::to_string(machines) + " seed " + std::to_string(seed));
      DrawnSite site(seed, machines);
      const std::vector<double> expected = site.exact();
      for (std::size_t f = 0; f < site.flows.size(); ++f) {
        const auto rate = static_cast<double>(site.network.rate(site.flows[f]).value);
        EXPECT_NEAR(rate, expected[f], expected[f] * 0.02);
      }
    }
  }
}

TEST(NetworkOfASite, IsCloseToTheExactSharesInLargeSites) {
  DrawnSite site(1, 2000);
  const std::vector<double> expected = site.exact();
  EXPECT_FALSE(site.queue.run_until([] { return false; }, kStart + std::chrono::milliseconds{10},
                                    1'000'000));
  double off = 0;
  double sum = 0;
  for (std::size_t f = 0; f < site.flows.size(); ++f) {
    const auto rate = static_cast<double>(site.network.rate(site.flows[f]).value);
    EXPECT_NEAR(rate, expected[f], expected[f] * 0.10);
    off += std::abs(rate - expected[f]);
    sum += expected[f];
  }
  EXPECT_LT(off / sum, 0.02);
}

TEST_F(NetworkTest, ACappedFlowLeavesTheRestToOthers) {
  const LinkId shared = link(10 * kMB);
  const FlowId a = flow('a', {shared}, 8 * kMB);
  const FlowId b = flow('b', {shared}, 8 * kMB);
  network_.set_cap(a, core::ByteRate{2 * kMB});
  EXPECT_EQ(network_.rate(a).value, 2 * kMB);
  EXPECT_EQ(network_.rate(b).value, 8 * kMB);
  EXPECT_EQ(network_.load(shared).value, 10 * kMB);
  queue_.after(std::chrono::milliseconds{500}, [&] {
    EXPECT_EQ(network_.passed(a).value, kMB);
    network_.set_cap(a, kUncapped);
  });
  run();
  // a: 1 MB, then 5 MB/s; b: 4 MB, then 5 MB/s until 1.3 s; a has 3 MB left and all of the link.
  EXPECT_NEAR(finished_['b'], 1.3, 1e-6);
  EXPECT_NEAR(finished_['a'], 1.6, 1e-6);
}

}  // namespace
}  // namespace lanward::simulator
