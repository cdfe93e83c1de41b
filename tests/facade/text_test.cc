// Strings, memory, identifiers and times between the two interfaces.
#include "api/facade/text.h"

#include <chrono>
#include <string>

#include <gtest/gtest.h>

namespace lanward::facade {
namespace {

using namespace std::chrono_literals;

TEST(Text, CrossesBothWaysUnchanged) {
  // One of each length in UTF-8, and the last before and first after the surrogates.
  const std::u16string wide = u"a\u00e9\u20ac\ud7ff\ue000\uffff\U00010000\U0010ffff";
  const auto narrow = to_utf8(wide.c_str());
  ASSERT_TRUE(narrow);
  EXPECT_EQ(*narrow,
            "a\xc3\xa9\xe2\x82\xac\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\xf0\x90\x80\x80"
            "\xf4\x8f\xbf\xbf");
  EXPECT_EQ(to_utf16(*narrow), wide);
}

TEST(Text, EmptyIsTextAndNullIsNone) {
  EXPECT_EQ(to_utf8(u""), "");
  EXPECT_FALSE(to_utf8(nullptr));
}

TEST(Text, SurrogatesWithoutTheirOtherHalfAreRefused) {
  const char16_t high_at_end[] = {u'a', 0xD800, 0};
  const char16_t high_before_letter[] = {0xDBFF, u'a', 0};
  const char16_t low_alone[] = {0xDC00, 0};
  const char16_t two_high[] = {0xD800, 0xD800, 0xDC00, 0};
  EXPECT_FALSE(to_utf8(high_at_end));
  EXPECT_FALSE(to_utf8(high_before_letter));
  EXPECT_FALSE(to_utf8(low_alone));
  EXPECT_FALSE(to_utf8(two_high));
}

TEST(Text, BytesThatAreNoUtf8BecomeReplacementCharacters) {
  EXPECT_EQ(to_utf16("a\xff"
                     "b"),
            u"a\ufffdb");
  EXPECT_EQ(to_utf16("\xc3"), u"\ufffd");                      // cut off
  EXPECT_EQ(to_utf16("\xc0\xaf"), u"\ufffd\ufffd");            // longer than needed
  EXPECT_EQ(to_utf16("\xe0\x80\xaf"), u"\ufffd\ufffd\ufffd");  // likewise
  EXPECT_EQ(to_utf16("\xed\xa0\x80"), u"\ufffd\ufffd\ufffd");  // a surrogate
  EXPECT_EQ(to_utf16("\xf4\x90\x80\x80").front(), u'\ufffd');  // beyond the last character
  EXPECT_EQ(to_utf16("\x80x"), u"\ufffdx");
}

TEST(Text, IsGivenAwayAsACopy) {
  LPWSTR copy = nullptr;
  ASSERT_EQ(give_text("d\xc3\xa9j\xc3\xa0", &copy), S_OK);
  EXPECT_EQ(std::u16string(copy), u"d\u00e9j\u00e0");
  CoTaskMemFree(copy);
  EXPECT_EQ(give_text("x", nullptr), E_POINTER);
}

TEST(Bstr, KnowsItsLength) {
  BSTR text = SysAllocString(u"four");
  ASSERT_NE(text, nullptr);
  EXPECT_EQ(SysStringLen(text), 4u);
  EXPECT_EQ(std::u16string(text), u"four");
  SysFreeString(text);
  EXPECT_EQ(SysStringLen(nullptr), 0u);
  EXPECT_EQ(SysAllocString(nullptr), nullptr);
  SysFreeString(nullptr);
}

TEST(Variant, HoldsText) {
  VARIANT value;
  VariantInit(&value);
  EXPECT_EQ(value.vt, VT_EMPTY);
  ASSERT_EQ(give_bstr("text", &value), S_OK);
  std::string back;
  EXPECT_EQ(take_bstr(value, &back), S_OK);
  EXPECT_EQ(back, "text");
  EXPECT_EQ(VariantClear(&value), S_OK);
  EXPECT_EQ(value.vt, VT_EMPTY);
  EXPECT_EQ(take_bstr(value, &back), DISP_E_TYPEMISMATCH);
  value.vt = VT_BSTR;  // NULL is the empty string
  EXPECT_EQ(take_bstr(value, &back), S_OK);
  EXPECT_EQ(back, "");
}

TEST(JobIds, ReadTheSameInBothForms) {
  const auto id = parse_job_id("37668d37-507e-4160-9316-26306d150b12");
  ASSERT_TRUE(id);
  EXPECT_EQ(to_guid(*id), IID_IBackgroundCopyJob);
  EXPECT_EQ(to_job_id(IID_IBackgroundCopyJob), *id);
}

TEST(Filetime, CountsFrom1601) {
  const std::chrono::system_clock::time_point epoch{};
  const FILETIME time = to_filetime(epoch);
  EXPECT_EQ(UINT64{time.dwHighDateTime} << 32 | time.dwLowDateTime, 116'444'736'000'000'000u);
  const FILETIME later = to_filetime(epoch + 1s + 1us);
  EXPECT_EQ(UINT64{later.dwHighDateTime} << 32 | later.dwLowDateTime, 116'444'736'010'000'010u);
}

TEST(Seconds, ThatDoNotFitAreTheGreatestValue) {
  EXPECT_EQ(to_seconds(7s), 7u);
  EXPECT_EQ(to_seconds(std::chrono::seconds{1LL << 40}), 0xFFFFFFFFu);
  EXPECT_EQ(to_seconds(-1s), 0u);
}

TEST(Results, OfErrorsAreThePublishedCodes) {
  EXPECT_EQ(to_hresult(Error{ErrorCode::invalid_state, ""}), DO_E_INVALID_STATE);
  EXPECT_EQ(to_hresult(Error{ErrorCode::job_empty, ""}), DO_E_JOB_EMPTY);
  EXPECT_EQ(to_hresult(Error{ErrorCode::invalid_argument, ""}), E_INVALIDARG);
  EXPECT_EQ(to_hresult(Error{ErrorCode::no_error_information, ""}),
            DO_E_ERROR_INFORMATION_UNAVAILABLE);
  EXPECT_EQ(to_hresult(Error{ErrorCode::overlapping_ranges, ""}), DO_E_OVERLAPPING_RANGES);
  EXPECT_EQ(to_hresult(Result<void>{}), S_OK);
}

}  // namespace
}  // namespace lanward::facade
