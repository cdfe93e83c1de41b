// The door: managers, and what makes them.
#include <string>
#include <utility>

#include <lanward/deliveryoptimization_engine.h>

#include "api/facade/com_object.h"
#include "api/facade/enumerator.h"
#include "api/facade/job_object.h"
#include "api/facade/session.h"
#include "api/facade/text.h"

namespace lanward::facade {
namespace {

constexpr std::size_t kDisplayNameMax = 256;  // characters, as published
constexpr ULONG kNotifyDefault = BG_NOTIFY_JOB_TRANSFERRED | BG_NOTIFY_JOB_ERROR;  // as published

class ManagerObject final : public ComObject<ManagerObject, IBackgroundCopyManager> {
 public:
  explicit ManagerObject(std::shared_ptr<Session> session) : session_(std::move(session)) {}
  virtual ~ManagerObject() = default;

  [[nodiscard]] void* find(REFIID iid) {
    const bool known = iid == IID_IUnknown || iid == IID_IBackgroundCopyManager;
    return known ? static_cast<IBackgroundCopyManager*>(this) : nullptr;
  }

  HRESULT CreateJob(LPCWSTR name, BG_JOB_TYPE type, GUID* id, IBackgroundCopyJob** job) override {
    if (id == nullptr || job == nullptr) return E_POINTER;
    *id = {};
    *job = nullptr;
    if (type == BG_JOB_TYPE_UPLOAD || type == BG_JOB_TYPE_UPLOAD_REPLY) return E_NOTIMPL;
    const auto text = to_utf8(name);
    if (!text || type != BG_JOB_TYPE_DOWNLOAD) return E_INVALIDARG;
    if (std::u16string_view(name).size() > kDisplayNameMax) return E_INVALIDARG;
    auto native = session_->engine().create_job(*text);
    if (!native) return to_hresult(native);
    if (const auto changed = native->change({.notify_flags = kNotifyDefault}); !changed) {
      (void)native->cancel();  // the first error is the one to tell
      return to_hresult(changed);
    }
    *id = to_guid(native->id());
    *job = new JobObject(session_, std::move(*native));
    return S_OK;
  }

  HRESULT GetJob(REFGUID id, IBackgroundCopyJob** job) override {
    if (job == nullptr) return E_POINTER;
    *job = nullptr;
    auto native = session_->engine().get_job(to_job_id(id));
    if (!native) return to_hresult(native);
    *job = new JobObject(session_, std::move(*native));
    return S_OK;
  }

  // Which users' jobs can be seen is the engine's decision.
  HRESULT EnumJobs(DWORD flags, IEnumBackgroundCopyJobs** jobs) override {
    if (jobs == nullptr) return E_POINTER;
    *jobs = nullptr;
    if ((flags & ~BG_JOB_ENUM_ALL_USERS) != 0) return E_INVALIDARG;
    *jobs = new JobEnumerator(session_->engine().jobs(), JobMaker{session_},
                              IID_IEnumBackgroundCopyJobs);
    return S_OK;
  }

  // There is one language.
  HRESULT GetErrorDescription(HRESULT result, DWORD, LPWSTR* text) override {
    if (text == nullptr) return E_POINTER;
    *text = nullptr;
    const auto code = error_code_of(static_cast<std::uint32_t>(result));
    return code ? give_text(describe(*code), text) : E_NOT_SET;
  }

 private:
  std::shared_ptr<Session> session_;
};

// Of a directory: nothing for NULL.
HRESULT read_directory(LPCWSTR text, std::string* out) {
  if (text == nullptr) return S_OK;
  const auto path = to_utf8(text);
  if (!path || path->empty() || path->front() != '/') return E_INVALIDARG;
  *out = *path;
  return S_OK;
}

HRESULT read_options(const LANWARD_MANAGER_OPTIONS& in, EngineOptions* out) {
  if (in.Size != sizeof(LANWARD_MANAGER_OPTIONS)) return E_INVALIDARG;
  if (in.StateDirectory == nullptr && in.CacheDirectory == nullptr) return E_INVALIDARG;
  HRESULT result = read_directory(in.StateDirectory, &out->state_directory);
  if (SUCCEEDED(result)) result = read_directory(in.CacheDirectory, &out->cache_directory);
  if (FAILED(result)) return result;
  const auto listen = to_utf8(in.Listen != nullptr ? in.Listen : u"");
  if (!listen) return E_INVALIDARG;
  out->listen = *listen;
  out->peers_enabled = in.DisablePeers == FALSE;
  out->local_discovery = in.DisableDiscovery == FALSE;
  return S_OK;
}

}  // namespace
}  // namespace lanward::facade

HRESULT LanwardCreateManagerOf(std::shared_ptr<lanward::Engine> engine,
                               IBackgroundCopyManager** manager) {
  using namespace lanward::facade;
  if (manager == nullptr) return E_POINTER;
  *manager = nullptr;
  if (engine == nullptr) return E_POINTER;
  *manager = new ManagerObject(Session::make(std::move(engine)));
  return S_OK;
}

HRESULT LanwardCreateManager(const LANWARD_MANAGER_OPTIONS* options,
                             IBackgroundCopyManager** manager) {
  using namespace lanward::facade;
  if (manager == nullptr) return E_POINTER;
  *manager = nullptr;
  if (options == nullptr) return E_POINTER;
  lanward::EngineOptions native;
  if (const HRESULT result = read_options(*options, &native); FAILED(result)) return result;
  auto engine = lanward::Engine::open(native);
  if (!engine) return to_hresult(engine);
  return LanwardCreateManagerOf(std::make_shared<lanward::Engine>(std::move(*engine)), manager);
}
