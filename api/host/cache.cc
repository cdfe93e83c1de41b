#include <lanward/cache.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/host/cache_impl.h"
#include "engine/core/text.h"
#include "engine/store/disk_store.h"

namespace lanward {
namespace {

// Shorter beginnings of an id are mistakes rather than names.
constexpr std::size_t kIdPrefixMin = 6;
constexpr std::size_t kIdDigits = 64;
// As published for Set-DeliveryOptimizationStatus -ExpireOn.
constexpr std::chrono::hours kExpiryMax{365 * 24};

tl::unexpected<Error> cache_closed() {
  return fail(ErrorCode::invalid_state, "the cache is closed");
}

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

core::Digest digest_of(const std::string& id) {
  core::Digest digest{};
  for (std::size_t i = 0; i < digest.size(); ++i) {
    digest[i] = static_cast<std::uint8_t>(digit_of(id[2 * i]) << 4 | digit_of(id[2 * i + 1]));
  }
  return digest;
}

// The content that `text` names: an id, or the beginning of one.
Result<core::Digest> resolve(ports::CacheAdmin& admin, const std::string& text) {
  std::string id = text;
  for (char& c : id) c = c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
  const bool digits = std::all_of(id.begin(), id.end(), [](char c) { return digit_of(c) >= 0; });
  if (!digits || id.size() < kIdPrefixMin || id.size() > kIdDigits) {
    return fail(ErrorCode::invalid_argument,
                "'" + text + "' is no content: give its 64 hexadecimal digits, or at least the " +
                    "first " + std::to_string(kIdPrefixMin));
  }
  if (id.size() == kIdDigits) return digest_of(id);
  auto list = admin.list();
  if (!list) return tl::unexpected(std::move(list.error()));
  std::vector<std::string> matches;
  for (const CachedContent& content : *list) {
    if (content.id.starts_with(id)) matches.push_back(content.id);
  }
  if (matches.empty()) return fail(ErrorCode::not_found, "the cache has no content " + text);
  if (matches.size() > 1) {
    return fail(
        ErrorCode::invalid_argument,
        std::to_string(matches.size()) + " contents begin with " + text + ": give more digits");
  }
  return digest_of(matches.front());
}

// Runs `f(admin, digest)` for the content that `id` names.
template <class F>
auto with_content(const std::shared_ptr<host::CacheImpl>& impl, const std::string& id, F f)
    -> std::invoke_result_t<F, ports::CacheAdmin&, const core::Digest&> {
  using R = std::invoke_result_t<F, ports::CacheAdmin&, const core::Digest&>;
  if (impl == nullptr) return cache_closed();
  return impl->with([&](ports::CacheAdmin& admin) -> R {
    auto digest = resolve(admin, id);
    if (!digest) return tl::unexpected(std::move(digest.error()));
    return f(admin, *digest);
  });
}

}  // namespace

const char* to_string(CheckVerdict verdict) noexcept {
  switch (verdict) {
    case CheckVerdict::good:
      return "good";
    case CheckVerdict::bad:
      return "bad";
    case CheckVerdict::unverifiable:
      return "unverifiable";
    case CheckVerdict::in_use:
      return "in_use";
    case CheckVerdict::failed:
      return "failed";
  }
  return "failed";
}

Cache::Cache(std::shared_ptr<host::CacheImpl> impl) : impl_(std::move(impl)) {}

Result<Cache> Cache::open(const CacheOptions& options) {
  auto admin = store::open_cache(options);
  if (!admin) return tl::unexpected(std::move(admin.error()));
  return Cache(std::make_shared<host::CacheImpl>(std::move(*admin), nullptr));
}

Result<CacheStatus> Cache::status() const {
  if (impl_ == nullptr) return cache_closed();
  return impl_->with([](ports::CacheAdmin& admin) { return admin.status(); });
}

Result<std::vector<CachedContent>> Cache::list() const {
  if (impl_ == nullptr) return cache_closed();
  return impl_->with([](ports::CacheAdmin& admin) -> Result<std::vector<CachedContent>> {
    auto list = admin.list();
    if (list) {
      std::stable_sort(
          list->begin(), list->end(),
          [](const CachedContent& a, const CachedContent& b) { return a.last_use > b.last_use; });
    }
    return list;
  });
}

Result<CachedContent> Cache::find(const std::string& id) const {
  return with_content(impl_, id, [](ports::CacheAdmin& admin, const core::Digest& digest) {
    return admin.find(digest);
  });
}

Result<void> Cache::pin(const std::string& id, bool pinned) {
  return with_content(impl_, id, [&](ports::CacheAdmin& admin, const core::Digest& digest) {
    return admin.pin(digest, pinned);
  });
}

Result<void> Cache::expire(const std::string& id,
                           std::optional<std::chrono::system_clock::time_point> when) {
  std::optional<std::int64_t> seconds;
  if (when) {
    if (*when > std::chrono::system_clock::now() + kExpiryMax) {
      return fail(ErrorCode::invalid_argument, "a content expires within a year, or not at all");
    }
    seconds = std::chrono::duration_cast<std::chrono::seconds>(when->time_since_epoch()).count();
  }
  return with_content(impl_, id, [&](ports::CacheAdmin& admin, const core::Digest& digest) {
    return admin.expire(digest, seconds);
  });
}

Result<void> Cache::share(const std::string& id, bool shared) {
  return with_content(impl_, id, [&](ports::CacheAdmin& admin, const core::Digest& digest) {
    return admin.share(digest, shared);
  });
}

Result<void> Cache::remove(const std::string& id, bool pinned_too) {
  return with_content(impl_, id, [&](ports::CacheAdmin& admin, const core::Digest& digest) {
    return admin.remove(digest, pinned_too);
  });
}

Result<TrimResult> Cache::trim() {
  if (impl_ == nullptr) return cache_closed();
  return impl_->with([](ports::CacheAdmin& admin) { return admin.trim(); });
}

Result<std::vector<ContentCheck>> Cache::verify(const CheckOptions& options) {
  if (impl_ == nullptr) return cache_closed();
  using R = Result<std::vector<ContentCheck>>;
  return impl_->with([&](ports::CacheAdmin& admin) -> R {
    std::vector<core::Digest> ids;
    for (const std::string& text : options.ids) {
      auto digest = resolve(admin, text);
      if (!digest) return tl::unexpected(std::move(digest.error()));
      if (auto found = admin.find(*digest); !found) return tl::unexpected(found.error());
      ids.push_back(*digest);
    }
    return admin.verify(ids, options);
  });
}

Result<CachedContent> Cache::import_file(const std::string& path, const ImportOptions& options) {
  if (impl_ == nullptr) return cache_closed();
  return impl_->with([&](ports::CacheAdmin& admin) { return admin.import_file(path, options); });
}

Result<void> Cache::export_file(const std::string& id, const std::string& destination,
                                const ExportOptions& options) {
  return with_content(impl_, id, [&](ports::CacheAdmin& admin, const core::Digest& digest) {
    return admin.export_file(digest, destination, options);
  });
}

}  // namespace lanward
