#include "api/facade/text.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace lanward::facade {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

bool is_high_surrogate(char16_t unit) { return unit >= 0xD800 && unit <= 0xDBFF; }
bool is_low_surrogate(char16_t unit) { return unit >= 0xDC00 && unit <= 0xDFFF; }

void append_utf8(char32_t code, std::string* out) {
  if (code < 0x80) {
    out->push_back(static_cast<char>(code));
    return;
  }
  const int tail = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  constexpr unsigned kLead[] = {0, 0xC0, 0xE0, 0xF0};
  out->push_back(static_cast<char>(kLead[tail] | (code >> (6 * tail))));
  for (int i = tail - 1; i >= 0; --i) {
    out->push_back(static_cast<char>(0x80 | ((code >> (6 * i)) & 0x3F)));
  }
}

// Takes one character off the front; a byte that begins none is taken alone.
char32_t take_utf8(std::string_view* text) {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>((*text)[i]); };
  const unsigned lead = byte(0);
  const std::size_t size = lead < 0x80   ? 1
                           : lead < 0xC2 ? 0
                           : lead < 0xE0 ? 2
                           : lead < 0xF0 ? 3
                           : lead < 0xF5 ? 4
                                         : 0;
  char32_t code = kReplacement;
  std::size_t taken = 1;
  if (size == 1) {
    code = lead;
  } else if (size > 1 && size <= text->size()) {
    code = lead & (0x7Fu >> size);
    for (taken = 1; taken < size && (byte(taken) & 0xC0) == 0x80; ++taken) {
      code = (code << 6) | (byte(taken) & 0x3F);
    }
    constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
    if (taken < size || code < kLeast[size] || code > 0x10FFFF ||
        (code >= 0xD800 && code <= 0xDFFF)) {
      code = kReplacement;
      taken = 1;
    }
  }
  text->remove_prefix(taken);
  return code;
}

}  // namespace

std::optional<std::string> to_utf8(LPCWSTR text) {
  if (text == nullptr) return std::nullopt;
  std::string out;
  for (; *text != 0; ++text) {
    char32_t code = *text;
    if (is_low_surrogate(*text)) return std::nullopt;
    if (is_high_surrogate(*text)) {
      if (!is_low_surrogate(text[1])) return std::nullopt;  // the end is a 0
      code = 0x10000 + ((code - 0xD800) << 10) + (text[1] - 0xDC00u);
      ++text;
    }
    append_utf8(code, &out);
  }
  return out;
}

std::u16string to_utf16(std::string_view text) {
  std::u16string out;
  while (!text.empty()) {
    const char32_t code = take_utf8(&text);
    if (code < 0x10000) {
      out.push_back(static_cast<char16_t>(code));
    } else {
      out.push_back(static_cast<char16_t>(0xD800 + ((code - 0x10000) >> 10)));
      out.push_back(static_cast<char16_t>(0xDC00 + ((code - 0x10000) & 0x3FF)));
    }
  }
  return out;
}

HRESULT give_text(std::string_view text, LPWSTR* out) {
  if (out == nullptr) return E_POINTER;
  const std::u16string wide = to_utf16(text);
  const std::size_t bytes = (wide.size() + 1) * sizeof(char16_t);
  *out = static_cast<LPWSTR>(CoTaskMemAlloc(bytes));
  if (*out == nullptr) return E_OUTOFMEMORY;
  std::memcpy(*out, wide.c_str(), bytes);
  return S_OK;
}

HRESULT give_bstr(std::string_view text, VARIANT* out) {
  out->bstrVal = SysAllocString(to_utf16(text).c_str());
  if (out->bstrVal == nullptr) return E_OUTOFMEMORY;
  out->vt = VT_BSTR;
  return S_OK;
}

HRESULT take_bstr(const VARIANT& value, std::string* out) {
  if (value.vt != VT_BSTR) return DISP_E_TYPEMISMATCH;
  auto text = to_utf8(value.bstrVal != nullptr ? value.bstrVal : u"");
  if (!text) return E_INVALIDARG;
  *out = std::move(*text);
  return S_OK;
}

GUID to_guid(const JobId& id) {
  const auto& b = id.bytes;
  GUID guid = {};
  guid.Data1 =
      std::uint32_t{b[0]} << 24 | std::uint32_t{b[1]} << 16 | std::uint32_t{b[2]} << 8 | b[3];
  guid.Data2 = static_cast<std::uint16_t>(b[4] << 8 | b[5]);
  guid.Data3 = static_cast<std::uint16_t>(b[6] << 8 | b[7]);
  std::copy(b.begin() + 8, b.end(), guid.Data4);
  return guid;
}

JobId to_job_id(REFGUID guid) {
  JobId id;
  for (int i = 0; i < 4; ++i) id.bytes[i] = static_cast<std::uint8_t>(guid.Data1 >> (24 - 8 * i));
  id.bytes[4] = static_cast<std::uint8_t>(guid.Data2 >> 8);
  id.bytes[5] = static_cast<std::uint8_t>(guid.Data2);
  id.bytes[6] = static_cast<std::uint8_t>(guid.Data3 >> 8);
  id.bytes[7] = static_cast<std::uint8_t>(guid.Data3);
  std::copy(std::begin(guid.Data4), std::end(guid.Data4), id.bytes.begin() + 8);
  return id;
}

FILETIME to_filetime(std::chrono::system_clock::time_point time) {
  using Ticks = std::chrono::duration<std::int64_t, std::ratio<1, 10'000'000>>;
  constexpr std::int64_t kTicksTo1970 = 11'644'473'600LL * 10'000'000;
  const auto since_1970 = std::chrono::duration_cast<Ticks>(time.time_since_epoch()).count();
  const auto ticks =
      static_cast<std::uint64_t>(std::max<std::int64_t>(since_1970 + kTicksTo1970, 0));
  return {static_cast<DWORD>(ticks), static_cast<DWORD>(ticks >> 32)};
}

ULONG to_seconds(std::chrono::seconds seconds) {
  constexpr std::int64_t kMax = std::numeric_limits<ULONG>::max();
  return static_cast<ULONG>(std::clamp<std::int64_t>(seconds.count(), 0, kMax));
}

HRESULT to_hresult(const Error& error) { return static_cast<HRESULT>(hresult_of(error.code)); }

}  // namespace lanward::facade
