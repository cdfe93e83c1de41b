#include "cdn/curl_loop.h"

#include <algorithm>
#include <csignal>
#include <optional>
#include <system_error>

namespace lanward::cdn {
namespace {

using Clock = std::chrono::steady_clock;

// Often enough for a smooth progress bar and a rate estimate, seldom enough to cost nothing.
constexpr std::chrono::milliseconds kProgressInterval{100};
// Nothing is in flight: only a command can make work, and that wakes the thread.
constexpr std::chrono::milliseconds kIdlePoll{60'000};
// A slow line brings one packet at a time, and a wake-up costs more than the packet. So while the
// line is slow, bytes are fetched at this interval only: a few packets each, and little against the
// time that a piece takes.
constexpr std::chrono::milliseconds kGatherTime{5};
// What counts as slow, of all transfers in a progress interval: 6.4 MB/s. In the gather time that
// is 32 KiB, which the smallest receive buffers hold, so the line never waits for this thread.
constexpr std::uint64_t kSlowBytes = 640'000;

// The process's signals are for threads of its own choice; SIGPIPE of a broken connection is for
// none, and a library must not change its disposition.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace

Result<std::shared_ptr<CurlLoop>> CurlLoop::create(OriginOptions options) {
  auto loop = std::make_shared<CurlLoop>(std::move(options));
  try {
    const SignalsBlocked blocked;  // inherited by the new thread
    loop->thread_ = std::thread([raw = loop.get()] { raw->run(); });
  } catch (const std::system_error& error) {
    return fail(ErrorCode::internal,
                std::string("the thread for HTTP could not be started: ") + error.what());
  }
  return loop;
}

CurlLoop::CurlLoop(OriginOptions options) : options_(std::move(options)) {}

bool CurlLoop::prepare() {
  // Once for the process and never undone: others may use libcurl too.
  static const CURLcode global = curl_global_init(CURL_GLOBAL_ALL);
  multi_ = global == CURLE_OK ? curl_multi_init() : nullptr;
  if (multi_ == nullptr) return false;
  curl_multi_setopt(multi_, CURLMOPT_MAX_HOST_CONNECTIONS,
                    static_cast<long>(options_.connections_per_host_max));
  curl_multi_setopt(multi_, CURLMOPT_MAX_TOTAL_CONNECTIONS,
                    static_cast<long>(options_.connections_max));
  curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, static_cast<long>(options_.connections_max));
  const std::lock_guard lock(mutex_);
  can_wake_ = true;
  return true;
}

void CurlLoop::wake() {
  {
    const std::lock_guard lock(mutex_);
    if (!can_wake_) return;
  }
  curl_multi_wakeup(multi_);
}

CurlLoop::~CurlLoop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    posted_.notify_one();
  }
  wake();
  if (thread_.joinable()) thread_.join();
  for (auto& [easy, running] : running_) curl_multi_remove_handle(multi_, easy);
  running_.clear();
  curl_multi_cleanup(multi_);
}

std::uint64_t CurlLoop::new_client() {
  const std::lock_guard lock(mutex_);
  return clients_++;
}

void CurlLoop::post(Command command) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = commands_.empty();
    commands_.push_back(std::move(command));
    posted_.notify_one();
  }
  if (first) wake();
}

void CurlLoop::start(Key key, std::shared_ptr<Transfer> transfer) {
  {
    const std::lock_guard lock(mutex_);
    transfers_.emplace(key, transfer);
  }
  post({Action::start, key, std::move(transfer)});
}

void CurlLoop::resume(Key key) {
  std::shared_ptr<Transfer> transfer;
  {
    const std::lock_guard lock(mutex_);
    const auto at = transfers_.find(key);
    if (at == transfers_.end()) return;
    transfer = at->second;
  }
  post({Action::resume, key, std::move(transfer)});
}

void CurlLoop::cancel(Key key) {
  std::shared_ptr<Transfer> transfer;
  {
    const std::lock_guard lock(mutex_);
    auto node = transfers_.extract(key);
    if (node.empty()) return;
    transfer = std::move(node.mapped());
  }
  transfer->revoke();
  post({Action::stop, key, std::move(transfer)});
}

void CurlLoop::cancel_client(std::uint64_t client) {
  std::optional<Key> key;
  do {
    key.reset();
    {
      const std::lock_guard lock(mutex_);
      const auto at = transfers_.lower_bound(Key{client, core::RequestId{0}});
      if (at != transfers_.end() && at->first.client == client) key = at->first;
    }
    if (key) cancel(*key);
  } while (key);
}

void CurlLoop::limits_changed() { wake(); }

core::Instant CurlLoop::now() {
  return core::Instant(std::chrono::duration_cast<core::Duration>(Clock::now().time_since_epoch()));
}

