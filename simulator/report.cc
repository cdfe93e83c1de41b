#include "simulator/report.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <optional>
#include <vector>

#include <fmt/format.h>

namespace lanward::simulator {

namespace {

// Fixed point instead of floating point: digits do not depend on a library.
std::string milli(std::uint64_t thousandths) {
  return fmt::format("{}.{:03}", thousandths / 1000, thousandths % 1000);
}

std::string seconds(core::Duration d) {
  return milli(static_cast<std::uint64_t>(d.count()) / 1'000'000);
}

std::string mebibytes(std::uint64_t bytes) {
  __extension__ typedef unsigned __int128 Wide;
  return milli(static_cast<std::uint64_t>(Wide{bytes} * 1000 / core::kMiB));
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20U) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::optional<core::Duration> duration_of(const PeerResult& peer) {
  if (!peer.transferred) return std::nullopt;
  return *peer.transferred - peer.joined;
}

// a / b in kRatioUnit, rounded.
std::uint64_t parts(std::uint64_t a, std::uint64_t b) {
  __extension__ typedef unsigned __int128 Wide;
  return b == 0 ? 0 : static_cast<std::uint64_t>((Wide{a} * kRatioUnit + b / 2) / b);
}

std::string decimal(std::uint64_t ratio) {
  return fmt::format("{}.{:04}", ratio / kRatioUnit, ratio % kRatioUnit);
}

std::string ratio(std::uint64_t a, std::uint64_t b) { return decimal(parts(a, b)); }

std::string ratio(core::Duration a, core::Duration b) {
  return ratio(static_cast<std::uint64_t>(a.count()), static_cast<std::uint64_t>(b.count()));
}

// What became of a machine, in one word.
std::string fate_of(const PeerResult& peer) {
  if (peer.adversary) {
    switch (*peer.adversary) {
      case AdversaryKind::have_liar:
        return "have_liar";
      case AdversaryKind::hog:
        return "hog";
      case AdversaryKind::fake_progress:
        return "fake_progress";
      case AdversaryKind::slow:
        break;
    }
  }
  switch (peer.fate) {
    case Fate::killed:
      return "killed";
    case Fate::left:
      return "left";
    case Fate::stayed:
      break;
  }
  return to_string(peer.state);
}

std::string joined_text(const PeerResult& peer) {
  return peer.joined == core::Instant::max() ? "-" : seconds(peer.joined - kStart);
}

std::string histogram_json(const SiteFigures& site) {
  std::string out = "[";
  for (std::size_t i = 0; i < site.run_lengths.size(); ++i) {
    out += fmt::format("{}{}", i == 0 ? "" : ",", site.run_lengths[i]);
  }
  return out + "]";
}

}  // namespace

std::string seed_line(const Scenario& scenario) { return fmt::format("seed {}\n", scenario.seed); }

std::string to_text(const SimulationResult& r) {
  const Scenario& s = r.scenario;
  std::string out;
  const auto to = std::back_inserter(out);
  fmt::format_to(to, "{} peers, {} MiB, WAN {} kbit/s, LAN {} kbit/s, round trip {} s\n\n", s.peers,
                 mebibytes(s.size.value), s.wan.value * 8 / 1000, s.lan.value * 8 / 1000,
                 seconds(s.origin.rtt));
  fmt::format_to(to, "{:>6} {:>9} {:>9} {:>7} {:>12} {:>12} {:>11}  {}\n", "peer", "joined s",
                 "took s", "ratio", "origin MiB", "peers MiB", "wasted MiB", "state");
  for (std::size_t i = 0; i < r.peers.size(); ++i) {
    const PeerResult& p = r.peers[i];
    const auto took = duration_of(p);
    fmt::format_to(to, "{:>6} {:>9} {:>9} {:>7} {:>12} {:>12} {:>11}  {}\n", i, joined_text(p),
                   took ? seconds(*took) : "-", p.ratio ? decimal(*p.ratio) : "-",
                   mebibytes(p.origin_bytes), mebibytes(p.peer_bytes), mebibytes(p.wasted_bytes),
                   fate_of(p));
  }
  fmt::format_to(to, "\norigin egress    {} bytes, {} x the file\n", r.egress.total,
                 ratio(r.egress.total, s.size.value));
  fmt::format_to(to, "LAN traffic      {} bytes\n", r.lan_bytes);
  fmt::format_to(to, "wasted           {} bytes\n", r.wasted_bytes);
  fmt::format_to(to, "makespan         {} s, {} x the bound of {} s\n", seconds(r.makespan),
                 ratio(r.makespan, r.bound), seconds(r.bound));
  fmt::format_to(to, "ratios           p50 {}, p99 {}, max {}\n", decimal(r.ratios.p50),
                 decimal(r.ratios.p99), decimal(r.ratios.max));
  fmt::format_to(to, "worst stall      {} s\n", seconds(r.worst_stall));
  fmt::format_to(to, "claims           {}, pieces in conflict {}, lease messages {}\n",
                 r.site.claims, r.site.conflicts, r.site.messages);
  fmt::format_to(to, "events           {}\n", r.events);
  for (const std::string& v : r.violations) {
    fmt::format_to(to, "VIOLATION (seed {}): {}\n", s.seed, v);
  }
  return out;
}

namespace {

std::string peer_json(const PeerResult& p, std::size_t index) {
  const auto took = duration_of(p);
  const bool never = p.joined == core::Instant::max();
  return fmt::format(
      "{{\"peer\":{},\"state\":{},\"joined_ns\":{},\"took_ns\":{},\"bound_ns\":{},\"ratio\":{},"
      "\"worst_stall_ns\":{},\"ranges\":{},\"replacement\":{},\"origin_bytes\":{},"
      "\"peer_bytes\":{},\"wasted_bytes\":{},\"error\":{}}}",
      index, quoted(fate_of(p)), never ? "null" : std::to_string((p.joined - kStart).count()),
      took ? std::to_string(took->count()) : "null", p.bound.count(),
      p.ratio ? decimal(*p.ratio) : "null", p.worst_stall.count(), p.ranges, p.replacement,
      p.origin_bytes, p.peer_bytes, p.wasted_bytes, p.error.empty() ? "null" : quoted(p.error));
}

}  // namespace

std::string to_json(const SimulationResult& r) {
  const Scenario& s = r.scenario;
  std::string out;
  const auto to = std::back_inserter(out);
  fmt::format_to(to,
                 "{{\"seed\":{},\"title\":{},\"peers\":{},\"size_bytes\":{},"
                 "\"wan_bytes_per_s\":{},\"lan_bytes_per_s\":{},\"rtt_ns\":{},\"bound_ns\":{},"
                 "\"makespan_ns\":{},\"makespan_ratio\":{},\"egress_bytes\":{},"
                 "\"egress_ratio\":{},\"abandoned_bytes\":{},\"lan_bytes\":{},"
                 "\"wasted_bytes\":{},",
                 s.seed, quoted(s.title), s.peers, s.size.value, s.wan.value, s.lan.value,
                 s.origin.rtt.count(), r.bound.count(), r.makespan.count(),
                 ratio(r.makespan, r.bound), r.egress.total, ratio(r.egress.total, s.size.value),
                 r.egress.abandoned, r.lan_bytes, r.wasted_bytes);
  fmt::format_to(
      to,
      "\"ratio_p50\":{},\"ratio_p99\":{},\"ratio_max\":{},\"worst_stall_ns\":{},"
      "\"claims\":{},\"conflicts\":{},\"lease_messages\":{},\"hedge_bytes\":{},"
      "\"solo_bytes\":{},\"blind_bytes\":{},\"pullers_most\":{},\"run_lengths\":{},\"events\":{},"
      "\"per_peer\":[",
      decimal(r.ratios.p50), decimal(r.ratios.p99), decimal(r.ratios.max), r.worst_stall.count(),
      r.site.claims, r.site.conflicts, r.site.messages, r.site.hedge_bytes, r.site.solo_bytes,
      r.site.blind_bytes, r.site.pullers_most, histogram_json(r.site), r.events);
  for (std::size_t i = 0; i < r.peers.size(); ++i) {
    out += (i == 0 ? "" : ",") + peer_json(r.peers[i], i);
  }
  out += "],\"violations\":[";
  for (std::size_t i = 0; i < r.violations.size(); ++i) {
    out += (i == 0 ? "" : ",") + quoted(r.violations[i]);
  }
  return out + "]}\n";
}

// ---- many runs ---------------------------------------------------------------------------------

std::string table_head(const Scenario& s) {
  return fmt::format(
      "{}{}{} peers, {} MiB, WAN {} kbit/s, LAN {} kbit/s; ratios to the bound of {} s\n"
      "{:>10} {:>8} {:>9} {:>8} {:>8} {:>8} {:>8} {:>11} {:>9} {:>11} {:>10}\n",
      s.title, s.title.empty() ? "" : ": ", s.peers, mebibytes(s.size.value),
      s.wan.value * 8 / 1000, s.lan.value * 8 / 1000, seconds(bound(s)), "seed", "egress",
      "makespan", "p50", "p99", "max", "stall s", "wasted MiB", "conflicts", "events",
      "violations");
}

std::string table_seed(std::uint64_t seed) { return fmt::format("{:>10}", seed); }

std::string table_row(const SimulationResult& r, const std::string& replay) {
  std::string out = fmt::format(
      " {:>8} {:>9} {:>8} {:>8} {:>8} {:>8} {:>11} {:>9} {:>11} {:>10}\n",
      ratio(r.egress.total, r.scenario.size.value), ratio(r.makespan, r.bound),
      decimal(r.ratios.p50), decimal(r.ratios.p99), decimal(r.ratios.max), seconds(r.worst_stall),
      mebibytes(r.wasted_bytes), r.site.conflicts, r.events, r.violations.size());
  for (const std::string& v : r.violations) {
    out += fmt::format("VIOLATION (seed {}): {}\n", r.scenario.seed, v);
  }
  if (!r.violations.empty()) out += fmt::format("replay: {} --seed {}\n", replay, r.scenario.seed);
  return out;
}

RunSummary summary_of(const SimulationResult& r) {
  return {.seed = r.scenario.seed,
          .egress = parts(r.egress.total, r.scenario.size.value),
          .makespan = parts(static_cast<std::uint64_t>(r.makespan.count()),
                            static_cast<std::uint64_t>(r.bound.count())),
          .ratios = r.ratios,
          .worst_stall = r.worst_stall,
          .violations = r.violations.size()};
}

namespace {

// Mean and worst of many runs.
struct Total {
  RunSummary mean;
  RunSummary worst;
  std::size_t bad = 0;  // runs with violations
};

Total total_of(std::span<const RunSummary> runs) {
  Total t;
  const auto add = [&](auto of) {
    for (const RunSummary& run : runs) {
      of(t.mean) += of(run);
      of(t.worst) = std::max(of(t.worst), of(run));
    }
    if (!runs.empty()) of(t.mean) /= static_cast<std::int64_t>(runs.size());
  };
  add([](auto& r) -> auto& { return r.egress; });
  add([](auto& r) -> auto& { return r.makespan; });
  add([](auto& r) -> auto& { return r.ratios.p50; });
  add([](auto& r) -> auto& { return r.ratios.p99; });
  add([](auto& r) -> auto& { return r.ratios.max; });
  add([](auto& r) -> auto& { return r.worst_stall; });
  for (const RunSummary& run : runs) t.bad += run.violations > 0 ? 1U : 0U;
  return t;
}

}  // namespace

std::string table_foot(std::span<const RunSummary> runs) {
  const Total t = total_of(runs);
  std::string out;
  for (const auto& [name, r] : {std::pair{"mean", t.mean}, std::pair{"worst", t.worst}}) {
    out += fmt::format("{:>10} {:>8} {:>9} {:>8} {:>8} {:>8} {:>8}\n", name, decimal(r.egress),
                       decimal(r.makespan), decimal(r.ratios.p50), decimal(r.ratios.p99),
                       decimal(r.ratios.max), seconds(r.worst_stall));
  }
  return out + fmt::format("{} of {} runs with violations\n", t.bad, runs.size());
}

std::string summary_json(std::span<const RunSummary> runs) {
  const Total t = total_of(runs);
  std::string out = fmt::format("{{\"runs\":{},\"runs_with_violations\":{}", runs.size(), t.bad);
  for (const auto& [name, r] : {std::pair{"mean", t.mean}, std::pair{"worst", t.worst}}) {
    out += fmt::format(
        ",\"{}\":{{\"egress_ratio\":{},\"makespan_ratio\":{},\"ratio_p50\":{},\"ratio_p99\":{},"
        "\"ratio_max\":{},\"worst_stall_ns\":{}}}",
        name, decimal(r.egress), decimal(r.makespan), decimal(r.ratios.p50), decimal(r.ratios.p99),
        decimal(r.ratios.max), r.worst_stall.count());
  }
  return out + "}";
}

}  // namespace lanward::simulator
