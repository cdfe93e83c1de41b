// A real engine with short back-offs, and servers that misbehave.
#pragma once

#include <lanward/job.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cdn/origin_source.h"
#include "engine/core/policy.h"
#include "tests/support/fault_origin.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/test_certificates.h"

namespace lanward::test {

inline constexpr const char* kFaultTag = "\"v1\"";

// How a job has ended.
struct FaultOutcome {
  bool delivered = false;
  std::string bytes;  // of the delivered file
  std::string error;  // empty when delivered
  std::string waits;  // what the job said while it waited, all together
};

class FaultWorld {
 public:
  explicit FaultWorld(bool with_manifest);
  ~FaultWorld();
  FaultWorld(const FaultWorld&) = delete;
  FaultWorld& operator=(const FaultWorld&) = delete;

  // ---- servers: they serve /file honestly, and its manifest if there is one ---------------------

  FaultOrigin& plain() { return add({}); }
  FaultOrigin& tls(const CertificateWishes& wishes = {});
  FaultOrigin& http2();
  FaultOrigin& add(FaultOptions options);
  [[nodiscard]] Identity issue(const CertificateWishes& wishes = {}) const;
  [[nodiscard]] const std::string& authority() const;

  // Spoils the replies to requests of /file for more than the first byte; `nth` counts these, from
  // 0.
  using Spoil = std::function<void(FaultReply&, int nth, const FaultRequest&)>;
  void spoil(FaultOrigin& origin, Spoil spoil);
  // The replies to all requests of /file.
  void spoil_all(FaultOrigin& origin, Spoil spoil);

  // ---- the job
  // -----------------------------------------------------------------------------------

  cdn::OriginOptions options;
  core::Policy policy;
  std::string source;  // empty: /file of the first server
  std::vector<std::string> headers;
  // Of ports::OriginSettings, which the job's properties do not have.
  Identity client_identity;
  bool allow_https_to_http = false;

  [[nodiscard]] FaultOutcome run();

  [[nodiscard]] const Content& content() const { return content_; }
  [[nodiscard]] std::vector<std::unique_ptr<FaultOrigin>>& servers() { return servers_; }
  [[nodiscard]] std::uint64_t requests() const;
  [[nodiscard]] std::uint64_t body_bytes() const;

 private:
  [[nodiscard]] std::string write(const std::string& name, const std::string& text) const;

  support::TemporaryDirectory directory_;
  const Content content_;
  Content manifest_;  // null: none
  std::vector<std::unique_ptr<FaultOrigin>> servers_;
};

}  // namespace lanward::test
