// Memory that changes its owner: COM's allocator is the C library's.
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string_view>

#include <lanward/deliveryoptimization_com.h>

namespace {

constexpr std::size_t kLengthPrefix = sizeof(std::uint32_t);

}  // namespace

extern "C" {

void* CoTaskMemAlloc(std::size_t size) { return std::malloc(size > 0 ? size : 1); }

void CoTaskMemFree(void* memory) { std::free(memory); }

BSTR SysAllocString(const char16_t* text) {
  if (text == nullptr) return nullptr;
  const std::size_t bytes = std::u16string_view(text).size() * sizeof(char16_t);
  if (bytes > std::numeric_limits<std::uint32_t>::max()) return nullptr;
  auto* memory = static_cast<char*>(std::malloc(kLengthPrefix + bytes + sizeof(char16_t)));
  if (memory == nullptr) return nullptr;
  const auto length = static_cast<std::uint32_t>(bytes);
  std::memcpy(memory, &length, kLengthPrefix);
  std::memcpy(memory + kLengthPrefix, text, bytes + sizeof(char16_t));
  return reinterpret_cast<BSTR>(memory + kLengthPrefix);
}

void SysFreeString(BSTR text) {
  if (text != nullptr) std::free(reinterpret_cast<char*>(text) - kLengthPrefix);
}

UINT SysStringLen(BSTR text) {
  if (text == nullptr) return 0;
  std::uint32_t bytes = 0;
  std::memcpy(&bytes, reinterpret_cast<const char*>(text) - kLengthPrefix, kLengthPrefix);
  return bytes / sizeof(char16_t);
}

void VariantInit(VARIANT* variant) { *variant = VARIANT{}; }

HRESULT VariantClear(VARIANT* variant) {
  if (variant == nullptr) return E_POINTER;
  if (variant->vt == VT_BSTR) SysFreeString(variant->bstrVal);
  if (variant->vt == VT_UNKNOWN && variant->punkVal != nullptr) variant->punkVal->Release();
  VariantInit(variant);
  return S_OK;
}

}  // extern "C"
