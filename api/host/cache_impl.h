// What stands behind lanward::Cache: the administrator's side of a store, and who keeps it open.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <type_traits>
#include <utility>

#include <lanward/cache.h>

#include "engine/ports/cache_admin.h"

namespace lanward::host {

class CacheImpl {
 public:
  // `admin` and `refuse` are used until detach(); `refuse` may say that calls are not allowed on
  // the present thread, and may be empty.
  CacheImpl(std::shared_ptr<ports::CacheAdmin> admin, std::function<Result<void>()> refuse)
      : admin_(std::move(admin)), refuse_(std::move(refuse)) {}

  // Ends the calls that are under way and waits for them; later ones are refused.
  void detach() {
    {
      const std::shared_lock running(calls_);
      if (admin_ != nullptr) admin_->interrupt();
    }
    const std::unique_lock no_calls(calls_);
    admin_.reset();
    refuse_ = nullptr;
  }

  // Runs `f(admin)`.
  template <class F>
  auto with(F f) -> std::invoke_result_t<F, ports::CacheAdmin&> {
    const std::shared_lock running(calls_);
    if (admin_ == nullptr) return fail(ErrorCode::invalid_state, "the cache is closed");
    if (refuse_) {
      if (auto allowed = refuse_(); !allowed) return tl::unexpected(std::move(allowed.error()));
    }
    return f(*admin_);
  }

 private:
  std::shared_mutex calls_;
  std::shared_ptr<ports::CacheAdmin> admin_;
  std::function<Result<void>()> refuse_;
};

}  // namespace lanward::host
