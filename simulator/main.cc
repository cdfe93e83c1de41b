// lanward-sim: runs one scenario in virtual time and prints what came of it.
#include <malloc.h>    // tidy: allow include: asks for large pages
#include <sys/mman.h>  // tidy: allow include: asks for large pages
#include <unistd.h>    // tidy: allow include: asks for large pages

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "simulator/report.h"
#include "simulator/scenario.h"
#include "simulator/simulation.h"
#include "simulator/units.h"

namespace {

using namespace lanward;
using namespace lanward::simulator;

constexpr int kExitViolation = 1;
constexpr int kExitUsage = 2;

struct Options {
  Scenario scenario;
  bool json = false;
};

// An option whose text goes through one of the parsers of units.h.
template <class T>
void add_unit_option(CLI::App& app, const std::string& name, T& value, const std::string& help,
                     Result<T> (*parse)(std::string_view, std::string_view)) {
  app.add_option_function<std::string>(
      name,
      [&value, name, parse](const std::string& text) {
        const Result<T> parsed = parse(name, text);
        if (!parsed) throw CLI::ValidationError(parsed.error().message);
        value = *parsed;
      },
      help);
}

void describe(CLI::App& app, Options& options) {
  Scenario& s = options.scenario;
  app.add_option("--seed", s.seed, "Fixes every random choice; equal runs print equal bytes [1]");
  app.add_option("--peers", s.peers, "Machines that fetch the file at once [8]");
  add_unit_option(app, "--size", s.size, "Size of the file [64MiB]", parse_size);
  app.add_option_function<std::string>(
      "--piece",
      [&s](const std::string& text) {
        const auto parsed = parse_size("--piece", text);
        if (!parsed) throw CLI::ValidationError(parsed.error().message);
        if (parsed->value == 0 || parsed->value > core::kPieceBytesMax) {
          throw CLI::ValidationError("--piece " + text + ": a power of two from 16KiB to 64MiB");
        }
        s.piece_bytes = static_cast<std::uint32_t>(parsed->value);
      },
      "Piece length [the canonical one for the size]");
  add_unit_option(app, "--wan", s.wan, "Rate of the WAN link that the site shares [100Mbit]",
                  parse_rate);
  add_unit_option(app, "--lan", s.lan, "Rate of each machine's LAN link, each way [1Gbit]",
                  parse_rate);
  add_unit_option(app, "--rtt", s.origin.rtt, "Round trip to the origin [20ms]", parse_duration);
  add_unit_option(app, "--connection-rate", s.origin.connection_rate,
                  "Cap of one connection to the origin [none]", parse_rate);
  add_unit_option(app, "--join-jitter", s.join.within, "All machines join within this time [100ms]",
                  parse_duration);
  app.add_flag("--json", options.json, "Print one JSON object instead of text");
  app.footer(
      "Exit codes: 0 every job was transferred and delivered; 1 a checker found a violation; "
      "2 wrong usage.");
}

void print(const std::string& text) { std::fputs(text.c_str(), stdout); }

int complain(const std::string& text) {
  std::fprintf(stderr, "lanward-sim: %s\n", text.c_str());
  return kExitUsage;
}

// ---- run ---------------------------------------------------------------------------------------

struct SeedRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

struct RunOptions {
  std::string file;
  std::optional<SeedRange> seeds;
  std::vector<std::string> overrides;
  bool json = false;
};

// "A..B" or one number.
std::optional<SeedRange> parse_seeds(const std::string& text) {
  SeedRange range;
  const char* end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, range.first);
  if (first.ec != std::errc{}) return std::nullopt;
  range.last = range.first;
  if (first.ptr == end) return range;
  if (!std::string_view(first.ptr).starts_with("..")) return std::nullopt;
  const auto last = std::from_chars(first.ptr + 2, end, range.last);
  if (last.ec != std::errc{} || last.ptr != end || range.last < range.first) return std::nullopt;
  return range;
}

