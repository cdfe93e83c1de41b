// What programs are told, when, and how often.
#include <atomic>
#include <thread>

#include "tests/facade/fixture.h"

namespace lanward::facade {
namespace {

class FacadeCallbackTest : public FacadeTest {
 protected:
  ComPtr<IBackgroundCopyJob> job_with(IUnknown* callback, const std::string& path = "/file") {
    auto job = create_job();
    EXPECT_EQ(job->AddFile(url(path).c_str(), local().c_str()), S_OK);
    EXPECT_EQ(job->SetNotifyInterface(callback), S_OK);
    return job;
  }
};

TEST_F(FacadeCallbackTest, TransferredIsToldOnceAndTheJobCanBeCompletedInside) {
  auto heard = listener();
  heard->on_transferred = [](IBackgroundCopyJob* job) { return job->Complete(); };
  const auto job = job_with(heard.get());
  ASSERT_EQ(job->Resume(), S_OK);
  ASSERT_TRUE(watch_.wait([&] { return !heard->transferred.empty(); }));
  EXPECT_EQ(state(job), BG_JOB_STATE_ACKNOWLEDGED);
  EXPECT_EQ(read(), *content_);
  // A final job lets go of its callback.
  const auto gone = heard->gone();
  heard = {};
  EXPECT_TRUE(watch_.wait([&] { return *gone; }));
}

TEST_F(FacadeCallbackTest, ACallThatFailsIsMadeAgain) {
  const auto heard = listener();
  std::atomic<int> calls = 0;
  heard->on_transferred = [&calls](IBackgroundCopyJob*) { return ++calls < 3 ? E_FAIL : S_OK; };
  const auto job = job_with(heard.get());
  ASSERT_EQ(job->Resume(), S_OK);
  ASSERT_TRUE(watch_.wait([&] { return heard->transferred.size() == 3; }));
  EXPECT_EQ(watch_.look([&] { return heard->transferred; }),
            (std::vector<HRESULT>{E_FAIL, E_FAIL, S_OK}));
}

TEST_F(FacadeCallbackTest, AFailedCallIsNotMadeAgainWhenItIsNoLongerTrue) {
  const auto heard = listener();
  heard->on_transferred = [](IBackgroundCopyJob* job) {
    EXPECT_EQ(job->Complete(), S_OK);
    return E_FAIL;
  };
  const auto job = job_with(heard.get());
  ASSERT_EQ(job->Resume(), S_OK);
  ASSERT_TRUE(watch_.wait([&] { return !heard->transferred.empty(); }));
  // Another job is told after the moment of a second try would have come.
  const auto other = listener();
  std::atomic<int> calls = 0;
  other->on_transferred = [&calls](IBackgroundCopyJob*) { return ++calls < 4 ? E_FAIL : S_OK; };
  const auto second = create_job();
  ASSERT_EQ(second->AddFile(url().c_str(), local("second").c_str()), S_OK);
  ASSERT_EQ(second->SetNotifyInterface(other.get()), S_OK);
  ASSERT_EQ(second->Resume(), S_OK);
  ASSERT_TRUE(watch_.wait([&] { return other->transferred.size() == 4; }));
  EXPECT_EQ(watch_.look([&] { return heard->transferred.size(); }), 1u);
}

TEST_F(FacadeCallbackTest, OnlyWhatTheFlagsNameIsTold) {
  const auto heard = listener();
  const auto job = job_with(heard.get());
  ASSERT_EQ(job->SetNotifyFlags(BG_NOTIFY_FILE_TRANSFERRED), S_OK);
  ASSERT_EQ(job->Resume(), S_OK);
  ASSERT_TRUE(watch_.wait([&] { return !heard->files.empty(); }));
  EXPECT_EQ(watch_.look([&] { return heard->files.front(); }), directory_.path("out"));
  ASSERT_TRUE(becomes(job, BG_JOB_STATE_TRANSFERRED));

  // Modifications are told in order: when one of a later change is heard, all before are.
  ASSERT_EQ(job->SetNotifyFlags(BG_NOTIFY_JOB_MODIFICATION), S_OK);
  ASSERT_EQ(job->SetDisplayName(u"changed"), S_OK);
  ASSERT_TRUE(watch_.wait([&] { return heard->modifications > 0; }));
  EXPECT_TRUE(watch_.look([&] { return heard->transferred.empty() && heard->errors.empty(); }));
}

TEST_F(FacadeCallbackTest, DisabledTellsNothing) {
  const auto silent = listener();
  const auto job = job_with(silent.get());
  ASSERT_EQ(job->SetNotifyFlags(BG_NOTIFY_JOB_TRANSFERRED | BG_NOTIFY_DISABLE), S_OK);
  ASSERT_EQ(job->Resume(), S_OK);
  ASSERT_TRUE(becomes(job, BG_JOB_STATE_TRANSFERRED));
  const auto heard = listener();
  const auto other = create_job();
  ASSERT_EQ(other->AddFile(url().c_str(), local("other").c_str()), S_OK);
  ASSERT_EQ(other->SetNotifyInterface(heard.get()), S_OK);
  ASSERT_EQ(other->Resume(), S_OK);
  ASSERT_TRUE(watch_.wait([&] { return !heard->transferred.empty(); }));
  EXPECT_TRUE(
      watch_.look([&] { return silent->transferred.empty() && silent->modifications == 0; }));
}

TEST_F(FacadeCallbackTest, ErrorsAreToldWithTheirCause) {
  const auto heard = listener();
  const auto job = job_with(heard.get(), "/missing");
  ASSERT_EQ(job->Resume(), S_OK);
  ASSERT_TRUE(watch_.wait([&] { return !heard->errors.empty(); }));
  EXPECT_EQ(state(job), BG_JOB_STATE_ERROR);
  EXPECT_EQ(watch_.look([&] { return heard->errors.front(); }),
            static_cast<HRESULT>(hresult_of(ErrorCode::origin_rejected)));
  ULONG errors = 0;
  EXPECT_EQ(job->GetErrorCount(&errors), S_OK);
  EXPECT_GE(errors, 1u);
}

TEST_F(FacadeCallbackTest, TheCallbackIsReadReplacedAndCleared) {
  const auto job = create_job();
  IUnknown* given = job.get();
  EXPECT_EQ(job->GetNotifyInterface(&given), S_OK);
  EXPECT_EQ(given, nullptr);
  auto first = listener();
  const auto first_gone = first->gone();
  ASSERT_EQ(job->SetNotifyInterface(first.get()), S_OK);
  EXPECT_EQ(job->GetNotifyInterface(&given), S_OK);
  EXPECT_EQ(given, static_cast<IUnknown*>(first.get()));
  given->Release();
  first = {};
  EXPECT_FALSE(watch_.look([&] { return *first_gone; }));
  auto second = listener();
  const auto second_gone = second->gone();
  ASSERT_EQ(job->SetNotifyInterface(second.get()), S_OK);
  EXPECT_TRUE(watch_.look([&] { return *first_gone; }));
  second = {};
  EXPECT_EQ(job->SetNotifyInterface(nullptr), S_OK);
  EXPECT_TRUE(watch_.look([&] { return *second_gone; }));
  EXPECT_EQ(job->SetNotifyInterface(nullptr), S_OK);
}

TEST_F(FacadeCallbackTest, ClearingWaitsForACallThatIsUnderWay) {
  const auto heard = listener();
  std::atomic<bool> inside = false;
  std::atomic<bool> go_on = false;
  heard->on_transferred = [&](IBackgroundCopyJob*) {
    inside = true;
    while (!go_on) std::this_thread::yield();
    return S_OK;
  };
  const auto job = job_with(heard.get());
  ASSERT_EQ(job->Resume(), S_OK);
  ASSERT_TRUE(ask_until([&] { return inside.load(); }));
  std::thread clearing([&] {
    EXPECT_EQ(job->SetNotifyInterface(nullptr), S_OK);
    EXPECT_EQ(watch_.look([&] { return heard->transferred.size(); }), 1u);
  });
  // The callback is taken away first, then the call is waited for.
  EXPECT_TRUE(ask_until([&] {
    IUnknown* given = nullptr;
    EXPECT_EQ(job->GetNotifyInterface(&given), S_OK);
    if (given != nullptr) given->Release();
    return given == nullptr;
  }));
  go_on = true;
  clearing.join();
}

TEST_F(FacadeCallbackTest, WhatHasNoCallbackIsRefused) {
  const auto job = create_job();
  EXPECT_EQ(job->SetNotifyInterface(manager_.get()), E_NOINTERFACE);
  IUnknown* given = nullptr;
  EXPECT_EQ(job->GetNotifyInterface(&given), S_OK);
  EXPECT_EQ(given, nullptr);
}

TEST_F(FacadeCallbackTest, EverythingMayBeReleasedInsideACall) {
  auto heard = listener();
  auto job = job_with(heard.get());
  // The program lets go of all it has; the call holds the last reference.
  std::atomic<bool> released = false;
  heard->on_transferred = [&released](IBackgroundCopyJob*) {
    while (!released) std::this_thread::yield();
    return S_OK;
  };
  ASSERT_EQ(job->Resume(), S_OK);
  ASSERT_TRUE(becomes(job, BG_JOB_STATE_TRANSFERRED));
  const auto gone = heard->gone();
  heard = {};
  job = {};
  manager_ = {};
  released = true;
  EXPECT_TRUE(watch_.wait([&] { return *gone; }));
  // The call had the last references: the engine ends after it, on the same thread.
  EXPECT_TRUE(ask_until([&] { return engine_closed_->load(); }));
}

TEST_F(FacadeCallbackTest, TheEngineDoesNotWaitForACallback) {
  const auto slow = listener();
  std::atomic<bool> go_on = false;
  slow->on_transferred = [&go_on](IBackgroundCopyJob*) {
    while (!go_on) std::this_thread::yield();
    return S_OK;
  };
  const auto first = job_with(slow.get());
  ASSERT_EQ(first->Resume(), S_OK);
  const auto second = create_job();
  ASSERT_EQ(second->AddFile(url().c_str(), local("second").c_str()), S_OK);
  ASSERT_EQ(second->Resume(), S_OK);
  EXPECT_TRUE(becomes(second, BG_JOB_STATE_TRANSFERRED));
  EXPECT_EQ(second->Complete(), S_OK);
  go_on = true;
  EXPECT_TRUE(watch_.wait([&] { return !slow->transferred.empty(); }));
}

}  // namespace
}  // namespace lanward::facade
