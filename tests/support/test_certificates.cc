#include "tests/support/test_certificates.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace lanward::test {
namespace {

constexpr long kDay = 24L * 3600;
constexpr long kX509Version3 = 2;

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

template <class T>
T require(T made) {
  if (made) return made;
  std::fputs("OpenSSL cannot make a certificate\n", stderr);
  std::abort();
}

[[nodiscard]] Key make_key() { return {require(EVP_EC_gen("P-256")), EVP_PKEY_free}; }

template <class Write>
[[nodiscard]] std::string to_pem(Write write) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> out{BIO_new(BIO_s_mem()), BIO_free};
  require(write(out.get()));
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

[[nodiscard]] std::string pem_of(X509* certificate) {
  return to_pem([&](BIO* out) { return PEM_write_bio_X509(out, certificate); });
}

[[nodiscard]] std::string pem_of(EVP_PKEY* key) {
  return to_pem([&](BIO* out) {
    return PEM_write_bio_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr);
  });
}

void add_extension(X509* certificate, int kind, const std::string& value) {
  X509_EXTENSION* const extension =
      require(X509V3_EXT_conf_nid(nullptr, nullptr, kind, value.c_str()));
  require(X509_add_ext(certificate, extension, -1));
  X509_EXTENSION_free(extension);
}

// Without issuer, extensions and signature.
[[nodiscard]] Certificate begin_certificate(EVP_PKEY* key, const char* name, bool expired) {
  Certificate made{require(X509_new()), X509_free};
  X509_set_version(made.get(), kX509Version3);
  std::uint32_t serial = 0;
  require(RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) == 1);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(made.get()), serial);
  X509_gmtime_adj(X509_getm_notBefore(made.get()), -2 * kDay);
  X509_gmtime_adj(X509_getm_notAfter(made.get()), expired ? -kDay : kDay);
  X509_set_pubkey(made.get(), key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(made.get()), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
  return made;
}

}  // namespace

struct TestAuthority::State {
  Key key = make_key();
  Certificate certificate{nullptr, X509_free};
  std::string pem;
};

TestAuthority::TestAuthority() : state_(std::make_unique<State>()) {
  static std::atomic<int> count{0};
  const std::string name = "Test Authority " + std::to_string(++count);
  state_->certificate = begin_certificate(state_->key.get(), name.c_str(), false);
  X509* const certificate = state_->certificate.get();
  X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
  add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
  add_extension(certificate, NID_key_usage, "critical,keyCertSign");
  require(X509_sign(certificate, state_->key.get(), EVP_sha256()));
  state_->pem = pem_of(certificate);
}

TestAuthority::~TestAuthority() = default;

const std::string& TestAuthority::certificate() const { return state_->pem; }

Identity TestAuthority::issue(const CertificateWishes& wishes) const {
  const Key key = make_key();
  const Certificate made = begin_certificate(key.get(), "Test Subject", wishes.expired);
  X509* const issuer = wishes.self_signed ? made.get() : state_->certificate.get();
  X509_set_issuer_name(made.get(), X509_get_subject_name(issuer));
  std::string names;
  for (const std::string& name : wishes.names) names += (names.empty() ? "" : ",") + name;
  add_extension(made.get(), NID_subject_alt_name, names);
  require(X509_sign(made.get(), wishes.self_signed ? key.get() : state_->key.get(), EVP_sha256()));
  return {pem_of(made.get()), pem_of(key.get())};
}

}  // namespace lanward::test
