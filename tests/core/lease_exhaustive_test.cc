// Three schedulers, four pieces, and every order in which messages may arrive within the settling
// time: all schedules with one unusual step, then with two, as far as the budget goes. The same
// again with one machine dying in silence at any step. A scheduler cannot be copied, so each
// schedule is played from the start.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "engine/core/prng.h"
#include "engine/core/scheduler.h"
#include "tests/core/lease_conduct.h"
#include "tests/core/lease_world.h"

namespace lanward::core {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMachines = 3;
constexpr std::uint32_t kPieces = 4;
constexpr Duration kMessageMin = 1ms;
// The longest that a message takes: just within the settling time.
const Duration kMessageMax = Policy{}.lease_settle - 1ms;
constexpr Duration kOriginPiece = 60ms;
constexpr Duration kLanPiece = 5ms;
constexpr Duration kSilenceNoticed = 1500ms;
constexpr Duration kEnough = 60s;

// A schedule: which alternative was taken where it was not the first.
using Deviations = std::vector<std::pair<std::uint32_t, std::uint32_t>>;

struct Play {
  std::vector<std::uint32_t> alternatives;  // per choice
  std::optional<std::string> violation;
  std::uint64_t deliveries = 0;
  std::uint64_t claims = 0;
  bool died = false;
};

class SmallWorld {
 public:
  SmallWorld(const Deviations& deviations, std::uint64_t seed, bool one_dies)
      : deviations_(deviations), seed_(seed), may_die_(one_dies) {}

  Play play() {
    for (std::size_t i = 0; i < kMachines; ++i) start(i);
    for (std::size_t i = 0; i < kMachines; ++i) {
      for (std::size_t j = 0; j < kMachines; ++j) {
        if (i == j) continue;
        letters_[j][i].push_back({now_, PeerJoined{source(j), "10.0.0.1:1", {}, true}});
        letters_[j][i].push_back({now_, PeerHasPieces{source(j), PieceSet(kPieces)}});
      }
    }
    const Instant end = now_ + kEnough;
    while (!play_.violation && !complete() && now_ < end) {
      if (!advance()) break;
      may_kill();
      for (std::size_t i = 0; i < kMachines && !play_.violation; ++i) round(i);
    }
    if (!play_.violation) judge();
    return std::move(play_);
  }

 private:
  struct Timer {
    std::size_t machine;
    std::function<void()> what;
  };
  struct Letter {
    Instant sent;
    Event event;
  };
  struct Machine {
    std::unique_ptr<Scheduler> scheduler;
    bool alive = true;
    std::optional<Instant> wake;
    PieceSet verified{kPieces};
    PieceSet allowed{kPieces};
    PieceSet coming{kPieces};  // from a peer
    PieceSet asked{kPieces};   // from the origin, and not yet here
    std::array<PieceSet, kMachines> has{PieceSet(kPieces), PieceSet(kPieces), PieceSet(kPieces)};
    std::map<RequestId, ByteSpan> ranges;
    std::map<std::uint32_t, ClaimMode> runs;
    PieceSet hedged{kPieces};
    std::array<std::uint64_t, kMachines> received{};
  };

  static SourceId source(std::size_t i) {
    return SourceId{kFirstPeerSource + static_cast<std::uint32_t>(i)};
  }

  // ---- what may happen next ----

