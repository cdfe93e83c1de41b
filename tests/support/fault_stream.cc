#include "tests/support/fault_stream.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace lanward::test {
namespace {

constexpr std::size_t kHeadBytesMax = 64 * 1024;
constexpr std::size_t kReadStep = 4096;

using Memory = std::unique_ptr<BIO, decltype(&BIO_free)>;

[[nodiscard]] Memory memory_of(const std::string& text) {
  return {BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free};
}

void require(bool done) {
  if (done) return;
  std::fputs("OpenSSL cannot set up a server\n", stderr);
  std::abort();
}

[[nodiscard]] std::unique_ptr<X509, decltype(&X509_free)> read_certificate(const std::string& pem) {
  return {PEM_read_bio_X509(memory_of(pem).get(), nullptr, nullptr, nullptr), X509_free};
}

int choose_protocol(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in,
                    unsigned int in_size, void* with_http2) {
  static constexpr unsigned char kBoth[] = "\x02h2\x08http/1.1";
  const bool http2 = *static_cast<const bool*>(with_http2);
  const unsigned char* const ours = http2 ? kBoth : kBoth + 3;
  const auto ours_size = static_cast<unsigned>(sizeof kBoth - 1 - (http2 ? 0 : 3));
  const int found =
      SSL_select_next_proto(const_cast<unsigned char**>(out), size, ours, ours_size, in, in_size);
  return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

}  // namespace

TlsContext make_tls_context(const FaultTls& tls) {
  static bool with = true;
  static bool without = false;
  TlsContext context{SSL_CTX_new(TLS_server_method()), SSL_CTX_free};
  require(context != nullptr);
  const auto certificate = read_certificate(tls.identity.certificate);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key{
      PEM_read_bio_PrivateKey(memory_of(tls.identity.key).get(), nullptr, nullptr, nullptr),
      EVP_PKEY_free};
  require(SSL_CTX_use_certificate(context.get(), certificate.get()) == 1);
  require(SSL_CTX_use_PrivateKey(context.get(), key.get()) == 1);
  SSL_CTX_set_alpn_select_cb(context.get(), &choose_protocol, tls.http2 ? &with : &without);
  if (!tls.client_authority.empty()) {
    const auto authority = read_certificate(tls.client_authority);
    require(X509_STORE_add_cert(SSL_CTX_get_cert_store(context.get()), authority.get()) == 1);
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  return context;
}

FaultStream::FaultStream(int fd, SSL_CTX* context, bool close_notify)
    : fd_(fd), close_notify_(close_notify) {
  if (context == nullptr) return;
  ssl_.reset(SSL_new(context));
  // OpenSSL writes without MSG_NOSIGNAL; what a broken connection costs is looked at here.
  BIO* const socket = BIO_new_socket(fd, BIO_NOCLOSE);
  SSL_set_bio(ssl_.get(), socket, socket);
}

bool FaultStream::accept() {
  broken_ = ssl_ && SSL_accept(ssl_.get()) != 1;
  if (!broken_) return true;
  // What the client has sent is read to its end, or the reset would outrun the alert.
  ::shutdown(fd_, SHUT_WR);
  char rest[kReadStep];
  while (::recv(fd_, rest, sizeof rest, 0) > 0) {
  }
  return false;
}

bool FaultStream::speaks_http2() const {
  if (!ssl_) return false;
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_.get(), &name, &size);
  return std::string_view(reinterpret_cast<const char*>(name), size) == "h2";
}

ssize_t FaultStream::receive(char* to, std::size_t size) {
  if (!ssl_) return ::recv(fd_, to, size, 0);
  const int n = SSL_read(ssl_.get(), to, static_cast<int>(size));
  if (n > 0) return n;
  broken_ = SSL_get_error(ssl_.get(), n) != SSL_ERROR_ZERO_RETURN;
  return broken_ ? -1 : 0;
}

bool FaultStream::has_pending() const { return ssl_ && SSL_pending(ssl_.get()) > 0; }

bool FaultStream::send(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ssl_ ? SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size()))
                           : ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
    broken_ = n <= 0;
    if (broken_) return false;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

std::string FaultStream::read_head(std::string& buffer) {
  while (true) {
    if (const auto end = buffer.find("\r\n\r\n"); end != std::string::npos) {
      std::string head = buffer.substr(0, end + 2);
      buffer.erase(0, end + 4);
      return head;
    }
    char chunk[kReadStep];
    const ssize_t n = receive(chunk, sizeof chunk);
    if (n <= 0 || buffer.size() > kHeadBytesMax) return {};
    buffer.append(chunk, static_cast<std::size_t>(n));
  }
}

void FaultStream::finish() {
  if (ssl_ && close_notify_ && !broken_) SSL_shutdown(ssl_.get());
}

void FaultStream::reset() {
  const linger hard{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  broken_ = true;  // no good-bye
}

}  // namespace lanward::test
