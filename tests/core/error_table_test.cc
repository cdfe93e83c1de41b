#include <cstdint>
#include <cstring>
#include <optional>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include <lanward/error.h>

namespace lanward {
namespace {

constexpr int kCodes = static_cast<int>(kLastErrorCode) + 1;
ErrorCode code_at(int i) { return static_cast<ErrorCode>(i); }

TEST(ErrorTable, EveryCodeHasItsOwnNameSentenceAndNumber) {
  std::set<std::string> names;
  std::set<std::string> sentences;
  std::set<std::string> hresult_names;
  std::set<std::uint32_t> hresults;
  for (int i = 0; i < kCodes; ++i) {
    const ErrorCode code = code_at(i);
    const std::string name = to_string(code);
    EXPECT_FALSE(name.empty()) << i;
    EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_"), std::string::npos) << name;
    EXPECT_TRUE(names.insert(name).second) << name;
    const std::string sentence = describe(code);
    EXPECT_GT(sentence.size(), 10U) << name;
    EXPECT_EQ(sentence.back(), '.') << name;
    EXPECT_TRUE(sentences.insert(sentence).second) << name;
    EXPECT_NE(std::string(hresult_name(code)), "") << name;
    EXPECT_TRUE(hresult_names.insert(hresult_name(code)).second) << name;
    EXPECT_TRUE(hresults.insert(hresult_of(code)).second) << name;
  }
}

TEST(ErrorTable, EveryNumberIsAFailureAndLeadsBackToItsCode) {
  for (int i = 0; i < kCodes; ++i) {
    const ErrorCode code = code_at(i);
    EXPECT_NE(hresult_of(code) & 0x80000000U, 0U) << to_string(code);
    EXPECT_EQ(error_code_of(hresult_of(code)), code) << to_string(code);
  }
}

TEST(ErrorTable, TheFacilityOfANumberAgreesWithItsName) {
  for (int i = 0; i < kCodes; ++i) {
    const std::string name = hresult_name(code_at(i));
    const std::uint32_t facility = (hresult_of(code_at(i)) >> 16U) & 0x7ffU;
    if (name.starts_with("DO_E_")) {
      EXPECT_EQ(facility, 0xd0U) << name;
    } else if (name.starts_with("BG_E_HTTP_")) {
      EXPECT_EQ(facility, 0x19U) << name;
    } else if (name.starts_with("BG_E_")) {
      EXPECT_EQ(facility, 0x20U) << name;
    } else {
      EXPECT_EQ(facility, 0x7U) << name;
    }
  }
}

TEST(ErrorTable, NamesAndNumbersAreThePublishedOnes) {
  const struct {
    ErrorCode code;
    const char* name;
    std::uint32_t hresult;
    const char* hresult_name;
  } cases[] = {
      {ErrorCode::invalid_argument, "invalid_argument", 0x80070057, "E_INVALIDARG"},
      {ErrorCode::invalid_state, "invalid_state", 0x80D02013, "DO_E_INVALID_STATE"},
      {ErrorCode::content_changed, "content_changed", 0x80200073, "BG_E_REMOTE_FILE_CHANGED"},
      {ErrorCode::disk_full, "disk_full", 0x80070000 + 112, "ERROR_DISK_FULL"},
      {ErrorCode::disk_io, "disk_io", 0x80070000 + 1117, "ERROR_IO_DEVICE"},
      {ErrorCode::destination, "destination", 0x80070000 + 82, "ERROR_CANNOT_MAKE"},
      {ErrorCode::in_use, "in_use", 0x80070000 + 32, "ERROR_SHARING_VIOLATION"},
      {ErrorCode::cancelled, "cancelled", 0x80070000 + 1223, "ERROR_CANCELLED"},
      {ErrorCode::access_denied, "access_denied", 0x80070005, "E_ACCESSDENIED"},
      {ErrorCode::job_not_found, "job_not_found", 0x80D02003, "DO_E_JOB_NOT_FOUND"},
      {ErrorCode::job_empty, "job_empty", 0x80D02004, "DO_E_JOB_EMPTY"},
      {ErrorCode::job_too_old, "job_too_old", 0x80D0200C, "DO_E_JOB_TOO_OLD"},
      {ErrorCode::too_many_files, "too_many_files", 0x80200051, "BG_E_TOO_MANY_FILES_IN_JOB"},
      {ErrorCode::no_progress, "no_progress", 0x80D02002, "DO_E_DOWNLOAD_NO_PROGRESS"},
      {ErrorCode::download_time_up, "download_time_up", 0x80200054, "BG_E_MAXDOWNLOAD_TIMEOUT"},
      {ErrorCode::duplicate_file, "duplicate_file", 0x80070000 + 183, "ERROR_ALREADY_EXISTS"},
      {ErrorCode::invalid_range, "invalid_range", 0x80D05010, "DO_E_INVALID_RANGE"},
      {ErrorCode::property_not_set, "property_not_set", 0x80070000 + 1168, "E_NOT_SET"},
      {ErrorCode::sink_already_set, "sink_already_set", 0x80D02019,
       "DO_E_FILE_DOWNLOADSINK_ALREADY_SET"},
  };
  for (const auto& c : cases) {
    EXPECT_STREQ(to_string(c.code), c.name);
    EXPECT_EQ(hresult_of(c.code), c.hresult) << c.name;
    EXPECT_STREQ(hresult_name(c.code), c.hresult_name);
  }
}

TEST(ErrorTable, UnderstandsFurtherPublishedNumbers) {
  const struct {
    std::uint32_t hresult;
    ErrorCode code;
  } cases[] = {
      {0x80D02202, ErrorCode::invalid_argument},      // DO_E_INVALID_CONTENT_ID
      {0x80D0681A, ErrorCode::manifest_invalid},      // DO_E_METAINFO_DIGEST_MATCH
      {0x80D03805, ErrorCode::network},               // DO_E_BLOCKED_BY_NO_NETWORK
      {0x80200002, ErrorCode::invalid_state},         // BG_E_INVALID_STATE
      {0x8020000F, ErrorCode::no_error_information},  // BG_E_ERROR_INFORMATION_UNAVAILABLE
      {0x80200049, ErrorCode::too_many_jobs},         // BG_E_TOO_MANY_JOBS_PER_USER
      {0x80004004, ErrorCode::cancelled},             // E_ABORT
      {0x8000FFFF, ErrorCode::internal},              // E_UNEXPECTED
  };
  for (const auto& c : cases) EXPECT_EQ(error_code_of(c.hresult), c.code) << c.hresult;
}

TEST(ErrorTable, RefusalsOfTheMomentAreNoRefusals) {
  for (const std::uint32_t status : {400U, 401U, 403U, 404U, 410U, 416U, 499U}) {
    EXPECT_EQ(error_code_of(0x80190000U + status), ErrorCode::origin_rejected) << status;
  }
  for (const std::uint32_t status : {408U, 429U, 500U, 503U, 599U}) {
    EXPECT_EQ(error_code_of(0x80190000U + status), ErrorCode::network) << status;
  }
  for (const std::uint32_t status : {0U, 200U, 302U, 399U, 600U, 0xffffU}) {
    EXPECT_EQ(error_code_of(0x80190000U + status), std::nullopt) << status;
  }
}

TEST(ErrorTable, SuccessAndForeignNumbersStandForNoCode) {
  for (const std::uint32_t hresult :
       {0U, 1U, 0x00200017U, 0x0020001aU, 0x00d02013U, 0x80d0ffffU, 0xc0d02013U, 0xffffffffU}) {
    EXPECT_EQ(error_code_of(hresult), std::nullopt) << hresult;
  }
  for (int i = 0; i < kCodes; ++i) {
    EXPECT_EQ(error_code_of(hresult_of(code_at(i)) & 0x7fffffffU), std::nullopt) << i;
  }
}

TEST(ErrorTable, EveryCauseHasAPlaceUnlessThereIsNone) {
  for (int i = 0; i < kCodes; ++i) {
    EXPECT_EQ(context_of(code_at(i)) == ErrorContext::none,
              code_at(i) == ErrorCode::no_error_information)
        << to_string(code_at(i));
  }
  EXPECT_EQ(context_of(ErrorCode::disk_full), ErrorContext::local_file);
  EXPECT_EQ(context_of(ErrorCode::origin_rejected), ErrorContext::remote_file);
  EXPECT_EQ(context_of(ErrorCode::network), ErrorContext::transport);
  EXPECT_EQ(context_of(ErrorCode::job_too_old), ErrorContext::queue_manager);
}

TEST(ErrorTable, EveryPlaceHasItsOwnWords) {
  std::set<std::string> words;
  for (int i = 0; i <= static_cast<int>(ErrorContext::remote_application); ++i) {
    const char* text = describe(static_cast<ErrorContext>(i));
    EXPECT_GT(std::strlen(text), 5U) << i;
    EXPECT_TRUE(words.insert(text).second) << text;
  }
}

TEST(ErrorTable, ACodeOutsideTheSetIsADefectOfOurs) {
  EXPECT_STREQ(to_string(code_at(kCodes)), "internal");
  EXPECT_STREQ(to_string(code_at(-1)), "internal");
}

}  // namespace
}  // namespace lanward
