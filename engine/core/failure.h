// What a failure of an origin is called where people see it.
#pragma once

#include <lanward/error.h>

#include "engine/core/events.h"

namespace lanward::core {

[[nodiscard]] inline Error error_of(const Failure& failure) {
  switch (failure.kind) {
    case FailureClass::transient:
    case FailureClass::rate_limited:
      return {ErrorCode::network, failure.message};
    case FailureClass::permanent:
    case FailureClass::protocol:
      return {ErrorCode::origin_rejected, failure.message};
    case FailureClass::changed:
      return {ErrorCode::content_changed, failure.message};
    case FailureClass::no_ranges:
    case FailureClass::local:
      break;
  }
  return {ErrorCode::internal, failure.message};
}

}  // namespace lanward::core
