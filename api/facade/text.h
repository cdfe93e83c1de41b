// Strings and other values between the COM-shaped interface and the native one.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include <lanward/deliveryoptimization.h>
#include <lanward/error.h>
#include <lanward/types.h>

namespace lanward::facade {

// Nothing for NULL and for text that is not well-formed UTF-16.
[[nodiscard]] std::optional<std::string> to_utf8(LPCWSTR text);
// What is not well-formed UTF-8 (file names may be anything) becomes U+FFFD.
[[nodiscard]] std::u16string to_utf16(std::string_view text);

// Stores a copy that the caller frees with CoTaskMemFree. E_POINTER, E_OUTOFMEMORY.
HRESULT give_text(std::string_view text, LPWSTR* out);
// Stores a VT_BSTR.
HRESULT give_bstr(std::string_view text, VARIANT* out);
// Of a VT_BSTR. DISP_E_TYPEMISMATCH, E_INVALIDARG.
HRESULT take_bstr(const VARIANT& value, std::string* out);

// The textual forms of both are the same.
[[nodiscard]] GUID to_guid(const JobId& id);
[[nodiscard]] JobId to_job_id(REFGUID guid);

[[nodiscard]] FILETIME to_filetime(std::chrono::system_clock::time_point time);
// Whole seconds; what does not fit is the greatest value.
[[nodiscard]] ULONG to_seconds(std::chrono::seconds seconds);

[[nodiscard]] HRESULT to_hresult(const Error& error);
template <class T>
[[nodiscard]] HRESULT to_hresult(const Result<T>& result) {
  return result ? S_OK : to_hresult(result.error());
}

}  // namespace lanward::facade
