#include "tests/cdn/fault_world.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <future>
#include <iterator>
#include <mutex>
#include <span>
#include <utility>

#include "api/host/asio_loop.h"
#include "engine/core/merkle.h"
#include "engine/core/metainfo.h"
#include "engine/jobs/engine.h"
#include "engine/store/disk_store.h"
#include "engine/store/sha256.h"

namespace lanward::test {
namespace {

using namespace std::chrono_literals;

// Several pieces and an odd end.
constexpr std::size_t kFileBytes = 1536 * 1024 + 5;
// Far above what any row takes; only a hang runs into it.
constexpr auto kDeadline = 40s;

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "fault world: %s\n", what.c_str());
  std::abort();
}

const TestAuthority& shared_authority() {
  static const TestAuthority authority;
  return authority;
}

std::string read_all(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string manifest_of(const std::string& bytes) {
  core::Content content;
  const core::ByteCount size{bytes.size()};
  content.layout = core::PieceLayout(size, core::canonical_piece_bytes(size));
  const std::size_t piece = content.layout.piece_bytes();
  const auto all = std::as_bytes(std::span(bytes));
  for (std::size_t at = 0; at < all.size(); at += piece) {
    std::vector<core::Digest> blocks;
    const std::size_t end = std::min(at + piece, all.size());
    for (std::size_t b = at; b < end; b += core::kBlockBytes) {
      blocks.push_back(
          store::sha256(all.subspan(b, std::min<std::size_t>(core::kBlockBytes, end - b))));
    }
    const auto width = static_cast<std::uint32_t>(piece / core::kBlockBytes);
    content.piece_hashes.push_back(core::merkle_root(blocks, width, {}, &store::sha256));
  }
  content.id = core::pieces_root(content.piece_hashes, content.layout, &store::sha256);
  const auto text =
      core::write_metainfo({.content = content, .name = "file", .web_seeds = {}, .trackers = {}});
  return {text.begin(), text.end()};
}

// Puts what no property of a job carries into the settings of every client.
class Settled final : public ports::OriginSource {
 public:
  Settled(ports::OriginSource& inner, std::function<void(ports::OriginSettings&)> settle)
      : inner_(inner), settle_(std::move(settle)) {}
  [[nodiscard]] std::unique_ptr<ports::OriginClient> connect(
      ports::FactSink facts, ports::OriginSettings settings) override {
    settle_(settings);
    return inner_.connect(std::move(facts), std::move(settings));
  }

 private:
  ports::OriginSource& inner_;
  const std::function<void(ports::OriginSettings&)> settle_;
};

// One job of one file, run to its end.
class Run {
 public:
  Run(ports::OriginSource& origins, const std::string& cache, const core::Policy& policy) {
    auto store = store::DiskStore::open({.directory = cache, .workers = 1});
    if (!store) die(store.error().message);
    store_ = std::move(*store);
    jobs::EngineSettings settings;
    settings.policy = policy;
    engine_ = std::make_unique<jobs::Engine>(
        jobs::Ports{.loop = loop_, .origins = origins, .store = *store_, .sha256 = &store::sha256},
        settings, core::Seed{1});
  }
  ~Run() {
    std::promise<void> closed;
    loop_.post([&] { engine_->close([&] { closed.set_value(); }); });
    closed.get_future().wait();
    loop_.stop();
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  FaultOutcome fetch(jobs::FileSpec spec, const std::vector<std::string>& headers) {
    auto listener = [this](const JobEvent& event) {
      const std::lock_guard lock(mutex_);
      state_ = event.state;
      if (event.state == JobState::transient_error && event.error) {
        outcome_.waits += event.error->message + '\n';
      }
      if (event.state == JobState::error && event.error) outcome_.error = event.error->message;
      changed_.notify_all();
    };
    jobs::Job* job = nullptr;
    on_loop([&](auto done) {
      engine_->create_job("fault", listener, [&job, done](Result<jobs::Job*> made) {
        job = made.value();
        done({});
      });
    });
    if (!headers.empty()) {
      on_loop([&](auto done) { job->change(JobChange{.custom_headers = headers}, done); });
    }
    on_loop([&](auto done) {
      std::vector<jobs::FileSpec> files;
      files.push_back(std::move(spec));
      job->add_files(std::move(files), done);
    });
    on_loop([&](auto done) { job->resume(done); });
    std::unique_lock lock(mutex_);
    const bool ended = changed_.wait_for(lock, kDeadline, [this] {
      return state_ == JobState::transferred || state_ == JobState::error;
    });
    if (!ended) outcome_.error = "the job neither ends nor fails: " + outcome_.waits;
    if (!ended || state_ == JobState::error) return outcome_;
    lock.unlock();
    on_loop([&](auto done) { job->complete(done); });
    outcome_.delivered = true;
    return outcome_;
  }

 private:
  // Calls with a completion, which must report success.
  void on_loop(const std::function<void(std::function<void(Result<void>)>)>& call) {
    std::promise<void> answered;
    loop_.post([&] {
      call([&](const Result<void>& result) {
        if (!result) die(result.error().message);
        answered.set_value();
      });
    });
    answered.get_future().wait();
  }

  host::AsioLoop loop_;
  std::unique_ptr<store::DiskStore> store_;
  std::unique_ptr<jobs::Engine> engine_;
  std::mutex mutex_;
  std::condition_variable changed_;
  JobState state_ = JobState::suspended;  // guarded by mutex_
  FaultOutcome outcome_;                  // guarded by mutex_ until it has ended
};

}  // namespace

FaultWorld::FaultWorld(bool with_manifest) : content_(make_content(kFileBytes)) {
  ::setenv("no_proxy", "*", 1);  // libcurl honours http_proxy
  options.connect_timeout = 2s;
  options.low_speed_time = 1s;
  options.ca_file = write("authority.pem", authority());
  policy.retry_delay_min = 10ms;
  policy.retry_delay_max = 40ms;
  policy.origin_failures_max = 4;
  if (!with_manifest) return;
  manifest_ = std::make_shared<const std::string>(manifest_of(*content_));
}

FaultWorld::~FaultWorld() = default;

std::string FaultWorld::write(const std::string& name, const std::string& text) const {
  std::ofstream(directory_.path(name), std::ios::binary) << text;
  return directory_.path(name);
}

Identity FaultWorld::issue(const CertificateWishes& wishes) const {
  return shared_authority().issue(wishes);
}

const std::string& FaultWorld::authority() const { return shared_authority().certificate(); }

FaultOrigin& FaultWorld::add(FaultOptions wanted) {
  servers_.push_back(std::make_unique<FaultOrigin>(std::move(wanted)));
  FaultOrigin& origin = *servers_.back();
  origin.serve("/file", content_, kFaultTag);
  if (manifest_ != nullptr) origin.serve("/file.torrent", manifest_, "");
  return origin;
}

FaultOrigin& FaultWorld::tls(const CertificateWishes& wishes) {
  return add({.tls = FaultTls{.identity = issue(wishes)}});
}

FaultOrigin& FaultWorld::http2() {
  options.http2 = true;
  return add({.tls = FaultTls{.identity = issue(), .http2 = true}});
}

void FaultWorld::spoil(FaultOrigin& origin, Spoil spoil) {
  auto count = std::make_shared<std::atomic<int>>(0);
  spoil_all(origin,
            [count, spoil = std::move(spoil)](FaultReply& reply, int, const FaultRequest& request) {
              const auto range = request.range();
              if (range && range->second == 0) return;
              spoil(reply, (*count)++, request);
            });
}

void FaultWorld::spoil_all(FaultOrigin& origin, Spoil spoil) {
  auto count = std::make_shared<std::atomic<int>>(0);
  origin.route("/file",
               [content = content_, count, spoil = std::move(spoil)](const FaultRequest& request) {
                 FaultReply reply = honest_reply(request, content, kFaultTag);
                 spoil(reply, (*count)++, request);
                 return reply;
               });
}

FaultOutcome FaultWorld::run() {
  auto curl = cdn::CurlOriginSource::create(options);
  if (!curl) die(curl.error().message);
  std::string certificate;
  std::string key;
  if (!client_identity.certificate.empty()) {
    certificate = write("client.pem", client_identity.certificate);
    key = write("client.key", client_identity.key);
  }
  Settled origins(**curl, [&](ports::OriginSettings& settings) {
    settings.client_certificate = certificate;
    settings.client_key = key;
    settings.allow_https_to_http_redirects = allow_https_to_http;
  });
  const std::string destination = directory_.path("delivered");
  jobs::FileSpec spec;
  spec.source = source.empty() ? servers_.front()->url("/file") : source;
  spec.urls = {{.url = spec.source}};
  spec.destination = destination;
  FaultOutcome outcome;
  {
    Run run(origins, directory_.path("cache"), policy);
    outcome = run.fetch(std::move(spec), headers);
  }
  if (outcome.delivered) outcome.bytes = read_all(destination);
  return outcome;
}

std::uint64_t FaultWorld::requests() const {
  std::uint64_t sum = 0;
  for (const auto& server : servers_) sum += server->counts().requests;
  return sum;
}

std::uint64_t FaultWorld::body_bytes() const {
  std::uint64_t sum = 0;
  for (const auto& server : servers_) sum += server->counts().body_bytes;
  return sum;
}

}  // namespace lanward::test
