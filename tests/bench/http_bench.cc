// How fast the HTTP source fetches a file in ranges, and how exactly it keeps a rate limit.
//
//   http_bench URL [ca=FILE] [http2=0|1] [requests=N] [range=BYTES] [limit=BYTES_PER_S] [runs=N]
//
// Prints one line per run: bytes, seconds, megabytes a second. With a limit the run ends after two
// seconds, the first of which does not count, and the rate is also given as a share of the limit.
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <variant>

#include "cdn/origin_source.h"

namespace lanward {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

// Under a limit: what is saved up at first is spent by then.
constexpr auto kWarmUp = 1s;
constexpr auto kMeasured = 2s;

struct Settings {
  std::string url;
  cdn::OriginOptions options;
  std::uint64_t requests = 4;
  std::uint64_t range_bytes = 16 * core::kMiB;
  core::ByteRate limit{};
  int runs = 5;
};

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "http_bench: %s\n", what.c_str());
  std::exit(1);
}

Settings read_settings(int argc, char** argv) {
  Settings s;
  std::map<std::string, std::string> given;
  for (int i = 2; i < argc; ++i) {
    const std::string word = argv[i];
    given[word.substr(0, word.find('='))] = word.substr(word.find('=') + 1);
  }
  if (argc < 2) die("URL is missing");
  s.url = argv[1];
  s.options.ca_file = given["ca"];
  s.options.http2 = given["http2"] == "1";
  const auto number = [&](const char* name, std::uint64_t otherwise) {
    return given[name].empty() ? otherwise : std::strtoull(given[name].c_str(), nullptr, 10);
  };
  s.requests = number("requests", s.requests);
  s.range_bytes = number("range", s.range_bytes);
  s.limit = core::ByteRate{number("limit", 0)};
  s.runs = static_cast<int>(number("runs", 5));
  return s;
}

// What the ranges of one run have brought.
class Meter {
 public:
  void add(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    bytes_ += bytes;
  }
  void end(core::Event event) {
    const std::lock_guard lock(mutex_);
    last_ = std::move(event);
    ++ended_;
    changed_.notify_all();
  }
  void wait_for_end(std::uint64_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ended_ >= count; });
  }
  std::uint64_t bytes_after(Clock::time_point when) {
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, when, [] { return false; });
    return bytes_;
  }
  std::uint64_t ended() {
    const std::lock_guard lock(mutex_);
    return ended_;
  }
  core::Event last() {
    const std::lock_guard lock(mutex_);
    return last_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t bytes_ = 0;
  std::uint64_t ended_ = 0;
  core::Event last_ = core::Tick{};
};

class CountingSink final : public ports::RangeSink {
 public:
  explicit CountingSink(Meter& meter) : meter_(meter) {}
  Accept accept(std::span<const std::byte> bytes) override {
    meter_.add(bytes.size());
    return Accept::taken;
  }
  void finish() override {}

 private:
  Meter& meter_;
};

class Run {
 public:
  explicit Run(const Settings& settings) : settings_(settings) {
    auto source = cdn::CurlOriginSource::create(settings.options);
    if (!source) die(source.error().message);
    source_ = std::move(*source);
    client_ = source_->connect(
        [this](core::Event event) {
          if (!std::holds_alternative<core::RangeProgressed>(event)) meter_.end(std::move(event));
        },
        {});
    client_->probe(core::RequestId{next_++}, settings.url);
    meter_.wait_for_end(1);
    const auto last = meter_.last();
    const auto* probed = std::get_if<core::OriginProbed>(&last);
    if (probed == nullptr) die("the probe failed");
    size_ = probed->facts.size;
  }

  void whole_file() {
    const auto start = Clock::now();
    std::uint64_t position = 0;
    std::uint64_t asked = 0;
    while (position < size_.value) {
      if (asked >= settings_.requests) meter_.wait_for_end(2 + asked - settings_.requests);
      const std::uint64_t end = std::min(size_.value, position + settings_.range_bytes);
      ask({position, end});
      position = end;
      ++asked;
    }
    meter_.wait_for_end(1 + asked);
    report(size_.value, Clock::now() - start);
  }

  void limited() {
    client_->set_rate_limit(settings_.limit);
    for (std::uint64_t i = 0; i < settings_.requests; ++i) ask({0, size_.value});
    const auto begin = Clock::now() + kWarmUp;
    const std::uint64_t before = meter_.bytes_after(begin);
    const std::uint64_t bytes = meter_.bytes_after(begin + kMeasured) - before;
    if (meter_.ended() > 1) die("the file is too short for this limit");
    report(bytes, kMeasured);
    const double share =
        static_cast<double>(bytes) / 2.0 / static_cast<double>(settings_.limit.value);
    std::printf("  %.2f %% of the limit\n", 100 * share);
    client_.reset();
  }

 private:
  void ask(core::ByteSpan span) {
    client_->fetch_range(core::RequestId{next_++}, {settings_.url, span, size_, "", false},
                         std::make_unique<CountingSink>(meter_));
  }
  static void report(std::uint64_t bytes, Clock::duration time) {
    const double seconds = std::chrono::duration<double>(time).count();
    std::printf("%llu bytes, %.3f s, %.1f MB/s\n", static_cast<unsigned long long>(bytes), seconds,
                static_cast<double>(bytes) / seconds / 1e6);
  }

  const Settings& settings_;
  Meter meter_;
  std::unique_ptr<cdn::CurlOriginSource> source_;
  std::unique_ptr<ports::OriginClient> client_;
  core::ByteCount size_;
  std::uint64_t next_ = 0;
};

}  // namespace
}  // namespace lanward

int main(int argc, char** argv) {
  const auto settings = lanward::read_settings(argc, argv);
  for (int i = 0; i < settings.runs; ++i) {
    lanward::Run run(settings);
    settings.limit.value > 0 ? run.limited() : run.whole_file();
  }
  return 0;
}
