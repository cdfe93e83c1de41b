// What stands behind the handles of one lanward::Download: the job, and the thread that tells of it
// and pumps its stream.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <lanward/download.h>

namespace lanward::host {

// The file id by which a job is known to be a download: one of these, then the download's id.
inline constexpr std::string_view kFileMark = "lanward.download.file:";
inline constexpr std::string_view kStreamMark = "lanward.download.stream:";

using PropertyValues = std::map<DownloadProperty, PropertyValue>;

// ---- properties: download_properties.cc --------------------------------------------------------

// Whether the property may be set to the value in this state; the errors of Download::set but
// sink_already_set.
[[nodiscard]] Result<void> check_property(DownloadProperty property, const PropertyValue& value,
                                          DownloadState state);
// Whether it may be read.
[[nodiscard]] Result<void> check_readable(DownloadProperty property);
// What is told while it is not set.
[[nodiscard]] std::optional<PropertyValue> default_of(DownloadProperty property);
// The change of the job that follows from the values of these properties; nothing for properties
// that are not the job's.
[[nodiscard]] std::optional<JobChange> change_of(const PropertyValues& values);
// The other way round: what the engine keeps of a download.
[[nodiscard]] PropertyValues values_of(const JobProperties& job, const FileStatus& file);
// Empty or false if not set.
[[nodiscard]] std::string text_of(const PropertyValues& values, DownloadProperty property);
[[nodiscard]] bool flag_of(const PropertyValues& values, DownloadProperty property);
[[nodiscard]] std::optional<std::uint32_t> number_of(const PropertyValues& values,
                                                     DownloadProperty property);

// ---- the download: download_body.cc, download_worker.cc ----------------------------------------

// Calls are as in lanward/download.h.
class DownloadBody : public std::enable_shared_from_this<DownloadBody> {
 public:
  DownloadBody(Engine& engine, std::string id);
  // Of a job that an earlier handle, or an earlier engine, has left.
  DownloadBody(Engine& engine, std::string id, const Job& job, const JobStatus& status,
               const FileStatus& file);

  [[nodiscard]] const std::string& id() const { return id_; }
  Result<void> start(std::vector<ByteRange> ranges);
  Result<void> pause();
  Result<void> finalize();
  Result<void> abort();
  [[nodiscard]] Result<DownloadStatus> status() const;
  [[nodiscard]] Result<PropertyValue> get(DownloadProperty property) const;
  Result<void> set(DownloadProperty property, const PropertyValue& value);
  Result<void> set_callback(DownloadCallback callback);
  Result<void> set_sink(StreamSink sink);

  // An attached job's events arrive from now on.
  Result<void> listen();
  // The last handle is gone: ends the thread, and the download if it is volatile.
  void end();

 private:
  using Clock = std::chrono::steady_clock;

  // What the engine's thread touches; it outlives the body in callbacks of jobs.
  struct Signal {
    std::mutex mutex;
    std::condition_variable changed;
    std::uint64_t count = 0;  // of everything that may matter to who waits
    // A job that is resumed while it is still stopping tells its old state until it has stopped.
    bool resuming = false;
  };
  // What the callback was told last.
  struct Told {
    DownloadStatus status;
    Clock::time_point at;
  };
  // The next bytes of a stream.
  struct Window {
    Job job;
    std::uint64_t offset = 0;
    std::size_t length = 0;
    std::uint64_t generation = 0;
  };
  using Lock = std::unique_lock<std::mutex>;

  [[nodiscard]] Lock lock() const { return Lock(signal_->mutex); }
  [[nodiscard]] JobCallback listener() const;
  [[nodiscard]] Result<void> refuse_call() const;
  [[nodiscard]] Result<FileRequest> request_of(const std::vector<ByteRange>& ranges) const;
  Result<Job> make_job(const FileRequest& request);
  Result<void> begin(std::vector<ByteRange> ranges);
  Result<void> go_on(DownloadState state);
  Result<void> abort_job();
  void end_with(DownloadStatus status, DownloadState state);
  Result<void> wait_until_stopped() const;
  void hold_stream();
  void cancel_former();
  void wake();

  void ensure_worker();
  void run(Told& told);
  bool pump(std::vector<std::byte>& buffer);
  bool pump_chunk(std::vector<std::byte>& buffer);
  [[nodiscard]] std::optional<Window> next_window() const;
  void stop_stream(const Window& window, Error error);
  void drop_former();
  std::optional<Clock::time_point> tell(Told& told);
  void call_back(const DownloadStatus& status);

  Engine& engine_;
  const std::string id_;
  // Held by calls that change something, one at a time; before the signal's mutex.
  std::mutex calls_;
  std::atomic<std::thread::id> worker_id_{};
  std::thread worker_;  // guarded by calls_

  // The rest is guarded by the signal's mutex, which is never held during a call of Engine, Job or
  // the program.
  const std::shared_ptr<Signal> signal_ = std::make_shared<Signal>();
  PropertyValues values_;
  std::vector<ByteRange> ranges_;  // of the last start
  std::optional<Job> job_;
  std::optional<Job> former_;  // replaced; ends once the present one holds the content
  std::optional<DownloadStatus> ended_;
  std::shared_ptr<DownloadCallback> callback_;
  bool in_callback_ = false;

  bool streaming_ = false;  // it has a sink, or had one before an attached job was found
  std::shared_ptr<StreamSink> sink_;
  bool in_sink_ = false;
  bool held_ = false;  // by pause(), finalize() or abort()
  std::optional<Error> sink_error_;
  std::uint64_t streamed_ = 0;    // bytes that the sink has taken
  std::uint64_t generation_ = 0;  // counts jobs
  bool quit_ = false;
};

// Shared by the handles of a download.
class DownloadHolder {
 public:
  explicit DownloadHolder(std::shared_ptr<DownloadBody> body) : body_(std::move(body)) {}
  ~DownloadHolder() { body_->end(); }
  DownloadHolder(const DownloadHolder&) = delete;
  DownloadHolder& operator=(const DownloadHolder&) = delete;
  [[nodiscard]] DownloadBody& body() { return *body_; }

 private:
  std::shared_ptr<DownloadBody> body_;
};

}  // namespace lanward::host
