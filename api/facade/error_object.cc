#include "api/facade/error_object.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "api/facade/file_object.h"
#include "api/facade/text.h"

namespace lanward::facade {

void* ErrorObject::find(REFIID iid) {
  const bool known = iid == IID_IUnknown || iid == IID_IBackgroundCopyError;
  return known ? static_cast<IBackgroundCopyError*>(this) : nullptr;
}

HRESULT ErrorObject::GetError(BG_ERROR_CONTEXT* context, HRESULT* code) {
  if (context == nullptr || code == nullptr) return E_POINTER;
  *context = static_cast<BG_ERROR_CONTEXT>(error_.context);
  *code = to_hresult(error_);
  return S_OK;
}

HRESULT ErrorObject::GetFile(IBackgroundCopyFile** file) {
  if (file == nullptr) return E_POINTER;
  *file = nullptr;
  if (!error_.file) return DO_E_FILE_NOT_AVAILABLE;
  *file = new FileObject(session_, job_, *error_.file);
  return S_OK;
}

// There is one language.
HRESULT ErrorObject::GetErrorDescription(DWORD, LPWSTR* text) {
  return give_text(error_.message.empty() ? describe(error_.code) : error_.message, text);
}

HRESULT ErrorObject::GetErrorContextDescription(DWORD, LPWSTR* text) {
  return give_text(describe(error_.context), text);
}

HRESULT ErrorObject::GetProtocol(LPWSTR* protocol) {
  if (protocol == nullptr) return E_POINTER;
  *protocol = nullptr;
  if (!error_.file) return BG_E_PROTOCOL_NOT_AVAILABLE;
  const auto file = file_status(job_, *error_.file);
  if (!file) return to_hresult(file);
  const std::string_view source = file->source;
  const std::size_t end = source.find("://");
  if (end == std::string_view::npos) return BG_E_PROTOCOL_NOT_AVAILABLE;
  return give_text(source.substr(0, end), protocol);
}

}  // namespace lanward::facade
