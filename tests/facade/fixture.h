// A manager over a real engine, an origin that does as it is told, and a callback that remembers.
#pragma once

#include <lanward/deliveryoptimization_engine.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "api/facade/com_object.h"
#include "api/facade/text.h"
#include "tests/support/fault_origin.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/watch.h"

namespace lanward::facade {

inline constexpr std::size_t kSize = 300'007;

// What was given away as text; frees it.
inline std::string take_text(LPWSTR text) {
  const auto narrow = to_utf8(text);
  CoTaskMemFree(text);
  return narrow.value_or("(no text)");
}

template <class To, class From>
ComPtr<To> query(const ComPtr<From>& from, REFIID iid) {
  void* found = nullptr;
  EXPECT_EQ(from->QueryInterface(iid, &found), S_OK);
  return ComPtr<To>::adopt(static_cast<To*>(found));
}

// Answers what it was told to answer and remembers what it heard.
class Listener final : public ComObject<Listener, IBackgroundCopyCallback2> {
 public:
  explicit Listener(test::Watch& watch) : watch_(watch) {}
  virtual ~Listener() {
    watch_.change([this] { *gone_ = true; });
  }
  void* find(REFIID iid) {
    const bool known = iid == IID_IUnknown || iid == IID_IBackgroundCopyCallback ||
                       (hears_files && iid == IID_IBackgroundCopyCallback2);
    return known ? static_cast<IBackgroundCopyCallback2*>(this) : nullptr;
  }

  HRESULT JobTransferred(IBackgroundCopyJob* job) override {
    HRESULT answer = S_OK;
    if (on_transferred) answer = on_transferred(job);
    watch_.change([&] { transferred.push_back(answer); });
    return answer;
  }
  HRESULT JobError(IBackgroundCopyJob*, IBackgroundCopyError* error) override {
    BG_ERROR_CONTEXT context = BG_ERROR_CONTEXT_NONE;
    HRESULT code = S_OK;
    EXPECT_EQ(error->GetError(&context, &code), S_OK);
    watch_.change([&] { errors.push_back(code); });
    return S_OK;
  }
  HRESULT JobModification(IBackgroundCopyJob*, DWORD reserved) override {
    EXPECT_EQ(reserved, 0u);
    watch_.change([&] { ++modifications; });
    return S_OK;
  }
  HRESULT FileTransferred(IBackgroundCopyJob*, IBackgroundCopyFile* file) override {
    LPWSTR name = nullptr;
    EXPECT_EQ(file->GetLocalName(&name), S_OK);
    watch_.change([&] { files.push_back(take_text(name)); });
    return S_OK;
  }
  // True once this object has been destroyed.
  [[nodiscard]] std::shared_ptr<bool> gone() const { return gone_; }

  // Set before it is given away.
  std::function<HRESULT(IBackgroundCopyJob*)> on_transferred;
  bool hears_files = true;
  // Guarded by the watch.
  std::vector<HRESULT> transferred;
  std::vector<HRESULT> errors;
  std::vector<std::string> files;
  int modifications = 0;

 private:
  test::Watch& watch_;
  std::shared_ptr<bool> gone_ = std::make_shared<bool>(false);
};

class FacadeTest : public ::testing::Test {
 protected:
  FacadeTest() : content_(test::make_content(kSize)) { origin_.serve("/file", content_, "\"v1\""); }

  EngineOptions options() {
    return {.state_directory = directory_.path("state"),
            .cache_directory = directory_.path("cache"),
            .listen = "127.0.0.1:0",
            .local_discovery = false,
            .progress_interval = std::chrono::milliseconds{10}};
  }
  void open() {
    auto engine = Engine::open(options());
    ASSERT_TRUE(engine) << engine.error().message;
    const std::shared_ptr<Engine> shared(new Engine(std::move(*engine)),
                                         [closed = engine_closed_](Engine* last) {
                                           delete last;
                                           *closed = true;
                                         });
    IBackgroundCopyManager* manager = nullptr;
    ASSERT_EQ(LanwardCreateManagerOf(shared, &manager), S_OK);
    manager_ = ComPtr<IBackgroundCopyManager>::adopt(manager);
  }
  void SetUp() override { open(); }
  // A call under way may hold the engine a little longer than the test does.
  void TearDown() override {
    manager_ = {};
    EXPECT_TRUE(ask_until([this] { return engine_closed_->load(); }));
  }

  ComPtr<IBackgroundCopyJob> create_job(LPCWSTR name = u"job") {
    GUID id = {};
    IBackgroundCopyJob* job = nullptr;
    EXPECT_EQ(manager_->CreateJob(name, BG_JOB_TYPE_DOWNLOAD, &id, &job), S_OK);
    return ComPtr<IBackgroundCopyJob>::adopt(job);
  }
  std::u16string url(const std::string& path = "/file") { return to_utf16(origin_.url(path)); }
  std::u16string local(const std::string& name = "out") { return to_utf16(directory_.path(name)); }
  std::string read(const std::string& name = "out") {
    std::ifstream file(directory_.path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  ComPtr<Listener> listener() { return ComPtr<Listener>::adopt(new Listener(watch_)); }
  // The job, resumed and transferred.
  ComPtr<IBackgroundCopyJob> transferred_job() {
    auto job = create_job();
    const auto heard = listener();
    EXPECT_EQ(job->AddFile(url().c_str(), local().c_str()), S_OK);
    EXPECT_EQ(job->SetNotifyInterface(heard.get()), S_OK);
    EXPECT_EQ(job->Resume(), S_OK);
    EXPECT_TRUE(watch_.wait([&] { return !heard->transferred.empty(); }));
    EXPECT_EQ(job->SetNotifyInterface(nullptr), S_OK);
    return job;
  }
  ComPtr<IBackgroundCopyFile> first_file(const ComPtr<IBackgroundCopyJob>& job) {
    IEnumBackgroundCopyFiles* files = nullptr;
    EXPECT_EQ(job->EnumFiles(&files), S_OK);
    IBackgroundCopyFile* file = nullptr;
    EXPECT_EQ(files->Next(1, &file, nullptr), S_OK);
    files->Release();
    return ComPtr<IBackgroundCopyFile>::adopt(file);
  }
  BG_JOB_STATE state(const ComPtr<IBackgroundCopyJob>& job) {
    BG_JOB_STATE now = BG_JOB_STATE_QUEUED;
    EXPECT_EQ(job->GetState(&now), S_OK);
    return now;
  }

  // Asks until it is so: for what nobody tells.
  static bool ask_until(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{60};
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }
  bool becomes(const ComPtr<IBackgroundCopyJob>& job, BG_JOB_STATE wanted) {
    return ask_until([&] { return state(job) == wanted; });
  }

  support::TemporaryDirectory directory_;
  test::Content content_;
  test::FaultOrigin origin_;
  test::Watch watch_;  // outlives the manager, whose callbacks change it
  std::shared_ptr<std::atomic<bool>> engine_closed_ = std::make_shared<std::atomic<bool>>(false);
  ComPtr<IBackgroundCopyManager> manager_;
};

}  // namespace lanward::facade
