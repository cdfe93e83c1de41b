// Downloads one file the way programs for BITS and Delivery Optimization do: a manager, a job, a
// callback, and Complete() when everything is there.
//   example_bits_style URL DESTINATION STATE_DIRECTORY      (absolute paths)
#include <lanward/deliveryoptimization.h>

#include <atomic>
#include <cstdio>
#include <semaphore>
#include <string>

namespace {

// Wakes the main thread when the job has come to an end, good or bad.
class Watcher final : public IBackgroundCopyCallback {
 public:
  HRESULT QueryInterface(REFIID riid, void** object) override {
    if (object == nullptr) return E_POINTER;
    const bool known = riid == IID_IUnknown || riid == IID_IBackgroundCopyCallback;
    *object = known ? this : nullptr;
    if (!known) return E_NOINTERFACE;
    AddRef();
    return S_OK;
  }
  ULONG AddRef() override { return ++references_; }
  ULONG Release() override {
    const ULONG left = --references_;
    if (left == 0) delete this;
    return left;
  }

  HRESULT JobTransferred(IBackgroundCopyJob*) override {
    ended_.release();
    return S_OK;
  }
  HRESULT JobError(IBackgroundCopyJob*, IBackgroundCopyError*) override {
    ended_.release();
    return S_OK;
  }
  HRESULT JobModification(IBackgroundCopyJob*, DWORD) override { return S_OK; }

  void wait() { ended_.acquire(); }

 private:
  std::atomic<ULONG> references_{1};
  std::counting_semaphore<> ended_{0};
};

// Arguments are ASCII here; a real program converts from the encoding of its locale.
std::u16string widen(const char* text) {
  const std::string narrow(text);
  return {narrow.begin(), narrow.end()};
}

void print(const char* what, LPWSTR text) {
  std::printf("%s: ", what);
  for (LPCWSTR unit = text; *unit != 0; ++unit) std::putchar(*unit < 0x80 ? *unit : '?');
  std::putchar('\n');
  CoTaskMemFree(text);
}

HRESULT report_error(IBackgroundCopyJob* job) {
  IBackgroundCopyError* error = nullptr;
  HRESULT result = job->GetError(&error);
  if (FAILED(result)) return result;
  BG_ERROR_CONTEXT context = BG_ERROR_CONTEXT_NONE;
  HRESULT code = S_OK;
  LPWSTR text = nullptr;
  error->GetError(&context, &code);
  if (SUCCEEDED(error->GetErrorDescription(0, &text))) print("error", text);
  error->Release();
  return code;
}

HRESULT transfer(IBackgroundCopyJob* job, Watcher* watcher, LPCWSTR url, LPCWSTR destination) {
  HRESULT result = job->AddFile(url, destination);
  if (SUCCEEDED(result)) result = job->SetNotifyInterface(watcher);
  if (SUCCEEDED(result)) result = job->SetPriority(BG_JOB_PRIORITY_FOREGROUND);
  if (SUCCEEDED(result)) result = job->Resume();
  if (FAILED(result)) return result;
  watcher->wait();

  BG_JOB_STATE state = BG_JOB_STATE_SUSPENDED;
  result = job->GetState(&state);
  if (FAILED(result)) return result;
  if (state != BG_JOB_STATE_TRANSFERRED) return report_error(job);
  BG_JOB_PROGRESS progress = {};
  if (SUCCEEDED(job->GetProgress(&progress))) {
    std::printf("%llu bytes\n", static_cast<unsigned long long>(progress.BytesTransferred));
  }
  return job->Complete();  // now the file appears at its destination
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: example_bits_style URL DESTINATION STATE_DIRECTORY\n");
    return 2;
  }
  const std::u16string url = widen(argv[1]);
  const std::u16string destination = widen(argv[2]);
  const std::u16string state_directory = widen(argv[3]);

  LANWARD_MANAGER_OPTIONS options = {};
  options.Size = sizeof(options);
  options.StateDirectory = state_directory.c_str();
  IBackgroundCopyManager* manager = nullptr;
  HRESULT result = LanwardCreateManager(&options, &manager);

  IBackgroundCopyJob* job = nullptr;
  GUID id = {};
  if (SUCCEEDED(result)) result = manager->CreateJob(u"example", BG_JOB_TYPE_DOWNLOAD, &id, &job);
  if (SUCCEEDED(result)) {
    auto* watcher = new Watcher;
    result = transfer(job, watcher, url.c_str(), destination.c_str());
    if (FAILED(result)) job->Cancel();
    job->SetNotifyInterface(nullptr);  // no call is under way any more
    watcher->Release();
    job->Release();
  }
  if (manager != nullptr) manager->Release();
  if (FAILED(result)) std::fprintf(stderr, "failed: 0x%08x\n", static_cast<unsigned>(result));
  return SUCCEEDED(result) ? 0 : 1;
}
