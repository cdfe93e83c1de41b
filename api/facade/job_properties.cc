// Facts and properties of a job.
#include <algorithm>
#include <string>
#include <utility>

#include "api/facade/job_object.h"
#include "api/facade/text.h"

namespace lanward::facade {
namespace {

using std::chrono::seconds;

constexpr std::size_t kDisplayNameMax = 256;   // characters, as published
constexpr std::size_t kDescriptionMax = 1024;  // likewise

// What a property that was never set answers: the defaults that JobProperties names.
constexpr seconds kNoProgressForeground{3600};
constexpr seconds kNoProgressBackground{86'400};
constexpr seconds kDownloadTimeDefault{90 * 86'400};

FILETIME filetime_or_zero(const std::optional<std::chrono::system_clock::time_point>& time) {
  return time ? to_filetime(*time) : FILETIME{};
}

ULONG no_progress_timeout(const JobProperties& properties) {
  if (properties.no_progress_timeout > seconds{0}) {
    return to_seconds(properties.no_progress_timeout);
  }
  return to_seconds(properties.priority == Priority::foreground ? kNoProgressForeground
                                                                : kNoProgressBackground);
}

// Published lists are separated by blanks or semicolons, ours by commas.
std::string with_commas(std::string list) {
  std::replace_if(
      list.begin(), list.end(), [](char c) { return c == ';' || c == ' '; }, ',');
  return list;
}

}  // namespace

template <class T, class Pick>
HRESULT JobObject::read(T* out, const Pick& pick) const {
  if (out == nullptr) return E_POINTER;
  const auto status = job_.status();
  if (!status) return to_hresult(status);
  *out = pick(*status);
  return S_OK;
}

template <class Pick>
HRESULT JobObject::read_text(LPWSTR* out, const Pick& pick) const {
  const auto status = job_.status();
  return status ? give_text(pick(*status), out) : to_hresult(status);
}

HRESULT JobObject::change(const JobChange& change) { return to_hresult(job_.change(change)); }

HRESULT JobObject::GetId(GUID* id) {
  if (id == nullptr) return E_POINTER;
  *id = to_guid(job_.id());
  return S_OK;
}

HRESULT JobObject::GetType(BG_JOB_TYPE* type) {
  return read(type, [](const JobStatus& job) { return static_cast<BG_JOB_TYPE>(job.type); });
}

HRESULT JobObject::GetProgress(BG_JOB_PROGRESS* out) {
  if (out == nullptr) return E_POINTER;
  const auto progress = job_.progress();
  if (!progress) return to_hresult(progress);
  *out = {.BytesTotal = progress->total_known ? progress->total_bytes : BG_SIZE_UNKNOWN,
          .BytesTransferred = progress->verified_bytes,
          .FilesTotal = progress->files_total,
          .FilesTransferred = progress->files_transferred};
  return S_OK;
}

HRESULT JobObject::GetTimes(BG_JOB_TIMES* times) {
  return read(times, [](const JobStatus& job) {
    return BG_JOB_TIMES{.CreationTime = to_filetime(job.times.created),
                        .ModificationTime = to_filetime(job.times.modified),
                        .TransferCompletionTime = filetime_or_zero(job.times.transferred)};
  });
}

HRESULT JobObject::GetState(BG_JOB_STATE* out) {
  if (out == nullptr) return E_POINTER;
  const auto state = job_.state();
  if (!state) return to_hresult(state);
  *out = static_cast<BG_JOB_STATE>(*state);
  return S_OK;
}

// The name of a user; there are no security identifiers.
HRESULT JobObject::GetOwner(LPWSTR* owner) {
  if (owner == nullptr) return E_POINTER;
  return read_text(owner, [](const JobStatus& job) { return job.owner; });
}

HRESULT JobObject::SetDisplayName(LPCWSTR name) {
  const auto text = to_utf8(name);
  if (!text || std::u16string_view(name).size() > kDisplayNameMax) return E_INVALIDARG;
  return change({.display_name = *text});
}

HRESULT JobObject::GetDisplayName(LPWSTR* name) {
  if (name == nullptr) return E_INVALIDARG;  // as published
  return read_text(name, [](const JobStatus& job) { return job.properties.display_name; });
}

HRESULT JobObject::SetDescription(LPCWSTR text) {
  const auto utf8 = to_utf8(text);
  if (!utf8 || std::u16string_view(text).size() > kDescriptionMax) return E_INVALIDARG;
  return change({.description = *utf8});
}

HRESULT JobObject::GetDescription(LPWSTR* text) {
  if (text == nullptr) return E_INVALIDARG;  // as GetDisplayName
  return read_text(text, [](const JobStatus& job) { return job.properties.description; });
}

HRESULT JobObject::SetPriority(BG_JOB_PRIORITY priority) {
  if (priority < BG_JOB_PRIORITY_FOREGROUND || priority > BG_JOB_PRIORITY_LOW) return E_INVALIDARG;
  return change({.priority = static_cast<Priority>(priority)});
}

HRESULT JobObject::GetPriority(BG_JOB_PRIORITY* priority) {
  return read(priority, [](const JobStatus& job) {
    return static_cast<BG_JOB_PRIORITY>(job.properties.priority);
  });
}

HRESULT JobObject::SetNotifyFlags(ULONG flags) {
  if ((flags & BG_NOTIFY_FILE_RANGES_TRANSFERRED) != 0) return E_NOTIMPL;
  const HRESULT result = change({.notify_flags = flags});
  if (SUCCEEDED(result)) session_->notifier().set_flags(job_.id(), flags);
  return result;
}

HRESULT JobObject::GetNotifyFlags(ULONG* flags) {
  return read(flags, [](const JobStatus& job) { return job.properties.notify_flags; });
}

HRESULT JobObject::SetNotifyInterface(IUnknown* callback) {
  Notifier& notifier = session_->notifier();
  if (callback == nullptr) {
    notifier.clear_callback(job_.id());
    return to_hresult(job_.set_callback({}));
  }
  const auto status = job_.status();
  if (!status) return to_hresult(status);
  if (status->state == JobState::acknowledged || status->state == JobState::cancelled) {
    return DO_E_INVALID_STATE;
  }
  const HRESULT result =
      notifier.set_callback(job_.id(), callback, status->properties.notify_flags);
  if (FAILED(result)) return result;
  const auto listening = job_.set_callback(notifier.listener());
  if (!listening) notifier.clear_callback(job_.id());
  return to_hresult(listening);
}

HRESULT JobObject::GetNotifyInterface(IUnknown** callback) {
  if (callback == nullptr) return E_POINTER;
  *callback = session_->notifier().callback(job_.id()).detach();
  return S_OK;
}

HRESULT JobObject::SetMinimumRetryDelay(ULONG delay) {
  return change({.minimum_retry_delay = seconds{delay}});
}

HRESULT JobObject::GetMinimumRetryDelay(ULONG* delay) {
  return read(delay,
              [](const JobStatus& job) { return to_seconds(job.properties.minimum_retry_delay); });
}

HRESULT JobObject::SetNoProgressTimeout(ULONG timeout) {
  return change({.no_progress_timeout = seconds{timeout}});
}

HRESULT JobObject::GetNoProgressTimeout(ULONG* timeout) {
  return read(timeout, [](const JobStatus& job) { return no_progress_timeout(job.properties); });
}

HRESULT JobObject::GetErrorCount(ULONG* errors) {
  return read(errors, [](const JobStatus& job) { return job.error_count; });
}

HRESULT JobObject::SetProxySettings(BG_JOB_PROXY_USAGE usage, LPCWSTR proxies, LPCWSTR bypass) {
  if (usage < BG_JOB_PROXY_USAGE_PRECONFIG || usage > BG_JOB_PROXY_USAGE_AUTODETECT) {
    return E_INVALIDARG;
  }
  ProxySettings settings{.usage = static_cast<ProxySettings::Usage>(usage)};
  if (usage == BG_JOB_PROXY_USAGE_OVERRIDE) {
    const auto proxy = to_utf8(proxies);
    const auto hosts = to_utf8(bypass != nullptr ? bypass : u"");
    if (!proxy || !hosts) return E_INVALIDARG;
    settings.proxy = *proxy;
    settings.bypass = with_commas(*hosts);
  } else if (proxies != nullptr || bypass != nullptr) {
    return E_INVALIDARG;  // as published: only for BG_JOB_PROXY_USAGE_OVERRIDE
  }
  return change({.proxy = std::move(settings)});
}

HRESULT JobObject::GetProxySettings(BG_JOB_PROXY_USAGE* usage, LPWSTR* proxies, LPWSTR* bypass) {
  if (usage == nullptr || proxies == nullptr || bypass == nullptr) return E_POINTER;
  *proxies = nullptr;
  *bypass = nullptr;
  const auto status = job_.status();
  if (!status) return to_hresult(status);
  const ProxySettings& settings = status->properties.proxy;
  *usage = static_cast<BG_JOB_PROXY_USAGE>(settings.usage);
  if (settings.usage != ProxySettings::Usage::use) return S_OK;
  const HRESULT result = give_text(settings.proxy, proxies);
  return FAILED(result) ? result : give_text(settings.bypass, bypass);
}

HRESULT JobObject::SetPeerCachingFlags(DWORD flags) {
  constexpr DWORD kKnown = BG_JOB_ENABLE_PEERCACHING_CLIENT | BG_JOB_ENABLE_PEERCACHING_SERVER;
  if ((flags & ~kKnown) != 0) return E_NOTIMPL;
  const auto state = job_.state();
  if (!state) return to_hresult(state);
  if (*state == JobState::acknowledged || *state == JobState::cancelled) return DO_E_INVALID_STATE;
  session_->set_peer_flags(job_.id(), flags);
  return S_OK;
}

HRESULT JobObject::GetPeerCachingFlags(DWORD* flags) {
  if (flags == nullptr) return E_POINTER;
  *flags = session_->peer_flags(job_.id());
  return S_OK;
}

HRESULT JobObject::SetMaximumDownloadTime(ULONG time) {
  return change({.maximum_download_time = seconds{time}});
}

HRESULT JobObject::GetMaximumDownloadTime(ULONG* time) {
  return read(time, [](const JobStatus& job) {
    const seconds set = job.properties.maximum_download_time;
    return to_seconds(set > seconds{0} ? set : kDownloadTimeDefault);
  });
}

HRESULT JobObject::SetProperty(BITS_JOB_PROPERTY_ID id, BITS_JOB_PROPERTY_VALUE value) {
  if (id != BITS_JOB_PROPERTY_ID_COST_FLAGS) return E_NOTIMPL;
  for (const CostPolicy cost :
       {CostPolicy::always, CostPolicy::not_roaming, CostPolicy::no_surcharge, CostPolicy::standard,
        CostPolicy::unrestricted}) {
    if (value.Dword == static_cast<DWORD>(cost)) return change({.cost = cost});
  }
  return E_INVALIDARG;
}

HRESULT JobObject::GetProperty(BITS_JOB_PROPERTY_ID id, BITS_JOB_PROPERTY_VALUE* value) {
  if (value == nullptr) return E_POINTER;
  *value = {};
  if (id != BITS_JOB_PROPERTY_ID_COST_FLAGS) return E_NOTIMPL;
  return read(&value->Dword,
              [](const JobStatus& job) { return static_cast<DWORD>(job.properties.cost); });
}

HRESULT JobObject::GetProperty(DOJobPropertyId id, VARIANT* value) {
  if (value == nullptr) return E_POINTER;
  VariantInit(value);
  if (id != DOJobPropertyId_ExtendedErrorInfo) return DO_E_UNKNOWN_PROPERTY_ID;
  const auto error = job_.error();
  if (!error) return to_hresult(error);
  return *error ? give_bstr((*error)->message, value) : DO_E_ERROR_INFORMATION_UNAVAILABLE;
}

HRESULT JobObject::SetProperty(DOJobPropertyId id, const VARIANT*) {
  return id == DOJobPropertyId_ExtendedErrorInfo ? DO_E_READ_ONLY_PROPERTY
                                                 : DO_E_UNKNOWN_PROPERTY_ID;
}

}  // namespace lanward::facade
