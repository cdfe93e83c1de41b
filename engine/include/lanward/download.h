// One download as an object, after the newer generation of the Delivery Optimization API
// (IDOManager, IDODownload): properties, four calls, a status. A thin layer over lanward::Job.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <lanward/engine.h>
#include <lanward/error.h>
#include <lanward/types.h>

namespace lanward {

namespace host {
class DownloadHolder;
}

// Values of the published DODownloadState.
enum class DownloadState : std::uint8_t {
  created = 0,
  transferring = 1,  // started; also while it waits for its turn
  transferred = 2,   // everything is verified; a stream has taken all of it: call finalize()
  finalized = 3,     // final
  aborted = 4,       // final
  paused = 5,        // by a call, or by an error (DownloadStatus tells)
};
// Stable lower-case name ("transferring").
[[nodiscard]] const char* to_string(DownloadState state) noexcept;

// Values of the published DODownloadProperty, of those that are supported. Every other value is
// unknown_property. What is settable when: C only while created, P also while paused, A until it is
// final. Reading a value that was never set is property_not_set, unless a default is given.
enum class DownloadProperty : std::uint32_t {
  Id = 0,                         // string, read only
  Uri = 1,                        // string, P: FileRequest::source; while paused a URL
  ContentId = 2,                  // string, C: told back only, it names no place to fetch from
  DisplayName = 3,                // string, A: at most 256 bytes
  LocalPath = 4,                  // string, C: FileRequest::destination; excludes a stream
  HttpCustomHeaders = 5,          // string, A: lines "Name: value"
  CostPolicy = 6,                 // uint32, A: 0 to 5 as published; kept, so far without effect
  CallbackFreqPercent = 8,        // uint32, A: 1 to 100
  CallbackFreqSeconds = 9,        // uint32, A: at least 1
  NoProgressTimeoutSeconds = 10,  // uint32, A: at least 60
  ForegroundPriority = 11,        // bool, A: default false
  BlockingMode = 12,              // bool, A: default false
  CorrelationVector = 17,         // string, A: told back only
  IntegrityCheckInfo = 19,        // string, C, write only: path or URL of the manifest
  IntegrityCheckMandatory = 20,   // bool, C: default false
  TotalSizeBytes = 21,            // uint64, C: told back until the engine has found it out
  DisallowOnCellular = 22,        // bool, A: default false; kept, so far without effect
  HttpAllowSecureToNonSecureRedirect = 24,  // bool, A: default false
  NonVolatile = 25,                         // bool, A: default false; see Download
};
using PropertyValue = std::variant<bool, std::uint32_t, std::uint64_t, std::string>;

struct DownloadStatus {
  std::uint64_t bytes_total = 0;        // of the ranges, if there are any; 0 while unknown
  std::uint64_t bytes_transferred = 0;  // verified; of a stream: what the sink has taken
  DownloadState state = DownloadState::created;
  std::optional<Error> error = {};  // why it is paused, if it takes a call of start() to go on
  // Why it is paused, also if it goes on by itself once the cause is gone.
  std::optional<Error> extended_error = {};
};

// Told of every change of the state or of an error at once, and of progress as CallbackFreqPercent
// or CallbackFreqSeconds say, whichever comes first; every second if neither is set. States that
// were passed through before they could be told are left out. A slow callback holds up the stream
// of its download and nothing else.
using DownloadCallback = std::function<void(const DownloadStatus&)>;

// Takes bytes in the order of the ranges, the next ones when it returns. An error pauses the
// download with this error; after the next start() the same bytes come again. While it does not
// return, the transfer itself goes on, into the piece cache.
using StreamSink = std::function<Result<void>(std::span<const std::byte>)>;

// A handle, movable; find() and enumerate() give further ones of the same download. Any thread, but
// not from inside a callback or a sink of this download (invalid_state, except for status() and
// get()), nor from a callback of a job. The engine must outlive every Download of it and stay where
// it is.
//
// With the last handle a download that is not final is aborted, unless NonVolatile is set: then it
// goes on with the engine, also with the next one on the same state directory, and find() gives a
// new handle. That one has no callback, and knows of the properties what the engine keeps: not
// CallbackFreq*, BlockingMode, ContentId, CorrelationVector, DisallowOnCellular, Integrity*. A
// download that a crash has left is found the same way.
//
// Before the first start() a download is not known to the engine. Then it is a job of one file.
// With a stream the job is never completed, so nothing is ever written but the piece cache;
// finalize() cancels it, and the cache forgets the content unless another job holds it. A stream
// ends with its last handle.
//
// Errors of every call besides its own: invalid_state after the engine was closed, and those of
// every call of Job.
class Download {
 public:
  // Errors: invalid_state.
  [[nodiscard]] static Result<Download> create(Engine& engine);
  // `id` as the property Id. Errors: job_not_found.
  [[nodiscard]] static Result<Download> find(Engine& engine, std::string_view id);
  // Which downloads: those whose `property` (Id, Uri, ContentId, DisplayName or LocalPath) is
  // exactly `value`.
  struct Category {
    DownloadProperty property = DownloadProperty::Id;
    std::string value = {};
  };
  // Those that are not final, in no particular order. Errors: unknown_property.
  [[nodiscard]] static Result<std::vector<Download>> enumerate(
      Engine& engine, const std::optional<Category>& category = {});

  Download(Download&&) noexcept;
  Download& operator=(Download&&) noexcept;
  ~Download();

  // Starts it, or goes on when it is paused. Without ranges: with those of the last start, the
  // whole file at the first; {ByteRange{}} is the whole file at any time. With other ranges a
  // download that is paused or transferred begins anew, taking from the piece cache what it has;
  // what finalize() delivers are then the bytes of these ranges, and a stream begins with the first
  // of them. With BlockingMode returns when it is transferred or stopped. Errors: no_url, no_sink,
  // unsupported (a ContentId only), those of Job::add_file, in BlockingMode the error that stopped
  // it or cancelled; invalid_state if final, or for other ranges while it is transferring.
  Result<void> start(std::vector<ByteRange> ranges = {});
  // No call of the sink is under way when it returns, nor does one begin. Nothing happens while it
  // is created, transferred or paused, but that a download that waits for the cause of an error to
  // go stops waiting. Errors: invalid_state if final.
  Result<void> pause();
  // Delivers the file (Job::complete). Errors: invalid_state unless transferred or finalized; those
  // of Job::complete, it is then transferred still.
  Result<void> finalize();
  // Ends it and removes all it has left. Errors: invalid_state if finalized.
  Result<void> abort();

  [[nodiscard]] Result<DownloadStatus> status() const;

  // Errors: unknown_property, write_only_property, property_not_set.
  [[nodiscard]] Result<PropertyValue> get(DownloadProperty property) const;
  // Errors: unknown_property, read_only_property, invalid_argument (another type, or out of the
  // range given above), unsupported, invalid_state, sink_already_set.
  Result<void> set(DownloadProperty property, const PropertyValue& value);

  // Calls come from a thread of the download, one at a time. Empty: none. When this returns no call
  // of the former one is under way.
  Result<void> set_callback(DownloadCallback callback);
  // Instead of LocalPath, while created. Called from the thread of the callbacks. Errors:
  // sink_already_set, invalid_state, invalid_argument (empty), unsupported with NonVolatile.
  Result<void> set_sink(StreamSink sink);

 private:
  explicit Download(std::shared_ptr<host::DownloadHolder> holder);

  std::shared_ptr<host::DownloadHolder> holder_;
};

}  // namespace lanward
