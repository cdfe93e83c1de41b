// How long a cancel takes: a job that is half done, with peers connected.
//
//   cancel_bench URL MANIFEST DIRECTORY ROUNDS PEERS
//
// The URL is served without a limit, so that half the file is there soon. Prints per round, and
// then the median and the worst, in milliseconds after cancel() was called: when it returned, when
// the last peer saw the session end, when everything was purged; and what the origin was asked for
// after the return, by the engine's own count, and the files that were left.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include <lanward/engine.h>

namespace {

using Clock = std::chrono::steady_clock;
namespace fs = std::filesystem;

constexpr int kPeersMax = 64;
constexpr std::chrono::seconds kPatience{120};
constexpr std::chrono::microseconds kLook{200};
// What a peer takes: enough to be connected, little enough to leave the machine to the job.
constexpr std::uint64_t kPeerBytes = 4 << 20;

[[noreturn]] void die(const std::string& what) {
  fmt::print(stderr, "cancel_bench: {}\n", what);
  std::exit(1);
}

template <class T>
T must(lanward::Result<T> result, const char* what) {
  if (!result) die(std::string(what) + ": " + result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

template <class F>
void until(F done, const char* what) {
  const auto end = Clock::now() + kPatience;
  while (!done()) {
    if (Clock::now() > end) die(std::string("never: ") + what);
    std::this_thread::sleep_for(kLook);
  }
}

struct Site {
  Site(const std::string& directory, const std::string& name, const std::string& listen)
      : engine(must(lanward::Engine::open({.state_directory = directory + "/" + name,
                                           .listen = listen,
                                           .local_discovery = false}),
                    "open")),
        job(must(engine.create_job(name), "create")) {}
  lanward::Engine engine;
  lanward::Job job;
};

struct Times {
  double returned = 0;
  double cut = 0;
  double purged = 0;
};

Times round(const std::string& url, const std::string& manifest, const std::string& directory,
            int peer_count) {
  Site main(directory, "main", "127.0.0.1:0");
  must(main.job.add_file({.source = url, .destination = directory + "/out", .manifest = manifest}),
       "add");
  must(main.job.resume(), "resume");
  const std::string address = "127.0.0.1:" + std::to_string(*main.engine.listen_port());
  std::vector<std::unique_ptr<Site>> peers;
  for (int i = 0; i < peer_count; ++i) {
    const std::string name = "peer" + std::to_string(i);
    auto& peer = *peers.emplace_back(std::make_unique<Site>(directory, name, "127.0.0.1:0"));
    must(peer.job.add_file({.source = url,
                            .destination = directory + "/" + name + ".out",
                            .ranges = {{0, kPeerBytes}},
                            .manifest = manifest,
                            .peers = {address},
                            .use_origin = false}),
         "add");
    must(peer.job.resume(), "resume");
  }
  until(
      [&] {
        const auto p = must(main.job.progress(), "progress");
        return p.total_known && p.verified_bytes >= p.total_bytes / 2 &&
               p.peers_connected == static_cast<std::uint32_t>(peer_count);
      },
      "half done, all connected");

  std::vector<double> cut(static_cast<std::size_t>(peer_count), 0);
  std::vector<std::thread> watchers;
  const auto begin = Clock::now();
  const auto ms = [&] {
    return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
  };
  for (int i = 0; i < peer_count; ++i) {
    watchers.emplace_back([&, i] {
      until([&] { return must(peers[i]->job.progress(), "progress").peers_connected == 0; },
            "the session ends");
      cut[i] = ms();
    });
  }
  Times times;
  must(main.job.cancel(), "cancel");
  times.returned = ms();
  const std::uint64_t asked = must(main.job.progress(), "progress").origin_bytes;
  until([&] { return must(main.job.status(), "status").purged; }, "everything is purged");
  times.purged = ms();
  for (std::thread& watcher : watchers) watcher.join();
  times.cut = *std::max_element(cut.begin(), cut.end());
  const std::uint64_t after = must(main.job.progress(), "progress").origin_bytes;
  int left = fs::exists(directory + "/out") ? 1 : 0;
  for (const auto& entry : fs::directory_iterator(directory + "/main/cache/data")) {
    left += entry.exists() ? 1 : 0;
  }
  fmt::print("returned {:6.1f}  cut {:6.1f}  purged {:6.1f}  bytes after {}  files left {}\n",
             times.returned, times.cut, times.purged, after - std::min(after, asked), left);
  return times;
}

void summary(const char* what, std::vector<double> values) {
  std::sort(values.begin(), values.end());
  fmt::print("{:9} median {:6.1f}  worst {:6.1f}\n", what, values[values.size() / 2],
             values.back());
}

}  // namespace

int main(int argc, char** argv) {
  const int peers = argc == 6 ? std::atoi(argv[5]) : 0;
  if (peers < 1 || peers > kPeersMax) {
    die("usage: cancel_bench URL MANIFEST DIRECTORY ROUNDS PEERS");
  }
  std::vector<double> returned;
  std::vector<double> cut;
  std::vector<double> purged;
  for (int i = 0; i < std::atoi(argv[4]); ++i) {
    const std::string directory = std::string(argv[3]) + "/round" + std::to_string(i);
    fs::create_directories(directory);
    const Times times = round(argv[1], argv[2], directory, peers);
    fs::remove_all(directory);
    returned.push_back(times.returned);
    cut.push_back(times.cut);
    purged.push_back(times.purged);
  }
  summary("returned", returned);
  summary("cut", cut);
  summary("purged", purged);
}
