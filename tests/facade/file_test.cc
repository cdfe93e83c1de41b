// Files: names, ranges, properties, figures.
#include "api/facade/session.h"
#include "tests/facade/fixture.h"

namespace lanward::facade {
namespace {

class FacadeFileTest : public FacadeTest {
 protected:
  ComPtr<IDeliveryOptimizationFile2> add_unplaced(const ComPtr<IBackgroundCopyJob>& job,
                                                  LPCWSTR id = u"id") {
    void* file = nullptr;
    EXPECT_EQ(query<IDeliveryOptimizationJob2>(job, IID_IDeliveryOptimizationJob2)
                  ->AddFile(id, url().c_str(), 0, nullptr, IID_IDeliveryOptimizationFile2, &file),
              S_OK);
    return ComPtr<IDeliveryOptimizationFile2>::adopt(
        static_cast<IDeliveryOptimizationFile2*>(file));
  }
  static HRESULT set_text(const ComPtr<IDeliveryOptimizationFile2>& file, DOFilePropertyId id,
                          LPCWSTR text) {
    VARIANT value;
    VariantInit(&value);
    value.vt = VT_BSTR;
    value.bstrVal = SysAllocString(text);
    const HRESULT result = file->SetProperty(id, &value);
    VariantClear(&value);
    return result;
  }
};

TEST_F(FacadeFileTest, AFileHasTheNamesItWasAddedWith) {
  const auto job = create_job();
  ASSERT_EQ(job->AddFile(url().c_str(), local("\xc3\xbc").c_str()), S_OK);
  const auto file = first_file(job);
  LPWSTR text = nullptr;
  EXPECT_EQ(file->GetRemoteName(&text), S_OK);
  EXPECT_EQ(take_text(text), origin_.url("/file"));
  EXPECT_EQ(file->GetLocalName(&text), S_OK);
  EXPECT_EQ(take_text(text), directory_.path("\xc3\xbc"));
  BG_FILE_PROGRESS progress = {};
  EXPECT_EQ(file->GetProgress(&progress), S_OK);
  EXPECT_EQ(progress.BytesTotal, DO_UNKNOWN_FILE_SIZE);
  EXPECT_EQ(progress.BytesTransferred, 0u);
  EXPECT_EQ(progress.Completed, FALSE);
  EXPECT_EQ(file->GetRemoteName(nullptr), E_POINTER);
  EXPECT_EQ(file->GetLocalName(nullptr), E_POINTER);
  EXPECT_EQ(file->GetProgress(nullptr), E_POINTER);
}

TEST_F(FacadeFileTest, AnEnumeratorOfFilesIsASnapshot) {
  const auto job = create_job();
  ASSERT_EQ(job->AddFile(url().c_str(), local("a").c_str()), S_OK);
  IEnumBackgroundCopyFiles* raw = nullptr;
  ASSERT_EQ(job->EnumFiles(&raw), S_OK);
  const auto files = ComPtr<IEnumBackgroundCopyFiles>::adopt(raw);
  ASSERT_EQ(job->AddFile(url().c_str(), local("b").c_str()), S_OK);
  ULONG count = 0;
  EXPECT_EQ(files->GetCount(&count), S_OK);
  EXPECT_EQ(count, 1u);
  IBackgroundCopyFile* two[2] = {};
  ULONG fetched = 0;
  ASSERT_EQ(files->Next(2, two, &fetched), S_FALSE);
  EXPECT_EQ(fetched, 1u);
  two[0]->Release();
  const auto unknown = query<IUnknown>(files, IID_IUnknown);
  EXPECT_EQ(query<IUnknown>(files, IID_IEnumBackgroundCopyFiles).get(), unknown.get());
}

TEST_F(FacadeFileTest, EveryInterfaceOfAFileLeadsToTheSameIUnknown) {
  const auto job = create_job();
  ASSERT_EQ(job->AddFile(url().c_str(), local().c_str()), S_OK);
  const auto file = first_file(job);
  const auto unknown = query<IUnknown>(file, IID_IUnknown);
  for (const IID& iid :
       {IID_IBackgroundCopyFile, IID_IBackgroundCopyFile2, IID_IBackgroundCopyFile3,
        IID_IBackgroundCopyFile4, IID_IBackgroundCopyFile5, IID_IDeliveryOptimizationFile,
        IID_IDeliveryOptimizationFile2}) {
    EXPECT_EQ(query<IUnknown>(query<IUnknown>(file, iid), IID_IUnknown).get(), unknown.get());
  }
}

TEST_F(FacadeFileTest, RangesAreCheckedAndToldAsTheyWereGiven) {
  const auto job = create_job();
  const auto ranged = query<IDeliveryOptimizationJob>(job, IID_IDeliveryOptimizationJob);
  const auto add = [&](LPCWSTR id, std::vector<BG_FILE_RANGE> ranges) {
    return ranged->AddFileWithRanges(id, url().c_str(), local(to_utf8(id).value()).c_str(),
                                     static_cast<DWORD>(ranges.size()), ranges.data(),
                                     DO_UNKNOWN_FILE_SIZE);
  };
  EXPECT_EQ(add(u"overlap", {{0, 10}, {5, 10}}), DO_E_OVERLAPPING_RANGES);
  EXPECT_TRUE(FAILED(add(u"backwards", {{50, 10}, {0, 10}})));
  EXPECT_EQ(add(u"nowhere", {{BG_LENGTH_TO_EOF, 1}}), DO_E_INVALID_RANGE);
  EXPECT_EQ(add(u"empty", {{0, 0}}), DO_E_INVALID_RANGE);
  EXPECT_EQ(ranged->AddFileWithRanges(u"null", url().c_str(), local("n").c_str(), 1, nullptr, 0),
            E_INVALIDARG);
  EXPECT_EQ(ranged->AddFileWithRanges(u"", url().c_str(), local("n").c_str(), 0, nullptr, 0),
            E_INVALIDARG);
  EXPECT_EQ(ranged->AddFileWithRanges(u"x", url().c_str(), u"", 0, nullptr, 0), E_INVALIDARG);
  ASSERT_EQ(add(u"good", {{10, 20}, {100, BG_LENGTH_TO_EOF}}), S_OK);
  EXPECT_TRUE(FAILED(add(u"good", {{0, 1}})));  // the id is taken

  const auto file = query<IBackgroundCopyFile2>(first_file(job), IID_IBackgroundCopyFile2);
  DWORD count = 0;
  BG_FILE_RANGE* ranges = nullptr;
  ASSERT_EQ(file->GetFileRanges(&count, &ranges), S_OK);
  ASSERT_EQ(count, 2u);
  EXPECT_EQ(ranges[0].InitialOffset, 10u);
  EXPECT_EQ(ranges[0].Length, 20u);
  EXPECT_EQ(ranges[1].InitialOffset, 100u);
  EXPECT_EQ(ranges[1].Length, BG_LENGTH_TO_EOF);
  CoTaskMemFree(ranges);
  EXPECT_EQ(file->GetFileRanges(nullptr, &ranges), E_POINTER);
}

TEST_F(FacadeFileTest, AWholeFileHasNoRanges) {
  const auto job = query<IBackgroundCopyJob3>(create_job(), IID_IBackgroundCopyJob3);
  ASSERT_EQ(job->AddFileWithRanges(url().c_str(), local().c_str(), 0, nullptr), S_OK);
  const auto plain = query<IBackgroundCopyJob>(job, IID_IBackgroundCopyJob);
  const auto file = query<IBackgroundCopyFile2>(first_file(plain), IID_IBackgroundCopyFile2);
  DWORD count = 7;
  BG_FILE_RANGE none = {};
  BG_FILE_RANGE* ranges = &none;
  EXPECT_EQ(file->GetFileRanges(&count, &ranges), S_FALSE);
  EXPECT_EQ(count, 0u);
  EXPECT_EQ(ranges, nullptr);
}

TEST_F(FacadeFileTest, RangesOfAFileAreFetchedOneAfterTheOther) {
  const auto job = create_job();
  BG_FILE_RANGE ranges[] = {{10, 1000}, {200'000, BG_LENGTH_TO_EOF}};
  ASSERT_EQ(query<IDeliveryOptimizationJob>(job, IID_IDeliveryOptimizationJob)
                ->AddFileWithRanges(u"parts", url().c_str(), local().c_str(), 2, ranges, kSize),
            S_OK);
  const auto heard = listener();
  ASSERT_EQ(job->SetNotifyInterface(heard.get()), S_OK);
  ASSERT_EQ(job->Resume(), S_OK);
  ASSERT_TRUE(watch_.wait([&] { return !heard->transferred.empty(); }));
  BG_FILE_PROGRESS progress = {};
  EXPECT_EQ(first_file(job)->GetProgress(&progress), S_OK);
  EXPECT_EQ(progress.BytesTotal, 1000 + kSize - 200'000);
  ASSERT_EQ(job->Complete(), S_OK);
  EXPECT_EQ(read(), content_->substr(10, 1000) + content_->substr(200'000));
}

TEST_F(FacadeFileTest, AnotherUrlTakesThePlaceOfTheFirst) {
  const auto job = create_job();
  ASSERT_EQ(job->AddFile(url("/missing").c_str(), local().c_str()), S_OK);
  const auto file = query<IBackgroundCopyFile2>(first_file(job), IID_IBackgroundCopyFile2);
  std::u16string longest = url("/");
  EXPECT_EQ(file->SetRemoteName((longest + std::u16string(2201 - longest.size(), u'x')).c_str()),
            E_INVALIDARG);
  EXPECT_EQ(file->SetRemoteName(nullptr), E_INVALIDARG);
  EXPECT_EQ(file->SetRemoteName(u"no url"), E_INVALIDARG);
  ASSERT_EQ(file->SetRemoteName(url().c_str()), S_OK);
  LPWSTR name = nullptr;
  EXPECT_EQ(file->GetRemoteName(&name), S_OK);
  EXPECT_EQ(take_text(name), origin_.url("/file"));
}

TEST_F(FacadeFileTest, FiguresAndHeadersAreThoseOfTheTransfer) {
  const auto job = transferred_job();
  const auto file = first_file(job);
  DOSwarmStats stats = {};
  const auto counted = query<IDeliveryOptimizationFile>(file, IID_IDeliveryOptimizationFile);
  ASSERT_EQ(counted->GetStats(&stats), S_OK);
  EXPECT_EQ(stats.fileSize, kSize);
  EXPECT_EQ(stats.bytesFromHttp, stats.totalBytesDownloaded);
  EXPECT_GE(stats.bytesFromHttp, kSize);
  EXPECT_EQ(stats.bytesFromLanPeers, 0u);
  EXPECT_EQ(stats.isBackground, TRUE);
  EXPECT_EQ(take_text(stats.sourceURL), origin_.url("/file"));
  CoTaskMemFree(stats.fileId);
  EXPECT_EQ(counted->GetStats(nullptr), E_POINTER);

  UINT64 from_origin = 0;
  UINT64 from_peers = 1;
  const auto file4 = query<IBackgroundCopyFile5>(file, IID_IBackgroundCopyFile5);
  EXPECT_EQ(file4->GetPeerDownloadStats(&from_origin, &from_peers), S_OK);
  EXPECT_EQ(from_origin, stats.bytesFromHttp);
  EXPECT_EQ(from_peers, 0u);
  BOOL by_peers = TRUE;
  EXPECT_EQ(file4->IsDownloadedFromPeer(&by_peers), S_OK);
  EXPECT_EQ(by_peers, FALSE);

  BITS_FILE_PROPERTY_VALUE value = {};
  ASSERT_EQ(file4->GetProperty(BITS_FILE_PROPERTY_ID_HTTP_RESPONSE_HEADERS, &value), S_OK);
  const std::string headers = take_text(value.String);
  EXPECT_EQ(headers.rfind("HTTP/1.1 20", 0), 0u) << headers;
  EXPECT_EQ(file4->SetProperty(BITS_FILE_PROPERTY_ID_HTTP_RESPONSE_HEADERS, value),
            DO_E_READ_ONLY_PROPERTY);
  EXPECT_EQ(file4->GetProperty(static_cast<BITS_FILE_PROPERTY_ID>(2), &value),
            DO_E_UNKNOWN_PROPERTY_ID);
  EXPECT_EQ(file4->GetTemporaryName(&value.String), E_NOTIMPL);
  EXPECT_EQ(file4->SetValidationState(TRUE), E_NOTIMPL);
  EXPECT_EQ(file4->GetValidationState(&by_peers), E_NOTIMPL);
}

TEST_F(FacadeFileTest, StatsNameTheFileAsTheProgramDid) {
  const auto job = create_job();
  ASSERT_EQ(query<IDeliveryOptimizationJob>(job, IID_IDeliveryOptimizationJob)
                ->AddFileWithRanges(u"my id", url().c_str(), local().c_str(), 0, nullptr,
                                    DO_UNKNOWN_FILE_SIZE),
            S_OK);
  DOSwarmStats stats = {};
  ASSERT_EQ(query<IDeliveryOptimizationFile>(first_file(job), IID_IDeliveryOptimizationFile)
                ->GetStats(&stats),
            S_OK);
  EXPECT_EQ(take_text(stats.fileId), "my id");
  CoTaskMemFree(stats.sourceURL);
}

TEST_F(FacadeFileTest, AFileWithoutAPathBecomesOneWhenItsPathIsSet) {
  const auto job = create_job();
  const auto file = add_unplaced(job);
  VARIANT value;
  EXPECT_EQ(file->GetProperty(DOFilePropertyId_DownloadSinkFilePath, &value), E_NOT_SET);
  EXPECT_EQ(job->Resume(), DO_E_FILE_DOWNLOADSINK_UNSPECIFIED);
  EXPECT_EQ(set_text(file, DOFilePropertyId_DownloadSinkFilePath, u"relative"), E_INVALIDARG);
  ASSERT_EQ(set_text(file, DOFilePropertyId_DownloadSinkFilePath, local().c_str()), S_OK);
  EXPECT_EQ(set_text(file, DOFilePropertyId_DownloadSinkFilePath, local("b").c_str()),
            DO_E_FILE_DOWNLOADSINK_ALREADY_SET);
  ASSERT_EQ(file->GetProperty(DOFilePropertyId_DownloadSinkFilePath, &value), S_OK);
  EXPECT_EQ(to_utf8(value.bstrVal), directory_.path("out"));
  VariantClear(&value);

  const auto heard = listener();
  ASSERT_EQ(job->SetNotifyInterface(heard.get()), S_OK);
  ASSERT_EQ(job->Resume(), S_OK);
  ASSERT_TRUE(watch_.wait([&] { return !heard->transferred.empty(); }));
  ASSERT_EQ(file->GetProperty(DOFilePropertyId_TotalSizeBytes, &value), S_OK);
  EXPECT_EQ(value.ullVal, kSize);
  ASSERT_EQ(job->Complete(), S_OK);
  EXPECT_EQ(read(), *content_);
}

TEST_F(FacadeFileTest, FilesWithoutAPathAreRefusedForWrongArguments) {
  const auto plain = create_job();
  const auto job = query<IDeliveryOptimizationJob2>(plain, IID_IDeliveryOptimizationJob2);
  void* file = this;
  const std::u16string from = url();
  EXPECT_EQ(job->AddFile(u"id", nullptr, 0, nullptr, IID_IDeliveryOptimizationFile, &file),
            DO_E_DOWNLOAD_NO_URI);
  EXPECT_EQ(file, nullptr);
  EXPECT_EQ(job->AddFile(nullptr, from.c_str(), 0, nullptr, IID_IDeliveryOptimizationFile, &file),
            E_INVALIDARG);
  EXPECT_EQ(job->AddFile(u"id", from.c_str(), 0, nullptr, IID_IBackgroundCopyJob, &file),
            E_NOINTERFACE);
  EXPECT_EQ(job->AddFile(u"id", from.c_str(), 0, nullptr, IID_IDeliveryOptimizationFile, nullptr),
            E_POINTER);
  EXPECT_EQ(plain->Resume(), DO_E_JOB_EMPTY);  // none of them waits for a path
  ASSERT_EQ(plain->Cancel(), S_OK);
  EXPECT_EQ(job->AddFile(u"id", from.c_str(), 0, nullptr, IID_IDeliveryOptimizationFile, &file),
            DO_E_INVALID_STATE);
}

TEST_F(FacadeFileTest, FilesWithoutAPathAreBounded) {
  const auto job = create_job();
  for (std::size_t i = 0; i < kUnplacedFilesMax; ++i) add_unplaced(job);
  void* file = nullptr;
  EXPECT_EQ(
      query<IDeliveryOptimizationJob2>(job, IID_IDeliveryOptimizationJob2)
          ->AddFile(u"one more", url().c_str(), 0, nullptr, IID_IDeliveryOptimizationFile, &file),
      BG_E_TOO_MANY_FILES_IN_JOB);
  EXPECT_EQ(file, nullptr);
}

TEST_F(FacadeFileTest, PropertiesOfAFileAreSetBeforeItsPath) {
  const auto job = create_job();
  const auto file = add_unplaced(job);
  VARIANT value;
  EXPECT_EQ(file->GetProperty(DOFilePropertyId_TotalSizeBytes, &value), E_NOT_SET);
  VariantInit(&value);
  value.vt = VT_UI8;
  value.ullVal = 5;
  EXPECT_EQ(file->SetProperty(DOFilePropertyId_TotalSizeBytes, &value), S_OK);
  EXPECT_EQ(file->SetProperty(DOFilePropertyId_IntegrityCheckMandatory, &value),
            DISP_E_TYPEMISMATCH);
  value.vt = VT_BOOL;
  value.boolVal = VARIANT_TRUE;
  EXPECT_EQ(file->SetProperty(DOFilePropertyId_IntegrityCheckMandatory, &value), S_OK);
  EXPECT_EQ(file->SetProperty(DOFilePropertyId_TotalSizeBytes, &value), DISP_E_TYPEMISMATCH);
  VARIANT back;
  EXPECT_EQ(file->GetProperty(DOFilePropertyId_IntegrityCheckMandatory, &back), S_OK);
  EXPECT_EQ(back.boolVal, VARIANT_TRUE);
  EXPECT_EQ(file->GetProperty(DOFilePropertyId_TotalSizeBytes, &back), S_OK);
  EXPECT_EQ(back.ullVal, 5u);
  EXPECT_EQ(set_text(file, DOFilePropertyId_IntegrityCheckInfo, u"{\"HashOfHashes\":1}"),
            E_NOTIMPL);
  EXPECT_EQ(set_text(file, DOFilePropertyId_DownloadSinkFilePath, local().c_str()), S_OK);
  EXPECT_EQ(file->SetProperty(DOFilePropertyId_IntegrityCheckMandatory, &value),
            DO_E_INVALID_STATE);
}

TEST_F(FacadeFileTest, PropertiesAreRefusedAsPublished) {
  const auto file = add_unplaced(create_job());
  VARIANT value;
  VariantInit(&value);
  EXPECT_EQ(file->GetProperty(DOFilePropertyId_DecryptionInfo, &value), DO_E_WRITE_ONLY_PROPERTY);
  EXPECT_EQ(file->GetProperty(DOFilePropertyId_IntegrityCheckInfo, &value),
            DO_E_WRITE_ONLY_PROPERTY);
  EXPECT_EQ(file->GetProperty(DOFilePropertyId_DownloadSinkInterface, &value), E_NOT_SET);
  EXPECT_EQ(file->GetProperty(static_cast<DOFilePropertyId>(7), &value), DO_E_UNKNOWN_PROPERTY_ID);
  EXPECT_EQ(file->GetProperty(DOFilePropertyId_TotalSizeBytes, nullptr), E_POINTER);
  EXPECT_EQ(file->SetProperty(DOFilePropertyId_DecryptionInfo, &value), E_NOTIMPL);
  EXPECT_EQ(file->SetProperty(DOFilePropertyId_DownloadSinkInterface, &value), E_NOTIMPL);
  EXPECT_EQ(file->SetProperty(DOFilePropertyId_DownloadSinkMemoryStream, &value),
            DO_E_MEMORYSTREAM_DOWNLOAD_NOT_SUPPORTED);
  EXPECT_EQ(file->SetProperty(static_cast<DOFilePropertyId>(7), &value), DO_E_UNKNOWN_PROPERTY_ID);
  EXPECT_EQ(file->SetProperty(DOFilePropertyId_TotalSizeBytes, nullptr), E_POINTER);
  EXPECT_EQ(file->SetProperty(DOFilePropertyId_DownloadSinkFilePath, &value), DISP_E_TYPEMISMATCH);
}

TEST_F(FacadeFileTest, AMandatoryCheckWithoutAManifestFailsTheJob) {
  const auto job = create_job();
  const auto file = add_unplaced(job);
  VARIANT value;
  VariantInit(&value);
  value.vt = VT_BOOL;
  value.boolVal = VARIANT_TRUE;
  ASSERT_EQ(file->SetProperty(DOFilePropertyId_IntegrityCheckMandatory, &value), S_OK);
  ASSERT_EQ(set_text(file, DOFilePropertyId_DownloadSinkFilePath, local().c_str()), S_OK);
  const auto heard = listener();
  ASSERT_EQ(job->SetNotifyInterface(heard.get()), S_OK);
  ASSERT_EQ(job->Resume(), S_OK);
  ASSERT_TRUE(watch_.wait([&] { return !heard->errors.empty(); }));
  EXPECT_EQ(watch_.look([&] { return heard->errors.front(); }),
            DO_E_INTEGRITYCHECKINFO_UNAVAILABLE);
}

}  // namespace
}  // namespace lanward::facade
