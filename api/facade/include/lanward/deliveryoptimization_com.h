// The little of COM that the Delivery Optimization interfaces need, for programs on Linux: base
// types, IUnknown, strings and the allocator. Self-contained; sizes are those of 64-bit Windows.
#pragma once

#include <cstddef>
#include <cstdint>

using BYTE = std::uint8_t;
using WORD = std::uint16_t;
using DWORD = std::uint32_t;
using UINT = std::uint32_t;
using ULONG = std::uint32_t;
using UINT32 = std::uint32_t;
using UINT64 = std::uint64_t;
using BOOL = std::int32_t;
using HRESULT = std::int32_t;
using WCHAR = char16_t;  // UTF-16
using LPWSTR = char16_t*;
using LPCWSTR = const char16_t*;

#ifndef FALSE  // other libraries have macros of these names
inline constexpr BOOL FALSE = 0;
inline constexpr BOOL TRUE = 1;
#endif

struct GUID {
  std::uint32_t Data1;
  std::uint16_t Data2;
  std::uint16_t Data3;
  std::uint8_t Data4[8];
};
using IID = GUID;
using CLSID = GUID;
using REFGUID = const GUID&;
using REFIID = const IID&;

constexpr bool operator==(const GUID& a, const GUID& b) noexcept {
  if (a.Data1 != b.Data1 || a.Data2 != b.Data2 || a.Data3 != b.Data3) return false;
  for (int i = 0; i < 8; ++i) {
    if (a.Data4[i] != b.Data4[i]) return false;
  }
  return true;
}
[[nodiscard]] constexpr bool IsEqualGUID(REFGUID a, REFGUID b) noexcept { return a == b; }

// Intervals of 100 ns since 1601-01-01 UTC.
struct FILETIME {
  DWORD dwLowDateTime;
  DWORD dwHighDateTime;
};

// ---- Results -----------------------------------------------------------------------------------

[[nodiscard]] constexpr bool SUCCEEDED(HRESULT result) noexcept { return result >= 0; }
[[nodiscard]] constexpr bool FAILED(HRESULT result) noexcept { return result < 0; }

inline constexpr HRESULT S_OK = 0;
inline constexpr HRESULT S_FALSE = 1;
inline constexpr HRESULT E_NOTIMPL = static_cast<HRESULT>(0x80004001);
inline constexpr HRESULT E_NOINTERFACE = static_cast<HRESULT>(0x80004002);
inline constexpr HRESULT E_POINTER = static_cast<HRESULT>(0x80004003);
inline constexpr HRESULT E_ABORT = static_cast<HRESULT>(0x80004004);
inline constexpr HRESULT E_FAIL = static_cast<HRESULT>(0x80004005);
inline constexpr HRESULT E_UNEXPECTED = static_cast<HRESULT>(0x8000FFFF);
inline constexpr HRESULT E_ACCESSDENIED = static_cast<HRESULT>(0x80070005);
inline constexpr HRESULT E_OUTOFMEMORY = static_cast<HRESULT>(0x8007000E);
inline constexpr HRESULT E_INVALIDARG = static_cast<HRESULT>(0x80070057);
inline constexpr HRESULT E_NOT_SET = static_cast<HRESULT>(0x80070490);
inline constexpr HRESULT DISP_E_TYPEMISMATCH = static_cast<HRESULT>(0x80020005);

// ---- Objects -----------------------------------------------------------------------------------

inline constexpr IID IID_IUnknown = {
    0x00000000, 0x0000, 0x0000, {0xC0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x46}};

// Every object counts its references; the last Release() destroys it. Implementations need no
// virtual destructor: nobody deletes an object through an interface.
struct IUnknown {
  // Stores a counted pointer, or NULL and E_NOINTERFACE. The answer for IID_IUnknown is the same
  // pointer on every interface of an object.
  virtual HRESULT QueryInterface(REFIID riid, void** object) = 0;
  virtual ULONG AddRef() = 0;
  virtual ULONG Release() = 0;

 protected:
  ~IUnknown() = default;
};

// ---- Memory that changes its owner -------------------------------------------------------------

// What a method gives away by pointer (strings, arrays) is freed by the caller with this pair.
extern "C" void* CoTaskMemAlloc(std::size_t size);
extern "C" void CoTaskMemFree(void* memory);

// A string whose length in bytes stands in the 4 bytes before it. Only these functions make and
// free one; NULL is the empty string.
using BSTR = char16_t*;
extern "C" BSTR SysAllocString(const char16_t* text);
extern "C" void SysFreeString(BSTR text);
extern "C" UINT SysStringLen(BSTR text);

// ---- Variants, as far as properties need them --------------------------------------------------

using VARTYPE = std::uint16_t;
using VARIANT_BOOL = std::int16_t;
inline constexpr VARIANT_BOOL VARIANT_TRUE = -1;
inline constexpr VARIANT_BOOL VARIANT_FALSE = 0;
inline constexpr VARTYPE VT_EMPTY = 0;
inline constexpr VARTYPE VT_BSTR = 8;
inline constexpr VARTYPE VT_BOOL = 11;
inline constexpr VARTYPE VT_UNKNOWN = 13;
inline constexpr VARTYPE VT_UI4 = 19;
inline constexpr VARTYPE VT_UI8 = 21;

struct VARIANT {
  VARTYPE vt;
  WORD wReserved1;
  WORD wReserved2;
  WORD wReserved3;
  union {
    UINT64 ullVal;
    ULONG ulVal;
    VARIANT_BOOL boolVal;
    BSTR bstrVal;
    IUnknown* punkVal;
    void* record[2];  // the size of the published structure
  };
};
// Makes it VT_EMPTY without looking at it; and after freeing what it holds.
extern "C" void VariantInit(VARIANT* variant);
extern "C" HRESULT VariantClear(VARIANT* variant);
