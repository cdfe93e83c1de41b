// Why a job is in error.
#pragma once

#include <memory>

#include <lanward/job.h>

#include "api/facade/com_object.h"
#include "api/facade/session.h"

namespace lanward::facade {

class ErrorObject final : public ComObject<ErrorObject, IBackgroundCopyError> {
 public:
  ErrorObject(std::shared_ptr<Session> session, Job job, lanward::JobError error)
      : session_(std::move(session)), job_(std::move(job)), error_(std::move(error)) {}
  virtual ~ErrorObject() = default;

  [[nodiscard]] void* find(REFIID iid);

  HRESULT GetError(BG_ERROR_CONTEXT* context, HRESULT* code) override;
  HRESULT GetFile(IBackgroundCopyFile** file) override;
  HRESULT GetErrorDescription(DWORD language, LPWSTR* text) override;
  HRESULT GetErrorContextDescription(DWORD language, LPWSTR* text) override;
  HRESULT GetProtocol(LPWSTR* protocol) override;

 private:
  std::shared_ptr<Session> session_;
  Job job_;
  lanward::JobError error_;
};

}  // namespace lanward::facade
