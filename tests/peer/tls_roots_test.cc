#include "peer/tls_roots.h"

#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>

#include <libtorrent/session.hpp>
#include <libtorrent/session_params.hpp>

namespace lanward::peer {
namespace {

// A certificate of our own stands for those of the system.
class TlsRoots : public testing::Test {
 protected:
  void SetUp() override {
    EVP_PKEY* const key = EVP_EC_gen("P-256");
    X509* const certificate = X509_new();
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    ASSERT_GT(X509_sign(certificate, key, EVP_sha256()), 0);
    std::FILE* const file = std::fopen(path_.c_str(), "w");
    ASSERT_NE(file, nullptr);
    ASSERT_EQ(PEM_write_X509(file, certificate), 1);
    std::fclose(file);
    X509_free(certificate);
    EVP_PKEY_free(key);
    setenv("SSL_CERT_FILE", path_.c_str(), 1);
    setenv("SSL_CERT_DIR", "/nonexistent", 1);
  }
  void TearDown() override {
    unsetenv("SSL_CERT_FILE");
    unsetenv("SSL_CERT_DIR");
    std::remove(path_.c_str());
  }

  static int certificates(SSL_CTX* context) {
    return sk_X509_OBJECT_num(X509_STORE_get0_objects(SSL_CTX_get_cert_store(context)));
  }
  static lt::session_params quiet() {
    lt::settings_pack settings;
    settings.set_str(lt::settings_pack::listen_interfaces, "");
    settings.set_bool(lt::settings_pack::enable_dht, false);
    settings.set_bool(lt::settings_pack::enable_lsd, false);
    settings.set_bool(lt::settings_pack::enable_upnp, false);
    settings.set_bool(lt::settings_pack::enable_natpmp, false);
    return lt::session_params(settings);
  }

  std::string path_ = testing::TempDir() + "/lanward-roots-" + std::to_string(::getpid()) + ".pem";
};

TEST_F(TlsRoots, AreLeftOutOfASessionAndReadOnDemand) {
  std::unique_ptr<lt::session> session;
  SSL_CTX* context = nullptr;
  {
    const PutOffTlsRoots roots;
    session = std::make_unique<lt::session>(quiet());
    context = roots.context();
  }
  ASSERT_NE(context, nullptr) << "libtorrent does not call the hook";
  EXPECT_EQ(certificates(context), 0);
  load_tls_roots(context);
  EXPECT_EQ(certificates(context), 1);
}

TEST_F(TlsRoots, AreReadAtOnceByEverybodyElse) {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()),
                                                                  &SSL_CTX_free);
  EXPECT_EQ(SSL_CTX_set_default_verify_paths(context.get()), 1);
  EXPECT_EQ(certificates(context.get()), 1);
}

TEST_F(TlsRoots, OfNoContextAreNoMatter) { load_tls_roots(nullptr); }

}  // namespace
}  // namespace lanward::peer