  std::uint32_t choose(std::size_t alternatives) {
    if (alternatives <= 1) return 0;
    const auto at = static_cast<std::uint32_t>(play_.alternatives.size());
    play_.alternatives.push_back(static_cast<std::uint32_t>(alternatives));
    if (next_deviation_ < deviations_.size() && deviations_[next_deviation_].first == at) {
      return deviations_[next_deviation_++].second;
    }
    return 0;
  }
  // To the next moment at which something can or must happen.
  bool advance() {
    std::optional<Instant> next;
    const auto by = [&](Instant at) {
      if (!next || at < *next) next = at;
    };
    for (const auto& [at, timer] : timers_) by(at);
    for (std::size_t i = 0; i < kMachines; ++i) {
      if (machines_[i].alive && machines_[i].wake) by(std::max(*machines_[i].wake, now_));
      for (std::size_t from = 0; from < kMachines; ++from) {
        if (letters_[from][i].empty() || !machines_[i].alive) continue;
        const Instant sent = letters_[from][i].front().sent;
        by(sent + kMessageMin > now_ ? sent + kMessageMin : sent + kMessageMax);
      }
    }
    if (!next) return false;
    // Time passes: a scheduler that asks to be woken at once does not stop the world.
    now_ = std::max(*next, now_ + Duration{1});
    return true;
  }
  void may_kill() {
    if (!may_die_ || play_.died) return;
    const std::uint32_t victim = choose(kMachines + 1);
    if (victim == 0) return;
    Machine& m = machines_[victim - 1];
    m.alive = false;
    m.ranges.clear();
    play_.died = true;
    for (std::size_t i = 0; i < kMachines; ++i) {
      later(i, kSilenceNoticed, [this, i, victim] {
        machines_[i].has[victim - 1] = PieceSet(kPieces);
        fact(i, PeerLeft{source(victim - 1)});
      });
    }
  }
  // Everything that reaches one machine at this moment, in any order. What reaches the others at
  // the same moment cannot be told apart from before or after it: answers take time.
  void round(std::size_t i) {
    while (!play_.violation) {
      std::vector<std::function<void()>> options;
      bool must = false;
      for (std::size_t from = 0; from < kMachines; ++from) {
        auto& queue = letters_[from][i];
        if (queue.empty() || queue.front().sent + kMessageMin > now_) continue;
        must = must || queue.front().sent + kMessageMax <= now_;
        options.emplace_back([this, i, from] { deliver(from, i); });
      }
      const auto due = std::find_if(timers_.begin(), timers_.end(), [&](const auto& t) {
        return t.first <= now_ && t.second.machine == i;
      });
      if (due != timers_.end()) {
        must = true;
        options.emplace_back([this, due] {
          const auto what = due->second.what;
          timers_.erase(due);
          what();
        });
      }
      if (machines_[i].alive && machines_[i].wake && *machines_[i].wake <= now_ &&
          ticked_[i] != now_) {
        must = true;
        options.emplace_back([this, i] {
          ticked_[i] = now_;
          fact(i, Tick{});
        });
      }
      if (options.empty()) return;
      const std::uint32_t choice = choose(options.size() + (must ? 0 : 1));
      if (choice == options.size()) return;
      options[choice]();
    }
  }
  void deliver(std::size_t from, std::size_t to) {
    const Letter letter = letters_[from][to].front();
    letters_[from][to].pop_front();
    ++play_.deliveries;
    if (const auto* news = std::get_if<PeerHasPiece>(&letter.event)) {
      machines_[to].has[from].insert(news->piece);
    }
    fact(to, letter.event);
  }
  void later(std::size_t i, Duration delay, std::function<void()> what) {
    timers_.emplace(now_ + delay, Timer{i, std::move(what)});
  }

  // ---- machines ----

