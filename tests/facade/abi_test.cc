// What programs that were written for the published interfaces take for granted: identifiers,
// values, sizes, and which method stands in which place of the table.
#include <lanward/deliveryoptimization.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <type_traits>

#include <gtest/gtest.h>

namespace {

std::string text(REFGUID guid) {
  char out[37];
  std::snprintf(out, sizeof(out), "%08X-%04X-%04X-%02X%02X-%02X%02X%02X%02X%02X%02X", guid.Data1,
                guid.Data2, guid.Data3, guid.Data4[0], guid.Data4[1], guid.Data4[2], guid.Data4[3],
                guid.Data4[4], guid.Data4[5], guid.Data4[6], guid.Data4[7]);
  return out;
}

TEST(Identifiers, AreThePublishedOnes) {
  EXPECT_EQ(text(IID_IUnknown), "00000000-0000-0000-C000-000000000046");
  EXPECT_EQ(text(CLSID_DeliveryOptimization), "5B99FA76-721C-423C-ADAC-56D03C8A8007");
  EXPECT_EQ(text(IID_IBackgroundCopyManager), "5CE34C0D-0DC9-4C1F-897C-DAA1B78CEE7C");
  EXPECT_EQ(text(IID_IBackgroundCopyJob), "37668D37-507E-4160-9316-26306D150B12");
  EXPECT_EQ(text(IID_IBackgroundCopyJob2), "54B50739-686F-45EB-9DFF-D6A9A0FAA9AF");
  EXPECT_EQ(text(IID_IBackgroundCopyJob3), "443C8934-90FF-48ED-BCDE-26F5C7450042");
  EXPECT_EQ(text(IID_IBackgroundCopyJob4), "659CDEAE-489E-11D9-A9CD-000D56965251");
  EXPECT_EQ(text(IID_IBackgroundCopyJob5), "E847030C-BBBA-4657-AF6D-484AA42BF1FE");
  EXPECT_EQ(text(IID_IDeliveryOptimizationJob), "EE2584CF-A69C-4848-B633-2649962B3EF7");
  EXPECT_EQ(text(IID_IDeliveryOptimizationJob2), "18995A26-BF59-4ABE-9F8B-D5092D5A2405");
  EXPECT_EQ(text(IID_IBackgroundCopyFile), "01B7BD23-FB88-4A77-8490-5891D3E4653A");
  EXPECT_EQ(text(IID_IBackgroundCopyFile2), "83E81B93-0873-474D-8A8C-F2018B1A939C");
  EXPECT_EQ(text(IID_IBackgroundCopyFile3), "659CDEAA-489E-11D9-A9CD-000D56965251");
  EXPECT_EQ(text(IID_IBackgroundCopyFile4), "EF7E0655-7888-4960-B0E5-730846E03492");
  EXPECT_EQ(text(IID_IBackgroundCopyFile5), "85C1657F-DAFC-40E8-8834-DF18EA25717E");
  EXPECT_EQ(text(IID_IDeliveryOptimizationFile), "B76B9699-E99E-4101-803F-A20E325D93E2");
  EXPECT_EQ(text(IID_IDeliveryOptimizationFile2), "3A87296F-6EC2-4126-AB29-E3F8DC4CC390");
  EXPECT_EQ(text(IID_IBackgroundCopyError), "19C613A0-FCB8-4F28-81AE-897C3D078F81");
  EXPECT_EQ(text(IID_IBackgroundCopyCallback), "97EA99C7-0186-4AD4-8DF9-C5B4E0ED6B22");
  EXPECT_EQ(text(IID_IBackgroundCopyCallback2), "659CDEAC-489E-11D9-A9CD-000D56965251");
  EXPECT_EQ(text(IID_IEnumBackgroundCopyJobs), "1AF4F612-3B71-466F-8F58-7B6F73AC57AD");
  EXPECT_EQ(text(IID_IEnumBackgroundCopyFiles), "CA51E165-C365-424C-8D41-24AAA4FF3C40");
}

TEST(Identifiers, StandInMemoryAsWindowsHasThem) {
  const std::uint8_t bytes[] = {0x37, 0x8D, 0x66, 0x37, 0x7E, 0x50, 0x60, 0x41,
                                0x93, 0x16, 0x26, 0x30, 0x6D, 0x15, 0x0B, 0x12};
  static_assert(sizeof(GUID) == sizeof(bytes));
  std::uint8_t own[sizeof(GUID)];
  std::memcpy(own, &IID_IBackgroundCopyJob, sizeof(own));
  EXPECT_EQ(std::memcmp(own, bytes, sizeof(bytes)), 0);
}

TEST(Values, AreThePublishedOnes) {
  EXPECT_EQ(BG_JOB_STATE_QUEUED, 0);
  EXPECT_EQ(BG_JOB_STATE_CONNECTING, 1);
  EXPECT_EQ(BG_JOB_STATE_TRANSFERRING, 2);
  EXPECT_EQ(BG_JOB_STATE_SUSPENDED, 3);
  EXPECT_EQ(BG_JOB_STATE_ERROR, 4);
  EXPECT_EQ(BG_JOB_STATE_TRANSIENT_ERROR, 5);
  EXPECT_EQ(BG_JOB_STATE_TRANSFERRED, 6);
  EXPECT_EQ(BG_JOB_STATE_ACKNOWLEDGED, 7);
  EXPECT_EQ(BG_JOB_STATE_CANCELLED, 8);
  EXPECT_EQ(BG_JOB_TYPE_DOWNLOAD, 0);
  EXPECT_EQ(BG_JOB_PRIORITY_FOREGROUND, 0);
  EXPECT_EQ(BG_JOB_PRIORITY_LOW, 3);
  EXPECT_EQ(BG_NOTIFY_JOB_TRANSFERRED, 0x1u);
  EXPECT_EQ(BG_NOTIFY_JOB_ERROR, 0x2u);
  EXPECT_EQ(BG_NOTIFY_DISABLE, 0x4u);
  EXPECT_EQ(BG_NOTIFY_JOB_MODIFICATION, 0x8u);
  EXPECT_EQ(BG_NOTIFY_FILE_TRANSFERRED, 0x10u);
  EXPECT_EQ(BG_NOTIFY_FILE_RANGES_TRANSFERRED, 0x20u);
  EXPECT_EQ(BG_ERROR_CONTEXT_NONE, 0);
  EXPECT_EQ(BG_ERROR_CONTEXT_REMOTE_FILE, 5);
  EXPECT_EQ(BG_ERROR_CONTEXT_REMOTE_APPLICATION, 7);
  EXPECT_EQ(BITS_JOB_PROPERTY_ID_COST_FLAGS, 1);
  EXPECT_EQ(BITS_JOB_PROPERTY_ON_DEMAND_MODE, 10);
  EXPECT_EQ(BITS_JOB_TRANSFER_POLICY_STANDARD, 0x80000067u);
  EXPECT_EQ(DownloadMode_Internet, 3);
  EXPECT_EQ(DownloadMode_Bypass, 100);
  EXPECT_EQ(SwarmStatus_Paused, 3);
  EXPECT_EQ(DOFilePropertyId_DownloadSinkFilePath, 4);
  EXPECT_EQ(DOFilePropertyId_TotalSizeBytes, 6);
  EXPECT_EQ(static_cast<std::uint32_t>(DO_E_INVALID_STATE), 0x80D02013u);
  EXPECT_EQ(static_cast<std::uint32_t>(BG_E_TOO_MANY_FILES_IN_JOB), 0x80200051u);
  EXPECT_TRUE(SUCCEEDED(BG_S_PARTIAL_COMPLETE));
  EXPECT_TRUE(FAILED(DO_E_JOB_EMPTY));
}

TEST(Structures, HaveTheSizesAndPlacesOf64BitWindows) {
  EXPECT_EQ(sizeof(BG_JOB_STATE), 4u);
  EXPECT_EQ(sizeof(BITS_JOB_TRANSFER_POLICY), 4u);
  EXPECT_EQ(sizeof(FILETIME), 8u);
  EXPECT_EQ(sizeof(BG_FILE_RANGE), 16u);
  EXPECT_EQ(sizeof(BG_FILE_INFO), 16u);
  EXPECT_EQ(sizeof(BG_FILE_PROGRESS), 24u);
  EXPECT_EQ(offsetof(BG_FILE_PROGRESS, Completed), 16u);
  EXPECT_EQ(sizeof(BG_JOB_PROGRESS), 24u);
  EXPECT_EQ(offsetof(BG_JOB_PROGRESS, FilesTotal), 16u);
  EXPECT_EQ(offsetof(BG_JOB_PROGRESS, FilesTransferred), 20u);
  EXPECT_EQ(sizeof(BG_JOB_TIMES), 24u);
  EXPECT_EQ(offsetof(BG_JOB_TIMES, TransferCompletionTime), 16u);
  EXPECT_EQ(sizeof(DOSwarmStats), 136u);
  EXPECT_EQ(offsetof(DOSwarmStats, fileSize), 16u);
  EXPECT_EQ(offsetof(DOSwarmStats, bytesFromHttp), 56u);
  EXPECT_EQ(offsetof(DOSwarmStats, bytesToInternetPeers), 88u);
  EXPECT_EQ(offsetof(DOSwarmStats, httpConnectionCount), 96u);
  EXPECT_EQ(offsetof(DOSwarmStats, downloadDuration), 116u);
  EXPECT_EQ(offsetof(DOSwarmStats, downloadMode), 120u);
  EXPECT_EQ(offsetof(DOSwarmStats, status), 124u);
  EXPECT_EQ(offsetof(DOSwarmStats, isBackground), 128u);
  EXPECT_EQ(sizeof(BITS_JOB_PROPERTY_VALUE), 16u);
  EXPECT_EQ(sizeof(BITS_FILE_PROPERTY_VALUE), 8u);
  EXPECT_EQ(sizeof(VARIANT), 24u);
  EXPECT_EQ(offsetof(VARIANT, bstrVal), 8u);
}

// The place in the table that a pointer to a virtual method stands for.
template <class Method>
std::size_t slot(Method method) {
  std::ptrdiff_t parts[2];
  static_assert(sizeof(method) == sizeof(parts));
  std::memcpy(parts, &method, sizeof(parts));
#if defined(__aarch64__) || defined(__arm__)
  return static_cast<std::size_t>(parts[0]) / sizeof(void*);
#else
  return static_cast<std::size_t>(parts[0] - 1) / sizeof(void*);
#endif
}

TEST(Table, OfEveryObjectBeginsWithIUnknown) {
  EXPECT_EQ(slot(&IUnknown::QueryInterface), 0u);
  EXPECT_EQ(slot(&IUnknown::AddRef), 1u);
  EXPECT_EQ(slot(&IUnknown::Release), 2u);
  // Nothing stands before or between the parts of a chain.
  EXPECT_TRUE((std::is_base_of_v<IBackgroundCopyJob, IBackgroundCopyJob5>));
  EXPECT_EQ(sizeof(IBackgroundCopyJob5), sizeof(void*));
}

TEST(Table, OfTheManager) {
  EXPECT_EQ(slot(&IBackgroundCopyManager::CreateJob), 3u);
  EXPECT_EQ(slot(&IBackgroundCopyManager::GetJob), 4u);
  EXPECT_EQ(slot(&IBackgroundCopyManager::EnumJobs), 5u);
  EXPECT_EQ(slot(&IBackgroundCopyManager::GetErrorDescription), 6u);
}

TEST(Table, OfTheJobInThePublishedOrder) {
  using J = IBackgroundCopyJob;
  const std::size_t places[] = {slot(&J::AddFileSet),
                                slot(&J::AddFile),
                                slot(&J::EnumFiles),
                                slot(&J::Suspend),
                                slot(&J::Resume),
                                slot(&J::Cancel),
                                slot(&J::Complete),
                                slot(&J::GetId),
                                slot(&J::GetType),
                                slot(&J::GetProgress),
                                slot(&J::GetTimes),
                                slot(&J::GetState),
                                slot(&J::GetError),
                                slot(&J::GetOwner),
                                slot(&J::SetDisplayName),
                                slot(&J::GetDisplayName),
                                slot(&J::SetDescription),
                                slot(&J::GetDescription),
                                slot(&J::SetPriority),
                                slot(&J::GetPriority),
                                slot(&J::SetNotifyFlags),
                                slot(&J::GetNotifyFlags),
                                slot(&J::SetNotifyInterface),
                                slot(&J::GetNotifyInterface),
                                slot(&J::SetMinimumRetryDelay),
                                slot(&J::GetMinimumRetryDelay),
                                slot(&J::SetNoProgressTimeout),
                                slot(&J::GetNoProgressTimeout),
                                slot(&J::GetErrorCount),
                                slot(&J::SetProxySettings),
                                slot(&J::GetProxySettings),
                                slot(&J::TakeOwnership)};
  ASSERT_EQ(std::size(places), 32u);
  for (std::size_t i = 0; i < std::size(places); ++i) EXPECT_EQ(places[i], i + 3) << i;
}

TEST(Table, OfTheLaterJobs) {
  EXPECT_EQ(slot(&IBackgroundCopyJob2::SetNotifyCmdLine), 35u);
  EXPECT_EQ(slot(&IBackgroundCopyJob2::RemoveCredentials), 42u);
  EXPECT_EQ(slot(&IBackgroundCopyJob3::ReplaceRemotePrefix), 43u);
  EXPECT_EQ(slot(&IBackgroundCopyJob3::AddFileWithRanges), 44u);
  EXPECT_EQ(slot(&IBackgroundCopyJob3::GetFileACLFlags), 46u);
  EXPECT_EQ(slot(&IBackgroundCopyJob4::SetPeerCachingFlags), 47u);
  EXPECT_EQ(slot(&IBackgroundCopyJob4::GetPeerCachingFlags), 48u);
  EXPECT_EQ(slot(&IBackgroundCopyJob4::GetOwnerIntegrityLevel), 49u);
  EXPECT_EQ(slot(&IBackgroundCopyJob4::GetOwnerElevationState), 50u);
  EXPECT_EQ(slot(&IBackgroundCopyJob4::SetMaximumDownloadTime), 51u);
  EXPECT_EQ(slot(&IBackgroundCopyJob4::GetMaximumDownloadTime), 52u);
  EXPECT_EQ(slot(&IBackgroundCopyJob5::SetProperty), 53u);
  EXPECT_EQ(slot(&IBackgroundCopyJob5::GetProperty), 54u);
  EXPECT_EQ(slot(&IDeliveryOptimizationJob::AddFileWithRanges), 3u);
  EXPECT_EQ(slot(&IDeliveryOptimizationJob2::AddFile), 3u);
  EXPECT_EQ(slot(&IDeliveryOptimizationJob2::GetProperty), 4u);
  EXPECT_EQ(slot(&IDeliveryOptimizationJob2::SetProperty), 5u);
}

TEST(Table, OfTheFiles) {
  EXPECT_EQ(slot(&IBackgroundCopyFile::GetRemoteName), 3u);
  EXPECT_EQ(slot(&IBackgroundCopyFile::GetLocalName), 4u);
  EXPECT_EQ(slot(&IBackgroundCopyFile::GetProgress), 5u);
  EXPECT_EQ(slot(&IBackgroundCopyFile2::GetFileRanges), 6u);
  EXPECT_EQ(slot(&IBackgroundCopyFile2::SetRemoteName), 7u);
  EXPECT_EQ(slot(&IBackgroundCopyFile3::GetTemporaryName), 8u);
  EXPECT_EQ(slot(&IBackgroundCopyFile3::IsDownloadedFromPeer), 11u);
  EXPECT_EQ(slot(&IBackgroundCopyFile4::GetPeerDownloadStats), 12u);
  EXPECT_EQ(slot(&IBackgroundCopyFile5::SetProperty), 13u);
  EXPECT_EQ(slot(&IBackgroundCopyFile5::GetProperty), 14u);
  EXPECT_EQ(slot(&IDeliveryOptimizationFile::GetStats), 3u);
  EXPECT_EQ(slot(&IDeliveryOptimizationFile2::GetProperty), 3u);
  EXPECT_EQ(slot(&IDeliveryOptimizationFile2::SetProperty), 4u);
}

TEST(Table, OfErrorsCallbacksAndEnumerators) {
  EXPECT_EQ(slot(&IBackgroundCopyError::GetError), 3u);
  EXPECT_EQ(slot(&IBackgroundCopyError::GetFile), 4u);
  EXPECT_EQ(slot(&IBackgroundCopyError::GetErrorDescription), 5u);
  EXPECT_EQ(slot(&IBackgroundCopyError::GetErrorContextDescription), 6u);
  EXPECT_EQ(slot(&IBackgroundCopyError::GetProtocol), 7u);
  EXPECT_EQ(slot(&IBackgroundCopyCallback::JobTransferred), 3u);
  EXPECT_EQ(slot(&IBackgroundCopyCallback::JobError), 4u);
  EXPECT_EQ(slot(&IBackgroundCopyCallback::JobModification), 5u);
  EXPECT_EQ(slot(&IBackgroundCopyCallback2::FileTransferred), 6u);
  EXPECT_EQ(slot(&IEnumBackgroundCopyFiles::Next), 3u);
  EXPECT_EQ(slot(&IEnumBackgroundCopyFiles::Skip), 4u);
  EXPECT_EQ(slot(&IEnumBackgroundCopyFiles::Reset), 5u);
  EXPECT_EQ(slot(&IEnumBackgroundCopyFiles::Clone), 6u);
  EXPECT_EQ(slot(&IEnumBackgroundCopyFiles::GetCount), 7u);
  EXPECT_EQ(slot(&IEnumBackgroundCopyJobs::Next), 3u);
  EXPECT_EQ(slot(&IEnumBackgroundCopyJobs::GetCount), 7u);
}

}  // namespace
