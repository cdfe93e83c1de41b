// How long the job queue takes with many jobs. Usage: jobs_bench [JOBS], default 1000. Keeps its
// state in a temporary directory, transfers nothing, and prints rates, not verdicts.
#include <fmt/format.h>
#include <lanward/engine.h>
#include <stdlib.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kListings = 9;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Resident memory of this process in MiB.
double resident_mib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::stod(line.substr(6)) / 1024;
  }
  return 0;
}

template <class T>
T checked(lanward::Result<T> result) {
  if (result) return *std::move(result);
  fmt::print(stderr, "jobs_bench: {}\n", result.error().message);
  std::exit(1);
}

void check(const lanward::Result<void>& result) {
  if (result) return;
  fmt::print(stderr, "jobs_bench: {}\n", result.error().message);
  std::exit(1);
}

// Median over kListings runs, in milliseconds.
double listing_ms(const lanward::Engine& engine, std::size_t count) {
  std::array<double, kListings> times{};
  for (double& time : times) {
    const auto begin = Clock::now();
    if (checked(engine.list()).size() != count) fmt::print(stderr, "a job is missing\n");
    time = seconds_since(begin) * 1000;
  }
  std::sort(times.begin(), times.end());
  return times[kListings / 2];
}

void run(const std::string& directory, std::size_t count) {
  lanward::EngineOptions options;
  options.state_directory = directory + "/state";
  options.run_jobs = false;
  options.peers_enabled = false;
  options.limits.jobs_max = static_cast<std::uint32_t>(count);
  std::vector<lanward::Job> jobs;
  {
    lanward::Engine engine = checked(lanward::Engine::open(options));
    fmt::print("empty: {:.1f} MiB resident\n", resident_mib());
    const auto begin = Clock::now();
    for (std::size_t i = 0; i < count; ++i) {
      lanward::Job job = checked(engine.create_job("job " + std::to_string(i)));
      lanward::FileRequest file;
      file.source = fmt::format("http://127.0.0.1:1/file-{}", i);
      file.destination = fmt::format("{}/file-{}", directory, i);
      checked(job.add_file(file));
    }
    fmt::print("create with a file: {:.0f} jobs/s\n", count / seconds_since(begin));
    fmt::print("list: {:.2f} ms\n", listing_ms(engine, count));
    fmt::print("open queue: {:.1f} MiB resident\n", resident_mib());
  }
  const auto reopening = Clock::now();
  lanward::Engine engine = checked(lanward::Engine::open(options));
  fmt::print("open again: {:.1f} ms\n", seconds_since(reopening) * 1000);
  for (const lanward::JobId& id : engine.jobs()) jobs.push_back(checked(engine.get_job(id)));
  const auto begin = Clock::now();
  for (lanward::Job& job : jobs) check(job.cancel());
  fmt::print("cancel: {:.0f} jobs/s\n", jobs.size() / seconds_since(begin));
  fmt::print("at the end: {:.1f} MiB resident\n", resident_mib());
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t count = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1000;
  std::string directory = (std::filesystem::temp_directory_path() / "jobs-bench-XXXXXX").string();
  if (mkdtemp(directory.data()) == nullptr) return 1;
  run(directory, count);
  std::filesystem::remove_all(directory);
}