  void start(std::size_t i) {
    Machine& m = machines_[i];
    const PieceLayout layout(ByteCount{std::uint64_t{kPieces} * kLeasePieceBytes},
                             kLeasePieceBytes);
    m.scheduler = std::make_unique<Scheduler>(
        Content{.id = {}, .layout = layout, .piece_hashes = std::vector<Digest>(kPieces)},
        SchedulerOptions{.policy = {},
                         .have = PieceSet(kPieces),
                         .origins = {{.url = "http://cdn/file"}},
                         .peers_possible = true,
                         .peers_expected = true},
        Seed{mix64(seed_ * kMachines + i)}, now_);
    drain(i);
  }
  void fact(std::size_t i, const Event& event) {
    Machine& m = machines_[i];
    if (!m.alive || play_.violation) return;
    m.scheduler->handle(event, now_);
    drain(i);
  }
  void drain(std::size_t i) {
    Machine& m = machines_[i];
    while (auto command = m.scheduler->poll_command(now_)) {
      if (const auto* fetch = std::get_if<FetchRange>(&*command)) {
        ask(i, *fetch);
      } else if (const auto* cancel = std::get_if<CancelRequest>(&*command)) {
        release(i, cancel->request);
      } else if (const auto* allow = std::get_if<AllowFromPeers>(&*command)) {
        for (auto p = allow->pieces.begin; p < allow->pieces.end; ++p) m.allowed.insert(p);
      } else if (const auto* keep = std::get_if<ReserveForOrigin>(&*command)) {
        for (auto p = keep->pieces.begin; p < keep->pieces.end; ++p) {
          m.allowed.erase(p);
          m.coming.erase(p);
        }
      } else if (const auto* say = std::get_if<SendMessage>(&*command)) {
        tell(i, *say);
      } else if (const auto* end = std::get_if<GiveUp>(&*command)) {
        violate(i, "gives up: " + end->error.message);
      }
    }
    m.wake = m.scheduler->next_wakeup();
    if (!m.verified.full() && !m.wake) violate(i, "L4: no wake-up is set");
    pull_from_peers(i);
  }
  void tell(std::size_t i, const SendMessage& say) {
    if (const auto* claim = std::get_if<Claim>(&say.message)) {
      ++play_.claims;
      machines_[i].runs.emplace(claim->run, claim->mode);
      if (claim->mode == ClaimMode::hedge) {
        for (auto p = claim->pieces.begin; p < claim->pieces.end; ++p) {
          machines_[i].hedged.insert(p);
        }
      }
    }
    for (const SourceId to : say.to) {
      letters_[i][to.value - kFirstPeerSource].push_back(
          {now_, PeerMessage{source(i), say.message}});
    }
  }
  void ask(std::size_t i, const FetchRange& fetch) {
    Machine& m = machines_[i];
    m.ranges[fetch.request] = fetch.span;
    Duration wait{0};
    for (std::uint64_t at = fetch.span.begin; at < fetch.span.end; at += kLeasePieceBytes) {
      const PieceIndex p{static_cast<std::uint32_t>(at / kLeasePieceBytes)};
      if (m.verified.contains(p) || !m.asked.insert(p)) violate(i, "S1: asks for what it has");
      if (!m.hedged.contains(p)) ++asked_[p.value];
      if (!play_.died && asked_[p.value] > 1) {
        violate(i, "S3: piece " + std::to_string(p.value) + " is asked for twice");
      }
      wait += kOriginPiece;
      later(i, wait, [this, i, p, request = fetch.request] { arrives(i, request, p); });
    }
  }
  void release(std::size_t i, RequestId request) {
    Machine& m = machines_[i];
    const auto it = m.ranges.find(request);
    if (it == m.ranges.end()) return;
    for (std::uint64_t at = it->second.begin; at < it->second.end; at += kLeasePieceBytes) {
      m.asked.erase(PieceIndex{static_cast<std::uint32_t>(at / kLeasePieceBytes)});
    }
    m.ranges.erase(it);
  }
  void arrives(std::size_t i, RequestId request, PieceIndex piece) {
    Machine& m = machines_[i];
    const auto it = m.ranges.find(request);
    if (it == m.ranges.end() || !m.alive) return;
    const std::uint64_t end = std::uint64_t{piece.value + 1} * kLeasePieceBytes;
    const bool last = end == it->second.end;
    if (last) m.ranges.erase(it);
    fact(i, RangeProgressed{request, end});
    if (last) fact(i, RangeFinished{request});
    verify(i, piece, SourceId{0});
  }
  void verify(std::size_t i, PieceIndex piece, SourceId from) {
    Machine& m = machines_[i];
    if (!m.verified.insert(piece)) return;
    m.asked.erase(piece);
    m.coming.erase(piece);
    fact(i, PieceVerified{piece, {from}});
    for (std::size_t to = 0; to < kMachines; ++to) {
      if (to != i) letters_[i][to].push_back({now_, PeerHasPiece{source(i), piece}});
    }
  }
  void pull_from_peers(std::size_t i) {
    Machine& m = machines_[i];
    for (std::size_t from = 0; from < kMachines; ++from) {
      for (auto p = m.has[from].next(PieceIndex{0}); p; p = m.has[from].next(*p + 1)) {
        if (!machines_[from].alive || !m.allowed.contains(*p) || m.verified.contains(*p)) continue;
        if (!m.coming.insert(*p)) continue;
        later(i, kLanPiece, [this, i, from, piece = *p] {
          Machine& to = machines_[i];
          if (!to.alive || !to.coming.erase(piece) || !machines_[from].alive) return;
          to.received[from] += kLeasePieceBytes;
          fact(i, PeerProgressed{source(from), ByteCount{to.received[from]}, {}, {}});
          verify(i, piece, source(from));
        });
      }
    }
  }

