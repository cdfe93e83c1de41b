// lanward-sim: runs one scenario in virtual time and prints what came of it.
#include <cstdio>
#include <functional>
#include <string>

#include <CLI/CLI.hpp>

#include "simulator/report.h"
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
  add_unit_option(app, "--join-jitter", s.join_jitter, "All machines join within this time [100ms]",
                  parse_duration);
  app.add_flag("--json", options.json, "Print one JSON object instead of text");
  app.footer(
      "Exit codes: 0 every job was transferred and delivered; 1 a checker found a violation; "
      "2 wrong usage.");
}

void print(const std::string& text) { std::fputs(text.c_str(), stdout); }

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Simulates a site whose machines fetch one file from an origin and from each other."};
  Options options;
  describe(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  if (const auto valid = validate(options.scenario); !valid) {
    std::fprintf(stderr, "lanward-sim: %s\n", valid.error().message.c_str());
    return kExitUsage;
  }
  // The seed comes first, so that it is known even of a run that ends badly.
  if (!options.json) {
    print(seed_line(options.scenario));
    std::fflush(stdout);
  }
  const SimulationResult result = simulate(options.scenario);
  print(options.json ? to_json(result) : to_text(result));
  return result.violations.empty() ? 0 : kExitViolation;
}
