#include "engine/jobs/job_properties.h"

#include <chrono>
#include <string>

#include "engine/core/header_rules.h"
#include "engine/core/job_watch.h"

namespace lanward::jobs {
namespace {

Result<void> check_seconds(std::chrono::seconds value, std::chrono::seconds least,
                           const char* name) {
  if (value == std::chrono::seconds{0} || (value >= least && value <= core::kJobTimeMax)) return {};
  return fail(ErrorCode::invalid_argument,
              std::string(name) + ": 0 for the default, or " + std::to_string(least.count()) +
                  " to " + std::to_string(core::kJobTimeMax.count()) + " seconds");
}

Result<void> check_proxy(const ProxySettings& proxy) {
  if (proxy.usage > ProxySettings::Usage::autodetect) {
    return fail(ErrorCode::invalid_argument, "proxy: no such usage");
  }
  if (proxy.usage != ProxySettings::Usage::use) return {};
  for (const char* scheme : {"http://", "https://", "socks5h://"}) {
    if (proxy.proxy.starts_with(scheme) && proxy.proxy.size() > std::string(scheme).size() &&
        proxy.proxy.find_first_of(" \t\r\n") == std::string::npos) {
      return {};
    }
  }
  return fail(ErrorCode::invalid_argument,
              "proxy: expected http://HOST:PORT, https://HOST:PORT or socks5h://HOST:PORT");
}

// As the kernel takes it (PATH_MAX).
constexpr std::size_t kPathBytesMax = 4095;

Result<void> check_pem_path(const std::string& path, const char* name) {
  if (path.empty()) return {};
  const bool usable =
      path.front() == '/' && path.size() <= kPathBytesMax && path.find('\0') == std::string::npos;
  if (usable) return {};
  return fail(ErrorCode::invalid_argument,
              std::string(name) + ": expected an absolute path of at most 4095 bytes");
}

template <class T>
void take(T& value, const std::optional<T>& change) {
  if (change) value = *change;
}

}  // namespace

Result<void> check_display_name(const std::string& name) {
  if (name.size() <= kDisplayNameMax) return {};
  return fail(ErrorCode::invalid_argument, "display_name: more than 256 bytes");
}

Result<JobProperties> changed_properties(JobProperties p, const JobChange& change) {
  take(p.display_name, change.display_name);
  take(p.description, change.description);
  take(p.priority, change.priority);
  take(p.notify_flags, change.notify_flags);
  take(p.minimum_retry_delay, change.minimum_retry_delay);
  take(p.no_progress_timeout, change.no_progress_timeout);
  take(p.maximum_download_time, change.maximum_download_time);
  take(p.proxy, change.proxy);
  take(p.custom_headers, change.custom_headers);
  take(p.cost, change.cost);
  take(p.client_certificate, change.client_certificate);
  take(p.client_key, change.client_key);
  take(p.allow_https_to_http_redirects, change.allow_https_to_http_redirects);

  Result<void> ok = check_display_name(p.display_name);
  if (ok && p.description.size() > kDescriptionMax) {
    ok = fail(ErrorCode::invalid_argument, "description: more than 1024 bytes");
  }
  if (ok && p.priority > Priority::low) ok = fail(ErrorCode::invalid_argument, "priority: unknown");
  if (ok && (p.notify_flags & ~(NotifyFlags::kAll | NotifyFlags::kDisable)) != 0) {
    ok = fail(ErrorCode::invalid_argument, "notify_flags: unknown flags");
  }
  if (ok) {
    ok = check_seconds(p.minimum_retry_delay, core::kMinimumRetryDelayFloor, "minimum_retry_delay");
  }
  if (ok) ok = check_seconds(p.no_progress_timeout, std::chrono::seconds{1}, "no_progress_timeout");
  if (ok) {
    ok = check_seconds(p.maximum_download_time, std::chrono::seconds{1}, "maximum_download_time");
  }
  if (ok) ok = check_proxy(p.proxy);
  if (ok) ok = core::check_headers(p.custom_headers);
  if (ok) ok = check_pem_path(p.client_certificate, "client_certificate");
  if (ok) ok = check_pem_path(p.client_key, "client_key");
  if (ok && p.client_certificate.empty() && !p.client_key.empty()) {
    ok = fail(ErrorCode::invalid_argument, "client_key: there is no client_certificate");
  }
  if (!ok) return tl::unexpected(ok.error());
  return p;
}

}  // namespace lanward::jobs