// Every request fails as if it had run out of memory, which is the only cause there is.
void CurlLoop::run_without_libcurl() {
  while (run_commands()) {
    std::unique_lock lock(mutex_);
    posted_.wait(lock, [this] { return stopping_ || !commands_.empty(); });
  }
}

void CurlLoop::run() {
  if (!prepare()) return run_without_libcurl();
  while (run_commands()) {
    resume_throttled();
    int count = 0;
    curl_multi_perform(multi_, &count);
    collect_finished();
    report_progress();
    wait();
  }
}

void CurlLoop::wait() {
  std::uint64_t bytes = 0;
  for (auto& [easy, running] : running_) bytes += running.transfer->take_byte_count();
  bytes_ += bytes;
  if (slow_ && bytes > 0) gather();
  const auto longest = running_.empty() ? kIdlePoll : kProgressInterval;
  curl_multi_poll(multi_, nullptr, 0, time_to_wait(longest), nullptr);
}

int CurlLoop::time_to_wait(std::chrono::milliseconds longest) {
  const core::Instant at = now();
  core::Duration wait = longest;
  for (const auto& [easy, running] : running_) {
    if (const auto due = running.transfer->throttled_until(at)) {
      wait = std::clamp(*due - at, core::Duration{0}, wait);
    }
  }
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(wait).count());
}

void CurlLoop::resume_throttled() {
  const core::Instant at = now();
  std::vector<std::pair<core::Instant, CURL*>> waiting;
  for (const auto& [easy, running] : running_) {
    const auto due = running.transfer->throttled_until(at);
    if (due && *due <= at) waiting.emplace_back(running.transfer->throttled_since(), easy);
  }
  std::sort(waiting.begin(), waiting.end());
  for (const auto& [since, easy] : waiting) {
    const auto running = running_.find(easy);
    if (running == running_.end()) continue;
    const CURLcode code = running->second.transfer->unthrottle(at);
    if (code != CURLE_OK) finish(easy, code);
  }
}

void CurlLoop::end_stalled() {
  const core::Instant at = now();
  std::vector<CURL*> stalled;
  for (const auto& [easy, running] : running_) {
    if (running.transfer->is_stalled(options_, at)) stalled.push_back(easy);
  }
  for (CURL* easy : stalled) finish(easy, CURLE_OPERATION_TIMEDOUT);
}

void CurlLoop::gather() {
  std::unique_lock lock(mutex_);
  posted_.wait_for(lock, kGatherTime, [this] { return stopping_ || !commands_.empty(); });
}

bool CurlLoop::run_commands() {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return false;
    command_batch_.swap(commands_);
  }
  for (Command& command : command_batch_) run_command(command);
  command_batch_.clear();
  return true;
}

void CurlLoop::run_command(Command& command) {
  CURL* easy = command.transfer->handle();
  switch (command.action) {
    case Action::start:
      easy = command.transfer->begin(options_);
      if (easy == nullptr) return forget(command.key);
      return launch(command.key, command.transfer, easy);
    case Action::resume:
      if (!running_.contains(easy)) return;
      if (const CURLcode code = command.transfer->unpause(); code != CURLE_OK) finish(easy, code);
      return;
    case Action::stop:
      static_cast<void>(take_off(easy));
      return;
  }
}

void CurlLoop::collect_finished() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg == CURLMSG_DONE) finish(message->easy_handle, message->data.result);
  }
}

void CurlLoop::report_progress() {
  const auto now = Clock::now();
  if (now < next_report_) return;
  // Unknown after a pause: a burst must not meet a sleeping reader.
  slow_ = bytes_ > 0 && bytes_ < kSlowBytes && now - next_report_ < kProgressInterval;
  bytes_ = 0;
  next_report_ = now + kProgressInterval;
  for (auto& [easy, running] : running_) running.transfer->report_progress();
  end_stalled();
}

std::shared_ptr<Transfer> CurlLoop::take_off(CURL* easy) {
  auto node = running_.extract(easy);
  if (node.empty()) return nullptr;
  curl_multi_remove_handle(multi_, easy);
  return std::move(node.mapped().transfer);
}

void CurlLoop::finish(CURL* easy, CURLcode code) {
  const auto at = running_.find(easy);
  if (at == running_.end()) return;
  const Key key = at->second.key;
  auto transfer = take_off(easy);
  CURL* const next = transfer->finish(code, options_);
  if (next == nullptr) return forget(key);
  launch(key, std::move(transfer), next);
}

void CurlLoop::launch(const Key& key, std::shared_ptr<Transfer> transfer, CURL* easy) {
  running_.emplace(easy, Running{key, std::move(transfer)});
  if (curl_multi_add_handle(multi_, easy) != CURLM_OK) finish(easy, CURLE_FAILED_INIT);
}

void CurlLoop::forget(const Key& key) {
  // The transfer is freed after the mutex is.
  decltype(transfers_)::node_type node;
  const std::lock_guard lock(mutex_);
  node = transfers_.extract(key);
}

}  // namespace lanward::cdn
