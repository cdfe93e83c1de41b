#include <lanward/download.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <utility>

#include "api/host/download_body.h"

namespace lanward {
namespace {

using host::DownloadBody;
using host::DownloadHolder;

// Which downloads have a handle: whoever looks for one gets another handle of the same. The
// engine knows only those that were started.
struct Registry {
  struct Entry {
    const Engine* engine;
    std::string id;
    std::weak_ptr<DownloadHolder> holder;
  };
  std::mutex mutex;
  std::vector<Entry> entries;
};

Registry& registry() {
  static Registry one;
  return one;
}

// The functions below REQUIRE that the registry's mutex is held.

std::shared_ptr<DownloadHolder> enter(Engine& engine, std::shared_ptr<DownloadBody> body) {
  std::vector<Registry::Entry>& entries = registry().entries;
  std::erase_if(entries, [](const Registry::Entry& entry) { return entry.holder.expired(); });
  std::string id = body->id();
  auto holder = std::make_shared<DownloadHolder>(std::move(body));
  entries.push_back({&engine, std::move(id), holder});
  return holder;
}

// The id of the download that the job belongs to; empty if it is a job of its own.
std::string download_of(const std::vector<FileStatus>& files) {
  if (files.size() != 1) return {};
  const std::string_view id = files.front().id;
  for (const std::string_view mark : {host::kFileMark, host::kStreamMark}) {
    if (id.starts_with(mark)) return std::string(id.substr(mark.size()));
  }
  return {};
}

struct Found {
  Job job;
  std::vector<FileStatus> files;
  std::string id;
};

// Jobs of downloads that are not final. Those that end meanwhile are left out.
std::vector<Found> jobs_of_downloads(const Engine& engine) {
  std::vector<Found> list;
  for (const JobId& id : engine.jobs()) {
    const auto job = engine.get_job(id);
    if (!job) continue;
    auto files = job->files();
    if (!files) continue;
    std::string download = download_of(*files);
    if (download.empty()) continue;
    const auto known = std::find_if(list.begin(), list.end(),
                                    [&](const Found& found) { return found.id == download; });
    // The end of the process came between a job and the one that replaces it: the later counts.
    if (known != list.end()) list.erase(known);
    list.push_back({*job, std::move(*files), std::move(download)});
  }
  return list;
}

std::vector<std::shared_ptr<DownloadHolder>> with_handles(const Engine& engine) {
  std::vector<std::shared_ptr<DownloadHolder>> list;
  for (const Registry::Entry& entry : registry().entries) {
    if (entry.engine != &engine) continue;
    if (auto holder = entry.holder.lock()) list.push_back(std::move(holder));
  }
  return list;
}

std::shared_ptr<DownloadHolder> attach(Engine& engine, const Found& found) {
  const auto status = found.job.status();
  if (!status) return nullptr;
  auto body =
      std::make_shared<DownloadBody>(engine, found.id, found.job, *status, found.files.front());
  if (!body->listen()) return nullptr;
  return enter(engine, std::move(body));
}

// Of every download that has a handle; a new one for the others that are not final.
std::vector<std::shared_ptr<DownloadHolder>> all_of(Engine& engine) {
  std::vector<std::shared_ptr<DownloadHolder>> list = with_handles(engine);
  std::vector<std::string> known;
  for (const auto& holder : list) known.push_back(holder->body().id());
  for (const Found& found : jobs_of_downloads(engine)) {
    if (std::find(known.begin(), known.end(), found.id) != known.end()) continue;
    if (auto holder = attach(engine, found)) list.push_back(std::move(holder));
  }
  return list;
}

bool is_listed(DownloadBody& body, const std::optional<Download::Category>& category) {
  const auto status = body.status();
  if (!status || status->state == DownloadState::finalized ||
      status->state == DownloadState::aborted) {
    return false;
  }
  if (!category) return true;
  const auto value = body.get(category->property);
  return value && *value == PropertyValue{category->value};
}

std::string new_id() {
  std::random_device device;
  JobId id;
  for (std::uint8_t& byte : id.bytes) byte = static_cast<std::uint8_t>(device());
  id.bytes[6] = (id.bytes[6] & 0x0fU) | 0x40U;  // version 4
  id.bytes[8] = (id.bytes[8] & 0x3fU) | 0x80U;  // of RFC 4122
  return to_string(id);
}

tl::unexpected<Error> moved_from() {
  return fail(ErrorCode::invalid_state, "the handle was moved from");
}

}  // namespace

const char* to_string(DownloadState state) noexcept {
  constexpr std::array kNames = {"created",   "transferring", "transferred",
                                 "finalized", "aborted",      "paused"};
  const auto index = static_cast<std::size_t>(state);
  return index < kNames.size() ? kNames[index] : "created";
}

Download::Download(std::shared_ptr<DownloadHolder> holder) : holder_(std::move(holder)) {}
Download::Download(Download&&) noexcept = default;
Download& Download::operator=(Download&&) noexcept = default;
Download::~Download() = default;

Result<Download> Download::create(Engine& engine) {
  // A closed engine refuses at once, not at the first start.
  if (auto open = engine.list(); !open) return tl::unexpected(open.error());
  const std::lock_guard lock(registry().mutex);
  return Download(enter(engine, std::make_shared<DownloadBody>(engine, new_id())));
}

Result<Download> Download::find(Engine& engine, std::string_view id) {
  const auto parsed = parse_job_id(id);
  const std::string plain = parsed ? to_string(*parsed) : std::string();
  // Ends after the lock: the last handle of a download waits for its callback.
  std::vector<std::shared_ptr<DownloadHolder>> known;
  const std::lock_guard lock(registry().mutex);
  known = with_handles(engine);
  for (const auto& holder : known) {
    if (holder->body().id() == plain) return Download(holder);
  }
  for (const Found& found : jobs_of_downloads(engine)) {
    if (found.id != plain) continue;
    if (auto holder = attach(engine, found)) return Download(std::move(holder));
  }
  return fail(ErrorCode::job_not_found, "no download " + std::string(id));
}

Result<std::vector<Download>> Download::enumerate(Engine& engine,
                                                  const std::optional<Category>& category) {
  if (category && category->property > DownloadProperty::LocalPath) {
    return fail(ErrorCode::unknown_property, "downloads are not listed by this property");
  }
  if (auto open = engine.list(); !open) return tl::unexpected(open.error());
  std::vector<std::shared_ptr<DownloadHolder>> all;
  {
    const std::lock_guard lock(registry().mutex);
    all = all_of(engine);
  }
  std::vector<Download> list;
  for (auto& holder : all) {
    if (is_listed(holder->body(), category)) list.push_back(Download(std::move(holder)));
  }
  return list;
}

Result<void> Download::start(std::vector<ByteRange> ranges) {
  return holder_ == nullptr ? moved_from() : holder_->body().start(std::move(ranges));
}

Result<void> Download::pause() {
  return holder_ == nullptr ? moved_from() : holder_->body().pause();
}

Result<void> Download::finalize() {
  return holder_ == nullptr ? moved_from() : holder_->body().finalize();
}

Result<void> Download::abort() {
  return holder_ == nullptr ? moved_from() : holder_->body().abort();
}

Result<DownloadStatus> Download::status() const {
  if (holder_ == nullptr) return moved_from();
  return holder_->body().status();
}

Result<PropertyValue> Download::get(DownloadProperty property) const {
  if (holder_ == nullptr) return moved_from();
  return holder_->body().get(property);
}

Result<void> Download::set(DownloadProperty property, const PropertyValue& value) {
  return holder_ == nullptr ? moved_from() : holder_->body().set(property, value);
}

Result<void> Download::set_callback(DownloadCallback callback) {
  return holder_ == nullptr ? moved_from() : holder_->body().set_callback(std::move(callback));
}

Result<void> Download::set_sink(StreamSink sink) {
  return holder_ == nullptr ? moved_from() : holder_->body().set_sink(std::move(sink));
}

}  // namespace lanward