void describe_run(CLI::App& run, RunOptions& options) {
  run.add_option("SCENARIO", options.file, "Scenario file (docs/scenarios.md)")->required();
  run.add_option_function<std::string>(
         "--seed,--seeds",
         [&options](const std::string& text) {
           options.seeds = parse_seeds(text);
           if (!options.seeds) throw CLI::ValidationError("--seeds " + text + ": write A..B or A");
         },
         "One run for each of these seeds, A..B or A [that of the file]")
      ->type_name("A..B");
  run.add_option("--set", options.overrides,
                 "table.key=VALUE: wins over the file, as in --set site.peers=32")
      ->allow_extra_args(false);
  run.add_flag("--json", options.json, "Print one JSON object instead of a table");
}

// A machine of a large site is looked at again after everybody else: nothing of it is in the cache,
// nor in the table of pages unless those are large. Asked for where the heap will grow.
void use_large_pages(std::uint32_t machines) {
  constexpr std::size_t kMachineBytes = 128 * 1024;
  constexpr std::size_t kPage = std::size_t{2} << 20U;
  constexpr std::size_t kReserveMax = std::size_t{1} << 30U;
  constexpr std::uint32_t kMachinesMin = 100;
  if (machines < kMachinesMin) return;
  const std::size_t reserve = std::min(machines * kMachineBytes, kReserveMax);
  mallopt(M_MMAP_THRESHOLD, static_cast<int>(kPage * 16));
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  mallopt(M_TOP_PAD, static_cast<int>(reserve));
  void* const first = std::malloc(kPage);
  const auto begin = (reinterpret_cast<std::uintptr_t>(first) + kPage - 1) / kPage * kPage;
  const auto end = reinterpret_cast<std::uintptr_t>(sbrk(0));
  // Only a hint: without it everything works, slower.
  if (first != nullptr && begin < end) {
    static_cast<void>(madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE));
  }
  std::free(first);
  mallopt(M_TOP_PAD, static_cast<int>(kPage));
}

// As a person would type it again, without the seed.
std::string replay_of(const RunOptions& options) {
  std::string line = "lanward-sim run " + options.file;
  for (const std::string& each : options.overrides) line += " --set '" + each + "'";
  return line;
}

// Of the whole process over all runs, shared out among the machines of one run; empty where the
// system does not tell.
std::string memory_line(std::uint32_t machines) {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word && word != "VmHWM:") {
  }
  std::uint64_t peak_kib = 0;
  if (!(status >> peak_kib)) return "";
  return fmt::format("peak memory {} MiB, {} KiB for each machine\n", peak_kib / 1024,
                     peak_kib / machines);
}

int run_scenario(const RunOptions& options) {
  auto scenario = load_scenario(options.file, options.overrides);
  if (!scenario) return complain(scenario.error().message);
  const SeedRange seeds = options.seeds.value_or(SeedRange{scenario->seed, scenario->seed});
  const std::string replay = replay_of(options);
  use_large_pages(scenario->peers);
  print(options.json ? "{\"runs\":[" : table_head(*scenario));
  std::vector<RunSummary> runs;
  bool violated = false;
  for (std::uint64_t seed = seeds.first;; ++seed) {
    scenario->seed = seed;
    // The seed comes first, so that it is known even of a run that ends badly.
    print(options.json ? runs.empty() ? "" : "," : table_seed(seed));
    std::fflush(stdout);
    const SimulationResult result = simulate(*scenario);
    print(options.json ? to_json(result) : table_row(result, replay));
    runs.push_back(summary_of(result));
    violated = violated || !result.violations.empty();
    if (seed == seeds.last) break;
  }
  print(options.json ? "],\"summary\":" + summary_json(runs) + "}\n"
                     : table_foot(runs) + memory_line(scenario->peers));
  return violated ? kExitViolation : 0;
}

int run_options(const Options& options) {
  if (const auto valid = validate(options.scenario); !valid) return complain(valid.error().message);
  if (!options.json) {
    print(seed_line(options.scenario));
    std::fflush(stdout);
  }
  const SimulationResult result = simulate(options.scenario);
  print(options.json ? to_json(result) : to_text(result));
  return result.violations.empty() ? 0 : kExitViolation;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Simulates a site whose machines fetch one file from an origin and from each other."};
  Options options;
  describe(app, options);
  RunOptions run;
  CLI::App* command = app.add_subcommand("run", "Runs a scenario file, once for each seed");
  describe_run(*command, run);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  return command->parsed() ? run_scenario(run) : run_options(options);
}
