// Methods of a job, called by name and by their place in the table.
#include <limits>

#include "tests/facade/fixture.h"

namespace lanward::facade {
namespace {

// As a program does that knows nothing but the published order.
template <class... Arguments>
HRESULT call_slot(void* object, std::size_t slot, Arguments... arguments) {
  using Method = HRESULT (*)(void*, Arguments...);
  void* const* table = *static_cast<void***>(object);
  return reinterpret_cast<Method>(table[slot])(object, arguments...);
}

TEST_F(FacadeTest, TheRightMethodAnswersAtEachPlaceOfTheTable) {
  const auto owner = create_job(u"by place");
  void* job = owner.get();
  const std::u16string from = url();
  const std::u16string to = local();
  EXPECT_EQ(call_slot(job, 4, from.c_str(), to.c_str()), S_OK);  // AddFile
  GUID id = {};
  EXPECT_EQ(call_slot(job, 10, &id), S_OK);  // GetId
  GUID same = {};
  EXPECT_EQ(owner->GetId(&same), S_OK);
  EXPECT_EQ(id, same);
  BG_JOB_PROGRESS progress = {};
  EXPECT_EQ(call_slot(job, 12, &progress), S_OK);  // GetProgress
  EXPECT_EQ(progress.FilesTotal, 1u);
  BG_JOB_STATE now = BG_JOB_STATE_ERROR;
  EXPECT_EQ(call_slot(job, 14, &now), S_OK);  // GetState
  EXPECT_EQ(now, BG_JOB_STATE_SUSPENDED);
  LPWSTR name = nullptr;
  EXPECT_EQ(call_slot(job, 18, &name), S_OK);  // GetDisplayName
  EXPECT_EQ(take_text(name), "by place");
  EXPECT_EQ(call_slot(job, 21, BG_JOB_PRIORITY_FOREGROUND), S_OK);  // SetPriority
  BG_JOB_PRIORITY priority = BG_JOB_PRIORITY_LOW;
  EXPECT_EQ(call_slot(job, 22, &priority), S_OK);  // GetPriority
  EXPECT_EQ(priority, BG_JOB_PRIORITY_FOREGROUND);
  EXPECT_EQ(call_slot(job, 34), E_NOTIMPL);  // TakeOwnership
  EXPECT_EQ(call_slot(job, 8), S_OK);        // Cancel
  EXPECT_EQ(state(owner), BG_JOB_STATE_CANCELLED);
}

TEST_F(FacadeTest, AFileIsFetchedAndDelivered) {
  const auto job = transferred_job();
  EXPECT_EQ(state(job), BG_JOB_STATE_TRANSFERRED);
  EXPECT_EQ(read(), "");
  BG_JOB_PROGRESS progress = {};
  EXPECT_EQ(job->GetProgress(&progress), S_OK);
  EXPECT_EQ(progress.BytesTotal, kSize);
  EXPECT_EQ(progress.BytesTransferred, kSize);
  EXPECT_EQ(progress.FilesTransferred, 1u);
  EXPECT_EQ(job->Complete(), S_OK);
  EXPECT_EQ(read(), *content_);
  EXPECT_EQ(state(job), BG_JOB_STATE_ACKNOWLEDGED);
  BG_FILE_PROGRESS file = {};
  EXPECT_EQ(first_file(job)->GetProgress(&file), S_OK);
  EXPECT_EQ(file.Completed, TRUE);
}

TEST_F(FacadeTest, CompletingTooEarlyKeepsWhatIsThereAndSaysSo) {
  const auto job = create_job();
  ASSERT_EQ(job->AddFile(url().c_str(), local().c_str()), S_OK);
  EXPECT_EQ(job->Complete(), BG_S_PARTIAL_COMPLETE);
  EXPECT_EQ(state(job), BG_JOB_STATE_ACKNOWLEDGED);
}

TEST_F(FacadeTest, TimesAreInTheOrderInWhichThingsHappened) {
  const auto job = create_job();
  BG_JOB_TIMES times = {};
  ASSERT_EQ(job->GetTimes(&times), S_OK);
  const auto count = [](FILETIME time) {
    return UINT64{time.dwHighDateTime} << 32 | time.dwLowDateTime;
  };
  EXPECT_GT(count(times.CreationTime), 116'444'736'000'000'000u);  // after 1970
  EXPECT_GE(count(times.ModificationTime), count(times.CreationTime));
  EXPECT_EQ(count(times.TransferCompletionTime), 0u);
}

TEST_F(FacadeTest, FilesAreRefusedForWrongNames) {
  const auto job = create_job();
  const std::u16string to = local();
  EXPECT_EQ(job->AddFile(url().c_str(), u"relative/name"), E_INVALIDARG);
  EXPECT_EQ(job->AddFile(url().c_str(), u""), E_INVALIDARG);
  EXPECT_EQ(job->AddFile(url().c_str(), nullptr), E_INVALIDARG);
  EXPECT_EQ(job->AddFile(nullptr, to.c_str()), E_INVALIDARG);
  EXPECT_EQ(job->AddFile(u"", to.c_str()), E_INVALIDARG);
  EXPECT_EQ(job->AddFile(u"gopher://host/x", to.c_str()), E_INVALIDARG);
  const char16_t half[] = {u'/', 0xDC00, 0};
  EXPECT_EQ(job->AddFile(url().c_str(), half), E_INVALIDARG);
  EXPECT_EQ(job->Resume(), DO_E_JOB_EMPTY);
}

TEST_F(FacadeTest, ASetOfFilesIsAddedAsAWhole) {
  const auto job = create_job();
  std::u16string from = url();
  std::u16string first = local("a");
  std::u16string second = local("b");
  std::u16string wrong = u"relative";
  BG_FILE_INFO files[] = {{from.data(), first.data()}, {from.data(), wrong.data()}};
  EXPECT_EQ(job->AddFileSet(2, files), E_INVALIDARG);
  EXPECT_EQ(job->AddFileSet(0, files), E_INVALIDARG);
  EXPECT_EQ(job->AddFileSet(1, nullptr), E_INVALIDARG);
  BG_JOB_PROGRESS progress = {};
  EXPECT_EQ(job->GetProgress(&progress), S_OK);
  EXPECT_EQ(progress.FilesTotal, 0u);
  files[1].LocalName = second.data();
  EXPECT_EQ(job->AddFileSet(2, files), S_OK);
  EXPECT_EQ(job->GetProgress(&progress), S_OK);
  EXPECT_EQ(progress.FilesTotal, 2u);
  EXPECT_EQ(progress.BytesTotal, BG_SIZE_UNKNOWN);
}

TEST_F(FacadeTest, AFinalJobTakesNoMoreCalls) {
  const auto job = create_job();
  ASSERT_EQ(job->Cancel(), S_OK);
  EXPECT_EQ(job->Cancel(), DO_E_INVALID_STATE);
  EXPECT_EQ(job->Complete(), DO_E_INVALID_STATE);
  EXPECT_EQ(job->Resume(), DO_E_INVALID_STATE);
  EXPECT_EQ(job->Suspend(), DO_E_INVALID_STATE);
  EXPECT_EQ(job->AddFile(url().c_str(), local().c_str()), DO_E_INVALID_STATE);
  EXPECT_EQ(job->SetNotifyFlags(BG_NOTIFY_JOB_ERROR), DO_E_INVALID_STATE);
  EXPECT_EQ(job->SetNotifyInterface(listener().get()), DO_E_INVALID_STATE);
  EXPECT_EQ(job->SetNoProgressTimeout(60), DO_E_INVALID_STATE);
  const auto job4 = query<IBackgroundCopyJob4>(job, IID_IBackgroundCopyJob4);
  EXPECT_EQ(job4->SetPeerCachingFlags(0), DO_E_INVALID_STATE);
}

TEST_F(FacadeTest, PropertiesAreReadAsTheyWereSet) {
  const auto job = create_job();
  EXPECT_EQ(job->SetDisplayName(u"another \U0001F4E6"), S_OK);
  EXPECT_EQ(job->SetDescription(u"what it is for"), S_OK);
  EXPECT_EQ(job->SetPriority(BG_JOB_PRIORITY_HIGH), S_OK);
  EXPECT_EQ(job->SetMinimumRetryDelay(30), S_OK);
  EXPECT_EQ(job->SetNoProgressTimeout(120), S_OK);
  LPWSTR text = nullptr;
  EXPECT_EQ(job->GetDisplayName(&text), S_OK);
  EXPECT_EQ(take_text(text), "another \xf0\x9f\x93\xa6");
  EXPECT_EQ(job->GetDescription(&text), S_OK);
  EXPECT_EQ(take_text(text), "what it is for");
  EXPECT_EQ(job->GetOwner(&text), S_OK);
  EXPECT_NE(take_text(text), "");
  BG_JOB_PRIORITY priority = BG_JOB_PRIORITY_LOW;
  EXPECT_EQ(job->GetPriority(&priority), S_OK);
  EXPECT_EQ(priority, BG_JOB_PRIORITY_HIGH);
  ULONG number = 0;
  EXPECT_EQ(job->GetMinimumRetryDelay(&number), S_OK);
  EXPECT_EQ(number, 30u);
  EXPECT_EQ(job->GetNoProgressTimeout(&number), S_OK);
  EXPECT_EQ(number, 120u);
  EXPECT_EQ(job->GetErrorCount(&number), S_OK);
  EXPECT_EQ(number, 0u);
}

TEST_F(FacadeTest, TimeoutsAnswerThePublishedDefaultUntilTheyAreSet) {
  const auto job = create_job();
  ULONG seconds = 0;
  EXPECT_EQ(job->GetNoProgressTimeout(&seconds), S_OK);
  EXPECT_EQ(seconds, 86'400u);
  EXPECT_EQ(job->SetPriority(BG_JOB_PRIORITY_FOREGROUND), S_OK);
  EXPECT_EQ(job->GetNoProgressTimeout(&seconds), S_OK);
  EXPECT_EQ(seconds, 3'600u);
  const auto job4 = query<IBackgroundCopyJob4>(job, IID_IBackgroundCopyJob4);
  EXPECT_EQ(job4->GetMaximumDownloadTime(&seconds), S_OK);
  EXPECT_EQ(seconds, 90u * 86'400u);
  EXPECT_EQ(job4->SetMaximumDownloadTime(600), S_OK);
  EXPECT_EQ(job4->GetMaximumDownloadTime(&seconds), S_OK);
  EXPECT_EQ(seconds, 600u);
}

TEST_F(FacadeTest, PropertiesAreRefusedForWrongValues) {
  const auto job = create_job();
  const std::u16string too_long(1025, u'x');
  EXPECT_EQ(job->SetDisplayName(too_long.substr(0, 257).c_str()), E_INVALIDARG);
  EXPECT_EQ(job->SetDisplayName(nullptr), E_INVALIDARG);
  EXPECT_EQ(job->SetDescription(too_long.c_str()), E_INVALIDARG);
  EXPECT_EQ(job->SetPriority(static_cast<BG_JOB_PRIORITY>(4)), E_INVALIDARG);
  EXPECT_EQ(job->SetPriority(static_cast<BG_JOB_PRIORITY>(-1)), E_INVALIDARG);
  EXPECT_EQ(job->SetNotifyFlags(BG_NOTIFY_FILE_RANGES_TRANSFERRED), E_NOTIMPL);
}

TEST_F(FacadeTest, NullWhereAResultBelongsIsRefused) {
  const auto job = create_job();
  EXPECT_EQ(job->GetId(nullptr), E_POINTER);
  EXPECT_EQ(job->GetType(nullptr), E_POINTER);
  EXPECT_EQ(job->GetProgress(nullptr), E_POINTER);
  EXPECT_EQ(job->GetTimes(nullptr), E_POINTER);
  EXPECT_EQ(job->GetState(nullptr), E_POINTER);
  EXPECT_EQ(job->GetError(nullptr), E_POINTER);
  EXPECT_EQ(job->GetOwner(nullptr), E_POINTER);
  EXPECT_EQ(job->GetDisplayName(nullptr), E_INVALIDARG);
  EXPECT_EQ(job->GetPriority(nullptr), E_POINTER);
  EXPECT_EQ(job->GetNotifyFlags(nullptr), E_POINTER);
  EXPECT_EQ(job->GetNotifyInterface(nullptr), E_POINTER);
  EXPECT_EQ(job->EnumFiles(nullptr), E_POINTER);
}

TEST_F(FacadeTest, AProxyIsReadAsItWasSet) {
  const auto job = create_job();
  BG_JOB_PROXY_USAGE usage = BG_JOB_PROXY_USAGE_OVERRIDE;
  LPWSTR proxies = nullptr;
  LPWSTR bypass = nullptr;
  ASSERT_EQ(job->GetProxySettings(&usage, &proxies, &bypass), S_OK);
  EXPECT_EQ(usage, BG_JOB_PROXY_USAGE_PRECONFIG);
  EXPECT_EQ(proxies, nullptr);
  EXPECT_EQ(job->SetProxySettings(BG_JOB_PROXY_USAGE_NO_PROXY, u"http://p:1", nullptr),
            E_INVALIDARG);
  EXPECT_EQ(job->SetProxySettings(BG_JOB_PROXY_USAGE_OVERRIDE, nullptr, nullptr), E_INVALIDARG);
  ASSERT_EQ(job->SetProxySettings(BG_JOB_PROXY_USAGE_OVERRIDE, u"http://p:1", u"a.test;b.test"),
            S_OK);
  ASSERT_EQ(job->GetProxySettings(&usage, &proxies, &bypass), S_OK);
  EXPECT_EQ(usage, BG_JOB_PROXY_USAGE_OVERRIDE);
  EXPECT_EQ(take_text(proxies), "http://p:1");
  EXPECT_EQ(take_text(bypass), "a.test,b.test");
}

TEST_F(FacadeTest, CostFlagsAreKeptAndOtherPropertiesAreNotSupported) {
  const auto job = query<IBackgroundCopyJob5>(create_job(), IID_IBackgroundCopyJob5);
  BITS_JOB_PROPERTY_VALUE value = {};
  ASSERT_EQ(job->GetProperty(BITS_JOB_PROPERTY_ID_COST_FLAGS, &value), S_OK);
  EXPECT_EQ(value.Dword, BITS_JOB_TRANSFER_POLICY_ALWAYS);
  value.Dword = BITS_JOB_TRANSFER_POLICY_STANDARD;
  EXPECT_EQ(job->SetProperty(BITS_JOB_PROPERTY_ID_COST_FLAGS, value), S_OK);
  value = {};
  EXPECT_EQ(job->GetProperty(BITS_JOB_PROPERTY_ID_COST_FLAGS, &value), S_OK);
  EXPECT_EQ(value.Dword, BITS_JOB_TRANSFER_POLICY_STANDARD);
  value.Dword = 7;
  EXPECT_EQ(job->SetProperty(BITS_JOB_PROPERTY_ID_COST_FLAGS, value), E_INVALIDARG);
  EXPECT_EQ(job->SetProperty(BITS_JOB_PROPERTY_HIGH_PERFORMANCE, value), E_NOTIMPL);
  EXPECT_EQ(job->GetProperty(BITS_JOB_PROPERTY_NOTIFICATION_CLSID, &value), E_NOTIMPL);
  EXPECT_EQ(job->GetProperty(BITS_JOB_PROPERTY_ID_COST_FLAGS, nullptr), E_POINTER);
}

TEST_F(FacadeTest, PeerFlagsAreOnForDownloadsUntilTheyAreSet) {
  const auto job = query<IBackgroundCopyJob4>(create_job(), IID_IBackgroundCopyJob4);
  DWORD flags = 0;
  EXPECT_EQ(job->GetPeerCachingFlags(&flags), S_OK);
  EXPECT_EQ(flags, BG_JOB_ENABLE_PEERCACHING_CLIENT);
  EXPECT_EQ(job->SetPeerCachingFlags(4), E_NOTIMPL);
  EXPECT_EQ(job->SetPeerCachingFlags(BG_JOB_ENABLE_PEERCACHING_SERVER), S_OK);
  EXPECT_EQ(job->GetPeerCachingFlags(&flags), S_OK);
  EXPECT_EQ(flags, BG_JOB_ENABLE_PEERCACHING_SERVER);
}

TEST_F(FacadeTest, WhatIsNotSupportedSaysSo) {
  const auto job = query<IBackgroundCopyJob5>(create_job(), IID_IBackgroundCopyJob5);
  LPWSTR text = nullptr;
  EXPECT_EQ(job->TakeOwnership(), E_NOTIMPL);
  EXPECT_EQ(job->SetNotifyCmdLine(u"/bin/true", nullptr), E_NOTIMPL);
  EXPECT_EQ(job->GetNotifyCmdLine(&text, &text), E_NOTIMPL);
  EXPECT_EQ(job->GetReplyProgress(nullptr), E_NOTIMPL);
  EXPECT_EQ(job->GetReplyData(nullptr, nullptr), E_NOTIMPL);
  EXPECT_EQ(job->SetReplyFileName(u"/x"), E_NOTIMPL);
  EXPECT_EQ(job->GetReplyFileName(&text), E_NOTIMPL);
  EXPECT_EQ(job->SetCredentials(nullptr), E_NOTIMPL);
  EXPECT_EQ(job->RemoveCredentials(BG_AUTH_TARGET_SERVER, BG_AUTH_SCHEME_BASIC), E_NOTIMPL);
  EXPECT_EQ(job->ReplaceRemotePrefix(u"a", u"b"), E_NOTIMPL);
  EXPECT_EQ(job->SetFileACLFlags(0), E_NOTIMPL);
  EXPECT_EQ(job->GetFileACLFlags(nullptr), E_NOTIMPL);
  EXPECT_EQ(job->GetOwnerIntegrityLevel(nullptr), E_NOTIMPL);
  EXPECT_EQ(job->GetOwnerElevationState(nullptr), E_NOTIMPL);
}

TEST_F(FacadeTest, AnErrorIsToldOnlyWhileThereIsOne) {
  const auto job = create_job();
  IBackgroundCopyError* error = nullptr;
  EXPECT_EQ(job->GetError(&error), DO_E_ERROR_INFORMATION_UNAVAILABLE);
  EXPECT_EQ(error, nullptr);
  const auto job2 = query<IDeliveryOptimizationJob2>(job, IID_IDeliveryOptimizationJob2);
  VARIANT value;
  EXPECT_EQ(job2->GetProperty(DOJobPropertyId_ExtendedErrorInfo, &value),
            DO_E_ERROR_INFORMATION_UNAVAILABLE);

  ASSERT_EQ(job->AddFile(url("/missing").c_str(), local().c_str()), S_OK);
  const auto heard = listener();
  ASSERT_EQ(job->SetNotifyInterface(heard.get()), S_OK);
  ASSERT_EQ(job->Resume(), S_OK);
  ASSERT_TRUE(watch_.wait([&] { return !heard->errors.empty(); }));
  ASSERT_EQ(job->GetError(&error), S_OK);
  BG_ERROR_CONTEXT context = BG_ERROR_CONTEXT_NONE;
  HRESULT code = S_OK;
  EXPECT_EQ(error->GetError(&context, &code), S_OK);
  EXPECT_EQ(code, watch_.look([&] { return heard->errors.front(); }));
  EXPECT_EQ(code, static_cast<HRESULT>(hresult_of(ErrorCode::origin_rejected)));
  EXPECT_EQ(error->GetError(nullptr, &code), E_POINTER);
  LPWSTR text = nullptr;
  EXPECT_EQ(error->GetErrorDescription(0, &text), S_OK);
  EXPECT_NE(take_text(text).find("404"), std::string::npos);
  EXPECT_EQ(error->GetErrorContextDescription(0, &text), S_OK);
  EXPECT_EQ(take_text(text), describe(static_cast<ErrorContext>(context)));
  IBackgroundCopyFile* file = nullptr;
  ASSERT_EQ(error->GetFile(&file), S_OK);
  EXPECT_EQ(file->GetRemoteName(&text), S_OK);
  EXPECT_EQ(take_text(text), origin_.url("/missing"));
  file->Release();
  EXPECT_EQ(error->GetProtocol(&text), S_OK);
  EXPECT_EQ(take_text(text), "http");
  error->Release();
  ASSERT_EQ(job2->GetProperty(DOJobPropertyId_ExtendedErrorInfo, &value), S_OK);
  EXPECT_EQ(value.vt, VT_BSTR);
  EXPECT_NE(SysStringLen(value.bstrVal), 0u);
  VariantClear(&value);
}

TEST_F(FacadeTest, JobPropertiesAreReadOnlyOrUnknown) {
  const auto job = query<IDeliveryOptimizationJob2>(create_job(), IID_IDeliveryOptimizationJob2);
  VARIANT value;
  VariantInit(&value);
  EXPECT_EQ(job->SetProperty(DOJobPropertyId_ExtendedErrorInfo, &value), DO_E_READ_ONLY_PROPERTY);
  EXPECT_EQ(job->SetProperty(static_cast<DOJobPropertyId>(9), &value), DO_E_UNKNOWN_PROPERTY_ID);
  EXPECT_EQ(job->GetProperty(static_cast<DOJobPropertyId>(9), &value), DO_E_UNKNOWN_PROPERTY_ID);
  EXPECT_EQ(job->GetProperty(DOJobPropertyId_ExtendedErrorInfo, nullptr), E_POINTER);
}

}  // namespace
}  // namespace lanward::facade
