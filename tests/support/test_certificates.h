// Certificates made on the spot, for servers and clients of tests.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace lanward::test {

struct Identity {
  std::string certificate;  // PEM
  std::string key;          // PEM
};

struct CertificateWishes {
  // Subject alternative names: "DNS:localhost", "IP:127.0.0.1".
  std::vector<std::string> names = {"DNS:localhost", "IP:127.0.0.1", "IP:::1"};
  bool expired = false;  // since yesterday
  bool self_signed = false;
};

// An authority that nobody knows. Ends the process if OpenSSL cannot do its work.
class TestAuthority {
 public:
  TestAuthority();
  ~TestAuthority();
  TestAuthority(const TestAuthority&) = delete;
  TestAuthority& operator=(const TestAuthority&) = delete;

  [[nodiscard]] const std::string& certificate() const;
  [[nodiscard]] Identity issue(const CertificateWishes& wishes = {}) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lanward::test
