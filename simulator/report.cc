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

// a / b with four decimals, rounded.
std::string ratio(std::uint64_t a, std::uint64_t b) {
  __extension__ typedef unsigned __int128 Wide;
  if (b == 0) return "0.0000";
  const auto scaled = static_cast<std::uint64_t>((Wide{a} * 10'000 + b / 2) / b);
  return fmt::format("{}.{:04}", scaled / 10'000, scaled % 10'000);
}

std::string ratio(core::Duration a, core::Duration b) {
  return ratio(static_cast<std::uint64_t>(a.count()), static_cast<std::uint64_t>(b.count()));
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
    fmt::format_to(to, "{:>6} {:>9} {:>9} {:>7} {:>12} {:>12} {:>11}  {}\n", i,
                   seconds(p.joined - kStart), took ? seconds(*took) : "-",
                   took ? ratio(*took, r.bound) : "-", mebibytes(p.origin_bytes),
                   mebibytes(p.peer_bytes), mebibytes(p.wasted_bytes), to_string(p.state));
  }
  fmt::format_to(to, "\norigin egress    {} bytes, {} x the file\n", r.egress.total,
                 ratio(r.egress.total, s.size.value));
  fmt::format_to(to, "LAN traffic      {} bytes\n", r.lan_bytes);
  fmt::format_to(to, "wasted           {} bytes\n", r.wasted_bytes);
  fmt::format_to(to, "makespan         {} s, {} x the bound of {} s\n", seconds(r.makespan),
                 ratio(r.makespan, r.bound), seconds(r.bound));
  fmt::format_to(to, "events           {}\n", r.events);
  for (const std::string& v : r.violations) {
    fmt::format_to(to, "VIOLATION (seed {}): {}\n", s.seed, v);
  }
  return out;
}

std::string to_json(const SimulationResult& r) {
  const Scenario& s = r.scenario;
  std::string out;
  const auto to = std::back_inserter(out);
  fmt::format_to(to,
                 "{{\"seed\":{},\"peers\":{},\"size_bytes\":{},\"wan_bytes_per_s\":{},"
                 "\"lan_bytes_per_s\":{},\"rtt_ns\":{},\"bound_ns\":{},\"makespan_ns\":{},"
                 "\"makespan_ratio\":{},\"egress_bytes\":{},\"egress_ratio\":{},"
                 "\"abandoned_bytes\":{},\"lan_bytes\":{},\"wasted_bytes\":{},\"events\":{},"
                 "\"per_peer\":[",
                 s.seed, s.peers, s.size.value, s.wan.value, s.lan.value, s.origin.rtt.count(),
                 r.bound.count(), r.makespan.count(), ratio(r.makespan, r.bound), r.egress.total,
                 ratio(r.egress.total, s.size.value), r.egress.abandoned, r.lan_bytes,
                 r.wasted_bytes, r.events);
  for (std::size_t i = 0; i < r.peers.size(); ++i) {
    const PeerResult& p = r.peers[i];
    const auto took = duration_of(p);
    fmt::format_to(to,
                   "{}{{\"peer\":{},\"state\":{},\"joined_ns\":{},\"took_ns\":{},"
                   "\"origin_bytes\":{},\"peer_bytes\":{},\"wasted_bytes\":{},\"error\":{}}}",
                   i == 0 ? "" : ",", i, quoted(to_string(p.state)), (p.joined - kStart).count(),
                   took ? std::to_string(took->count()) : "null", p.origin_bytes, p.peer_bytes,
                   p.wasted_bytes, p.error.empty() ? "null" : quoted(p.error));
  }
  out += "],\"violations\":[";
  for (std::size_t i = 0; i < r.violations.size(); ++i) {
    out += (i == 0 ? "" : ",") + quoted(r.violations[i]);
  }
  return out + "]}\n";
}

}  // namespace lanward::simulator
