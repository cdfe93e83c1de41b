// The properties of IDeliveryOptimizationFile2.
#include <utility>

#include "api/facade/file_object.h"
#include "api/facade/text.h"

namespace lanward::facade {

HRESULT FileObject::GetProperty(DOFilePropertyId property, VARIANT* value) {
  if (value == nullptr) return E_POINTER;
  VariantInit(value);
  switch (property) {
    case DOFilePropertyId_DecryptionInfo:
    case DOFilePropertyId_IntegrityCheckInfo:
      return DO_E_WRITE_ONLY_PROPERTY;
    case DOFilePropertyId_IntegrityCheckMandatory: {
      const std::lock_guard lock(slot_->mutex);
      if (slot_->request.source.empty()) return E_NOT_SET;  // added by other means
      value->vt = VT_BOOL;
      value->boolVal = slot_->request.integrity_mandatory ? VARIANT_TRUE : VARIANT_FALSE;
      return S_OK;
    }
    case DOFilePropertyId_DownloadSinkFilePath: {
      const auto file = status();
      if (!file) return to_hresult(file);
      return file->destination.empty() ? E_NOT_SET : give_bstr(file->destination, value);
    }
    case DOFilePropertyId_TotalSizeBytes: {
      const auto file = status();
      if (!file) return to_hresult(file);
      const std::lock_guard lock(slot_->mutex);
      if (!file->total_known && !slot_->size) return E_NOT_SET;
      value->vt = VT_UI8;
      value->ullVal = file->total_known ? file->total_bytes : *slot_->size;
      return S_OK;
    }
    case DOFilePropertyId_DownloadSinkInterface:
    case DOFilePropertyId_DownloadSinkMemoryStream:
      return E_NOT_SET;
  }
  return DO_E_UNKNOWN_PROPERTY_ID;
}

HRESULT FileObject::SetProperty(DOFilePropertyId property, const VARIANT* value) {
  if (value == nullptr) return E_POINTER;
  switch (property) {
    case DOFilePropertyId_DownloadSinkFilePath:
      return set_path(*value);
    case DOFilePropertyId_IntegrityCheckInfo:
    case DOFilePropertyId_IntegrityCheckMandatory:
    case DOFilePropertyId_TotalSizeBytes:
      return set_before_placed(property, *value);
    case DOFilePropertyId_DownloadSinkMemoryStream:
      return DO_E_MEMORYSTREAM_DOWNLOAD_NOT_SUPPORTED;
    case DOFilePropertyId_DecryptionInfo:
    case DOFilePropertyId_DownloadSinkInterface:
      return E_NOTIMPL;
  }
  return DO_E_UNKNOWN_PROPERTY_ID;
}

// Makes it a file of the engine.
HRESULT FileObject::set_path(const VARIANT& value) {
  std::string path;
  if (const HRESULT result = take_bstr(value, &path); FAILED(result)) return result;
  if (path.empty() || path.front() != '/') return E_INVALIDARG;
  const std::lock_guard lock(slot_->mutex);
  if (slot_->file) return DO_E_FILE_DOWNLOADSINK_ALREADY_SET;
  FileRequest request = slot_->request;
  request.destination = std::move(path);
  const DWORD flags = session_->peer_flags(job_.id());
  request.use_peers = (flags & BG_JOB_ENABLE_PEERCACHING_CLIENT) != 0;
  request.share_after_complete = (flags & BG_JOB_ENABLE_PEERCACHING_SERVER) != 0;
  const auto added = job_.add_file(request);
  if (!added) return to_hresult(added);
  slot_->file = *added;
  session_->placed(job_.id(), slot_.get());
  return S_OK;
}

HRESULT FileObject::set_before_placed(DOFilePropertyId property, const VARIANT& value) {
  const std::lock_guard lock(slot_->mutex);
  if (slot_->file) return DO_E_INVALID_STATE;
  if (property == DOFilePropertyId_IntegrityCheckMandatory) {
    if (value.vt != VT_BOOL) return DISP_E_TYPEMISMATCH;
    slot_->request.integrity_mandatory = value.boolVal != VARIANT_FALSE;
    return S_OK;
  }
  if (property == DOFilePropertyId_TotalSizeBytes) {
    if (value.vt != VT_UI8) return DISP_E_TYPEMISMATCH;
    slot_->size = value.ullVal;
    return S_OK;
  }
  std::string manifest;
  if (const HRESULT result = take_bstr(value, &manifest); FAILED(result)) return result;
  // The published form, JSON about a file of piece hashes, describes another kind of manifest.
  if (manifest.find('{') == 0) return E_NOTIMPL;
  slot_->request.manifest = std::move(manifest);
  return S_OK;
}

}  // namespace lanward::facade
