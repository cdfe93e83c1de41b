// Managers, enumerators of jobs, and who keeps whom alive.
#include "tests/facade/fixture.h"

namespace lanward::facade {
namespace {

TEST_F(FacadeTest, AJobIsFoundAgainByItsId) {
  GUID id = {};
  IBackgroundCopyJob* raw = nullptr;
  ASSERT_EQ(manager_->CreateJob(u"n\u00e4me", BG_JOB_TYPE_DOWNLOAD, &id, &raw), S_OK);
  const auto job = ComPtr<IBackgroundCopyJob>::adopt(raw);
  GUID own = {};
  EXPECT_EQ(job->GetId(&own), S_OK);
  EXPECT_EQ(own, id);
  IBackgroundCopyJob* again = nullptr;
  ASSERT_EQ(manager_->GetJob(id, &again), S_OK);
  LPWSTR name = nullptr;
  EXPECT_EQ(again->GetDisplayName(&name), S_OK);
  EXPECT_EQ(take_text(name), "n\xc3\xa4me");
  again->Release();
}

TEST_F(FacadeTest, ANewJobIsSuspendedNormalAndTellsTransferredAndError) {
  const auto job = create_job();
  EXPECT_EQ(state(job), BG_JOB_STATE_SUSPENDED);
  BG_JOB_PRIORITY priority = BG_JOB_PRIORITY_LOW;
  EXPECT_EQ(job->GetPriority(&priority), S_OK);
  EXPECT_EQ(priority, BG_JOB_PRIORITY_NORMAL);
  ULONG flags = 0;
  EXPECT_EQ(job->GetNotifyFlags(&flags), S_OK);
  EXPECT_EQ(flags, BG_NOTIFY_JOB_TRANSFERRED | BG_NOTIFY_JOB_ERROR);
  BG_JOB_TYPE type = BG_JOB_TYPE_UPLOAD;
  EXPECT_EQ(job->GetType(&type), S_OK);
  EXPECT_EQ(type, BG_JOB_TYPE_DOWNLOAD);
}

TEST_F(FacadeTest, JobsAreRefusedForWrongArguments) {
  GUID id = {};
  IBackgroundCopyJob* job = nullptr;
  EXPECT_EQ(manager_->CreateJob(nullptr, BG_JOB_TYPE_DOWNLOAD, &id, &job), E_INVALIDARG);
  const char16_t half[] = {0xD800, 0};
  EXPECT_EQ(manager_->CreateJob(half, BG_JOB_TYPE_DOWNLOAD, &id, &job), E_INVALIDARG);
  const std::u16string longest(256, u'n');
  EXPECT_EQ(manager_->CreateJob((longest + u"n").c_str(), BG_JOB_TYPE_DOWNLOAD, &id, &job),
            E_INVALIDARG);
  EXPECT_EQ(manager_->CreateJob(u"x", BG_JOB_TYPE_UPLOAD, &id, &job), E_NOTIMPL);
  EXPECT_EQ(manager_->CreateJob(u"x", static_cast<BG_JOB_TYPE>(3), &id, &job), E_INVALIDARG);
  EXPECT_EQ(manager_->CreateJob(u"x", BG_JOB_TYPE_DOWNLOAD, nullptr, &job), E_POINTER);
  EXPECT_EQ(manager_->CreateJob(u"x", BG_JOB_TYPE_DOWNLOAD, &id, nullptr), E_POINTER);
  EXPECT_EQ(job, nullptr);
  EXPECT_EQ(manager_->GetJob(IID_IUnknown, &job), DO_E_JOB_NOT_FOUND);
  EXPECT_EQ(manager_->GetJob(id, nullptr), E_POINTER);
  ASSERT_EQ(manager_->CreateJob(longest.c_str(), BG_JOB_TYPE_DOWNLOAD, &id, &job), S_OK);
  job->Release();
}

TEST_F(FacadeTest, AnEnumeratorOfJobsIsASnapshot) {
  for (int i = 0; i < 3; ++i) create_job();
  IEnumBackgroundCopyJobs* raw = nullptr;
  ASSERT_EQ(manager_->EnumJobs(0, &raw), S_OK);
  const auto jobs = ComPtr<IEnumBackgroundCopyJobs>::adopt(raw);
  create_job();
  ULONG count = 0;
  EXPECT_EQ(jobs->GetCount(&count), S_OK);
  EXPECT_EQ(count, 3u);
  EXPECT_EQ(manager_->EnumJobs(2, &raw), E_INVALIDARG);
  EXPECT_EQ(manager_->EnumJobs(0, nullptr), E_POINTER);
}

TEST_F(FacadeTest, NextSkipAndCloneGoOnFromTheirPlace) {
  for (int i = 0; i < 3; ++i) create_job();
  IEnumBackgroundCopyJobs* raw = nullptr;
  ASSERT_EQ(manager_->EnumJobs(BG_JOB_ENUM_ALL_USERS, &raw), S_OK);
  const auto jobs = ComPtr<IEnumBackgroundCopyJobs>::adopt(raw);
  IBackgroundCopyJob* two[2] = {};
  EXPECT_EQ(jobs->Next(2, two, nullptr), E_INVALIDARG);
  EXPECT_EQ(jobs->Next(1, nullptr, nullptr), E_POINTER);
  ULONG fetched = 9;
  ASSERT_EQ(jobs->Next(2, two, &fetched), S_OK);
  EXPECT_EQ(fetched, 2u);
  two[0]->Release();
  two[1]->Release();

  IEnumBackgroundCopyJobs* copy = nullptr;
  ASSERT_EQ(jobs->Clone(&copy), S_OK);
  EXPECT_EQ(copy->Skip(1), S_OK);
  EXPECT_EQ(copy->Skip(1), S_FALSE);
  copy->Release();

  ASSERT_EQ(jobs->Next(2, two, &fetched), S_FALSE);  // the copy went on alone
  EXPECT_EQ(fetched, 1u);
  two[0]->Release();
  EXPECT_EQ(jobs->Next(1, two, nullptr), S_FALSE);
  EXPECT_EQ(jobs->Reset(), S_OK);
  EXPECT_EQ(jobs->Skip(0xFFFFFFFF), S_FALSE);
  EXPECT_EQ(jobs->Reset(), S_OK);
  ASSERT_EQ(jobs->Next(1, two, nullptr), S_OK);
  two[0]->Release();
}

TEST_F(FacadeTest, EveryInterfaceOfAnObjectLeadsToTheSameIUnknown) {
  const auto job = create_job();
  const auto unknown = query<IUnknown>(job, IID_IUnknown);
  for (const IID& iid : {IID_IBackgroundCopyJob, IID_IBackgroundCopyJob2, IID_IBackgroundCopyJob3,
                         IID_IBackgroundCopyJob4, IID_IBackgroundCopyJob5,
                         IID_IDeliveryOptimizationJob, IID_IDeliveryOptimizationJob2}) {
    const auto other = query<IUnknown>(job, iid);
    EXPECT_EQ(query<IUnknown>(other, IID_IUnknown).get(), unknown.get());
    // And from each of them to each other.
    EXPECT_EQ(query<IUnknown>(other, IID_IBackgroundCopyJob5).get(),
              query<IUnknown>(unknown, IID_IBackgroundCopyJob5).get());
  }
  void* none = this;
  EXPECT_EQ(job->QueryInterface(IID_IBackgroundCopyManager, &none), E_NOINTERFACE);
  EXPECT_EQ(none, nullptr);
  EXPECT_EQ(job->QueryInterface(IID_IUnknown, nullptr), E_POINTER);
}

TEST_F(FacadeTest, ReferencesAreCountedOverAllInterfaces) {
  const auto job = create_job();
  EXPECT_EQ(job->AddRef(), 2u);
  auto* other = query<IDeliveryOptimizationJob>(job, IID_IDeliveryOptimizationJob).detach();
  EXPECT_EQ(other->AddRef(), 4u);
  EXPECT_EQ(other->Release(), 3u);
  EXPECT_EQ(other->Release(), 2u);
  EXPECT_EQ(job->Release(), 1u);
}

TEST_F(FacadeTest, TheEngineEndsWithTheLastInterfacePointer) {
  auto job = create_job();
  ASSERT_EQ(job->AddFile(url().c_str(), local().c_str()), S_OK);
  auto file = first_file(job);
  manager_ = {};
  EXPECT_FALSE(*engine_closed_);
  job = {};
  EXPECT_FALSE(*engine_closed_);
  LPWSTR name = nullptr;
  EXPECT_EQ(file->GetRemoteName(&name), S_OK);
  EXPECT_EQ(take_text(name), origin_.url("/file"));
  file = {};
  EXPECT_TRUE(*engine_closed_);
}

TEST_F(FacadeTest, ErrorsHaveADescription) {
  LPWSTR text = nullptr;
  ASSERT_EQ(manager_->GetErrorDescription(DO_E_JOB_EMPTY, 0, &text), S_OK);
  EXPECT_EQ(take_text(text), describe(ErrorCode::job_empty));
  EXPECT_EQ(manager_->GetErrorDescription(static_cast<HRESULT>(0x80D0FFFF), 0, &text), E_NOT_SET);
  EXPECT_EQ(text, nullptr);
  EXPECT_EQ(manager_->GetErrorDescription(DO_E_JOB_EMPTY, 0, nullptr), E_POINTER);
}

TEST_F(FacadeTest, ManagersAreOpenedByDirectory) {
  const std::u16string state = local("other");
  LANWARD_MANAGER_OPTIONS how = {};
  how.Size = sizeof(how);
  how.StateDirectory = state.c_str();
  how.Listen = u"127.0.0.1:0";
  how.DisableDiscovery = TRUE;
  IBackgroundCopyManager* manager = nullptr;
  ASSERT_EQ(LanwardCreateManager(&how, &manager), S_OK);
  GUID id = {};
  IBackgroundCopyJob* job = nullptr;
  ASSERT_EQ(manager->CreateJob(u"kept", BG_JOB_TYPE_DOWNLOAD, &id, &job), S_OK);

  IBackgroundCopyManager* second = nullptr;
  EXPECT_EQ(LanwardCreateManager(&how, &second),
            static_cast<HRESULT>(hresult_of(ErrorCode::in_use)));
  EXPECT_EQ(second, nullptr);
  job->Release();
  EXPECT_EQ(manager->Release(), 0u);

  // The next one finds the job.
  ASSERT_EQ(LanwardCreateManager(&how, &manager), S_OK);
  EXPECT_EQ(manager->GetJob(id, &job), S_OK);
  job->Release();
  manager->Release();
}

TEST(Activation, WrongOptionsAreRefused) {
  IBackgroundCopyManager* manager = nullptr;
  LANWARD_MANAGER_OPTIONS how = {};
  how.Size = sizeof(how);
  EXPECT_EQ(LanwardCreateManager(&how, &manager), E_INVALIDARG);  // no directory
  how.StateDirectory = u"relative";
  EXPECT_EQ(LanwardCreateManager(&how, &manager), E_INVALIDARG);
  how.StateDirectory = u"/nowhere";
  how.Size = 4;
  EXPECT_EQ(LanwardCreateManager(&how, &manager), E_INVALIDARG);
  EXPECT_EQ(LanwardCreateManager(nullptr, &manager), E_POINTER);
  EXPECT_EQ(LanwardCreateManager(&how, nullptr), E_POINTER);
  EXPECT_EQ(LanwardCreateManagerOf(nullptr, &manager), E_POINTER);
}

}  // namespace
}  // namespace lanward::facade