  // ---- the rules ----

  [[nodiscard]] bool complete() const {
    return std::all_of(machines_.begin(), machines_.end(),
                       [](const Machine& m) { return !m.alive || m.verified.full(); });
  }
  void judge() {
    if (!complete()) violate(0, "L5: unfinished after " + text(kEnough));
  }
  void violate(std::size_t i, const std::string& what) {
    if (play_.violation) return;
    play_.violation =
        "machine " + std::to_string(i) + " at " + text(now_.time_since_epoch()) + ": " + what;
  }

  const Deviations deviations_;
  const std::uint64_t seed_;
  const bool may_die_;
  std::size_t next_deviation_ = 0;
  Instant now_{1s};
  std::array<Machine, kMachines> machines_;
  std::array<std::array<std::deque<Letter>, kMachines>, kMachines> letters_;
  std::multimap<Instant, Timer> timers_;
  std::array<Instant, kMachines> ticked_{};
  std::array<std::uint32_t, kPieces> asked_{};
  Play play_;
};

struct Explored {
  std::uint64_t schedules = 0;
  std::uint64_t deliveries = 0;
  std::uint64_t claims = 0;
  std::size_t all_up_to = 1000;  // unusual steps: every such schedule was played
  std::size_t choices = 0;       // in the usual schedule
};

// Schedules by number of unusual steps; stops at the first that breaks a rule, or at the budget.
Explored explore(std::uint64_t seed, bool one_dies, std::uint64_t budget) {
  Explored explored;
  std::deque<Deviations> todo{{}};
  while (!todo.empty() && explored.schedules < budget) {
    const Deviations deviations = std::move(todo.front());
    todo.pop_front();
    const Play play = SmallWorld(deviations, seed, one_dies).play();
    if (explored.schedules++ == 0) explored.choices = play.alternatives.size();
    explored.deliveries += play.deliveries;
    explored.claims += play.claims;
    if (play.violation) {
      std::string schedule;
      for (const auto& [at, taken] : deviations) {
        schedule += " " + std::to_string(at) + ":" + std::to_string(taken);
      }
      ADD_FAILURE() << *play.violation << "\nseed " << seed << ", schedule" << schedule;
      return explored;
    }
    const auto first = deviations.empty() ? 0U : deviations.back().first + 1;
    for (auto at = first; at < play.alternatives.size(); ++at) {
      if (todo.size() + explored.schedules >= budget) {
        explored.all_up_to = std::min(explored.all_up_to, deviations.size());
        break;
      }
      for (std::uint32_t other = 1; other < play.alternatives[at]; ++other) {
        todo.push_back(deviations);
        todo.back().emplace_back(at, other);
      }
    }
  }
  return explored;
}

// Schedules per seed: some seconds in all.
constexpr std::uint64_t kBudget = 16000;

void explore_and_tell(std::uint64_t seed, bool one_dies, std::uint64_t budget) {
  const Explored e = explore(seed, one_dies, budget);
  std::cout << e.schedules << " schedules, all with up to " << e.all_up_to
            << " unusual steps among them, " << e.choices << " choices in the usual one, "
            << e.deliveries << " messages delivered, " << e.claims << " claims\n";
  if (testing::Test::HasFailure()) return;
  // Were it far fewer, the world would have stopped offering choices.
  EXPECT_GE(e.schedules, budget / 2);
  EXPECT_GE(e.all_up_to, 1U);
  EXPECT_GE(e.choices, 20U);
  EXPECT_GE(e.claims, e.schedules * 2);
}

TEST(LeaseExhaustive, EveryPieceIsAskedForOnceInWhateverOrderMessagesArrive) {
  for (std::uint64_t seed = 1; seed <= 2; ++seed) explore_and_tell(seed, false, kBudget);
}

TEST(LeaseExhaustive, TheOthersFinishWhoeverDiesAndWhenever) {
  for (std::uint64_t seed = 1; seed <= 2; ++seed) explore_and_tell(seed, true, kBudget);
}

}  // namespace
}  // namespace lanward::core
