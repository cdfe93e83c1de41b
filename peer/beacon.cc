#include "peer/beacon.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "peer/group_file.h"
#include "peer/interfaces.h"

namespace lanward::peer {
namespace {

// Datagrams of one socket before the others have their turn.
constexpr int kReadsMax = 64;
// Addresses told per second: a site that starts together, but no flood of invented ones. The bucket
// counts bytes; a hit is as dear as its least burst allows.
constexpr std::uint64_t kHitsPerSecond = 200;
constexpr std::uint64_t kHitCost = 128;
constexpr int kLongestSleepMs = 60'000;
// Contents that come and go together are listed together.
constexpr std::chrono::milliseconds kListDelay{100};
// A list says when it was made, and is believed for BeaconMemory::kClockSkewMax.
constexpr std::chrono::seconds kListPeriod{100};
// Until Avahi's daemon answers, or is asked for again.
constexpr std::chrono::seconds kListRetry{2};

core::Instant now() { return core::Instant{std::chrono::steady_clock::now().time_since_epoch()}; }

core::WallTime wall_time() {
  return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

std::uint64_t random_number() {
  std::array<std::uint8_t, 8> bytes{};
  fill_random(bytes);
  std::uint64_t number = 0;
  for (const std::uint8_t byte : bytes) number = number << 8U | byte;
  return number;
}

std::int64_t hour_of(core::WallTime time) {
  return std::chrono::floor<std::chrono::hours>(time.time_since_epoch()).count();
}

}  // namespace

std::unique_ptr<Beacon> Beacon::start(const lt::tcp::endpoint& listen, std::shared_ptr<Gate> gate,
                                      core::Sha256Fn sha256, Ways ways) {
  std::vector<BeaconSocket> sockets;
  if (ways.multicast) {
    auto socket = BeaconSocket::open(listen.address());
    if (socket) sockets.push_back(std::move(*socket));
  }
  if (sockets.empty() && !ways.dns_sd) return nullptr;
  return std::unique_ptr<Beacon>(
      new Beacon(listen, std::move(gate), sha256, std::move(sockets), ways.dns_sd));
}

Beacon::Beacon(const lt::tcp::endpoint& listen, std::shared_ptr<Gate> gate, core::Sha256Fn sha256,
               std::vector<BeaconSocket> sockets, bool dns_sd)
    : listen_(listen),
      gate_(std::move(gate)),
      sha256_(sha256),
      sender_(random_number()),
      listed_as_(random_number()),
      uses_dns_sd_(dns_sd),
      sockets_(std::move(sockets)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      changes_(open_interface_events()),
      schedule_(sender_),
      hits_(core::ByteRate{kHitsPerSecond * kHitCost}, now()) {
  choose_interfaces();
  thread_ = std::thread([this] { run(); });
}

Beacon::~Beacon() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake();
  thread_.join();
  dns_sd_.reset();
  ::close(wake_);
  if (changes_ >= 0) ::close(changes_);
}

void Beacon::wake() {
  const std::uint64_t one = 1;
  static_cast<void>(::write(wake_, &one, sizeof one));
}

void Beacon::choose_interfaces() {
  std::vector<std::uint32_t> chosen;
  if (listen_.address().is_unspecified()) {
    chosen = core::choose_interfaces(read_interfaces());
  } else if (const std::uint32_t own = interface_of(listen_.address()); own != 0) {
    chosen = {own};
  }
  for (BeaconSocket& socket : sockets_) socket.use(chosen);
}

Beacon::ContentId Beacon::add(const core::Digest& swarm, Found found) {
  const std::lock_guard lock(mutex_);
  const ContentId id{next_id_++};
  const core::WallTime time = wall_time();
  renew_tags(time);  // of the others, if their hour is over
  Content& content = contents_[id] = {.swarm = swarm, .found = std::move(found)};
  add_tags(id, content, time);
  schedule_.add(id, now());
  list_soon();
  // The first one is sent at once, by whoever is here; the thread does the rest.
  send_due();
  wake();
  return id;
}

void Beacon::remove(ContentId id) {
  const std::lock_guard lock(mutex_);
  contents_.erase(id);
  std::erase_if(tags_, [id](const auto& entry) { return entry.second == id; });
  schedule_.remove(id);
  list_soon();
  if (uses_dns_sd_) wake();
}

void Beacon::announce_again() {
  const std::lock_guard lock(mutex_);
  schedule_.restart(now());
  list_soon();
  wake();
}

void Beacon::renew_tags(core::WallTime time) {
  if (tags_hour_ == hour_of(time)) return;
  tags_hour_ = hour_of(time);
  tags_.clear();
  for (auto& [id, content] : contents_) add_tags(id, content, time);
}

void Beacon::add_tags(ContentId id, Content& content, core::WallTime time) {
  content.tag = core::beacon_tag(content.swarm, time, sha256_);
  tags_.emplace(content.tag, id);
  for (const auto beside : {time - std::chrono::hours{1}, time + std::chrono::hours{1}}) {
    tags_.emplace(core::beacon_tag(content.swarm, beside, sha256_), id);
  }
}

void Beacon::send_due() {
  for (;;) {
    const auto due = schedule_.due(now());
    if (due.empty()) return;
    const auto datagram = datagram_of(due, sender_, ++sequence_);
    if (datagram.empty()) continue;
    for (BeaconSocket& socket : sockets_) socket.send(datagram);
  }
}

std::vector<std::uint8_t> Beacon::datagram_of(const std::vector<ContentId>& contents,
                                              std::uint64_t sender, std::uint32_t sequence) {
  const core::WallTime time = wall_time();
  renew_tags(time);
  core::BeaconMessage message{
      .sender = sender, .sequence = sequence, .time = time, .port = listen_.port()};
  for (const ContentId id : contents) message.tags.push_back(contents_[id].tag);
  std::vector<core::GroupKey> keys;
  if (gate_->is_guarded()) {
    keys = gate_->keys();
    if (keys.empty()) return {};  // expired: nobody would believe it
  }
  return core::write_beacon(message, keys, sha256_);
}

// ---- by DNS-SD ---------------------------------------------------------------------------------

void Beacon::list_soon() {
  if (!uses_dns_sd_) return;
  const core::Instant soon = now() + kListDelay;
  list_at_ = list_at_ ? std::min(*list_at_, soon) : soon;
}

void Beacon::list_due() {
  std::vector<std::uint8_t> datagram;
  {
    const std::lock_guard lock(mutex_);
    if (!list_at_ || *list_at_ > now()) return;
    list_at_.reset();
    std::vector<ContentId> contents;  // the latest, as many as there is room for
    for (auto it = contents_.rbegin(); it != contents_.rend(); ++it) {
      if (contents.size() < core::kBeaconTagsMax) contents.push_back(it->first);
    }
    if (!contents.empty()) datagram = datagram_of(contents, listed_as_, ++list_sequence_);
  }
  // Without the lock: the daemon takes its time.
  std::string trouble;
  if (dns_sd_ == nullptr) {
    auto started = DnsSd::start(
        listen_.address(), [this](std::span<const std::uint8_t> heard, const lt::address& from) {
          take(heard, gate_->is_guarded() ? gate_->keys() : std::vector<core::GroupKey>{}, from);
        });
    if (started) {
      dns_sd_ = std::move(*started);
    } else {
      trouble = started.error().message;
    }
  }
  if (dns_sd_ != nullptr) {
    dns_sd_->announce(listen_.port(), std::move(datagram));
    if (!dns_sd_->works()) trouble = "--dns-sd finds nobody: the Avahi daemon does not run";
  }
  const std::lock_guard lock(mutex_);
  const core::Instant next = now() + (trouble.empty() ? kListPeriod : kListRetry);
  list_at_ = list_at_ ? std::min(*list_at_, next) : next;
  trouble_ = std::move(trouble);
}

std::string Beacon::trouble() {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

// ---- what others say ---------------------------------------------------------------------------

void Beacon::hear(BeaconSocket& socket) {
  std::array<std::uint8_t, core::kBeaconBytesMax + 1> buffer;
  std::vector<core::GroupKey> keys;
  if (gate_->is_guarded()) {
    keys = gate_->keys();
  }
  for (int i = 0; i < kReadsMax; ++i) {
    const auto heard = socket.receive(buffer);
    if (!heard) return;
    take(std::span(buffer).first(heard->length), keys, heard->from);
  }
}

void Beacon::take(std::span<const std::uint8_t> datagram, std::span<const core::GroupKey> keys,
                  const lt::address& from) {
  if (gate_->is_guarded() && keys.empty()) return;
  const auto message = core::read_beacon(datagram, keys, sha256_);
  if (!message || message->sender == sender_ || message->sender == listed_as_) return;
  const std::lock_guard lock(mutex_);
  if (memory_.is_news(*message, wall_time())) hit(*message, from);
}

void Beacon::hit(const core::BeaconMessage& message, const lt::address& from) {
  renew_tags(wall_time());
  for (const std::uint64_t tag : message.tags) {
    const auto [begin, end] = tags_.equal_range(tag);
    for (auto it = begin; it != end; ++it) {
      if (!hits_.take(core::ByteCount{kHitCost}, now())) return;
      contents_[it->second].found({from, message.port});
    }
  }
}

int Beacon::time_to_next() {
  const std::lock_guard lock(mutex_);
  auto next = schedule_.next();
  if (list_at_) next = next ? std::min(*next, *list_at_) : *list_at_;
  if (!next) return kLongestSleepMs;
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(*next - now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(wait, 0, kLongestSleepMs));
}

void Beacon::run() {
  for (;;) {
    std::vector<pollfd> waiting{{wake_, POLLIN, 0}, {changes_, POLLIN, 0}};
    for (const BeaconSocket& socket : sockets_) waiting.push_back({socket.descriptor(), POLLIN, 0});
    static_cast<void>(::poll(waiting.data(), waiting.size(), time_to_next()));
    std::uint64_t woken = 0;
    static_cast<void>(::read(wake_, &woken, sizeof woken));
    for (BeaconSocket& socket : sockets_) hear(socket);
    const bool changed = changes_ >= 0 && (waiting[1].revents & POLLIN) != 0;
    if (changed) drain_interface_events(changes_);
    {
      const std::lock_guard lock(mutex_);
      if (ending_) return;
      if (changed) {
        choose_interfaces();
        schedule_.restart(now());
      }
      send_due();
    }
    list_due();
  }
}

}  // namespace lanward::peer
